//! Names that speak to a terminal, to a spreadsheet or to a browser, in every place where a name can stand.

use super::cells::TWO;
use super::{Folder, success, text};
use diva::data::image::encode_rgb;
use diva::names::is_plain;
use serde_json::Value;
use std::fs;
use std::process::Output;

/// The last one is held out.
const DOMAINS: [&str; 3] =
    ["\u{1b}[2Jx\nforged: 1", "=1+1|`\u{202e}a\u{2028}*b*\u{200b}\\n", "עברית\u{e0041}\t\u{9b}31m"];
const CLASSES: [&str; 2] = ["-\n\u{2066}<i>&amp;", "'@\"q\",|\\\u{7f}\u{feff}"];
const FILES: [&str; 6] =
    ["\n0.png", "\u{1b}]0;1.png", "=2.png", "\"3\",.png", "\u{202e}gnp.4.png", "\r5.png"];
const RUN: &str = "r\u{202e}un\nforged <b>\u{1b}[31m";

/// What was printed, which must be plain, line by line.
#[track_caller]
fn plain(output: &Output) -> String {
    for bytes in [&output.stdout, &output.stderr] {
        let text = text(bytes);
        let nasty = text.chars().find(|&letter| letter != '\n' && !is_plain(letter));
        assert_eq!(nasty, None, "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text:?}");
    }
    text(&output.stdout)
}

/// A value as TOML in one line.
fn quoted(name: &str) -> String {
    diva::names::printable_toml(&serde_json::to_string(name).unwrap())
}

fn make(here: &Folder) {
    for (number, domain) in DOMAINS.iter().enumerate() {
        for (class, colour) in CLASSES.iter().zip([[200, 40, 60], [40, 60, 200_u8]]) {
            let folder = here.0.join("data").join(domain).join(class);
            fs::create_dir_all(&folder).unwrap();
            for (picture, name) in FILES.iter().enumerate() {
                let shade = (10 * picture + number) as u8;
                let pixels: Vec<u8> = (0..20 * 24).flat_map(|_| colour.map(|value| value + shade)).collect();
                fs::write(folder.join(name), encode_rgb(24, 20, &pixels)).unwrap();
            }
        }
    }
}

fn settings() -> Vec<String> {
    let [one, other, held_out] = DOMAINS.map(quoted);
    let classes = CLASSES.map(quoted).join(", ");
    let all = [
        "data.source=folders".to_owned(),
        "data.path=data".to_owned(),
        format!("data.domains=[{one}, {other}, {held_out}]"),
        format!("data.classes=[{classes}]"),
        format!("data.test_domain={held_out}"),
        "model.image_size=16".to_owned(),
        "model.width=0.0625".to_owned(),
        "train.batch=6".to_owned(),
        TWO.to_owned(),
    ];
    all.into()
}

/// The rows of a table in CSV, all as long as the head.
#[track_caller]
fn rows(table: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    assert_eq!(rows.len(), table.lines().count(), "{table}");
    for cell in rows.iter().flatten() {
        assert!(cell.parse::<f64>().is_ok() || !cell.starts_with(['=', '+', '-', '@']), "{cell:?}");
    }
    rows
}

#[test]
fn a_run_whose_names_are_nasty_says_them_escaped() {
    let here = Folder::new();
    make(&here);
    let settings = settings();
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let preset = ["--preset", "quick-cells"];
    let all = |words: &[&str]| here.run(words);

    let configuration = plain(&all(&[&["train", "--print-config"], &preset[..], &set].concat()));
    let table: toml::Table = configuration.parse().unwrap();
    let domains: Vec<&str> =
        table["data"]["domains"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(domains, DOMAINS, "what is printed is the configuration");

    let info = plain(&all(&[&["data", "info"], &preset[..], &set].concat()));
    assert_eq!(info.lines().filter(|line| line.contains("  training  ")).count(), 2, "{info}");
    let trained = all(&[&["train", "--out", RUN], &preset[..], &set].concat());
    success(&trained);
    plain(&trained);
    let evaluated = plain(&all(&["evaluate", RUN]));
    let place = |line: &str| diva::names::terminal_width(&line[..line.rfind("  training").unwrap_or(0)]);
    let places: Vec<usize> =
        evaluated.lines().filter(|line| line.contains("  training")).map(place).collect();
    assert!(places.len() == 2 && places[0] == places[1], "{evaluated}");
    let found: Value = serde_json::from_str(&plain(&all(&["evaluate", RUN, "--json"]))).unwrap();
    assert_eq!(found["run"], RUN);
    assert_eq!(found["domains"][0]["domain"], DOMAINS[0], "JSON holds names as they are");

    let folder = format!("data/{}/{}", DOMAINS[1], CLASSES[1]);
    assert_eq!(plain(&all(&["predict", RUN, &folder])).lines().count(), FILES.len());
    let table = rows(&plain(&all(&["predict", RUN, &folder, "--csv"])));
    assert_eq!(table.len(), 1 + FILES.len());
    let found: Value = serde_json::from_str(&plain(&all(&["predict", RUN, &folder, "--json"]))).unwrap();
    let files = found["predictions"].as_array().unwrap().iter().map(|one| one["file"].as_str().unwrap());
    assert!(files.into_iter().all(|file| FILES.iter().any(|name| file == format!("{folder}/{name}"))));
    assert_eq!(found["classes"][0], CLASSES[0]);

    plain(&all(&["generate", RUN, "all"]));
    plain(&all(&["verify", RUN]));
    success(&all(&["report", RUN, "--out", "page.html"]));
    let page = text(&here.read("page.html"));
    let nasty = page
        .chars()
        .find(|&letter| letter != '\n' && !is_plain(letter) && !matches!(letter, '\u{2068}' | '\u{2069}'));
    assert_eq!(nasty, None);
    assert_eq!(page.matches('\u{2068}').count(), page.matches('\u{2069}').count());
    assert!(
        page.matches("<bdi>").count() > 4 && page.matches("<bdi>").count() == page.matches("</bdi>").count()
    );
    assert!(!page.contains("<i>&") && !page.contains("<b>"));

    // What is refused is named on one line, by the program and by the reader of arguments.
    for arguments in [
        &["evaluate", DOMAINS[0]][..],
        &["report", DOMAINS[1]],
        &["train", "\u{1b}[2J\nforged"],
        &["\u{202e}\nforged"],
        &["predict", RUN, "\u{9b}\n"],
        &["train", "--set", "\u{2066}\nforged=1"],
        &["generate", RUN, "\u{2066}\nforged"],
    ] {
        let refusal = all(arguments);
        plain(&refusal);
        assert_eq!(refusal.status.code(), Some(2));
        assert_eq!(text(&refusal.stderr).lines().count(), 1);
    }
}

#[test]
fn a_sweep_whose_names_are_nasty_has_whole_tables() {
    let here = Folder::new();
    make(&here);
    let mut file = "preset = \"quick-cells\"\nout = \"o\\u202Eut\"\n".to_owned();
    for setting in settings() {
        let (key, value) = setting.split_once('=').unwrap();
        let is_toml = value.starts_with(['[', '"']) || value.parse::<f64>().is_ok();
        file += &match is_toml {
            true => format!("{key} = {value}\n"),
            false => format!("{key} = \"{value}\"\n"),
        };
    }
    let arms = ["=cmd|' /C calc'!A0", "'=a|b\\n", "![x](http://y) <b>", "+3"];
    for (arm, seed) in arms.iter().zip(0..) {
        file += &format!("[[arms]]\nname = {}\nseed = {seed}\n", quoted(arm));
    }
    fs::write(here.join("sweep.toml"), file).unwrap();
    let diva = |what: &str| plain(&here.run(&["sweep", what, "sweep.toml"]));
    assert_eq!(diva("plan").lines().count(), arms.len() + 1);
    let run = here.run(&["sweep", "run", "sweep.toml"]);
    success(&run);
    plain(&run);
    assert_eq!(diva("status").lines().count(), arms.len() + 1);
    diva("collect");
    let table = text(&here.read("o\u{202e}ut/table.csv"));
    let rows = rows(&table);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{table}");
    for arm in ["'=cmd|' /C calc'!A0", "''=a|b\\u{5c}n", "+3"] {
        assert!(rows.iter().any(|row| row[1] == arm), "{arm} is not in {table}");
    }
    let table = text(&here.read("o\u{202e}ut/table.md"));
    assert!(table.chars().all(|letter| letter == '\n' || is_plain(letter)), "{table}");
    let bars = |line: &str| line.replace("\\\\", "").replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
    assert!(lines.len() > arms.len() && lines.iter().all(|line| bars(line) == bars(lines[0])), "{table}");
    assert!(!table.contains("](http") && !table.contains(" <b>"), "{table}");
}
