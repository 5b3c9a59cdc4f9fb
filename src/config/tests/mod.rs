//! The published numbers, precedence of the layers, what is written, and what a resumption may change.

mod effect;
mod mistakes;
mod round_trip;

use super::{
    Config, DataConfig, DomainName, Kl, Likelihood, LogitLayout, ModelConfig, ModelKind, Networks, PRESETS,
    PriorY, Protocol, Source, TrainConfig, Unlabelled, UnlabelledImages, keys,
};
use crate::error::Result;
use toml::Table;

fn of_preset(name: &str) -> Config {
    Config::resolve(None, Some(name), &[], None).unwrap()
}

fn of_file(text: &str) -> Result<Config> {
    Config::resolve(Some(("run.toml", text)), None, &[], None)
}

fn with(overrides: &[&str]) -> Result<Config> {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    Config::resolve(None, None, &overrides, None)
}

/// The numbers of the paper and of the authors' code, written down a second time.
fn published() -> Config {
    Config {
        preset: "rotated-mnist".into(),
        seed: 0,
        data: DataConfig {
            source: Source::Idx,
            path: None,
            columns: vec![],
            subset_file: None,
            domains: [0.0, 15.0, 30.0, 45.0, 60.0, 75.0].map(DomainName::Angle).to_vec(),
            test_domain: DomainName::Angle(75.0),
            per_class: 100,
            protocol: Protocol::Published,
            classes: vec![],
            per_domain: 200,
            least_images: 0,
            validation: 0.0,
            augment: false,
            skip_unreadable: false,
            unlabelled: Unlabelled { subsets: 0, domains: vec![], images: UnlabelledImages::Used },
        },
        model: ModelConfig {
            kind: ModelKind::Diva,
            networks: Networks::Lenet,
            image_size: 28,
            channels: 1,
            encoder_width: 1.0,
            decoder_width: 1.0,
            latent: 64,
            likelihood: Likelihood::Categorical,
            logit_layout: LogitLayout::PerPixel,
            kl: Kl::Sampled,
            prior_y: PriorY::Uniform,
        },
        train: TrainConfig {
            epochs: 500,
            batch: 100,
            learning_rate: 1e-3,
            warmup: 100,
            alpha_d: 2000.0,
            alpha_y: 3500.0,
            reversal: 1.0,
            second_batch: false,
            patience: 100,
            checkpoint_seconds: 300.0,
        },
    }
}

#[test]
fn rotated_mnist_is_the_published_setting() {
    assert_eq!(of_preset("rotated-mnist"), published());
}

#[test]
fn quick_differs_from_the_published_setting_in_what_makes_it_quick() {
    let quick = of_preset("quick");
    assert!(quick.model.decoder_width < 1.0 && quick.train.epochs < 500 && quick.train.warmup < 100);
    let mut expected = published();
    expected.preset = "quick".into();
    expected.data.source = Source::Embedded;
    expected.model.decoder_width = quick.model.decoder_width;
    expected.train.epochs = quick.train.epochs;
    expected.train.warmup = quick.train.warmup;
    assert_eq!(quick, expected);
}

#[test]
fn presets_are_complete() {
    for (name, _) in PRESETS {
        let layer = super::preset_layer(name).unwrap();
        let missing: Vec<_> =
            keys::KEYS.iter().map(|key| key.name).filter(|key| !layer.contains_key(key)).collect();
        assert_eq!(missing, ["preset"], "{name}"); // its own name is the caller's to say
        assert_eq!(of_preset(name).preset, name);
    }
}

#[test]
fn presets_are_chosen_by_flag_then_file_then_default() {
    let preset = |file: Option<&'static str>, flag| {
        let file = file.map(|text| ("run.toml", text));
        Config::resolve(file, flag, &[], None).unwrap().preset
    };
    assert_eq!(preset(None, None), "quick");
    assert_eq!(preset(None, Some("rotated-mnist")), "rotated-mnist");
    assert_eq!(preset(Some(""), None), "rotated-mnist");
    assert_eq!(preset(Some("preset = \"quick\""), None), "quick");
    assert_eq!(preset(Some("preset = \"quick\""), Some("rotated-mnist")), "rotated-mnist");
    assert_eq!(preset(Some("preset = \"rotated-mnist\""), Some("quick")), "quick");
}

#[test]
fn later_layers_win() {
    let file = "preset = \"quick\"\nseed = 1\n[train]\nepochs = 2\nbatch = 20";
    let overrides = ["seed=3".to_string(), "train.epochs=4".into(), "train.epochs = 5".into()];
    let resolve = |overrides, seed| Config::resolve(Some(("run.toml", file)), None, overrides, seed).unwrap();

    let from_file = resolve(&[], None);
    assert_eq!((from_file.seed, from_file.train.epochs, from_file.train.batch), (1, 2, 20));
    assert_eq!(from_file.model, of_preset("quick").model);
    let overridden = resolve(&overrides, None);
    assert_eq!((overridden.seed, overridden.train.epochs, overridden.train.batch), (3, 5, 20));
    let seeded = resolve(&overrides, Some(6));
    assert_eq!((seeded.seed, seeded.train.epochs, seeded.train.batch), (6, 5, 20));
}

#[test]
fn width_sets_both_and_is_never_written() {
    let widths = |config: Config| (config.model.encoder_width, config.model.decoder_width);
    assert_eq!(widths(with(&["model.width=0.25"]).unwrap()), (0.25, 0.25));
    assert_eq!(widths(with(&["model.width=0.25", "model.encoder_width=0.25"]).unwrap()), (0.25, 0.25));
    let file = Some(("run.toml", "model.encoder_width = 0.5\nmodel.decoder_width = 2"));
    assert_eq!(widths(Config::resolve(file, None, &["model.width=1".into()], None).unwrap()), (1.0, 1.0));
    let file = Some(("run.toml", "model.width = 0.5"));
    assert_eq!(
        widths(Config::resolve(file, None, &["model.encoder_width=1".into()], None).unwrap()),
        (1.0, 0.5)
    );
    let written: Table = with(&["model.width=0.25"]).unwrap().to_toml().parse().unwrap();
    assert!(!written["model"].as_table().unwrap().contains_key("width"));
}

#[test]
fn overrides_are_toml_values_or_bare_words() {
    let config = with(&[
        "model.kl=closed-form",
        "data.path=/data/MNIST raw=1",
        "data.domains=[0, 22.5, -30]",
        "data.test_domain=22.5",
        "model.prior_y='training'",
        "train.alpha_d=0x10",
        "data.unlabelled={ subsets = 2 }",
        "data.subset_file=",
    ])
    .unwrap();
    assert_eq!(config.model.kl, Kl::ClosedForm);
    assert_eq!(config.data.path.as_deref(), Some("/data/MNIST raw=1"));
    assert_eq!(config.data.domains, [0.0, 22.5, -30.0].map(DomainName::Angle));
    assert_eq!(config.data.test_domain, DomainName::Angle(22.5));
    assert_eq!(config.model.prior_y, PriorY::Training);
    assert_eq!(config.train.alpha_d, 16.0);
    let images = UnlabelledImages::Used;
    assert_eq!(config.data.unlabelled, Unlabelled { subsets: 2, domains: vec![], images });
    assert_eq!(config.data.subset_file, None);
}

#[test]
fn every_name_of_every_choice_is_read_and_written_as_it_is_spelled() {
    let mut tried = 0;
    for key in keys::KEYS {
        let keys::Takes::OneOf(names) = key.takes else { continue };
        for name in names {
            let mut layer = super::preset_layer("quick").unwrap();
            layer.insert("preset", toml::Value::String("quick".into()));
            layer.insert(key.name, toml::Value::String((*name).into()));
            let table = super::of_layer(layer).to_table();
            assert_eq!(super::values::look_up(&table, key.name).as_str(), Some(*name), "{}", key.name);
            tried += 1;
        }
    }
    // preset, source, protocol, unlabelled images, kind, networks, likelihood, layout, kl
    assert_eq!(tried, 5 + 6 + 2 + 2 + 6 + 2 + 2 + 2 + 2);
}

#[test]
fn the_written_file_reads_as_the_contract_lists_it() {
    let text =
        with(&["data.path=C:\\mnist \"raw\"\u{7f}", "data.domains=[-0.0, 22.50, 75.0]"]).unwrap().to_toml();
    let body: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = "
preset = \"quick\"
seed = 0

[data]
source = \"embedded\"
path = \"C:\\\\mnist \\\"raw\\\"\\u007F\"
columns = []
subset_file = \"\"
domains = [0, 22.5, 75]
test_domain = 75
per_class = 100
protocol = \"published\"
classes = []
per_domain = 200
least_images = 0
validation = 0.0
augment = false
skip_unreadable = false

[data.unlabelled]
subsets = 0
domains = []
images = \"used\"

[model]
kind = \"diva\"
networks = \"lenet\"
image_size = 28
channels = 1
encoder_width = 1.0
";
    assert!(body.join("\n").starts_with(expected), "{text}");
}

#[test]
fn the_identity_leaves_out_what_may_change_on_resumption() {
    let here = of_preset("rotated-mnist");
    let identity = here.identity();
    assert!(identity.starts_with("seed = 0\ndata.source = \"idx\"\ndata.subset_file = \"\"\n"), "{identity}");
    assert!(identity.ends_with("train.alpha_y = 3500.0\ntrain.patience = 100\n"), "{identity}");

    // DANN's schedule is one over all epochs.
    let with_epochs = |epochs| {
        let mut config = here.clone();
        (config.model.kind, config.train.epochs) = (ModelKind::Dann, epochs);
        config
    };
    assert_ne!(with_epochs(5).identity(), with_epochs(6).identity());
    assert_eq!(with_epochs(5).differences_that_matter(&with_epochs(6)).len(), 1);

    let mut there = here.clone();
    there.preset = "quick".into();
    there.data.path = Some("elsewhere".into());
    there.train.epochs = 600;
    there.train.checkpoint_seconds = 0.5;
    assert_eq!(there.identity(), identity);
    assert_eq!(here.differences_that_matter(&there), Vec::<String>::new());
}

#[test]
fn every_other_key_is_a_difference_that_matters() {
    let here = of_preset("quick");
    let changes = [
        ("seed=1", "0", "1"),
        ("data.source=idx", "\"embedded\"", "\"idx\""),
        ("data.columns=[\"file=a\"]", "[]", "[\"file=a\"]"),
        ("data.subset_file=\"some.npy\"", "\"\"", "\"some.npy\""),
        ("data.domains=[15, 0, 30, 45, 60, 75]", "[0, 15, 30, 45, 60, 75]", "[15, 0, 30, 45, 60, 75]"),
        ("data.test_domain=60", "75", "60"),
        ("data.per_class=10", "100", "10"),
        ("data.protocol=disjoint-test", "\"published\"", "\"disjoint-test\""),
        ("data.classes=[\"a\"]", "[]", "[\"a\"]"),
        ("data.per_domain=10", "200", "10"),
        ("data.least_images=10", "0", "10"),
        ("data.validation=0.25", "0.0", "0.25"),
        ("data.augment=true", "false", "true"),
        ("data.skip_unreadable=true", "false", "true"),
        ("data.unlabelled.subsets=1", "0", "1"),
        ("data.unlabelled.domains=[20]", "[]", "[20]"),
        ("data.unlabelled.images=left-out", "\"used\"", "\"left-out\""),
        ("model.kind=vae", "\"diva\"", "\"vae\""),
        ("model.encoder_width=0.5", "1.0", "0.5"),
        ("model.decoder_width=0.75", "0.125", "0.75"),
        ("model.latent=32", "64", "32"),
        ("model.logit_layout=published", "\"per-pixel\"", "\"published\""),
        ("model.kl=closed-form", "\"sampled\"", "\"closed-form\""),
        ("model.prior_y=training", "\"uniform\"", "\"training\""),
        ("train.batch=50", "100", "50"),
        ("train.learning_rate=5e-4", "0.001", "0.0005"),
        ("train.warmup=0", "5", "0"),
        ("train.alpha_d=1", "2000.0", "1.0"),
        ("train.alpha_y=1", "3500.0", "1.0"),
        ("train.reversal=0.5", "1.0", "0.5"),
        ("train.second_batch=true", "false", "true"),
        ("train.patience=1", "100", "1"),
    ];
    for (change, from, to) in changes {
        let there = with(&[change]).unwrap();
        let key = change.split('=').next().unwrap();
        let expected = format!("{key} is {from} in the run's folder, but {to} was asked for");
        assert_eq!(here.differences_that_matter(&there), [expected]);
        assert_ne!(here.identity(), there.identity(), "{change}");
    }
    let free = ["preset", "data.path", "train.epochs", "train.checkpoint_seconds"];
    // These come together.
    let of_cells = ["model.networks", "model.image_size", "model.channels", "model.likelihood"];
    let changes_to_cells: Vec<String> = of_cells
        .map(|key| {
            let table = of_preset("malaria").to_table();
            format!("{key}={}", super::values::shown(super::values::look_up(&table, super::key(key).name)))
        })
        .to_vec();
    let cells = Config::resolve(None, None, &changes_to_cells, None).unwrap();
    assert_eq!(here.differences_that_matter(&cells).len(), of_cells.len());
    assert_eq!(changes.len() + free.len() + of_cells.len(), keys::KEYS.len());
}
