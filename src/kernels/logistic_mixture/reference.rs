//! The likelihood in f64, as it is defined and no way that is clever, with its derivative in one direction.

use super::LEVELS;

/// A number and its derivative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dual {
    pub(crate) value: f64,
    pub(crate) slope: f64,
}

impl Dual {
    pub(crate) fn constant(value: f64) -> Self {
        Dual { value, slope: 0.0 }
    }

    fn chain(self, value: f64, slope: f64) -> Self {
        Dual { value, slope: self.slope * slope }
    }

    fn exp(self) -> Self {
        self.chain(self.value.exp(), self.value.exp())
    }

    fn ln(self) -> Self {
        self.chain(self.value.ln(), 1.0 / self.value)
    }

    fn tanh(self) -> Self {
        self.chain(self.value.tanh(), self.value.cosh().powi(-2))
    }

    fn sigmoid(self) -> Self {
        let sigmoid = 1.0 / (1.0 + (-self.value).exp());
        let other = 1.0 / (1.0 + self.value.exp());
        self.chain(sigmoid, sigmoid * other)
    }

    fn log_sigmoid(self) -> Self {
        let value = self.value.min(0.0) - (-self.value.abs()).exp().ln_1p();
        self.chain(value, 1.0 / (1.0 + self.value.exp()))
    }

    fn plus(self, other: Dual) -> Self {
        Dual { value: self.value + other.value, slope: self.slope + other.slope }
    }

    fn minus(self, other: Dual) -> Self {
        self.plus(other.times(Dual::constant(-1.0)))
    }

    fn times(self, other: Dual) -> Self {
        let slope = self.slope * other.value + self.value * other.slope;
        Dual { value: self.value * other.value, slope }
    }
}

/// -ln p of a pixel with these parameters.
pub(crate) fn loss(parameters: &[Dual], levels: &[u32]) -> Dual {
    let k = parameters.len() / if levels.len() == 1 { 3 } else { 10 };
    let number = |group: usize, i: usize| parameters[group * k + i];
    let values: Vec<Dual> = levels.iter().map(|&level| Dual::constant(value(level))).collect();
    let of_component = |i: usize| {
        let (means, log_scales) = match values[..] {
            [_] => (vec![number(1, i)], 2),
            [red, green, _] => {
                let of_green = number(2, i).plus(number(3, i).tanh().times(red));
                let of_blue = number(4, i).plus(number(5, i).tanh().times(red));
                (vec![number(1, i), of_green, of_blue.plus(number(6, i).tanh().times(green))], 7)
            }
            _ => panic!("{} channels", values.len()),
        };
        let start = number(0, i);
        (0..values.len()).fold(start, |sum, channel| {
            sum.plus(log_probability(levels[channel], means[channel], number(log_scales + channel, i)))
        })
    };
    log_sum_exp((0..k).map(|i| number(0, i))).minus(log_sum_exp((0..k).map(of_component)))
}

/// Networks see values as f32.
fn value(level: u32) -> f64 {
    f64::from(level as f32 / 255.0)
}

pub(crate) fn log_probability(level: u32, mean: Dual, log_scale: Dual) -> Dual {
    let log_scale = if log_scale.value < -7.0 { Dual::constant(-7.0) } else { log_scale };
    let inverse = log_scale.times(Dual::constant(-1.0)).exp();
    let end = |side: f64| inverse.times(Dual::constant(value(level) + side * 0.5 / 255.0).minus(mean));
    let (upper, lower) = (end(1.0), end(-1.0));
    if level == 0 {
        upper.log_sigmoid()
    } else if level == LEVELS - 1 {
        lower.times(Dual::constant(-1.0)).log_sigmoid()
    } else {
        // As s(-q) - s(-p), which is the same, where s(p) and s(q) are both nearly 1: the last digit of 1, beside the floor, would
        // be a billionth of the value, and more than a rounding of f32 in a difference of two values nearby.
        let negative = |number: Dual| number.times(Dual::constant(-1.0));
        let (above, below) = match upper.value + lower.value > 0.0 {
            true => (negative(lower), negative(upper)),
            false => (upper, lower),
        };
        above.sigmoid().minus(below.sigmoid()).plus(Dual::constant(1e-7)).ln()
    }
}

fn log_sum_exp(terms: impl Iterator<Item = Dual>) -> Dual {
    let terms: Vec<Dual> = terms.collect();
    let largest = terms.iter().fold(f64::NEG_INFINITY, |largest, term| largest.max(term.value));
    let largest = Dual::constant(largest);
    let zero = Dual::constant(0.0);
    terms.iter().fold(zero, |sum, term| sum.plus(term.minus(largest).exp())).ln().plus(largest)
}

/// -ln p of every pixel with its gradient.
pub(crate) fn losses_and_gradient(
    parameters: &[f32],
    levels: &[u32],
    [columns, channels]: [usize; 2],
) -> (Vec<f64>, Vec<f64>) {
    let (mut losses, mut gradient) = (vec![], vec![]);
    for (row, levels) in parameters.chunks_exact(columns).zip(levels.chunks_exact(channels)) {
        let mut row: Vec<Dual> = row.iter().map(|&x| Dual::constant(f64::from(x))).collect();
        losses.push(loss(&row, levels).value);
        for c in 0..columns {
            row[c].slope = 1.0;
            gradient.push(loss(&row, levels).slope);
            row[c].slope = 0.0;
        }
    }
    (losses, gradient)
}
