//! The ticks of an axis: round numbers that enclose the data.
//!
//! Ticks are whole multiples of 1, 2 or 5 times a power of ten and are kept as such, as integers: their values and
//! numbers come from their decimal notation, so that none reads 0.30000000000000004, and no logarithm, which may
//! differ between machines in the last digit, decides what is drawn.

/// Beyond this size a value is not drawn: sums and differences of two such values are still finite.
const LARGEST: f64 = 1e300;

/// Below this size all values count as zero: a billionth of it is still a normal number.
const SMALLEST: f64 = 1e-290;

/// A range narrower than this part of its values is shown as a constant.
const NARROWEST: f64 = 1e-9;

/// How far, in steps, data may exceed the last tick, and a step be too small: rounding, far less than a pixel.
const SLACK: f64 = 1e-5;

/// Evenly spaced ticks: the multiples `first ..= last` of `digit` times ten to `exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    first: i64,
    last: i64,
    digit: i64,
    exponent: i32,
}

/// Whether an axis can show a value: it is a number and not beyond all reason.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= LARGEST
}

impl Axis {
    /// An axis for values with about `intervals` intervals between ticks, never more than one above that.
    ///
    /// Values that cannot be drawn are passed over; without any others the axis goes from 0 to 1. A constant stands
    /// in the middle. Between whole numbers there are no ticks: epochs have no halves.
    pub(super) fn covering(values: impl Iterator<Item = f64>, intervals: usize) -> Axis {
        let mut whole = true;
        let mut range: Option<[f64; 2]> = None;
        for value in values.filter(|&value| drawable(value)) {
            whole &= value.fract() == 0.0;
            range = Some(range.map_or([value; 2], |[low, high]| [low.min(value), high.max(value)]));
        }
        whole &= range.is_some();
        let [low, high] = widened(range.unwrap_or([0.0, 1.0]));
        let (mut digit, mut exponent) = round_up((high - low) / intervals as f64);
        if whole && exponent < 0 {
            (digit, exponent) = (1, 0);
        }
        let step = decimal(digit, exponent);
        let first = (low / step + SLACK).floor() as i64;
        let last = (high / step - SLACK).ceil() as i64;
        Axis { first, last, digit, exponent }
    }

    /// From 0 to 1, in fifths.
    pub(super) fn of_shares() -> Axis {
        Axis { first: 0, last: 5, digit: 2, exponent: -1 }
    }

    /// The values of the ticks, rising; at least two.
    pub(super) fn ticks(&self) -> Vec<f64> {
        (self.first..=self.last).map(|tick| decimal(tick * self.digit, self.exponent)).collect()
    }

    /// The numbers at the ticks, all with as many decimals; very large or small ones as 2.5e-7.
    pub(super) fn labels(&self) -> Vec<String> {
        let ticks = self.ticks();
        let decimals = usize::try_from(-self.exponent).unwrap_or(0);
        let plain = decimals <= 5 && ticks.iter().all(|tick| tick.abs() < 1e6);
        let label = |tick: &f64| match *tick {
            tick if plain => format!("{tick:.decimals$}"),
            0.0 => "0".to_string(),
            tick => format!("{tick:e}"),
        };
        ticks.iter().map(label).collect()
    }

    /// Where a value stands: 0 at the first tick, 1 at the last.
    pub(super) fn position(&self, value: f64) -> f64 {
        let [low, high] = [self.first, self.last].map(|tick| decimal(tick * self.digit, self.exponent));
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// A range that can be divided: a constant gets a tenth of its size to each side, zero gets 1.
fn widened([low, high]: [f64; 2]) -> [f64; 2] {
    let size = low.abs().max(high.abs());
    if size < SMALLEST {
        [-1.0, 1.0]
    } else if high - low < size * NARROWEST {
        [low - size * 0.1, high + size * 0.1]
    } else {
        [low, high]
    }
}

/// The least 1, 2 or 5 times a power of ten that is not below a positive number, but for its rounding.
fn round_up(number: f64) -> (i64, i32) {
    let notation = format!("{number:e}");
    let (mantissa, exponent) = notation.split_once('e').expect("the notation has an exponent");
    let mantissa: f64 = mantissa.parse().expect("the notation has a mantissa");
    let exponent: i32 = exponent.parse().expect("the exponent is a whole number");
    match [1, 2, 5].into_iter().find(|&digit| mantissa <= digit as f64 + SLACK) {
        Some(digit) => (digit, exponent),
        None => (1, exponent + 1),
    }
}

/// The f64 nearest to `number` times ten to `exponent`.
fn decimal(number: i64, exponent: i32) -> f64 {
    format!("{number}e{exponent}").parse().expect("this is decimal notation")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(values: &[f64], intervals: usize) -> Vec<String> {
        Axis::covering(values.iter().copied(), intervals).labels()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&[1.0, 40.0], 8), ["0", "5", "10", "15", "20", "25", "30", "35", "40"]);
        assert_eq!(labels(&[0.31, 0.98], 6), ["0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[0.3, 0.9], 6), ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]);
        assert_eq!(labels(&[-0.07, 0.1], 5), ["-0.10", "-0.05", "0.00", "0.05", "0.10"]);
        assert_eq!(labels(&[0.0, 3e7], 3), ["0", "1e7", "2e7", "3e7"]);
        assert_eq!(labels(&[0.0, 3e-7], 3), ["0", "1e-7", "2e-7", "3e-7"]);
        assert_eq!(labels(&[-1e300, 1e300], 2), ["-1e300", "0", "1e300"]);
        assert_eq!(labels(&[2.5e22, 4e22], 3), ["2.5e22", "3e22", "3.5e22", "4e22"]);
    }

    #[test]
    fn there_are_no_ticks_between_whole_numbers() {
        assert_eq!(labels(&[1.0, 2.0], 8), ["1", "2"]);
        assert_eq!(labels(&[1.0], 8), ["0", "1", "2"]);
        assert_eq!(labels(&[1.0, 1.5], 5), ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"]);
    }

    #[test]
    fn a_constant_or_nothing_has_an_axis_too() {
        assert_eq!(labels(&[0.5, 0.5], 2), ["0.45", "0.50", "0.55"]);
        assert_eq!(labels(&[0.0], 2), ["-1", "0", "1"]);
        assert_eq!(labels(&[1e-320], 2), ["-1", "0", "1"]);
        assert_eq!(labels(&[], 2), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(&[f64::NAN, f64::INFINITY, -1e301], 2), ["0.0", "0.5", "1.0"]);
    }

    #[test]
    fn shares_have_ticks_between_the_whole_numbers() {
        let axis = Axis::of_shares();
        assert_eq!(axis.labels(), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!([0.0, 0.3, 1.0].map(|share| axis.position(share)), [0.0, 0.3, 1.0]);
    }

    #[test]
    fn positions_run_from_0_to_1() {
        let axis = Axis::covering([2.0, 10.0].into_iter(), 4);
        assert_eq!(axis.ticks(), [2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!([2.0, 5.0, 10.0].map(|value| axis.position(value)), [0.0, 0.375, 1.0]);
    }

    proptest! {
        #[test]
        fn every_range_is_enclosed_by_few_ticks(
            values in prop::collection::vec(prop_oneof![any::<f64>(), -1e3..1e3, 0.97..0.98], 1..5),
            intervals in 1_usize..12,
        ) {
            let axis = Axis::covering(values.iter().copied(), intervals);
            let ticks = axis.ticks();
            prop_assert!((2..=intervals + 2).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
            let step = ticks[1] - ticks[0];
            for value in values.into_iter().filter(|value| value.abs() <= 1e300) {
                prop_assert!(ticks[0] - 2e-5 * step <= value && value <= ticks[ticks.len() - 1] + 2e-5 * step);
            }
            // the numbers say what the ticks are
            for (label, tick) in axis.labels().iter().zip(&ticks) {
                prop_assert_eq!(label.parse::<f64>().unwrap(), *tick);
                prop_assert!(label.len() <= 20, "{}", label);
            }
        }
    }
}
