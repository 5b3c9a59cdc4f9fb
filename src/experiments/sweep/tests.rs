//! Files that are sweeps, files that are none, and folders that belong to others.

use super::folder::JobState;
use super::*;
use crate::store::lock::Lock;
use crate::store::scratch::{Scratch, names_in};
use crate::train::metrics::{RunResult, SelectedEpoch};
use std::fs;

fn parse(text: &str) -> Result<Sweep> {
    Sweep::parse(Path::new("files/angles.toml"), text)
}

/// The sweep of a text, in a folder of its own.
fn in_folder(scratch: &Scratch, text: &str) -> Sweep {
    Sweep { folder: scratch.join("sweep"), ..parse(text).unwrap() }
}

const SMALL: &str =
    "preset = \"quick\"\ntrain.epochs = 3\n[grid]\nseed = [0, 1]\nmodel.kind = [\"diva\", \"dann\"]\n";

/// The ids were computed with another program's SHA-256 over the keys and values as one reads them in the preset.
#[test]
fn ids_are_hashes_of_what_decides_the_result() {
    let sweep = parse("preset = \"quick\"\n[grid]\nmodel.kind = [\"diva\", \"dann\"]").unwrap();
    let ids: Vec<&str> = sweep.jobs.iter().map(|job| &*job.id).collect();
    assert_eq!(ids, ["0c75f7cf60c7", "db22d391bc8b"]);
    // What decides nothing, and how a value came about, changes nothing.
    let same = parse(
        "preset = \"rotated-mnist\"\ndata.source = \"embedded\"\nmodel.decoder_width = 0.125
        [train]\nwarmup = 5\ncheckpoint_seconds = 1\n[grid]\nmodel.kind = [\"dann\", \"diva\"]\ntrain.epochs = [10]",
    );
    let again: Vec<String> = same.unwrap().jobs.into_iter().map(|job| job.id).collect();
    assert_eq!(again, ["db22d391bc8b", "0c75f7cf60c7"]);
    let longer = parse("preset = \"quick\"\ntrain.epochs = 11\n[grid]\nmodel.kind = [\"diva\"]").unwrap();
    assert_ne!(longer.jobs[0].id, ids[0]);
}

#[test]
fn jobs_are_the_product_in_the_order_of_the_file() {
    let sweep = parse(
        "preset = \"quick\"\n[grid]\nseed = [3, 1]\nmodel.kind = [\"vae\", \"diva\"]\ndata.test_domain = [75, 0]",
    )
    .unwrap();
    let names: Vec<&str> = sweep.jobs.iter().map(|job| &*job.name).collect();
    assert_eq!(
        names,
        [
            "seed=3, model.kind=vae, data.test_domain=75",
            "seed=3, model.kind=vae, data.test_domain=0",
            "seed=3, model.kind=diva, data.test_domain=75",
            "seed=3, model.kind=diva, data.test_domain=0",
            "seed=1, model.kind=vae, data.test_domain=75",
            "seed=1, model.kind=vae, data.test_domain=0",
            "seed=1, model.kind=diva, data.test_domain=75",
            "seed=1, model.kind=diva, data.test_domain=0",
        ]
    );
    assert_eq!(
        (&sweep.labels[..], &sweep.jobs[2].labels[..]),
        (&["model.kind".into()][..], &["diva".into()][..])
    );
    let job = &sweep.jobs[5];
    assert_eq!((job.number, job.config.seed, job.config.data.test_domain.to_string()), (6, 1, "0".into()));
    assert_eq!(sweep.folder, Path::new("sweeps/angles"));
    // Keys in tables, and lists of lists and of tables.
    let sweep = parse(
        "preset = \"quick\"\nout = \"there\"\n[grid.train]\nepochs = [2]\n[grid.data]
        unlabelled = [{subsets = 0}, {domains = [15, 30]}]\ndomains = [[0, 15, 30, 75]]",
    );
    let jobs = sweep.unwrap().jobs;
    let expected = "train.epochs=2, data.unlabelled={ domains = [15, 30] }, data.domains=[0, 15, 30, 75]";
    assert_eq!((jobs.len(), &*jobs[1].name), (2, expected));
    assert_eq!((jobs[1].config.data.unlabelled.domains.len(), jobs[1].config.data.domains.len()), (2, 4));
}

#[test]
fn arms_multiply_the_grid() {
    let sweep = parse(
        "preset = \"quick\"\ntrain.alpha_y = 1.0\ndata.per_class = 50\n[grid]\nseed = [0, 1]
        [[arms]]\nname = \"supervised\"\n[[arms]]\nname = \"+3\"\ndata.unlabelled.subsets = 3\ntrain.alpha_y = 14000",
    )
    .unwrap();
    let found: Vec<_> = (sweep.jobs.iter())
        .map(|job| {
            (&*job.name, job.config.data.unlabelled.subsets, job.config.train.alpha_y, job.config.seed)
        })
        .collect();
    let expected = [
        ("arm=supervised, seed=0", 0, 1.0, 0),
        ("arm=supervised, seed=1", 0, 1.0, 1),
        ("arm=+3, seed=0", 3, 14_000.0, 0),
        ("arm=+3, seed=1", 3, 14_000.0, 1),
    ];
    assert_eq!(found, expected);
    assert_eq!((&sweep.labels[..], &sweep.jobs[3].labels[..]), (&["arm".into()][..], &["+3".into()][..]));
    // Arms need no grid.
    let alone =
        parse("preset = \"quick\"\n[[arms]]\nname = \"a\"\n[[arms]]\nname = \"b\"\nmodel.kind = \"vae\"");
    assert_eq!(alone.unwrap().jobs.len(), 2);
}

#[test]
fn files_that_are_no_sweeps_are_refused_in_one_sentence() {
    let cases = [
        ("[grid\n", "line 1 is not TOML"),
        ("seed = 1", "nothing is varied"),
        ("[grid]", "[grid] is empty"),
        ("[grid.model]", "[grid] model = {} is not usable; it takes a list"),
        ("[grid]\nseed = []", "[grid] seed = [] is not usable; it takes a list of at least one value"),
        ("[grid]\nseed = 1", "[grid] seed = 1 is not usable; it takes a list of at least one value"),
        ("[grid]\nseed = [0, 1, 0]", "[grid] names seed = 0 twice"),
        ("grid = 3", "grid = 3 is not usable"),
        (
            "[grid]\ntrain.epcohs = [1]",
            "unknown key train.epcohs; did you mean train.epochs? (job train.epcohs=1)",
        ),
        ("train.epcohs = 1\n[grid]\nseed = [0]", "unknown key train.epcohs; did you mean train.epochs?"),
        ("[set]\ntrain.epochs = 1\n[grid]\nseed = [0]", "unknown key set.train.epochs"),
        (
            "[grid]\nseed = [0]\ntrain.epochs = [5, 0]",
            "train.epochs = 0 is not usable; it takes a whole number",
        ),
        ("[grid]\nmodel.kind = [\"diva\", \"divva\"]", "model.kind = \"divva\" is not usable"),
        ("seed = 1\n[grid]\nseed = [0]", "seed stands both in [grid] and outside of it"),
        ("[grid]\npreset = [\"quick\"]", "preset is not usable in [grid] or [[arms]]"),
        ("[grid]\ntrain.alpha_y = [1, 1.0]", "train.alpha_y=1 and train.alpha_y=1.0 are the same"),
        ("out = 3\n[grid]\nseed = [0]", "out = 3 is not usable; it takes a folder"),
        ("arms = 3", "each arm is a table [[arms]]"),
        ("[[arms]]\nseed = 1", "an arm has no name"),
        ("[[arms]]\nname = \"\"", "the name \"\" of an arm is not usable"),
        ("[[arms]]\nname = \"a\"\n[[arms]]\nname = \"a\"", "two arms have the name \"a\""),
        ("[[arms]]\nname = \"a\\u202Eb\"", "of an arm is not usable; it takes a line of text without unseen"),
        ("[[arms]]\nname = \"a\\u200B\"", "of an arm is not usable; it takes a line of text without unseen"),
        (
            "[[arms]]\nname = \"a\"\nseed = 1\n[grid]\nseed = [0]",
            "seed stands both in [grid] and in the arm \"a\"",
        ),
        ("[[arms]]\nname = \"a\"\n[[arms]]\nname = \"b\"", "the jobs arm=a and arm=b are the same"),
        (
            "data.source = \"folders\"\ndata.path = \"cells\"\ndata.domains = []\ndata.test_domain = \"A\"\n[grid]\nseed = [0]",
            "data.domains = [] and data.classes = [] are not usable in a sweep; both are to be written out",
        ),
        (
            "data.source = \"folders\"\ndata.path = \"cells\"\ndata.test_domain = \"A\"\n[grid]\n\
             data.domains = [[\"A\", \"B\"], []]",
            "data.domains = [\"A\", \"B\"] and data.classes = [] are not usable in a sweep",
        ),
    ];
    for (text, expected) in cases {
        let preset = if text.contains("preset") { "" } else { "preset = \"quick\"\n" };
        let error = parse(&format!("{preset}{text}")).unwrap_err();
        let message = error.to_string();
        assert_eq!(error.exit_code(), 2, "{message}");
        let expected = expected.replace("line 1", "line 2");
        assert!(message.starts_with("cannot use the sweep files/angles.toml: "), "{message}");
        assert!(message.contains(&expected) && !message.contains('\n'), "{message:?}: {expected:?}");
    }
    let many = |key: &str| format!("{key} = {:?}\n", (1..=101).collect::<Vec<u32>>());
    let text = format!("[grid]\n{}{}", many("seed"), many("train.epochs"));
    assert!(parse(&text).unwrap_err().to_string().contains("more than 10000 jobs"));
    // The published setting needs data.
    assert!(parse("[grid]\nseed = [0]").unwrap_err().to_string().contains("data.path"));
}

/// A wish has an effect if it has one on some of the jobs that it is for: all, or those of its arm.
#[test]
fn what_no_job_reads_is_refused() {
    let quick = |text: &str| parse(&format!("preset = \"quick\"\n{text}"));
    let kinds = "[grid]\nmodel.kind = [\"classifier\", \"dann\", \"vae\"]\n";
    for read in [
        &format!("train.alpha_d = 1\ntrain.reversal = 0.5\nmodel.latent = 8\n{kinds}"),
        &format!("{kinds}train.warmup = [1, 2]"),
        "train.reversal = 0.5\n[[arms]]\nname = \"a\"\n[[arms]]\nname = \"b\"\nmodel.kind = \"dann\"",
        "[[arms]]\nname = \"a\"\ntrain.reversal = 0.5\nmodel.kind = \"dann\"\n[[arms]]\nname = \"b\"",
        "[[arms]]\nname = \"a\"\ntrain.alpha_d = 5\ntrain.reversal = 0.5\n[grid]\nmodel.kind = [\"diva\", \"dann\"]",
        // As the preset has it.
        "data.per_domain = 200\n[grid]\nseed = [0]",
    ] {
        quick(read).unwrap_or_else(|error| panic!("{read}: {error}"));
    }
    for (unread, sentence) in [
        (
            "data.path = \"x\"\n[grid]\nseed = [0, 1]",
            "data.path = \"x\" has no effect with data.source = \"embedded\"; it is read with data.source = \"idx\", \
             \"folders\", \"list\" or \"malaria\" (job seed=0)",
        ),
        (
            &format!("data.per_domain = 3\n{kinds}"),
            "data.per_domain = 3 has no effect with data.source = \"embedded\"; it is read with data.source = \
             \"synthetic-cells\" (job model.kind=classifier)",
        ),
        (
            "[grid]\nmodel.kind = [\"classifier\", \"dann\"]\nmodel.latent = [8, 16]",
            "model.latent = 8 has no effect with model.kind = \"classifier\"; it is read with model.kind = \"diva\", \
             \"diva-no-zd\", \"diva-no-zx\" or \"vae\" (job model.kind=classifier, model.latent=8)",
        ),
        // Another arm reads its own.
        (
            "[[arms]]\nname = \"a\"\ntrain.reversal = 0.5\n[[arms]]\nname = \"b\"\nmodel.kind = \"dann\"\n\
             train.reversal = 0.25",
            "train.reversal = 0.5 has no effect with model.kind = \"diva\"; it is read with model.kind = \"dann\" (job arm=a)",
        ),
    ] {
        let error = quick(unread).unwrap_err();
        let expected = format!("cannot use the sweep files/angles.toml: {sentence}");
        assert_eq!((error.exit_code(), error.to_string()), (2, expected));
    }
    // The file of a run becomes a sweep by adding a grid.
    let mut run = Config::resolve(None, Some("quick"), &["model.kind=classifier".into()], None).unwrap();
    run.data.path = Some("of an earlier version".into());
    let base = run.to_toml().replace("seed = 0\n", "");
    assert_eq!(parse(&format!("{base}[grid]\nseed = [0, 1]")).unwrap().jobs.len(), 2);
}

#[test]
fn shards_are_a_partition() {
    let sweep = parse("preset = \"quick\"\n[grid]\nseed = [0, 1, 2, 3, 4, 5, 6]").unwrap();
    for count in 1..=9 {
        let mut numbers = Vec::new();
        for index in 1..=count {
            let shard: Shard = format!("{index}/{count}").parse().unwrap();
            let jobs = sweep.shard(shard);
            assert!(jobs.len() >= 7 / count && jobs.len() <= 7_usize.div_ceil(count));
            numbers.extend(jobs.iter().map(|job| job.number));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7], "{count} shards");
    }
    assert_eq!(sweep.shard("2/3".parse().unwrap()).iter().map(|job| job.number).collect::<Vec<_>>(), [2, 5]);
    for wrong in ["0/3", "4/3", "1", "1/0", "a/b", "1/2/3", "-1/2", ""] {
        assert!(wrong.parse::<Shard>().unwrap_err().contains("K/N"), "{wrong}");
    }
}

#[test]
fn a_folder_belongs_to_one_sweep_which_may_grow() {
    let scratch = Scratch::new();
    let sweep = in_folder(&scratch, SMALL);
    sweep.check_folder().unwrap();
    sweep.claim_folder().unwrap();
    let record = fs::read(sweep.folder.join("sweep.toml")).unwrap();
    // A process was killed while it wrote a table.
    fs::write(sweep.folder.join("table.md.0123456789abcdef.part"), "").unwrap();
    sweep.claim_folder().unwrap();
    assert_eq!(names_in(&sweep.folder), ["sweep.toml"]);
    assert_eq!(fs::read(sweep.folder.join("sweep.toml")).unwrap(), record);

    let another = |text: &str| in_folder(&scratch, text).check_folder().unwrap_err();
    for (text, expected) in [
        (
            SMALL.replace("epochs = 3", "epochs = 4"),
            "whose job seed=0, model.kind=diva has train.epochs = 3, not train.epochs = 4",
        ),
        (SMALL.replace("[0, 1]", "[0]"), "which has the job seed=1, model.kind=diva that this one has not"),
        (
            SMALL.replace("[grid]", "model.latent = 32\n[grid]"),
            "has model.latent = 64, not model.latent = 32",
        ),
    ] {
        let error = another(&text);
        let message = error.to_string();
        assert_eq!(error.exit_code(), 2);
        assert!(message.contains("belongs to another sweep") && message.contains(expected), "{message}");
        assert!(in_folder(&scratch, &text).claim_folder().is_err());
    }
    assert_eq!(fs::read(sweep.folder.join("sweep.toml")).unwrap(), record);

    let grown = in_folder(&scratch, &SMALL.replace("[0, 1]", "[2, 0, 1]"));
    grown.check_folder().unwrap();
    grown.claim_folder().unwrap();
    let message = sweep.check_folder().unwrap_err().to_string();
    assert!(message.contains("the job seed=2, model.kind=diva that this one has not"), "{message}");

    // Such as a sweep's own file, whose folder is the one that it is in.
    for other in ["jobs = 3", SMALL, ""] {
        fs::write(sweep.folder.join("sweep.toml"), other).unwrap();
        let message = sweep.claim_folder().unwrap_err().to_string();
        assert!(message.contains("its sweep.toml is not the record of a sweep"), "{message}");
        assert_eq!(fs::read_to_string(sweep.folder.join("sweep.toml")).unwrap(), other);
    }
    fs::remove_file(sweep.folder.join("sweep.toml")).unwrap();
    fs::write(sweep.folder.join("config.toml"), "").unwrap();
    assert!(sweep.check_folder().unwrap_err().to_string().contains("it holds a run of its own"));
}

/// A result with this accuracy on the unseen domain.
fn result(config: &Config, test_accuracy: f64) -> RunResult {
    RunResult {
        preset: config.preset.clone(),
        seed: config.seed,
        test_domain: config.data.test_domain.to_string(),
        epochs: config.train.epochs,
        ended_by: "epochs".into(),
        test_accuracy,
        test_commonest_class_share: None,
        disjoint_test_commonest_class_share: None,
        test_scores: None,
        answer: None,
        operating_point: None,
        unlike: None,
        selected: SelectedEpoch {
            epoch: 1,
            train_accuracy: 0.9,
            ce_y: 0.1,
            domain_accuracy: BTreeMap::new(),
            test_accuracy,
            validation_accuracy: None,
            disjoint_test_accuracy: None,
        },
        parameters: 1,
        checkpoint_sha256: String::new(),
        configuration_sha256: None,
        best_sha256: None,
        unlike_sha256: None,
        predictions_sha256: None,
        division_sha256: None,
        result_sha256: None,
    }
}

#[test]
fn the_state_of_a_job_is_that_of_its_folder() {
    let scratch = Scratch::new();
    let sweep = in_folder(&scratch, SMALL);
    sweep.claim_folder().unwrap();
    let job = &sweep.jobs[3];
    let run = sweep.run_folder(job);
    assert_eq!(run.path(), sweep.folder.join(&job.id));
    assert_eq!(sweep.state(job), Ok(JobState::NotStarted));
    fs::create_dir(run.path()).unwrap();
    fs::write(run.config(), job.config.to_toml()).unwrap();
    assert_eq!(sweep.state(job), Ok(JobState::NotStarted));
    fs::write(run.checkpoint(), "").unwrap();
    assert_eq!(sweep.state(job), Ok(JobState::Interrupted { epochs: 0 }));
    fs::write(run.metrics(), "{}\n{}\n{").unwrap();
    assert_eq!(sweep.state(job), Ok(JobState::Interrupted { epochs: 2 }));
    sweep.note_failure(job, &Error::work("no luck"));
    assert_eq!(sweep.state(job), Ok(JobState::Failed("no luck".into())));
    let lock = Lock::take(run.path()).unwrap();
    assert_eq!(sweep.state(job), Ok(JobState::WorkedOn { epochs: 2 }));
    drop(lock);
    sweep.forget_failure(job);
    assert_eq!(sweep.state(job), Ok(JobState::Interrupted { epochs: 2 }));
    // Whether a result is that of its checkpoint, tests/cli/sealed.rs asks of whole runs.
    fs::remove_file(run.checkpoint()).unwrap();
    let result = result(&job.config, 0.5);
    fs::write(run.result(), serde_json::to_string(&result).unwrap()).unwrap();
    assert!(sweep.state(job).unwrap_err().to_string().contains("metrics.jsonl: line 1 is not the metrics"));
    let line = |epoch: usize| {
        format!(
            r#"{{"epoch":{epoch},"beta":1.0,"loss":2.0,"ce_y":0.1,"train_accuracy":0.9,"domain_accuracy":{{}},"test_accuracy":0.5,"state_sha256":"","train_seconds":1.5,"evaluate_seconds":0.5,"images_per_second":100.0}}"#
        ) + "\n"
    };
    fs::write(run.metrics(), [1, 2, 3, 4].map(line).concat()).unwrap();
    let epochs = crate::train::metrics::parse_metrics(&[1, 2, 3].map(line).concat(), &run.metrics()).unwrap();
    assert_eq!(sweep.state(job), Ok(JobState::Done(Box::new(result.clone()), epochs)));
    // What its lines do not confirm is no result.
    let edited = RunResult { test_domain: "0".into(), ..result };
    fs::write(run.result(), serde_json::to_string(&edited).unwrap()).unwrap();
    assert!(sweep.state(job).unwrap_err().to_string().contains("test_domain is not that of config.toml"));
    fs::write(
        run.result(),
        serde_json::to_string(&RunResult { test_domain: "75".into(), ..edited }).unwrap(),
    )
    .unwrap();

    // Somebody went on with the job as a run of its own.
    fs::write(run.config(), job.config.to_toml().replace("epochs = 3", "epochs = 4")).unwrap();
    let message = sweep.state(job).unwrap_err().to_string();
    assert!(
        message.contains("another configuration: it has train.epochs = 4, the sweep train.epochs = 3"),
        "{message}"
    );
    fs::write(run.config(), job.config.to_toml()).unwrap();
    fs::write(run.result(), "{}").unwrap();
    assert!(sweep.state(job).unwrap_err().to_string().contains("it is not the result of a run"));
    assert_eq!(sweep.state(&sweep.jobs[0]), Ok(JobState::NotStarted));
}
