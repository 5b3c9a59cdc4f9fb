//! How long a training will take, from its first steps.

use crate::train::trainer::Trainer;

/// What an epoch takes beside its steps, as a share of these: the images are looked at once more, forwards only.
const EVALUATION: f64 = 0.1;

/// How many steps are timed. The first one of all, which allocates, is not among them.
const TIMED: u64 = 4;

/// A forecast that is made once.
#[derive(Debug, Default)]
pub(super) struct Forecast {
    /// How many steps were done when the timing began, and when that was.
    began: Option<(u64, f64)>,
    is_made: bool,
}

impl Forecast {
    /// What there is to say after a step that ended at this time, in seconds.
    pub(super) fn after_step(&mut self, trainer: &Trainer, now: f64) -> Option<String> {
        if self.is_made {
            return None;
        }
        let steps = trainer.state().progress.steps;
        let (first, began) = *self.began.get_or_insert((steps, now));
        if steps < first + TIMED {
            return None;
        }
        self.is_made = true;
        let each = (now - began) / (steps - first) as f64;
        let all = trainer.config().train.epochs * trainer.order().ok()?.len();
        let left = (all as u64).saturating_sub(steps) as f64 * each * (1.0 + EVALUATION);
        Some(format!("this takes about {}, as fast as its first steps were", spoken(left)))
    }
}

/// A time as people say it.
fn spoken(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    match minutes {
        ..1.5 => format!("{:.0} seconds", seconds.ceil()),
        ..90.0 => format!("{minutes:.0} minutes"),
        _ => format!("{:.1} hours", minutes / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spoken_in_their_unit() {
        for (seconds, expected) in [
            (0.2, "1 seconds"),
            (89.0, "89 seconds"),
            (91.0, "2 minutes"),
            (5399.0, "90 minutes"),
            (9000.0, "2.5 hours"),
        ] {
            assert_eq!(spoken(seconds), expected);
        }
    }
}
