//! The part of the report that is the answer for the unseen domain, with its intervals.

use super::html::{Page, name};
use crate::scores::{Answer, ChosenThreshold};

/// Adds the table of an answer, what its numbers mean, and what a chosen threshold gives.
pub(super) fn describe(page: &mut Page, answer: &Answer, point: Option<&ChosenThreshold>) {
    page.table(&answer.rows().into_iter().map(Vec::from).collect::<Vec<_>>());
    let of_groups = match answer.of_groups {
        Some(_) => {
            ", if images are drawn one by one; those of groups, such as patients, if whole groups are, which is what another \
             sample of this domain would be"
        }
        None => "",
    };
    page.paragraph(&format!(
        "Beside the accuracy stands what it would be if its commonest class were named always; the balanced accuracy of that is 100 % \
         through the number of classes, and its ROC AUC (the area under that curve, of more than two classes the mean of each against the \
         others) 0.5. The intervals say how far the numbers of all images \
         of this domain may be from those of these{of_groups}. They do not say how the numbers differ between domains or \
         between trainings. The calibration error is by how much probabilities differ from frequencies, on average.",
    ));
    if let Some(point) = point {
        page.paragraph(&format!("Images are {}.", point.in_words(&name(&point.positive_class))));
    }
}
