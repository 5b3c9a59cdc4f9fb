//! The quantiles of Student's t distribution that intervals take, by arithmetic and the crate's own exp and ln.
//!
//! ```text
//! P(|T| <= t) = 2 c s (1 - s^2)^(n/2) (1 + (n+1)/3 s^2 (1 + (n+3)/5 s^2 (1 + ...)))          s^2 = t^2 / (n + t^2)
//! c = gamma((n+1)/2) / (sqrt(pi) gamma(n/2))
//! ```
//!
//! of n degrees of freedom, which need not be a whole number: the incomplete beta function as a series of positive terms.

use crate::elementary::{exp, ln_1p};

/// The t that the share `inner` of the distribution of `degrees` of freedom lies within, to 1e-12 of it; of few degrees and a
/// share near 1, where the distribution is flat, to 1e-10.
///
/// # Panics
/// If there is less than one, or the share is not from 0.5 to 0.999.
#[track_caller]
pub(super) fn student(degrees: f64, inner: f64) -> f64 {
    assert!((1.0..1e12).contains(&degrees), "Student's distribution of {degrees} degrees of freedom");
    assert!((0.5..=0.999).contains(&inner), "the inner {inner} of Student's distribution");
    let constant = 2.0 * gamma_ratio(degrees / 2.0) / std::f64::consts::PI.sqrt();
    let within = |t: f64| {
        let square = t * t / (degrees + t * t);
        let (mut sum, mut term, mut k) = (0.0, 1.0, 1.0);
        // What is left out is less than the term over 1 - s^2.
        while term > 1e-17 * sum * (1.0 - square) {
            sum += term;
            term *= square * (degrees + k) / (k + 2.0);
            k += 2.0;
        }
        constant * square.sqrt() * exp(-degrees / 2.0 * ln_1p(t * t / degrees)) * sum
    };
    // That of one degree is the largest: tan(pi inner / 2), and tan x < 1 / (pi/2 - x).
    let (mut low, mut high) = (0.0, 1.0 / (1.0 - inner));
    while high - low > 1e-14 * high {
        let middle = f64::midpoint(low, high);
        if within(middle) < inner { low = middle } else { high = middle }
    }
    high
}

/// gamma(x + 1/2) / gamma(x).
fn gamma_ratio(x: f64) -> f64 {
    // By gamma(x + 1) = x gamma(x) to where the first term that is left out of the series is below 2e-16.
    let (mut x, mut factor) = (x, 1.0);
    while x < 400.0 {
        factor *= x / (x + 0.5);
        x += 1.0;
    }
    let terms = [-21.0 / 32_768.0, 5.0 / 1024.0, 1.0 / 128.0, -1.0 / 8.0, 1.0];
    factor * x.sqrt() * terms.into_iter().fold(0.0, |sum, term| sum / x + term)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `stats.t.ppf(0.975, degrees)` and `stats.t.ppf(0.995, degrees)` of SciPy 1.17.1.
    #[test]
    fn it_is_scipys() {
        let of_95 = SCIPY.into_iter().map(|(degrees, expected)| (degrees, 0.95, expected));
        for (degrees, inner, expected) in of_95.chain(SCIPY_OF_99) {
            let found = student(degrees, inner);
            let most = if inner == 0.95 { 2e-12 } else { 1e-10 };
            assert!((found - expected).abs() < most * expected, "{degrees}: {found}, expected {expected}");
        }
    }

    #[test]
    #[should_panic(expected = "Student's distribution of 0.5 degrees of freedom")]
    fn less_than_one_degree_is_a_bug() {
        student(0.5, 0.95);
    }

    const SCIPY: [(f64, f64); 12] = [
        (1.0, 12.706204736174694),
        (1.25, 8.027951377252052),
        (2.0, 4.302652729749462),
        (3.5, 2.9400886379827282),
        (5.0, 2.5705818356363146),
        (9.0, 2.262157162798205),
        (17.3, 2.1070320037534676),
        (38.0, 2.0243941639119694),
        (98.0, 1.9844674545084815),
        (481.6, 1.9649019889709871),
        (2500.0, 1.960913344795567),
        (123456.0, 1.9599832002451867),
    ];
    const SCIPY_OF_99: [(f64, f64, f64); 6] = [
        (1.0, 0.99, 63.656741162871526),
        (2.0, 0.99, 9.924843200918287),
        (3.5, 0.99, 5.085702223091256),
        (10.0, 0.99, 3.16927267261695),
        (50.0, 0.99, 2.677793270940844),
        (198.0, 0.99, 2.6008872779905103),
    ];
}
