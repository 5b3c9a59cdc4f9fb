//! The mark of images that look unlike the training images: whom it meets, what prints it, and runs that have none.

use super::cells;
use super::{Folder, finished_run, refused, text, train};
use diva::config::Config;
use diva::data::Dataset;
use diva::data::image::{encode_grey, encode_rgb};
use diva::rng::Stream;
use diva::train::dataset;
use serde_json::Value;
use std::fs;

/// The images that the limits of the run in the folder `run` are taken from, and what they are called.
fn images_of_limits(here: &Folder, run: &str) -> (Dataset, &'static str) {
    let config = text(&here.read(&format!("{run}/config.toml")));
    let config = Config::resolve(Some(("config.toml", &config)), None, &[], None).unwrap();
    let mut split = dataset::load(&config).unwrap();
    if let Some(held_back) = split.validation.take_if(|data| data.len() >= 20) {
        return (held_back, "validation");
    }
    if let Some(unlabelled) = split.unlabelled.take() {
        split.train.append(unlabelled);
    }
    (split.train, "training")
}

/// Writes images as PNG files of the folder `name`, in their order.
fn write_pictures<'a>(here: &Folder, name: &str, size: [usize; 3], images: impl Iterator<Item = &'a [u8]>) {
    let [height, width, channels] = size;
    fs::create_dir(here.join(name)).unwrap();
    for (number, image) in images.enumerate() {
        let png =
            if channels == 1 { encode_grey(width, height, image) } else { encode_rgb(width, height, image) };
        fs::write(here.join(&format!("{name}/{number:03}.png")), png).unwrap();
    }
}

/// Forty images of uniform noise.
fn noise(values: usize) -> Vec<Vec<u8>> {
    let image = |number: u64| {
        let mut noise = vec![0.0; values];
        Stream::new(1, "noise", &[number]).fill_uniform(0.0, 256.0, &mut noise);
        noise.into_iter().map(|level| level.min(255.0) as u8).collect()
    };
    (0..40).map(image).collect()
}

/// The ELBO of each prediction, and whether it is marked.
fn judged(predictions: &Value) -> Vec<(f64, bool)> {
    let judged = |p: &Value| (p["elbo"].as_f64().unwrap(), p["unlike_training"].as_bool().unwrap());
    predictions.as_array().unwrap().iter().map(judged).collect()
}

/// Predicts the images that the limits are of and noise of their size, and looks at who is marked. Returns the predictions of the
/// former.
fn look_at_marks(here: &Folder, run: &str) -> Value {
    let (data, _) = images_of_limits(here, run);
    let folder = format!("{run}-noise");
    let size = [data.height, data.width, data.channels];
    write_pictures(here, &folder, size, noise(data.values()).iter().map(Vec::as_slice));
    let output = here.run(&["predict", run, &folder, "--json"]);
    let warning =
        " of 40 images look unlike the training images: what is said of their classes rests on nothing";
    assert!(text(&output.stderr).contains(warning), "{}", text(&output.stderr));
    let of_noise: Value = serde_json::from_slice(&output.stdout).unwrap();
    let marked = judged(&of_noise["predictions"]).iter().filter(|(_, marked)| *marked).count();
    assert!(marked >= 36, "{marked} of 40 images of noise are marked");
    look_at_limits(here, run)
}

/// The same without noise: the limits are the lowest and the highest ELBOs that prediction finds of each domain, or wider.
fn look_at_limits(here: &Folder, run: &str) -> Value {
    let (data, taken_from) = images_of_limits(here, run);
    let size = [data.height, data.width, data.channels];
    let folder = format!("{run}-like");
    write_pictures(here, &folder, size, (0..data.len()).map(|index| data.image(index)));

    let found = here.json(&["predict", run, &folder, "--json"]);
    let file: Value = serde_json::from_slice(&here.read(&format!("{run}/unlike.json"))).unwrap();
    assert_eq!(found["unlike"], file);
    assert_eq!((&file["share"], &file["taken_from"]), (&0.01.into(), &taken_from.into()));
    let marks = judged(&found["predictions"]);
    assert_eq!(marks.len(), data.len());
    let limits = file["limits"].as_array().unwrap();
    let names = found["domains"].as_array().unwrap();
    for (place, limits) in limits.iter().enumerate() {
        let predictions = found["predictions"].as_array().unwrap().iter();
        let mut elbos: Vec<f64> = predictions
            .filter(|p| p["domain"] == names[place])
            .map(|p| p["elbo"].as_f64().unwrap())
            .collect();
        if elbos.len() < 2 {
            continue;
        }
        elbos.sort_by(f64::total_cmp);
        // Of fewer than 199 images none is outside.
        assert!(elbos.len() < 199 && limits["images"] == elbos.len(), "{limits}");
        let (low, high) = (limits["lowest"].as_f64().unwrap(), limits["highest"].as_f64().unwrap());
        assert!(low <= elbos[0] && high >= *elbos.last().unwrap(), "{limits}, {elbos:?}");
        // Student's interval of a normal distribution: 2.6 standard deviations at least.
        let mean = elbos.iter().sum::<f64>() / elbos.len() as f64;
        let deviation = |&x: &f64| (x - mean) * (x - mean);
        let spread = (elbos.iter().map(deviation).sum::<f64>() / (elbos.len() - 1) as f64).sqrt();
        assert!(low < mean - 2.6 * spread && high > mean + 2.6 * spread, "{limits}, {elbos:?}");
    }
    assert!(marks.iter().all(|&(_, marked)| !marked));
    found
}

#[test]
fn noise_is_marked_and_digits_are_not() {
    let here = Folder::new();
    here.with_a_run("run");
    let found = look_at_marks(&here, "run");

    // All three outputs say the same.
    let predictions = found["predictions"].as_array().unwrap();
    let table = here.succeed(&["predict", "run", "run-like", "--csv"]);
    let mut rows = table.lines();
    let head: Vec<&str> = rows.next().unwrap().split(',').collect();
    assert_eq!(head[head.len() - 2..], ["elbo", "unlike_training"]);
    for (row, prediction) in rows.zip(predictions) {
        let fields: Vec<&str> = row.split(',').collect();
        assert_eq!(fields.len(), head.len(), "{row}");
        let elbo: f64 = fields[fields.len() - 2].parse().unwrap();
        assert_eq!(elbo, prediction["elbo"], "{row}");
        assert_eq!(fields.last().unwrap(), &prediction["unlike_training"].to_string(), "{row}");
    }
    let lines = here.succeed(&["predict", "run", "run-like"]);
    for (line, prediction) in lines.lines().zip(predictions) {
        assert_eq!(
            line.ends_with(", looks unlike the training images"),
            prediction["unlike_training"],
            "{line}"
        );
    }
    assert_eq!(lines.matches("unlike").count(), 0);
    let noise = text(&here.run(&["predict", "run", "run-noise"]).stdout);
    assert!(noise.matches(", looks unlike the training images\n").count() >= 36, "{noise}");

    // Whatever else is asked for, and however it is computed.
    let some = ["predict", "run", "run-like/007.png", "run-noise", "--json"];
    let first: Value = serde_json::from_slice(&here.run(&some).stdout).unwrap();
    assert_eq!(first["predictions"][0], predictions[7]);
    for (threads, isa) in [("1", "portable"), ("3", "portable"), ("2", "")] {
        let mut command = here.diva(&[&some[..], &["--threads", threads]].concat());
        if !isa.is_empty() {
            command.env("DIVA_ISA", isa);
        }
        let again: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        assert_eq!(again, first, "{threads} threads, {isa}");
    }
}

#[test]
fn cells_are_marked_too() {
    let here = Folder::new();
    // As long as it takes to learn that pixels beside each other are alike: 36 steps.
    let learning = ["--set", "train.learning_rate=0.01"];
    here.succeed(&cells::train("run", "train.epochs=12", &learning));
    look_at_marks(&here, "run");
    let unlabelled = ["--set", "data.unlabelled.domains=[\"P02\"]", "--set", "model.kind=vae"];
    here.succeed(&cells::train("vae", "train.epochs=12", &[&learning[..], &unlabelled].concat()));
    look_at_marks(&here, "vae");
}

/// p(y) may be a frequency that nobody can count any more: it is kept.
#[test]
fn class_frequencies_of_the_training_stay_known() {
    let here = Folder::new();
    here.succeed(&cells::train("run", cells::TWO, &["--set", "model.prior_y=training"]));
    let config = text(&here.read("run/config.toml"));
    let config = Config::resolve(Some(("config.toml", &config)), None, &[], None).unwrap();
    let classes = dataset::load(&config).unwrap().train.classes;
    let share = |class| classes.iter().filter(|&&c| c == class).count() as f64 / classes.len() as f64;
    assert_ne!(share(0), share(1));
    let file: Value = serde_json::from_slice(&here.read("run/unlike.json")).unwrap();
    assert_eq!(file["prior_y"], serde_json::json!([share(0), share(1)]));
    // Predictions use it: the images have the ELBOs that they had there.
    look_at_limits(&here, "run");
}

#[test]
fn a_run_without_a_limit_marks_nothing_and_says_so() {
    let here = Folder::new();
    here.with_a_run("run");
    fs::write(here.join("one.png"), encode_grey(28, 28, &[7; 784])).unwrap();
    let with = here.json(&["predict", "run", "one.png", "--json"]);
    let file = here.read("run/unlike.json");
    fs::remove_file(here.join("run/unlike.json")).unwrap();
    for arguments in [&[][..], &["--csv"], &["--json"]] {
        let output = here.run(&[&["predict", "run", "one.png"], arguments].concat());
        assert!(output.status.success());
        let said = text(&output.stderr);
        let start = "diva: no image is marked as unlike the training images: run/unlike.json is gone: result.json knows one";
        assert!(said.starts_with(start) && said.lines().count() == 1, "{said}");
        let out = text(&output.stdout);
        assert!(!out.contains("unlike") && !out.contains("elbo"), "{out}");
        if arguments == ["--json"] {
            let found: Value = serde_json::from_str(&out).unwrap();
            let probabilities = |value: &Value| value["predictions"][0]["class_probabilities"].clone();
            assert_eq!(probabilities(&found), probabilities(&with));
        }
    }

    // A baseline has no ELBO, and nothing is missing.
    here.succeed(&train("classifier", &["--set", "model.kind=classifier"]));
    assert!(!here.join("classifier/unlike.json").exists());
    let found = here.json(&["predict", "classifier", "one.png", "--json"]);
    assert!(found.get("unlike").is_none() && found["predictions"][0].get("elbo").is_none(), "{found}");

    // A file that is none is named, and so is one of another model. Of runs of earlier versions nothing says that it is another.
    let result = text(&here.read("run/result.json"));
    let earlier: Vec<&str> = result
        .lines()
        .filter(|line| !["unlike_sha256", "result_sha256"].iter().any(|seal| line.contains(seal)))
        .collect();
    let earlier = earlier.join("\n").replace("\",\n}", "\"\n}");
    assert_ne!(earlier, result);
    fs::write(here.join("run/result.json"), earlier).unwrap();
    for (bytes, part) in [
        (&file[..file.len() / 2], "it is not the limits of unlike images"),
        (
            br#"{"quantile":0.01,"threshold":-1.0,"images":5,"prior_y":[0.5,0.5]}"#,
            "prior_y has 2 probabilities",
        ),
        (b"\xff\xfe", "run/unlike.json"),
    ] {
        fs::write(here.join("run/unlike.json"), bytes).unwrap();
        let output = here.run(&["predict", "run", "one.png"]);
        refused(&output, 2, &["run/unlike.json", part]);
    }
}

#[test]
fn a_run_has_the_same_limit_each_time() {
    let here = Folder::new();
    let file = fs::read(finished_run().join("unlike.json")).unwrap();
    here.succeed(&train("portable", &["--threads", "3", "--set", "train.epochs=1"]));
    let of_one_epoch = here.read("portable/unlike.json");
    assert!(of_one_epoch != file);
    let longer = train("portable", &["--resume", "--threads", "1"]);
    let output = here.diva(&longer).env("DIVA_ISA", "portable").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(here.read("portable/unlike.json") == file);
}
