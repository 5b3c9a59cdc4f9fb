//! The area under the ROC curve, with an interval that holds.
//!
//! Of class c, p images of it and q others, the area is the mean over the images of the class of the share of the others that rank
//! below; seen from the others, the mean of the share of the class that ranks above. These shares are the images' placements
//! (DeLong, DeLong and Clarke-Pearson, 1988), and
//!
//! ```text
//! influence    (placement - area) / p of an image of the class, (placement - area) / q of another        reach 1 / p, 1 / q
//! ```
//!
//! Of more than two classes the number is the mean over the classes, and so is the influence of an image: what it does to the area
//! of its own class and to those of the others goes together, and their covariances are in the sum. How an interval follows stands
//! in `influence.rs`; the images of a class make up a part of the variance.
//!
//! Of images in groups the units are groups (after Obuchowski, 1997). The reach of a group is the largest that its images of one class
//! have together: what moves all of a group up or down the ranking harms one class and helps the others.

use super::Predictions;
use super::influence::{Influence, Spread};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The area under the ROC curve; of more than two classes the mean of those of each class against the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Auc {
    /// The area.
    pub value: f64,
    /// The 95 % interval: how the area of all images may differ from that of these, which were drawn independently; none if a
    /// class has a single image. Of results of earlier versions, the percentile bootstrap's.
    pub interval: Option<[f64; 2]>,
}

impl fmt::Display for Auc {
    /// With three decimals: 0.912 (0.850 to 0.961), or 0.912 without an interval.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.value)?;
        match self.interval {
            Some([low, high]) => write!(f, " ({low:.3} to {high:.3})"),
            None => Ok(()),
        }
    }
}

/// An area and what each image does to it.
pub(super) struct Area {
    pub(super) value: f64,
    influences: Vec<Influence>,
}

impl Area {
    /// Of two classes that of either; none if a class is absent.
    pub(super) fn of(predictions: &Predictions) -> Option<Self> {
        let ranked = if predictions.classes == 2 { 1..2 } else { 0..predictions.classes };
        let rankings = ranked.map(|class| predictions.ranking(class)).collect::<Option<Vec<_>>>()?;
        let classes = rankings.len() as f64;
        let mut influences = vec![Influence::default(); predictions.truth.len()];
        let mut sum = 0.0;
        for ranking in &rankings {
            let area = ranking.area();
            sum += area;
            ranking.for_each_placement(|image, placement, of_its_kind| {
                let influence = &mut influences[image];
                influence.moved += (placement - area) / (of_its_kind as f64 * classes);
                influence.reach += 1.0 / (of_its_kind as f64 * classes);
            });
        }
        Some(Area { value: sum / classes, influences })
    }

    /// With its interval, of images of these classes.
    pub(super) fn auc(&self, predictions: &Predictions) -> Auc {
        let interval = self.spread(predictions).map(|spread| spread.interval(self.value));
        Auc { value: self.value, interval }
    }

    /// The interval of the area where groups of images are drawn, never narrower for that; none if there is one group, or a class has
    /// a single image.
    pub(super) fn interval_of_groups(
        &self,
        predictions: &Predictions,
        groups: &[Vec<usize>],
    ) -> Option<[f64; 2]> {
        let images = self.spread(predictions)?;
        let of_group = |members: &Vec<usize>| {
            let mut reach = vec![0.0; predictions.classes];
            let mut moved = 0.0;
            for &image in members {
                moved += self.influences[image].moved;
                reach[predictions.truth[image] as usize] += self.influences[image].reach;
            }
            Influence { moved, reach: reach.into_iter().fold(0.0, f64::max) }
        };
        let units: Vec<Influence> = groups.iter().map(of_group).collect();
        Some(Spread::of(self.value, &units)?.at_least(images.inverse).interval(self.value))
    }

    /// Of images that are drawn class by class; none if there is a single one of a class.
    fn spread(&self, predictions: &Predictions) -> Option<Spread> {
        let parts: Option<Vec<Spread>> = (0..predictions.classes as u32)
            .map(|class| {
                let images = self.influences.iter().zip(&predictions.truth);
                let of_class: Vec<Influence> =
                    images.filter(|&(_, truth)| *truth == class).map(|(influence, _)| *influence).collect();
                Spread::of(self.value, &of_class)
            })
            .collect();
        Some(Spread::sum(&parts?))
    }
}
