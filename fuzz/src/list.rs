//! A list of pictures: `images.csv`.

use diva::data::collection::UNLABELLED;
use diva::data::pictures::{Listing, list};
use diva::error::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// 0, 2 ... and a table with the columns file, class and domain; 1, 3 ... and one whose class is called diagnosis. All its pictures are
/// there, each at a place of its own.
pub fn list_of_pictures(bytes: &[u8]) -> bool {
    let Some((mode, text)) = bytes.split_first() else { return false };
    let columns = if mode % 2 == 1 { vec!["class=diagnosis".to_owned()] } else { Vec::new() };
    let Ok(listing) = listed(text, &columns) else { return false };
    let Listing { files, domain_names, class_names, split, .. } = &listing;
    let paths: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    assert_eq!(paths.len(), files.len());
    assert!(files.iter().all(|file| (file.domain as usize) < domain_names.len()));
    assert!(files.iter().all(|file| file.class == UNLABELLED || (file.class as usize) < class_names.len()));
    assert!(files.iter().any(|file| file.class != UNLABELLED));
    if let Some(split) = split {
        assert!(domain_names.contains(&split.test_domain));
        return true;
    }
    // Written anew, in the order in which it was sorted, it says the same.
    let mut again = csv::Writer::from_writer(Vec::new());
    again.write_record(["file", "class", "domain", "group"]).expect("memory can be written");
    for file in files {
        let path = file.path.strip_prefix(&listing.root).unwrap_or(&file.path);
        let path = path.to_str().expect("the table is text");
        let class = if file.class == UNLABELLED { "" } else { &class_names[file.class as usize] };
        let domain = &domain_names[file.domain as usize];
        again.write_record([path, class, domain, &file.group]).expect("memory can be written");
    }
    let again = listed(&again.into_inner().expect("memory can be written"), &[]).expect("a list is one");
    assert_eq!((&again.files, &again.domain_names, &again.class_names), (files, domain_names, class_names));
    true
}

fn listed(text: &[u8], columns: &[String]) -> Result<Listing> {
    list::of_text(text, Path::new("images.csv"), columns, &|path| Ok(path.to_path_buf()))
}
