//! A sweep's tables as text: Markdown to be read, CSV to be computed with, JSON with everything.
//!
//! Markdown gives per cent with one decimal, as papers do, and areas under a curve with three; the other two give numbers in
//! 0..1 with every digit.

use super::published::Published;
use super::table::{Cell, Collection, TEST_ACCURACY, Table, Unit};
use super::{Shard, Sweep};
use crate::error::Result;
use crate::names::printable_name;
use crate::store::durable;
use crate::tables::{csv_line, markdown_line, markdown_text};
use std::path::PathBuf;

const OWN: &str = "this sweep";

/// The name of the row that says what accuracy naming it always would have, and its source.
const COMMONEST_CLASS: [&str; 2] = ["commonest class", "the images"];

/// Writes `table.json`, `table.csv` and `table.md` into the sweep's folder, or `table-K-of-N.json` and so on for a shard,
/// each replaced as a whole; returns their paths. The largest comes first: where it finds no room, the tables that are
/// there still belong together.
///
/// # Errors
/// If one cannot be written; it is then as it was before, and so are those after it.
pub fn write(sweep: &Sweep, shard: Shard, collection: &Collection) -> Result<Vec<PathBuf>> {
    let files = [("json", json(collection)), ("csv", csv(collection)), ("md", markdown(collection))];
    let path = |extension| match shard {
        Shard::ALL => sweep.folder.join(format!("table.{extension}")),
        part => sweep.folder.join(format!("table-{part}.{extension}")),
    };
    durable::clear_temporaries(&sweep.folder, |_| true);
    files.iter().try_for_each(|(name, text)| durable::write_own(&path(name), text.as_bytes()))?;
    Ok(files.iter().rev().map(|(name, _)| path(name)).collect())
}

/// All that was collected, as one object.
pub fn json(collection: &Collection) -> String {
    serde_json::to_string_pretty(collection).expect("a collection is plain data") + "\n"
}

/// One line a cell: the figure, the labels of the row, the test domain (or `average`), mean, standard error, the interval
/// of a single run, n, the n that is planned, and the source. What is not there is empty. Beside accuracies stand published
/// ones and that of naming the commonest class of the images, under sources of their own.
pub fn csv(collection: &Collection) -> String {
    let mut text = String::new();
    let mut line = |figure: &str, labels: &[String], rest: [&str; 8]| {
        let cells = [figure].into_iter().chain(labels.iter().map(String::as_str)).chain(rest);
        text += &(csv_line(cells) + "\n");
    };
    let columns =
        ["test_domain", "mean", "standard_error", "interval_low", "interval_high", "n", "planned", "source"];
    line("figure", &collection.labels, columns);
    let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
    for table in &collection.tables {
        for row in &table.rows {
            for (domain, cell) in named_cells(collection, &row.cells, &row.average) {
                let (mean, error) = (number(cell.mean), number(cell.standard_error));
                let [low, high] = [0, 1].map(|end| number(cell.interval.map(|interval| interval[end])));
                let [n, planned] = [cell.n, cell.planned].map(|count| count.to_string());
                line(table.figure, &row.labels, [domain, &mean, &error, &low, &high, &n, &planned, OWN]);
            }
        }
        if let Some(values) = of_commonest_class(table) {
            let [name, source] = COMMONEST_CLASS;
            let labels = of_method(collection, name.to_owned());
            let domains = collection.test_domains.iter().map(String::as_str).chain(["average"]);
            for (domain, value) in domains.zip(values) {
                line(table.figure, &labels, [domain, &number(value), "", "", "", "", "", source]);
            }
        }
        for published in beside(collection, table) {
            let labels = of_method(collection, published.method.to_owned());
            let values = of_domains(collection, published);
            let domains = collection.test_domains.iter().map(String::as_str).chain(["average"]);
            for (domain, value) in domains.zip(values) {
                let source = published.source;
                line(table.figure, &labels, [domain, &number(value), "", "", "", "", "", source]);
            }
        }
    }
    text
}

/// Tables with a row for each thing compared and a column for each test domain.
pub fn markdown(collection: &Collection) -> String {
    let mut text = String::new();
    for table in &collection.tables {
        let unit = if table.unit == Unit::Percent { ", %" } else { "" };
        text += &format!("## {}{unit}\n\n", table.title);
        let columns = collection.labels.iter().cloned();
        let domains = collection.test_domains.iter().map(|domain| format!("test {domain}"));
        let head: Vec<String> = columns.chain(domains).chain(["average".into(), "source".into()]).collect();
        text += &markdown_line(&head);
        text += &markdown_line(&vec!["---".to_owned(); head.len()]);
        for row in &table.rows {
            let labels = row.labels.iter().cloned();
            let cells =
                named_cells(collection, &row.cells, &row.average).map(|(_, cell)| cell.in_words(table.unit));
            text += &markdown_line(&labels.chain(cells).chain([OWN.into()]).collect::<Vec<_>>());
        }
        let percent =
            |value: Option<f64>| value.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share));
        if let Some(values) = of_commonest_class(table) {
            let [name, source] = COMMONEST_CLASS;
            let labels = of_method(collection, name.to_owned());
            let values = values.into_iter().map(percent);
            text +=
                &markdown_line(&labels.into_iter().chain(values).chain([source.into()]).collect::<Vec<_>>());
        }
        for published in beside(collection, table) {
            let labels = of_method(collection, format!("{} (published)", published.method));
            let values = of_domains(collection, published).into_iter().map(percent);
            text += &markdown_line(
                &labels.into_iter().chain(values).chain([published.source.into()]).collect::<Vec<_>>(),
            );
        }
        text += "\n";
    }
    let done = collection.jobs - collection.missing.len();
    text += &format!("Mean ± standard error over n seeds; {done} of {} jobs are done.\n", collection.jobs);
    for note in &collection.notes {
        text += &format!("{}\n", markdown_text(note));
    }
    if !collection.missing.is_empty() {
        text += "\nMissing:\n\n";
        for missing in &collection.missing {
            let why = missing.unusable.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            text += &format!(
                "* `{}` {}\n",
                missing.id,
                markdown_text(&format!("{}{why}", printable_name(&missing.name)))
            );
        }
    }
    text
}

/// The cells of a row with the names of their columns.
fn named_cells<'a>(
    collection: &'a Collection,
    cells: &'a [Cell],
    average: &'a Cell,
) -> impl Iterator<Item = (&'a str, &'a Cell)> {
    let of_domains = collection.test_domains.iter().map(String::as_str).zip(cells);
    of_domains.chain([("average", average)])
}

/// The published figures that a table can be compared with.
fn beside<'a>(collection: &'a Collection, table: &Table) -> &'a [Published] {
    if table.figure == TEST_ACCURACY { &collection.published } else { &[] }
}

/// Published figures for the sweep's test domains, and their mean.
fn of_domains(collection: &Collection, published: &Published) -> Vec<Option<f64>> {
    with_mean(collection.test_domains.iter().map(|domain| published.of_domain(domain)).collect())
}

/// What naming the commonest class always would give in the sweep's test domains, and the mean of that; nothing if no run says.
fn of_commonest_class(table: &Table) -> Option<Vec<Option<f64>>> {
    let values = &table.commonest_class;
    values.iter().any(Option::is_some).then(|| with_mean(values.clone()))
}

/// The values, then their mean if all are there.
fn with_mean(mut values: Vec<Option<f64>>) -> Vec<Option<f64>> {
    let all: Option<Vec<f64>> = values.iter().copied().collect();
    values.push(all.map(|all| all.iter().sum::<f64>() / all.len() as f64));
    values
}

/// The labels of a row that has the name of a method only.
fn of_method(collection: &Collection, name: String) -> Vec<String> {
    let place = collection.labels.iter().position(|label| label == "model.kind").unwrap_or(0);
    let mut labels = vec![String::new(); collection.labels.len()];
    labels[place] = name;
    labels
}

#[cfg(test)]
mod tests;
