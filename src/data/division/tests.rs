use super::*;
use crate::data::Dataset;
use crate::data::collection::Origin;

const ROLES: [Role; 7] = [
    Role::Training,
    Role::Validation,
    Role::Training,
    Role::Test,
    Role::LeftOut,
    Role::Unlabelled,
    Role::Training,
];

/// Seven images of one pixel, each of a file whose content is its number; the last two hold the same.
fn example() -> Collection {
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let classes = vec![0, 0, 1, 1, UNLABELLED, UNLABELLED, 1];
    let images = Dataset::new([1, 1, 1], (0..7).collect(), classes, vec![0, 0, 0, 1, 1, 0, 0]);
    let files = ["a,1.png", "a\"2\".png", "é\n3.png", "=4.png", "5.png", "6.png", "7.png"];
    let origin = |(i, file): (u8, &str)| Origin {
        file: file.into(),
        sha256: [i; 32],
        group: if i == 0 { "P1" } else { "" }.into(),
    };
    let origins = (0..).zip(files).map(origin).collect();
    Collection::of_files(images, origins, names(["A, B", "C"]), names(["no", "yes\r\n"]))
}

fn pixels(collection: &Collection) -> &[u8] {
    &collection.images.pixels
}

proptest::proptest! {
    /// It is data, not a table to be looked at: names stand in it as they are, and come back as they were.
    #[test]
    fn every_name_is_read_back(names in proptest::collection::vec("[='@\"\\\\, #\n\r\t\\x00\u{1b}\u{200b}\u{202e}\u{feff}é]{0,6}", 4)) {
        let mut collection = example();
        collection.origins[0].file.clone_from(&names[0]);
        collection.domain_names[0].clone_from(&names[1]);
        collection.class_names[0].clone_from(&names[2]);
        collection.origins[0].group.clone_from(&names[3]);
        let division = Division::new(&collection, &ROLES);
        let read = Division::parse(&division.to_csv(), Path::new("division.csv")).unwrap();
        proptest::prop_assert_eq!(read, division);
    }
}

#[test]
fn a_table_is_read_as_it_was_written() {
    let division = Division::new(&example(), &ROLES);
    let text = division.to_csv();
    assert!(text.starts_with("file,sha256,domain,class,group,role\n\"a,1.png\",0000"), "{text}");
    assert!(text.contains(",\"A, B\",no,P1,training\n") && text.contains("\n5.png,0404"), "{text}");
    assert!(text.ends_with(",\"A, B\",\"yes\r\n\",,training\n"), "{text}");
    assert_eq!(Division::parse(&text, Path::new("division.csv")).unwrap(), division);
    assert_eq!(division.labelled(&["C".into(), "A, B".into()]), [false, true]);
}

#[test]
fn what_is_no_table_is_refused_with_its_line() {
    let text = Division::new(&example(), &ROLES[..]).to_csv();
    let head = text.lines().next().unwrap();
    for (table, expected) in [
        (format!("{head}\nx,00,A,no,,training\n"), "line 2"),
        (format!("{head}\nx,{},A,no,,training\n", "zz".repeat(32)), "64 hexadecimal digits"),
        (format!("{head}\nx,{},A,no,,trained\n", "00".repeat(32)), "line 2"),
        (format!("{head}\nx,{},A,no,training\n", "00".repeat(32)), "line 2"),
        ("file,role\nx,test\n".to_owned(), "line 2"),
    ] {
        let error = Division::parse(&table, Path::new("run/division.csv")).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("cannot read run/division.csv: line "), "{message}");
        assert!(message.contains(expected) && error.exit_code() == 2, "{message}");
    }
}

/// The fault: nothing was trained on then, and the size of a batch was blamed.
#[test]
fn what_is_left_of_a_table_is_none() {
    let text = Division::new(&example(), &ROLES[..]).to_csv();
    let of_role = |role: &str| text.lines().find(|line| line.ends_with(role)).unwrap();
    let head = of_role("role");
    for table in
        [String::new(), head.into(), format!("{head}\n"), format!("{head}\n{}\n", of_role(",left-out"))]
    {
        let message = Division::parse(&table, Path::new("run/division.csv")).unwrap_err().to_string();
        let expected = "cannot read run/division.csv: it names no training image, expected a line for each image of the run";
        assert_eq!(message, expected);
    }
}

#[test]
fn images_are_found_again_whatever_their_files_are_called() {
    let division = Division::new(&example(), &ROLES);
    let mut same = example();
    assert_eq!(division.find(&mut same).unwrap(), (ROLES.to_vec(), Changes::default()));
    assert_eq!(same, example());

    // Another order, and another name, in another group.
    let mut moved = example();
    moved.rearrange(&[6, 5, 4, 3, 2, 1, 0]);
    moved.origins[6].file = "b/new.png".into();
    moved.origins[6].group = "P2".into();
    let (roles, changes) = division.find(&mut moved).unwrap();
    assert_eq!((roles, pixels(&moved)), (ROLES.to_vec(), &[0, 1, 2, 3, 4, 5, 6][..]));
    assert_eq!(changes.renamed, ["a,1.png is b/new.png now"]);
    assert!(changes.missing.is_empty() && changes.added.is_empty());
    assert_eq!(moved, example(), "known by what it was known by when it was divided");
}

#[test]
fn what_cannot_be_found_is_named_and_takes_no_part() {
    let division = Division::new(&example(), &ROLES);
    let mut other = example();
    other.origins[0].sha256 = [99; 32]; // other bytes under the old name
    other.images.classes[2] = 0; // put into the folder of another class
    other.rearrange(&[0, 1, 2, 3, 4, 5, 6]);
    let (roles, changes) = division.find(&mut other).unwrap();
    assert_eq!(pixels(&other), [1, 3, 4, 5, 6, 0, 2]);
    assert_eq!(roles[..5], [Role::Validation, Role::Test, Role::LeftOut, Role::Unlabelled, Role::Training]);
    assert_eq!(roles[5..], [Role::LeftOut; 2]);
    assert_eq!(changes.missing[0], "a,1.png has other bytes");
    assert_eq!(changes.missing[1], "é\n3.png is of \"A, B\", \"no\" and not of \"A, B\", \"yes\\r\\n\"");
    assert_eq!(changes.added, ["a,1.png was not there", "é\n3.png was not there"]);

    let mut fewer = example();
    fewer.origins[1].sha256 = [98; 32];
    let error = division.find(&mut fewer).unwrap_err();
    assert_eq!(error.to_string(), "no validation image is there as it was: a\"2\".png has other bytes");
}

/// Of files with the same content each line takes the one of its name, whatever the order.
#[test]
fn files_of_the_same_content_keep_their_lines() {
    let mut twins = example();
    twins.images.classes = vec![0; 7];
    twins.images.domains = vec![0; 7];
    twins.origins.iter_mut().for_each(|origin| origin.sha256 = [7; 32]);
    let division = Division::new(&twins, &ROLES);
    let before = twins.clone();
    twins.rearrange(&[3, 0, 6, 2, 5, 1, 4]);
    assert_eq!(division.find(&mut twins).unwrap(), (ROLES.to_vec(), Changes::default()));
    assert_eq!(twins, before);
    // One is gone: nothing is known of which, but by its name.
    twins.origins[4].sha256 = [8; 32];
    let (_, changes) = division.find(&mut twins).unwrap();
    assert_eq!(changes.missing, ["5.png has other bytes"]);
}
