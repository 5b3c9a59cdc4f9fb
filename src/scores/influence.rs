//! Intervals of numbers that are not a plain share, or whose images come in groups: Wilson's, of as many images as tell as much.
//!
//! What each image moves a number by, to first order, is its influence; where images come in groups, such as those of a patient,
//! that of a group is the sum. Independent units (images of a class, or groups) of influence e, which could have moved the number
//! by w at most, make up a part of its variance, and the number has the variance of a share of n images:
//!
//! ```text
//! variance     v = units / (units - 1) sum e^2
//! units        m = (sum w)^2 / sum w^2                             how many of equal reach they are worth
//! 1 / n        = sum over parts of (v + 0.3 g sum w^2) / (value (1 - value) + g)        g = h (1 - h), h = 1/3m
//! freedom      f = (1 / n)^2 / sum over parts of (that part of 1 / n)^2 / (m - 1)       Satterthwaite, 1946
//! interval     of p: |value - p| <= t_f sqrt(p (1 - p) / n)                             Wilson, 1927
//! ```
//!
//! The g stands for a third of a unit, more than was seen, with three tenths of the largest variance: where all images are right no
//! variance is seen, and the interval would be a point. Both numbers were chosen by simulation (`scripts/auc_coverage.py`,
//! docs/scores.md), as the only ones of this kind of interval that are not given by theory.

use super::share::wilson;
use super::student::student;

/// How much of a unit is added to those that were seen, and its part of the largest variance.
const UNSEEN: f64 = 1.0 / 3.0;
const VARIANCE_OF_UNSEEN: f64 = 0.3;

/// What a unit does to a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Influence {
    /// By how much it moves the number.
    pub(super) moved: f64,
    /// By how much it could, at most.
    pub(super) reach: f64,
}

/// How much units tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// One through the number of images whose share would have the same variance.
    pub(super) inverse: f64,
    /// The degrees of freedom of that, at least one.
    pub(super) freedom: f64,
}

impl Spread {
    /// Of independent units that a number of 0..1 hangs on. None of a single unit, which says nothing of how units differ.
    pub(super) fn of(value: f64, units: &[Influence]) -> Option<Self> {
        if units.len() < 2 {
            return None;
        }
        let sum = |of: fn(&Influence) -> f64| units.iter().map(of).sum::<f64>();
        let squares = sum(|unit| unit.reach * unit.reach);
        let variance = units.len() as f64 / (units.len() - 1) as f64 * sum(|unit| unit.moved * unit.moved);
        let worth = sum(|unit| unit.reach) * sum(|unit| unit.reach) / squares;
        let unseen = UNSEEN / worth * (1.0 - UNSEEN / worth);
        let inverse = (variance + VARIANCE_OF_UNSEEN * unseen * squares) / (value * (1.0 - value) + unseen);
        Some(Spread { inverse, freedom: (worth - 1.0).max(1.0) })
    }

    /// Of a number that several parts, each independent of the others, add up to.
    pub(super) fn sum(parts: &[Spread]) -> Self {
        let inverse: f64 = parts.iter().map(|part| part.inverse).sum();
        let share = |part: &Spread| part.inverse / inverse * (part.inverse / inverse) / part.freedom;
        Spread { inverse, freedom: (1.0 / parts.iter().map(share).sum::<f64>()).max(1.0) }
    }

    /// The same, but no less than this of one through the number of images.
    pub(super) fn at_least(self, inverse: f64) -> Self {
        Spread { inverse: self.inverse.max(inverse), ..self }
    }

    /// The 95 % interval of the number.
    pub(super) fn interval(self, value: f64) -> [f64; 2] {
        wilson(value, self.inverse, student(self.freedom, 0.95))
    }
}
