//! The ticks of an axis: round numbers that enclose the data.
//!
//! Ticks are whole multiples of 1, 2 or 5 times a power of ten and are kept as such, as integers: their values and
//! numbers come from their decimal notation, so that none reads 0.30000000000000004. Logarithms are the crate's own, whose
//! digits are the same on every machine.

use crate::elementary::ln;

/// Beyond this size a value is not drawn: sums and differences of two such values are still finite.
const LARGEST: f64 = 1e300;

/// Below this size all values count as zero: a billionth of it is still a normal number.
const SMALLEST: f64 = 1e-290;

/// A range narrower than this part of its values is shown as a constant.
const NARROWEST: f64 = 1e-9;

/// How far, in steps, data may exceed the last tick, and a step be too small: rounding, far less than a pixel.
const SLACK: f64 = 1e-5;

/// Most intervals between the ticks of a logarithmic axis.
const DECADES: usize = 6;

/// The ticks: numbers, each a whole number of times ten to an exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    ticks: Vec<(i64, i32)>,
    is_logarithmic: bool,
}

/// Whether an axis can show a value: it is a number and not beyond all reason.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// Whether a logarithmic axis can show a value: it is also positive, and not next to nothing.
pub(super) fn drawable_by_logarithm(value: f64) -> bool {
    (SMALLEST..=LARGEST).contains(&value)
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
        let ticks = (first..=last).map(|tick| (tick * digit, exponent)).collect();
        Axis { ticks, is_logarithmic: false }
    }

    /// A logarithmic axis: ticks at powers of ten, or at every second of them, or third, ...; where the values lie within two of
    /// them, at 1, 2 and 5 times these too.
    ///
    /// Values that it cannot show ([`drawable_by_logarithm`]) are passed over; without any others it goes from 1 to 10.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Axis {
        let range = values.filter(|&value| drawable_by_logarithm(value)).fold(None, |range, value| {
            Some(range.map_or([value; 2], |[low, high]: [f64; 2]| [low.min(value), high.max(value)]))
        });
        let [low, high] = range.unwrap_or([1.0, 10.0]);
        let [first, last] = [power_of_ten_below(low), power_of_ten_below(high)];
        // From the power below the lowest value to the one that is not below the highest.
        let end = if decimal(1, last) < high || first == last { last + 1 } else { last };
        let powers = usize::try_from(end - first).expect("the highest value is not below the lowest");
        if powers <= 2 {
            let mut ticks: Vec<(i64, i32)> =
                (first..end).flat_map(|exponent| [1, 2, 5].map(|digit| (digit, exponent))).collect();
            ticks.push((1, end));
            let value = |place: usize| decimal(ticks[place].0, ticks[place].1);
            let from = (0..ticks.len() - 1).rev().find(|&place| value(place) <= low).unwrap_or(0);
            let to = (from + 1..ticks.len()).find(|&place| value(place) >= high).unwrap_or(ticks.len() - 1);
            return Axis { ticks: ticks[from..=to].to_vec(), is_logarithmic: true };
        }
        let step = powers.div_ceil(DECADES);
        let ticks = (0..=powers.div_ceil(step)).map(|tick| (1, first + (tick * step) as i32)).collect();
        Axis { ticks, is_logarithmic: true }
    }

    /// From 0 to 1, in fifths.
    pub(super) fn of_shares() -> Axis {
        Axis { ticks: (0..=5).map(|tick| (2 * tick, -1)).collect(), is_logarithmic: false }
    }

    /// The values of the ticks, rising; at least two.
    pub(super) fn ticks(&self) -> Vec<f64> {
        self.ticks.iter().map(|&(number, exponent)| decimal(number, exponent)).collect()
    }

    /// Between the ticks of a logarithmic axis that are neighbouring powers of ten: 2 to 9 times each.
    pub(super) fn between_ticks(&self) -> Vec<f64> {
        let is_of_neighbours = |pair: &[(i64, i32)]| pair[0].0 == 1 && pair[1] == (1, pair[0].1 + 1);
        if !self.is_logarithmic || !self.ticks.windows(2).all(is_of_neighbours) {
            return Vec::new();
        }
        let powers = &self.ticks[..self.ticks.len() - 1];
        powers.iter().flat_map(|&(_, exponent)| (2..10).map(move |digit| decimal(digit, exponent))).collect()
    }

    /// The numbers at the ticks, all with as many decimals, on a logarithmic axis each with those it needs; very large or small
    /// ones as 2.5e-7.
    pub(super) fn labels(&self) -> Vec<String> {
        let ticks = self.ticks();
        let decimals = |&(_, exponent): &(i64, i32)| usize::try_from(-exponent).unwrap_or(0);
        let most = self.ticks.iter().map(decimals).max().unwrap_or(0);
        let plain = most <= 5 && ticks.iter().all(|tick| tick.abs() < 1e6);
        let label = |(tick, notation): (&f64, &(i64, i32))| match *tick {
            tick if plain && self.is_logarithmic => format!("{tick:.*}", decimals(notation)),
            tick if plain => format!("{tick:.most$}"),
            0.0 => "0".to_string(),
            tick => format!("{tick:e}"),
        };
        ticks.iter().zip(&self.ticks).map(label).collect()
    }

    /// Where a value that it shows stands: 0 at the first tick, 1 at the last.
    pub(super) fn position(&self, value: f64) -> f64 {
        let end = |&(number, exponent): &(i64, i32)| decimal(number, exponent);
        let [low, high] = [self.ticks.first(), self.ticks.last()].map(|tick| end(tick.expect("two ticks")));
        let share = match self.is_logarithmic {
            true => (ln(value) - ln(low)) / (ln(high) - ln(low)),
            false => (value - low) / (high - low),
        };
        share.clamp(0.0, 1.0)
    }
}

/// The exponent of the largest power of ten that is not above a positive number.
fn power_of_ten_below(number: f64) -> i32 {
    let notation = format!("{number:e}");
    let (_, exponent) = notation.split_once('e').expect("the notation has an exponent");
    exponent.parse().expect("the exponent is a whole number")
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
    fn a_logarithmic_axis_has_powers_of_ten() {
        let labels = |values: &[f64]| Axis::logarithmic(values.iter().copied()).labels();
        assert_eq!(labels(&[37.0, 9877.0]), ["10", "100", "1000", "10000"]);
        assert_eq!(labels(&[0.004, 10.0]), ["0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!(labels(&[1.0, 1e12]), ["1e0", "1e2", "1e4", "1e6", "1e8", "1e10", "1e12"]);
        assert_eq!(labels(&[1e-9, 30.0]), ["1e-9", "1e-7", "1e-5", "1e-3", "1e-1", "1e1", "1e3"]);
        // Within two powers there are ticks between them, and no more than enclose the values.
        assert_eq!(labels(&[0.3, 0.9]), ["0.2", "0.5", "1"]);
        assert_eq!(labels(&[3.0, 60.0]), ["2", "5", "10", "20", "50", "100"]);
        assert_eq!(labels(&[10.0, 100.0]), ["10", "20", "50", "100"]);
        for constant in [[100.0; 2], [100.0, 100.5]] {
            assert_eq!(labels(&constant), ["100", "200"]);
        }
        for nothing in [&[][..], &[0.0, -3.0, f64::NAN, f64::INFINITY, 1e301]] {
            assert_eq!(labels(nothing), ["1", "2", "5", "10"]);
        }
        let between = |values: [f64; 2]| Axis::logarithmic(values.into_iter()).between_ticks();
        assert_eq!(between([0.01, 10.0])[6..11], [0.08, 0.09, 0.2, 0.3, 0.4]);
        assert_eq!(between([0.01, 10.0]).len(), 24);
        assert!(between([1.0, 50.0]).is_empty() && between([1.0, 1e12]).is_empty());
        let axis = Axis::logarithmic([1.0, 1e4].into_iter());
        assert_eq!([1.0, 100.0, 1e4].map(|value| axis.position(value)), [0.0, 0.5, 1.0]);
        assert_eq!([1e-3, 0.0, -1.0, f64::NAN].map(drawable_by_logarithm), [true, false, false, false]);
    }

    #[test]
    fn positions_run_from_0_to_1() {
        let axis = Axis::covering([2.0, 10.0].into_iter(), 4);
        assert_eq!(axis.ticks(), [2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!([2.0, 5.0, 10.0].map(|value| axis.position(value)), [0.0, 0.375, 1.0]);
    }

    proptest! {
        #[test]
        fn every_positive_range_is_enclosed_by_few_ticks(
            values in prop::collection::vec(prop_oneof![any::<f64>(), 1e-3..1e3, 0.97..0.98], 1..5),
        ) {
            let axis = Axis::logarithmic(values.iter().copied());
            let ticks = axis.ticks();
            prop_assert!((2..=DECADES + 1).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
            for value in values.into_iter().filter(|&value| drawable_by_logarithm(value)) {
                prop_assert!(ticks[0] <= value && value <= ticks[ticks.len() - 1], "{value} in {ticks:?}");
                prop_assert!((0.0..=1.0).contains(&axis.position(value)));
            }
            for (label, tick) in axis.labels().iter().zip(&ticks) {
                prop_assert_eq!(label.parse::<f64>().unwrap(), *tick);
            }
        }

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
