//! The answer for the unseen domain: one everywhere, with groups where there are groups, and to be counted again by anyone.

use super::folders::{make, train};
use super::{Folder, text};
use serde_json::{Value, json};
use std::fs;

const ONE: &str = "train.epochs=1";

/// Puts every picture that `make` makes into the folder of a patient: the first of each class of a domain into P0, and so on.
fn by_patients(here: &Folder, domains: &[&str]) {
    for domain in domains {
        for class in ["blue", "red cells"] {
            let folder = here.join(&format!("data/{domain}/{class}"));
            let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            for file in files {
                let name = file.file_name().unwrap().to_str().unwrap();
                let patient = folder.join(format!("P{}", &name[..1]));
                fs::create_dir(&patient).unwrap();
                fs::rename(&file, patient.join(name)).unwrap();
            }
        }
    }
}

fn result(here: &Folder, run: &str) -> Value {
    serde_json::from_slice(&here.read(&format!("{run}/result.json"))).unwrap()
}

/// A table by its columns' names.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn of(text: &str) -> Self {
        let line = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        Table { head: line(text.lines().next().unwrap()), rows: text.lines().skip(1).map(line).collect() }
    }

    fn column(&self, name: &str) -> Vec<&str> {
        let at = self.head.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.column(name).into_iter().map(|cell| cell.parse().unwrap()).collect()
    }

    /// The area under the ROC curve of one class against the others, pair by pair.
    fn area(&self, class: &str, log_odds: &str) -> f64 {
        let images: Vec<(bool, f64)> = self
            .column("truth")
            .into_iter()
            .map(|truth| truth == class)
            .zip(self.numbers(log_odds))
            .collect();
        let (mut twice, mut pairs) = (0_u64, 0_u64);
        for (_, of_class) in images.iter().filter(|image| image.0) {
            for (_, other) in images.iter().filter(|image| !image.0) {
                pairs += 1;
                twice += if of_class > other { 2 } else { u64::from(of_class == other) };
            }
        }
        twice as f64 / (2 * pairs) as f64
    }
}

#[test]
fn one_answer_is_said_everywhere() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    by_patients(&here, &["A", "B", "C"]);
    let said = here.succeed(&train("run", ONE, &[]));
    let result = result(&here, "run");
    let found = here.json(&["evaluate", "run", "--json"]);
    let test = found["domains"].as_array().unwrap().last().unwrap();
    let (answer, point) = (&result["answer"], &result["operating_point"]);
    let accuracy = &answer["accuracy"];
    assert_eq!((&accuracy["count"], &accuracy["of"]), (&test["correct"], &json!(16)));
    assert_eq!(accuracy["value"], result["test_accuracy"]);
    assert_eq!(answer["commonest_class_share"], 0.5);
    assert_eq!(answer["roc_auc"], result["test_scores"]["roc_auc"]);
    assert_eq!(answer["of_groups"]["groups"], 8, "patients of two classes are one");
    assert_eq!((&found["answer"], &found["operating_point"]), (answer, point));

    // The threshold is the lowest of the two pictures of red cells that are held back.
    assert_eq!((&point["positive_class"], &point["wanted_sensitivity"]), (&json!("red cells"), &json!(0.9)));
    assert_eq!(point["held_back_of_class"], 2);
    let division = Table::of(&text(&here.read("run/division.csv")));
    let held_back: Vec<String> = (division.column("file").iter().zip(division.column("role")))
        .filter(|(file, role)| file.contains("/red cells/") && *role == "validation")
        .map(|(file, _)| format!("data/{file}"))
        .collect();
    let arguments: Vec<&str> = held_back.iter().map(String::as_str).collect();
    let of_held_back = Table::of(&here.succeed(&[&["predict", "run", "--csv"], &arguments[..]].concat()))
        .numbers("log_odds");
    let lowest = of_held_back.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(point["threshold_log_odds"].as_f64(), Some(lowest));
    let predictions = Table::of(&text(&here.read("run/predictions.csv")));
    let taken = |class: &str| {
        let log_odds = predictions.column("truth").into_iter().zip(predictions.numbers("log_odds"));
        log_odds.filter(|&(truth, log_odds)| truth == class && log_odds >= lowest).count()
    };
    assert_eq!(point["sensitivity"]["count"], taken("red cells"));
    assert_eq!(point["specificity"]["count"], 8 - taken("blue"));
    let half = here.json(&["evaluate", "run", "--json", "--sensitivity", "0.5"]);
    assert_eq!(half["operating_point"]["wanted_sensitivity"], 0.5);
    let highest = of_held_back.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(half["operating_point"]["threshold_log_odds"].as_f64(), Some(highest));
    assert_eq!(half["answer"], *answer);

    let ends = |interval: &Value| [0, 1].map(|end| 100.0 * interval[end].as_f64().unwrap());
    let words = |[low, high]: [f64; 2]| format!("{low:.1} to {high:.1} %");
    let of_images = words(ends(&accuracy["interval"]));
    let of_groups = words(ends(&answer["of_groups"]["accuracy"]));
    let chosen = "this threshold was chosen on held-back images of the training domains, 2 of them red cells, for a sensitivity of \
                  90.0 %";
    for said in [said, here.succeed(&["evaluate", "run"])] {
        let line =
            said.lines().find(|line| line.starts_with("accuracy ")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains(&of_images) && line.ends_with(&of_groups), "{line}");
        assert!(
            said.contains("of groups, 8 here\n") && said.contains("\ncommonest class     50.0 %\n"),
            "{said}"
        );
        assert!(
            said.contains("taken for red cells from a probability of ") && said.contains(chosen),
            "{said}"
        );
    }
    here.succeed(&["report", "run"]);
    let page = text(&here.read("run/report.html"));
    for part in [
        "The answer for the unseen domain C, at the selected epoch 1",
        &format!("<td>{of_images}</td><td>{of_groups}</td>"),
        "<th>commonest class</th><td>50.0 %</td>",
        "Images are taken for red cells from a probability of ",
        chosen,
    ] {
        assert!(page.contains(part), "{part:?} is not on the page");
    }
    assert!(here.succeed(&["verify", "run"]).ends_with("repeats\n"));

    // A picture that is put into another patient's folder stays what it was when it was divided.
    fs::rename(here.join("data/C/blue/P0/0 é.png"), here.join("data/C/blue/P1/new.png")).unwrap();
    let output = here.run(&["evaluate", "run", "--json"]);
    let moved: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(moved["answer"], *answer);
}

#[test]
fn predictions_can_be_scored_again() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("two", ONE, &[]));
    for domain in ["A", "B", "C"] {
        fs::create_dir(here.join(&format!("data/{domain}/=green"))).unwrap();
        for picture in 0..6 {
            let from = here.join(&format!("data/{domain}/blue/{picture} é.png"));
            let to = here.join(&format!("data/{domain}/=green/{picture}.png"));
            let mut bytes = fs::read(from).unwrap();
            bytes.push(0); // behind the end of the picture
            fs::write(to, bytes).unwrap();
        }
    }
    here.succeed(&train("three", ONE, &["--set", "model.kind=classifier"]));
    for (run, images, classes) in
        [("two", 16, &["blue", "red cells"][..]), ("three", 22, &["=green", "blue", "red cells"])]
    {
        let written = text(&here.read(&format!("{run}/predictions.csv")));
        let table = Table::of(&written);
        let shown = |class: &str| if class.starts_with('=') { format!("'{class}") } else { class.to_owned() };
        let answer = &result(&here, run)["answer"];
        let right =
            table.column("truth").iter().zip(table.column("class_name")).filter(|(a, b)| *a == b).count();
        assert_eq!(answer["accuracy"]["count"], right);
        assert_eq!((&answer["accuracy"]["of"], table.rows.len()), (&json!(images), images));
        assert_eq!(answer["accuracy"]["value"].as_f64(), Some(right as f64 / images as f64));
        let area = match classes {
            [_, positive] => table.area(positive, "log_odds"),
            _ => {
                let of_class = |class: &&str| table.area(&shown(class), &format!("log_odds {class}"));
                classes.iter().map(of_class).sum::<f64>() / classes.len() as f64
            }
        };
        assert_eq!(answer["roc_auc"]["value"].as_f64(), Some(area), "{run}");
        assert_eq!(answer.get("of_groups"), None);
        // What `diva predict` says of the same files.
        let files: Vec<String> = table.column("file").iter().map(|file| format!("data/{file}")).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        assert!(files.iter().all(|file| file.starts_with("data/C/")));
        let predicted = Table::of(&here.succeed(&[&["predict", run, "--csv"], &files[..]].concat()));
        let mut head = table.head.clone();
        assert_eq!((head.remove(1).as_str(), &head), ("truth", &predicted.head));
        for (row, predicted) in table.rows.iter().zip(&predicted.rows) {
            assert_eq!(row[2..], predicted[1..]);
        }
        assert_eq!(predicted.head.contains(&"unlike_training".to_owned()), run == "two");
    }
}

#[test]
fn predictions_are_sealed_and_made_again() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    // A folder of pictures may have such a file; one that a run would replace is not lost.
    fs::write(here.join("data/predictions.csv"), "mine").unwrap();
    fs::create_dir(here.join("run")).unwrap();
    fs::write(here.join("run/predictions.csv"), "mine").unwrap();
    here.refuse(&train("run", ONE, &[]), 2, &["it holds predictions.csv but no run that it is of"]);
    fs::remove_file(here.join("run/predictions.csv")).unwrap();
    here.succeed(&train("run", ONE, &[]));
    let (written, result) = (here.read("run/predictions.csv"), here.read("run/result.json"));
    let what = "result.json is not the result of the run: predictions.csv beside it is another one or gone";
    for changed in [Some(text(&written).replacen("blue", "red cells", 1)), None] {
        match changed {
            Some(changed) => fs::write(here.join("run/predictions.csv"), changed).unwrap(),
            None => fs::remove_file(here.join("run/predictions.csv")).unwrap(),
        }
        here.refuse_after_words(&["verify", "run"], what);
        here.succeed(&train("run", ONE, &["--resume"]));
        assert!(here.read("run/predictions.csv") == written && here.read("run/result.json") == result);
    }
    // Nothing else is written over them.
    let parts = ["cannot write run/predictions.csv: it is a file of the run in that folder"];
    here.refuse(&["report", "run", "--out", "run/predictions.csv"], 2, &parts);
    assert!(here.succeed(&["verify", "run"]).ends_with("repeats\n"));
}

#[test]
fn a_threshold_that_cannot_be_chosen_is_refused() {
    let here = Folder::new();
    here.with_a_run("run");
    let start = "cannot choose a threshold for a sensitivity of run: that takes two classes and held-back images of both, and ";
    here.refuse(&["evaluate", "run", "--sensitivity", "0.5"], 2, &[start, "there are 10 classes"]);
    for share in ["0", "1.01", "-1", "NaN", "all"] {
        let argument = format!("--sensitivity={share}");
        here.refuse(&["evaluate", "run", &argument], 2, &["expected a number above 0 and at most 1"]);
    }
    assert_eq!(result(&here, "run").get("operating_point"), None);
    assert_eq!(here.json(&["evaluate", "run", "--json"])["answer"], result(&here, "run")["answer"]);
    make(&here, &["A", "B", "C"]);
    let without = ["--set", "data.validation=0", "--set", "model.kind=classifier"];
    here.succeed(&train("folders", ONE, &without));
    here.refuse(
        &["evaluate", "folders", "--sensitivity", "1"],
        2,
        &["no images are held back (data.validation)"],
    );
}

/// The results of earlier versions say what they said.
#[test]
fn a_result_without_an_answer_is_read() {
    let here = Folder::new();
    here.with_a_run("run");
    let mut earlier = result(&here, "run");
    for field in ["answer", "result_sha256"] {
        earlier.as_object_mut().unwrap().remove(field).unwrap();
    }
    fs::write(here.join("run/result.json"), earlier.to_string()).unwrap();
    let said = here.succeed(&super::train("run", &["--resume"]));
    assert!(
        said.contains("run is finished")
            && said.contains("\nnaming its commonest class always would give 10.0 %\n"),
        "{said}"
    );
    assert!(here.succeed(&["verify", "run"]).ends_with("repeats\n"));
    here.succeed(&["report", "run", "--out", "page.html"]);
}

#[test]
fn the_plain_classifier_is_trained_beside_a_run() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let small = |epochs: &'static str| ["--set", "model.width=0.0625", "--set", epochs];
    let said = here.succeed(&[&["train", "data", "--baseline"], &small(ONE)[..]].concat());
    let (run, plain) = ("runs/data-seed0", "runs/data-seed0-classifier");
    assert_eq!(here.read(&format!("{run}/division.csv")), here.read(&format!("{plain}/division.csv")));
    // It is the classifier that is trained where one is asked for.
    here.succeed(&[&["train", "data", "--model", "classifier", "--out", "alone"], &small(ONE)[..]].concat());
    super::assert_same_run(&here, plain, "alone");
    let answers = [run, plain].map(|run| result(&here, run)["answer"].clone());
    let cell = |answer: &Value| {
        let [low, high] = [0, 1].map(|end| 100.0 * answer["accuracy"]["interval"][end].as_f64().unwrap());
        format!("{:.1} %  {low:.1} to {high:.1} %", 100.0 * answer["accuracy"]["value"].as_f64().unwrap())
    };
    let [of_run, of_plain] = answers.each_ref().map(cell);
    let table: Vec<&str> = said.lines().rev().take(7).collect();
    assert_eq!(table[6].split_whitespace().collect::<Vec<_>>(), ["diva", "classifier"], "{said}");
    assert!(
        table[4].starts_with("accuracy ") && table[4].contains(&of_run) && table[4].ends_with(&of_plain),
        "{said}"
    );

    let more = [&["train", "data", "--baseline", "--resume"], &small("train.epochs=2")[..]].concat();
    let said = here.succeed(&more);
    assert_eq!(said.matches("goes on in epoch 2 of 2").count(), 2, "{said}");
    // Stopped between the two, the classifier is what is left to be trained.
    fs::remove_dir_all(here.join(plain)).unwrap();
    let again = here.succeed(&more);
    assert!(again.contains("runs/data-seed0 is finished: 2 epochs are done"), "{again}");
    assert_eq!(
        again.lines().rev().take(7).collect::<Vec<_>>(),
        said.lines().rev().take(7).collect::<Vec<_>>()
    );

    here.refuse(
        &train("x", ONE, &["--baseline", "--set", "model.kind=classifier"]),
        2,
        &["it is the plain classifier that is trained already"],
    );
    // Before the run is trained.
    fs::create_dir(here.join("x-classifier")).unwrap();
    fs::write(here.join("x-classifier/result.json"), "{}").unwrap();
    here.refuse(
        &train("x", ONE, &["--baseline"]),
        2,
        &["cannot train in x-classifier: it holds a run (result.json)"],
    );
    assert!(!here.join("x").exists());
}
