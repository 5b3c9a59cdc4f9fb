//! Random configurations on the way to text and back; random text and values on the way in.

use super::{of_file, published, with};
use crate::config::{
    Config, DataConfig, DomainName, Kl, LogitLayout, ModelConfig, PriorY, Protocol, Source, TrainConfig,
    Unlabelled, UnlabelledImages, keys,
};
use crate::names::composed;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn domain() -> impl Strategy<Value = DomainName> {
    prop_oneof![
        (-359..360_i32).prop_map(|degrees| DomainName::Angle(f64::from(degrees))),
        (1e-9..359.9_f64).prop_map(DomainName::Angle),
        ".{1,12}".prop_map(|name| DomainName::Name(composed(&name))),
    ]
}

fn different_domains(least: usize) -> impl Strategy<Value = Vec<DomainName>> {
    prop::collection::vec(domain(), least..8).prop_filter("repeated domains", |domains| {
        domains
            .iter()
            .enumerate()
            .all(|(index, one)| !domains[..index].iter().any(|other| one.is_same_as(other)))
    })
}

fn path() -> impl Strategy<Value = Option<String>> {
    prop::option::of("(?s).{1,20}")
}

prop_compose! {
    fn data()(
        source in prop::sample::select(&[Source::Embedded, Source::Idx, Source::List, Source::Malaria]),
        path in path(),
        columns in prop::collection::btree_map(prop::sample::select(&["file", "class", "group"]), ".{1,9}", 0..3),
        subset_file in path(),
        domains in different_domains(2),
        test in any::<prop::sample::Index>(),
        per_class in 1..=1_000_000_usize,
        protocol in prop::sample::select(&[Protocol::Published, Protocol::DisjointTest]),
        (classes, least_images, validation) in
            (prop::collection::btree_set(".{1,9}", 0..4), 0..=1_000_000_000_usize, 0.0..=0.9_f64),
        (augment, skip_unreadable) in any::<(bool, bool)>(),
        per_domain in 1..=1_000_000_usize,
        subsets in 0..=9_usize,
        unlabelled in different_domains(0),
        images in prop::sample::select(&[UnlabelledImages::Used, UnlabelledImages::LeftOut]),
    ) -> DataConfig {
        let test_domain = test.get(&domains).clone();
        let unlabelled = Unlabelled { subsets, domains: unlabelled, images };
        let classes = classes.iter().map(|name| composed(name)).collect::<BTreeSet<_>>().into_iter().collect();
        let columns = columns.iter().map(|(column, name)| composed(&format!("{column}={name}"))).collect();
        DataConfig {
            source, path, columns, subset_file, domains, test_domain, per_class, protocol, classes, per_domain, least_images, validation,
            augment, skip_unreadable, unlabelled,
        }
    }
}

fn prior() -> impl Strategy<Value = PriorY> {
    let weights = prop::collection::vec(0.01..1.0_f64, 1..12);
    prop_oneof![
        Just(PriorY::Training),
        Just(PriorY::Smoothed),
        Just(PriorY::Uniform),
        weights.prop_map(|weights| {
            let sum: f64 = weights.iter().sum();
            PriorY::Probabilities(weights.iter().map(|weight| weight / sum).collect())
        }),
    ]
}

prop_compose! {
    fn model()(
        (encoder_width, decoder_width) in (0.03125..=16.0_f64, 0.03125..=16.0_f64),
        latent in 1..=4096_usize,
        logit_layout in prop::sample::select(&[LogitLayout::PerPixel, LogitLayout::Published]),
        kl in prop::sample::select(&[Kl::Sampled, Kl::ClosedForm]),
        prior_y in prior(),
    ) -> ModelConfig {
        ModelConfig { encoder_width, decoder_width, latent, logit_layout, kl, prior_y, ..published().model }
    }
}

prop_compose! {
    fn train()(
        (epochs, patience) in (1..=1_000_000_usize, 1..=1_000_000_usize),
        (batch, warmup) in (2..=65_536_usize, 0..=1_000_000_usize),
        learning_rate in 1e-12..=1e6_f64,
        (alpha_d, alpha_y, checkpoint_seconds) in (0.0..=1e9_f64, 0.0..=1e9_f64, 0.0..=1e9_f64),
        (reversal, second_batch) in (0.0..=1e3_f64, any::<bool>()),
    ) -> TrainConfig {
        TrainConfig {
            epochs, batch, learning_rate, warmup, alpha_d, alpha_y, reversal, second_batch, patience, checkpoint_seconds,
        }
    }
}

prop_compose! {
    fn config()(
        preset in prop::sample::select(&["quick", "rotated-mnist"]),
        seed in 0..=i64::MAX as u64,
        data in data(),
        model in model(),
        train in train(),
    ) -> Config {
        Config { preset: preset.into(), seed, data, model, train }
    }
}

proptest! {
    #[test]
    fn a_written_configuration_reads_as_itself(config in config()) {
        let text = config.to_toml();
        let again = of_file(&text).unwrap();
        prop_assert_eq!(&again, &config, "{}", text);
        prop_assert_eq!(again.to_toml(), text);
        prop_assert_eq!(again.identity(), config.identity());
        prop_assert_eq!(config.differences_that_matter(&again), Vec::<String>::new());
    }

    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in prop_oneof![
        "(?s).{0,60}",
        r#"(\[(data|model|train)\]
|(epochs|domains|latent|width) = ([0-9e.-]{1,6}|"[a-z\\]{0,4}"|\[[0-9, ]{0,6}\])
){1,5}"#,
    ]) {
        if let Err(error) = of_file(&text) {
            let sentence = error.to_string();
            prop_assert!(!sentence.chars().any(char::is_control), "{:?}", sentence);
            prop_assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn any_value_is_taken_or_refused_by_the_name_of_its_key(
        key in prop::sample::select(keys::KEYS.iter().map(|key| key.name).collect::<Vec<_>>()),
        value in prop_oneof![
            any::<i64>().prop_map(|whole| whole.to_string()),
            any::<f64>().prop_map(|real| format!("{real:?}")),
            prop::sample::select(&["[0.5, 0.5]", "[1, 'a']", "07:32:00", "{ a = 1 }"]).prop_map(String::from),
            "[ -~]{0,12}",
        ],
    ) {
        if let Err(error) = with(&[&format!("{key}={value}")]) {
            let sentence = error.to_string();
            prop_assert!(sentence.contains(key), "{}", sentence);
        }
    }
}
