//! The likelihood of pixels under mixtures of discretised logistic distributions (Salimans, Karpathy, Chen, Kingma:
//! "PixelCNN++", ICLR 2017).
//!
//! A pixel has a row of parameters, in groups of one number for each of k components. Colour, 10 k numbers: the logits;
//! the means of red and green; green's coefficient of red; the mean of blue; blue's coefficients of red and of green; the
//! log-scales of red, green and blue. Grey, 3 k numbers: logits, means, log-scales. The channels of a component are
//! independent but for their means: that of green is its parameter + tanh(coefficient) red, that of blue its parameter +
//! tanh(coefficient) red + tanh(coefficient) green, where red and green are the pixel's own values in 0..1. With the
//! probabilities of single levels as in `bin.rs`,
//!
//! ```text
//! f[i] = the sum over the channels of ln p(level | mean[i], log-scale[i]),   t[i] = f[i] + logit[i] - the largest logit
//! -ln p = ln(sum over i of exp(logit[i] - the largest logit)) - ln(sum over i of exp t[i])
//! d(-ln p)/dlogit[i] = softmax(logit)[i] - softmax(t)[i],   d(-ln p)/df[i] = -softmax(t)[i]
//! ```
//!
//! The largest logit is taken off first, for beside a large one f would lose its digits. Of the sums all but the largest
//! power are kept (`kernels/softmax.rs`); of a component that is the likeliest both before and after the level is seen, the
//! slope is the difference of what the others have.
//!
//! Sixteen pixels go through it side by side, one in each lane, so that any number of components fills the vectors and
//! the sums over them need no reduction. Their parameters, transposed, stay in the first cache and become the gradient
//! where they lie.

mod bin;
mod pictures;
#[cfg(test)]
pub(crate) mod reference;
#[cfg(test)]
mod tests;

use super::softmax::Others;
use crate::parallel::{self, with_scratch};
use crate::simd::{self, Kernel, LANES, Simd, math};
use bin::Bins;
pub use pictures::{draws, likeliest_means};

/// How many levels a channel has.
pub const LEVELS: u32 = 256;

/// The form of a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixture {
    components: usize,
    channels: usize,
}

impl Mixture {
    /// The mixture with so many parameters for a pixel of 1 or 3 channels; none if there is no such mixture.
    pub fn new(parameters: usize, channels: usize) -> Option<Self> {
        let groups = match channels {
            1 => 3,
            3 => 10,
            _ => return None,
        };
        let fits = parameters > 0 && parameters.is_multiple_of(groups);
        fits.then_some(Mixture { components: parameters / groups, channels })
    }

    /// Numbers for each pixel.
    pub fn parameters(self) -> usize {
        self.components * if self.channels == 1 { 3 } else { 10 }
    }

    /// Levels for each pixel.
    pub fn channels(self) -> usize {
        self.channels
    }

    /// How many distributions are mixed.
    pub fn components(self) -> usize {
        self.components
    }

    /// The group of the means of a channel.
    fn mean(self, channel: usize) -> usize {
        [1, 2, 4][channel]
    }

    /// The group of the log-scales of a channel.
    fn log_scale(self, channel: usize) -> usize {
        channel + if self.channels == 1 { 2 } else { 7 }
    }

    /// What sixteen pixels need: their parameters, and a number for each component.
    fn scratch(self) -> usize {
        (self.parameters() + self.components) * LANES
    }
}

/// -ln p of every pixel, in nats: `parameters` (pixels, parameters), `levels` (pixels, channels) below [`LEVELS`].
pub fn losses(mixture: Mixture, parameters: &[f32], levels: &[u32], losses: &mut [f32]) {
    let [columns, channels] = [mixture.parameters(), mixture.channels];
    let rows = rows_per_task(columns);
    parallel::for_each_chunk(losses, rows, |i, losses| {
        let parameters = &parameters[i * rows * columns..][..losses.len() * columns];
        let levels = &levels[i * rows * channels..][..losses.len() * channels];
        with_scratch(mixture.scratch(), |scratch| {
            simd::run(Losses { mixture, parameters, levels, losses, scratch });
        });
    });
}

/// The gradient of the sum over the pixels of `scale` times -ln p.
pub fn gradient(mixture: Mixture, parameters: &[f32], levels: &[u32], scale: &[f32], gradient: &mut [f32]) {
    let [columns, channels] = [mixture.parameters(), mixture.channels];
    let rows = rows_per_task(columns);
    parallel::for_each_chunk(gradient, rows * columns, |i, gradient| {
        gradient.copy_from_slice(&parameters[i * rows * columns..][..gradient.len()]);
        let pixels = gradient.len() / columns;
        let levels = &levels[i * rows * channels..][..pixels * channels];
        let scale = Some(&scale[i * rows..][..pixels]);
        with_scratch(mixture.scratch() + pixels, |scratch| {
            let (losses, scratch) = scratch.split_at_mut(pixels);
            simd::run(LossesAndGradient { mixture, parameters: gradient, levels, scale, losses, scratch });
        });
    });
}

/// -ln p of every pixel; the parameters become the gradient of their sum.
pub fn losses_leaving_gradient(mixture: Mixture, parameters: &mut [f32], levels: &[u32], losses: &mut [f32]) {
    let [columns, channels] = [mixture.parameters(), mixture.channels];
    let rows = rows_per_task(columns);
    parallel::for_each_chunk2(parameters, losses, [rows * columns, rows], |i, parameters, losses| {
        let levels = &levels[i * rows * channels..][..losses.len() * channels];
        with_scratch(mixture.scratch(), |scratch| {
            simd::run(LossesAndGradient { mixture, parameters, levels, scale: None, losses, scratch });
        });
    });
}

/// Pixels worth a task: whole vectors, and a parameter costs some twenty operations.
fn rows_per_task(columns: usize) -> usize {
    parallel::rows_per_task(20 * columns).next_multiple_of(LANES)
}

struct Losses<'a> {
    mixture: Mixture,
    parameters: &'a [f32],
    levels: &'a [u32],
    losses: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Kernel for Losses<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Losses { mixture, parameters, levels, losses, scratch } = self;
        let block = scratch.as_chunks_mut().0;
        let pixels = parameters
            .chunks(LANES * mixture.parameters())
            .zip(levels.chunks(LANES * mixture.channels))
            .zip(losses.chunks_mut(LANES));
        for ((rows, levels), losses) in pixels {
            transpose_in(rows, mixture.parameters(), block);
            let loss =
                evaluate::<S, false>(s, mixture, bins(s, levels, mixture.channels), s.splat(1.0), block);
            s.store_head(loss, losses);
        }
    }
}

struct LossesAndGradient<'a> {
    mixture: Mixture,
    parameters: &'a mut [f32],
    levels: &'a [u32],
    scale: Option<&'a [f32]>,
    losses: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Kernel for LossesAndGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let LossesAndGradient { mixture, parameters, levels, scale, losses, scratch } = self;
        let block = scratch.as_chunks_mut().0;
        let pixels = parameters
            .chunks_mut(LANES * mixture.parameters())
            .zip(levels.chunks(LANES * mixture.channels))
            .zip(losses.chunks_mut(LANES));
        for (i, ((rows, levels), losses)) in pixels.enumerate() {
            let scale = match scale {
                Some(scale) => s.load_head(&scale[i * LANES..][..losses.len()]),
                None => s.splat(1.0),
            };
            transpose_in(rows, mixture.parameters(), block);
            let loss = evaluate::<S, true>(s, mixture, bins(s, levels, mixture.channels), scale, block);
            s.store_head(loss, losses);
            transpose_out(block, mixture.parameters(), rows);
        }
    }
}

/// Parameter c of pixel l into lane l of vector c. Lanes without a pixel hold zeros.
#[inline(always)]
fn transpose_in(rows: &[f32], columns: usize, block: &mut [[f32; LANES]]) {
    if rows.len() < LANES * columns {
        block.as_flattened_mut().fill(0.0);
    }
    for (lane, row) in rows.chunks_exact(columns).enumerate() {
        for (lanes, &number) in block.iter_mut().zip(row) {
            lanes[lane] = number;
        }
    }
}

#[inline(always)]
fn transpose_out(block: &[[f32; LANES]], columns: usize, rows: &mut [f32]) {
    for (lane, row) in rows.chunks_exact_mut(columns).enumerate() {
        for (number, lanes) in row.iter_mut().zip(block) {
            *number = lanes[lane];
        }
    }
}

/// The levels of up to sixteen pixels, channel by channel; of grey ones three times the same.
#[inline(always)]
fn bins<S: Simd>(s: S, levels: &[u32], channels: usize) -> [Bins<S>; 3] {
    let mut lanes = [[LEVELS / 2; LANES]; 3];
    for (pixel, levels) in levels.chunks_exact(channels).enumerate() {
        for channel in 0..3 {
            lanes[channel][pixel] = levels[channel.min(channels - 1)];
        }
    }
    [Bins::new(s, &lanes[0]), Bins::new(s, &lanes[1]), Bins::new(s, &lanes[2])]
}

/// -ln p of sixteen pixels with the transposed parameters in `block`, behind which there is a vector for each component.
/// If asked for, the parameters become the gradient, times `scale`.
#[inline(always)]
fn evaluate<S: Simd, const GRADIENT: bool>(
    s: S,
    mixture: Mixture,
    bins: [Bins<S>; 3],
    scale: S::V,
    block: &mut [[f32; LANES]],
) -> S::V {
    let k = mixture.components;
    let (theta, totals) = block.split_at_mut(mixture.parameters());
    let largest_logit = largest(s, &theta[..k]);
    for i in 0..k {
        let mut total = s.sub(s.load(&theta[i]), largest_logit);
        let Means { of_channels, slopes } = means(s, mixture, &bins, i, theta);
        for channel in 0..mixture.channels {
            let (mean, log_scale) = (mixture.mean(channel) * k + i, mixture.log_scale(channel) * k + i);
            let found = bins[channel].log_probability(s, of_channels[channel], s.load(&theta[log_scale]));
            total = s.add(total, found.value);
            if GRADIENT {
                s.store(found.by_mean, &mut theta[mean]);
                s.store(found.by_log_scale, &mut theta[log_scale]);
            }
        }
        if GRADIENT && mixture.channels == 3 {
            for (coefficient, slope) in COEFFICIENTS.into_iter().zip(slopes) {
                let by_mean = s.load(&theta[mixture.mean(coefficient.of) * k + i]);
                let factor = s.mul(slope, bins[coefficient.times].value);
                s.store(s.mul(by_mean, factor), &mut theta[coefficient.group * k + i]);
            }
        }
        s.store(total, &mut totals[i]);
    }
    let largest_total = largest(s, totals);
    let prior_others = powers(s, &mut theta[..k], largest_logit);
    let joint_others = powers(s, totals, largest_total);
    if GRADIENT {
        let one = s.splat(1.0);
        let over_prior = s.div(scale, s.add(one, prior_others));
        let over_joint = s.div(scale, s.add(one, joint_others));
        // The slope of a component that is the likeliest in both: 1 - softmax(t) less 1 - softmax(logit).
        let of_likeliest = s.sub(s.mul(joint_others, over_joint), s.mul(prior_others, over_prior));
        for i in 0..k {
            let (prior, joint) = (s.load(&theta[i]), s.load(&totals[i]));
            let responsible = s.mul(joint, over_joint);
            let slope = s.sub(s.mul(prior, over_prior), responsible);
            let of_joint = s.select(s.equal(joint, one), of_likeliest, slope);
            s.store(s.select(s.equal(prior, one), of_joint, slope), &mut theta[i]);
            let factor = s.neg(responsible);
            for parameter in theta[k..].iter_mut().skip(i).step_by(k) {
                s.store(s.mul(factor, s.load(parameter)), parameter);
            }
        }
    }
    let logarithms = s.sub(math::ln_1p(s, prior_others), math::ln_1p(s, joint_others));
    s.sub(logarithms, largest_total)
}

/// Part of the mean of channel `of`: the tanh of the numbers of a group, times the value of channel `times`.
#[derive(Clone, Copy)]
struct Coefficient {
    group: usize,
    of: usize,
    times: usize,
}

const COEFFICIENTS: [Coefficient; 3] = [
    Coefficient { group: 3, of: 1, times: 0 },
    Coefficient { group: 5, of: 2, times: 0 },
    Coefficient { group: 6, of: 2, times: 1 },
];

/// The means of a component, and for each of [`COEFFICIENTS`] the slope of its tanh.
struct Means<S: Simd> {
    of_channels: [S::V; 3],
    slopes: [S::V; 3],
}

#[inline(always)]
fn means<S: Simd>(
    s: S,
    mixture: Mixture,
    bins: &[Bins<S>; 3],
    component: usize,
    theta: &[[f32; LANES]],
) -> Means<S> {
    let mut means = Means { of_channels: [s.splat(0.0); 3], slopes: [s.splat(0.0); 3] };
    let number = |group: usize| &theta[group * mixture.components + component];
    for channel in 0..mixture.channels {
        means.of_channels[channel] = s.load(number(mixture.mean(channel)));
    }
    if mixture.channels == 3 {
        for (coefficient, slope) in COEFFICIENTS.into_iter().zip(&mut means.slopes) {
            let (tanh, of_tanh) = tanh_and_slope(s, s.load(number(coefficient.group)));
            let mean = &mut means.of_channels[coefficient.of];
            *mean = s.mul_add(tanh, bins[coefficient.times].value, *mean);
            *slope = of_tanh;
        }
    }
    means
}

/// tanh x and its slope 1 - tanh^2 x, in which nothing cancels: with p = e^(-2 |x|) and e = p - 1, they are -e / (2 + e)
/// with the sign of x, and 4 p / (2 + e)^2.
#[inline(always)]
fn tanh_and_slope<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    let (power, e) = math::exp_and_exp_m1(s, s.mul(s.splat(-2.0), s.abs(x)));
    let over = s.div(s.splat(1.0), s.add(s.splat(2.0), e));
    let size = s.neg(s.mul(e, over));
    let tanh = s.select(s.less(x, s.splat(0.0)), s.neg(size), size);
    (tanh, s.mul(s.mul(s.splat(4.0), power), s.mul(over, over)))
}

/// The largest x, lane by lane.
#[inline(always)]
fn largest<S: Simd>(s: S, x: &[[f32; LANES]]) -> S::V {
    let mut largest = s.splat(f32::NEG_INFINITY);
    for x in x {
        largest = s.max(largest, s.load(x));
    }
    largest
}

/// Replaces x by exp(x - the largest x), lane by lane. Returns the sum of all but one that is 1.
#[inline(always)]
fn powers<S: Simd>(s: S, x: &mut [[f32; LANES]], largest: S::V) -> S::V {
    let mut others = Others::new(s);
    for x in x {
        let power = math::exp(s, s.sub(s.load(x), largest));
        s.store(power, x);
        others.add(s, power);
    }
    others.of_lanes(s)
}
