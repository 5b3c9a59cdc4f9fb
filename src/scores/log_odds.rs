//! Log-odds of labels, and the probabilities that they stand for.
//!
//! ```text
//! p_c = exp x_c / sum_j exp x_j                                              x: the logits of an image
//! l_c = ln(p_c / (1 - p_c)) = x_c - ln sum_(j != c) exp x_j                  of two labels the difference of their logits
//! p_c = 1 / (1 + exp(-l_c))
//! ```
//!
//! Images are ranked by log-odds: of a confident model all probabilities round to 1, and a ranking by them says nothing.
//! Whatever is added to all logits of an image changes nothing, and no probability is lost in rounding. In f64 the difference of
//! two f32 is exact, unless one is 2^29 times the other and more. The others are added in the order of their size, so that equal
//! logits in another order have equal log-odds.

use crate::elementary::{exp, ln_1p};

/// The log-odds of each of `labels` labels, of rows of as many finite logits. A single label has infinite ones.
pub fn log_odds(logits: &[f32], labels: usize) -> Vec<f64> {
    of_rows(&logits.iter().copied().map(f64::from).collect::<Vec<_>>(), labels)
}

/// The same of logits in f64.
pub(super) fn of_rows(logits: &[f64], labels: usize) -> Vec<f64> {
    let mut odds = vec![0.0; logits.len()];
    for (row, odds) in logits.chunks_exact(labels).zip(odds.chunks_exact_mut(labels)) {
        let mut order: Vec<usize> = (0..labels).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let descending: Vec<f64> = order.iter().map(|&label| row[label]).collect();
        let beyond_first: Vec<f64> = descending.iter().map(|x| exp(x - descending[0])).collect();
        for (place, &label) in order.iter().enumerate() {
            // The largest of the others, and how much the rest of them is beside it.
            let (largest, rest): (f64, f64) = match place {
                0 => match descending.get(1) {
                    None => (f64::NEG_INFINITY, 0.0),
                    Some(second) => (*second, descending[2..].iter().map(|x| exp(x - second)).sum()),
                },
                _ => (descending[0], beyond_first[1..place].iter().chain(&beyond_first[place + 1..]).sum()),
            };
            odds[label] = (descending[place] - largest) - ln_1p(rest);
        }
    }
    odds
}

/// The probability of these log-odds.
pub fn probability(log_odds: f64) -> f64 {
    // Of what is likelier than not, the exponential of the negative is the smaller one: nothing overflows.
    let smaller = exp(-log_odds.abs());
    (if log_odds < 0.0 { smaller } else { 1.0 }) / (1.0 + smaller)
}

/// The first logit that is not a finite number, of rows of `labels`: its row, its label and itself. No probability follows
/// from such a row.
pub fn first_not_finite(logits: &[f32], labels: usize) -> Option<(usize, usize, f32)> {
    let place = logits.iter().position(|logit| !logit.is_finite())?;
    Some((place / labels, place % labels, logits[place]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn probabilities(logits: &[f32], labels: usize) -> Vec<f64> {
        log_odds(logits, labels).into_iter().map(probability).collect()
    }

    #[track_caller]
    fn near(found: f64, expected: f64, relative: f64) {
        assert!((found - expected).abs() <= relative * expected.abs(), "{found}, expected {expected}");
    }

    /// `x_c - ln sum exp` of mpmath with 50 digits, for rows of a few magnitudes.
    #[test]
    fn log_odds_are_those_of_fifty_digits() {
        for (row, expected) in MPMATH {
            let row: Vec<f32> = row.iter().map(|&x| x as f32).collect();
            for (found, expected) in log_odds(&row, row.len()).into_iter().zip(expected) {
                near(found, *expected, 1e-15);
            }
        }
    }

    /// With something added to all logits. In f32, ln(sum) is lost beside a maximum of 1e8.
    #[test]
    fn probabilities_add_up_to_one_at_any_height() {
        for offset in [-1e8, -1e6, -1e4, 0.0, 1e4, 1e6, 1e8_f32] {
            for labels in [2, 3, 10] {
                let mut logits = vec![0.0; 40 * labels];
                Stream::new(5, "logits", &[labels as u64]).fill_normal(0, &mut logits);
                // Whole multiples of 8 are f32 at 1e8 as well.
                logits.iter_mut().for_each(|x| *x = (*x * 4.0).round() * 8.0);
                let plain = probabilities(&logits, labels);
                let moved: Vec<f32> = logits.iter().map(|x| x + offset).collect();
                assert!(moved.iter().zip(&logits).all(|(moved, x)| moved - offset == *x));
                assert_eq!(probabilities(&moved, labels), plain, "{labels} labels at {offset}");
                for (row, logits) in plain.chunks_exact(labels).zip(logits.chunks_exact(labels)) {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-14, "{row:?}");
                    let whole: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
                    row.iter().zip(logits).for_each(|(p, &x)| near(*p, f64::from(x).exp() / whole, 1e-14));
                }
            }
            probabilities(&[offset; 10], 10).into_iter().for_each(|p| near(p, 0.1, 1e-15));
        }
    }

    #[test]
    fn of_two_labels_they_are_the_difference_and_scale_with_the_logits() {
        let mut logits = vec![0.0; 400];
        Stream::new(6, "logits", &[]).fill_normal(0, &mut logits);
        let plain = log_odds(&logits, 2);
        for (odds, row) in plain.chunks_exact(2).zip(logits.chunks_exact(2)) {
            let difference = f64::from(row[1]) - f64::from(row[0]);
            assert_eq!(odds, [-difference, difference]);
        }
        for power in [-90, -3, 20, 120] {
            let factor = f64::from(power).exp2();
            let scaled: Vec<f32> = logits.iter().map(|x| x * factor as f32).collect();
            let expected: Vec<f64> = plain.iter().map(|odds| odds * factor).collect();
            assert_eq!(log_odds(&scaled, 2), expected, "2^{power}");
        }
    }

    #[test]
    fn the_order_of_the_labels_changes_no_bit() {
        let mut logits = vec![0.0; 9];
        Stream::new(7, "logits", &[]).fill_normal(0, &mut logits);
        logits[4] = logits[1];
        let plain = log_odds(&logits, 9);
        for shift in 1..9 {
            let mut turned = logits.clone();
            turned.rotate_left(shift);
            let mut expected = plain.clone();
            expected.rotate_left(shift);
            assert_eq!(log_odds(&turned, 9), expected);
        }
    }

    #[test]
    fn what_is_certain_has_probability_one_and_its_opposite_what_is_left() {
        assert_eq!([0.0, 1e300, -1e300, f64::INFINITY].map(probability), [0.5, 1.0, 0.0, 1.0]);
        near(probability(-40.0), (-40.0_f64).exp(), 1e-15);
        assert_eq!(log_odds(&[3.0], 1), [f64::INFINITY]);
        assert_eq!(probabilities(&[-3e38, 3e38], 2), [0.0, 1.0]);
        assert_eq!(first_not_finite(&[1.0, 2.0, f32::INFINITY, f32::NAN], 2), Some((1, 0, f32::INFINITY)));
        assert_eq!(first_not_finite(&[1.0, -3e38], 2), None);
    }

    const MPMATH: [(&[f64], &[f64]); 9] = [
        (&[0.0, 0.5, 0.0], &[-0.9740769841801067, -0.19314718055994531, -0.9740769841801067]),
        (&[1.0, 2.0, 3.0], &[-2.313261687518223, -1.1269280110429725, 0.6867383124817772]),
        (
            &[0.5, -30.0, -31.0, 0.25],
            &[0.2499999999999003, -31.075939419878857, -32.07593941987888, -0.25000000000007766],
        ),
        (&[40.0, 0.0, -1.0, -2.0], &[39.59239403555562, -40.0, -41.0, -42.0]),
        (&[1000.0, 999.5, -1000.0], &[0.5, -0.5, -2000.47407698418]),
        (
            &[100000000.0, 100000000.0, 99999992.0],
            &[-0.00033540637289576885, -0.00033540637289576885, -8.693147180559945],
        ),
        (
            &[-1000000.0, -999999.5, -999999.9375, -999997.0],
            &[-3.126705826253568, -2.5978389132894875, -3.0613729583693674, 1.6881017253299264],
        ),
        (
            &[9.999999974752427e-07, 0.0, 0.0, 0.0, 0.0],
            &[
                -1.386293361119893,
                -1.3862946111199836,
                -1.3862946111199836,
                -1.3862946111199836,
                -1.3862946111199836,
            ],
        ),
        (
            &[3.0000000054977558e+38, -3.0000000054977558e+38, 0.0],
            &[3.0000000054977558e+38, -6.0000000109955115e+38, -3.0000000054977558e+38],
        ),
    ];
}
