//! Means and variances against f64, beside what PyTorch's way of computing them makes of the same numbers.

use super::mean_and_variance;
use crate::rng::Stream;

const COLUMNS: usize = 17;

/// Rows of numbers around `offset`, of a standard deviation of 1; in row `at` of every column an outlier.
fn numbers(rows: usize, offset: f32, outlier: Option<(usize, f32)>) -> Vec<f32> {
    let stream = Stream::new(7, "statistics", &[]);
    let uniform = |i: u64| (stream.uniform(i) - 0.5) * 12_f32.sqrt() + offset;
    let mut x: Vec<f32> = (0..(rows * COLUMNS) as u64).map(uniform).collect();
    if let Some((at, outlier)) = outlier {
        for (c, x) in x[at * COLUMNS..][..COLUMNS].iter_mut().enumerate() {
            *x = outlier * (1.0 + 0.01 * c as f32);
        }
    }
    x
}

/// The worst relative errors of means and variances: ours, then those of PyTorch's kernel for channels-last images on one
/// thread (`batch_norm_cpu_collect_stats_channels_last_impl`): in f32 the sum over the rows, then the sum of the
/// squared deviations.
fn errors(x: &[f32]) -> [[f64; 2]; 2] {
    let rows = x.len() / COLUMNS;
    let (mut mean, mut variance) = ([f32::NAN; COLUMNS], [f32::NAN; COLUMNS]);
    mean_and_variance(x, &mut mean, &mut variance);
    let mut worst = [[0.0_f64; 2]; 2];
    for c in 0..COLUMNS {
        let column = || x[c..].iter().step_by(COLUMNS).copied();
        let exact_mean = column().map(f64::from).sum::<f64>() / rows as f64;
        let exact = column().map(|x| (f64::from(x) - exact_mean).powi(2)).sum::<f64>() / rows as f64;
        let mut sum = 0.0_f32;
        column().for_each(|x| sum += x);
        let their_mean = sum / rows as f32;
        let mut squares = 0.0_f32;
        column().for_each(|x| squares += (x - their_mean) * (x - their_mean));
        for (worst, (mean, variance)) in
            worst.iter_mut().zip([(mean[c], variance[c]), (their_mean, squares / rows as f32)])
        {
            worst[0] = worst[0].max((f64::from(mean) - exact_mean).abs() / exact_mean.abs());
            worst[1] = worst[1].max((f64::from(variance) - exact).abs() / exact);
        }
    }
    worst
}

#[test]
fn statistics_with_an_outlier_are_more_exact_than_pytorchs() {
    for rows in [128, 1000, 10_000] {
        for outlier in [1e4, 1e6, 1e8] {
            // First of a block, within one, first of a later block, last of all.
            for at in [0, 5, 128, rows - 1].into_iter().filter(|&at| at < rows) {
                let [ours, theirs] = errors(&numbers(rows, 0.0, Some((at, outlier))));
                println!("{rows} rows, {outlier:e} at {at}: {ours:?}, PyTorch's way {theirs:?}");
                // A handful of units in the last place: PyTorch's way is between 2e-7 and 1e-4 off.
                assert!(ours[0] < 5e-7 && ours[1] < 5e-7, "{rows} rows, {outlier:e} at {at}: {ours:?}");
            }
        }
    }
}

#[test]
fn statistics_far_from_zero_are_more_exact_than_pytorchs() {
    for (rows, offset) in [(1000, 100.0), (10_000, 100.0), (10_000, 1e4)] {
        let [ours, theirs] = errors(&numbers(rows, offset, None));
        println!("{rows} rows around {offset}: {ours:?}, PyTorch's way {theirs:?}");
        // PyTorch's way is between 1e-6 and 4e-4 off.
        assert!(ours[0] < 1.2e-7 && ours[1] < 5e-7, "{rows} rows around {offset}: {ours:?}");
    }
}
