//! The pictures of a run: drawn before the run counts as done, again after an interruption, and always the same.

use crate::program::program;
use diva::autograd::{Engine, Params, Tape};
use diva::config::{Config, Source};
use diva::data::Dataset;
use diva::error::{Error, Result};
use diva::models::networks::PixelValue;
use diva::parallel;
use diva::report::generated::Kind;
use diva::report::html;
use diva::report::run_pictures::{self, ACCURACY, LOSS};
use diva::rng::Stream;
use diva::store::lock::{LOCK, Lock};
use diva::store::run_folder::RunFolder;
use diva::train::dataset;
use diva::train::metrics::EpochMetrics;
use diva::train::run::{self, Options, Outcome, Watcher};
use diva::train::saved_run::SavedRun;
use diva::train::trainer::{StepLoss, Trainer};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A run that ends within a second: 20 images, a narrow model of a kind.
fn config(kind: &str) -> Config {
    let narrow = [
        "data.domains=[0, 15, 75]",
        "data.per_class=1",
        "model.encoder_width=0.1",
        "model.decoder_width=0.05",
        "model.latent=4",
        "train.batch=5",
        "train.epochs=2",
    ];
    let kind = format!("model.kind={kind}");
    let overrides: Vec<String> = narrow.map(str::to_owned).into_iter().chain([kind]).collect();
    Config::resolve(None, Some("quick"), &overrides, None).unwrap()
}

/// Draws the pictures; then, if told to, fails as if the process ended there, or loses the folder before.
struct Artist {
    fails: bool,
    loses: bool,
    called: usize,
}

impl Watcher for Artist {
    fn seconds(&mut self) -> f64 {
        0.0
    }
    fn signal(&mut self) -> Option<i32> {
        None
    }
    fn files(&self) -> Vec<String> {
        run_pictures::files().collect()
    }

    fn started(&mut self, _: &Trainer, _: &RunFolder) {}
    fn notice(&mut self, _: &str) {}
    fn step(&mut self, _: &Trainer, _: &StepLoss, _: usize, _: usize) {}
    fn epoch(&mut self, _: &Trainer, _: &EpochMetrics, _: bool) {}
    fn trained(
        &mut self,
        trainer: &Trainer,
        folder: &RunFolder,
        lock: &Lock,
        selected: &Params,
    ) -> Result<()> {
        self.called += 1;
        assert!(!folder.result().exists(), "a run that is not finished has a result");
        if self.loses {
            fs::remove_file(folder.path().join(LOCK)).unwrap();
        }
        run_pictures::draw(trainer, folder, lock, selected)?;
        if self.fails { Err(Error::work("the process ended")) } else { Ok(()) }
    }
}

/// A folder that is removed when the test is done.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("diva-pictures-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The bytes of all pictures of a run, the generated ones first.
fn pictures(folder: &RunFolder) -> Vec<Vec<u8>> {
    let names: Vec<String> = run_pictures::files().collect();
    assert_eq!(names.len(), 8);
    names.into_iter().map(|name| fs::read(folder.path().join(name)).unwrap()).collect()
}

fn train(folder: &RunFolder, resume: bool, fails: bool) -> (Result<Outcome>, usize) {
    let mut artist = Artist { fails, loses: false, called: 0 };
    let outcome = run::train(config("diva"), folder, Options { resume, ..Options::default() }, &mut artist);
    (outcome, artist.called)
}

fn diva(arguments: &[&str], paths: &[&Path]) -> Output {
    program().args(arguments).args(paths).output().unwrap()
}

#[test]
fn a_run_is_done_when_its_pictures_are_there() {
    let scratch = Scratch::new("order");
    let folder = RunFolder::new(scratch.0.join("run"));
    let (outcome, _) = train(&folder, false, true);
    assert_eq!(outcome.unwrap_err(), Error::work("the process ended"));
    assert!(!folder.result().exists());
    let before = pictures(&folder);

    // What was lost is drawn again, from the selected parameters, and in the same bytes.
    fs::remove_file(folder.path().join(LOSS)).unwrap();
    fs::write(folder.path().join(ACCURACY), b"half a pic").unwrap();
    let (outcome, called) = train(&folder, true, false);
    assert!(matches!(outcome.unwrap(), Outcome::Done(..)) && called == 1);
    assert!(folder.result().exists());
    assert_eq!(pictures(&folder), before);

    // Nothing is drawn for a run that was finished before.
    let (outcome, called) = train(&folder, true, true);
    assert!(matches!(outcome.unwrap(), Outcome::AlreadyDone(_)) && called == 0);

    // Without a result alone, the run is resumed to be finished; metrics that cannot be read keep it from that.
    fs::remove_file(folder.result()).unwrap();
    let metrics = fs::read_to_string(folder.metrics()).unwrap();
    fs::write(folder.metrics(), metrics.replacen("{\"epoch\":2", "{\"epoch\":\"two\"", 1)).unwrap();
    let message = train(&folder, true, false).0.unwrap_err().to_string();
    assert!(message.contains("metrics.jsonl: line 2 is not the metrics of an epoch"), "{message}");
    assert!(!folder.result().exists());
    fs::write(folder.metrics(), metrics).unwrap();
    assert!(matches!(train(&folder, true, false).0.unwrap(), Outcome::Done(..)));
    assert_eq!(pictures(&folder), before);
}

/// They take a while to draw.
#[test]
fn no_picture_is_written_to_a_folder_that_was_taken_away_meanwhile() {
    let scratch = Scratch::new("taken");
    let folder = RunFolder::new(scratch.0.join("run"));
    let mut artist = Artist { fails: false, loses: true, called: 0 };
    let outcome = run::train(config("diva"), &folder, Options::default(), &mut artist);
    assert!(matches!(outcome, Err(Error::TakenAway(_))), "{outcome:?}");
    assert!(run_pictures::files().all(|name| !folder.path().join(name).exists()));
    assert!(!folder.result().exists());
    // It was only the lock.
    assert!(matches!(train(&folder, true, false).0.unwrap(), Outcome::Done(..)));
}

#[test]
fn pictures_are_a_function_of_the_configuration() {
    let scratch = Scratch::new("bytes");
    let [one, two] = [1, 2].map(|threads| {
        let folder = RunFolder::new(scratch.0.join(threads.to_string()));
        parallel::with_threads(threads, || train(&folder, false, false).0.map(|_| ()).unwrap());
        pictures(&folder)
    });
    assert_eq!(one, two);
}

#[test]
fn the_command_draws_what_the_training_drew() {
    let scratch = Scratch::new("command");
    let folder = RunFolder::new(scratch.0.join("run"));
    train(&folder, false, false).0.unwrap();
    let drawn = pictures(&folder);
    let run = folder.path().to_str().unwrap();

    let elsewhere = scratch.0.join("new").join("folder");
    for (kind, drawn) in Kind::ALL.into_iter().zip(&drawn) {
        let output = diva(&["generate", run, kind.name(), "--threads", "1", "--out"], &[&elsewhere]);
        assert!(output.status.success(), "{output:?}");
        let path = elsewhere.join(kind.file());
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("the {} are in {}\n", kind.name(), path.display()));
        assert!(fs::read(path).unwrap() == *drawn, "{}", kind.name());
    }

    for kind in Kind::ALL {
        fs::remove_file(folder.path().join(kind.file())).unwrap();
    }
    let output = diva(&["generate", run, "all"], &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 6);
    assert!(pictures(&folder) == drawn);
}

#[test]
fn the_pixels_that_are_asked_for_are_drawn() {
    let scratch = Scratch::new("pixels");
    let folder = RunFolder::new(scratch.0.join("run"));
    train(&folder, false, false).0.unwrap();
    let run = folder.path().to_str().unwrap();
    let drawn = |pixel: PixelValue, threads: &str| {
        let out = scratch.0.join(format!("{}-{threads}", pixel.name()));
        let output =
            diva(&["generate", run, "all", "--pixel", pixel.name(), "--threads", threads, "--out"], &[&out]);
        assert!(output.status.success(), "{output:?}");
        Kind::ALL.map(|kind| fs::read(out.join(kind.file())).unwrap())
    };
    let all = PixelValue::ALL.map(|pixel| drawn(pixel, "1"));
    // Nothing is said: the median.
    assert!(all[0][..] == pictures(&folder)[..6]);
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let different: BTreeSet<&Vec<u8>> = all.iter().map(|pictures| &pictures[number]).collect();
        assert_eq!(different.len(), 4, "{}", kind.name());
    }
    assert!(drawn(PixelValue::Sample, "2") == all[3]);

    let page = scratch.0.join("page.html");
    for (arguments, pictures, sentence) in [
        (&["report", run, "--out"][..], &all[0], "Each decoded pixel is the median of its distribution"),
        (&["report", run, "--pixel", "mode", "--out"], &all[2], "Each decoded pixel is the likeliest of 256"),
        (&["report", run, "--pixel", "sample", "--out"], &all[3], "Each decoded pixel is drawn at random"),
    ] {
        let output = diva(arguments, &[&page]);
        assert!(output.status.success(), "{output:?}");
        let page = fs::read_to_string(&page).unwrap();
        for (kind, picture) in Kind::ALL.into_iter().zip(pictures) {
            assert!(page.contains(&html::data_address(picture)), "{sentence}: {}", kind.name());
        }
        assert_eq!(page.matches(sentence).count(), 6);
        let beside = usize::from(!arguments.contains(&"mode"));
        assert_eq!(page.matches("The last row shows the likeliest level instead").count(), beside);
    }

    for command in [&["generate", run, "all"][..], &["report", run]] {
        let output = diva(&[command, &["--pixel", "average"]].concat(), &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = "diva: invalid value 'average' for '--pixel <VALUE>' [possible values: median, mean, mode, sample]";
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn what_a_model_cannot_generate_is_refused() {
    let scratch = Scratch::new("ablations");
    for kind in ["diva-no-zd", "vae", "classifier"] {
        let mut artist = Artist { fails: false, loses: false, called: 0 };
        let folder = RunFolder::new(scratch.0.join(kind));
        run::train(config(kind), &folder, Options::default(), &mut artist).unwrap();
    }
    let generate = |kind: &str, wanted: &str| {
        let output = diva(&["generate"], &[&scratch.0.join(kind), Path::new(wanted)]);
        let [said, refused] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said, refused)
    };
    for (kind, wanted, lack) in [
        ("diva-no-zd", "domains", "the model has no zd"),
        ("vae", "classes", "the model has no zy"),
        ("vae", "latents", "the model has a single latent"),
        ("classifier", "samples", "the model has no decoder"),
        ("classifier", "all", "the model has no decoder"),
    ] {
        let run = scratch.0.join(kind);
        let sentence = format!("diva: cannot generate {wanted} from {}: {lack}\n", run.display());
        assert_eq!(generate(kind, wanted), (Some(2), String::new(), sentence));
    }
    // The run of a model that lacks something is finished with the other pictures, and `all` says what there is not.
    let there = |kind: &str| {
        let is_there = |of: &Kind| scratch.0.join(kind).join(of.file()).exists();
        Kind::ALL.into_iter().filter(is_there).collect::<Vec<_>>()
    };
    assert_eq!(there("classifier"), []);
    assert_eq!(there("vae"), [Kind::Reconstructions, Kind::Samples, Kind::Interpolations]);
    let (code, said, refused) = generate("vae", "all");
    assert_eq!((code, refused.as_str(), said.lines().count()), (Some(0), "", 6), "{said}");
    for name in
        ["classes: the model has no zy", "domains: the model has no zd", "latents: the model has a single"]
    {
        assert!(said.contains(&format!("there are no {name}")), "{said}");
    }
    assert_eq!(there("vae").len(), 3);
}

#[test]
fn other_kinds_of_pictures_are_refused() {
    for kind in ["nonsense", "", "Classes"] {
        let output = diva(&["generate", "nowhere", kind], &[]);
        assert_eq!(output.status.code(), Some(2), "{kind}");
        let expected = format!(
            "diva: cannot generate {kind:?}; the kinds are reconstructions, classes, domains, samples, latents, \
             interpolations and all\n"
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
    let output = diva(&["generate", "nowhere", "reconstructions"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "diva: nowhere is not the folder of a run\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

/// The figures of docs/results.md, "What is drawn of a pixel": of digits that were trained on at no angle, turned by each, or of
/// cells that were held back and those of the unseen patient.
#[test]
#[ignore = "measures the run whose folder is in DIVA_RUN: some minutes"]
fn errors_of_what_is_drawn_of_a_pixel() {
    let files = RunFolder::new(std::env::var("DIVA_RUN").expect("DIVA_RUN is the folder of a finished run"));
    let config = |overrides: &[String]| run::read_config(&files.config(), overrides).unwrap();
    let (saved, _) = SavedRun::of("use", config(&[]), &files).unwrap();
    let model = saved.model.latent_variables().unwrap();
    let values = PixelValue::of(saved.config.model.networks);
    let mut sums = vec![[[0.0; 2]; 2]; values.len()];
    let mut counts = [0.0; 2];
    let mut measure = |data: &Dataset, unseen: usize| {
        for start in (0..data.len()).step_by(50) {
            let batch: Vec<usize> = (start..data.len().min(start + 50)).collect();
            let engine = Engine::new();
            let tape = Tape::inference(&engine, &saved.params);
            let means = model.posterior_means(tape.input(&dataset::images(data, &batch)));
            let images: Vec<u8> = batch.iter().flat_map(|&i| data.image(i)).copied().collect();
            counts[unseen] += images.len() as f64;
            for (&value, sums) in values.iter().zip(&mut sums) {
                let noise = Stream::new(saved.config.seed, "figures", &[start as u64]);
                for (&drawn, &level) in model.levels(&means, value, noise).iter().zip(&images) {
                    let error = f64::from(drawn) - f64::from(level);
                    sums[unseen][0] += error.abs();
                    sums[unseen][1] += error * error;
                }
            }
        }
    };
    match saved.config.data.source {
        Source::Embedded => {
            let trained_on = saved.config.data.training_domains().into_iter().map(ToString::to_string);
            let unseen = saved.config.data.test_domain.to_string();
            for (domain, is_unseen) in trained_on.map(|name| (name, 0)).chain([(unseen, 1)]) {
                let split = dataset::load(&config(&[format!("data.test_domain={domain}")])).unwrap();
                measure(&split.disjoint_test.unwrap(), is_unseen);
            }
        }
        _ => {
            let split = dataset::load(&saved.config).unwrap();
            measure(&split.validation.unwrap(), 0);
            measure(&split.test, 1);
        }
    }
    for (value, sums) in values.iter().zip(&sums) {
        for (unseen, name) in ["training domains, held-out images", "unseen domain"].into_iter().enumerate() {
            let [absolute, squared] = sums[unseen].map(|sum: f64| sum / counts[unseen]);
            println!("{name}: {}: absolute {absolute:.2}, squared {squared:.0}", value.name());
        }
    }
    // Of all values the mean has the least squared error if the distribution is true.
    let least = |measure: usize| {
        let of = |place: &usize| sums[*place].iter().map(|sums| sums[measure]).sum::<f64>();
        values[(0..values.len()).min_by(|a, b| of(a).total_cmp(&of(b))).unwrap()]
    };
    assert_eq!([least(0), least(1)], [values[0], PixelValue::Mean]);
}
