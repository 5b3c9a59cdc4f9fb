//! The page of a report: of one run what is said of it; of several first a row for each, a row for each arm, and their curves.

use super::curves;
use super::html::chart::svg;
use super::html::{Page, name};
use super::palette::series;
use super::run_report::{RunReport, describe, kind};
use super::text::{MISSING, percent, without_empty_columns};
use crate::experiments::sweep::table::{Cell, OfSeed, Unit};
use crate::scores::interval_in_per_cent;
use crate::train::metrics::{EpochMetrics, last_epochs};

/// The page of one run, or of several with a comparison before them.
///
/// # Panics
/// If there is no run.
pub fn page(runs: &[RunReport]) -> String {
    let [first, ..] = runs else { panic!("a report of no run") };
    let title = match runs.len() {
        1 => format!("{}: {}", kind(first.config.model.kind), name(&first.name)),
        count => format!("{count} runs compared"),
    };
    let mut page = Page::new(&title);
    if runs.len() > 1 {
        compare(&mut page, runs);
    }
    for run in runs {
        if runs.len() > 1 {
            page.heading(2, &name(&run.name));
        }
        describe(&mut page, run);
    }
    page.finish()
}

/// For each run the settings in which the runs differ, but for those that have columns of their own.
fn differing(runs: &[RunReport]) -> Vec<String> {
    const SHOWN: [&str; 4] = ["model.kind", "data.test_domain", "seed", "train.epochs"];
    let all: Vec<_> = runs.iter().map(|run| run.config.deciding()).collect();
    let is_shared = |setting: &(&str, String)| all.iter().all(|settings| settings.contains(setting));
    let of_run = |settings: &Vec<(&'static str, String)>| {
        let own = settings.iter().filter(|setting| !SHOWN.contains(&setting.0) && !is_shared(setting));
        own.map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
    };
    all.iter().map(of_run).collect()
}

/// Adds the tables and the chart.
fn compare(page: &mut Page, runs: &[RunReport]) {
    let head = [
        "run",
        "model",
        "unseen domain",
        "seed",
        "epochs",
        "unseen, selected",
        "95 % interval",
        "commonest class",
        "ROC AUC",
        "other digits",
        "unseen, last 10",
        "training domains",
        "settings",
    ];
    let mut rows = vec![head.map(|name| Some(name.to_owned())).to_vec()];
    for (run, settings) in runs.iter().zip(differing(runs)) {
        let selected = run.selected();
        let answer = run.answer().map(|(answer, _)| answer);
        let area = answer.and_then(|answer| answer.roc_auc);
        let interval = answer.and_then(|answer| answer.accuracy).map(|accuracy| accuracy.interval);
        rows.push(vec![
            Some(run.name.clone()),
            Some(kind(run.config.model.kind).into()),
            Some(run.unseen_domain()),
            Some(run.config.seed.to_string()),
            Some(run.progress()),
            selected.map(|epoch| percent(epoch.test_accuracy)),
            interval.map(interval_in_per_cent),
            run.commonest_class_share().map(percent),
            area.map(|area| area.to_string()),
            selected.and_then(|epoch| epoch.disjoint_test_accuracy).map(percent),
            last_epochs(&run.metrics).map(|(share, which)| match which {
                None => percent(share),
                Some(which) => format!("{} ({which})", percent(share)),
            }),
            selected.map(|epoch| percent(epoch.train_accuracy)),
            (!settings.is_empty()).then_some(settings),
        ]);
    }
    table(page, rows);
    arms(page, runs);
    let share = |epoch: &EpochMetrics| 100.0 * epoch.test_accuracy;
    let lines = runs
        .iter()
        .enumerate()
        .map(|(number, run)| curves::line(&run.name, series(number), &run.metrics, share));
    page.figure(
        &svg(&curves::by_epoch("Recognised in the unseen domain", "%", lines)),
        "The unseen domain of each run after each epoch, with a dot at the epoch that the training domains select.",
    );
}

fn table(page: &mut Page, mut rows: Vec<Vec<Option<String>>>) {
    without_empty_columns(&mut rows);
    let shown =
        |row: Vec<Option<String>>| row.into_iter().map(|cell| cell.unwrap_or(MISSING.into())).collect();
    page.wrapped_table(&rows.into_iter().map(shown).collect::<Vec<_>>());
}

/// The mean of the finished runs that differ in their seed alone, and its standard error, if any do.
fn arms(page: &mut Page, runs: &[RunReport]) {
    type Settings = Vec<(&'static str, String)>;
    let mut arms: Vec<(Settings, Vec<usize>)> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let mut settings = run.config.deciding();
        settings.retain(|(key, _)| *key != "seed");
        match arms.iter_mut().find(|(of_arm, _)| *of_arm == settings) {
            Some((_, members)) => members.push(number),
            None => arms.push((settings, vec![number])),
        }
    }
    if arms.iter().all(|(_, members)| members.len() < 2) {
        return;
    }
    let differing = differing(runs);
    let head = [
        "model",
        "unseen domain",
        "seeds",
        "unseen, selected, %",
        "ROC AUC",
        "unseen, last 10, %",
        "settings",
    ];
    let mut rows = vec![head.map(|name| Some(name.to_owned())).to_vec()];
    for (_, members) in &arms {
        let finished = || members.iter().map(|&number| &runs[number]).filter(|run| run.result.is_some());
        let cell = |unit: Unit, of: fn(&RunReport) -> Option<f64>| {
            let value =
                |run: &RunReport| Some(OfSeed { seed: run.config.seed, value: of(run)?, interval: None });
            let cell = Cell::new(members.len(), finished().filter_map(value));
            cell.mean.map(|_| cell.in_words(unit))
        };
        let first = &runs[members[0]];
        let settings = &differing[members[0]];
        rows.push(vec![
            Some(kind(first.config.model.kind).into()),
            Some(first.unseen_domain()),
            Some(
                members
                    .iter()
                    .map(|&number| runs[number].config.seed.to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            cell(Unit::Percent, |run| Some(run.selected()?.test_accuracy)),
            cell(Unit::One, |run| Some(run.answer()?.0.roc_auc?.value)),
            cell(Unit::Percent, |run| Some(last_epochs(&run.metrics)?.0)),
            (!settings.is_empty()).then_some(settings.clone()),
        ]);
    }
    page.paragraph(
        "Runs that differ in their seed alone, as mean ± standard error over those that are finished:",
    );
    table(page, rows);
}
