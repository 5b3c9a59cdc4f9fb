//! Schedules: numbers that depend on how far the training is.

/// The weight b of the divergences in an epoch, counted from 1: min(1, epoch / warmup), and 1 without a warm-up.
pub fn warm_up(epoch: usize, warmup: usize) -> f64 {
    if epoch >= warmup { 1.0 } else { epoch as f64 / warmup as f64 }
}

/// How much of the reversed gradient DANN passes on, for a share 0..1 of the training that lies behind:
/// 2 / (1 + exp(-10 progress)) - 1 (Ganin et al., JMLR 2016, section 5.2.2).
pub fn reversal(progress: f64) -> f64 {
    // The exponential by arithmetic alone, because the system's may differ between machines: seven terms of the series
    // for a 1024th of the exponent, squared ten times.
    let x = -10.0 * progress / 1024.0;
    let series = (1..=7).rev().fold(1.0, |sum, n| 1.0 + sum * x / f64::from(n));
    let exponential = (0..10).fold(series, |power, _| power * power);
    2.0 / (1.0 + exponential) - 1.0
}

#[cfg(test)]
mod tests {
    use super::{reversal, warm_up};

    #[test]
    fn the_reversal_follows_the_published_curve() {
        for progress in [0.0_f64, 0.01, 0.1, 0.25, 0.5, 0.9, 1.0] {
            let expected = 2.0 / (1.0 + f64::exp(-10.0 * progress)) - 1.0;
            assert!((reversal(progress) - expected).abs() < 1e-12, "{progress}: {}", reversal(progress));
        }
        assert_eq!(reversal(0.0), 0.0);
    }

    #[test]
    fn the_weight_grows_to_one_at_the_last_epoch_of_the_warm_up() {
        assert_eq!([1, 50, 99, 100, 101].map(|epoch| warm_up(epoch, 100)), [0.01, 0.5, 0.99, 1.0, 1.0]);
        assert_eq!(warm_up(1, 0), 1.0);
        assert_eq!(warm_up(1, 1), 1.0);
    }
}
