//! The table of a sweep: for each row (what is compared) and test domain the mean over the seeds and its standard error.
//!
//! ```text
//! mean = sum v / n          standard error = sqrt(sum (v - mean)^2 / (n - 1)) / sqrt(n)
//! ```
//!
//! The average over the test domains is the mean of their means. Its standard error comes from the averages of the
//! single seeds, as far as each seed has all domains: runs of one seed share their digits, so that their errors are not
//! independent. A cell says of how many runs it is made, and of how many it should be.
//!
//! Where a cell is of a single run, nothing is known of how seeds differ. If the figure is one that the images alone give
//! an interval of, as the area under the ROC curve is, that interval stands in the cell.

use super::folder::JobState;
use super::published::{self, Published};
use super::{Job, Shard, Sweep};
use crate::error::{Error, Result};
use crate::names::printable_name;
use crate::scores::Auc;
use crate::train::metrics;
use serde::Serialize;

/// The label of rows whose jobs differ in seed and test domain only.
const ONLY_LABEL: &str = "model.kind";

/// What [`collect`] makes of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Collection {
    /// How many jobs there are, or are in the shard.
    pub jobs: usize,
    /// The jobs without a usable result.
    pub missing: Vec<Missing>,
    /// What the labels of the rows are: keys of the grid.
    pub labels: Vec<String>,
    /// The columns.
    pub test_domains: Vec<String>,
    /// One table for each figure of a run.
    pub tables: Vec<Table>,
    /// Published test accuracies, if they can be compared.
    pub published: Vec<Published>,
    /// What is to be known beside the figures.
    pub notes: Vec<String>,
}

/// A job without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its id.
    pub id: String,
    /// What it differs in.
    pub name: String,
    /// What is wrong with the result that is there.
    pub unusable: Option<String>,
}

/// One figure of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// The figure's name.
    pub figure: &'static str,
    /// What it is.
    pub title: &'static str,
    /// How people write it.
    #[serde(skip)]
    pub unit: Unit,
    /// In the order of the sweep.
    pub rows: Vec<Row>,
    /// Of accuracies, for each test domain what naming its commonest class always would give, the mean over the runs that say;
    /// empty for other figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commonest_class: Vec<Option<f64>>,
}

/// How a figure in 0..1 is written for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As per cent.
    Percent,
    /// As it is.
    One,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// One for each of the collection's labels.
    pub labels: Vec<String>,
    /// One for each test domain.
    pub cells: Vec<Cell>,
    /// Over all test domains, where there are figures for all.
    pub average: Cell,
}

/// The figures of several seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Their mean, if there are any.
    pub mean: Option<f64>,
    /// Its standard error, if there are at least two.
    pub standard_error: Option<f64>,
    /// The interval of a single one, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// How many there are.
    pub n: usize,
    /// How many there are when the sweep is done.
    pub planned: usize,
    /// The figures themselves.
    pub values: Vec<OfSeed>,
}

/// The figure of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OfSeed {
    /// The seed.
    pub seed: u64,
    /// The figure, in 0..1.
    pub value: f64,
    /// Its 95 % interval over draws of the images, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// The figures of one run; without those of other digits where there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The selected epoch's accuracy on the unseen domain.
    pub selected: f64,
    /// The mean of the last ten epochs' accuracies on the unseen domain.
    pub last_epochs: f64,
    /// Which epochs these are, unless they are ten after the warm-up.
    pub which_last_epochs: Option<String>,
    /// The accuracy that naming the commonest class of the unseen domain always would have; results of earlier versions do not
    /// say.
    pub commonest_class: Option<f64>,
    /// The same of digits that training has seen at no angle.
    pub disjoint_commonest_class: Option<f64>,
    /// As `selected`, for digits that training has seen at no angle.
    pub disjoint_selected: Option<f64>,
    /// As `last_epochs`, for digits that training has seen at no angle.
    pub disjoint_last_epochs: Option<f64>,
    /// The selected epoch's area under the ROC curve on the unseen domain, where it is defined: of two classes.
    pub roc_auc: Option<Auc>,
    /// The name of the class that the curve is about.
    pub positive_class: Option<String>,
}

/// A figure of a run, perhaps with its interval.
type Value = (f64, Option<[f64; 2]>);

struct Figure {
    name: &'static str,
    title: &'static str,
    unit: Unit,
    /// Whether there is a table of it even where no run has it.
    always: bool,
    of: fn(&Figures) -> Option<Value>,
    /// If it is an accuracy, that of naming the commonest class of the same images.
    commonest_class: Option<fn(&Figures) -> Option<f64>>,
}

/// The name of the figure that published tables give.
pub const TEST_ACCURACY: &str = "test_accuracy";

const FIGURES: [Figure; 5] = [
    Figure {
        name: TEST_ACCURACY,
        title: "Accuracy on the unseen domain, selected epoch",
        unit: Unit::Percent,
        always: true,
        of: |run| Some((run.selected, None)),
        commonest_class: Some(|run| run.commonest_class),
    },
    Figure {
        name: "test_roc_auc",
        title: "Area under the ROC curve on the unseen domain, selected epoch",
        unit: Unit::One,
        always: false,
        of: |run| run.roc_auc.map(|area| (area.value, area.interval)),
        commonest_class: None,
    },
    Figure {
        name: "test_accuracy_last_epochs",
        title: "Accuracy on the unseen domain, mean of the last ten epochs",
        unit: Unit::Percent,
        always: true,
        of: |run| Some((run.last_epochs, None)),
        commonest_class: Some(|run| run.commonest_class),
    },
    Figure {
        name: "disjoint_test_accuracy",
        title: "Accuracy on other digits of the unseen domain, selected epoch",
        unit: Unit::Percent,
        always: false,
        of: |run| Some((run.disjoint_selected?, None)),
        commonest_class: Some(|run| run.disjoint_commonest_class),
    },
    Figure {
        name: "disjoint_test_accuracy_last_epochs",
        title: "Accuracy on other digits of the unseen domain, mean of the last ten epochs",
        unit: Unit::Percent,
        always: false,
        of: |run| Some((run.disjoint_last_epochs?, None)),
        commonest_class: Some(|run| run.disjoint_commonest_class),
    },
];

/// Collects the results of the jobs of a shard. A result that cannot be read is missing, with the reason.
///
/// # Errors
/// If the folder is of another sweep or none.
pub fn collect(sweep: &Sweep, shard: Shard) -> Result<Collection> {
    sweep.check_folder()?;
    if !sweep.is_begun() {
        return Err(Error::request(format!(
            "cannot collect {}: there is no sweep in {} yet; `diva sweep run` begins it",
            sweep.file.display(),
            sweep.folder.display()
        )));
    }
    let part = sweep.part(shard);
    let found: Vec<_> = part.jobs.iter().map(|job| figures(sweep, job)).collect();
    let usable: Vec<_> = found.iter().map(|found| found.as_ref().ok().cloned().flatten()).collect();
    let mut collection = tabulate(&part, &usable);
    for (job, error) in part.jobs.iter().zip(found).filter_map(|(job, found)| Some((job, found.err()?))) {
        let missing = collection.missing.iter_mut().filter(|missing| missing.id == job.id);
        missing.for_each(|missing| missing.unusable = Some(error.to_string()));
    }
    Ok(collection)
}

/// The figures of a job that is done.
fn figures(sweep: &Sweep, job: &Job) -> Result<Option<Figures>> {
    let JobState::Done(result, epochs) = sweep.state(job)? else { return Ok(None) };
    let (last_epochs, which_last_epochs) =
        metrics::last_epochs(&epochs).expect("a result is of an epoch at least");
    Ok(Some(Figures {
        selected: result.test_accuracy,
        last_epochs,
        which_last_epochs,
        commonest_class: result.test_commonest_class_share,
        disjoint_commonest_class: result.disjoint_test_commonest_class_share,
        disjoint_selected: result.selected.disjoint_test_accuracy,
        disjoint_last_epochs: metrics::mean_of_last(
            epochs.iter().filter_map(|epoch| epoch.disjoint_test_accuracy),
        ),
        roc_auc: result.test_scores.as_ref().and_then(|scores| scores.roc_auc),
        positive_class: result.test_scores.map(|scores| scores.positive_class),
    }))
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The tables of a sweep whose jobs have these figures.
///
/// # Panics
/// If there are not as many as jobs.
#[track_caller]
pub fn tabulate(sweep: &Sweep, figures: &[Option<Figures>]) -> Collection {
    assert_eq!(figures.len(), sweep.jobs.len(), "figures of another number of jobs");
    let label = |job: &Job| match job.labels.is_empty() {
        true => vec![name_of_model(job)],
        false => job.labels.clone(),
    };
    let rows = in_order(sweep.jobs.iter().map(label));
    let test_domains = in_order(sweep.jobs.iter().map(test_domain));
    let mut tables = Vec::new();
    for Figure { name: figure, title, unit, always, of, commonest_class } in FIGURES {
        let value = |job: &Job| figures[job.number - 1].as_ref().and_then(of);
        // Not every protocol has other digits, nor every data two classes.
        if !always && sweep.jobs.iter().all(|job| value(job).is_none()) {
            continue;
        }
        let row = |labels: &Vec<String>| {
            let cells: Vec<Cell> = (test_domains.iter())
                .map(|domain| {
                    let jobs =
                        sweep.jobs.iter().filter(|job| label(job) == *labels && test_domain(job) == *domain);
                    Cell::new(
                        jobs.clone().count(),
                        jobs.filter_map(|job| {
                            let (value, interval) = value(job)?;
                            Some(OfSeed { seed: job.config.seed, value, interval })
                        }),
                    )
                })
                .collect();
            Row { labels: labels.clone(), average: average(&cells), cells }
        };
        let commonest_class = commonest_class.map_or(Vec::new(), |share| {
            let of_domain = |domain: &String| {
                let jobs = sweep.jobs.iter().filter(|job| test_domain(job) == *domain);
                let shares = jobs.filter_map(|job| figures[job.number - 1].as_ref().and_then(share));
                mean(&shares.collect::<Vec<f64>>())
            };
            test_domains.iter().map(of_domain).collect()
        });
        tables.push(Table { figure, title, unit, rows: rows.iter().map(row).collect(), commonest_class });
    }
    let missing = sweep.jobs.iter().filter(|job| figures[job.number - 1].is_none());
    let mut notes = Vec::new();
    let configs: Vec<_> = sweep.jobs.iter().map(|job| &job.config).collect();
    let published = published::beside(&configs, &mut notes);
    let with_area = figures.iter().flatten().filter(|run| run.roc_auc.is_some());
    let positive = in_order(with_area.filter_map(|run| run.positive_class.as_deref().map(printable_name)));
    if !positive.is_empty() {
        notes.push(format!(
            "The ROC curve is about the class {}; the area of a single run stands with its 95 % interval over draws of the \
             images.",
            positive.join(" or ")
        ));
    }
    notes.extend(without_area(figures));
    notes.extend(not_ten_epochs(figures));
    Collection {
        jobs: sweep.jobs.len(),
        missing: missing
            .map(|job| Missing { id: job.id.clone(), name: job.name.clone(), unusable: None })
            .collect(),
        labels: if sweep.labels.is_empty() { vec![ONLY_LABEL.into()] } else { sweep.labels.clone() },
        test_domains,
        tables,
        published,
        notes,
    }
}

/// Why runs have no area under the ROC curve, where it could be expected of them.
fn without_area(figures: &[Option<Figures>]) -> Vec<String> {
    let runs = figures.iter().flatten();
    if runs.clone().all(|run| run.positive_class.is_none()) {
        return Vec::new();
    }
    let without = runs.filter(|run| run.roc_auc.is_none());
    let (of_one_class, unknown): (Vec<_>, Vec<_>) = without.partition(|run| run.positive_class.is_some());
    let note = |runs: usize, why: &str| (runs > 0).then(|| format!("Runs without an area: {runs}, {why}."));
    let notes = [
        note(of_one_class.len(), "since the unseen domain has images of one class only"),
        note(unknown.len(), "which are not of two classes or were made by an earlier version of the program"),
    ];
    notes.into_iter().flatten().collect()
}

/// Of which epochs the means of the last ten are, where they are fewer or within the warm-up.
fn not_ten_epochs(figures: &[Option<Figures>]) -> Vec<String> {
    let which = |run: &Figures| run.which_last_epochs.clone();
    let note = |epochs: String| {
        let runs = figures.iter().flatten().filter(|run| run.which_last_epochs.as_ref() == Some(&epochs));
        format!("Runs whose mean of the last ten epochs is of {epochs}: {}.", runs.count())
    };
    in_order(figures.iter().flatten().filter_map(which)).into_iter().map(note).collect()
}

fn test_domain(job: &Job) -> String {
    job.config.data.test_domain.to_string()
}

fn name_of_model(job: &Job) -> String {
    let name = serde_json::to_value(job.config.model.kind).expect("a kind of model is a name");
    name.as_str().unwrap_or_default().to_owned()
}

/// Each item once, in the order in which they first come.
fn in_order<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut found, item| {
        if !found.contains(&item) {
            found.push(item);
        }
        found
    })
}

impl Cell {
    /// The figures of some seeds, of so many that there are to be.
    pub fn new(planned: usize, values: impl Iterator<Item = OfSeed>) -> Self {
        let values: Vec<OfSeed> = values.collect();
        let (mean, standard_error) = statistics(&values);
        let interval = if let [only] = values[..] { only.interval } else { None };
        Cell { mean, standard_error, interval, n: values.len(), planned, values }
    }

    /// It as people read it: 84.2 ± 0.5 (n = 3).
    pub fn in_words(&self, unit: Unit) -> String {
        let n = match self.n == self.planned {
            true => format!("(n = {})", self.n),
            false => format!("(n = {} of {})", self.n, self.planned),
        };
        let number = |value: f64| match unit {
            Unit::Percent => format!("{:.1}", 100.0 * value),
            Unit::One => format!("{value:.3}"),
        };
        let mean = self.mean.map_or("-".to_owned(), number);
        match (self.standard_error, self.interval) {
            (Some(error), _) => format!("{mean} ± {} {n}", number(error)),
            (None, Some([low, high])) => format!("{mean} [{}, {}] {n}", number(low), number(high)),
            (None, None) => format!("{mean} {n}"),
        }
    }
}

fn statistics(values: &[OfSeed]) -> (Option<f64>, Option<f64>) {
    let n = values.len() as f64;
    let Some(mean) = mean(&values.iter().map(|each| each.value).collect::<Vec<_>>()) else {
        return (None, None);
    };
    let squares: f64 = values.iter().map(|each| (each.value - mean) * (each.value - mean)).sum();
    (Some(mean), (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt() / n.sqrt()))
}

/// The average over test domains: see the head of the file. `n` is that of the domain with the fewest runs.
fn average(cells: &[Cell]) -> Cell {
    if let [only] = cells {
        return only.clone();
    }
    let seeds = cells.first().map_or(&[][..], |cell| &cell.values);
    let of_seed = |seed: u64| {
        let found: Option<Vec<f64>> = cells
            .iter()
            .map(|cell| cell.values.iter().find(|each| each.seed == seed).map(|each| each.value))
            .collect();
        mean(&found?)
    };
    let values = seeds
        .iter()
        .filter_map(|each| Some(OfSeed { seed: each.seed, value: of_seed(each.seed)?, interval: None }));
    let least = |of: fn(&Cell) -> usize| cells.iter().map(of).min().unwrap_or(0);
    let of_complete = Cell::new(least(|cell| cell.planned), values);
    let means: Option<Vec<f64>> = cells.iter().map(|cell| cell.mean).collect();
    let all_complete = cells.iter().all(|cell| cell.n == of_complete.n);
    Cell {
        mean: means.and_then(|means| mean(&means)),
        standard_error: of_complete.standard_error.filter(|_| all_complete),
        n: least(|cell| cell.n),
        ..of_complete
    }
}

#[cfg(test)]
mod tests;
