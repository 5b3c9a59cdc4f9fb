//! How well classes are recognised, of any number of classes, in the few numbers that are said of a run.

use super::influence::{Influence, Spread};
use super::{Area, Auc, Calibration, Counts, Predictions, Share, interval_in_per_cent, mean, ratio};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The answer to how well the classes of some images are recognised. None: not defined for these images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The images whose class is recognised.
    pub accuracy: Option<Share>,
    /// What naming the commonest class of these images for each of them would give.
    pub commonest_class_share: Option<f64>,
    /// The mean of the classes' recalls, of which naming one class always would give one through the number of classes; none if a
    /// class is absent.
    pub balanced_accuracy: Option<f64>,
    /// The area under the ROC curve, of more than two classes the mean of those of each against the others; none if a class is
    /// absent.
    pub roc_auc: Option<Auc>,
    /// By how much probabilities differ from frequencies, on average ([`Calibration::expected_error`]).
    pub calibration_error: Option<f64>,
    /// Where images come in groups, what follows from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_groups: Option<OfGroups>,
}

/// The 95 % intervals of images that come in groups, such as those of a patient: how the numbers of all groups may differ from those
/// of these. Images of a group are alike, so that intervals that take them for independent are too narrow. None of one group, which
/// says nothing of others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfGroups {
    /// How many there are.
    pub groups: usize,
    /// That of the accuracy.
    pub accuracy: Option<[f64; 2]>,
    /// That of the area under the ROC curve.
    pub roc_auc: Option<[f64; 2]>,
}

impl Answer {
    /// What predictions come to; of two classes, the calibration is that of the probabilities of `positive`.
    ///
    /// # Panics
    /// If `positive` is no class.
    #[track_caller]
    pub fn of(predictions: &Predictions, positive: u32) -> Self {
        assert!((positive as usize) < predictions.classes, "class {positive} of {}", predictions.classes);
        let confusion = predictions.confusion();
        let counts: Vec<Counts> =
            (0..predictions.classes).map(|class| Counts::of(&confusion, class)).collect();
        let images = predictions.truth.len();
        let commonest = counts.iter().map(|counts| counts.there).max().unwrap_or(0);
        let area = Area::of(predictions);
        let of_groups = predictions.members().map(|groups| OfGroups {
            groups: groups.len(),
            accuracy: accuracy_of_groups(predictions, &groups),
            roc_auc: area.as_ref().and_then(|area| area.interval_of_groups(predictions, &groups)),
        });
        Answer {
            accuracy: Share::new(counts.iter().map(|counts| counts.right).sum(), images),
            commonest_class_share: ratio(commonest, images),
            balanced_accuracy: mean(counts.iter().map(Counts::recall)),
            roc_auc: area.map(|area| area.auc(predictions)),
            calibration_error: Calibration::of(&predictions.confidences(positive))
                .map(|calibration| calibration.expected_error),
            of_groups,
        }
    }
}

/// The interval of the accuracy where groups of images are drawn, never of more images than there are.
fn accuracy_of_groups(predictions: &Predictions, groups: &[Vec<usize>]) -> Option<[f64; 2]> {
    let images = predictions.truth.len();
    let is_right = |&&image: &&usize| predictions.truth[image] == predictions.predicted[image];
    let right = |members: &[usize]| members.iter().filter(is_right).count();
    let accuracy = ratio(groups.iter().map(|members| right(members)).sum(), images)?;
    let influence = |members: &Vec<usize>| Influence {
        moved: (right(members) as f64 - accuracy * members.len() as f64) / images as f64,
        reach: members.len() as f64 / images as f64,
    };
    let units: Vec<Influence> = groups.iter().map(influence).collect();
    Some(Spread::of(accuracy, &units)?.at_least(1.0 / images as f64).interval(accuracy))
}

impl Answer {
    /// A table: its head, then a row for each number, of its name, itself, its interval and its interval of groups.
    pub fn rows(&self) -> Vec<[String; 4]> {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let area = |area: f64| format!("{area:.3}");
        let none = || "-".to_owned();
        let of_areas = |[low, high]: [f64; 2]| format!("{low:.3} to {high:.3}");
        let of_groups = self.of_groups.as_ref();
        let head = of_groups.map_or(String::new(), |of| format!("of groups, {} here", of.groups));
        let rows = [
            (
                "accuracy",
                self.accuracy.map(|share| percent(share.value)),
                self.accuracy.map(|share| interval_in_per_cent(share.interval)),
                of_groups.map(|of| of.accuracy.map_or_else(none, interval_in_per_cent)),
            ),
            ("commonest class", self.commonest_class_share.map(percent), None, None),
            ("balanced accuracy", self.balanced_accuracy.map(percent), None, None),
            (
                "ROC AUC",
                self.roc_auc.map(|auc| area(auc.value)),
                self.roc_auc.and_then(|auc| auc.interval).map(of_areas),
                of_groups.map(|of| of.roc_auc.map_or_else(none, of_areas)),
            ),
            ("calibration error", self.calibration_error.map(area), None, None),
        ];
        let head = [String::new(), String::new(), "95 % interval".to_owned(), head];
        let rows = rows.into_iter().map(|(name, value, interval, of_groups)| {
            let value = value.unwrap_or_else(none);
            [name.to_owned(), value, interval.unwrap_or_default(), of_groups.unwrap_or_default()]
        });
        std::iter::once(head).chain(rows).collect()
    }
}

impl fmt::Display for Answer {
    /// The table, a line a row, without an end of line behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, [name, value, interval, of_groups]) in self.rows().iter().enumerate() {
            let line = format!("{name:<17}  {value:>7}  {interval:<15}  {of_groups}");
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}
