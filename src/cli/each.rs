//! `diva train FOLDER --test-domain each`: every domain held out in turn, a sweep that is written, run and collected.

use super::columns::columns;
use super::{DataArguments, RUNS, percent, say, say_lines, sweep};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::experiments::sweep::folder::JobState;
use crate::experiments::sweep::{Job, Shard, Sweep, render, table};
use crate::names::printable_toml;
use crate::scores::{Answer, interval_in_per_cent};
use crate::store::{durable, input};
use crate::train::metrics::RunResult;
use crate::train::own_images::{self, Place, Wishes};
use crate::train::sources;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What `--test-domain` says for all domains in turn.
pub(super) const EACH: &str = "each";

/// Trains a model for each domain with a class, that one held out, or prints the sweep that does.
pub(super) fn run(arguments: &DataArguments, place: Place, is_printed: bool) -> Result<()> {
    let name = place.name()?;
    let survey = own_images::survey(place, Wishes { test_domain: None, ..arguments.wishes() })?;
    let (assumed, domains) = survey.assumed_of_each()?;
    let config = arguments.with_assumed(&assumed)?;
    if config.data.test_domain != assumed.config.data.test_domain {
        return Err(Error::request(format!(
            "--set data.test_domain={} is not usable with --test-domain {EACH}: each domain is held out in turn",
            config.data.test_domain
        )));
    }
    let config = sources::find(config)?.config;
    let folder = Path::new(RUNS).join(format!("{name}-{EACH}-seed{}", config.seed));
    let text = text(&config, &domains, &folder)?;
    if is_printed {
        return say_lines(&printable_toml(&text));
    }
    let file = PathBuf::from(format!("{}.toml", folder.display()));
    let sweep = begun(&file, &text)?;
    assumed.sentences.iter().try_for_each(|sentence| say(&format!("assumed: {sentence}")))?;
    say(&format!("{} runs, of the sweep {}", sweep.jobs.len(), file.display()))?;
    let outcome = sweep::work_on(&sweep, Shard::ALL, 1);
    if let Err(Error::Interrupted { .. }) = outcome {
        return outcome;
    }
    let found = (sweep.jobs.iter())
        .filter_map(|job| found(&sweep, job).transpose())
        .collect::<Result<Vec<Found>>>()?;
    if !found.is_empty() {
        say("")?;
        columns(&rows(&found)).iter().try_for_each(|line| say(line))?;
        let files = render::write(&sweep, Shard::ALL, &table::collect(&sweep, Shard::ALL)?)?;
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        say(&format!("written: {}", files.join(", ")))?;
    }
    outcome
}

/// The sweep over the domains as the text of its file.
fn text(config: &Config, domains: &[String], folder: &Path) -> Result<String> {
    let out = folder.to_str().ok_or_else(|| {
        Error::request(format!("cannot write {} into a sweep: it is not UTF-8", folder.display()))
    })?;
    let mut base: Table = config.to_toml().parse().expect("a configuration is TOML");
    let mut grid = Table::new();
    let seed = base.remove("seed").expect("a configuration has a seed");
    if let Some(Value::Table(data)) = base.get_mut("data") {
        data.remove("test_domain");
    }
    let test_domains = Value::from(domains.to_vec());
    grid.insert("data".into(), Value::Table(Table::from_iter([("test_domain".to_owned(), test_domains)])));
    grid.insert("seed".into(), Value::Array(vec![seed]));
    base.insert("out".into(), Value::from(out));
    base.insert("grid".into(), Value::Table(grid));
    Ok(format!(
        "# Each domain held out in turn. `diva sweep run` with this file goes on with it; more seeds in [grid] are more runs.\n\n{base}"
    ))
}

/// The sweep of this text, with its file written if there is none. One that is there may have more jobs.
fn begun(file: &Path, text: &str) -> Result<Sweep> {
    let sweep = Sweep::parse(file, text)?;
    if input::text_if_there(file, input::SHORT_TEXT)?.is_none() {
        durable::create_folder(Path::new(RUNS))?;
        durable::write_own(file, text.as_bytes())?;
        return Ok(sweep);
    }
    let there = Sweep::read(file)?;
    let is_there = |job: &&Job| {
        let same = |other: &Job| other.id == job.id && other.config.data.path == job.config.data.path;
        there.jobs.iter().any(same)
    };
    let Some(missing) = sweep.jobs.iter().find(|job| !is_there(job)) else { return Ok(there) };
    let same_domain = |job: &&Job| job.config.data.test_domain == missing.config.data.test_domain;
    let known = there.jobs.iter().find(same_domain).map(|job| &job.config);
    let difference = match known {
        Some(known) if known.data.path != missing.config.data.path => {
            let path = known.data.path.as_deref().unwrap_or_default();
            format!("the pictures in {path}")
        }
        Some(known) => known.differences_that_matter(&missing.config).into_iter().next().unwrap_or_default(),
        None => String::new(),
    };
    let difference = if difference.is_empty() { String::new() } else { format!(" ({difference})") };
    let (name, folder) = (file.display(), sweep.folder.display());
    Err(Error::request(format!(
        "cannot go on with {name}: it is of other settings or pictures{difference}; diva sweep run {name} goes on with those, and \
         where that file and {folder} are gone it begins anew"
    )))
}

/// What came out of one run.
struct Found {
    test_domain: String,
    seed: u64,
    answer: Answer,
}

/// The outcome of a job, if it is done.
fn found(sweep: &Sweep, job: &Job) -> Result<Option<Found>> {
    let JobState::Done(result, _) = sweep.state(job)? else { return Ok(None) };
    let RunResult { test_domain, seed, answer, .. } = *result;
    Ok(answer.map(|answer| Found { test_domain, seed, answer }))
}

/// A column of the table: its head, its cell of a run, and its cell of the mean of all.
type Column<'a> = (&'a str, Box<dyn Fn(&Found) -> String + 'a>, String);

/// A line for each run, and their mean.
fn rows(found: &[Found]) -> Vec<Vec<String>> {
    let has_seeds = found.iter().any(|run| run.seed != found[0].seed);
    let has_groups = found.iter().any(|run| run.answer.of_groups.is_some());
    let or_dash = |text: Option<String>| text.unwrap_or("-".to_owned());
    let interval = move |interval: Option<[f64; 2]>| or_dash(interval.map(interval_in_per_cent));
    let mean = |of: fn(&Answer) -> Option<f64>| {
        let all: Option<Vec<f64>> = found.iter().map(|run| of(&run.answer)).collect();
        all.map(|all| all.iter().sum::<f64>() / all.len() as f64)
    };
    let name = move |run: &Found| {
        let seed = if has_seeds { format!(" (seed {})", run.seed) } else { String::new() };
        run.test_domain.clone() + &seed
    };
    let recognised = |answer: &Answer| answer.accuracy.map(|share| share.value);
    let commonest = |answer: &Answer| answer.commonest_class_share;
    let area = |answer: &Answer| answer.roc_auc.map(|area| area.value);
    let mut columns: Vec<Column> = vec![
        ("held out", Box::new(name), "mean".to_owned()),
        (
            "images",
            Box::new(|run| run.answer.accuracy.map_or(0, |share| share.of).to_string()),
            String::new(),
        ),
        (
            "recognised",
            Box::new(move |run| or_dash(recognised(&run.answer).map(percent))),
            or_dash(mean(recognised).map(percent)),
        ),
        (
            "95 % interval",
            Box::new(move |run| interval(run.answer.accuracy.map(|share| share.interval))),
            String::new(),
        ),
    ];
    if has_groups {
        let of_groups = move |run: &Found| interval(run.answer.of_groups.and_then(|groups| groups.accuracy));
        columns.push(("of groups", Box::new(of_groups), String::new()));
    }
    columns.push((
        "commonest class",
        Box::new(move |run| or_dash(commonest(&run.answer).map(percent))),
        or_dash(mean(commonest).map(percent)),
    ));
    columns.push((
        "area under the ROC curve",
        Box::new(move |run| or_dash(run.answer.roc_auc.map(|area| area.to_string()))),
        or_dash(mean(area).map(|area| format!("{area:.3}"))),
    ));
    let head = columns.iter().map(|(head, ..)| (*head).to_owned()).collect();
    let row = |run: &Found| columns.iter().map(|(_, of_run, _)| of_run(run)).collect();
    let last = columns.iter().map(|(.., mean)| mean.clone()).collect();
    std::iter::once(head).chain(found.iter().map(row)).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::Predictions;

    /// So many images of two classes, half of each, of which so many are recognised.
    fn run(name: &str, right: usize, images: usize, groups: Option<u32>) -> Found {
        let truth: Vec<u32> = (0..images as u32).map(|image| image % 2).collect();
        let logits: Vec<f32> = (0..images)
            .flat_map(|image| {
                let taken_for = if image < right { image % 2 } else { 1 - image % 2 };
                [1.0 - taken_for as f32, taken_for as f32]
            })
            .collect();
        let mut predictions = Predictions::new(&truth, &logits, 2).unwrap();
        if let Some(groups) = groups {
            predictions =
                predictions.in_groups(&(0..images as u32).map(|image| image % groups).collect::<Vec<_>>());
        }
        Found { test_domain: name.into(), seed: 0, answer: Answer::of(&predictions, 1) }
    }

    #[test]
    fn runs_are_lines_with_their_mean() {
        let lines = columns(&rows(&[run("A", 9, 10, None), run("Bé", 0, 30, None)]));
        let head = "held out  images  recognised   95 % interval  commonest class  area under the ROC curve";
        assert_eq!(lines[0], head);
        assert!(
            lines[1].starts_with("       A      10      90.0 %  59.6 to 98.2 %           50.0 %"),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("      Bé      30       0.0 %   0.0 to 11.4 %           50.0 %"),
            "{lines:?}"
        );
        // Nine of ten right: of five of either class, one of the second is among the first. 0.9 and 0.
        let mean = "    mean              45.0 %                           50.0 %                     0.450";
        assert_eq!(lines[3], mean);
        let mut seeds = [run("A", 9, 10, Some(5)), run("A", 8, 10, Some(5))];
        seeds[1].seed = 1;
        let lines = columns(&rows(&seeds));
        assert!(
            lines[2].starts_with("A (seed 1)")
                && lines[0].contains("95 % interval")
                && lines[0].contains("of groups"),
            "{lines:?}"
        );
        let interval = seeds[1].answer.of_groups.unwrap().accuracy.unwrap();
        let words = format!("{:.1} to {:.1} %", 100.0 * interval[0], 100.0 * interval[1]);
        assert!(lines[2].contains(&words), "{lines:?}, {words}");
    }
}
