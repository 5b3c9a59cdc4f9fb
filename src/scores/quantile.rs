//! Quantiles of a sample: numpy's default, `linear`.

/// The quantile `q` (0..1) of numbers in ascending order: at the place q (n - 1) between the first and the last, on the
/// line between its two neighbours. Computed in numpy's order, so that the last bit is numpy's too.
///
/// # Panics
/// If there are no numbers, or q is not in 0..1.
#[track_caller]
pub fn quantile(ascending: &[f64], q: f64) -> f64 {
    assert!(!ascending.is_empty() && (0.0..=1.0).contains(&q), "quantile {q} of {} numbers", ascending.len());
    debug_assert!(ascending.is_sorted(), "numbers in ascending order");
    let place = q * (ascending.len() - 1) as f64;
    let below = place.floor();
    let (low, high) = (ascending[below as usize], ascending[place.ceil() as usize]);
    let share = place - below;
    if share < 0.5 { low + (high - low) * share } else { high - (high - low) * (1.0 - share) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.quantile(numbers, q)` of NumPy 2.4.6, printed in full.
    #[test]
    fn it_is_numpys() {
        let numbers = [-9.75, -3.3, -3.3, 0.1, 0.7, 2.0, 1e3];
        for (q, expected) in NUMPY {
            assert_eq!(quantile(&numbers, q), expected, "{q}");
        }
        for q in [0.0, 0.3, 1.0] {
            assert_eq!(quantile(&[4.5], q), 4.5);
        }
    }

    const NUMPY: [(f64, f64); 9] = [
        (0.0, -9.75),
        (0.01, -9.363),
        (0.025, -8.7825),
        (0.1, -5.879999999999999),
        (0.3, -3.3),
        (0.5, 0.1),
        (0.73, 1.194),
        (0.975, 850.2999999999996),
        (1.0, 1000.0),
    ];

    #[test]
    #[should_panic(expected = "quantile 0.5 of 0 numbers")]
    fn nothing_has_no_quantile() {
        quantile(&[], 0.5);
    }
}
