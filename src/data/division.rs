//! Which image plays which part in a run: drawn once ([`held_out`](super::held_out)), kept with the run, found again by content.
//!
//! A folder of pictures changes after a training: files are renamed, added, removed, damaged. Were the draw repeated then,
//! images that were trained on would count as held back. So a run keeps a table, `division.csv`, a line an image:
//!
//! ```text
//! file,sha256,domain,class,group,role
//! ```
//!
//! `file` is the place below the folder of all, with slashes; `class` is empty of an image without one; `group` is what
//! it belongs to within its domain, empty of one of no group; `role` is training, validation, unlabelled, test, or left-out
//! (used for nothing). The lines stand in the order in which the images are trained on, so that the same table gives the same
//! bits.

use super::collection::{Collection, UNLABELLED};
use crate::error::{Error, Result};
use crate::store::input;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where an image goes, in the order of the parts in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Trained on with its class.
    Training,
    /// Held back, to choose the epoch by.
    Validation,
    /// Trained on without its class.
    Unlabelled,
    /// Of the domain that is never seen in training.
    Test,
    /// Used for nothing.
    LeftOut,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    file: String,
    #[serde(with = "hexadecimal")]
    sha256: [u8; 32],
    domain: String,
    class: String,
    group: String,
    role: Role,
}

/// By what an image is found again: the SHA-256 of its content, its domain and its class.
type Key<'a> = ([u8; 32], (&'a str, &'a str));

impl Row {
    fn key(&self) -> Key<'_> {
        (self.sha256, (&self.domain, &self.class))
    }
}

/// The images of a run with their roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    rows: Vec<Row>,
}

/// How files differ from those of a division, a sentence a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that have another name now: their images are used as before.
    pub renamed: Vec<String>,
    /// Files that are not there as they were.
    pub missing: Vec<String>,
    /// Files that were not there: they are left out.
    pub added: Vec<String>,
}

impl Division {
    /// The division of a collection by these roles.
    ///
    /// # Panics
    /// If there is not a role for each image.
    #[track_caller]
    pub fn new(collection: &Collection, roles: &[Role]) -> Self {
        assert_eq!(roles.len(), collection.images.len(), "a role for each image");
        let row = |(image, &role): (usize, &Role)| {
            let (domain, class) = labels(collection, image);
            let origin = &collection.origins[image];
            Row {
                file: origin.file.clone(),
                sha256: origin.sha256,
                domain: domain.to_owned(),
                class: class.to_owned(),
                group: origin.group.clone(),
                role,
            }
        };
        Division { rows: roles.iter().enumerate().map(row).collect() }
    }

    /// Whether any image of a domain is trained on with its class.
    pub fn labelled(&self, domain_names: &[String]) -> Vec<bool> {
        let with_class = self.rows.iter().filter(|row| matches!(row.role, Role::Training | Role::Validation));
        let labelled: BTreeSet<&str> = with_class.map(|row| row.domain.as_str()).collect();
        domain_names.iter().map(|name| labelled.contains(name.as_str())).collect()
    }

    /// How many images without a class are left out because images of their group are held back: trained on, they would make
    /// those look familiar.
    pub fn left_out_with_their_groups(&self) -> usize {
        let held_back: BTreeSet<(&str, &str)> = (self.rows.iter())
            .filter(|row| row.role == Role::Validation && !row.group.is_empty())
            .map(|row| (row.domain.as_str(), row.group.as_str()))
            .collect();
        let is_left_out = |row: &&Row| {
            row.role == Role::LeftOut
                && row.class.is_empty()
                && held_back.contains(&(row.domain.as_str(), row.group.as_str()))
        };
        self.rows.iter().filter(is_left_out).count()
    }

    /// The table as text.
    pub fn to_csv(&self) -> String {
        let mut table = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            table.serialize(row).expect("a row is plain data");
        }
        let bytes = table.into_inner().expect("memory takes all that is written");
        String::from_utf8(bytes).expect("a row is text")
    }

    /// Takes the text of a `division.csv` apart; `path` is what error messages call it. Memory: at most 32 times the text's
    /// length, and 64 KiB.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let rows = table.deserialize().collect::<std::result::Result<Vec<Row>, _>>().map_err(|cause| {
            let line = cause.position().map_or(1, csv::Position::line);
            Error::request(format!(
                "cannot read {}: line {line} is not that of an image and its role ({cause})",
                path.display()
            ))
        })?;
        // Every run trains on some. A table of which no line, or only a part, is left is not that of a run.
        match rows.iter().any(|row| row.role == Role::Training) {
            true => Ok(Division { rows }),
            false => Err(Error::request(format!(
                "cannot read {}: it names no training image, expected a line for each image of the run",
                path.display()
            ))),
        }
    }

    /// Reads a `division.csv`.
    ///
    /// # Errors
    /// If it is missing or not one.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&input::text(path, input::TABLE)?, path)
    }

    /// Finds the images of the division in a collection, and puts these in front, in the order of the table. Returns the role
    /// of each image, [`Role::LeftOut`] of those that the division does not know, and what has changed. Those that it knows are
    /// called as it calls them, and of the groups that it says, from then on.
    ///
    /// An image is that of a line if the content is the same and domain and class are; the one of the line's name, if several
    /// are. One that was put into another group plays its part as before: what was trained on stays that.
    ///
    /// # Errors
    /// If no image is left of a role that some had.
    pub fn find(&self, collection: &mut Collection) -> Result<(Vec<Role>, Changes)> {
        let images = collection.images.len();
        let mut there: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        for image in (0..images).rev() {
            let origin = &collection.origins[image];
            there.entry((origin.sha256, labels(collection, image))).or_default().push(image);
            named.insert(&origin.file, image);
        }
        // Those of the same name first, so that no other line takes them.
        let mut places: Vec<Option<usize>> = vec![None; self.rows.len()];
        for (row, place) in self.rows.iter().zip(&mut places) {
            let Some(same) = there.get_mut(&row.key()) else { continue };
            if let Some(at) = same.iter().rposition(|&image| collection.origins[image].file == row.file) {
                *place = Some(same.remove(at));
            }
        }
        let mut changes = Changes::default();
        for (row, place) in self.rows.iter().zip(&mut places).filter(|(_, place)| place.is_none()) {
            *place = there.get_mut(&row.key()).and_then(Vec::pop);
            match *place {
                Some(image) => {
                    changes.renamed.push(format!("{} is {} now", row.file, collection.origins[image].file));
                }
                None => changes.missing.push(match named.get(row.file.as_str()) {
                    None => format!("{} is not there", row.file),
                    Some(&image) if collection.origins[image].sha256 != row.sha256 => {
                        format!("{} has other bytes", row.file)
                    }
                    Some(&image) => {
                        let (domain, class) = labels(collection, image);
                        let Row { file, domain: before, class: of_class, .. } = row;
                        format!("{file} is of {domain:?}, {class:?} and not of {before:?}, {of_class:?}")
                    }
                }),
            }
        }
        let mut is_known = vec![false; images];
        let (mut order, mut roles) = (Vec::with_capacity(images), Vec::with_capacity(images));
        for (row, &place) in self.rows.iter().zip(&places) {
            let Some(image) = place else { continue };
            is_known[image] = true;
            let origin = &mut collection.origins[image];
            origin.file.clone_from(&row.file);
            origin.group.clone_from(&row.group);
            order.push(image);
            roles.push(row.role);
        }
        for image in (0..images).filter(|&image| !is_known[image]) {
            changes.added.push(format!("{} was not there", collection.origins[image].file));
            order.push(image);
            roles.push(Role::LeftOut);
        }
        for role in [Role::Training, Role::Validation, Role::Unlabelled, Role::Test] {
            if self.rows.iter().any(|row| row.role == role) && !roles.contains(&role) {
                let first = changes.missing.first().map_or("", String::as_str);
                let role = format!("{role:?}").to_lowercase();
                return Err(Error::request(format!("no {role} image is there as it was: {first}")));
            }
        }
        collection.rearrange(&order);
        Ok((roles, changes))
    }
}

/// The domain and the class of an image; of one without a class an empty one.
fn labels(collection: &Collection, image: usize) -> (&str, &str) {
    let domain = &collection.domain_names[collection.images.domains[image] as usize];
    let class = match collection.images.classes[image] {
        UNLABELLED => "",
        class => &collection.class_names[class as usize],
    };
    (domain, class)
}

/// Bytes as hexadecimal digits.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |at: usize| text.as_bytes().get(at).and_then(|&byte| char::from(byte).to_digit(16));
        let byte = |i: usize| Some((digit(2 * i)? * 16 + digit(2 * i + 1)?) as u8);
        let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
        let bytes = bytes.filter(|_| text.len() == 64).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| D::Error::custom(format!("{text:?} is not a SHA-256 in 64 hexadecimal digits")))
    }
}

#[cfg(test)]
mod tests;
