//! How long a training will take, from passes that are thrown away: nothing of its state changes.
//!
//! ```text
//! all = epochs (steps of an epoch x a step + images that are looked at after it x a look)
//! ```
//!
//! A step is forward and backward on the first batches of the epoch in progress, of which labelled and unlabelled ones take
//! turns; moving the weights takes little beside that. After each epoch all images but the unlabelled ones are predicted. What
//! the end of a run adds (pictures, and the limit of images unlike these) is not in it, nor is that patience may end it
//! earlier.

use super::evaluate;
use super::trainer::Trainer;
use crate::error::Result;

/// How many batches are timed. One before them, which allocates, is not.
const STEPS: usize = 4;

/// How many images are predicted to time that.
const IMAGES: usize = 128;

/// What there is to say of the rest of a training before it begins or goes on; `seconds` is a clock.
///
/// # Errors
/// If the batches of the configuration do not fit the data, or what the model makes of an image is not finite.
pub(super) fn sentence(trainer: &mut Trainer, mut seconds: impl FnMut() -> f64) -> Result<String> {
    let order = trainer.order()?;
    trainer.rehearse(&order, 0);
    let began = seconds();
    (0..STEPS).for_each(|step| trainer.rehearse(&order, step % order.len()));
    let step = (seconds() - began) / STEPS as f64;
    let some = trainer.split().train.first(IMAGES);
    let predictor = trainer.model().class_predictor(&trainer.state().params);
    evaluate::predict(&predictor, &some)?; // not timed either
    let began = seconds();
    evaluate::predict(&predictor, &some)?;
    let look = (seconds() - began) / some.len() as f64;
    let split = trainer.split();
    let others = split.validation.iter().chain(&split.disjoint_test).map(|data| data.len());
    let looked_at = split.train.len() + split.test.len() + others.sum::<usize>();
    let (progress, epochs) = (&trainer.state().progress, trainer.config().train.epochs);
    let steps = ((epochs - progress.epochs) * order.len()).saturating_sub(progress.batches);
    let left = steps as f64 * step + ((epochs - progress.epochs) * looked_at) as f64 * look;
    Ok(format!("this takes about {}, as fast as a few steps were just now", spoken(left)))
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
    use crate::config::Config;
    use crate::store::digest::sha256_hex;
    use crate::train::dataset;

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

    /// A clock that ticks once whenever it is read: 4 steps and the images in a second each.
    #[test]
    fn a_forecast_is_of_all_that_is_left_and_changes_no_bit() {
        let settings = [
            "model.width=0.0625",
            "model.image_size=16",
            "data.domains=[\"P01\", \"P02\", \"P03\"]",
            "data.test_domain=P03",
            "data.per_domain=20",
            "train.batch=8",
            "train.epochs=3",
        ]
        .map(str::to_owned);
        let config = Config::resolve(None, Some("quick-cells"), &settings, None).unwrap();
        let trainer = || Trainer::new(config.clone(), dataset::load(&config).unwrap()).unwrap();
        let (mut with, mut without) = (trainer(), trainer());
        let mut hashes = [Vec::new(), Vec::new()];
        for epoch in 0..2 {
            let mut now = 0.0;
            let clock = || {
                now += 1.0;
                now
            };
            let said = sentence(&mut with, clock).unwrap();
            let split = with.split();
            let validation = split.validation.as_ref().unwrap().len();
            let looked_at = split.train.len() + split.test.len() + validation;
            let steps = with.order().unwrap().len();
            let of_epoch = steps as f64 / 4.0 + looked_at as f64 / split.train.len() as f64;
            let seconds = ((3 - epoch) as f64 * of_epoch).ceil();
            assert_eq!(
                said,
                format!("this takes about {seconds} seconds, as fast as a few steps were just now")
            );
            for (trainer, hashes) in [&mut with, &mut without].into_iter().zip(&mut hashes) {
                let order = trainer.order().unwrap();
                (0..order.len()).for_each(|_| drop(trainer.step(&order).unwrap()));
                trainer.end_epoch().unwrap();
                hashes.push(sha256_hex(&trainer.checkpoint().unwrap()));
            }
        }
        assert_eq!(hashes[0], hashes[1]);
    }
}
