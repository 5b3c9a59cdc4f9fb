//! The quantile of Student's t distribution that an interval of 95 % takes, by arithmetic and the crate's own exp and ln.
//!
//! ```text
//! P(|T| <= t) = 2 c s (1 - s^2)^(n/2) (1 + (n+1)/3 s^2 (1 + (n+3)/5 s^2 (1 + ...)))          s^2 = t^2 / (n + t^2)
//! c = gamma((n+1)/2) / (sqrt(pi) gamma(n/2))
//! ```
//!
//! of n degrees of freedom, which need not be a whole number: the incomplete beta function as a series of positive terms.

use super::share::NORMAL;
use crate::elementary::{exp, ln_1p};

/// The t that 95 % of the distribution of `degrees` of freedom lie within, to 1e-12 of it.
///
/// # Panics
/// If there is less than one.
#[track_caller]
pub(super) fn student(degrees: f64) -> f64 {
    assert!((1.0..1e12).contains(&degrees), "Student's distribution of {degrees} degrees of freedom");
    let constant = 2.0 * gamma_ratio(degrees / 2.0) / std::f64::consts::PI.sqrt();
    let within = |t: f64| {
        let square = t * t / (degrees + t * t);
        let (mut sum, mut term, mut k) = (0.0, 1.0, 1.0);
        while term > 1e-17 * sum {
            sum += term;
            term *= square * (degrees + k) / (k + 2.0);
            k += 2.0;
        }
        constant * square.sqrt() * exp(-degrees / 2.0 * ln_1p(t * t / degrees)) * sum
    };
    // It falls from 12.7, of one degree, to that of the normal distribution.
    let (mut low, mut high) = (NORMAL, 13.0);
    while high - low > 1e-14 * high {
        let middle = f64::midpoint(low, high);
        if within(middle) < 0.95 { low = middle } else { high = middle }
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

    /// `stats.t.ppf(0.975, degrees)` of SciPy 1.17.1.
    #[test]
    fn it_is_scipys() {
        for (degrees, expected) in SCIPY {
            let found = student(degrees);
            assert!((found - expected).abs() < 2e-12 * expected, "{degrees}: {found}, expected {expected}");
        }
    }

    #[test]
    #[should_panic(expected = "Student's distribution of 0.5 degrees of freedom")]
    fn less_than_one_degree_is_a_bug() {
        student(0.5);
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
}
