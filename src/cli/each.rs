//! `diva train FOLDER --test-domain each`: every domain held out in turn, a sweep that is written, run and collected.

use super::columns::columns;
use super::{DataArguments, RUNS, percent, say, say_lines, sweep};
use crate::config::Config;
use crate::data::division::{Division, Role};
use crate::error::{Error, Result};
use crate::experiments::sweep::folder::JobState;
use crate::experiments::sweep::{Job, Shard, Sweep, render, table};
use crate::names::printable_toml;
use crate::scores::Share;
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
    accuracy: Share,
    commonest_class_share: Option<f64>,
    /// Of two classes, the area under the ROC curve with its interval, in words.
    area: Option<(f64, String)>,
}

/// The outcome of a job, if it is done.
fn found(sweep: &Sweep, job: &Job) -> Result<Option<Found>> {
    let JobState::Done(result, _) = sweep.state(job)? else { return Ok(None) };
    let images = Division::read(&sweep.run_folder(job).division())?.images(Role::Test);
    let RunResult { test_domain, seed, test_accuracy, test_commonest_class_share, test_scores, .. } = *result;
    let right = (test_accuracy * images as f64).round() as usize;
    let area = test_scores.and_then(|scores| scores.roc_auc).map(|area| (area.value, area.to_string()));
    let accuracy = Share::new(right.min(images), images);
    Ok(accuracy.map(|accuracy| Found {
        test_domain,
        seed,
        accuracy,
        commonest_class_share: test_commonest_class_share,
        area,
    }))
}

/// A line for each run, and their mean.
fn rows(found: &[Found]) -> Vec<Vec<String>> {
    let has_seeds = found.iter().any(|run| run.seed != found[0].seed);
    let has_area = found.iter().any(|run| run.area.is_some());
    let share = |share: Option<f64>| share.map_or("-".to_owned(), percent);
    let area = |text: Option<String>| has_area.then(|| text.unwrap_or("-".into()));
    let head = ["held out", "images", "recognised", "95 % interval", "commonest class"].map(str::to_owned);
    let head = head.into_iter().chain(has_area.then(|| "area under the ROC curve".into())).collect();
    let row = |run: &Found| {
        let Share { of, value, interval: [low, high], .. } = run.accuracy;
        let seed = if has_seeds { format!(" (seed {})", run.seed) } else { String::new() };
        let interval = format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high);
        let columns = [format!("{}{seed}", run.test_domain), of.to_string(), percent(value), interval];
        let of_images = [share(run.commonest_class_share)];
        let text = run.area.as_ref().map(|(_, text)| text.clone());
        columns.into_iter().chain(of_images).chain(area(text)).collect()
    };
    let mean = |of: &dyn Fn(&Found) -> Option<f64>| {
        let all: Option<Vec<f64>> = found.iter().map(of).collect();
        all.map(|all| all.iter().sum::<f64>() / all.len() as f64)
    };
    let accuracy = share(mean(&|run| Some(run.accuracy.value)));
    let commonest = share(mean(&|run| run.commonest_class_share));
    let mean_area =
        mean(&|run| run.area.as_ref().map(|(value, _)| *value)).map(|value| format!("{value:.3}"));
    let last = ["mean".to_owned(), String::new(), accuracy, String::new(), commonest];
    let last = last.into_iter().chain(area(mean_area)).collect();
    [head].into_iter().chain(found.iter().map(row)).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_lines_with_their_mean() {
        let run = |name: &str, right, images, area: Option<f64>| Found {
            test_domain: name.into(),
            seed: 0,
            accuracy: Share::new(right, images).unwrap(),
            commonest_class_share: Some(0.5),
            area: area.map(|area| (area, format!("{area:.3} (0.5 to 1)"))),
        };
        let with_areas = [run("A", 9, 10, Some(0.75)), run("Bé", 0, 30, Some(0.5))];
        assert_eq!(
            columns(&rows(&with_areas)),
            [
                "held out  images  recognised   95 % interval  commonest class  area under the ROC curve",
                "       A      10      90.0 %  59.6 to 98.2 %           50.0 %          0.750 (0.5 to 1)",
                "      Bé      30       0.0 %   0.0 to 11.4 %           50.0 %          0.500 (0.5 to 1)",
                "    mean              45.0 %                           50.0 %                     0.625",
            ]
        );
        let mut without = [run("A", 9, 10, None), run("A", 8, 10, None)];
        without[1].seed = 1;
        let lines = columns(&rows(&without));
        assert!(lines[2].starts_with("A (seed 1)") && !lines[0].contains("area"), "{lines:?}");
    }
}
