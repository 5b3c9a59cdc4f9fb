//! What is written of names: rows of CSV and Markdown, a sweep's tables, the page about runs.

use diva::config::{Config, DomainName};
use diva::experiments::sweep::render;
use diva::experiments::sweep::table::{Cell, Collection, Missing, OfSeed, Row, Table, Unit};
use diva::names::is_plain;
use diva::report::compare;
use diva::report::latents::{KnowledgeRow, Views};
use diva::report::run_report::RunReport;
use diva::scores::{Answer, ChosenThreshold, Predictions};
use diva::tables::{csv_line, markdown_line};
use diva::train::evaluate::Unseen;
use diva::train::metrics::parse_metrics;
use std::path::Path;

/// Names in one input; more only take longer.
const NAMES: usize = 12;

/// Names with the control character U+001E between them.
fn names(bytes: &[u8]) -> Option<Vec<&str>> {
    let names: Vec<&str> = std::str::from_utf8(bytes).ok()?.split('\u{1e}').collect();
    (names.len() <= NAMES).then_some(names)
}

/// Names in the cells of a row, and in every place of a sweep's tables.
pub fn tables(bytes: &[u8]) -> bool {
    let Some(names) = names(bytes) else { return false };
    let row = csv_line(&names);
    assert_eq!(cells_of(&row), [names.len()], "{row:?}");
    let row = markdown_line(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    assert_eq!((bars(&row), row.matches('\n').count()), (names.len() + 1, 1), "{row:?}");

    let (nasty, harmless) = (collection(&|place| names[place % names.len()]), collection(&|_| "a"));
    let texts = [&nasty, &harmless].map(render::csv);
    let [found, expected] = texts.each_ref().map(|text| cells_of(text));
    assert_eq!(found, expected, "{texts:?}");
    let texts = [&nasty, &harmless].map(render::markdown);
    let [found, expected] = texts.each_ref().map(|text| -> Vec<usize> { text.lines().map(bars).collect() });
    // Outside of tables bars are text.
    assert_eq!(found.len(), expected.len(), "{texts:?}");
    assert!(found.iter().zip(&expected).all(|(found, expected)| *expected == 0 || found == expected));
    assert_plain(&texts[0], &[]);
    true
}

/// How many cells each row of a text in CSV has; none may be taken for a formula, and each row is a line.
fn cells_of(text: &str) -> Vec<usize> {
    assert_plain(text, &[]);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> =
        reader.records().map(|row| row.expect("what is written can be read")).collect();
    assert_eq!(rows.len(), text.lines().count(), "{text:?}");
    for cell in rows.iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@']) || cell.parse::<f64>().is_ok(), "{cell:?}");
    }
    rows.iter().map(csv::StringRecord::len).collect()
}

/// The bars between cells in a line of Markdown.
fn bars(line: &str) -> usize {
    line.replace("\\\\", "").replace("\\|", "").matches('|').count()
}

fn assert_plain(text: &str, allowed: &[char]) {
    let is_allowed = |letter: char| letter == '\n' || is_plain(letter) || allowed.contains(&letter);
    assert!(text.chars().all(is_allowed), "{text:?}");
}

/// Two arms and two test domains; what each is called comes from `name`.
fn collection<'a>(name: &dyn Fn(usize) -> &'a str) -> Collection {
    let name = |place: usize| name(place).to_owned();
    let cell = Cell {
        mean: Some(0.5),
        standard_error: None,
        interval: Some([0.25, 0.75]),
        n: 1,
        planned: 2,
        values: vec![OfSeed { seed: 1, value: 0.5, interval: None }],
    };
    let row = |place| Row {
        labels: vec![name(place), name(place + 1)],
        cells: vec![cell.clone(), cell.clone()],
        average: cell.clone(),
    };
    let table = Table {
        figure: "test_accuracy",
        title: "Accuracy",
        unit: Unit::Percent,
        rows: vec![row(0), row(2)],
        commonest_class: vec![Some(0.5), None],
    };
    Collection {
        jobs: 3,
        missing: vec![Missing { id: "00ff".into(), name: name(4), unusable: Some(name(5)) }],
        labels: vec![name(6), name(7)],
        test_domains: vec![name(8), name(9)],
        tables: vec![table],
        published: vec![],
        notes: vec![name(10)],
    }
}

/// Names of the folders, domains and classes of two runs, and what is told of them, on the page about both.
pub fn page(bytes: &[u8]) -> bool {
    let Some(names) = names(bytes) else { return false };
    // What stands for no figure: a column of nothing else is left out.
    if names.contains(&"–") {
        return false;
    }
    let page = |name: &dyn Fn(usize) -> String| compare::page(&[report(name), report(name)]);
    let found = page(&|place| names[place % names.len()].to_owned());
    assert_plain(&found, &['\u{2068}', '\u{2069}']);
    let counts =
        |text: &str, marks: &[&str]| marks.iter().map(|mark| text.matches(mark).count()).collect::<Vec<_>>();
    let isolated = counts(&found, &["<bdi>", "</bdi>", "\u{2068}", "\u{2069}"]);
    assert_eq!((isolated[0], isolated[2]), (isolated[1], isolated[3]), "{found}");
    // Marks of HTML are the program's alone.
    let (found, expected) =
        (found.replace("<bdi>", "").replace("</bdi>", ""), page(&|place| format!("a{place}")));
    let marks = ["<", ">", "\"", "'", "<script", "<th", "<pre>"];
    assert_eq!(counts(&found, &marks), counts(&expected, &marks), "{found}");
    true
}

fn report(name: &dyn Fn(usize) -> String) -> RunReport {
    let mut config = Config::resolve(None, None, &[], None).expect("the preset is a configuration");
    let domains = vec![name(0), name(1)];
    config.data.test_domain = DomainName::Name(name(2));
    config.data.domains =
        domains.iter().cloned().map(DomainName::Name).chain([config.data.test_domain.clone()]).collect();
    let line = r#"{"epoch":1,"beta":1.0,"loss":2.0,"ce_y":1e-3,"train_accuracy":0.875,"domain_accuracy":{},"test_accuracy":0.5,"state_sha256":"00ff","train_seconds":1.5,"evaluate_seconds":0.5,"images_per_second":100.0}"#;
    let mut metrics = parse_metrics(line, Path::new("metrics.jsonl")).expect("a line of metrics");
    metrics[0].state_sha256 = name(3);
    let predictions = Predictions::new(&[0, 1], &[1.0, 0.0, 0.0, 1.0], 2).expect("finite logits");
    RunReport {
        name: name(4),
        config,
        metrics,
        result: None,
        domains,
        classes: vec![name(5), name(6)],
        not_asked: None,
        notices: vec![name(7)],
        unseen: Some(Unseen {
            answer: Answer::of(&predictions, 1),
            operating_point: ChosenThreshold::choose(1, &name(6), 0.9, &predictions, &predictions),
            scores: None,
            confusion: predictions.confusion(),
        }),
        evaluation: None,
        knowledge: vec![KnowledgeRow { latent: "zy", class: Some(0.5), domain: None, unseen_class: None }],
        views: Some(Views {
            sheet: vec![],
            columns: 1,
            side: 1,
            classes: vec![0, 1, 2],
            domains: vec![0, 1, 2],
            planes: vec![("zy by PCA".into(), vec![[0.0, 0.0], [1.0, 1.0], [0.5, 0.25]])],
        }),
        pictures: vec![],
        live: Some(Err(name(7))),
    }
}
