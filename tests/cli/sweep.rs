//! Sweeps by the built program: alone, side by side, interrupted, on a full disk; and files that are none.

use super::full_disk::SmallDisk;
use super::{Folder, assert_same_run, folders, refused, success, text};
use diva::config::Config;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs of well under a second: 80 images, four steps an epoch.
const BASE: &str = "preset = \"quick\"
data.domains = [0, 30, 75]
data.per_class = 4
model.kind = \"classifier\"
model.width = 0.0625
train.batch = 20
";

/// Writes `sweep.toml`: the base, `more`, and the sweep's folder.
fn write_sweep(here: &Folder, out: &str, more: &str) {
    fs::write(here.join("sweep.toml"), format!("out = \"{out}\"\n{BASE}{more}")).unwrap();
}

/// The ids and names of `diva sweep plan`.
fn plan(here: &Folder, more: &[&str]) -> Vec<(String, String)> {
    let out = here.succeed(&[&["sweep", "plan", "sweep.toml"], more].concat());
    let lines = out.lines().filter_map(|line| line.split_once("  "));
    lines.map(|(id, name)| (id.to_owned(), name.to_owned())).collect()
}

/// The ids of the jobs that the lines of a `run` say something of.
fn ids_with(out: &str, what: &str) -> Vec<String> {
    let lines = out.lines().filter(|line| line.contains(what));
    let mut ids: Vec<String> = lines.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn without_output(output: &Output) -> Output {
    Output { stdout: Vec::new(), ..output.clone() }
}

/// Whoever comes second finds the record of the first, at whatever moment it comes.
#[test]
fn of_two_sweeps_that_start_together_in_one_folder_one_is_refused() {
    let here = Folder::new();
    for round in 0..6 {
        let out = format!("out-{round}");
        for (file, seeds) in [("one.toml", "0"), ("other.toml", "1")] {
            let text = format!("out = \"{out}\"\n{BASE}train.epochs = 1\n[grid]\nseed = [{seeds}]\n");
            fs::write(here.join(file), text).unwrap();
        }
        let start = |file| {
            let mut command = here.diva(&["sweep", "run", file]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let [one, other] =
            [start("one.toml"), start("other.toml")].map(|child| child.wait_with_output().unwrap());
        let (winner, loser) = if one.status.success() { (one, other) } else { (other, one) };
        success(&winner);
        refused(&loser, 2, &["belongs to another sweep"]);
        assert_eq!(fs::read_dir(here.join(&out)).unwrap().count(), 2, "the record and one job");
    }
}

/// A training of 1,600 images a step through the widest networks holds more than 40 GB.
#[test]
#[cfg(target_os = "linux")]
fn a_job_that_cannot_have_its_memory_is_refused_and_the_others_go_on() {
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let kibibytes: u64 = memory.lines().next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    if kibibytes > 40 << 20 {
        println!("skipped: this machine may have the memory");
        return;
    }
    let here = Folder::new();
    let arms = "[[arms]]\nname = \"small\"\n[[arms]]\nname = \"large\"\nmodel.kind = \"diva\"\nmodel.width = 16.0\n\
                model.latent = 4096\ndata.per_class = 80\ntrain.batch = 1600\n";
    write_sweep(&here, "out", &format!("train.epochs = 1\n{arms}"));
    let output = here.run(&["sweep", "run", "sweep.toml"]);
    refused(
        &without_output(&output),
        1,
        &["1 of 2 jobs failed", "cannot train: it takes at least", "of memory"],
    );
    let status = here.succeed(&["sweep", "status", "sweep.toml"]);
    assert!(status.contains("done: ") && status.contains("failed: cannot train"), "{status}");
    let jobs = plan(&here, &[]);
    assert_eq!(here.names(&format!("out/{}", jobs[1].0)), ["failure.txt"]);
}

#[test]
fn a_sweep_is_planned_run_and_collected() {
    let here = Folder::new();
    write_sweep(&here, "out", "train.epochs = 2\n[grid]\ndata.test_domain = [75, 0]\nseed = [0, 1]\n");
    let jobs = plan(&here, &[]);
    assert_eq!(jobs.len(), 4);
    assert_eq!(jobs[1].1, "data.test_domain=75, seed=1");
    let shards = [plan(&here, &["--shard", "1/2"]), plan(&here, &["--shard", "2/2"])];
    assert_eq!(
        (&shards[0][..], &shards[1][..]),
        (&[jobs[0].clone(), jobs[2].clone()][..], &[jobs[1].clone(), jobs[3].clone()][..])
    );
    assert!(!here.join("out").exists(), "planning changes nothing");
    here.refuse(
        &["sweep", "collect", "sweep.toml"],
        2,
        &["cannot collect sweep.toml: there is no sweep in out yet"],
    );
    let status = here.succeed(&["sweep", "status", "sweep.toml"]);
    assert_eq!(status.matches("not started").count(), 4);

    // A shard, then the rest with two at a time.
    let out = here.succeed(&["sweep", "run", "sweep.toml", "--shard", "2/2"]);
    assert_eq!(ids_with(&out, "] done, epoch"), {
        let mut ids = [jobs[1].0.clone(), jobs[3].0.clone()];
        ids.sort();
        ids
    });
    assert!(out.chars().all(|letter| letter == '\n' || !letter.is_control()), "{out:?}");
    let status = here.succeed(&["sweep", "status", "sweep.toml"]);
    assert!(
        status.matches("not started").count() == 2 && status.ends_with("2 of 4 jobs are done\n"),
        "{status}"
    );
    let half = here.succeed(&["sweep", "collect", "sweep.toml"]);
    assert!(half.contains("(n = 1 of 2)") && half.contains("2 of 4 jobs are done"), "{half}");
    let out = here.succeed(&["sweep", "run", "sweep.toml", "--jobs", "2", "--threads", "3"]);
    assert_eq!(ids_with(&out, "] begins").len(), 2);
    assert!(out.ends_with("2 jobs trained, 2 were done; everything is in out\n"), "{out}");
    let again = here.succeed(&["sweep", "run", "sweep.toml"]);
    assert_eq!(again, "0 jobs trained, 4 were done; everything is in out\n");

    // A job is the run that its configuration is.
    let config = format!("out/{}/config.toml", jobs[3].0);
    here.succeed(&["train", &config, "--out", "alone"]);
    assert_same_run(&here, "alone", &format!("out/{}", jobs[3].0));

    // The figures are those of the results.
    let printed = here.succeed(&["sweep", "collect", "sweep.toml"]);
    assert!(printed.starts_with(text(&here.read("out/table.md")).trim_end()), "{printed}");
    let value: Value = serde_json::from_slice(&here.read("out/table.json")).unwrap();
    let row = &value["tables"][0]["rows"][0];
    assert_eq!(row["labels"], serde_json::json!(["classifier"]));
    for (column, pair) in jobs.chunks(2).enumerate() {
        let of = |(id, _): &(String, String)| -> Value {
            serde_json::from_slice(&here.read(&format!("out/{id}/result.json"))).unwrap()
        };
        let [a, b] = [of(&pair[0]), of(&pair[1])].map(|result| result["test_accuracy"].as_f64().unwrap());
        let cell = &row["cells"][column];
        // Of two values the standard error is half their distance.
        assert!((cell["mean"].as_f64().unwrap() - (a + b) / 2.0).abs() < 1e-15);
        assert!((cell["standard_error"].as_f64().unwrap() - (a - b).abs() / 2.0).abs() < 1e-15);
        assert_eq!((&cell["n"], &cell["planned"]), (&2.into(), &2.into()));
    }
    let names: Vec<&str> =
        value["tables"].as_array().unwrap().iter().map(|table| table["figure"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(text(&here.read("out/table.csv")).lines().count(), 1 + 4 * (3 + 3));

    // A shard has a table of its own; a result that cannot be read is missing, and no reason to lose the others.
    let whole = here.read("out/table.md");
    let shard = here.succeed(&["sweep", "collect", "sweep.toml", "--shard", "2/2"]);
    assert!(shard.contains("2 of 2 jobs are done") && shard.contains("out/table-2-of-2.md"), "{shard}");
    assert_eq!(here.read("out/table.md"), whole);
    let result = here.join(&format!("out/{}/result.json", jobs[1].0));
    let kept = fs::read(&result).unwrap();
    fs::write(&result, "").unwrap();
    let mut share: Value = serde_json::from_slice(&kept).unwrap();
    share["test_commonest_class_share"] = 0.99.into();
    let mut domain = share.clone();
    domain["test_domain"] = "30".into();
    domain.as_object_mut().unwrap().remove("result_sha256");
    let of_another = here.read(&format!("out/{}/result.json", jobs[0].0));
    for (damage, why) in [
        (Vec::new(), "it is not the result of a run"),
        (share.to_string().into_bytes(), "it is not as it was written"),
        (domain.to_string().into_bytes(), "test_domain is not that of config.toml"),
        (of_another, "checkpoint_sha256 is not the state_sha256 of its last epoch"),
    ] {
        fs::write(&result, damage).unwrap();
        let output = here.run(&["sweep", "collect", "sweep.toml"]);
        let named = format!("1 of 4 jobs are unusable: {} ({})", jobs[1].0, jobs[1].1);
        refused(&without_output(&output), 1, &[&named, why]);
        let (said, missing) = (text(&output.stdout), format!("\n* `{}` {}: ", jobs[1].0, jobs[1].1));
        assert!(said.contains("3 of 4 jobs are done") && said.contains(&missing), "{said}");
        assert!(said.starts_with(text(&here.read("out/table.md")).trim_end()), "{said}");
        // One check for all that repeat a figure.
        let output = here.run(&["sweep", "status", "sweep.toml"]);
        refused(&without_output(&output), 1, &[&named, why]);
        let said = text(&output.stdout);
        assert!(said.contains("  unusable: ") && said.ends_with("3 of 4 jobs are done\n"), "{said}");
        refused(&without_output(&here.run(&["sweep", "run", "sweep.toml"])), 1, &[why]);
    }
    fs::write(&result, kept).unwrap();

    // More seeds are more jobs of the same sweep; other epochs are another sweep.
    write_sweep(&here, "out", "train.epochs = 2\n[grid]\nseed = [0, 2]\ndata.test_domain = [75, 0]\n");
    here.refuse(
        &["sweep", "run", "sweep.toml"],
        2,
        &["belongs to another sweep, which has the job data.test_domain=75, seed=1"],
    );
    write_sweep(&here, "out", "train.epochs = 3\n[grid]\ndata.test_domain = [75, 0]\nseed = [0, 1]\n");
    for command in ["plan", "run", "status", "collect"] {
        let parts = [
            "cannot use the folder out for the sweep sweep.toml",
            "has train.epochs = 2, not train.epochs = 3",
        ];
        here.refuse(&["sweep", command, "sweep.toml"], 2, &parts);
    }
    write_sweep(&here, "out", "train.epochs = 2\n[grid]\nseed = [0, 2, 1]\ndata.test_domain = [75, 0]\n");
    let grown = plan(&here, &[]);
    assert_eq!(grown.len(), 6);
    assert!(jobs.iter().all(|(id, _)| grown.iter().any(|(other, _)| other == id)));
    let out = here.succeed(&["sweep", "run", "sweep.toml"]);
    assert!(out.ends_with("2 jobs trained, 4 were done; everything is in out\n"), "{out}");
}

#[test]
fn files_that_are_no_sweeps() {
    let here = Folder::new();
    for (more, part) in [
        ("[grid]\ntrain.epcohs = [1]", "unknown key train.epcohs; did you mean train.epochs?"),
        ("trian.epochs = 1\n[grid]\nseed = [1]", "unknown key trian.epochs; did you mean train.epochs?"),
        ("[grid]", "[grid] is empty"),
        ("[grid]\nseed = []", "[grid] seed = [] is not usable"),
        ("", "nothing is varied"),
        ("[grid]\nseed = [1", "is not TOML"),
    ] {
        write_sweep(&here, "out", more);
        for command in ["plan", "run", "status", "collect"] {
            here.refuse(&["sweep", command, "sweep.toml"], 2, &["cannot use the sweep sweep.toml: ", part]);
        }
    }
    here.refuse(&["sweep", "plan", "missing.toml"], 2, &["cannot read missing.toml: "]);
    write_sweep(&here, "sweep.toml", "[grid]\nseed = [1]");
    here.refuse(&["sweep", "run", "sweep.toml"], 2, &["sweep.toml"]);
    write_sweep(&here, "out", "[grid]\nseed = [1]");
    here.refuse(&["sweep", "plan", "sweep.toml", "--shard", "3/2"], 2, &["--shard", "3/2", "K/N"]);
    here.refuse(&["sweep", "run", "sweep.toml", "--jobs", "0"], 2, &["--jobs", "0"]);
    assert_eq!(here.names("."), ["sweep.toml"]);
}

#[test]
fn a_job_that_fails_stops_no_other() {
    let here = Folder::new();
    // The data hold 100 digits of each class.
    write_sweep(&here, "out", "train.epochs = 1\n[grid]\ndata.per_class = [1000, 2]\n");
    // The grid has the word.
    let sweep = text(&here.read("sweep.toml")).replace("data.per_class = 4\n", "");
    fs::write(here.join("sweep.toml"), sweep).unwrap();
    let jobs = plan(&here, &[]);
    let output = here.run(&["sweep", "run", "sweep.toml"]);
    let failed = format!("1 of 2 jobs failed: {} (data.per_class=1000)", jobs[0].0);
    refused(&without_output(&output), 1, &[&failed, "cannot draw 1000 digits of class 0"]);
    assert_eq!(ids_with(&text(&output.stdout), "] done"), [jobs[1].0.clone()]);
    let status = here.succeed(&["sweep", "status", "sweep.toml"]);
    assert!(status.contains("data.per_class=1000  failed: cannot draw 1000 digits"), "{status}");
    let table = here.succeed(&["sweep", "collect", "sweep.toml"]);
    assert!(table.contains("| 1000 | - (n = 0 of 1) |") && table.contains(&jobs[0].0), "{table}");
}

/// Five epochs of twenty steps, so that processes meet, and signals come, in the middle of jobs.
const MEETING: &str = "train.epochs = 5\n[grid]\nmodel.kind = [\"classifier\", \"vae\"]\nseed = [0, 1, 2]\n";

fn meeting(here: &Folder, out: &str) {
    let base = BASE.replace("model.kind = \"classifier\"\n", "").replace("batch = 20", "batch = 4");
    fs::write(here.join("sweep.toml"), format!("out = \"{out}\"\n{base}{MEETING}")).unwrap();
}

#[test]
fn two_processes_never_do_the_same_job() {
    let here = Folder::new();
    meeting(&here, "out");
    let start = || {
        let mut command = here.diva(&["sweep", "run", "sweep.toml", "--threads", "1"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| success(&child.wait_with_output().unwrap()));
    let mut jobs: Vec<String> = plan(&here, &[]).into_iter().map(|(id, _)| id).collect();
    jobs.sort();
    for what in ["] begins", "] done, epoch"] {
        let mut ids = [ids_with(&both[0], what), ids_with(&both[1], what)].concat();
        ids.sort();
        assert_eq!(ids, jobs, "{what}: {both:?}");
    }
    assert!(both.iter().all(|out| !ids_with(out, "] begins").is_empty()), "one did everything: {both:?}");
    assert!(here.succeed(&["sweep", "status", "sweep.toml"]).ends_with("6 of 6 jobs are done\n"));
}

/// Waits until `ready`.
fn wait_for(ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(120), "a tiny sweep takes longer than two minutes");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_interrupted_sweep_goes_on_to_the_same_results() {
    let here = Folder::new();
    meeting(&here, "whole");
    here.succeed(&["sweep", "run", "sweep.toml"]);
    meeting(&here, "out");
    let jobs = plan(&here, &[]);
    let epochs = |id: &str| {
        fs::read_to_string(here.join(&format!("out/{id}/metrics.jsonl")))
            .map_or(0, |lines| lines.lines().count())
    };
    let (mut interrupted, mut goes_on) = (0, 0);
    let status = || here.succeed(&["sweep", "status", "sweep.toml"]);
    let rounds = [(0, "-INT", Some(130)), (2, "-TERM", Some(143)), (3, "-KILL", None)];
    for (job, signal, code) in rounds {
        let mut command = here.diva(&["sweep", "run", "sweep.toml", "--jobs", ["1", "2"][job / 2 % 2]]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(|| epochs(&jobs[job].0) >= 1);
        wait_for(|| status().contains(" of 5, being worked on\n"));
        Command::new("kill").args([signal, &child.id().to_string()]).output().unwrap();
        let output = child.wait_with_output().unwrap();
        goes_on += text(&output.stdout).matches("] goes on after epoch ").count();
        assert_eq!(output.status.code(), code);
        if let Some(code) = code {
            refused(&without_output(&output), code, &["everything is saved"]);
        }
        // A signal may come between two jobs.
        let is_interrupted = |line: &&str| line.contains("  epoch ") && line.ends_with(" of 5");
        interrupted += status().lines().filter(is_interrupted).count();
    }
    let out = here.succeed(&["sweep", "run", "sweep.toml", "--jobs", "3"]);
    goes_on += out.matches("] goes on after epoch ").count();
    assert!(interrupted > 0 && goes_on > 0, "no job was interrupted in its course");
    for (id, _) in &jobs {
        assert_same_run(&here, &format!("whole/{id}"), &format!("out/{id}"));
    }
    here.succeed(&["sweep", "collect", "sweep.toml"]);
    meeting(&here, "whole");
    here.succeed(&["sweep", "collect", "sweep.toml"]);
    for name in ["table.md", "table.csv", "table.json"] {
        assert_eq!(here.read(&format!("whole/{name}")), here.read(&format!("out/{name}")));
    }
}

#[test]
fn a_full_disk_keeps_the_last_table() {
    let here = Folder::new();
    let Some(_disk) = SmallDisk::mount(&here, 16 * 1024) else { return };
    write_sweep(&here, "disk/out", "train.epochs = 1\n[grid]\nseed = [0, 1]\n");
    here.succeed(&["sweep", "run", "sweep.toml"]);
    here.succeed(&["sweep", "collect", "sweep.toml"]);
    let tables = || ["md", "csv", "json"].map(|ending| here.read(&format!("disk/out/table.{ending}")));
    let before = tables();
    let id = &plan(&here, &[])[1].0;
    fs::remove_file(here.join(&format!("disk/out/{id}/result.json"))).unwrap();
    // What is written is lost where there is no room, and the room there is, is taken.
    let _ = fs::write(here.join("disk/ballast"), vec![1; 16 << 20]);
    here.refuse(
        &["sweep", "collect", "sweep.toml"],
        1,
        &["cannot write disk/out/table.json: ", "No space left"],
    );
    assert_eq!(tables(), before);
    assert!(!here.names("disk/out").iter().any(|name| name.ends_with(".part")));
    fs::remove_file(here.join("disk/ballast")).unwrap();
    let after = here.succeed(&["sweep", "collect", "sweep.toml"]);
    assert!(after.contains("1 of 2 jobs are done") && tables() != before, "{after}");
}

/// What the configuration of a job says is what its line of the plan says.
#[test]
fn arms_change_several_keys_at_once() {
    let here = Folder::new();
    let arms = "[[arms]]\nname = \"alone\"\n[[arms]]\nname = \"+1\"\ndata.unlabelled.subsets = 1\ntrain.alpha_y = 7000\n";
    write_sweep(&here, "out", &format!("train.epochs = 1\n{arms}[grid]\nseed = [5]\n"));
    let sweep = text(&here.read("sweep.toml")).replace("\"classifier\"", "\"vae\"");
    fs::write(here.join("sweep.toml"), sweep).unwrap();
    let jobs = plan(&here, &[]);
    assert_eq!(
        jobs.iter().map(|(_, name)| &**name).collect::<Vec<_>>(),
        ["arm=alone, seed=5", "arm=+1, seed=5"]
    );
    here.succeed(&["sweep", "run", "sweep.toml"]);
    let settings = jobs.iter().map(|(id, _)| {
        let config = text(&here.read(&format!("out/{id}/config.toml")));
        let config = Config::resolve(Some(("config.toml", &config)), None, &[], None).unwrap();
        (config.data.unlabelled.subsets, config.train.alpha_y, config.seed)
    });
    assert_eq!(settings.collect::<Vec<_>>(), [(0, 3500.0, 5), (1, 7000.0, 5)]);
    let table = here.succeed(&["sweep", "collect", "sweep.toml"]);
    assert!(
        table.contains("| arm | test 75 | average | source |\n") && table.contains("\n| +1 | "),
        "{table}"
    );
}

/// Of the jobs over a folder of pictures everything that decides their results stands in the file.
#[test]
fn a_sweep_over_pictures_names_their_domains_and_classes() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    let unlabelled = here.join("data/D/unlabelled");
    fs::create_dir_all(&unlabelled).unwrap();
    for picture in fs::read_dir(here.join("data/B/blue")).unwrap() {
        let picture = picture.unwrap();
        fs::copy(picture.path(), unlabelled.join(picture.file_name())).unwrap();
    }
    let write = |more: &str| {
        let text = format!(
            "preset = \"quick-cells\"\nout = \"out\"\ndata.source = \"folders\"\ndata.path = \"data\"\n\
             data.test_domain = \"C\"\nmodel.kind = \"dann\"\nmodel.image_size = 16\nmodel.width = 0.0625\n\
             train.batch = 6\ntrain.epochs = 1\n{more}[grid]\nseed = [0]\n"
        );
        fs::write(here.join("sweep.toml"), text).unwrap();
    };
    let domains = "data.domains = [\"A\", \"B\", \"C\"]\n";
    for (lists, found) in [
        ("data.domains = []\ndata.classes = []\n".to_owned(), "data.domains = [] and data.classes = []"),
        (
            format!("{domains}data.classes = []\n"),
            "data.domains = [\"A\", \"B\", \"C\"] and data.classes = []",
        ),
    ] {
        write(&lists);
        let sentence = format!("{found} are not usable in a sweep; both are to be written out");
        for command in ["plan", "run", "status", "collect"] {
            here.refuse(
                &["sweep", command, "sweep.toml"],
                2,
                &["cannot use the sweep sweep.toml: ", &sentence],
            );
        }
    }
    // What only the folder tells: that no class is known of a domain.
    let classes = "data.classes = [\"blue\", \"red cells\"]\n";
    write(&format!("data.domains = [\"A\", \"B\", \"C\", \"D\"]\n{classes}"));
    let output = here.run(&["sweep", "run", "sweep.toml"]);
    refused(&without_output(&output), 2, &["is to be written out here: data.unlabelled.domains = [\"D\"]"]);

    write(&format!("{domains}{classes}"));
    fs::remove_dir_all(here.join("out")).unwrap();
    here.succeed(&["sweep", "run", "sweep.toml"]);
    let again = here.succeed(&["sweep", "run", "sweep.toml"]);
    assert_eq!(again, "0 jobs trained, 1 were done; everything is in out\n");
}
