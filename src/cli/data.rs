//! `diva data`

use super::columns::columns;
use super::{Asked, DataArguments, RUNS, say, say_json};
use crate::config::Config;
use crate::data::collection::DomainCounts;
use crate::data::pictures::Loaded;
use crate::data::{Dataset, Split, are_numbered, warnings};
use crate::error::{Error, Result};
use crate::names::{at_left, printable_name};
use crate::train::own_images::{Place, Survey};
use crate::train::sources::{self, Images};
use clap::Subcommand;
use serde::Serialize;
use std::path::Path;

/// How wide a role is.
const ROLE: usize = "disjoint-test".len();

/// How many classes have columns of their own in a table.
const MOST_COLUMNS: usize = 20;

/// The images that a configuration trains and tests on.
#[derive(Debug, Subcommand)]
pub(super) enum Data {
    /// Count the images of every domain and class, and say what cannot be read and what would make an answer worthless. Decoded
    /// pictures are kept packed in runs/.
    ///
    /// Of a folder or a list of pictures it says all that can be said, even where they cannot be trained on, and why that is.
    Info {
        /// The configuration whose data is read.
        #[command(flatten)]
        config: DataArguments,
        /// Print one JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Of a folder or a list of pictures: what lies there of one domain.
#[derive(Serialize)]
struct Pictures {
    domain: String,
    /// By class.
    pictures_of_class: Vec<usize>,
    unlabelled: usize,
    groups: usize,
    pictures: usize,
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
    /// Of a folder or a list of pictures: what lies there, readable or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pictures: Vec<Pictures>,
    /// What is trained and tested on; empty if nothing can be.
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
    /// Why nothing can be trained on them as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Data {
    pub(super) fn run(&self) -> Result<()> {
        let Data::Info { config: arguments, json } = self;
        let info = match arguments.place()? {
            Some(place) => Info::of_pictures(arguments, place)?,
            None => {
                let Asked { config, .. } = arguments.resolve()?;
                Info::of_images(read(config)?)
            }
        };
        if *json { say_json(&info) } else { info.say() }
    }
}

fn read(config: Config) -> Result<Images> {
    Ok(sources::find(config)?.read(Some(Path::new(RUNS)), None)?.1)
}

impl Info {
    fn of_images(images: Images) -> Self {
        let Images { split, original_sizes, unreadable, notices, .. } = images;
        let Dataset { height, width, channels, .. } = split.train;
        Info {
            height,
            width,
            channels,
            classes: split.classes,
            domains: roles(&split),
            class_names: split.class_names,
            pictures: Vec::new(),
            original_sizes,
            assumed: Vec::new(),
            unreadable,
            notices,
            refused: None,
        }
    }

    /// What there is to know of pictures, whether or not they can be trained on.
    fn of_pictures(arguments: &DataArguments, place: Place) -> Result<Self> {
        let survey = arguments.survey(place)?;
        let mut info = match survey.assumed() {
            Ok(assumed) => {
                let mut config = arguments.with_assumed(&assumed)?;
                config.data.skip_unreadable = true;
                let mut info = match read(config) {
                    Ok(images) => Info::of_images(images),
                    Err(Error::Request(why)) => Info::of_refused(&survey, why)?,
                    Err(other) => return Err(other),
                };
                info.assumed = assumed.sentences;
                info
            }
            // One that was named is another matter than what the pictures are.
            Err(Error::Request(why)) if arguments.test_domain.is_none() => Info::of_refused(&survey, why)?,
            Err(other) => return Err(other),
        };
        if !info.unreadable.is_empty() && !arguments.skip_unreadable {
            let sentence =
                "training stops at the first file that cannot be read; --skip-unreadable leaves them out";
            info.notices.push(sentence.to_owned());
        }
        let of_domain = |(domain, counts, groups)| {
            let counts: DomainCounts = counts;
            Pictures {
                domain,
                pictures: counts.all(),
                pictures_of_class: counts.of_class,
                unlabelled: counts.unlabelled,
                groups,
            }
        };
        info.pictures = survey.domains().into_iter().map(of_domain).collect();
        Ok(info)
    }

    /// What there is to know of pictures that cannot be trained on, and why.
    fn of_refused(survey: &Survey, why: String) -> Result<Self> {
        let Loaded { collection, original_sizes, unreadable, mut notices, .. } =
            survey.load(Some(Path::new(RUNS)))?;
        notices.extend(warnings::of(&collection, None));
        let Dataset { height, width, channels, .. } = collection.images;
        Ok(Info {
            height,
            width,
            channels,
            classes: collection.class_names.len(),
            class_names: collection.class_names,
            pictures: Vec::new(),
            domains: Vec::new(),
            original_sizes: Some(original_sizes),
            assumed: Vec::new(),
            unreadable,
            notices,
            refused: Some(why),
        })
    }

    fn say(&self) -> Result<()> {
        let Info { height, width, channels, classes, .. } = self;
        say(&format!("images of {height} x {width} pixels, {channels} channel(s), {classes} classes"))?;
        if let Some([[lowest, narrowest], [highest, widest]]) = self.original_sizes {
            say(&format!("made from pictures of {lowest} x {narrowest} to {highest} x {widest} pixels"))?;
        }
        let names: Vec<String> = self.class_names.iter().map(|name| printable_name(name)).collect();
        if !are_numbered(&self.class_names) {
            say(&format!("classes: {}", names.join(", ")))?;
        }
        if !self.pictures.is_empty() {
            let has_unlabelled = self.pictures.iter().any(|domain| domain.unlabelled > 0);
            let has_groups = self.pictures.iter().any(|domain| domain.groups > 0);
            let mut rows = vec![self.heads(&["domain", "pictures"])];
            rows[0].extend(has_unlabelled.then(|| "without class".into()));
            rows[0].extend(has_groups.then(|| "groups".into()));
            for Pictures { domain, pictures, pictures_of_class, unlabelled, groups } in &self.pictures {
                let mut row = vec![domain.clone(), pictures.to_string()];
                row.extend(self.by_class(pictures_of_class));
                row.extend(has_unlabelled.then(|| unlabelled.to_string()));
                row.extend(has_groups.then(|| groups.to_string()));
                rows.push(row);
            }
            say("what lies there:")?;
            columns(&rows).iter().try_for_each(|line| say(line))?;
        }
        if !self.domains.is_empty() {
            let left = |role: &str| at_left(role, ROLE);
            let mut rows = vec![self.heads(&["domain", &left("role"), "images"])];
            for Row { domain, role, images, images_of_class } in &self.domains {
                let mut row = vec![domain.clone(), left(role), images.to_string()];
                row.extend(self.by_class(images_of_class));
                rows.push(row);
            }
            say("what it is used for:")?;
            columns(&rows).iter().try_for_each(|line| say(line))?;
        }
        if !self.unreadable.is_empty() {
            say(&format!("files that cannot be read and are left out: {}", self.unreadable.len()))?;
        }
        self.assumed.iter().try_for_each(|sentence| say(&format!("assumed: {sentence}")))?;
        self.unreadable.iter().chain(&self.notices).try_for_each(|sentence| say(sentence))?;
        self.refused.iter().try_for_each(|why| say(&format!("as they are, they cannot be trained on: {why}")))
    }

    /// The heads of a table, of each class one if these are not too many.
    fn heads(&self, first: &[&str]) -> Vec<String> {
        let classes = match self.classes {
            ..=MOST_COLUMNS => self.class_names.clone(),
            _ => vec!["images of each class".into()],
        };
        first.iter().map(ToString::to_string).chain(classes).collect()
    }

    /// The entries below the heads of the classes.
    fn by_class(&self, counts: &[usize]) -> Vec<String> {
        let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        if self.classes <= MOST_COLUMNS { counts } else { vec![counts.join(" ")] }
    }
}

/// The images of each domain in each role.
fn roles(split: &Split) -> Vec<Row> {
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
    let mut rows: Vec<Row> = Vec::new();
    let held_back = split.validation.iter().map(|data| ("validation", data));
    for (role, data) in split.trained_on().chain(held_back) {
        let of_role = split.domain_names.iter().zip(0..).map(|(name, label)| row(name, role, data, label));
        rows.extend(of_role.filter(|row| row.images > 0));
    }
    let unseen = split.domain_names.len() as u32;
    rows.push(row(&split.test_domain, "test", &split.test, unseen));
    if let Some(disjoint) = &split.disjoint_test {
        rows.push(row(&split.test_domain, "disjoint-test", disjoint, unseen));
    }
    rows
}
