//! `diva data`

use super::{ConfigArguments, say, say_json};
use crate::data::Dataset;
use crate::error::Result;
use crate::train::dataset;
use clap::Subcommand;
use serde::Serialize;

/// The images that a configuration trains and tests on.
#[derive(Debug, Subcommand)]
pub(super) enum Data {
    /// Count the images of every domain and class.
    Info {
        /// The configuration whose data is read.
        #[command(flatten)]
        config: ConfigArguments,
        /// Print one JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Row {
    domain: String,
    /// "training", "validation", "unlabelled", "test" or "disjoint-test".
    role: &'static str,
    images: usize,
    /// By class.
    images_of_class: Vec<usize>,
}

#[derive(Serialize)]
struct Info {
    height: usize,
    width: usize,
    channels: usize,
    classes: usize,
    domains: Vec<Row>,
}

impl Data {
    pub(super) fn run(&self) -> Result<()> {
        let Data::Info { config, json } = self;
        let split = dataset::load(&config.resolve()?)?;
        let row = |domain: &str, role, data: &Dataset, label: u32| {
            let mine = data.domains.iter().zip(&data.classes).filter(|(d, _)| **d == label);
            let mut images_of_class = vec![0; split.classes];
            for (_, &class) in mine {
                images_of_class[class as usize] += 1;
            }
            Row { domain: domain.to_owned(), role, images: images_of_class.iter().sum(), images_of_class }
        };
        let mut domains: Vec<Row> = Vec::new();
        let held_back = split.validation.iter().map(|data| ("validation", data));
        for (role, data) in split.trained_on().chain(held_back) {
            let rows = split.domain_names.iter().zip(0..).map(|(name, label)| row(name, role, data, label));
            domains.extend(rows.filter(|row| row.images > 0));
        }
        let unseen = split.domain_names.len() as u32;
        domains.push(row(&split.test_domain, "test", &split.test, unseen));
        if let Some(disjoint) = &split.disjoint_test {
            domains.push(row(&split.test_domain, "disjoint-test", disjoint, unseen));
        }
        let Dataset { height, width, channels, .. } = split.train;
        let info = Info { height, width, channels, classes: split.classes, domains };
        if *json {
            return say_json(&info);
        }
        say(&format!(
            "images of {height} x {width} pixels, {channels} channel(s), {} classes",
            info.classes
        ))?;
        say(&format!("{:>8}  {:<14}{:>8}  images of each class", "domain", "role", "images"))?;
        for row in &info.domains {
            let by_class: Vec<String> = row.images_of_class.iter().map(ToString::to_string).collect();
            say(&format!("{:>8}  {:<14}{:>8}  {}", row.domain, row.role, row.images, by_class.join(" ")))?;
        }
        Ok(())
    }
}
