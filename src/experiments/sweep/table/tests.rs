//! Figures that can be worked by hand, complete and with gaps.

use super::*;
use std::path::Path;

/// Two rows, two test domains, three seeds.
fn sweep() -> Sweep {
    let text = "preset = \"quick\"\n[grid]\nmodel.kind = [\"diva\", \"dann\"]\ndata.test_domain = [0, 75]\nseed = [0, 1, 2]";
    Sweep::parse(Path::new("s.toml"), text).unwrap()
}

fn figures(selected: Option<f64>) -> Option<Figures> {
    selected.map(|selected| Figures { selected, last_epochs: selected / 2.0, ..Figures::default() })
}

#[track_caller]
fn assert_cell(cell: &Cell, mean: Option<f64>, standard_error: Option<f64>, n: usize) {
    let close = |found: Option<f64>, expected: Option<f64>| match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-15,
        (found, expected) => found == expected,
    };
    assert!(close(cell.mean, mean) && close(cell.standard_error, standard_error), "{cell:?}");
    assert_eq!((cell.n, cell.planned), (n, 3), "{cell:?}");
}

/// Worked by hand: 0.60, 0.70, 0.95 have the mean 0.75 and squares 0.0225 + 0.0025 + 0.04 = 0.065, so that the standard
/// error is sqrt(0.065 / 2 / 3). With 0.80, 0.90, 0.85 the seeds average 0.7, 0.8, 0.9: sqrt(0.02 / 2 / 3).
#[test]
fn means_and_standard_errors_are_those_worked_by_hand() {
    let diva = [0.60, 0.70, 0.95, 0.80, 0.90, 0.85].map(Some);
    let dann = [None, Some(0.5), None, None, None, None];
    let all: Vec<_> = diva.into_iter().chain(dann).map(figures).collect();
    let collection = tabulate(&sweep(), &all);
    assert_eq!((collection.jobs, collection.missing.len()), (12, 5));
    assert_eq!(collection.missing[0].name, "model.kind=dann, data.test_domain=0, seed=0");
    assert_eq!(
        (&collection.labels[..], &collection.test_domains[..]),
        (&["model.kind".into()][..], &["0".into(), "75".into()][..])
    );
    assert_eq!(collection.tables.len(), 2, "no run has other digits");
    let [diva, dann] = &collection.tables[0].rows[..] else { panic!("{collection:?}") };
    assert_eq!(diva.labels, ["diva"]);
    assert_cell(&diva.cells[0], Some(0.75), Some(0.104_083_299_973_306_63), 3);
    assert_cell(&diva.cells[1], Some(0.85), Some(0.028_867_513_459_481_29), 3);
    assert_cell(&diva.average, Some(0.8), Some(0.057_735_026_918_962_58), 3);
    // One run has no standard error, none has no mean, and without all domains there is no average.
    assert_cell(&dann.cells[0], Some(0.5), None, 1);
    assert_cell(&dann.cells[1], None, None, 0);
    assert_cell(&dann.average, None, None, 0);
    assert_eq!(dann.cells[0].values, [OfSeed { seed: 1, value: 0.5, interval: None }]);

    let halves = &collection.tables[1];
    assert_eq!(halves.figure, "test_accuracy_last_epochs");
    assert_cell(&halves.rows[0].average, Some(0.4), Some(0.028_867_513_459_481_29), 3);
}

/// Where the domains have other seeds, the average is that of the means, and its error is not known.
#[test]
fn averages_of_unequal_cells_are_marked() {
    let diva = [Some(0.6), Some(0.8), None, Some(0.9), Some(0.7), Some(0.5)];
    let all: Vec<_> = diva.into_iter().chain([None; 6]).map(figures).collect();
    let row = &tabulate(&sweep(), &all).tables[0].rows[0];
    assert_cell(&row.cells[0], Some(0.7), Some(0.1), 2);
    assert_cell(&row.average, Some(0.7), None, 2);
}

#[test]
fn other_digits_have_tables_where_there_are_any() {
    let mut all = vec![None; 12];
    all[6] = Some(Figures {
        disjoint_selected: Some(0.25),
        disjoint_last_epochs: Some(0.125),
        ..Figures::default()
    });
    let collection = tabulate(&sweep(), &all);
    let names: Vec<&str> = collection.tables.iter().map(|table| table.figure).collect();
    assert_eq!(names[2..], ["disjoint_test_accuracy", "disjoint_test_accuracy_last_epochs"]);
    assert_cell(&collection.tables[2].rows[1].cells[0], Some(0.25), None, 1);
    assert_cell(&collection.tables[3].rows[1].cells[0], Some(0.125), None, 1);
}

/// Worked by hand: 0.5 and 0.75 of the first domain, whatever the model, have the mean 0.625; of the second none is known.
#[test]
fn what_the_commonest_class_would_give_stands_beside_accuracies() {
    let share = |share| Some(Figures { commonest_class: Some(share), ..Figures::default() });
    let mut all = vec![None; 12];
    (all[0], all[3], all[7]) = (share(0.5), figures(Some(0.5)), share(0.75));
    let collection = tabulate(&sweep(), &all);
    assert_eq!(collection.tables.len(), 2);
    for table in &collection.tables {
        assert_eq!(table.commonest_class, [Some(0.625), None], "{}", table.figure);
    }
    let areas = tabulate(&sweep(), &[vec![Some(area(0.5))], vec![None; 11]].concat());
    assert!(areas.tables[1].commonest_class.is_empty() && areas.tables[0].commonest_class == [None; 2]);
}

#[test]
fn a_sweep_over_seeds_alone_has_one_row() {
    let text = "preset = \"quick\"\nmodel.kind = \"vae\"\n[grid]\nseed = [0, 1]";
    let sweep = Sweep::parse(Path::new("s.toml"), text).unwrap();
    let collection = tabulate(&sweep, &[figures(Some(0.5)), figures(Some(0.7))]);
    assert_eq!(collection.labels, ["model.kind"]);
    let row = &collection.tables[0].rows[0];
    assert_eq!((&row.labels[..], row.cells.len()), (&["vae".into()][..], 1));
    assert!((row.average.mean.unwrap() - 0.6).abs() < 1e-15);
    assert_eq!(row.average, row.cells[0]);
}

/// An area with an interval of a tenth to both sides.
fn area(value: f64) -> Figures {
    let interval = Some([value - 0.1, value + 0.1]);
    let roc_auc = Some(Auc { value, interval });
    Figures {
        selected: 0.5,
        last_epochs: 0.5,
        roc_auc,
        positive_class: Some("ill".into()),
        ..Figures::default()
    }
}

#[test]
fn means_of_other_epochs_than_ten_after_the_warm_up_say_so() {
    let of =
        |which: &str| Some(Figures { which_last_epochs: Some(which.into()), ..figures(Some(0.5)).unwrap() });
    let mut all = vec![None; 12];
    (all[0], all[1], all[2], all[3]) = (
        of("epochs 1 to 4"),
        figures(Some(0.5)),
        of("epochs 3 to 12, all within the warm-up"),
        of("epochs 1 to 4"),
    );
    let notes = tabulate(&sweep(), &all).notes;
    let said = [
        "Runs whose mean of the last ten epochs is of epochs 1 to 4: 2.",
        "Runs whose mean of the last ten epochs is of epochs 3 to 12, all within the warm-up: 1.",
    ];
    assert!(notes.ends_with(&said.map(String::from)), "{notes:?}");
    (all[0], all[2], all[3]) = (None, None, None);
    assert!(!tabulate(&sweep(), &all).notes.iter().any(|note| note.contains("last ten")));
}

/// Worked by hand: 0.75 and 0.85 have the mean 0.8 and the standard error 0.05.
#[test]
fn areas_stand_beside_accuracies_and_single_ones_with_their_interval() {
    let mut all = vec![None; 12];
    (all[0], all[1], all[3], all[6]) =
        (Some(area(0.75)), Some(area(0.85)), Some(area(0.625)), figures(Some(0.5)));
    let collection = tabulate(&sweep(), &all);
    let names: Vec<&str> = collection.tables.iter().map(|table| table.figure).collect();
    assert_eq!(names, ["test_accuracy", "test_roc_auc", "test_accuracy_last_epochs"]);
    let [diva, dann] = &collection.tables[1].rows[..] else { panic!("{collection:?}") };
    assert_cell(&diva.cells[0], Some(0.8), Some(0.05), 2);
    assert_cell(&diva.cells[1], Some(0.625), None, 1);
    assert_cell(&diva.average, Some(0.7125), None, 1);
    assert_eq!(
        [&diva.cells[0], &diva.cells[1], &diva.average].map(|cell| cell.interval),
        [None, Some([0.525, 0.725]), None]
    );
    // The result of an earlier version has an accuracy and no area.
    assert_cell(&dann.cells[0], None, None, 0);
    assert_cell(&collection.tables[0].rows[1].cells[0], Some(0.5), None, 1);
    let [.., about, why] = &collection.notes[..] else { panic!("{:?}", collection.notes) };
    assert!(about.starts_with("The ROC curve is about the class ill;"), "{about}");
    assert_eq!(
        why,
        "Runs without an area: 1, which are not of two classes or were made by an earlier version of the program."
    );
    // The test domain of two more has images of one class only; where all runs are of that kind there is no table.
    let of_one_class = || Some(Figures { roc_auc: None, ..area(0.5) });
    (all[7], all[8]) = (of_one_class(), of_one_class());
    let collection = tabulate(&sweep(), &all);
    let why = "Runs without an area: 2, since the unseen domain has images of one class only.";
    assert_eq!(collection.notes.iter().filter(|note| *note == why).count(), 1, "{:?}", collection.notes);
    let alone: Vec<_> = (0..12).map(|job| of_one_class().filter(|_| job == 7)).collect();
    let collection = tabulate(&sweep(), &alone);
    assert!(collection.tables.iter().all(|table| table.figure != "test_roc_auc"));
    assert!(
        collection.notes.last().unwrap().starts_with("Runs without an area: 1, since "),
        "{:?}",
        collection.notes
    );
}
