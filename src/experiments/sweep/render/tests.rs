//! Tables to the letter.

use super::super::table::{Figures, tabulate};
use super::*;
use crate::scores::Auc;
use crate::store::scratch::Scratch;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn collection(domains: &str) -> Collection {
    let text = format!(
        "preset = \"quick\"\n{domains}[grid]\ndata.test_domain = [0, 75]\nseed = [0, 1]
        [[arms]]\nname = \"a, |\"\n[[arms]]\nname = \"b\"\nmodel.kind = \"vae\""
    );
    let sweep = Sweep::parse(Path::new("s.toml"), &text).unwrap();
    let figures = |selected: f64| Some(Figures { selected, last_epochs: selected, ..Figures::default() });
    let all = [figures(0.5), figures(0.75), figures(0.25), None, None, None, None, None];
    tabulate(&sweep, &all)
}

/// By hand: 0.5 and 0.75 have the standard error 0.125; (0.625 + 0.25) / 2 = 0.4375.
#[test]
fn markdown_shows_figures_gaps_and_sources() {
    let text = markdown(&collection("data.domains = [0, 75, 30]\n"));
    let table: Vec<&str> = text.lines().take(6).collect();
    assert_eq!(
        table,
        [
            "## Accuracy on the unseen domain, selected epoch, %",
            "",
            "| arm | test 0 | test 75 | average | source |",
            "| --- | --- | --- | --- | --- |",
            "| a, \\| | 62.5 ± 12.5 (n = 2) | 25.0 (n = 1 of 2) | 43.8 (n = 1 of 2) | this sweep |",
            "| b | - (n = 0 of 2) | - (n = 0 of 2) | - (n = 0 of 2) | this sweep |",
        ]
    );
    assert!(text.contains(
        "\nMean ± standard error over n seeds; 3 of 8 jobs are done.\nNo published figures stand beside"
    ));
    assert!(text.contains("` arm=a, \\|, data.test_domain=75, seed=1\n"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("* `")).count(), 5);

    let text = markdown(&collection(""));
    let published: Vec<&str> = text.lines().filter(|line| line.contains("(published)")).collect();
    assert_eq!(published.len(), 6, "the selected epoch alone has published figures");
    assert_eq!(
        published[0],
        "| DANN (published) | 86.7 | 89.1 | 87.9 | Wang et al., ICLR 2019 (HEX), table 3 |"
    );
    // 93.25 may be rounded either way.
    assert!(published[5].starts_with("| DIVA (published) | 93.5 | 93.0 | 93."), "{}", published[5]);
    assert!(
        published[5].ends_with(" | as remembered, not read: Ilse et al., MIDL 2020 |"),
        "{}",
        published[5]
    );
}

#[test]
fn csv_has_a_line_for_each_cell() {
    let text = csv(&collection(""));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "figure,arm,test_domain,mean,standard_error,interval_low,interval_high,n,planned,source"
    );
    assert_eq!(lines[1], "test_accuracy,\"a, |\",0,0.625,0.125,,,2,2,this sweep");
    assert_eq!(lines[2], "test_accuracy,\"a, |\",75,0.25,,,,1,2,this sweep");
    assert_eq!(lines[3], "test_accuracy,\"a, |\",average,0.4375,,,,1,2,this sweep");
    assert_eq!(lines[4], "test_accuracy,b,0,,,,,0,2,this sweep");
    assert_eq!(lines[7], "test_accuracy,DANN,0,0.867,,,,,,\"Wang et al., ICLR 2019 (HEX), table 3\"");
    // Two figures, two arms, three cells each; six methods beside the first.
    assert_eq!(lines.len(), 1 + 2 * 2 * 3 + 6 * 3);
}

#[test]
fn the_commonest_class_has_a_row_of_its_own_beside_accuracies() {
    let text = "preset = \"quick\"\n[grid]\nmodel.kind = [\"diva\", \"dann\"]\ndata.test_domain = [0, 75]";
    let sweep = Sweep::parse(Path::new("s.toml"), text).unwrap();
    let run = |share| Some(Figures { selected: 0.5, commonest_class: Some(share), ..Figures::default() });
    let collection = tabulate(&sweep, &[run(0.5), None, run(0.5), run(0.25)]);
    let text = markdown(&collection);
    // Accuracies of the selected and of the last epochs.
    assert_eq!(
        text.matches("\n| commonest class | 50.0 | 25.0 | 37.5 | the images |\n").count(),
        2,
        "{text}"
    );
    let text = csv(&collection);
    for (domain, share) in [("0", "0.5"), ("75", "0.25"), ("average", "0.375")] {
        let line = format!("\ntest_accuracy,commonest class,{domain},{share},,,,,,the images\n");
        assert!(text.contains(&line), "{text}");
    }
    assert!(!csv(&tabulate(&sweep, &[const { None }; 4])).contains("commonest"));
}

/// One test domain: the average over it is it.
#[test]
fn areas_have_three_decimals_and_intervals() {
    let text = "preset = \"quick\"\n[grid]\nmodel.kind = [\"diva\", \"dann\"]\nseed = [0, 1]";
    let sweep = Sweep::parse(Path::new("s.toml"), text).unwrap();
    let run = |value, interval| {
        let roc_auc = Some(Auc { value, interval });
        Some(Figures { roc_auc, ..Figures::default() })
    };
    let ends = Some([0.5, 0.875]);
    let collection = tabulate(&sweep, &[run(0.75, ends), run(0.25, ends), run(0.625, ends), None]);
    let text = markdown(&collection);
    let rows = "## Area under the ROC curve on the unseen domain, selected epoch\n\n\
                | model.kind | test 75 | average | source |\n| --- | --- | --- | --- |\n\
                | diva | 0.500 ± 0.250 (n = 2) | 0.500 ± 0.250 (n = 2) | this sweep |\n\
                | dann | 0.625 [0.500, 0.875] (n = 1 of 2) | 0.625 [0.500, 0.875] (n = 1 of 2) | this sweep |\n";
    assert!(text.contains(rows), "{text}");
    let text = csv(&collection);
    assert!(text.contains("\ntest_roc_auc,diva,75,0.5,0.25,,,2,2,this sweep\n"), "{text}");
    assert!(text.contains("\ntest_roc_auc,dann,average,0.625,,0.5,0.875,1,2,this sweep\n"), "{text}");
    let columns = |line: &str| line.split(',').count();
    assert!(
        text.lines().skip(1).filter(|line| !line.contains('"')).all(|line| columns(line) == 10),
        "{text}"
    );
    let value: Value = serde_json::from_str(&json(&collection)).unwrap();
    let cell = &value["tables"][1]["rows"][1]["cells"][0];
    assert_eq!(cell["interval"], serde_json::json!([0.5, 0.875]));
    assert_eq!(value["tables"][0]["rows"][1]["cells"][0].get("interval"), None, "accuracies have none");
}

#[test]
fn json_holds_everything() {
    let value: Value = serde_json::from_str(&json(&collection(""))).unwrap();
    assert_eq!(value["jobs"], 8);
    let cell = &value["tables"][0]["rows"][0]["cells"][0];
    assert_eq!(cell["mean"], 0.625);
    assert_eq!(cell["values"][1], serde_json::json!({"seed": 1, "value": 0.75}));
    assert_eq!(value["tables"][0]["rows"][1]["average"]["mean"], Value::Null);
    assert_eq!(value["missing"].as_array().unwrap().len(), 5);
    assert_eq!(value["published"][1]["method"], "LabelGrad");
}

#[test]
fn three_files_are_written() {
    let scratch = Scratch::new();
    let mut sweep = Sweep::parse(Path::new("s.toml"), "preset = \"quick\"\n[grid]\nseed = [0]").unwrap();
    sweep.folder = scratch.path().to_path_buf();
    let collection = collection("");
    let files = write(&sweep, Shard::ALL, &collection).unwrap();
    assert_eq!(files, ["table.md", "table.csv", "table.json"].map(|name| scratch.join(name)));
    let texts = [markdown(&collection), csv(&collection), json(&collection)];
    assert!(files.iter().zip(&texts).all(|(file, text)| fs::read_to_string(file).unwrap() == *text));
    assert!(texts[2].len() > texts[0].len() && texts[2].len() > texts[1].len(), "the first is the largest");
}
