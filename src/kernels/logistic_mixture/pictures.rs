//! Pixels out of mixtures: the mean of the likeliest component, and random draws.
//!
//! A component is drawn by adding noise of Gumbel's distribution, -ln(-ln u) with u uniform, to the logits and taking the
//! largest (Gumbel, 1954): no sum, no division. Then, channel by channel, because the later ones look at the earlier,
//! mean + scale (ln u - ln(1 - u)) is drawn from the logistic distribution and moved to the nearest level. That draws
//! from the discretised distribution itself; the 1e-7 that keeps its logarithm finite is left out.

use super::bin::LEAST_LOG_SCALE;
use super::{COEFFICIENTS, LEVELS, Mixture, rows_per_task, tanh_and_slope, transpose_in, transpose_out};
use crate::parallel::{self, with_scratch};
use crate::simd::{self, Kernel, LANES, Simd, math};

/// 1.5 * 2^23: added to a small positive number and taken away again it leaves the nearest whole one.
const ROUNDER: f32 = 12_582_912.0;

/// Half of the smallest uniform number above 0, which stands for 0: ln of it is finite.
const LEAST_UNIFORM: f32 = 1.0 / 33_554_432.0;

/// A scale that puts all but nothing between the lowest and the highest level; larger ones overflow.
const LARGEST_LOG_SCALE: f32 = 80.0;

/// The mean of each pixel's likeliest component (the first of equals): `values` (pixels, channels), in 0..1. The mean of
/// green builds on that of red, the mean of blue on both.
pub fn likeliest_means(mixture: Mixture, parameters: &[f32], values: &mut [f32]) {
    of_pixels(mixture, parameters, None, values);
}

/// A draw from each pixel's mixture: `values` (pixels, channels) are whole levels / 255. `uniform` (pixels, components +
/// channels) are numbers in 0..1, drawn uniformly.
pub fn draws(mixture: Mixture, parameters: &[f32], uniform: &[f32], values: &mut [f32]) {
    of_pixels(mixture, parameters, Some(uniform), values);
}

fn of_pixels(mixture: Mixture, parameters: &[f32], uniform: Option<&[f32]>, values: &mut [f32]) {
    let (columns, noises) = (mixture.parameters(), mixture.components + mixture.channels);
    let rows = rows_per_task(columns);
    parallel::for_each_chunk(values, rows * mixture.channels, |i, values| {
        let pixels = values.len() / mixture.channels;
        let parameters = &parameters[i * rows * columns..][..pixels * columns];
        let uniform = uniform.map(|uniform| &uniform[i * rows * noises..][..pixels * noises]);
        with_scratch((columns + noises) * LANES, |scratch| {
            simd::run(Pixels { mixture, parameters, uniform, values, scratch });
        });
    });
}

struct Pixels<'a> {
    mixture: Mixture,
    parameters: &'a [f32],
    uniform: Option<&'a [f32]>,
    values: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Kernel for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pixels { mixture, parameters, uniform, values, scratch } = self;
        let (columns, noises) = (mixture.parameters(), mixture.components + mixture.channels);
        let (theta, noise) = scratch.as_chunks_mut().0.split_at_mut(columns);
        let blocks = parameters.chunks(LANES * columns).zip(values.chunks_mut(LANES * mixture.channels));
        for (i, (rows, values)) in blocks.enumerate() {
            transpose_in(rows, columns, theta);
            let pixels = values.len() / mixture.channels;
            if let Some(uniform) = uniform {
                transpose_in(&uniform[i * LANES * noises..][..pixels * noises], noises, noise);
            }
            let noise = uniform.map(|_| noise.split_at(mixture.components));
            let component = component(s, mixture, theta, noise.map(|(of_components, _)| of_components));
            let channels = channels(s, mixture, &component, noise.map(|(_, of_channels)| of_channels));
            transpose_out(&channels[..mixture.channels], mixture.channels, values);
        }
    }
}

/// The numbers of one component of each pixel, group by group: of the likeliest or, with noise, of one drawn.
#[inline(always)]
fn component<S: Simd>(
    s: S,
    mixture: Mixture,
    theta: &[[f32; LANES]],
    noise: Option<&[[f32; LANES]]>,
) -> [S::V; 10] {
    let k = mixture.components;
    let groups = mixture.parameters() / k;
    let mut chosen = [s.splat(0.0); 10];
    let mut largest = s.splat(f32::NEG_INFINITY);
    for i in 0..k {
        let mut score = s.load(&theta[i]);
        if let Some(noise) = noise {
            let uniform = s.max(s.splat(LEAST_UNIFORM), s.load(&noise[i]));
            score = s.sub(score, math::ln(s, s.neg(math::ln(s, uniform))));
        }
        let better = s.less(largest, score);
        largest = s.select(better, score, largest);
        for group in 0..groups {
            let number = s.load(&theta[group * k + i]);
            // Whatever the first scores, minus infinity and NaN included, it is where the search begins.
            let kept = if i == 0 { number } else { chosen[group] };
            chosen[group] = s.select(better, number, kept);
        }
    }
    chosen
}

/// The channels' values: means or, with noise, draws.
#[inline(always)]
fn channels<S: Simd>(
    s: S,
    mixture: Mixture,
    component: &[S::V; 10],
    noise: Option<&[[f32; LANES]]>,
) -> [[f32; LANES]; 3] {
    let (zero, one, highest) = (s.splat(0.0), s.splat(1.0), s.splat((LEVELS - 1) as f32));
    let mut values = [[0.0; LANES]; 3];
    for channel in 0..mixture.channels {
        let mut value = component[mixture.mean(channel)];
        for coefficient in COEFFICIENTS {
            if coefficient.of == channel && mixture.channels == 3 {
                let (tanh, _) = tanh_and_slope(s, component[coefficient.group]);
                value = s.mul_add(tanh, s.load(&values[coefficient.times]), value);
            }
        }
        if let Some(noise) = noise {
            let log_scale = s.max(s.splat(LEAST_LOG_SCALE), component[mixture.log_scale(channel)]);
            let scale = math::exp(s, s.min(s.splat(LARGEST_LOG_SCALE), log_scale));
            let uniform = s.max(s.splat(LEAST_UNIFORM), s.load(&noise[channel]));
            let logistic = s.sub(math::ln(s, uniform), math::ln(s, s.sub(one, uniform)));
            value = s.mul_add(scale, logistic, value);
            let level = s.min(highest, s.max(zero, s.mul(value, highest)));
            let level = s.sub(s.add(level, s.splat(ROUNDER)), s.splat(ROUNDER));
            value = s.div(level, highest);
        }
        s.store(s.min(one, s.max(zero, value)), &mut values[channel]);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::super::reference::{Dual, log_probability};
    use super::*;
    use crate::rng::Stream;
    use crate::simd::Isa;

    const NUMBERS: usize = 200_000;

    /// Draws from one mixture, over and over.
    fn sample(channels: usize, parameters: &[f32]) -> Vec<f32> {
        let mixture = Mixture::new(parameters.len(), channels).unwrap();
        let mut uniform = vec![0.0; NUMBERS * (mixture.components + channels)];
        Stream::new(31, "draws", &[channels as u64]).fill_uniform(0.0, 1.0, &mut uniform);
        let mut values = vec![f32::NAN; NUMBERS * channels];
        draws(mixture, &parameters.repeat(NUMBERS), &uniform, &mut values);
        values
    }

    /// The probability of each level, without the floor.
    fn probabilities(mean: f64, log_scale: f64) -> Vec<f64> {
        let log_probability =
            |level| log_probability(level, Dual::constant(mean), Dual::constant(log_scale)).value;
        let floored = |level| log_probability(level).exp();
        (0..LEVELS)
            .map(|level| floored(level) - if level == 0 || level == LEVELS - 1 { 0.0 } else { 1e-7 })
            .collect()
    }

    fn softmax(logits: &[f32]) -> Vec<f64> {
        let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
        powers.iter().map(|power| power / powers.iter().sum::<f64>()).collect()
    }

    #[test]
    fn grey_draws_have_the_frequencies_of_the_levels() {
        let (logits, means, log_scales) = ([0.3, -0.8, 0.1], [0.2, 0.97, 0.5], [-3.0, -2.5, -9.0]);
        let values = sample(1, &[logits, means, log_scales].concat());
        let mut counts = vec![0.0; 256];
        for value in values {
            let level = f64::from(value) * 255.0;
            assert!((level - level.round()).abs() < 1e-4, "{value} is no level");
            counts[level.round() as usize] += 1.0;
        }
        let mut expected = vec![0.0; 256];
        for (i, share) in softmax(&logits).into_iter().enumerate() {
            let of_component = probabilities(f64::from(means[i]), f64::from(log_scales[i]));
            expected.iter_mut().zip(of_component).for_each(|(sum, p)| *sum += share * p * NUMBERS as f64);
        }
        // Pearson's statistic has one degree of freedom less than cells: mean 255, standard deviation 22.6.
        assert!(expected.iter().all(|&expected| expected > 5.0), "too few in a cell: {expected:?}");
        let statistic: f64 =
            counts.iter().zip(&expected).map(|(count, expected)| (count - expected).powi(2) / expected).sum();
        assert!((statistic - 255.0).abs() < 4.5 * 22.6, "{statistic}");
    }

    #[test]
    fn colour_draws_have_the_moments_of_the_mixture() {
        let groups = [
            [0.5, -0.3],  // logits
            [0.3, 0.8],   // red
            [0.1, 0.9],   // green
            [1.2, -0.7],  // green of red
            [0.4, 0.2],   // blue
            [-0.6, 0.3],  // blue of red
            [0.9, 1.5],   // blue of green
            [-3.0, -2.0], // log-scales
            [-2.5, -4.0],
            [-3.5, -8.0],
        ];
        let values = sample(3, groups.as_flattened());
        // The means of r, g, b, r^2, r g, g b and r b, over all pairs of levels of red and green that matter.
        let mut expected = [0.0; 7];
        for (i, share) in softmax(&groups[0]).into_iter().enumerate() {
            let number = |group: usize| f64::from(groups[group][i]);
            for (red, p) in probabilities(number(1), number(7)).into_iter().enumerate() {
                let r = red as f64 / 255.0;
                let of_green = number(2) + number(3).tanh() * r;
                for (green, q) in probabilities(of_green, number(8)).into_iter().enumerate() {
                    let (p, g) = (share * p * q, green as f64 / 255.0);
                    if p < 1e-9 {
                        continue;
                    }
                    let of_blue = number(4) + number(5).tanh() * r + number(6).tanh() * g;
                    let scale = number(9).max(-7.0).exp();
                    // The mean is the sum over the levels of the probabilities of that level and those above.
                    let at_least = |level: u32| {
                        1.0 / (1.0 + (((f64::from(level) - 0.5) / 255.0 - of_blue) / scale).exp())
                    };
                    let b = (1..LEVELS).map(at_least).sum::<f64>() / 255.0;
                    let moments = [r, g, b, r * r, r * g, g * b, r * b];
                    expected.iter_mut().zip(moments).for_each(|(sum, moment)| *sum += p * moment);
                }
            }
        }
        for (place, expected) in expected.into_iter().enumerate() {
            let moments = values.chunks_exact(3).map(|pixel| {
                let [r, g, b] = [0, 1, 2].map(|channel| f64::from(pixel[channel]));
                [r, g, b, r * r, r * g, g * b, r * b][place]
            });
            let count = NUMBERS as f64;
            let (sum, squares) =
                moments.fold((0.0, 0.0), |(sum, squares), moment| (sum + moment, squares + moment * moment));
            let (mean, variance) = (sum / count, squares / count - (sum / count).powi(2));
            // What is left out of the pairs is less than 65,536 times 1e-9.
            let room = 4.5 * (variance / count).sqrt() + 7e-5;
            assert!((mean - expected).abs() < room, "moment {place} is {mean}, expected {expected}");
        }
    }

    #[test]
    fn a_mean_is_that_of_the_likeliest_component_built_from_red_to_blue() {
        let groups: [[f32; 3]; 10] = [
            [0.1, 2.0, 1.9],
            [0.9, 0.25, 0.7],
            [0.9, 0.5, 0.7],
            [0.0, 0.4, 3.0],
            [0.9, 0.1, 0.7],
            [0.0, 1.1, 3.0],
            [0.0, -0.2, 3.0],
            [1.0, 2.0, 3.0],
            [1.0, 2.0, 3.0],
            [1.0, 2.0, 3.0],
        ];
        let colour = Mixture::new(30, 3).unwrap();
        let mut found = [f32::NAN; 3];
        likeliest_means(colour, groups.as_flattened(), &mut found);
        let green = 0.5 + 0.4_f64.tanh() * 0.25;
        let blue = 0.1 + 1.1_f64.tanh() * 0.25 + (-0.2_f64).tanh() * green;
        for (found, expected) in found.into_iter().zip([0.25, green, blue]) {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
        // What lies outside is clipped before it is built on: red 1, green 1 - 0.76, blue 0.
        let mut outside = groups;
        (outside[1][1], outside[2][1], outside[3][1]) = (7.0, 1.0, -1.0);
        (outside[4][1], outside[5][1], outside[6][1]) = (-5.0, 0.5, 0.5);
        likeliest_means(colour, outside.as_flattened(), &mut found);
        assert_eq!([found[0], found[2]], [1.0, 0.0]);
        assert!((f64::from(found[1]) - (1.0 - 1.0_f64.tanh())).abs() < 1e-6, "{found:?}");
        // Grey; the first of equals.
        let mut found = [f32::NAN];
        likeliest_means(
            Mixture::new(9, 1).unwrap(),
            &[1.0, 3.0, 3.0, 0.1, 0.2, 0.3, 0.0, 0.0, 0.0],
            &mut found,
        );
        assert_eq!(found, [0.2]);
    }

    #[test]
    fn extreme_numbers_give_levels_and_every_instruction_set_the_same() {
        let mixture = Mixture::new(20, 3).unwrap();
        let extremes = [0.0, -0.0, 1.0, -1e30, 1e30, f32::NEG_INFINITY, 200.0, -200.0, 0.3];
        let stream = Stream::new(33, "extremes", &[]);
        let pick = |i: u64| extremes[stream.below(i, 9) as usize];
        let parameters: Vec<f32> = (0..37 * 20).map(pick).collect();
        let of_noise = [0.0, 0.5, 1.0 - 1.0 / 16_777_216.0, 1.0 / 16_777_216.0];
        let uniform: Vec<f32> = (0..37 * 5).map(|i| of_noise[stream.below(i, 4) as usize]).collect();
        let mut expected = vec![f32::NAN; 37 * 3];
        draws(mixture, &parameters, &uniform, &mut expected);
        for value in &expected {
            assert!((0.0..=1.0).contains(value) && (value * 255.0).fract().min(0.5) < 1e-4, "{value}");
        }
        for &isa in Isa::supported() {
            let (mut values, mut scratch) = (vec![f32::NAN; 37 * 3], vec![f32::NAN; 25 * LANES]);
            let (uniform, scratch) = (Some(&uniform[..]), &mut scratch[..]);
            isa.run(Pixels { mixture, parameters: &parameters, uniform, values: &mut values, scratch });
            assert_eq!(values, expected, "{}", isa.name());
        }
    }
}
