//! Who reads which key (`config/readers.rs`), held against trainings: a key that is said to be read by nobody changes no bit
//! of one, and every other key changes something.

use super::sources;
use crate::config::{Config, Request};
use crate::data::image::encode_rgb;
use crate::data::{Split, embedded};
use crate::error::Result;
use crate::store::scratch::Scratch;
use crate::train::trainer::Trainer;
use std::fs;
use toml::{Table, Value};

const KINDS: [&str; 6] = ["diva", "diva-no-zd", "diva-no-zx", "vae", "classifier", "dann"];

/// What two steps, one on labelled images and one on unlabelled ones if there are any, leave; and the images.
fn outcome(config: &Config) -> Result<(Split, Vec<u8>)> {
    let split = sources::read(config, None)?.split;
    let mut trainer = Trainer::new(config.clone(), split.clone())?;
    let order = trainer.order()?;
    for _ in 0..2 {
        trainer.step(&order)?;
    }
    Ok((split, trainer.state().to_checkpoint("of any configuration")))
}

/// A small configuration of a source, as a preset and overrides.
struct Base {
    preset: &'static str,
    settings: Vec<String>,
    /// For keys that stand for something else in each source.
    others: Vec<(&'static str, &'static str)>,
}

impl Base {
    fn request(&self, more: &[String]) -> Result<Request> {
        Request::resolve(None, Some(self.preset), &[&self.settings[..], more].concat(), None)
    }

    /// Another value of each key that can change the first two steps.
    fn changes(&self) -> Vec<(String, String)> {
        let of_any = [
            ("seed", "5"),
            ("data.path", "nowhere"),
            ("data.subset_file", "nowhere"),
            ("data.per_class", "3"),
            ("data.protocol", "disjoint-test"),
            ("data.per_domain", "9"),
            ("data.least_images", "1000"),
            ("data.augment", if self.preset == "quick" { "true" } else { "false" }),
            ("data.columns", "[\"class=kind\"]"),
            ("data.skip_unreadable", "false"),
            ("data.unlabelled.subsets", "1"),
            ("data.unlabelled.domains", "[]"),
            ("model.encoder_width", "0.125"),
            ("model.decoder_width", "0.09375"),
            ("model.latent", "4"),
            ("model.logit_layout", "published"),
            ("model.kl", "closed-form"),
            ("train.learning_rate", "0.002"),
            ("train.warmup", "3"),
            ("train.alpha_d", "10"),
            ("train.alpha_y", "10"),
            ("train.reversal", "0.5"),
        ];
        of_any.iter().chain(&self.others).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

/// Of these no other value has a word in the first steps: what is chosen before (a preset; the source, the networks and the
/// kind of model, which the tests vary), what the networks leave no choice in, and what is about the end of epochs and of
/// runs, or about saving.
const ELSEWHERE: [&str; 10] = [
    "preset",
    "data.source",
    "model.kind",
    "model.networks",
    "model.image_size",
    "model.channels",
    "model.likelihood",
    "train.epochs",
    "train.patience",
    "train.checkpoint_seconds",
];

fn base(preset: &'static str, settings: &[&str], others: &[(&'static str, &'static str)]) -> Base {
    Base { preset, settings: settings.iter().map(|&text| text.to_owned()).collect(), others: others.to_vec() }
}

const TEN: &str = "[0.55, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]";

fn digits(more: &[&str]) -> Base {
    let settings = [
        "data.domains=[0, 30, 45, 75]",
        "data.per_class=1",
        "data.unlabelled.domains=[45]",
        "model.encoder_width=0.0625",
        "model.decoder_width=0.0625",
        "model.latent=3",
        "train.batch=10",
        "train.epochs=1",
    ];
    let others = [
        ("data.domains", "[0, 20, 45, 75]"),
        ("data.test_domain", "30"),
        ("data.classes", "[\"zero\"]"),
        ("data.validation", "0.2"),
        ("data.unlabelled.images", "left-out"),
        ("model.prior_y", TEN),
        ("train.batch", "9"),
        ("train.second_batch", "true"),
    ];
    base("quick", &[&settings[..], more].concat(), &others)
}

fn cells(more: &[&str]) -> Base {
    let settings = [
        "model.image_size=16",
        "model.encoder_width=0.0625",
        "model.decoder_width=0.0625",
        "model.latent=3",
        "train.batch=4",
        "train.epochs=1",
    ];
    let others = [
        ("data.classes", "[\"parasitised\", \"uninfected\"]"),
        ("data.validation", "0.4"),
        ("data.unlabelled.images", "left-out"),
        ("model.prior_y", "[0.3, 0.7]"),
        ("train.batch", "3"),
        ("train.second_batch", "false"),
    ];
    base("quick-cells", &[&settings[..], more].concat(), &others)
}

fn synthetic() -> Base {
    let mut base = cells(&[
        "data.domains=[\"P01\", \"P02\", \"P03\", \"P04\"]",
        "data.test_domain=P04",
        "data.unlabelled.domains=[\"P03\"]",
        "data.per_domain=8",
    ]);
    base.others.extend([
        ("data.domains", "[\"P01\", \"P02\", \"P03\", \"P04\", \"P05\"]"),
        ("data.test_domain", "P02"),
    ]);
    base
}

/// Trains with each of `keys` changed, in turn. A key of which the configuration says that nobody reads it leaves the split
/// and all that was computed as they were; any other changes some of it, or is refused.
#[track_caller]
fn assert_read_as_said(base: &Base, is_tried: impl Fn(&str) -> bool) -> usize {
    let plain = base.request(&[]).unwrap().config;
    let expected = outcome(&plain).unwrap();
    let mut unread = 0;
    for (key, value) in base.changes().into_iter().filter(|(key, _)| is_tried(key)) {
        let what = format!("{key} = {value} on {:?} with {:?}", plain.data.source, plain.model.kind);
        let Ok(request) = base.request(&[format!("{key}={value}")]) else { continue };
        let asked = request.asked.iter().find(|asked| asked.key == key).unwrap();
        let found = outcome(&request.config);
        if asked.without_effect.is_some() {
            assert!(found.unwrap() == expected, "{what} is said to have no effect, and has one");
            unread += 1;
        } else {
            assert!(found.ok().as_ref() != Some(&expected), "{what} is said to have an effect, and has none");
        }
    }
    unread
}

fn names(table: &Table, before: &str) -> Vec<String> {
    let named = table.iter().flat_map(|(name, value)| match value {
        Value::Table(inner) => names(inner, &format!("{before}{name}.")),
        _ => vec![format!("{before}{name}")],
    });
    named.collect()
}

#[test]
fn every_key_has_another_value_here() {
    let all: Table = Config::resolve(None, None, &[], None).unwrap().to_toml().parse().unwrap();
    for base in [digits(&[]), synthetic()] {
        let changed = base.changes();
        for key in names(&all, "") {
            let is_changed = changed.iter().any(|(other, _)| *other == key);
            assert_ne!(is_changed, ELSEWHERE.contains(&&*key), "{key} of {}", base.preset);
        }
    }
}

/// Of each kind of model and each family of networks.
#[test]
fn kinds_of_models_read_what_the_table_says() {
    for (digits_or_cells, unread) in
        [(digits as fn(&[&str]) -> Base, [2, 3, 2, 3, 10, 8]), (|_| synthetic(), [3, 4, 3, 4, 10, 8])]
    {
        for (kind, expected) in KINDS.into_iter().zip(unread) {
            let mut base = digits_or_cells(&[]);
            base.settings.push(format!("model.kind={kind}"));
            if kind == "classifier" {
                base.settings.push("data.unlabelled.images=left-out".into());
                base.others.retain(|(key, _)| *key != "data.unlabelled.images");
            }
            let found = assert_read_as_said(&base, |key| !key.starts_with("data."));
            assert_eq!(found, expected, "keys that {kind} on {} reads not", base.preset);
        }
    }
}

/// Of each source, with files that cannot be read where there are files.
#[test]
fn sources_read_what_the_table_says() {
    let scratch = Scratch::new();
    let pixels = |of: usize| (0..18 * 18 * 3).map(|i| (i * of % 251) as u8).collect::<Vec<_>>();
    let write = |path: String, of: usize| {
        let path = scratch.join(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, encode_rgb(18, 18, &pixels(of))).unwrap();
    };
    for domain in 1..=4 {
        for class in 0..2 {
            for picture in 0..5 {
                let of = 1 + domain * 40 + class * 10 + picture;
                write(format!("folders/D{domain}/{}/{picture}.png", ["a", "b"][class]), of);
                let folder = ["Uninfected", "Parasitized"][class];
                write(format!("malaria/{folder}/C{domain}P1ThinF_IMG_cell_{picture}.png"), of);
            }
        }
    }
    fs::write(scratch.join("folders/D1/a/broken.png"), b"no picture").unwrap();
    fs::write(scratch.join("malaria/Uninfected/C1P1ThinF_IMG_cell_9.png"), b"no picture").unwrap();
    let line = |i: usize| {
        let (domain, class, picture) = (1 + i / 10, ["a", "b"][i / 5 % 2], i % 5);
        format!("../folders/D{domain}/{class}/{picture}.png,{class},D{domain}\n")
    };
    let lines: String = (0..40).map(line).collect();
    fs::create_dir(scratch.join("list")).unwrap();
    fs::write(
        scratch.join("list/images.csv"),
        format!("file,class,domain\n{lines}../folders/D1/a/broken.png,a,D1\n"),
    )
    .unwrap();
    for (half, digits) in [("train", embedded::train()), ("t10k", embedded::test())] {
        let count = digits.labels.len() as u32;
        let header = |kind: u8, sides: &[u32]| {
            let sizes: Vec<u8> =
                [&[count], sides].concat().iter().flat_map(|size| size.to_be_bytes()).collect();
            [&[0, 0, 8, kind][..], &sizes].concat()
        };
        let write = |name: &str, header: Vec<u8>, body: &[u8]| {
            fs::create_dir_all(scratch.join("idx")).unwrap();
            fs::write(scratch.join(&format!("idx/{half}-{name}")), [&header, body].concat()).unwrap();
        };
        write("labels-idx1-ubyte", header(1, &[]), &digits.labels);
        write("images-idx3-ubyte", header(3, &[28, 28]), &digits.images);
    }

    let path = |folder: &str| format!("data.path={}", scratch.join(folder).display());
    let pictures = |source: &str, domains: [&'static str; 3], classes: &str, of_class: &'static str| {
        let [all, others, test] = domains;
        let source_key = format!("data.source={source}");
        let mut base = cells(&[
            &source_key,
            &path(if source == "list" { "list/images.csv" } else { source }),
            &format!("data.domains={all}"),
            &format!("data.test_domain={test}"),
            &format!("data.unlabelled.domains=[\"{}3{}\"]", &test[..1], &test[2..]),
            classes,
            "data.skip_unreadable=true",
        ]);
        base.others.retain(|(key, _)| *key != "data.classes");
        base.others.extend([
            ("data.domains", others),
            ("data.test_domain", if source == "malaria" { "C2P1" } else { "D2" }),
            ("data.classes", of_class),
        ]);
        base
    };
    let folders = ["[\"D1\", \"D2\", \"D3\", \"D4\"]", "[\"D1\", \"D3\", \"D4\"]", "D4"];
    let patients = ["[\"C1P1\", \"C2P1\", \"C3P1\", \"C4P1\"]", "[\"C1P1\", \"C3P1\", \"C4P1\"]", "C4P1"];
    let malaria_classes = "data.classes=[\"uninfected\", \"parasitised\"]";
    // How many keys of [data] each does not read.
    for (base, expected) in [
        (digits(&[]), 5),
        (digits(&["data.source=idx", &path("idx")]), 4),
        (synthetic(), 6),
        (pictures("folders", folders, "data.classes=[\"a\", \"b\"]", "[\"b\", \"a\"]"), 5),
        (pictures("list", folders, "data.classes=[\"a\", \"b\"]", "[\"b\", \"a\"]"), 4),
        (pictures("malaria", patients, malaria_classes, "[\"parasitised\", \"uninfected\"]"), 4),
    ] {
        let what = format!("{:?}", base.settings);
        assert_eq!(assert_read_as_said(&base, |key| key.starts_with("data.")), expected, "{what}");
    }
}

/// Only a model with p(y) that trains on images without a class needs one of every class; given probabilities are none.
#[test]
fn a_class_without_labelled_images_is_refused_where_its_p_of_y_is_met() {
    let digits = digits(&[]);
    for kind in KINDS {
        for (prior, expected) in [("training", true), ("smoothed", false), ("uniform", false), (TEN, false)] {
            // Whoever has no p(y) would not be asked for one.
            let images = if kind == "classifier" { "left-out" } else { "used" };
            let more = [
                format!("model.kind={kind}"),
                format!("model.prior_y={prior}"),
                format!("data.unlabelled.images={images}"),
            ];
            let config = digits.request(&more).unwrap().config;
            let mut split = sources::read(&config, None).unwrap().split;
            for class in &mut split.train.classes {
                *class = (*class).max(2);
            }
            let found = Trainer::new(config.clone(), split.clone()).map(drop);
            if expected && config.model.kind.has_prior_y() {
                let error = found.unwrap_err();
                let part =
                    "no labelled training image is of the class \"0\" or \"1\", so that its p(y) would be 0";
                assert!(error.exit_code() == 2 && error.to_string().contains(part), "{error}");
            } else {
                found.unwrap();
            }
            let without = Split { unlabelled: None, ..split };
            Trainer::new(config, without).map(drop).unwrap();
        }
    }
}

/// Where there is no image without a class, there is none to be left out.
#[test]
fn leaving_out_what_is_not_there_changes_nothing() {
    let images = "data.unlabelled.images=left-out".to_owned();
    for (mut base, expected) in [(digits(&[]), true), (synthetic(), true), (digits(&[]), false)] {
        if expected {
            base.settings.push("data.unlabelled.domains=[]".into());
        }
        let plain = outcome(&base.request(&[]).unwrap().config).unwrap();
        let request = base.request(std::slice::from_ref(&images)).unwrap();
        let asked = request.asked.iter().find(|asked| asked.key == "data.unlabelled.images").unwrap();
        assert_eq!(asked.without_effect.is_some(), expected);
        assert_eq!(outcome(&request.config).unwrap() == plain, expected);
    }
}
