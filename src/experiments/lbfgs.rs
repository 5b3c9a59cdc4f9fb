//! The least value of a smooth convex function, by L-BFGS (Nocedal & Wright, Numerical Optimization, algorithm 7.5).
//!
//! No random numbers, no threads: the same function gives the same bits.

/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 10;

/// Several times what a linear classifier takes.
const MOST_STEPS: usize = 1000;

/// A step and what it did to the gradient.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

/// Where the convex `objective` (value, gradient) is least, from `start` on: where no derivative is larger than
/// `tolerance`, or rounding hides what is left to gain.
///
/// A step is halved until the objective falls by a ten-thousandth of what the slope promises. The objective curves
/// upwards everywhere, so that any step gives a pair whose product is positive, and nothing more has to be asked of it.
pub(super) fn minimise(
    start: Vec<f64>,
    tolerance: f64,
    objective: impl Fn(&[f64]) -> (f64, Vec<f64>),
) -> Vec<f64> {
    let mut at = start;
    let (mut value, mut gradient) = objective(&at);
    let mut pairs: Vec<Pair> = Vec::new();
    for _ in 0..MOST_STEPS {
        if gradient.iter().all(|slope| slope.abs() <= tolerance) {
            break;
        }
        let direction = downhill(&gradient, &pairs);
        let slope = dot(&direction, &gradient);
        let mut length = 1.0;
        let reached = loop {
            let there: Vec<f64> = at.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (lower, gradient) = objective(&there);
            if lower <= value + 1e-4 * length * slope {
                break Some((there, lower, gradient));
            }
            length /= 2.0;
            if length < 1e-12 {
                break None; // what is left to gain is lost in rounding
            }
        };
        let Some((there, lower, slopes)) = reached else { break };
        let difference = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let (step, change) = (difference(&there, &at), difference(&slopes, &gradient));
        let product = dot(&step, &change);
        if product > 0.0 {
            pairs.drain(..(pairs.len() + 1).saturating_sub(MEMORY));
            pairs.push(Pair { step, change, product });
        }
        (at, value, gradient) = (there, lower, slopes);
    }
    at
}

/// Minus the gradient times the inverse of the second derivatives, as far as the pairs tell them.
fn downhill(gradient: &[f64], pairs: &[Pair]) -> Vec<f64> {
    let add = |to: &mut [f64], factor: f64, numbers: &[f64]| {
        to.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += factor * number);
    };
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut factors = vec![0.0; pairs.len()];
    for (factor, Pair { step, change, product }) in factors.iter_mut().zip(pairs).rev() {
        *factor = dot(step, &direction) / product;
        add(&mut direction, -*factor, change);
    }
    if let Some(Pair { change, product, .. }) = pairs.last() {
        let scale = product / dot(change, change);
        direction.iter_mut().for_each(|number| *number *= scale);
    }
    for (factor, Pair { step, change, product }) in factors.iter().zip(pairs) {
        let wanted = factor - dot(change, &direction) / product;
        add(&mut direction, wanted, step);
    }
    direction
}

/// The scalar product, in four strands, so that the additions need not wait for each other.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut lanes = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        (0..4).for_each(|lane| lanes[lane] += a[lane] * b[lane]);
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sum_i c_i (x_i - i)^2 + (sum_i x_i - 45)^2 with c_i from 1 to 100,000: both parts vanish at x_i = i.
    #[test]
    fn the_lowest_point_of_a_long_valley_is_found() {
        let least = minimise(vec![1.0; 10], 1e-10, |x| {
            let off = x.iter().sum::<f64>() - 45.0;
            let curvature = |i: usize| [1.0, 1e4][i % 2] * (i + 1) as f64;
            let value = x.iter().enumerate().map(|(i, x)| curvature(i) * (x - i as f64) * (x - i as f64));
            let slope = |(i, x): (usize, &f64)| 2.0 * curvature(i) * (x - i as f64) + 2.0 * off;
            (value.sum::<f64>() + off * off, x.iter().enumerate().map(slope).collect())
        });
        for (i, x) in least.iter().enumerate() {
            assert!((x - i as f64).abs() < 1e-9, "coordinate {i} is {x}");
        }
    }

    /// ln(1 + e^x) + ln(1 + e^-x) + (x - 1)^2 / 2 has the slope tanh(x / 2) + x - 1.
    #[test]
    fn a_function_that_is_not_quadratic_is_no_harder() {
        let function = |x: &[f64]| {
            let x = x[0];
            let value = x.exp().ln_1p() + (-x).exp().ln_1p() + (x - 1.0) * (x - 1.0) / 2.0;
            (value, vec![(x / 2.0).tanh() + x - 1.0])
        };
        let x = minimise(vec![-30.0], 1e-12, function)[0];
        assert!(((x / 2.0).tanh() + x - 1.0).abs() < 1e-11, "{x}");
    }

    #[test]
    fn a_scalar_product_has_all_its_terms() {
        for count in 0..10 {
            let numbers: Vec<f64> = (1..=count).map(f64::from).collect();
            let expected: f64 = numbers.iter().map(|x| x * x).sum();
            assert_eq!(dot(&numbers, &numbers), expected);
        }
    }
}
