//! What is reported of an epoch and of a run, and how it is read again.
//!
//! Fields of a clock ([`is_of_a_clock`]) aside, all are a function of the configuration, bit for bit.

use super::unlike::UnlikeShare;
use crate::error::{Error, Result};
use crate::scores::{Answer, ChosenThreshold, Summary};
use crate::store::digest::sha256_hex;
use crate::store::input;
use crate::store::run_folder::RunFolder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// One line of `metrics.jsonl`: losses in nats, averaged over the images of the epoch, and accuracies in 0..1. A term
/// that the model does not have is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Counted from 1.
    pub epoch: usize,
    /// The weight of the divergences in this epoch.
    pub beta: f64,
    /// The weighted sum of the terms; of a model that minimises means, the mean.
    pub loss: f64,
    /// -log p(x|z)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconstruction: Option<f64>,
    /// log q(z|x) - log p(z), of a model with a single latent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// log q(zd|x) - log p(zd|d)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_d: Option<f64>,
    /// log q(zx|x) - log p(zx)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_x: Option<f64>,
    /// log q(zy|x) - log p(zy|y)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_y: Option<f64>,
    /// The cross-entropy of the domain classifier, q(d|zd).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ce_d: Option<f64>,
    /// The cross-entropy of the class classifier, q(y|zy), averaged over the labelled images.
    pub ce_y: f64,
    /// log q(y|zy) - log p(y) under q(y|zy), averaged over the unlabelled images, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy_y: Option<f64>,
    /// The share of unlabelled images among those of the epoch, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled_share: Option<f64>,
    /// The share of labelled training images whose class is recognised, after the epoch, by posterior means.
    pub train_accuracy: f64,
    /// The same of the images that are held back from training, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// The same in each training domain with labels, by its name.
    pub domain_accuracy: BTreeMap<String, f64>,
    /// The same for the domain that training never sees.
    pub test_accuracy: f64,
    /// The same for digits of that domain which training has seen at no angle, if the protocol tests on others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disjoint_test_accuracy: Option<f64>,
    /// SHA-256 of the state after the epoch: of the bytes of the checkpoint that is then saved.
    pub state_sha256: String,
    /// What the training steps took.
    pub train_seconds: f64,
    /// What the evaluation took.
    pub evaluate_seconds: f64,
    /// Training images a second.
    pub images_per_second: f64,
    /// SHA-256 of all these figures but for those of the clock ([`EpochMetrics::seal`]): one that changes on a disk does not
    /// go unnoticed. Lines of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_sha256: Option<String>,
}

/// `result.json`: the selected epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The preset that the configuration started from.
    pub preset: String,
    /// The seed.
    pub seed: u64,
    /// The domain that training never saw.
    pub test_domain: String,
    /// How many epochs were trained.
    pub epochs: usize,
    /// Why training ended: "epochs" (all done) or "patience" (no improvement).
    pub ended_by: String,
    /// The selected epoch's accuracy on the unseen domain: the figure of the run.
    pub test_accuracy: f64,
    /// What naming the commonest class of the unseen domain for each of its images would give. Results of earlier versions
    /// do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_commonest_class_share: Option<f64>,
    /// The same of digits of that domain which training has seen at no angle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disjoint_test_commonest_class_share: Option<f64>,
    /// Of two classes: how good the selected epoch's probabilities are on the unseen domain. Results of earlier versions
    /// have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_scores: Option<Summary>,
    /// The answer for the unseen domain, of the selected epoch, of any number of classes, with intervals; like the following not in
    /// results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Of two classes: what a threshold gives there that was chosen on held-back images, if both classes are held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<ChosenThreshold>,
    /// How many of its images look unlike the training images, of a model that can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlike: Option<UnlikeShare>,
    /// Everything else of the selected epoch.
    pub selected: SelectedEpoch,
    /// Trained parameters of the model.
    pub parameters: usize,
    /// The checksum of the final checkpoint file.
    pub checkpoint_sha256: String,
    /// That of the configuration as far as it decides results
    /// ([`Config::identity`](crate::config::Config::identity)); like the following not in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_sha256: Option<String>,
    /// That of the selected epoch's weight file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_sha256: Option<String>,
    /// That of the limit of images unlike those that were trained on, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlike_sha256: Option<String>,
    /// That of what is predicted of each picture of the unseen domain, if there is a table of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions_sha256: Option<String>,
    /// That of the list of the pictures' roles, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division_sha256: Option<String>,
    /// SHA-256 of all the above ([`RunResult::seal`]): what changes on a disk does not go unnoticed. Results of earlier versions
    /// have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_sha256: Option<String>,
}

/// The epoch with the best accuracy on the images held back from training, the last among equals; where there are none, on
/// the training images, with the lowest cross-entropy among equals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectedEpoch {
    /// Counted from 1.
    pub epoch: usize,
    /// The selection's first criterion.
    pub train_accuracy: f64,
    /// What is looked at before, where images are held back from training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// The selection's second criterion: the mean over the epoch's labelled images, in nats.
    pub ce_y: f64,
    /// By name of the training domain with labels.
    pub domain_accuracy: BTreeMap<String, f64>,
    /// On the unseen domain.
    pub test_accuracy: f64,
    /// On digits of the unseen domain that training has seen at no angle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disjoint_test_accuracy: Option<f64>,
}

/// Whether a field depends on the clock, by its name.
pub fn is_of_a_clock(field: &str) -> bool {
    field.ends_with("_seconds") || field.ends_with("_per_second")
}

impl EpochMetrics {
    /// Writes down what the figures are now.
    pub fn seal(&mut self) {
        self.line_sha256 = Some(sha256_of_figures(written(self), LINE_SEAL));
    }

    /// All divergences together, if there are any.
    pub fn divergences(&self) -> Option<f64> {
        [self.kl, self.kl_d, self.kl_x, self.kl_y].into_iter().flatten().reduce(|sum, kl| sum + kl)
    }
}

impl RunResult {
    /// Writes down what the figures are now.
    pub fn seal(&mut self) {
        self.result_sha256 = Some(sha256_of_figures(written(self), RESULT_SEAL));
    }
}

/// The names of the fields that hold the seals.
const LINE_SEAL: &str = "line_sha256";
const RESULT_SEAL: &str = "result_sha256";

fn written(figures: &impl Serialize) -> Value {
    serde_json::to_value(figures).expect("figures are plain data")
}

/// Whether an object's JSON is as it was sealed, if it was. It is looked at as it is written: a version of the program knows fields
/// that another does not, and these are sealed too.
fn is_as_sealed(text: &str, sealed: Option<&String>, seal: &str) -> bool {
    let is_of = |sealed: &String| {
        serde_json::from_str(text).is_ok_and(|figures| sha256_of_figures(figures, seal) == *sealed)
    };
    sealed.is_none_or(is_of)
}

/// The SHA-256 of an object's JSON without the field of the seal itself and those of a clock.
fn sha256_of_figures(mut figures: Value, seal: &str) -> String {
    if let Some(fields) = figures.as_object_mut() {
        fields.retain(|field, _| !is_of_a_clock(field) && field != seal);
    }
    sha256_hex(figures.to_string().as_bytes())
}

impl SelectedEpoch {
    /// The part of an epoch's metrics that selection keeps.
    pub fn of(metrics: &EpochMetrics) -> Self {
        SelectedEpoch {
            epoch: metrics.epoch,
            train_accuracy: metrics.train_accuracy,
            validation_accuracy: metrics.validation_accuracy,
            ce_y: metrics.ce_y,
            domain_accuracy: metrics.domain_accuracy.clone(),
            test_accuracy: metrics.test_accuracy,
            disjoint_test_accuracy: metrics.disjoint_test_accuracy,
        }
    }

    /// Whether this epoch is to be preferred to `other`, an earlier one. Looks at training domains only.
    pub fn is_better_than(&self, other: &SelectedEpoch) -> bool {
        match (self.validation_accuracy, other.validation_accuracy) {
            (Some(ours), Some(theirs)) => ours >= theirs,
            _ => {
                self.train_accuracy > other.train_accuracy
                    || (self.train_accuracy == other.train_accuracy && self.ce_y < other.ce_y)
            }
        }
    }
}

/// The epoch whose parameters are kept; none before the first.
pub fn selected(metrics: &[EpochMetrics]) -> Option<&EpochMetrics> {
    metrics.iter().reduce(|best, epoch| {
        if SelectedEpoch::of(epoch).is_better_than(&SelectedEpoch::of(best)) { epoch } else { best }
    })
}

/// Reads a `result.json`.
///
/// # Errors
/// If it is missing or not one.
pub fn read_result(path: &Path) -> Result<RunResult> {
    parse_result(&input::text(path, input::SHORT_TEXT)?, path)
}

/// Takes the text of a `result.json` apart; `path` is what error messages call it. Memory: at most 24 times the text's
/// length, and 16 KiB.
///
/// # Errors
/// If it is not one.
pub fn parse_result(text: &str, path: &Path) -> Result<RunResult> {
    let unfit = |what: &str| Error::request(format!("cannot read {}: it is {what}", path.display()));
    let result: RunResult =
        serde_json::from_str(text).map_err(|cause| unfit(&format!("not the result of a run ({cause})")))?;
    match is_as_sealed(text, result.result_sha256.as_ref(), RESULT_SEAL) {
        true => Ok(result),
        false => Err(unfit("not as it was written: it was damaged or changed since")),
    }
}

/// Reads a `metrics.jsonl`: one item a line.
///
/// # Errors
/// If it is missing, or a line is not that of an epoch.
pub fn read_metrics(path: &Path) -> Result<Vec<EpochMetrics>> {
    parse_metrics(&input::text(path, input::TABLE)?, path)
}

/// The metrics of the epochs that a run has recorded. Of one that is not finished, what follows the last end of a line is none: a
/// process may have been killed, or be, in the middle of it.
///
/// # Errors
/// As [`read_metrics`].
pub fn read_recorded_epochs(folder: &RunFolder) -> Result<Vec<EpochMetrics>> {
    let path = folder.metrics();
    if folder.result().exists() {
        return read_metrics(&path);
    }
    let text = input::text(&path, input::TABLE)?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    parse_metrics(&text[..whole], &path)
}

/// Whether a line of metrics says that a checkpoint of this SHA-256 was saved.
pub(super) fn is_recorded(folder: &RunFolder, checkpoint_sha256: &str) -> bool {
    let is_of_line = |text: String| text.contains(&format!("\"state_sha256\":\"{checkpoint_sha256}\""));
    input::text(&folder.metrics(), input::TABLE).is_ok_and(is_of_line)
}

/// Takes the text of a `metrics.jsonl` apart; `path` is what error messages call it. Memory: as [`parse_result`].
///
/// # Errors
/// If a line is not that of an epoch.
pub fn parse_metrics(text: &str, path: &Path) -> Result<Vec<EpochMetrics>> {
    let epoch = |(line, number): (&str, usize)| {
        let unfit =
            |what: &str| Error::request(format!("cannot read {}: line {number} {what}", path.display()));
        let metrics: EpochMetrics = serde_json::from_str(line)
            .map_err(|cause| unfit(&format!("is not the metrics of an epoch ({cause})")))?;
        match is_as_sealed(line, metrics.line_sha256.as_ref(), LINE_SEAL) {
            true => Ok(metrics),
            false => Err(unfit("is not as it was written: it was damaged or changed since")),
        }
    };
    text.lines().zip(1..).map(epoch).collect()
}

/// Over how many epochs the second figure of a run is averaged: single epochs swing by several per cent.
pub const LAST_EPOCHS: usize = 10;

/// The mean of the last [`LAST_EPOCHS`] values, or of all where there are fewer; none of none.
pub fn mean_of_last(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let last = &values[values.len().saturating_sub(LAST_EPOCHS)..];
    (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
}

/// The mean accuracy on the unseen domain over the last ten epochs, or fewer, with what there is to know of these: nothing
/// where they are ten after the warm-up of the divergences.
pub fn last_epochs(epochs: &[EpochMetrics]) -> Option<(f64, Option<String>)> {
    let mean = mean_of_last(epochs.iter().map(|epoch| epoch.test_accuracy))?;
    let last = &epochs[epochs.len().saturating_sub(LAST_EPOCHS)..];
    // What a baseline without divergences minimises is the same in every epoch.
    let warming = last.iter().filter(|epoch| epoch.beta < 1.0 && epoch.reconstruction.is_some()).count();
    let within = match warming {
        0 if last.len() == LAST_EPOCHS => return Some((mean, None)),
        0 => String::new(),
        _ if warming == last.len() => ", all within the warm-up".into(),
        _ => format!(", {warming} of them within the warm-up"),
    };
    let which = match last {
        [only] => format!("epoch {}", only.epoch),
        _ => format!("epochs {} to {}", last[0].epoch, last[last.len() - 1].epoch),
    };
    Some((mean, Some(which + &within)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an earlier version wrote it of a run of digits, and as this one does.
    const OF_DIGITS: &str = r#"{
  "preset": "quick",
  "seed": 3,
  "test_domain": "75",
  "epochs": 2,
  "ended_by": "epochs",
  "test_accuracy": 0.25,
  "selected": {
    "epoch": 2,
    "train_accuracy": 0.5,
    "ce_y": 1.5,
    "domain_accuracy": {
      "0": 0.5
    },
    "test_accuracy": 0.25,
    "disjoint_test_accuracy": 0.125
  },
  "parameters": 7,
  "checkpoint_sha256": "ab"
}"#;

    #[test]
    fn a_result_without_scores_is_what_it_was() {
        let result: RunResult = serde_json::from_str(OF_DIGITS).unwrap();
        assert_eq!(result.test_scores, None);
        assert_eq!(serde_json::to_string_pretty(&result).unwrap(), OF_DIGITS);
    }

    /// The fault: some fields are in no line of metrics, and a table repeated what somebody had made of them.
    #[test]
    fn a_sealed_result_that_changed_in_any_field_is_refused() {
        let mut result: RunResult = serde_json::from_str(OF_DIGITS).unwrap();
        (result.test_commonest_class_share, result.best_sha256) = (Some(0.1), Some("cd".into()));
        let unsealed = parse_result(&written(&result).to_string(), Path::new("result.json"));
        assert_eq!(unsealed.as_ref(), Ok(&result), "an earlier version says nothing");
        result.seal();
        let written = written(&result);
        let read = |value: &Value| parse_result(&value.to_string(), Path::new("result.json"));
        assert_eq!(read(&written), Ok(result));
        for (field, value) in written.as_object().unwrap() {
            let mut changed = written.clone();
            changed[field] = match value {
                Value::String(text) => format!("{text}0").into(),
                Value::Number(number) if number.is_f64() => 0.99.into(),
                Value::Number(_) => 9.into(),
                _ => {
                    let mut inner = value.clone();
                    inner["ce_y"] = 0.99.into();
                    inner
                }
            };
            let refusal = read(&changed).unwrap_err().to_string();
            assert!(refusal.contains("result.json: it is not as it was written"), "{field}: {refusal}");
        }
    }

    /// An earlier version wrote it, whose areas had a bootstrap interval: two fields of it are read no more, but its seal is of them
    /// too.
    #[test]
    fn a_sealed_result_with_fields_of_an_earlier_version_is_read() {
        let text = include_str!("../../tests/fixtures/earlier/cells-result.json");
        let read = |text: &str| parse_result(text, Path::new("result.json"));
        let area = read(text).unwrap().test_scores.unwrap().roc_auc.unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        let earlier = &value["test_scores"]["roc_auc"];
        assert_eq!((Some(area.value), area.interval.is_some()), (earlier["value"].as_f64(), true));
        for field in ["\"resamples\": 2000", "\"skipped\": 1"] {
            assert_eq!(text.matches(field).count(), 1);
            let refusal = read(&text.replace(field, &format!("{field}0"))).unwrap_err().to_string();
            assert!(refusal.contains("it is not as it was written"), "{refusal}");
        }
        let unknown = text.replacen('{', "{\n  \"of_a_later_version\": 1,", 1);
        assert!(read(&unknown).unwrap_err().to_string().contains("it is not as it was written"));
    }

    #[test]
    fn the_last_ten_values_count() {
        assert_eq!(mean_of_last((1..=12).map(f64::from)), Some(7.5)); // 3 to 12
        assert_eq!(mean_of_last([1.0, 2.0].into_iter()), Some(1.5));
        assert_eq!(mean_of_last([].into_iter()), None);
    }

    #[test]
    fn a_mean_says_of_which_epochs_it_is() {
        let epochs = |betas: &[f64], reconstruction: Option<f64>| -> Vec<EpochMetrics> {
            let epoch = |(number, beta): (usize, &f64)| {
                let line = serde_json::json!({
                    "epoch": number, "beta": beta, "loss": 1.0, "reconstruction": reconstruction, "ce_y": 1.0,
                    "train_accuracy": 1.0, "domain_accuracy": {}, "test_accuracy": number as f64 / 64.0,
                    "disjoint_test_accuracy": null, "state_sha256": "", "train_seconds": 1.0,
                    "evaluate_seconds": 1.0, "images_per_second": 1.0
                });
                serde_json::from_value(line).unwrap()
            };
            (1..).zip(betas).map(epoch).collect()
        };
        let which = |betas: &[f64]| last_epochs(&epochs(betas, Some(1.0))).unwrap().1;
        let said = |betas: &[f64]| which(betas).unwrap();
        let warm: Vec<f64> = (1..=5).map(|epoch| f64::from(epoch) / 5.0).collect();
        // The fifth epoch of a warm-up of five has its whole weight.
        assert_eq!(said(&[&warm[..], &[1.0; 5]].concat()), "epochs 1 to 10, 4 of them within the warm-up");
        assert_eq!(said(&[&warm[..], &[1.0; 8]].concat()), "epochs 4 to 13, 1 of them within the warm-up");
        assert_eq!(which(&[&warm[..], &[1.0; 9]].concat()), None);
        assert_eq!(said(&warm[..3]), "epochs 1 to 3, all within the warm-up");
        assert_eq!(said(&warm[..1]), "epoch 1, all within the warm-up");
        assert_eq!(said(&[1.0; 4]), "epochs 1 to 4");
        assert_eq!(last_epochs(&epochs(&[1.0; 12], Some(1.0))), Some((75.0 / 64.0 / 10.0, None))); // 3 to 12
        // Without divergences nothing warms up.
        assert_eq!(last_epochs(&epochs(&[0.5; 10], None)), Some((55.0 / 64.0 / 10.0, None)));
        assert_eq!(last_epochs(&[]), None);
    }
}
