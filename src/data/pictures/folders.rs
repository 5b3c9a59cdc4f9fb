//! Pictures in folders that say what they are: `ROOT/DOMAIN/CLASS/picture`, or `ROOT/DOMAIN/CLASS/GROUP/picture`.
//!
//! The domains are the folders of the root in the order of their names, the classes all names of folders in them, in
//! order, whichever domains have them: a class may be missing in a domain, and a domain may have a single picture. Folders
//! whose names are one name in two spellings of Unicode are one domain, one class or one group.
//! Pictures in `ROOT/DOMAIN/unlabelled/` (or `unlabeled`, in upper or lower case) have no class. Empty class folders count
//! for nothing. [`super::listing`] says which files are passed over.
//!
//! A folder in that of a class is a group: a patient, a slide, whatever images are of together. All pictures in it and in the
//! folders below belong to it; those that stand beside it have no group. Folders of one name in several classes of a domain, or in
//! `unlabelled`, are one group; in two domains they are two, and a notice tells.

use super::listing::{
    Entry, Listing, PictureFile, entries, hidden_folders, pictures_and_folders, pictures_below,
};
use super::spelling::{Names, place};
use crate::data::collection::UNLABELLED;
use crate::error::{Error, Result};
use crate::names::shown;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pictures of one place.
struct Found {
    domain: String,
    class: Option<String>,
    group: String,
    files: Vec<PathBuf>,
}

/// Lists the pictures of `root`.
///
/// # Errors
/// If a folder cannot be listed, leads in a circle by links, or has a name that is not UTF-8 and is to be that of a domain, a class or
/// a group; if the root has no folder, a domain no picture, or no domain a class; if a picture stands outside of a class folder.
pub fn list(root: &Path) -> Result<Listing> {
    let (mut domains, mut classes) = (Names::default(), Names::default());
    let mut groups: BTreeMap<String, Names> = BTreeMap::new();
    let mut found: Vec<Found> = Vec::new();
    let mut hidden = hidden_folders(root)?;
    for domain in folders_in(root, root)? {
        hidden.extend(hidden_folders(&domain.path)?);
        let name = domains.add(&domain.text()?);
        let groups = groups.entry(name.clone()).or_default();
        let before = found.len();
        for class in folders_in(&domain.path, root)? {
            hidden.extend(hidden_folders(&class.path)?);
            let spelled = class.text()?;
            let has_no_class = is_without_class(&spelled);
            let (own, folders) = pictures_and_folders(&class.path)?;
            let mut parts = vec![(String::new(), own)];
            for folder in folders {
                let files = pictures_below(&folder.path, &mut hidden)?;
                if !files.is_empty() {
                    parts.push((groups.add(&folder.text()?), files));
                }
            }
            if parts.iter().all(|(_, files)| files.is_empty()) {
                continue;
            }
            let class = if has_no_class { None } else { Some(classes.add(&spelled)) };
            found.extend(parts.into_iter().map(|(group, files)| Found {
                domain: name.clone(),
                class: class.clone(),
                group,
                files,
            }));
        }
        if found.len() == before {
            return Err(expected(
                &format!("cannot use the domain {}: it has no picture", shown(&domain.path)),
                root,
            ));
        }
    }
    let mut notices =
        [domains.notices(["domain", "domains"]), classes.notices(["class", "classes"])].concat();
    notices.extend(group_notices(&groups));
    if let Some(first) = hidden.first() {
        notices.push(format!(
            "folders whose names begin with a dot are hidden, and passed over: {}, the first is {}; rename those that are domains, \
             classes or groups",
            hidden.len(),
            shown(first)
        ));
    }
    let (domain_names, class_names) = (domains.into_sorted(), classes.into_sorted());
    if domain_names.is_empty() {
        return Err(expected(&format!("cannot find pictures in {}: it has no folder", shown(root)), root));
    }
    if class_names.is_empty() {
        let what = format!("cannot use the pictures in {}: none has a class", shown(root));
        return Err(expected(&what, root));
    }
    let class_of =
        |class: &Option<String>| class.as_ref().map_or(UNLABELLED, |class| place(&class_names, class));
    // stable: of two folders of one class in order
    found.sort_by_key(|found| (place(&domain_names, &found.domain), class_of(&found.class)));
    let files = found
        .into_iter()
        .flat_map(|Found { domain, class, group, files }| {
            let (domain, class) = (place(&domain_names, &domain), class_of(&class));
            files.into_iter().map(move |path| PictureFile { path, domain, class, group: group.clone() })
        })
        .collect();
    Ok(Listing { root: root.to_path_buf(), files, domain_names, class_names, notices, split: None })
}

/// Whether what is called like this stands for no class.
pub(super) fn is_without_class(name: &str) -> bool {
    ["unlabelled", "unlabeled"].iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// What is to be known of the groups of each domain: of groups of one kind the first, and how many there are.
pub(super) fn group_notices(groups: &BTreeMap<String, Names>) -> Vec<String> {
    let mut domains_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (domain, names) in groups {
        names.iter().for_each(|group| domains_of.entry(group).or_default().push(domain));
    }
    let in_several: Vec<String> = domains_of
        .into_iter()
        .filter(|(_, domains)| domains.len() > 1)
        .map(|(group, domains)| {
            let (first, last) = domains.split_at(domains.len() - 1);
            format!(
                "the group {group:?} is in the domains {} and {}: it is taken as {} groups; if it is one (one patient, for example), \
                 the test domain has been seen in training",
                first.join(", "),
                last[0],
                domains.len()
            )
        })
        .collect();
    let alike = groups.iter().flat_map(|(domain, names)| {
        names
            .notices(["group", "groups"])
            .into_iter()
            .map(move |notice| format!("in the domain {domain}, {notice}"))
    });
    let first_of = |notices: Vec<String>| {
        let more = notices.len().saturating_sub(1);
        notices.into_iter().next().map(|first| match more {
            0 => first,
            _ => format!("{first}; so it is with {more} more"),
        })
    };
    first_of(in_several).into_iter().chain(first_of(alike.collect())).collect()
}

fn expected(what: &str, root: &Path) -> Error {
    Error::request(format!("{what}, expected {}", shown(root.join("DOMAIN").join("CLASS").join("picture"))))
}

/// The folders in `folder`, beside which no picture may stand.
fn folders_in(folder: &Path, root: &Path) -> Result<Vec<Entry>> {
    let (folders, files): (Vec<Entry>, Vec<Entry>) =
        entries(folder)?.into_iter().partition(|entry| entry.is_folder);
    for file in files {
        if file.is_named_picture() {
            let what = format!("cannot tell the domain and class of {}", shown(&file.path));
            return Err(expected(&what, root));
        }
        // A link to nothing, or in a circle, that may have been meant for a folder.
        std::fs::metadata(&file.path).map_err(|cause| Error::reading(&file.path, &cause))?;
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;
    use std::fs;

    /// Makes empty files of these names, or folders where the name ends in a slash.
    fn with(files: &[&str]) -> Scratch {
        let scratch = Scratch::new();
        for name in files {
            let path = scratch.join(name);
            match name.strip_suffix('/') {
                Some(_) => fs::create_dir_all(path).unwrap(),
                None => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, b"").unwrap();
                }
            }
        }
        scratch
    }

    #[test]
    fn places_say_domain_and_class() {
        let scratch = with(&[
            "Köln 2/malaria/b 1.png",
            "Köln 2/malaria/a.JPG",
            "Köln 2/malaria/é.png",
            "Köln 2/malaria/Thumbs.db",
            "Köln 2/healthy/only.png",
            "Ghent/Unlabelled/x",
            "Ghent/malaria/1.png",
            "Ghent/notes.docx",
            "Ghent/empty class/",
            "Accra/unlabeled/z.png",
            "labels.csv",
            ".git/config",
            ".git/hooks/a.png",
        ]);
        let listing = list(scratch.path()).unwrap();
        assert_eq!(listing.domain_names, ["Accra", "Ghent", "Köln 2"]);
        assert_eq!(listing.class_names, ["healthy", "malaria"]);
        assert_eq!(listing.notices.len(), 0);
        let found: Vec<(String, u32, u32)> =
            (0..).zip(&listing.files).map(|(i, file)| (listing.name(i), file.domain, file.class)).collect();
        let expected = [
            ("Accra/unlabeled/z.png", 0, UNLABELLED),
            ("Ghent/malaria/1.png", 1, 1),
            ("Ghent/Unlabelled/x", 1, UNLABELLED),
            ("Köln 2/healthy/only.png", 2, 0),
            ("Köln 2/malaria/a.JPG", 2, 1),
            ("Köln 2/malaria/b 1.png", 2, 1),
            ("Köln 2/malaria/é.png", 2, 1),
        ];
        assert_eq!(found, expected.map(|(name, domain, class)| (name.to_owned(), domain, class)));
    }

    /// The fault: a domain `.2024` was not there, and nothing said so.
    #[test]
    fn hidden_folders_are_told_of_once() {
        let scratch = with(&[
            "A/x/1.png",
            "A/.y/1.png",
            "A/.DS_Store",
            "A/.ipynb_checkpoints/1.png",
            "B/x/1.png",
            "B/x/.P1/1.png",
            "B/x/P2/.week 1/1.png",
            "B/x/P2/1.png",
            ".2024/x/1.png",
        ]);
        let listing = list(scratch.path()).unwrap();
        assert_eq!(
            (&listing.domain_names[..], &listing.class_names[..]),
            (&["A".into(), "B".into()][..], &["x".into()][..])
        );
        let [notice] = &listing.notices[..] else { panic!("{:?}", listing.notices) };
        assert!(
            notice.starts_with("folders whose names begin with a dot are hidden, and passed over: 4, "),
            "{notice}"
        );
        assert!(notice.contains(".2024; rename"), "{notice}");
    }

    /// A folder made on one machine, copied beside one made on another.
    #[test]
    fn one_name_in_two_spellings_is_one() {
        let (composed, apart) = ("caf\u{e9}", "cafe\u{301}");
        let files = [
            format!("A/{composed}/1.png"),
            "A/thé/1.png".to_owned(),
            format!("B/{apart}/1.png"),
            format!("B/{composed}/0.png"),
            format!("{apart}/{apart}/1.png"),
            format!("{composed}/{composed}/1.png"),
            format!("{composed}/THÉ/1.png"),
        ];
        let scratch = with(&files.each_ref().map(String::as_str));
        let listing = list(scratch.path()).unwrap();
        assert_eq!(listing.domain_names, ["A", "B", composed]);
        assert_eq!(listing.class_names, ["THÉ", composed, "thé"]);
        let found: Vec<(String, u32, u32)> =
            (0..).zip(&listing.files).map(|(i, file)| (listing.name(i), file.domain, file.class)).collect();
        let expected = [
            (&files[0], 0, 1),
            (&files[1], 0, 2),
            (&files[2], 1, 1),
            (&files[3], 1, 1),
            (&files[6], 2, 0),
            (&files[4], 2, 1),
            (&files[5], 2, 1),
        ];
        assert_eq!(found, expected.map(|(name, domain, class)| (name.clone(), domain, class)));
        let [domain, class, alike] = &listing.notices[..] else { panic!("{:?}", listing.notices) };
        assert!(domain.starts_with("the domain \"café\" is spelled in 2 ways"), "{domain}");
        assert!(class.starts_with("the class \"café\" is spelled in 2 ways"), "{class}");
        assert!(alike.starts_with("the classes \"THÉ\" and \"thé\" differ only in case"), "{alike}");
    }

    #[test]
    fn folders_in_a_class_are_groups() {
        let (composed, apart) = ("Zo\u{e9}", "Zoe\u{301}");
        let files = [
            "A/x/0.png".to_owned(),
            "A/x/z.png".to_owned(),
            "A/x/P1/2.png".to_owned(),
            "A/x/P1/10/1.png".to_owned(),
            "A/x/P1/9/x/1.png".to_owned(),
            format!("A/x/{apart}/1.png"),
            format!("A/y/{composed}/1.png"),
            "A/y/p1/1.png".to_owned(),
            "A/unlabelled/P1/1.png".to_owned(),
            "B/x/1.png".to_owned(),
            "B/x/P1/1.png".to_owned(),
        ];
        let others = ["A/x/P1/notes.txt", "A/x/P1/empty/", "A/y/no pictures/", "B/x/P2/empty/", "B/z/P3/"];
        let mut all: Vec<&str> = files.iter().map(String::as_str).collect();
        all.extend(others);
        let scratch = with(&all);
        let listing = list(scratch.path()).unwrap();
        assert_eq!(
            (listing.domain_names.join(" "), listing.class_names.join(" ")),
            ("A B".into(), "x y".into())
        );
        let found: Vec<(String, &str)> =
            (0..).zip(&listing.files).map(|(i, file)| (listing.name(i), file.group.as_str())).collect();
        let groups = ["", "", "P1", "P1", "P1", composed, composed, "p1", "P1", "", "P1"];
        let expected: Vec<(String, &str)> = files.iter().cloned().zip(groups).collect();
        assert_eq!(found, expected);
        let [in_several, alike] = &listing.notices[..] else { panic!("{:?}", listing.notices) };
        assert_eq!(
            in_several,
            "the group \"P1\" is in the domains A and B: it is taken as 2 groups; if it is one (one patient, for example), \
             the test domain has been seen in training"
        );
        assert!(alike.starts_with("in the domain A, the group \"Zoé\" is spelled in 2 ways"), "{alike}");
        assert!(alike.ends_with("; so it is with 1 more"), "{alike}");
    }

    #[test]
    fn groups_in_many_domains_are_told_of_in_one_sentence() {
        let files: Vec<String> = ["A", "B", "C"]
            .iter()
            .flat_map(|domain| (0..40).map(move |group| format!("{domain}/x/{group}/1.png")))
            .collect();
        let scratch = with(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let listing = list(scratch.path()).unwrap();
        let [notice] = &listing.notices[..] else { panic!("{:?}", listing.notices) };
        assert!(
            notice.starts_with("the group \"0\" is in the domains A, B and C: it is taken as 3 groups"),
            "{notice}"
        );
        assert!(notice.ends_with("; so it is with 39 more"), "{notice}");
    }

    #[test]
    fn other_layouts_say_what_is_expected() {
        let cases: [(&[&str], &str); 7] = [
            (&[], "it has no folder, expected"),
            (&["README.md", ".hidden/a/b.png"], "it has no folder, expected"),
            (&["a/x/1.png", "b/"], "cannot use the domain"),
            (&["a/x/1.png", "b/x/"], "b: it has no picture, expected"),
            (&["a/x/1.png", "2.png"], "cannot tell the domain and class of"),
            (&["a/x/1.png", "a/2.jpeg"], "a/2.jpeg, expected"),
            (&["a/unlabelled/1.png"], "none has a class, expected"),
        ];
        for (files, expected) in cases {
            let scratch = with(files);
            let error = list(scratch.path()).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
            assert!(
                error.exit_code() == 2 && message.contains(scratch.path().to_str().unwrap()),
                "{message}"
            );
        }
        let scratch = with(&["file"]);
        for path in ["file", "missing"] {
            let message = list(&scratch.join(path)).unwrap_err().to_string();
            assert!(message.starts_with("cannot read ") && message.contains(path), "{message}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_circles_named() {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        let real = with(&["a/x/1.png", "a/x/2.png"]);
        let scratch = with(&["b/x/1.png"]);
        symlink(real.join("a"), scratch.join("linked")).unwrap();
        symlink(real.join("a/x/1.png"), scratch.join("b/x/2.png")).unwrap();
        // a picture that is a link to itself is left to whoever opens it
        symlink("3.png", scratch.join("b/x/3.png")).unwrap();
        let listing = list(scratch.path()).unwrap();
        let names: Vec<String> = (0..listing.files.len()).map(|i| listing.name(i)).collect();
        assert_eq!(names, ["b/x/1.png", "b/x/2.png", "b/x/3.png", "linked/x/1.png", "linked/x/2.png"]);

        fs::create_dir(scratch.join("b/x/P1")).unwrap();
        fs::create_dir(scratch.join("b/x/P2")).unwrap();
        symlink("../P1", scratch.join("b/x/P2/other")).unwrap();
        for (link, to, expected) in [
            ("circle", ".", "circle: it is a link to a folder around it"),
            ("b/circle", "..", "b/circle: it is a link to a folder around it"),
            ("b/x/circle", "../..", "b/x/circle: it is a link to a folder around it"),
            ("b/x/P1/circle", ".", "b/x/P1/circle: it is a link to a folder around it"),
            ("b/x/P1/circle", "../..", "b/x/P1/circle: it is a link to a folder around it"),
            ("b/x/P1/other", "../P2", "b/x/P1/other/other: links lead in a circle back to it"),
            ("loop", "loop", "loop: "),
            ("b/nothing", "nowhere", "b/nothing: "),
        ] {
            symlink(to, scratch.join(link)).unwrap();
            let message = list(scratch.path()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
            fs::remove_file(scratch.join(link)).unwrap();
        }

        // Below a group a name is nothing but a place.
        for (name, expected) in [
            (&b"b/x/P1/\xff"[..], None),
            (b"b/x/\xff", Some("b/x/\\xff: its name is not UTF-8")),
            (b"b/\xff", Some("b/\\xff: its name is not UTF-8")),
        ] {
            let folder = scratch.path().join(std::ffi::OsStr::from_bytes(name));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("1.png"), b"").unwrap();
            let message = list(scratch.path()).err().map(|error| error.to_string());
            let is_as_expected = match (&message, expected) {
                (Some(message), Some(expected)) => message.contains(expected),
                (message, expected) => message.is_none() && expected.is_none(),
            };
            assert!(is_as_expected, "{message:?}");
            fs::remove_dir_all(folder).unwrap();
        }
    }
}
