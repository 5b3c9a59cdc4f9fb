//! Lists of pictures as their users meet them.

use super::folders::make;
use super::{Folder, text};
use serde_json::json;
use std::fs;

/// What keeps the runs here small.
const SMALL: [&str; 4] = ["--set", "model.width=0.0625", "--set", "train.epochs=1"];

fn train<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["train"], arguments, &SMALL[..]].concat()
}

/// The pictures of the folders that `make` makes, as (domain, class, file below data/), in an order of their own.
fn made(here: &Folder) -> Vec<[String; 3]> {
    let names = |path: &str| {
        let entries = fs::read_dir(here.join(path)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for domain in names("data") {
        for class in names(&format!("data/{domain}")) {
            for file in names(&format!("data/{domain}/{class}")) {
                found.push([domain.clone(), class.clone(), format!("{domain}/{class}/{file}")]);
            }
        }
    }
    found.sort_by_key(|[_, _, file]| file.chars().rev().collect::<String>());
    found
}

#[test]
fn a_list_trains_as_the_folders_that_it_names() {
    let here = Folder::new();
    make(&here, &["A 1", "B", "C"]);
    let lines: Vec<String> =
        made(&here).iter().map(|[domain, class, file]| format!("{class};{file};{domain}\r\n")).collect();
    // A list in the folder of all: the files are called the same.
    let list = format!("\u{feff}diagnosis;file;domain\r\n{}", lines.concat());
    fs::write(here.join("data/My list.CSV"), list).unwrap();
    let columns = ["data/My list.CSV", "--columns", "class=diagnosis"];
    let said = here.succeed(&train(&columns));
    for part in [
        "assumed: the domain C is held out, as the last by name",
        "in colour: of 42 of 42 pictures",
        "runs/My list-seed0",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let config = text(&here.read("runs/My list-seed0/config.toml"));
    for part in ["source = \"list\"", "/data/My list.CSV\"\n", "columns = [\"class=diagnosis\"]"] {
        assert!(config.contains(part), "{part:?} is not in {config}");
    }
    here.succeed(&train(&["data", "--out", "folders"]));
    // state_sha256 covers the configuration too, so that of two sources it is never the same; the selected weights are.
    let division = |run: &str| text(&here.read(&format!("{run}/division.csv")));
    assert_eq!(division("runs/My list-seed0"), division("folders"));
    let best = |run: &str| here.read(&format!("{run}/best.safetensors"));
    assert!(best("runs/My list-seed0") == best("folders"), "the same images in the same order");
    let folders = here.json(&["data", "info", "data", "--json"]);
    let listed = here.json(&["data", "info", "data/My list.CSV", "--columns", "class=diagnosis", "--json"]);
    for what in ["domains", "class_names", "original_sizes"] {
        assert_eq!(listed[what], folders[what]);
    }
    // It goes on as a run on a folder does.
    let more =
        ["train", "data/My list.CSV", "--columns", "class=diagnosis", "--resume", "--set", "train.epochs=2"];
    assert!(here.succeed(&more).contains("goes on in epoch 2 of 2"));
    let other = ["train", "--resume", "--out", "runs/My list-seed0", "--columns", "class=kind"];
    here.refuse(&other, 2, &["it has no column \"kind\"", "asked for as class"]);
}

#[test]
fn a_split_decides_what_each_picture_is_for() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let line = |(i, [domain, class, file]): (usize, &[String; 3])| {
        let split = match (&**domain, i % 3) {
            ("B", _) => "test",
            (_, 0) => "validation",
            (_, 1) => "unlabelled",
            _ => "train",
        };
        (format!("data/{file},{class},{domain},{domain}-{i},{split}\n"), split)
    };
    let made = made(&here);
    let lines: Vec<(String, &str)> = made.iter().enumerate().map(line).collect();
    let write = |name: &str, lines: &[String]| {
        fs::write(here.join(name), format!("file,class,domain,group,split\n{}", lines.concat())).unwrap();
    };
    let all: Vec<String> = lines.iter().map(|(line, _)| line.clone()).collect();
    write("images.csv", &all);
    let said = here.succeed(&train(&["images.csv", "--out", "run"]));
    assert!(said.contains("assumed: the domain B is held out, as the list has it for test\n"), "{said}");
    let count = |split: &str| lines.iter().filter(|(_, found)| *found == split).count();
    let notice = format!(
        "the list says which {} images choose the epoch: data.validation = 0.2 draws none",
        count("validation")
    );
    assert!(said.contains(&notice), "{said}");
    let division = text(&here.read("run/division.csv"));
    for (split, role) in
        [("train", "training"), ("validation", "validation"), ("unlabelled", "unlabelled"), ("test", "test")]
    {
        assert!(count(split) > 0);
        let of_role: Vec<&str> =
            division.lines().filter(|line| line.ends_with(&format!(",{role}"))).collect();
        assert_eq!(of_role.len(), count(split), "{role}");
        for (line, _) in lines.iter().filter(|(_, found)| *found == split) {
            let file = line.split(',').next().unwrap();
            assert!(of_role.iter().any(|row| row.starts_with(&format!("{file},"))), "{file} is not {role}");
        }
    }
    here.refuse(
        &train(&["images.csv", "--test-domain", "A"]),
        2,
        &["cannot hold the domain \"A\" of images.csv out: its column split has \"B\" for test"],
    );
    // What is assumed has been said by then.
    let refuse = |arguments: &[&str], parts: &[&str]| {
        let output = here.run(&train(arguments));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().count() == 1 && parts.iter().all(|part| said.contains(part)), "{said}");
    };
    refuse(
        &["images.csv", "--set", "data.validation=0"],
        &[
            "data.validation = 0 is not usable with ",
            "images.csv; its column split has ",
            " images for validation",
        ],
    );
    refuse(
        &["images.csv", "--set", "data.test_domain=A"],
        &["data.test_domain = \"A\" is not usable with ", "images.csv; its column split has \"B\" for test"],
    );
    refuse(
        &["images.csv", "--set", "data.unlabelled.domains=[\"A\"]"],
        &["cannot train on data/A/", "without its class: the list has it for validation"],
    );
    // Without a line for validation the epoch is selected by the training images.
    let none: Vec<String> = all.iter().map(|line| line.replace(",validation\n", ",train\n")).collect();
    write("none.csv", &none);
    let said = here.succeed(&train(&["none.csv", "--out", "none"]));
    assert!(said.contains("assumed: the epoch is selected by the training images"), "{said}");
    assert!(!text(&here.read("none/division.csv")).contains(",validation"));
    refuse(
        &["none.csv", "--set", "data.validation=0.2"],
        &["data.validation = 0.2 is not usable with ", "none.csv; no line of it has the split validation"],
    );
}

#[test]
fn damaged_lists_are_refused() {
    let here = Folder::new();
    make(&here, &["A", "B"]);
    let file = "data/A/blue/0 é.png";
    for (list, part) in [
        (
            format!("file,class,domain\n{file},x,A\n{file},x,A\n"),
            "cannot use images.csv: line 3 names \"data/A/blue/0 é.png\" again",
        ),
        (
            format!("file,class,domain\n{file},x,A\nnone.png,x,B\n"),
            "line 3 names \"none.png\", which is not there",
        ),
        (format!("file,label,domain\n{file},x,A\n"), "it has no column \"class\""),
        (String::new(), "it is empty"),
    ] {
        fs::write(here.join("images.csv"), list).unwrap();
        for command in [&["train", "images.csv"][..], &["data", "info", "images.csv"]] {
            here.refuse(command, 2, &[part]);
        }
    }
    fs::write(here.join("images.csv"), format!("file,class,domain\n{file},x,A\n")).unwrap();
    let alone = "A is the only one with classes";
    here.refuse(&["train", "images.csv"], 2, &[alone]);
    assert!(here.succeed(&["data", "info", "images.csv"]).contains(alone));
    fs::write(here.join("images.csv"), b"file,class,domain\n\xff.png,x,A\n").unwrap();
    here.refuse(&["train", "images.csv"], 2, &["line 2 is not text in UTF-8"]);
    here.refuse(&["train", "none.csv"], 2, &["cannot read none.csv: "]);
    here.refuse(&["train", "data", "--columns", "file=a"], 2, &["cannot use --columns with the folder data"]);
    here.refuse(
        &["train", "images.csv", "--columns", "files=a"],
        2,
        &["data.columns = [\"files=a\"] is not usable"],
    );
    here.refuse(
        &["train", "--columns", "file=a"],
        2,
        &["elsewhere that is --set 'data.columns=[\"file=a\"]'"],
    );
    assert_eq!(here.json(&["data", "info", "data", "--json"])["class_names"], json!(["blue", "red cells"]));
    assert!(!here.join("runs").join("images-seed0").exists());
}
