use super::reference::{self, Dual, losses_and_gradient};
use super::*;
use crate::rng::Stream;
use crate::simd::Isa;

/// Levels, the lowest and the highest often among them.
fn levels(stream: Stream, count: usize) -> Vec<u32> {
    let often = [0, 1, 254, 255];
    (0..count as u64)
        .map(|i| match stream.below(2 * i, 3) {
            0 => often[stream.below(2 * i + 1, 4) as usize],
            _ => stream.below(2 * i + 1, 256) as u32,
        })
        .collect()
}

/// Where the numbers of the groups of parameters come from.
struct Ranges {
    means: [f32; 2],
    log_scales: [f32; 2],
    others: [f32; 2],
}

fn parameters(mixture: Mixture, pixels: usize, ranges: &Ranges, stream: Stream) -> Vec<f32> {
    let (columns, k) = (mixture.parameters(), mixture.components());
    let kinds: &[&[f32; 2]] = if mixture.channels() == 1 {
        &[&ranges.others, &ranges.means, &ranges.log_scales]
    } else {
        let Ranges { means, log_scales, others } = ranges;
        &[others, means, means, others, means, others, others, log_scales, log_scales, log_scales]
    };
    (0..pixels * columns)
        .map(|i| {
            let [low, high] = kinds[i % columns / k];
            low + (high - low) * stream.uniform(i as u64)
        })
        .collect()
}

/// The largest errors of losses and gradients of 400 pixels, as multiples of what is allowed: `of_size` times the size of
/// the number, or of the largest of the pixel, plus `beside`.
fn errors(mixture: Mixture, ranges: &Ranges, of_size: f64, beside: f64) -> [f64; 2] {
    let pixels = 400;
    let (columns, channels) = (mixture.parameters(), mixture.channels());
    let stream = Stream::new(21, "mixture", &[columns as u64, channels as u64]);
    let before = parameters(mixture, pixels, ranges, stream);
    let levels = levels(Stream::new(22, "levels", &[]), pixels * channels);
    let (expected, slopes) = losses_and_gradient(&before, &levels, [columns, channels]);
    let (mut losses, mut after) = (vec![f32::NAN; pixels], before);
    losses_leaving_gradient(mixture, &mut after, &levels, &mut losses);
    let mut worst = [0.0_f64; 2];
    let error = |found: f32, expected: f64, size: f64| {
        assert!(found.is_finite(), "{found}, expected {expected}");
        (f64::from(found) - expected).abs() / (of_size * size + beside)
    };
    for (&found, &expected) in losses.iter().zip(&expected) {
        worst[0] = worst[0].max(error(found, expected, expected.abs()));
    }
    for (found, expected) in after.chunks_exact(columns).zip(slopes.chunks_exact(columns)) {
        let size = expected.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
        for (&found, &expected) in found.iter().zip(expected) {
            worst[1] = worst[1].max(error(found, expected, size));
        }
    }
    worst
}

const FORMS: [[usize; 2]; 6] = [[100, 3], [10, 3], [30, 3], [30, 1], [3, 1], [51, 1]];

fn every_form() -> impl Iterator<Item = Mixture> {
    FORMS.into_iter().map(|[parameters, channels]| Mixture::new(parameters, channels).unwrap())
}

#[test]
fn ordinary_parameters_give_the_likelihood_and_gradient_of_the_reference() {
    for mixture in every_form() {
        let ranges = Ranges { means: [-0.3, 1.3], log_scales: [-3.0, 1.0], others: [-2.0, 2.0] };
        let worst = errors(mixture, &ranges, 1e-5, 1e-6);
        println!("{mixture:?}: {worst:?} of what is allowed");
        assert!(worst.iter().all(|&error| error < 1.0), "{mixture:?}: {worst:?}");
    }
}

/// A rounding of the distance of value and mean is multiplied by up to e^7, whoever computes it in f32.
#[test]
fn extreme_parameters_give_the_likelihood_and_gradient_of_the_reference() {
    for (means, log_scales) in [
        ([-0.1, 1.1], [-9.0, -6.0]),
        ([-3.0, 4.0], [-20.0, 5.0]),
        ([-300.0, 400.0], [-20.0, 5.0]),
        ([-1e4, 1e4], [-4.0, 100.0]),
    ] {
        for mixture in every_form() {
            let ranges = Ranges { means, log_scales, others: [-30.0, 30.0] };
            let steepest = (-f64::from(log_scales[0].max(-7.0))).exp();
            let rounding = 6e-8 * steepest * (f64::from(means[1]) + 1.0);
            let worst = errors(mixture, &ranges, 1e-5 + rounding, 2e-6);
            println!("{mixture:?}, {means:?}, {log_scales:?}: {worst:?} of what is allowed");
            assert!(worst.iter().all(|&error| error < 1.0), "{mixture:?}: {worst:?}");
        }
    }
}

/// PyTorch 2.15 in f64: `scripts/torch_logistic_mixture.py`. Two colour pixels, two components.
#[test]
fn the_order_of_the_parameters_and_the_likelihood_are_those_of_the_definition_in_pytorch() {
    const LOSS: f64 = 36.01733312294416;
    const GRADIENT: [[f64; 20]; 2] = [
        [
            -5.059570584e-01,
            5.059570584e-01,
            1.951834907e-01,
            2.600639769e-01,
            -7.752323044e-04,
            -3.002406310e-01,
            -0.000000000e+00,
            -0.000000000e+00,
            -1.425008556e+00,
            -1.905245053e+00,
            -0.000000000e+00,
            -0.000000000e+00,
            -1.546135265e-01,
            -4.016459716e-01,
            -2.533558159e-01,
            -2.335476437e-01,
            5.300377880e-01,
            3.492003306e-01,
            -2.356433206e+00,
            -4.031019922e+00,
        ],
        [
            2.351276922e-02,
            -2.351276922e-02,
            3.110711907e-05,
            2.332015523e-02,
            1.780204601e-04,
            -1.817130631e-01,
            1.755608721e-04,
            -1.423474037e-01,
            -1.341584660e-03,
            -2.606489984e+00,
            -1.670536184e-04,
            -1.834285079e-01,
            -7.919404661e-07,
            -3.117770780e-03,
            5.984370515e-04,
            9.968097578e-01,
            5.079423522e-04,
            9.694729296e-01,
            -2.244253645e-03,
            -6.647874625e-01,
        ],
    ];
    let mixture = Mixture::new(20, 3).unwrap();
    let mut after: Vec<f32> = (0..40).map(|i| ((37 * i % 41 - 20) as f32) / 10.0).collect();
    let mut losses = [f32::NAN; 2];
    losses_leaving_gradient(mixture, &mut after, &[0, 128, 255, 254, 1, 77], &mut losses);
    let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
    assert!((sum - LOSS).abs() < 1e-5, "{sum}");
    for (i, (found, expected)) in after.iter().zip(GRADIENT.as_flattened()).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= 3e-6 * expected.abs() + 1e-7, "parameter {i}: {found}, PyTorch says {expected}");
    }
}

/// One component, a mean whose distance from the value is all but exact: every digit of f32 counts, into the tails.
#[test]
fn a_single_logistic_is_right_to_the_last_digits() {
    let mixture = Mixture::new(3, 1).unwrap();
    let mut parameters = vec![];
    let mut levels = vec![];
    for level in [0, 1, 2, 127, 253, 254, 255] {
        for log_scale in [-1e30_f32, -20.0, -7.000_001, -7.0, -6.9, -3.0, 0.0, 3.0, 20.0, 80.0, 200.0] {
            for distance in [0.0, 1e-6, 1e-3, 0.015, 0.06, 0.2, 0.7, 20.0] {
                for sign in [-1.0, 1.0] {
                    parameters.extend([0.0, bin::value(level) + sign * distance, log_scale]);
                    levels.push(level);
                }
            }
        }
    }
    let (expected, slopes) = losses_and_gradient(&parameters, &levels, [3, 1]);
    let (mut losses, mut after) = (vec![f32::NAN; levels.len()], parameters.clone());
    losses_leaving_gradient(mixture, &mut after, &levels, &mut losses);
    for (i, &level) in levels.iter().enumerate() {
        let [_, mean, log_scale] = [0, 1, 2].map(|c| f64::from(parameters[3 * i + c]));
        let inverse = (-log_scale.max(-7.0)).exp();
        let a = inverse * (f64::from(bin::value(level)) - mean).abs();
        // a itself is right to some units in the last place, and so are exponentials of it to `a` times as many.
        let room = 1e-6 + 3e-7 * a;
        let near = |found: f32, expected: f64, beside: f64| {
            (f64::from(found) - expected).abs() <= room * expected.abs() + beside
        };
        let case = || format!("level {level}, mean {mean}, log-scale {log_scale}");
        assert!(near(losses[i], expected[i], 1e-7), "{}: {}, {}", case(), losses[i], expected[i]);
        assert_eq!(after[3 * i], 0.0, "{}: a single component is responsible for all", case());
        // What the reference itself loses where it takes a slope of s at one end from that at the other.
        let noise = 3e-16 * inverse * expected[i].exp() + 1e-37;
        let [by_mean, by_log_scale] = [1, 2].map(|c| (after[3 * i + c], slopes[3 * i + c]));
        assert!(near(by_mean.0, by_mean.1, noise), "{}: by mean {by_mean:?}", case());
        assert!(near(by_log_scale.0, by_log_scale.1, 1e-6), "{}: by scale {by_log_scale:?}", case());
        if parameters[3 * i + 2] < -7.0 {
            assert_eq!(by_log_scale.0, 0.0, "{}: a clamped log-scale has no gradient", case());
        }
    }
}

/// Adding the same to all logits changes nothing: here they are whole numbers times 8, so that sums up to 1e8 are exact.
#[test]
fn the_likelihood_does_not_depend_on_the_height_of_the_logits() {
    for mixture in every_form() {
        let [columns, channels, k] = [mixture.parameters(), mixture.channels(), mixture.components()];
        let ranges = Ranges { means: [-0.3, 1.3], log_scales: [-3.0, 1.0], others: [-2.0, 2.0] };
        let mut low = parameters(mixture, 32, &ranges, Stream::new(25, "mixture", &[]));
        let levels = levels(Stream::new(26, "levels", &[]), 32 * channels);
        let with_logits = |numbers: &[f32], change: &dyn Fn(f32) -> f32| {
            let mut numbers = numbers.to_vec();
            numbers
                .chunks_exact_mut(columns)
                .flat_map(|row| &mut row[..k])
                .for_each(|logit| *logit = change(*logit));
            numbers
        };
        low = with_logits(&low, &|logit| (logit.round() * 8.0).clamp(-8.0, 8.0));
        let (expected, slopes) = losses_and_gradient(&low, &levels, [columns, channels]);
        for height in [0.0, 1e4, -1e4, 1e6, -1e6, 1e8, -1e8] {
            let mut after = with_logits(&low, &|logit| logit + height);
            let mut found = vec![f32::NAN; 32];
            losses_leaving_gradient(mixture, &mut after, &levels, &mut found);
            let near = |found: f32, expected: f64, size: f64| {
                (f64::from(found) - expected).abs() < 1e-5 * size + 1e-6
            };
            for (pixel, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
                let what = format!("{mixture:?} at {height}, pixel {pixel}");
                assert!(near(found, expected, expected.abs()), "{what}: {found}, expected {expected}");
            }
            for (found, expected) in after.chunks_exact(columns).zip(slopes.chunks_exact(columns)) {
                let size = expected.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
                let right = found.iter().zip(expected).all(|(&found, &expected)| near(found, expected, size));
                assert!(right, "{mixture:?} at {height}: {found:?}, expected {expected:?}");
            }
        }
    }
}

/// The likeliest component by far, before and after the pixel is seen: the gradient of its logit is the difference of two
/// numbers that are nearly 1, and equal to the digits of f32. Of two components it is (1 - r) - (1 - p), where 1 - p and
/// 1 - r are those of the other.
#[test]
fn the_gradient_of_a_confident_logit_keeps_its_digits() {
    let mixture = Mixture::new(6, 1).unwrap();
    for above in [0.5_f32, 8.0, 16.0, 20.0, 40.0, 70.0] {
        for height in [0.0, 1024.0, -1e6] {
            for (levels, means) in
                [([128_u32], [0.4, 0.6]), ([128], [0.2, 0.55]), ([0], [0.1, 0.3]), ([255], [1.0, 0.5])]
            {
                for likeliest in [0, 1] {
                    let mut row = [height, height, means[0], means[1], -2.0, -1.5];
                    row[likeliest] += above;
                    let mean_and_scale =
                        |i: usize| [row[2 + i], row[4 + i]].map(|x| Dual::constant(f64::from(x)));
                    let log_probability = |i| {
                        let [mean, log_scale] = mean_and_scale(i);
                        reference::log_probability(levels[0], mean, log_scale).value
                    };
                    // Odds of the other against the likeliest.
                    let prior = (-f64::from(above)).exp();
                    let joint = prior * (log_probability(1 - likeliest) - log_probability(likeliest)).exp();
                    let expected = joint / (1.0 + joint) - prior / (1.0 + prior);
                    let mut after = row;
                    let mut loss = [f32::NAN];
                    losses_leaving_gradient(mixture, &mut after, &levels, &mut loss);
                    let what = format!("{row:?}, level {levels:?}");
                    for (found, expected) in [(after[likeliest], expected), (after[1 - likeliest], -expected)]
                    {
                        let error = (f64::from(found) - expected).abs();
                        // A number as large as `above` is rounded twice before it becomes an exponent.
                        let of_size = 3e-6 + 1.2e-7 * f64::from(above);
                        let room = of_size * (joint / (1.0 + joint)).max(prior / (1.0 + prior));
                        assert!(error < room, "{what}: {found:e}, expected {expected:e}");
                    }
                    let expected = prior.ln_1p() - joint.ln_1p() - log_probability(likeliest);
                    assert!(
                        (f64::from(loss[0]) - expected).abs() < 2e-6 * expected,
                        "{what}: {loss:?}, {expected}"
                    );
                }
            }
        }
    }
}

/// A log-scale of exactly -7 is not clamped: its gradient passes, as `torch.clamp(log_scale, min=-7)` has it.
#[test]
fn the_gradient_of_the_least_log_scale_passes() {
    let mixture = Mixture::new(3, 1).unwrap();
    for (level, distance) in [(0, 0.003), (128, 0.001), (128, 0.01), (255, -0.003)] {
        let slope_at = |log_scale: f32| {
            let mut row = [0.0, bin::value(level) + distance, log_scale];
            losses_leaving_gradient(mixture, &mut row, &[level], &mut [0.0]);
            row[2]
        };
        let (at, above) = (slope_at(-7.0), slope_at(-6.999_999_5));
        assert!(
            at.abs() > 0.01 && (at - above).abs() < 1e-4 * above.abs(),
            "level {level}: {at}, above {above}"
        );
        assert_eq!(slope_at(-7.000_000_5), 0.0, "level {level}");
    }
}

/// The levels share the line among them, so their probabilities add up to 1, and 254 times the floor.
#[test]
fn the_probabilities_of_all_levels_add_up() {
    let mixture = Mixture::new(6, 1).unwrap();
    for means in [[0.3, 0.7], [-0.4, 0.5], [1.2, 1.0], [-50.0, 0.001]] {
        for log_scales in [[-7.0, -6.5], [-4.0, -9.0], [-1.0, 3.0], [0.5, -5.0]] {
            let row = [[0.4, -1.0], means, log_scales].concat();
            let levels: Vec<u32> = (0..LEVELS).collect();
            let mut found = vec![f32::NAN; 256];
            losses(mixture, &row.repeat(256), &levels, &mut found);
            let sum: f64 = found.iter().map(|&loss| (-f64::from(loss)).exp()).sum();
            assert!((sum - (1.0 + 254e-7)).abs() < 2e-5, "{row:?}: {sum}");
        }
    }
}

#[test]
fn passes_agree_and_pixels_do_not_see_each_other_on_every_instruction_set() {
    let same = |found: &[f32], expected: &[f32], what: &str| {
        let different = found.iter().zip(expected).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(different, None, "{what}: the first of {} numbers that differs", found.len());
    };
    for mixture in every_form() {
        let [columns, channels] = [mixture.parameters(), mixture.channels()];
        let ranges = Ranges { means: [-0.5, 1.5], log_scales: [-8.0, 2.0], others: [-3.0, 3.0] };
        let all = parameters(mixture, 67, &ranges, Stream::new(23, "mixture", &[]));
        let levels = levels(Stream::new(24, "levels", &[]), 67 * channels);
        // One pixel at a time is what the others are held against.
        let (mut expected, mut slopes) = (vec![f32::NAN; 67], all.clone());
        for pixel in 0..67 {
            losses_leaving_gradient(
                mixture,
                &mut slopes[pixel * columns..][..columns],
                &levels[pixel * channels..][..channels],
                &mut expected[pixel..=pixel],
            );
        }
        for &isa in Isa::supported() {
            let (mut scratch, mut of_all) = (vec![f32::NAN; mixture.scratch()], vec![f32::NAN; 67]);
            let (mut after, scratch) = (all.clone(), &mut scratch[..]);
            isa.run(Losses { mixture, parameters: &all, levels: &levels, losses: &mut of_all, scratch });
            let what = format!("{mixture:?} on {}", isa.name());
            same(&of_all, &expected, &what);
            let (parameters, losses) = (&mut after[..], &mut of_all[..]);
            isa.run(LossesAndGradient { mixture, parameters, levels: &levels, scale: None, losses, scratch });
            same(&of_all, &expected, &what);
            same(&after, &slopes, &what);
        }
        let mut after = vec![f32::NAN; all.len()];
        gradient(mixture, &all, &levels, &[1.0; 67], &mut after);
        same(&after, &slopes, "the gradient alone");
    }
}

#[test]
fn what_is_no_number_shows_in_the_loss() {
    for mixture in every_form() {
        let columns = mixture.parameters();
        for column in 0..columns {
            let mut row = vec![0.5; columns];
            row[column] = f32::NAN;
            let levels = vec![100; mixture.channels()];
            let mut loss = [0.0];
            losses(mixture, &row, &levels, &mut loss);
            assert!(loss[0].is_nan(), "{mixture:?}: {} with NaN in column {column}", loss[0]);
            losses_leaving_gradient(mixture, &mut row, &levels, &mut loss);
            assert!(row.iter().all(|slope| slope.is_nan()), "{mixture:?}, NaN in column {column}: {row:?}");
        }
        // A logit of minus infinity is a component that is not there; one of infinity leaves no number.
        let k = mixture.components();
        for logit in [f32::NEG_INFINITY, f32::INFINITY] {
            let mut row = vec![0.5; columns];
            row[0] = logit;
            let levels = vec![100; mixture.channels()];
            let mut loss = [0.0];
            losses_leaving_gradient(mixture, &mut row, &levels, &mut loss);
            if logit < 0.0 && k > 1 {
                assert!(
                    loss[0].is_finite() && row.iter().all(|slope| slope.is_finite()),
                    "{mixture:?}: {row:?}"
                );
                assert!(row.iter().step_by(k).all(|&slope| slope == 0.0), "{mixture:?}: {row:?}");
            } else {
                assert!(loss[0].is_nan() && row.iter().all(|slope| slope.is_nan()), "{mixture:?}: {row:?}");
            }
        }
    }
}

#[test]
fn only_whole_mixtures_exist() {
    for (parameters, channels) in [(0, 1), (0, 3), (31, 3), (30, 2), (30, 0), (3, 3)] {
        assert_eq!(Mixture::new(parameters, channels), None, "{parameters} for {channels} channels");
    }
    let mixture = Mixture::new(30, 3).unwrap();
    assert_eq!([mixture.parameters(), mixture.channels(), mixture.components()], [30, 3, 3]);
}
