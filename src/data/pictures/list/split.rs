//! The column split of a list: what each picture is for.

use super::{Line, Numbered, Problem};
use crate::data::collection::{Collection, UNLABELLED};
use crate::data::division::Role;
use crate::data::pictures::listing::{NamedSplit, name_below};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a word of the column stands for; an empty one for nothing.
pub(super) fn of_word(word: &str) -> Problem<Option<Role>> {
    Ok(Some(match &*word.to_ascii_lowercase() {
        "" => return Ok(None),
        "train" | "training" => Role::Training,
        "validation" => Role::Validation,
        "test" => Role::Test,
        "unlabelled" | "unlabeled" => Role::Unlabelled,
        _ => return Err(format!("has the split {word:?}, expected train, validation, test or unlabelled")),
    }))
}

/// The word of a role that a line has or, of a picture without a class, needs not have.
fn word(role: Option<Role>) -> &'static str {
    match role {
        Some(Role::Training) => "train",
        Some(Role::Validation) => "validation",
        Some(Role::Test) => "test",
        Some(Role::Unlabelled | Role::LeftOut) | None => "unlabelled",
    }
}

/// What the lines say together; nothing if none says anything.
pub(super) fn named(lines: &[Line], domains: &Numbered, root: &Path) -> Problem<Option<NamedSplit>> {
    let Some(with_split) = lines.iter().find(|line| line.split.is_some()) else { return Ok(None) };
    let first = |role: Role| lines.iter().find(|line| line.split == Some(role));
    let test = first(Role::Test)
        .ok_or("no line has the split test, expected those of the domain that training never sees")?;
    let test_domain = domains.name(test.picture.domain);
    if first(Role::Training).is_none() {
        return Err("no line has the split train".into());
    }
    // The first line of each group, and whether it is held back.
    let mut groups: BTreeMap<(u32, &str), (&Line, bool)> = BTreeMap::new();
    for line in lines {
        let Line { number, picture, split } = line;
        let has_class = picture.class != UNLABELLED;
        if has_class && split.is_none() {
            let other = with_split.number;
            return Err(format!("line {number} has a class and no split, expected one as in line {other}"));
        }
        let is_of_test = picture.domain == test.picture.domain;
        if *split == Some(Role::Test) && !is_of_test {
            return Err(format!(
                "line {number} has the split test and the domain {:?}, but line {} has {test_domain:?}: expected one domain for \
                 test",
                domains.name(picture.domain),
                test.number
            ));
        }
        if is_of_test && split.is_some_and(|role| role != Role::Test) {
            return Err(format!(
                "line {number} has the split {} and the domain {test_domain:?}, which is that of the test in line {}: expected test",
                word(*split),
                test.number
            ));
        }
        if !has_class && matches!(split, Some(Role::Training | Role::Validation)) {
            return Err(format!(
                "line {number} has the split {} and no class, expected unlabelled",
                word(*split)
            ));
        }
        if !is_of_test && !picture.group.is_empty() {
            let is_held_back = *split == Some(Role::Validation);
            let (other, other_is) =
                *groups.entry((picture.domain, &picture.group)).or_insert((line, is_held_back));
            if other_is != is_held_back {
                return Err(format!(
                    "line {number} has the split {} and the group {:?}, but line {} has {}: expected a group on one side",
                    word(*split),
                    picture.group,
                    other.number,
                    word(other.split)
                ));
            }
        }
    }
    let held_back = lines.iter().filter(|line| line.split == Some(Role::Validation));
    let validation: BTreeSet<String> = held_back.map(|line| name_below(root, &line.picture.path)).collect();
    Ok(Some(NamedSplit { test_domain: test_domain.to_owned(), validation }))
}

impl NamedSplit {
    /// Holds back the images that the list names, of images of which none is. Those of them that were left out stay so.
    ///
    /// # Errors
    /// If one is to be trained on without its class, none of those that are trained on is left, or none of those that are named
    /// is there.
    pub fn hold_back(&self, collection: &Collection, roles: &mut [Role]) -> Result<()> {
        for (origin, role) in collection.origins.iter().zip(&mut *roles) {
            let is_named = self.validation.contains(&origin.file);
            match *role {
                Role::Training if is_named => *role = Role::Validation,
                Role::Unlabelled if is_named => {
                    return Err(Error::request(format!(
                        "cannot train on {} without its class: the list has it for validation",
                        origin.file
                    )));
                }
                _ => (),
            }
        }
        let is_there = |role| roles.contains(&role);
        match (is_there(Role::Training), is_there(Role::Validation) || self.validation.is_empty()) {
            (true, true) => Ok(()),
            (false, _) => {
                Err(Error::request("cannot train: the list has no image of these domains and classes for it"))
            }
            (_, false) => Err(Error::request(
                "cannot choose an epoch: none of the images that the list has for validation is of a domain that is trained on",
            )),
        }
    }
}
