use super::*;
use crate::data::pictures::NamedSplit;
use crate::store::scratch::Scratch;
use std::fs;

/// The list of this text, in which every file is there.
fn of(text: &str, columns: &[&str]) -> Result<Listing> {
    let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    of_text(text.as_bytes(), Path::new("lists/images.csv"), &columns, &|path| Ok(path.to_path_buf()))
}

#[track_caller]
fn refused(text: &str, columns: &[&str], sentence: &str) {
    let error = of(text, columns).expect_err(text);
    assert_eq!(error.to_string(), format!("cannot use lists/images.csv: {sentence}"), "{text}");
    assert_eq!(error.exit_code(), 2);
}

/// What each picture is, in the order of the listing: its name, domain, class and group.
fn pictures(listing: &Listing) -> Vec<[String; 4]> {
    let one = |(i, file): (usize, &PictureFile)| {
        let class = listing.class_names.get(file.class as usize).map_or("-", String::as_str).to_owned();
        [listing.name(i), listing.domain_names[file.domain as usize].clone(), class, file.group.clone()]
    };
    listing.files.iter().enumerate().map(one).collect()
}

#[test]
fn lists_are_called_so_by_their_endings() {
    for (path, expected) in [
        ("a.csv", true),
        ("b/a.TSV", true),
        ("a.b.Txt", true),
        ("a.toml", false),
        ("csv", false),
        (".csv", false),
    ] {
        assert_eq!(is_list(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn separators_line_ends_marks_and_orders_say_the_same() {
    let plain = "file,class,domain,group\nb.png,x,B,p\nsub/a, 1.png,y,A,\nc.png,,A,q\n"
        .replace("sub/a, 1.png", "\"sub/a, 1.png\"");
    let expected = of(&plain, &[]).unwrap();
    assert_eq!(
        pictures(&expected),
        [["sub/a, 1.png", "A", "y", ""], ["c.png", "A", "-", "q"], ["b.png", "B", "x", "p"]]
    );
    assert_eq!(expected.root, Path::new("lists"));
    assert!(expected.notices.is_empty() && expected.split.is_none());
    let others = [
        format!("\u{feff}{plain}"),
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        plain.replace('\n', "\n\n"),
        plain.trim_end().to_owned(),
        format!("{plain},,,\n , \n"),
        plain.replace(',', ";").replace("a; 1", "a, 1"),
        plain.replace(',', "\t").replace("a\t 1", "a, 1"),
        plain.replace("file,class,domain,group", " File , CLASS,\"domain\",Group"),
        "group;domain;file;class\n;A;sub/a, 1.png;y\nq;A;./c.png;Unlabelled\np;B;b.png;\" x \"\n".to_owned(),
    ];
    for other in others {
        let found = of(&other, &[]).unwrap_or_else(|error| panic!("{error}: {other:?}"));
        assert_eq!(pictures(&found), pictures(&expected), "{other:?}");
    }
    let named = plain.replace("file,class,domain,group", "Bild,diagnosis,class,patient");
    let columns = ["file=Bild", "class=diagnosis", "domain=class", "group=patient"];
    assert_eq!(of(&named, &columns).unwrap(), expected);
    // A column that nobody reads may hold what should have been read.
    let [notice] = &of(&named, &columns[..3]).unwrap().notices[..] else { panic!() };
    assert_eq!(
        notice,
        "columns of the list that are not read: 1, the first is \"patient\"; --columns names those that are"
    );
}

#[test]
fn names_are_composed_and_told_of_when_alike() {
    let text = "file,class,domain,group\na.png,caf\u{e9},A,p\nb.png,cafe\u{301},B,p\nc.png,CAF\u{c9},A,q\n";
    let listing = of(text, &[]).unwrap();
    assert_eq!(listing.class_names, ["CAF\u{c9}", "caf\u{e9}"]);
    let starts = [
        "the class \"café\" is spelled in 2 ways",
        "the classes \"CAFÉ\" and \"café\" differ only in case",
        "the group \"p\" is in the domains A and B",
    ];
    assert_eq!(listing.notices.len(), starts.len(), "{:?}", listing.notices);
    for (notice, start) in listing.notices.iter().zip(starts) {
        assert!(notice.starts_with(start), "{notice}");
    }
}

#[test]
fn every_mistake_is_named_by_its_line() {
    let header = "file,class,domain,group,split\n";
    let rows = [
        ("a,x", "line 2 has 2 fields, expected 5 as in the first line"),
        ("a,x,A,,,", "line 2 has 6 fields, expected 5 as in the first line"),
        ("\n\na,x,A,,\n,x,A,,", "line 5 names no file"),
        ("a,x,A,,\r\nb,x, ,,", "line 3 has no domain"),
        ("\"a\nb\",x,A,,\r\nb,x,,,", "line 4 has no domain"),
        ("a,x,A,,\nb,x,A,,\na,x,A,,", "line 4 names \"a\" again, which line 2 has named"),
        ("a,x,A,,\n./a,x,A,,", "line 3 names \"./a\" again, which line 2 has named"),
        ("a,x,A,,\na,y,A,,", "line 3 gives \"a\" the class \"y\", but line 2 the class \"x\""),
        ("a,,A,,\na,y,A,,", "line 3 gives \"a\" the class \"y\", but line 2 no class"),
        ("a,x,A,,\na,x,B,,", "line 3 puts \"a\" into the domain \"B\", but line 2 into \"A\""),
        ("a,x,A,,val", "line 2 has the split \"val\", expected train, validation, test or unlabelled"),
        ("a,,A,,", "none of its pictures has a class"),
        ("", "it names no picture, expected a line for each below that of the columns"),
        (",,,,", "it names no picture, expected a line for each below that of the columns"),
    ];
    for (lines, sentence) in rows {
        refused(&format!("{header}{lines}"), &[], sentence);
    }
    refused("", &[], "it is empty, expected a line that names the columns file, class and domain");
    refused("\n\n", &[], "it is empty, expected a line that names the columns file, class and domain");
    let missing = "it has no column \"class\", but \"file\", \"label\", \"domain\"; --columns class=NAME says what it is called";
    refused("file,label,domain\na,x,A", &[], missing);
    let asked = "it has no column \"kind\", but \"file\", \"label\", \"domain\", asked for as class";
    refused("file,label,domain\na,x,A", &["class=kind"], asked);
    let patient = "it has no column \"patient\", but \"file\", \"class\", \"domain\", asked for as group";
    refused("file,class,domain\na,x,A", &["group=patient"], patient);
    refused("file,class,class,domain\na,x,y,A", &[], "it has 2 columns \"class\", expected one");
    refused("file,Class,CLASS,domain\na,x,y,A", &[], "it has 2 columns \"class\", expected one");
    let bars =
        "it has no column \"file\", but \"file|class|domain\"; --columns file=NAME says what it is called";
    refused("file|class|domain\na|x|A", &[], bars);

    let of_bytes = |text: &[u8]| {
        let found = of_text(text, Path::new("images.csv"), &[], &|path| Ok(path.to_path_buf()));
        found.unwrap_err().to_string()
    };
    let expected = |line| {
        format!("cannot use images.csv: line {line} is not text in UTF-8 (spreadsheets call it CSV UTF-8)")
    };
    assert_eq!(of_bytes(b"file,class,domain\na,x,A\ncaf\xe9,x,A"), expected(3));
    assert_eq!(of_bytes(b"\xff\xfef\0i\0l\0e\0"), expected(1));
}

#[test]
fn files_are_looked_for_below_the_lists_folder() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.join("lists/sub")).unwrap();
    for name in ["lists/a.png", "lists/sub/b.png", "c.png"] {
        fs::write(scratch.join(name), b"").unwrap();
    }
    let path = scratch.join("lists/images.csv");
    let list_of = |files: &[&str]| {
        let lines: Vec<String> = files.iter().map(|file| format!("{file},x,A\n")).collect();
        fs::write(&path, format!("file,class,domain\n{}", lines.concat())).unwrap();
        list(&path, &[])
    };
    let absolute = scratch.join("c.png");
    let absolute = absolute.to_str().unwrap();
    let listing = list_of(&["sub/b.png", "a.png", absolute]).unwrap();
    let names: Vec<String> = (0..3).map(|i| listing.name(i)).collect();
    assert!(absolute.starts_with('/') == names.contains(&absolute.to_owned()), "{names:?}");
    assert!(names.contains(&"a.png".to_owned()) && names.contains(&"sub/b.png".to_owned()), "{names:?}");
    for (files, parts) in [
        (
            &["a.png", "b.png"][..],
            ["line 3 names \"b.png\", which is not there: there is no ", "lists/b.png"],
        ),
        (&["sub"], ["line 2 names \"sub\", which cannot be read: it is a folder", "expected a picture"]),
        (&["sub/../a.png", "a.png"], ["line 3 names \"a.png\" again", "which line 2 has named"]),
        (&["../c.png", absolute], ["line 3 names ", "again, which line 2 has named"]),
        (&["a.png\0"], ["line 2 names ", "which cannot be read"]),
    ] {
        let error = list_of(files).unwrap_err();
        let sentence = error.to_string();
        assert!(error.exit_code() == 2 && parts.iter().all(|part| sentence.contains(part)), "{sentence}");
    }
    fs::remove_file(&path).unwrap();
    assert!(list(&path, &[]).unwrap_err().to_string().starts_with("cannot read "));
}

/// A split of two domains, or the sentence that refuses it.
fn split_of(lines: &str) -> Result<Option<NamedSplit>> {
    of(&format!("file,class,domain,group,split\n{lines}"), &[]).map(|listing| listing.split)
}

#[test]
fn a_split_says_what_is_held_back_and_what_is_tested_on() {
    let lines = "a,x,A,,train\nsub/b,y,A,,Validation\nc,x,B,,test\nd,y,A,,unlabelled\ne,,A,,\nf,,B,,\ng,,A,,unlabeled\n";
    let listing = of(&format!("file,class,domain,group,split\n{lines}"), &[]).unwrap();
    let split = listing.split.clone().unwrap();
    assert_eq!(split.test_domain, "B");
    assert_eq!(split.validation.into_iter().collect::<Vec<_>>(), ["sub/b"]);
    // The class of d is not read.
    let without =
        pictures(&listing).into_iter().filter(|[_, _, class, _]| class == "-").map(|[name, ..]| name);
    assert_eq!(without.collect::<Vec<_>>(), ["d", "e", "g", "f"]);
    // The same of a column that says nothing.
    assert_eq!(split_of("a,x,A,,\nb,x,B,,\n"), Ok(None));
}

#[test]
fn a_split_that_contradicts_itself_is_refused() {
    let rows = [
        ("a,x,A,,train\nb,x,A,,\nc,x,B,,test", "line 3 has a class and no split, expected one as in line 2"),
        ("a,x,A,,train", "no line has the split test, expected those of the domain that training never sees"),
        ("a,x,A,,validation\nb,x,B,,test", "no line has the split train"),
        (
            "a,x,A,,train\nb,x,B,,test\nc,x,A,,test",
            "line 4 has the split test and the domain \"A\", but line 3 has \"B\": expected one domain for test",
        ),
        (
            "a,x,A,,train\nb,x,B,,train\nc,x,B,,test",
            "line 3 has the split train and the domain \"B\", which is that of the test in line 4: expected test",
        ),
        (
            "a,x,A,,train\nb,x,B,,unlabelled\nc,x,B,,test",
            "line 3 has the split unlabelled and the domain \"B\", which is that of the test in line 4: expected test",
        ),
        (
            "a,x,A,,train\nb,,A,,validation\nc,x,B,,test",
            "line 3 has the split validation and no class, expected unlabelled",
        ),
        (
            "a,x,A,p,train\nb,x,A,p,validation\nc,x,B,p,test",
            "line 3 has the split validation and the group \"p\", but line 2 has train: expected a group on one side",
        ),
        (
            "a,x,A,p,validation\nb,,A,p,\nc,x,B,p,test\nd,x,A,,train",
            "line 3 has the split unlabelled and the group \"p\", but line 2 has validation: expected a group on one side",
        ),
    ];
    for (lines, sentence) in rows {
        let found = split_of(lines).expect_err(lines).to_string();
        assert_eq!(found, format!("cannot use lists/images.csv: {sentence}"));
    }
}

/// Lists of this length are read in one go: with a step that looks at all lines for each, this test would not end.
#[test]
fn two_hundred_thousand_lines_are_read() {
    let mut text = String::from("file,class,domain,group,split\n");
    for i in 0..200_000 {
        let (domain, split) =
            (i % 1_000, if i % 1_000 == 999 { "test" } else { ["train", "validation"][i / 1_000 % 5 / 4] });
        text += &format!("{i}.png,{},{domain},patient {i},{split}\r\n", i % 7);
    }
    let listing = of(&text, &[]).unwrap();
    assert_eq!(
        (listing.files.len(), listing.domain_names.len(), listing.class_names.len()),
        (200_000, 1_000, 7)
    );
    assert_eq!(listing.split.unwrap().validation.len(), 999 * 40);
    // The last line is told apart.
    let twice = format!("{text}0.png,0,0,patient 0,train\r\n");
    refused(&twice, &[], "line 200002 names \"0.png\" again, which line 2 has named");
}
