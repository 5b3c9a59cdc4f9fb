//! ln of the probability that a discretised logistic distribution gives to a level, and its slopes.
//!
//! Level L stands for the value x = L / 255 and owns the interval x ± 1/510; the lowest owns all below it too, the
//! highest all above. With the mean m, i = exp(-max(log-scale, -7)), and the two ends p = i (x - m + 1/510) and
//! q = i (x - m - 1/510) on the scale of the logistic function s:
//!
//! ```text
//! level 0: ln s(p)        level 255: ln s(-q)        others: ln(s(p) - s(q) + 1e-7)
//! ```
//!
//! Computed as it stands the difference is rounding noise in the tails, where both terms are nearly 1 or the difference is
//! small beside either. With a = i |x - m| and h = i / 510 it is
//!
//! ```text
//! D = s(p) - s(q) = sinh h / (cosh a + cosh h) = u (w - 1/w) / Q,   u = e^-a,  w = e^h,  Q = (1 + u w)(1 + u / w)
//! dD/da = -D (1 - u^2) / Q,   dD/dh = u (4 u + (w + 1/w)(1 + u^2)) / Q^2
//! ```
//!
//! in which nothing cancels (1 - u and w - 1 are computed as such) and nothing overflows, for h is at most e^7 / 510 = 2.15.

use super::LEVELS;
use crate::simd::{LANES, Simd, math};

/// Below this a log-scale counts as this, and has no gradient. At exactly this the gradient passes, as that of PyTorch's clamp
/// does.
pub(super) const LEAST_LOG_SCALE: f32 = -7.0;

/// Half the distance of two levels.
const HALF: f32 = 0.5 / (LEVELS - 1) as f32;

/// What is added to the probability of a level between the lowest and the highest.
const FLOOR: f32 = 1e-7;

/// A level as many scales from the mean has a probability of 1e-25, which the floor swallows with its slopes; u
/// beyond would be subnormal.
const FARTHEST: f32 = 60.0;

/// The value of a level.
#[inline(always)]
pub(super) fn value(level: u32) -> f32 {
    level as f32 / (LEVELS - 1) as f32
}

/// Which formulas sixteen levels need.
#[derive(Clone, Copy, PartialEq)]
enum Formulas {
    Inner,
    Outermost,
    Both,
}

/// Sixteen levels.
#[derive(Clone, Copy)]
pub(super) struct Bins<S: Simd> {
    /// Their values in 0..1.
    pub(super) value: S::V,
    /// The lowest and the highest.
    outermost: S::Mask,
    /// 1 for the lowest level, -1 for the highest: away from the end that is not there.
    inwards: S::V,
    formulas: Formulas,
}

/// ln of a probability and its derivatives by mean and log-scale.
#[derive(Clone, Copy)]
pub(super) struct LogProbability<S: Simd> {
    pub(super) value: S::V,
    pub(super) by_mean: S::V,
    pub(super) by_log_scale: S::V,
}

impl<S: Simd> Bins<S> {
    #[inline(always)]
    pub(super) fn new(s: S, levels: &[u32; LANES]) -> Self {
        let (mut values, mut inwards) = ([0.0; LANES], [0.0; LANES]);
        let mut outermost = 0;
        for lane in 0..LANES {
            let level = levels[lane];
            values[lane] = value(level);
            inwards[lane] = f32::from(u8::from(level == 0)) - f32::from(u8::from(level == LEVELS - 1));
            outermost += usize::from(level == 0 || level == LEVELS - 1);
        }
        let formulas = match outermost {
            0 => Formulas::Inner,
            LANES => Formulas::Outermost,
            _ => Formulas::Both,
        };
        let inwards = s.load(&inwards);
        let outermost = s.less(s.splat(0.0), s.abs(inwards));
        Bins { value: s.load(&values), outermost, inwards, formulas }
    }

    /// The logistic distributions with these means and log-scales at these levels. NaN gives NaN.
    #[inline(always)]
    pub(super) fn log_probability(&self, s: S, mean: S::V, log_scale: S::V) -> LogProbability<S> {
        // The constant comes first because max returns the second argument when one is NaN.
        let least = s.splat(LEAST_LOG_SCALE);
        let inverse = math::exp(s, s.neg(s.max(least, log_scale)));
        let distance = s.sub(self.value, mean);
        let nothing = s.splat(0.0);
        let nothing = LogProbability { value: nothing, by_mean: nothing, by_log_scale: nothing };
        let (mut inner, mut outer) = (nothing, nothing);
        if self.formulas != Formulas::Outermost {
            inner = between(s, distance, inverse);
        }
        if self.formulas != Formulas::Inner {
            outer = self.half_line(s, distance, inverse);
        }
        let by_log_scale = s.select(self.outermost, outer.by_log_scale, inner.by_log_scale);
        let clamped = s.less(log_scale, least);
        LogProbability {
            value: s.select(self.outermost, outer.value, inner.value),
            by_mean: s.select(self.outermost, outer.by_mean, inner.by_mean),
            by_log_scale: s.select(clamped, s.splat(0.0), by_log_scale),
        }
    }

    /// The outermost levels: ln s(t), where t is p or -q.
    #[inline(always)]
    fn half_line(&self, s: S, distance: S::V, inverse: S::V) -> LogProbability<S> {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let t = s.mul(inverse, s.mul_add(self.inwards, distance, s.splat(HALF)));
        // ln s(t) = -softplus(-t), whose slope is s(-t); as in `math`, with one exponential for both.
        let power = math::exp(s, s.neg(s.abs(t)));
        let value = s.neg(s.add(s.max(zero, s.neg(t)), math::ln_1p(s, power)));
        let slope = s.div(s.select(s.less(t, zero), one, power), s.add(one, power));
        let by_mean = s.neg(s.mul(slope, s.mul(self.inwards, inverse)));
        LogProbability { value, by_mean, by_log_scale: s.neg(s.mul(slope, t)) }
    }
}

/// The levels between: ln(D + 1e-7).
#[inline(always)]
fn between<S: Simd>(s: S, distance: S::V, inverse: S::V) -> LogProbability<S> {
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let h = s.mul(inverse, s.splat(HALF));
    let a = s.min(s.splat(FARTHEST), s.mul(inverse, s.abs(distance)));
    let (w, rise) = math::exp_and_exp_m1(s, h);
    let (u, fall) = math::exp_and_exp_m1(s, s.neg(a));
    let one_over_w = s.div(one, w);
    let difference = s.mul_add(rise, one_over_w, rise); // w - 1/w
    let one_over_q = s.div(one, s.mul(s.mul_add(u, w, one), s.mul_add(u, one_over_w, one)));

    let d = s.mul(s.mul(u, difference), one_over_q);
    let probability = s.add(d, s.splat(FLOOR));
    let one_over_probability = s.div(one, probability);
    let by_a = s.mul(s.mul(d, s.mul(fall, s.add(one, u))), one_over_q);
    let middle = s.mul_add(s.add(w, one_over_w), s.mul_add(u, u, one), s.mul(s.splat(4.0), u));
    let by_h = s.mul(s.mul(u, middle), s.mul(one_over_q, one_over_q));

    // da/dm = -i sign(x - m); a and h are both in proportion to i.
    let towards = s.select(s.less(distance, zero), inverse, s.neg(inverse));
    let by_log_scale = s.neg(s.mul_add(a, by_a, s.mul(h, by_h)));
    LogProbability {
        value: math::ln(s, probability),
        by_mean: s.mul(s.mul(towards, by_a), one_over_probability),
        by_log_scale: s.mul(by_log_scale, one_over_probability),
    }
}
