//! Whether the files of a run are as it left them.
//!
//! A run writes down the SHA-256 of what others will read. Its checkpoint knows the configuration, as far as that decides
//! results, and `best.safetensors`; its `result.json` knows both, `unlike.json`, `predictions.csv` and `division.csv`, which
//! `division.sha256` knows from the beginning (not the checkpoint, whose bytes do not depend on what files are called); each
//! line of metrics, and the result, knows itself; imported weights have theirs in `imported.json`. Whoever loads one of these
//! files asks here. Where the checkpoint is there it has the last word, since a run that is prolonged keeps its old result
//! until there is a new one.
//!
//! Earlier versions wrote none of this down. Their runs are read, and a sentence says what cannot be told.

use super::metrics::{self, EpochMetrics, RunResult, SelectedEpoch};
use super::state::Note;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::checkpoint::Checkpoint;
use crate::store::digest::sha256_hex;
use crate::store::run_folder::RunFolder;
use crate::store::{durable, input, tensors};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What `imported.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Imported {
    configuration_sha256: String,
    best_sha256: String,
}

/// What is known of the files of a run.
struct Known {
    /// The file that says so.
    by: PathBuf,
    /// The SHA-256 of [`Config::identity`].
    configuration: Option<String>,
    /// The identity itself, where it is kept in full.
    identity: Option<String>,
    best: Option<String>,
    /// Whether an epoch has been selected.
    is_trained: bool,
}

impl Known {
    /// Nothing, of a folder in which no file says anything.
    fn of(folder: &RunFolder) -> Result<Option<Self>> {
        if folder.checkpoint().exists() {
            let note = Note::read(&folder.checkpoint())?;
            return Ok(Some(Known {
                by: folder.checkpoint(),
                configuration: Some(sha256_hex(note.configuration.as_bytes())),
                is_trained: note.progress.best.is_some(),
                identity: Some(note.configuration),
                best: note.best_sha256,
            }));
        }
        let known =
            |by, configuration, best| Known { by, configuration, identity: None, best, is_trained: true };
        if folder.result().exists() {
            let result = metrics::read_result(&folder.result())?;
            return Ok(Some(known(folder.result(), result.configuration_sha256, result.best_sha256)));
        }
        let path = folder.imported();
        let Some(text) = input::text_if_there(&path, input::SHORT_TEXT)? else { return Ok(None) };
        let imported: Imported = serde_json::from_str(&text).map_err(|cause| {
            Error::request(format!(
                "cannot read {}: it says nothing of imported weights ({cause})",
                path.display()
            ))
        })?;
        Ok(Some(known(path, Some(imported.configuration_sha256), Some(imported.best_sha256))))
    }

    /// The refusal of a file that is not the one that is known, unless it is the checkpoint that is damaged.
    fn refusal(&self, attempt: &str, folder: &RunFolder, what: &str) -> Error {
        if self.by == folder.checkpoint()
            && let Err(damaged) = Checkpoint::load(&self.by)
        {
            return damaged;
        }
        Error::request(format!("cannot {attempt} {}: {what}", folder.path().display()))
    }
}

/// Refuses the configuration of a run's folder if it decides other results than the run's; `attempt` says what cannot be done with
/// it.
///
/// # Errors
/// If it does, or what the run has written down cannot be read.
pub fn check_configuration(attempt: &str, folder: &RunFolder, config: &Config) -> Result<()> {
    let Some(known) = Known::of(folder)? else { return Ok(()) };
    let identity = config.identity();
    if known
        .configuration
        .as_ref()
        .is_none_or(|configuration| *configuration == sha256_hex(identity.as_bytes()))
    {
        return Ok(());
    }
    // Where the weights are others as well, what knows them does not belong here.
    if let Some(best) = known.best.as_ref().filter(|_| folder.best().exists())
        && *best != sha256_hex(&tensors::read_file(&folder.best())?)
    {
        let by = known.by.display();
        let what = format!(
            "{by} is of another run: it knows neither the config.toml nor the best.safetensors beside it"
        );
        return Err(known.refusal(attempt, folder, &what));
    }
    let was = known.identity.as_deref().unwrap_or_default();
    let first = was.lines().find(|was| identity.lines().all(|is| is != *was));
    let first = first.map_or(String::new(), |line| format!(", which has {line}"));
    let by = known.by.display();
    let what =
        format!("its config.toml is not the one that {by} knows{first}; it was damaged or changed since");
    Err(known.refusal(attempt, folder, &what))
}

/// Refuses a `best.safetensors` of this SHA-256 if it is not the one that the run saved; `attempt` says what cannot be done with
/// it. A sentence if nothing is known of it.
///
/// # Errors
/// If it is another, or what the run has written down cannot be read.
pub fn check_best(attempt: &str, folder: &RunFolder, best_sha256: &str) -> Result<Option<String>> {
    let known = Known::of(folder)?;
    match &known {
        Some(known) if known.best.as_deref() == Some(best_sha256) => Ok(None),
        Some(known) if known.best.is_some() || !known.is_trained => {
            let what = format!(
                "best.safetensors is not the one that {} knows: it was damaged or exchanged, unless the run was stopped in the \
                 middle of saving it, which --resume would put right",
                known.by.display()
            );
            Err(known.refusal(attempt, folder, &what))
        }
        _ => Ok(Some(format!(
            "nothing in {} says whether best.safetensors is as it was left there: an earlier version made it",
            folder.path().display()
        ))),
    }
}

/// How `unlike.json` stands to the weights beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was made of them, or an earlier version says nothing else.
    OfTheseWeights,
    /// It was made of others, or of nobody knows which; why, in words.
    OfOthers(String),
}

/// How the bytes of a run's `unlike.json`, if it is there, stand to the weights of this SHA-256.
///
/// # Errors
/// If they are not those that the run saved, or its result cannot be read.
pub fn check_unlike(
    attempt: &str,
    folder: &RunFolder,
    unlike: Option<&[u8]>,
    best_sha256: &str,
) -> Result<Standing> {
    let path = folder.unlike();
    let of_others = |why: &str| Ok(Standing::OfOthers(format!("{} {why}", path.display())));
    let unfinished = "is not of the weights beside it; the run goes on, or was stopped before its end";
    if !folder.result().exists() {
        return if unlike.is_none() { Ok(Standing::OfTheseWeights) } else { of_others(unfinished) };
    }
    let result = metrics::read_result(&folder.result())?;
    if let Some(why) = of_another_run(folder, &result)? {
        return Ok(Standing::OfOthers(why));
    }
    if result.best_sha256.is_some_and(|of_result| of_result != best_sha256) {
        return of_others(unfinished);
    }
    let Some(unlike) = unlike else {
        let is_known = result.unlike_sha256.is_some();
        return if is_known {
            of_others("is gone: result.json knows one")
        } else {
            Ok(Standing::OfTheseWeights)
        };
    };
    if result.unlike_sha256.is_some_and(|sha256| sha256 != sha256_hex(unlike)) {
        return Err(Error::request(format!(
            "cannot {attempt} {}: unlike.json is not the one that result.json knows; it was damaged or exchanged",
            folder.path().display()
        )));
    }
    Ok(Standing::OfTheseWeights)
}

/// Whose a result is that belongs neither to the checkpoint beside it nor to an earlier end of the same run. Without a checkpoint
/// nothing tells: configuration and weights were held against the result itself then.
fn of_another_run(folder: &RunFolder, result: &RunResult) -> Result<Option<String>> {
    if !folder.checkpoint().exists() {
        return Ok(None);
    }
    let configuration = sha256_hex(Note::read(&folder.checkpoint())?.configuration.as_bytes());
    let is_of_another =
        result.configuration_sha256.as_ref().is_some_and(|of_result| *of_result != configuration)
            || metrics::read_metrics(&folder.metrics()).is_ok_and(|lines| {
                // Lines that cannot be read tell nothing, and none tell as much.
                !lines.is_empty() && lines.iter().all(|line| line.state_sha256 != result.checkpoint_sha256)
            });
    let (path, RunResult { seed, test_domain, .. }) = (folder.result(), result);
    Ok(is_of_another.then(|| {
        let path = path.display();
        format!(
            "{path} is of another run (seed {seed}, test domain {test_domain}) than the checkpoint beside it"
        )
    }))
}

/// The SHA-256 of the run's `unlike.json`, if it is there.
///
/// # Errors
/// If it cannot be read.
pub fn unlike_sha256(folder: &RunFolder) -> Result<Option<String>> {
    sha256_of(&folder.unlike(), input::SHORT_TEXT)
}

/// That of its `predictions.csv`.
///
/// # Errors
/// If it cannot be read.
pub fn predictions_sha256(folder: &RunFolder) -> Result<Option<String>> {
    sha256_of(&folder.predictions(), input::TABLE)
}

/// That of its `division.csv`.
///
/// # Errors
/// If it cannot be read.
pub(super) fn division_sha256(folder: &RunFolder) -> Result<Option<String>> {
    sha256_of(&folder.division(), input::TABLE)
}

fn sha256_of(path: &Path, longest: u64) -> Result<Option<String>> {
    path.exists().then(|| input::bytes(path, longest).map(|bytes| sha256_hex(&bytes))).transpose()
}

/// What `division.sha256` says beside a `division.csv` of these bytes.
pub(super) fn division_seal(division: &[u8]) -> String {
    format!("{}  division.csv\n", sha256_hex(division))
}

/// Refuses a `division.csv` of these bytes, or none, if it is not the one of the run, whose result this is, if it is looked at;
/// `attempt` says what cannot be done with it. Which file vouches for it, if any does: of one that is gone, which file knew it.
///
/// # Errors
/// If it is another, or what knows it cannot be read.
pub(super) fn check_division(
    attempt: &str,
    folder: &RunFolder,
    result: Option<&RunResult>,
    division: Option<&[u8]>,
) -> Result<Option<&'static str>> {
    let refused = |why: &str| Err(Error::request(format!("cannot {attempt}: {why}")));
    let of_result = result.and_then(|result| Some((result, result.division_sha256.as_ref()?)));
    if let (Some((result, sealed)), Some(division)) = (of_result, division)
        && *sealed != sha256_hex(division)
    {
        return refused(&of_another_run(folder, result)?.unwrap_or_else(|| {
            "division.csv is not the one that result.json knows; it was damaged or exchanged".into()
        }));
    }
    let seal = input::text_if_there(&folder.division_seal(), input::SHORT_TEXT)?;
    if let (Some(seal), Some(division)) = (&seal, division)
        && *seal != division_seal(division)
    {
        return refused(
            "division.csv is not the one that division.sha256 knows; one of the two was damaged or exchanged",
        );
    }
    Ok(of_result.map(|_| "result.json").or(seal.map(|_| "division.sha256")))
}

/// What is wrong with a result as one of a run of this configuration with these lines of metrics; a run that is prolonged has more
/// lines than its result knows.
///
/// # Errors
/// The first of its figures that another file does not confirm, in words.
pub fn check_result(
    result: &RunResult,
    lines: &[EpochMetrics],
    config: &Config,
) -> std::result::Result<(), String> {
    let Some(lines) = lines.get(..result.epochs).filter(|lines| !lines.is_empty()) else {
        return Err(format!("it is of {} epochs, metrics.jsonl has {}", result.epochs, lines.len()));
    };
    let selected = metrics::selected(lines).map(SelectedEpoch::of);
    let last = &lines[lines.len() - 1];
    let test_domain = config.data.test_domain.to_string();
    for (what, is_confirmed) in [
        (
            "checkpoint_sha256 is not the state_sha256 of its last epoch",
            result.checkpoint_sha256 == last.state_sha256,
        ),
        (
            "selected is not what metrics.jsonl says of the epoch to be selected",
            selected.as_ref() == Some(&result.selected),
        ),
        (
            "test_accuracy is not that of the selected epoch",
            result.test_accuracy == result.selected.test_accuracy,
        ),
        (
            "configuration_sha256 is not that of config.toml",
            (result.configuration_sha256.as_ref())
                .is_none_or(|sealed| *sealed == sha256_hex(config.identity().as_bytes())),
        ),
        ("seed is not that of config.toml", result.seed == config.seed),
        ("test_domain is not that of config.toml", result.test_domain == test_domain),
    ] {
        if !is_confirmed {
            return Err(what.into());
        }
    }
    Ok(())
}

/// Writes down the SHA-256s of imported weights and of their configuration.
///
/// # Errors
/// If that cannot be written.
pub fn seal_imported(folder: &RunFolder, config: &Config, best: &[u8]) -> Result<()> {
    let imported = Imported {
        configuration_sha256: sha256_hex(config.identity().as_bytes()),
        best_sha256: sha256_hex(best),
    };
    let text = serde_json::to_string_pretty(&imported).expect("a seal is plain data") + "\n";
    durable::write_own(&folder.imported(), text.as_bytes())
}
