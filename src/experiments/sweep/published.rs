//! Published accuracies on rotated MNIST, to stand beside a sweep's own.

use crate::config::{Config, DomainName, Protocol, Source};
use serde::Serialize;

/// The rotations of the published experiments, in degrees, each the unseen one in turn.
const ANGLES: [f64; 6] = [0.0, 15.0, 30.0, 45.0, 60.0, 75.0];

const HEX_PAPER: &str = "Wang et al., ICLR 2019 (HEX), table 3";

/// A row of a published table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// The method's name.
    pub method: &'static str,
    /// Where the figures stand, or that they were not read there.
    pub source: &'static str,
    /// The share of recognised digits of the unseen domain, by rotation in the order 0, 15, 30, 45, 60, 75.
    pub accuracy: [f64; 6],
}

/// Mean test accuracies in per cent; five of the methods as one paper compares them.
const ROWS: [(&str, &str, [f64; 6]); 6] = [
    ("DANN", HEX_PAPER, [86.7, 98.0, 97.8, 97.4, 96.9, 89.1]),
    ("LabelGrad", HEX_PAPER, [89.7, 97.8, 98.0, 97.1, 96.6, 92.1]),
    ("CrossGrad", HEX_PAPER, [88.3, 98.6, 98.0, 97.7, 97.7, 91.4]),
    ("HEX", HEX_PAPER, [90.1, 98.9, 98.9, 98.8, 98.3, 90.0]),
    ("ADV", HEX_PAPER, [91.1, 98.2, 98.6, 98.7, 98.4, 92.0]),
    ("DIVA", "as remembered, not read: Ilse et al., MIDL 2020", [93.5, 99.3, 99.1, 99.2, 99.3, 93.0]),
];

impl Published {
    /// The figure for a test domain by its name.
    pub fn of_domain(&self, name: &str) -> Option<f64> {
        let angle: f64 = name.parse().ok()?;
        ANGLES.iter().position(|&other| other == angle).map(|place| self.accuracy[place])
    }
}

/// The published figures, if all runs are on rotated digits in the six published rotations; in what way these runs
/// differ from the published experiment goes into `notes`.
pub fn beside(configs: &[&Config], notes: &mut Vec<String>) -> Vec<Published> {
    let is_angle =
        |name: &DomainName, angle: f64| matches!(name, DomainName::Angle(other) if *other == angle);
    let on_rotated_digits = configs.iter().all(|config| {
        let data = &config.data;
        matches!(data.source, Source::Embedded | Source::Idx)
            && data.domains.len() == ANGLES.len()
            && ANGLES.iter().all(|&angle| data.domains.iter().any(|name| is_angle(name, angle)))
    });
    if !on_rotated_digits {
        notes.push(
            "No published figures stand beside: they are for rotations by 0, 15, 30, 45, 60 and 75 degrees."
                .into(),
        );
        return Vec::new();
    }
    notes.push("Published averages are taken over the test domains shown.".into());
    type Applies = fn(&Config) -> bool;
    let differences: [(&str, Applies); 6] = [
        ("digits that ship inside the program instead of the whole MNIST set to draw from", |config| {
            config.data.source == Source::Embedded
        }),
        ("another number of labelled digits than 100 a class", |config| {
            config.data.subset_file.is_none() && config.data.per_class != 100
        }),
        ("test digits that are not the training digits", |config| {
            config.data.protocol != Protocol::Published
        }),
        ("images without a class, or fewer domains with classes", |config| {
            config.data.unlabelled.subsets > 0 || !config.data.unlabelled.domains.is_empty()
        }),
        ("networks of another width", |config| {
            (config.model.encoder_width, config.model.decoder_width, config.model.latent) != (1.0, 1.0, 64)
        }),
        ("another number of epochs than 500 at most", |config| config.train.epochs != 500),
    ];
    for (difference, applies) in differences {
        if configs.iter().any(|config| applies(config)) {
            notes.push(format!("Unlike in the published experiment, there are runs with {difference}."));
        }
    }
    // By way of whole per mille: the share nearest to the printed figure.
    let share = |percent: f64| (percent * 10.0).round() / 1000.0;
    let row = |(method, source, accuracy): (_, _, [f64; 6])| Published {
        method,
        source,
        accuracy: accuracy.map(share),
    };
    ROWS.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The averages that the papers print beside these figures.
    #[test]
    fn the_rows_add_up_to_their_published_averages() {
        let averages = [94.3, 95.2, 95.3, 95.8, 96.2, 97.2];
        for ((method, _, accuracy), average) in ROWS.into_iter().zip(averages) {
            let mean = accuracy.iter().sum::<f64>() / 6.0;
            assert!((mean - average).abs() < 0.05 + 1e-9, "{method}: {mean}");
        }
    }

    fn config(overrides: &[&str]) -> Config {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        Config::resolve(None, Some("quick"), &overrides, None).unwrap()
    }

    #[test]
    fn they_stand_beside_runs_on_the_same_domains_with_what_differs() {
        let mut notes = Vec::new();
        let other_digits = config(&["data.test_domain=0", "data.protocol=disjoint-test"]);
        let rows = beside(&[&config(&[]), &other_digits], &mut notes);
        assert_eq!(rows.len(), 6);
        assert!(rows[5].source.starts_with("as remembered"));
        assert_eq!(rows[0].of_domain("75"), Some(0.891));
        assert_eq!(rows[3].of_domain("0"), Some(0.901));
        assert_eq!(rows[3].of_domain("C116P77"), None);
        // The preset quick has a narrow decoder and few epochs besides.
        let differences =
            ["inside the program", "not the training digits", "of another width", "epochs than 500"];
        assert_eq!(notes.len(), 1 + differences.len(), "{notes:?}");
        assert!(notes[1..].iter().zip(differences).all(|(note, what)| note.contains(what)), "{notes:?}");

        let mut notes = Vec::new();
        let fewer = config(&["data.domains=[0, 30, 75]"]);
        assert_eq!(beside(&[&config(&[]), &fewer], &mut notes), []);
        assert!(notes[0].starts_with("No published figures"), "{notes:?}");
    }
}
