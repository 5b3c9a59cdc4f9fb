//! What happens to jobs that others hold, that fail, and that are stopped.

use super::super::folder::JobState;
use super::*;
use crate::store::scratch::Scratch;
use std::fs;
use std::path::Path;

/// Three jobs of a moment each, in a folder of their own.
fn sweep(scratch: &Scratch) -> Sweep {
    let text = "preset = \"quick\"\ndata.domains = [0, 75]\ndata.per_class = 2\nmodel.kind = \"classifier\"\n\
                model.width = 0.03125\ntrain.batch = 10\ntrain.epochs = 2\n[grid]\nseed = [0, 1, 2]";
    Sweep { folder: scratch.join("sweep"), ..Sweep::parse(Path::new("s.toml"), text).unwrap() }
}

/// Notes what is reported, and does what it is told.
#[derive(Default)]
struct Script {
    /// Released when a worker waits.
    lock: Mutex<Option<Lock>>,
    /// The seed whose job cannot be finished, and whether it ends in a panic.
    fails: Option<(u64, bool)>,
    /// The seed whose job's folder another process takes over before the job is finished.
    loses: Option<u64>,
    /// The seed whose job is stopped after its first epoch.
    stops: Option<u64>,
    signal: Mutex<Option<i32>>,
    said: Mutex<Vec<String>>,
}

impl Supervisor for Script {
    fn seconds(&self) -> f64 {
        0.0
    }

    fn signal(&self) -> Option<i32> {
        *held(&self.signal)
    }

    fn wait(&self) {
        held(&self.said).push("wait".into());
        held(&self.lock).take();
    }

    fn report(&self, job: &Job, news: &News<'_>) {
        let what = match news {
            News::Notice(sentence) => (*sentence).to_owned(),
            News::Started { epochs } => format!("started after {epochs}"),
            News::Epoch { metrics, .. } => {
                if self.stops == Some(job.config.seed) {
                    *held(&self.signal) = Some(15);
                }
                format!("epoch {}", metrics.epoch)
            }
            News::Done(_) => "done".into(),
            News::LeftToOthers(_) => "left to others".into(),
            News::Failed(error) => format!("failed: {error}"),
        };
        held(&self.said).push(format!("{} {what}", job.name));
    }

    fn trained(&self, _: &Job, trainer: &Trainer, run: &RunFolder, _: &Lock, _: &Params) -> Result<()> {
        if self.loses == Some(trainer.config().seed) {
            fs::write(run.path().join(lock::LOCK), "another's").unwrap();
            fs::write(run.path().join("attempts.txt"), "7\n").unwrap();
        }
        match self.fails.filter(|(seed, _)| *seed == trainer.config().seed) {
            None => Ok(()),
            Some((_, true)) => panic!("a panic on purpose"),
            Some((_, false)) => Err(Error::work("no paper for the pictures")),
        }
    }
}

fn said(script: Script) -> Vec<String> {
    script.said.into_inner().unwrap()
}

const ALL: [&str; 4] = ["started after 0", "epoch 1", "epoch 2", "done"];

fn of_job(seed: u64, news: &[&str]) -> Vec<String> {
    news.iter().map(|what| format!("seed={seed} {what}")).collect()
}

#[test]
fn what_another_process_holds_is_come_back_to() {
    let scratch = Scratch::new();
    let sweep = sweep(&scratch);
    let folder = sweep.folder.join(&sweep.jobs[0].id);
    fs::create_dir_all(&folder).unwrap();
    let script = Script { lock: Mutex::new(Some(Lock::take(&folder).unwrap())), ..Script::default() };
    let summary = run(&sweep, Shard::ALL, 1, &script).unwrap();
    assert_eq!(summary, Summary { done: 3, ..Summary::default() });
    let expected = [
        of_job(0, &["left to others"]),
        of_job(1, &ALL),
        of_job(2, &ALL),
        vec!["wait".into()],
        of_job(0, &ALL),
    ];
    assert_eq!(said(script), expected.concat());
    let again = Script::default();
    let summary = run(&sweep, "2/2".parse().unwrap(), 1, &again).unwrap();
    assert_eq!((summary, said(again)), (Summary { found_done: 1, ..Summary::default() }, vec![]));
}

/// The lock is taken between the look at the folder and the training: two workers of one process.
#[test]
fn workers_side_by_side_share_the_jobs() {
    let scratch = Scratch::new();
    let sweep = sweep(&scratch);
    let (sweep, one, other) = (&sweep, Script::default(), Script::default());
    let summaries = std::thread::scope(|scope| {
        let start = |script| scope.spawn(move || run(sweep, Shard::ALL, 2, script).unwrap());
        [start(&one), start(&other)].map(|worker| worker.join().unwrap())
    });
    assert_eq!(summaries[0].done + summaries[1].done, 3, "{summaries:?}");
    assert!(summaries.iter().all(|summary| summary.done + summary.found_done == 3), "{summaries:?}");
    let said = [said(one), said(other)].concat();
    for seed in 0..3 {
        let news: Vec<&String> = said
            .iter()
            .filter(|line| line.starts_with(&format!("seed={seed} ")) && !line.ends_with("left to others"))
            .collect();
        assert_eq!(news, of_job(seed, &ALL).iter().collect::<Vec<_>>());
    }
}

/// Not even that the job failed.
#[test]
fn nothing_is_written_to_the_folder_of_a_job_that_was_taken_away() {
    let scratch = Scratch::new();
    let sweep = sweep(&scratch);
    let script = Script { loses: Some(1), ..Script::default() };
    let summary = run(&sweep, Shard::ALL, 1, &script).unwrap();
    let job = &sweep.jobs[1];
    assert!(matches!(&summary.failed[..], [(failed, Error::TakenAway(_))] if failed == job), "{summary:?}");
    assert_eq!(summary.done, 2);
    let folder = sweep.run_folder(job).path().to_path_buf();
    assert_eq!(fs::read_to_string(folder.join(lock::LOCK)).unwrap(), "another's");
    assert_eq!(sweep.attempts(job), 7);
    assert!(!folder.join("failure.txt").exists() && !folder.join("result.json").exists());
}

#[test]
fn failures_and_panics_stop_no_other_job_and_are_tried_again() {
    let scratch = Scratch::new();
    let sweep = sweep(&scratch);
    for (seed, panics, why) in
        [(1, false, "no paper for the pictures"), (1, true, "training ended in a bug of the program")]
    {
        let script = Script { fails: Some((seed, panics)), ..Script::default() };
        let summary = run(&sweep, Shard::ALL, 1, &script).unwrap();
        assert_eq!(summary.done + summary.found_done, 2);
        assert_eq!(summary.failed, [(sweep.jobs[1].clone(), Error::work(why))]);
        assert_eq!(sweep.state(&sweep.jobs[1]), Ok(JobState::Failed(why.into())));
    }
    let script = Script::default();
    assert_eq!(run(&sweep, Shard::ALL, 1, &script).unwrap().done, 1);
    assert_eq!(said(script), of_job(1, &["started after 2", "done"]));
    assert!(matches!(sweep.state(&sweep.jobs[1]), Ok(JobState::Done(..))));
    assert!(!sweep.run_folder(&sweep.jobs[1]).path().join("failure.txt").exists());
}

#[test]
fn a_job_whose_process_died_is_tried_after_all_others() {
    let scratch = Scratch::new();
    let sweep = sweep(&scratch);
    sweep.claim_folder().unwrap();
    // Two deaths of the first, one of the second.
    for job in [0, 0, 1] {
        sweep.note_attempt(&sweep.jobs[job]);
    }
    assert_eq!([0, 1, 2].map(|job| sweep.attempts(&sweep.jobs[job])), [2, 1, 0]);
    // Ends that the process outlives take the word back.
    let script = Script { fails: Some((1, true)), ..Script::default() };
    assert_eq!(run(&sweep, Shard::ALL, 1, &script).unwrap().done, 2);
    let said = said(script);
    let started: Vec<&String> = said.iter().filter(|line| line.contains("started")).collect();
    assert_eq!(started, ["seed=2 started after 0", "seed=1 started after 0", "seed=0 started after 0"]);
    assert_eq!([0, 1, 2].map(|job| sweep.attempts(&sweep.jobs[job])), [0; 3]);
}

#[test]
fn a_signal_stops_all_and_begins_nothing_more() {
    let scratch = Scratch::new();
    let sweep = sweep(&scratch);
    let script = Script { stops: Some(1), ..Script::default() };
    assert_eq!(run(&sweep, Shard::ALL, 1, &script), Err(Error::Interrupted { signal: 15 }));
    assert_eq!(said(script), [of_job(0, &ALL), of_job(1, &ALL[..2])].concat());
    assert_eq!(sweep.state(&sweep.jobs[1]), Ok(JobState::Interrupted { epochs: 1 }));
    assert_eq!(sweep.state(&sweep.jobs[2]), Ok(JobState::NotStarted));
    let script = Script::default();
    assert_eq!(
        run(&sweep, Shard::ALL, 1, &script).unwrap(),
        Summary { found_done: 1, done: 2, failed: vec![] }
    );
    let expected = [of_job(1, &["started after 1", "epoch 2", "done"]), of_job(2, &ALL)];
    assert_eq!(said(script), expected.concat());
}
