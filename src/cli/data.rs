//! `diva data`

use super::{Asked, DataArguments, say, say_json};
use crate::data::{Dataset, are_numbered};
use crate::error::Result;
use crate::names::{at_right, printable_name, terminal_width};
use crate::train::sources::{self, Images};
use clap::Subcommand;
use serde::Serialize;
use std::path::Path;

/// The images that a configuration trains and tests on.
#[derive(Debug, Subcommand)]
pub(super) enum Data {
    /// Count the images of every domain and class, and say what cannot be read. Decoded pictures are kept packed in runs/.
    Info {
        /// The configuration whose data is read.
        #[command(flatten)]
        config: DataArguments,
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
    class_names: Vec<String>,
    domains: Vec<Row>,
    /// `[[lowest, narrowest], [highest, widest]]` of pictures before they were made one size.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_sizes: Option<[[u32; 2]; 2]>,
    /// Of a folder of pictures: what is assumed of it, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assumed: Vec<String>,
    /// Files that are left out, a sentence each.
    unreadable: Vec<String>,
    /// What else there is to know, a sentence each.
    notices: Vec<String>,
}

impl Data {
    pub(super) fn run(&self) -> Result<()> {
        let Data::Info { config, json } = self;
        let Asked { config, assumed, .. } = config.resolve()?;
        let (_, images) = sources::find(config)?.read(Some(Path::new("runs")), None)?;
        let Images { split, original_sizes, unreadable, notices, .. } = images;
        let row = |domain: &str, role, data: &Dataset, label: u32| {
            let mine = data.domains.iter().zip(&data.classes).filter(|(d, _)| **d == label);
            let mut images_of_class = vec![0; split.classes];
            let mut images = 0;
            for (_, &class) in mine {
                images += 1;
                // Of some images no class is known at all.
                if let Some(count) = images_of_class.get_mut(class as usize) {
                    *count += 1;
                }
            }
            Row { domain: domain.to_owned(), role, images, images_of_class }
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
        let class_names = split.class_names;
        let classes = split.classes;
        let info = Info {
            height,
            width,
            channels,
            classes,
            class_names,
            domains,
            original_sizes,
            assumed,
            unreadable,
            notices,
        };
        if *json {
            return say_json(&info);
        }
        say(&format!(
            "images of {height} x {width} pixels, {channels} channel(s), {} classes",
            info.classes
        ))?;
        if let Some([[lowest, narrowest], [highest, widest]]) = info.original_sizes {
            say(&format!("made from pictures of {lowest} x {narrowest} to {highest} x {widest} pixels"))?;
        }
        if !are_numbered(&info.class_names) {
            say(&format!(
                "classes: {}",
                info.class_names.iter().map(|name| printable_name(name)).collect::<Vec<_>>().join(", ")
            ))?;
        }
        let wide =
            info.domains.iter().map(|row| terminal_width(&printable_name(&row.domain))).fold(8, usize::max);
        let domain = at_right("domain", wide);
        say(&format!("{domain}  {:<14}{:>8}  images of each class", "role", "images"))?;
        for row in &info.domains {
            let by_class: Vec<String> = row.images_of_class.iter().map(ToString::to_string).collect();
            let domain = at_right(&printable_name(&row.domain), wide);
            say(&format!("{domain}  {:<14}{:>8}  {}", row.role, row.images, by_class.join(" ")))?;
        }
        if !info.unreadable.is_empty() {
            say(&format!("files that cannot be read and are left out: {}", info.unreadable.len()))?;
        }
        info.assumed.iter().try_for_each(|sentence| say(&format!("assumed: {sentence}")))?;
        info.unreadable.iter().chain(&info.notices).try_for_each(|sentence| say(sentence))?;
        Ok(())
    }
}
