//! Names of domains, classes and groups as folders and lists spell them.

use crate::names::{composed, likeness};
use std::collections::{BTreeMap, BTreeSet};

/// The names of domains, of classes, or of groups, in order, each with its spellings.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    /// Notes a name as it is spelled; its one spelling.
    pub(super) fn add(&mut self, spelled: &str) -> String {
        let name = composed(spelled);
        self.0.entry(name.clone()).or_default().insert(spelled.to_owned());
        name
    }

    /// Forgets the names that are not to stay.
    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| stays(name));
    }

    /// Those that are easily taken for one another, or were: a sentence each. `kind` is what one is, and what several are.
    pub(super) fn notices(&self, kind: [&str; 2]) -> Vec<String> {
        let [one, several] = kind;
        let spelled = self.0.iter().filter(|(_, spellings)| spellings.len() > 1).map(|(name, spellings)| {
            format!(
                "the {one} {name:?} is spelled in {} ways that look the same (with its accents composed or apart): it is taken \
                 as one {one}",
                spellings.len()
            )
        });
        let mut alike: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        self.0.keys().for_each(|name| alike.entry(likeness(name)).or_default().push(name));
        let alike = alike.into_values().filter(|names| names.len() > 1).map(|names| {
            let listed: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            format!(
                "the {several} {} differ only in case, spaces or forms of a letter, and are {} {several}: give them one \
                 name if they are one {one}",
                listed.join(" and "),
                names.len()
            )
        });
        spelled.chain(alike).collect()
    }

    /// The names, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The same.
    pub(super) fn into_sorted(self) -> Vec<String> {
        self.0.into_keys().collect()
    }
}

/// The place of a name among sorted ones, which have it.
pub(super) fn place(names: &[String], name: &str) -> u32 {
    names.partition_point(|other| **other < *name) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_one_or_is_told_of() {
        let mut names = Names::default();
        for (spelled, name) in [
            ("thé", "thé"),
            ("cafe\u{301}", "café"),
            ("café", "café"),
            ("Café", "Café"),
            ("café ", "café "),
            ("other", "other"),
        ] {
            assert_eq!(names.add(spelled), name);
        }
        assert_eq!(
            names.notices(["class", "classes"]),
            [
                "the class \"café\" is spelled in 2 ways that look the same (with its accents composed or apart): it is taken as \
                 one class",
                "the classes \"Café\" and \"café\" and \"café \" differ only in case, spaces or forms of a letter, and are 3 \
                 classes: give them one name if they are one class",
            ]
        );
        names.retain(|name| name != "café" && name != "Café");
        assert!(names.notices(["class", "classes"]).is_empty());
        let sorted = names.into_sorted();
        assert_eq!(sorted, ["café ", "other", "thé"]);
        assert_eq!(sorted.iter().map(|name| place(&sorted, name)).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
