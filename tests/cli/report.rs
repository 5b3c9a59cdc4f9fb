//! The page about runs: what it says of whole, half-finished and missing ones.

use super::folders::{self, make};
use super::{Folder, text, train, unsealed};
use serde_json::Value;
use std::fs;

/// The page about `runs`, which must hold all of `parts` and ask for nothing from elsewhere.
#[track_caller]
fn page(here: &Folder, runs: &[&str], parts: &[&str]) -> String {
    here.succeed(&[&["report"], runs, &["--out", "page.html"]].concat());
    let page = text(&here.read("page.html"));
    for part in parts {
        assert!(page.contains(part), "{part:?} is not in the page about {runs:?}");
    }
    for address in ["http:", "https:", "<link", "@import", "src=\"/"] {
        assert!(!page.contains(address), "{address}");
    }
    page
}

#[test]
fn a_finished_run_has_everything_on_its_page() {
    let here = Folder::new();
    here.with_a_run("run");
    let result: Value = serde_json::from_slice(&here.read("run/result.json")).unwrap();
    let percent = |share: &Value| format!("<td>{:.1} %</td>", 100.0 * share.as_f64().unwrap());
    let found = page(
        &here,
        &["run"],
        &[
            "<title>DIVA: run</title>",
            "domains 0°, 30°",
            &percent(&result["test_accuracy"]),
            &percent(&result["selected"]["disjoint_test_accuracy"]),
            result["checkpoint_sha256"].as_str().unwrap(),
            "What each latent knows",
            "zy by t-SNE, by class",
            "The class changed, all else kept",
            "weight 3500",
            "test_domain = 75",
        ],
    );
    assert!(!found.contains("not finished"));
    // Digits are of more than two classes.
    assert!(!found.contains("How good the probabilities are") && !found.contains("ROC curve"));
    // Six pictures, the sheet of the points' images and that of the live part; two methods and two colourings of each latent.
    assert_eq!(found.matches("data:image/png;base64,").count(), 8);
    assert_eq!(found.matches("data-sheet=").count(), 12);
    // 80 training images and 40 of the unseen domain in each.
    assert_eq!(found.matches("<circle").count() - found.matches("r=\"5\"").count(), 12 * 120);
    // The confusion matrix counts the images of the unseen domain.
    let matrix = found.split("class=\"matrix\"").nth(1).unwrap().split("</table>").next().unwrap();
    let counts =
        matrix.split("%\">").skip(1).map(|cell| cell.split('<').next().unwrap().parse::<usize>().unwrap());
    assert_eq!(counts.sum::<usize>(), 40);
    // Without --out it lies beside the run.
    assert_eq!(here.succeed(&["report", "run"]), "the report is in run/report.html\n");
    assert_eq!(text(&here.read("run/report.html")), found);
}

#[test]
fn a_run_that_is_not_finished_is_shown_as_such() {
    let here = Folder::new();
    here.with_a_run("run");
    fs::remove_file(here.join("run/result.json")).unwrap();
    let config = text(&here.read("run/config.toml")).replace("epochs = 2", "epochs = 5");
    fs::write(here.join("run/config.toml"), config).unwrap();
    page(&here, &["run"], &["This run is not finished: 2 of 5 epochs are done.", "state after epoch 2: "]);
    for name in ["metrics.jsonl", "best.safetensors"] {
        fs::remove_file(here.join("run").join(name)).unwrap();
    }
    page(&here, &["run"], &["0 of 5 epochs are done", "No epoch of its training is recorded"]);
    fs::remove_file(here.join("run/config.toml")).unwrap();
    here.refuse(&["report", "run"], 2, &["cannot report run: it is not the folder of a run"]);
    here.refuse(&["report", "nothing"], 2, &["cannot report nothing"]);
    assert!(!here.join("run/report.html").exists());
}

/// What needs no images is told without them, and they may have moved.
#[test]
fn a_run_whose_images_are_gone_keeps_its_curves() {
    let here = Folder::new();
    here.with_a_run("run");
    let config = text(&here.read("run/config.toml"));
    let config =
        config.replace("source = \"embedded\"", "source = \"idx\"").replace("path = \"\"", "path = \"gone\"");
    fs::write(here.join("run/config.toml"), config).unwrap();
    here.refuse(&["report", "run"], 2, &["cannot report run: its config.toml is not the one that"]);
    here.unseal("run");
    let output = here.run(&["report", "run", "--out", "page.html"]);
    assert!(output.status.success());
    assert!(text(&output.stderr).starts_with("diva: The model could not be asked: "));
    let page_about_run = text(&here.read("page.html"));
    for part in ["The model could not be asked", "gone", "How the training went"] {
        assert!(page_about_run.contains(part), "{part}");
    }
    assert!(!page_about_run.contains("What each latent knows"));
    here.refuse(&["report", "run", "--set", "seed=3"], 2, &["cannot report run", "seed"]);
    // A model of other weights than those that the metrics are about.
    here.with_a_run("other");
    here.succeed(&train("plain", &["--seed", "9"]));
    fs::copy(here.join("plain/best.safetensors"), here.join("other/best.safetensors")).unwrap();
    here.unseal("other");
    let notices = [
        "The model that was asked is not that of the selected epoch",
        "nothing in other says whether best.safetensors is as it was left there",
    ];
    page(&here, &["other"], &notices);
    fs::remove_file(here.join("other/metrics.jsonl")).unwrap();
    here.refuse(
        &["report", "other"],
        2,
        &["result.json is not its result: it is of 2 epochs, metrics.jsonl has 0"],
    );
    fs::remove_file(here.join("other/result.json")).unwrap();
    page(&here, &["other"], &["No epoch of its training is recorded", "What each latent knows"]);
}

#[test]
fn images_without_a_class_are_among_the_points() {
    let here = Folder::new();
    let unlabelled = ["--set", "data.domains=[0, 15, 75]", "--set", "data.unlabelled.domains=[15]"];
    here.succeed(&train("used", &unlabelled));
    here.succeed(&train("left", &[&unlabelled[..], &["--set", "data.unlabelled.images=left-out"]].concat()));
    let found = page(&here, &["used"], &["domains 0°, 15° (without classes)", "</i>15°</li>"]);
    // Two training domains and the unseen one, of 40 images each.
    assert_eq!(found.matches("<circle").count() - found.matches("r=\"5\"").count(), 12 * 120);
    let found = page(&here, &["left"], &["trained on images of the domains 0° recognise"]);
    assert_eq!(found.matches("<circle").count() - found.matches("r=\"5\"").count(), 12 * 80);
    assert!(!found.contains("</i>15°</li>"));
    page(
        &here,
        &["used", "left"],
        &[
            "<td>data.unlabelled.images = &quot;used&quot;</td>",
            "<td>data.unlabelled.images = &quot;left-out&quot;</td>",
        ],
    );
}

#[test]
fn several_runs_are_compared_whatever_their_models() {
    let here = Folder::new();
    here.with_a_run("<b>run");
    here.succeed(&train("plain", &["--set", "model.kind=classifier", "--set", "train.epochs=1"]));
    let found = page(
        &here,
        &["<b>run", "plain"],
        &["2 runs compared", "&lt;b&gt;run", "a plain classifier", "unseen, last 10"],
    );
    assert!(!found.contains("<b>"));
    // A classifier has neither latents nor pictures.
    assert_eq!(found.matches("What each latent knows").count(), 1);
    assert_eq!(found.matches("What is mistaken for what").count(), 2);
}

/// A dash is what stands where there is nothing; here it is a name.
#[test]
fn a_domain_that_is_named_like_a_gap_keeps_its_column() {
    let here = Folder::new();
    make(&here, &["A", "B", "–"]);
    for (out, seed) in [("one", "seed=1"), ("two", "seed=2")] {
        let more = ["--set", "data.test_domain=–", "--set", "model.kind=classifier", "--set", seed];
        here.succeed(&folders::train(out, "train.epochs=1", &more));
    }
    let found = page(&here, &["one", "two"], &["2 runs compared", "<th>unseen domain</th>"]);
    // They differ in their seed alone: of two the standard error is half of what is between them.
    let [one, two] = ["one", "two"].map(|run| {
        let result: Value = serde_json::from_slice(&here.read(&format!("{run}/result.json"))).unwrap();
        result["test_accuracy"].as_f64().unwrap()
    });
    let (mean, error) = (50.0 * (one + two), 50.0 * (one - two).abs());
    assert!(
        found.contains(&format!("<td>1, 2</td><td>{mean:.1} ± {error:.1} (n = 2)</td>")),
        "{one}, {two}: {found}"
    );
}

#[test]
fn a_torn_last_line_is_no_epoch_until_the_run_is_finished() {
    let here = Folder::new();
    here.with_a_run("run");
    let whole = text(&here.read("run/metrics.jsonl"));
    let result = here.read("run/result.json");
    for torn in [&whole[..whole.len() - 1], &whole[..whole.len() - 40], &format!("{whole}{{\"epo")] {
        fs::write(here.join("run/metrics.jsonl"), torn).unwrap();
        fs::remove_file(here.join("run/result.json")).unwrap();
        let epochs = torn.matches('\n').count();
        let last = format!("state after epoch {epochs}: ");
        page(&here, &["run"], &["This run is not finished", &last]);
        assert_eq!(here.succeed(&["verify", "run"]).matches(" repeats: ").count(), 1);
        fs::write(here.join("run/result.json"), &result).unwrap();
    }
    // Of a finished run it is damage.
    here.refuse(&["report", "run"], 2, &["run/metrics.jsonl: line 3 is not the metrics of an epoch"]);
}

#[test]
fn what_a_result_holds_adds_no_command() {
    let here = Folder::new();
    here.with_a_run("run");
    let result = text(&here.read("run/result.json"));
    let mut value: Value = serde_json::from_str(&result).unwrap();
    value.as_object_mut().unwrap().remove("result_sha256").unwrap();
    value["checkpoint_sha256"] = "00\nrm -rf ~\r\u{1b}[2J".into();
    fs::write(here.join("run/result.json"), value.to_string()).unwrap();
    // A report has a result that is of its last line of metrics.
    let lines = unsealed(&here.read("run/metrics.jsonl"));
    let (first, last) = lines.trim_end().split_once('\n').unwrap();
    let mut last: Value = serde_json::from_str(last).unwrap();
    last["state_sha256"] = value["checkpoint_sha256"].clone();
    fs::write(here.join("run/metrics.jsonl"), format!("{first}\n{last}\n")).unwrap();
    page(&here, &["run"], &["checkpoint.safetensors   # 00\\nrm -rf ~\\r\\u{1b}[2J\n# diva "]);
    // The same of a run that is not finished.
    fs::remove_file(here.join("run/result.json")).unwrap();
    last["state_sha256"] = "00\nrm -rf ~".into();
    fs::write(here.join("run/metrics.jsonl"), format!("{first}\n{last}\n")).unwrap();
    page(&here, &["run"], &["# state after epoch 2: 00\\nrm -rf ~\n# diva "]);
}
