//! Schedules: numbers that depend on how far the training is.

/// The weight b of the divergences in an epoch, counted from 1: min(1, epoch / warmup), and 1 without a warm-up.
pub fn warm_up(epoch: usize, warmup: usize) -> f64 {
    if epoch >= warmup { 1.0 } else { epoch as f64 / warmup as f64 }
}

#[cfg(test)]
mod tests {
    use super::warm_up;

    #[test]
    fn the_weight_grows_to_one_at_the_last_epoch_of_the_warm_up() {
        assert_eq!([1, 50, 99, 100, 101].map(|epoch| warm_up(epoch, 100)), [0.01, 0.5, 0.99, 1.0, 1.0]);
        assert_eq!(warm_up(1, 0), 1.0);
        assert_eq!(warm_up(1, 1), 1.0);
    }
}
