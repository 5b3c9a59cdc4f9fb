//! Names as labs have them: in two spellings of Unicode, in no encoding at all, long and wide.

use super::cells::TWO;
use super::folders::{make, train};
use super::{Folder, success, text};
use serde_json::{Value, json};
use std::fs;

const COMPOSED: &str = "caf\u{e9}";
const APART: &str = "cafe\u{301}";

/// `diva data info --json` of the folder `data`, where C is tested on.
fn info(here: &Folder, test_domain: &str) -> Value {
    let test_domain = format!("data.test_domain={test_domain}");
    let settings =
        ["data.source=folders", "data.path=data", "data.domains=[]", "data.classes=[]", &*test_domain];
    let settings: Vec<&str> = settings.into_iter().flat_map(|setting| ["--set", setting]).collect();
    here.json(
        &[&["data", "info", "--json", "--preset", "quick-cells", "--set", "train.batch=4"], &settings[..]]
            .concat(),
    )
}

#[test]
fn a_name_in_two_spellings_is_one_class_and_one_domain() {
    let here = Folder::new();
    make(&here, &["A", "B", COMPOSED]);
    let before = info(&here, COMPOSED);
    assert_eq!(before["notices"], json!([]));
    for domain in ["A", "B"] {
        let spelled = if domain == "A" { COMPOSED } else { APART };
        fs::rename(here.join(&format!("data/{domain}/blue")), here.join(&format!("data/{domain}/{spelled}")))
            .unwrap();
    }
    fs::rename(here.join("data/café/blue"), here.join(&format!("data/café/{APART}"))).unwrap();
    // Half of the last domain comes from another machine.
    fs::create_dir(here.join(&format!("data/{APART}"))).unwrap();
    fs::rename(here.join("data/café/red cells"), here.join(&format!("data/{APART}/red cells"))).unwrap();
    for asked in [COMPOSED, APART] {
        let found = info(&here, asked);
        assert_eq!(found["class_names"], json!([COMPOSED, "red cells"]));
        assert_eq!(found["domains"], before["domains"]);
        let notices = found["notices"].as_array().unwrap();
        assert_eq!(notices.len(), 2, "{notices:?}");
        for (notice, kind) in notices.iter().zip(["domain", "class"]) {
            let start = format!("the {kind} \"{COMPOSED}\" is spelled in 2 ways");
            assert!(notice.as_str().unwrap().starts_with(&start), "{notice}");
        }
    }
    // As somebody's keyboard has it, or somebody's file.
    let test_domain = format!("data.test_domain={APART}");
    let classes = format!("data.classes=[\"red cells\", \"{APART}\"]");
    let said = here.succeed(&train("run", TWO, &["--set", &test_domain, "--set", &classes]));
    assert!(said.contains("\nthe class \"café\" is spelled in 2 ways"), "{said}");
    let config = text(&here.read("run/config.toml"));
    assert!(
        config.contains("test_domain = \"café\"") && config.contains("classes = [\"red cells\", \"café\"]"),
        "{config}"
    );
    here.refuse(
        &train("other", TWO, &["--set", &test_domain, "--set", "data.classes=[\"é\", \"e\u{301}\"]"]),
        2,
        &["it takes a list of different names"],
    );
    // What differs in case stays two.
    fs::rename(here.join("data/A/red cells"), here.join("data/A/Red cells")).unwrap();
    let found = info(&here, COMPOSED);
    assert_eq!(found["class_names"], json!(["Red cells", COMPOSED, "red cells"]));
    let notice = found["notices"][2].as_str().unwrap();
    assert!(
        notice.starts_with("the classes \"Red cells\" and \"red cells\" differ only in case"),
        "{notice}"
    );
}

/// Not every file system has such names.
#[cfg(target_os = "linux")]
#[test]
fn files_whose_names_are_no_text_are_told_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", TWO, &[]));
    let folder = here.join("new");
    fs::create_dir(&folder).unwrap();
    let names = [&b"\xfe.png"[..], b"\xff.png", "\u{fffd}.png".as_bytes(), b"\\xff.png"];
    for (name, from) in
        names.iter().zip(["data/A/blue", "data/A/red cells", "data/B/blue", "data/B/red cells"])
    {
        fs::copy(here.join(from).join("0 é.png"), folder.join(OsStr::from_bytes(name))).unwrap();
    }
    let expected = ["new/\\x5cxff.png", "new/\u{fffd}.png", "new/\\xfe.png", "new/\\xff.png"];
    let found = here.json(&["predict", "run", "new", "--json"]);
    let files: Vec<&str> =
        found["predictions"].as_array().unwrap().iter().map(|one| one["file"].as_str().unwrap()).collect();
    assert_eq!(files, expected);
    let table = here.succeed(&["predict", "run", "new", "--csv"]);
    let files: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(files, expected);

    for name in [&b"\xfe.png"[..], b"\xff.png"] {
        fs::write(folder.join(OsStr::from_bytes(name)), b"no picture").unwrap();
    }
    let found = here.json(&["predict", "run", "new", "--json", "--skip-unreadable"]);
    let unreadable = found["unreadable"].as_array().unwrap();
    for (sentence, file) in unreadable.iter().zip(["new/\\xfe.png", "new/\\xff.png"]) {
        assert!(sentence.as_str().unwrap().starts_with(&format!("cannot read {file}: ")), "{sentence}");
    }
    assert_eq!(unreadable.len(), 2);
    for (run, shown) in [(&b"run-\xfe"[..], "run-\\xfe"), (b"run-\xff", "run-\\xff")] {
        let run = OsStr::from_bytes(run);
        fs::rename(here.join("run"), here.0.join(run)).unwrap();
        let output = here.diva(&["evaluate", "--json"]).arg(run).output().unwrap();
        let found: Value = serde_json::from_str(&success(&output)).unwrap();
        assert_eq!(found["run"], shown);
        fs::rename(here.0.join(run), here.join("run")).unwrap();
    }
}

#[test]
fn long_and_wide_names_keep_tables_aligned() {
    let here = Folder::new();
    make(&here, &["A", "Universitätsklinikum Köln-Lindenthal", "寄生虫学研究室の血液塗抹標本", "C"]);
    here.succeed(&train("run", "train.epochs=1", &[]));
    let settings =
        ["data.source=folders", "data.path=data", "data.domains=[]", "data.classes=[]", "data.test_domain=C"];
    let settings: Vec<&str> = settings.into_iter().flat_map(|setting| ["--set", setting]).collect();
    let info =
        [&["data", "info", "--preset", "quick-cells", "--set", "train.batch=4"], &settings[..]].concat();
    for (arguments, column) in [(vec!["evaluate", "run"], "  role"), (info, "  role")] {
        let out = here.succeed(&arguments);
        let table: Vec<&str> = out
            .lines()
            .skip_while(|line| !line.contains(column))
            .take_while(|line| !line.is_empty())
            .collect();
        let place = |line: &str, what: &str| {
            let before = &line[..line.find(what).unwrap_or_else(|| panic!("{line}"))];
            // A character of this script takes two columns.
            before.chars().map(|character| if character > '\u{3000}' { 2 } else { 1 }).sum::<usize>()
        };
        let expected = place(table[0], column);
        assert!(
            table.len() > 5 && expected == "Universitätsklinikum Köln-Lindenthal".chars().count(),
            "{out}"
        );
        for row in &table[1..] {
            let role = ["  training", "  validation", "  test"]
                .into_iter()
                .find(|&role| row.contains(role))
                .unwrap();
            assert_eq!(place(row, role), expected, "{out}");
        }
    }
}

/// The fault: both were written `a\nb.png`.
#[cfg(unix)]
#[test]
fn two_files_are_not_predicted_under_one_name() {
    let here = Folder::new();
    here.with_a_run("run");
    for name in ["a\nb.png", "a\\nb.png"] {
        fs::write(here.join(name), diva::data::image::encode_grey(28, 28, &[7; 784])).unwrap();
    }
    let said = here.succeed(&["predict", "run", "a\nb.png", "a\\nb.png"]);
    let named: Vec<&str> = said.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(named, ["a\\nb.png", "a\\u{5c}nb.png"]);
}
