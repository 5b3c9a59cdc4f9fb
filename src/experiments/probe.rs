//! Linear probes: multinomial logistic regression, to ask what can be read off a latent.
//!
//! On standardised columns (mean 0, standard deviation 1 over the rows trained on), with the penalty 1/2 |W|^2 on the
//! weights and none on the intercepts (scikit-learn's C = 1):
//!
//! ```text
//! W, c = argmin sum_i CE(softmax(W x_i + c), y_i) + 1/2 |W|^2
//! ```
//!
//! Of two labels scikit-learn has a single vector of weights, w = W_1 - W_0. At the solution W_1 = w / 2 = -W_0, so that
//! |W|^2 = 1/2 |w|^2: the penalty on W is then twice as large, for the same solution.
//!
//! This is convex and has one solution. It is found from 0 on all rows at once, in f64: no random numbers, and sums cut
//! by the number of rows alone.

use super::assert_finite;
use super::lbfgs::{dot, minimise};
use crate::elementary::{exp, ln};
use crate::parallel;
use crate::tensor::Tensor;

/// Rows that are dealt with as one task.
const BLOCK: usize = 128;

/// The largest derivative of the mean loss of a row at the solution, in nats.
const TOLERANCE: f64 = 1e-8;

/// A linear classifier of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The labels that it was trained on, ascending.
    labels: Vec<u32>,
    mean: Vec<f64>,
    sd: Vec<f64>,
    /// For each label, the weights of the standardised columns and the intercept.
    weights: Vec<f64>,
}

impl Probe {
    /// Learns to tell the labels of `rows` (rows, columns).
    ///
    /// # Panics
    /// If there is no row, or not a label for each, or a number is not finite.
    #[track_caller]
    pub fn fit(rows: &Tensor, labels: &[u32]) -> Self {
        assert_finite(rows);
        let [count, columns] = [rows.shape().rows(), rows.shape().columns()];
        assert_eq!(labels.len(), count, "labels, and rows to be told apart by them");
        assert!(count > 0, "a probe that learns from no rows");
        let mut distinct = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let (mean, sd) = moments(rows);
        let mut probe =
            Probe { weights: vec![0.0; distinct.len() * (columns + 1)], labels: distinct, mean, sd };
        let place = |label: &u32| probe.labels.binary_search(label).expect("one of the labels");
        let targets: Vec<usize> = labels.iter().map(place).collect();
        let inputs = probe.standardise(rows);
        let start = probe.weights.clone();
        let penalty = penalty(probe.labels.len());
        probe.weights = parallel::on_threads(|| {
            minimise(start, TOLERANCE, |weights| objective(weights, penalty, &inputs, &targets, columns + 1))
        });
        probe
    }

    /// The likeliest label of each row.
    ///
    /// # Panics
    /// As [`Probe::probabilities`].
    #[track_caller]
    pub fn predict(&self, rows: &Tensor) -> Vec<u32> {
        // Of equal ones the first.
        let likeliest = |p: &[f64]| (0..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best });
        self.probabilities(rows).iter().map(|p| self.labels[likeliest(p)]).collect()
    }

    /// The probabilities of the labels, in ascending order of these, for each row.
    ///
    /// # Panics
    /// If they have other columns than those that it was trained on, or a number is not finite.
    #[track_caller]
    pub fn probabilities(&self, rows: &Tensor) -> Vec<Vec<f64>> {
        assert_finite(rows);
        let columns = self.mean.len();
        assert_eq!(rows.shape().columns(), columns, "columns of the rows, and of those trained on");
        let mut probabilities = vec![0.0; self.labels.len()];
        let softmax_of = |row: &[f64]| {
            softmax(&self.weights, row, &mut probabilities);
            probabilities.clone()
        };
        self.standardise(rows).chunks_exact(columns + 1).map(softmax_of).collect()
    }

    /// The rows as the classifier sees them, each with a 1 behind it for the intercept.
    fn standardise(&self, rows: &Tensor) -> Vec<f64> {
        let columns = self.mean.len();
        let mut standardised = Vec::with_capacity(rows.shape().rows() * (columns + 1));
        for row in rows.data().chunks_exact(columns) {
            let moments = self.mean.iter().zip(&self.sd);
            let numbers = row.iter().zip(moments);
            standardised.extend(numbers.map(|(&x, (mean, sd))| (f64::from(x) - mean) / sd));
            standardised.push(1.0);
        }
        standardised
    }
}

/// Mean and standard deviation of each column; 1 for the latter if it is no more than the rounding of f32.
fn moments(rows: &Tensor) -> (Vec<f64>, Vec<f64>) {
    let [count, columns] = [rows.shape().rows(), rows.shape().columns()];
    let column_means = |term: &dyn Fn(usize, f64) -> f64| {
        let mut sums = vec![0.0; columns];
        for row in rows.data().chunks_exact(columns) {
            for (column, (sum, &x)) in sums.iter_mut().zip(row).enumerate() {
                *sum += term(column, f64::from(x));
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= count as f64);
        sums
    };
    let mean = column_means(&|_, x| x);
    let mut sd = column_means(&|column, x| (x - mean[column]) * (x - mean[column]));
    for (sd, mean) in sd.iter_mut().zip(&mean) {
        *sd = sd.sqrt();
        if *sd <= 1e-6 * mean.abs() {
            *sd = 1.0;
        }
    }
    (mean, sd)
}

/// Writes the probabilities of all labels for one row. Returns the largest logit, and ln sum exp(logit - largest): their sum
/// would lose the digits of the second beside a large logit.
fn softmax(weights: &[f64], row: &[f64], probabilities: &mut [f64]) -> [f64; 2] {
    for (logit, weights) in probabilities.iter_mut().zip(weights.chunks_exact(row.len())) {
        *logit = dot(weights, row);
    }
    let largest = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    probabilities.iter_mut().for_each(|logit| *logit = exp(*logit - largest));
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|p| *p /= sum);
    [largest, ln(sum)]
}

/// What 1/2 |W|^2 is multiplied by, for so many labels: see the head of the file.
fn penalty(labels: usize) -> f64 {
    if labels == 2 { 2.0 } else { 1.0 }
}

/// The objective and its gradient, both divided by the number of rows. Each row of `inputs` has `width` numbers, the last
/// of them 1.
fn objective(
    weights: &[f64],
    penalty: f64,
    inputs: &[f64],
    targets: &[usize],
    width: usize,
) -> (f64, Vec<f64>) {
    let count = targets.len();
    let blocks = parallel::map(count.div_ceil(BLOCK), |block| {
        let rows = block * BLOCK..count.min((block + 1) * BLOCK);
        let (mut loss, mut gradient) = (0.0, vec![0.0; weights.len()]);
        let mut probabilities = vec![0.0; weights.len() / width];
        for i in rows {
            let row = &inputs[i * width..][..width];
            let [largest, rest] = softmax(weights, row, &mut probabilities);
            loss += (largest - dot(&weights[targets[i] * width..][..width], row)) + rest;
            probabilities[targets[i]] -= 1.0;
            for (slope, gradient) in probabilities.iter().zip(gradient.chunks_exact_mut(width)) {
                for (sum, number) in gradient.iter_mut().zip(row) {
                    *sum += slope * number;
                }
            }
        }
        (loss, gradient)
    });
    let (mut loss, mut gradient) = (0.0, vec![0.0; weights.len()]);
    for (of_block, slopes) in &blocks {
        loss += of_block;
        gradient.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
    }
    let columns = width - 1;
    for (weights, gradient) in weights.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
        loss += penalty * dot(&weights[..columns], &weights[..columns]) / 2.0;
        gradient.iter_mut().zip(&weights[..columns]).for_each(|(slope, weight)| *slope += penalty * weight);
    }
    gradient.iter_mut().for_each(|slope| *slope /= count as f64);
    (loss / count as f64, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::reference;
    use crate::rng::Stream;

    /// scripts/sklearn_reference.py
    #[test]
    fn the_solution_is_that_of_scikit_learn() {
        let weights = [
            [
                -1.219388651,
                -1.367078328,
                0.975993652,
                0.964876568,
                1.314724664,
                -0.478479647,
                -0.488765353,
                -0.468574853,
                -0.538608653,
            ],
            [
                0.704042164,
                1.228344439,
                0.711760716,
                -0.730518258,
                -0.311736803,
                1.055010799,
                0.786061488,
                -0.788942980,
                -0.356927307,
            ],
            [
                0.351927839,
                -1.109427374,
                -0.302947497,
                -0.248354390,
                -0.334188681,
                -0.182013202,
                0.769498289,
                0.408622862,
                1.366292371,
            ],
            [
                0.163418647,
                1.248161263,
                -1.384806871,
                0.013996080,
                -0.668799180,
                -0.394517950,
                -1.066794425,
                0.848894971,
                -0.470756412,
            ],
        ];
        let probabilities = [
            [0.314244637, 0.097014398, 0.584201658, 0.004539306],
            [0.000007311, 0.001193996, 0.005547789, 0.993250905],
            [0.994596493, 0.000012928, 0.005353015, 0.000037564],
            [0.009380286, 0.965569530, 0.024967346, 0.000082837],
            [0.077290302, 0.030812392, 0.889372039, 0.002525268],
        ];
        let (points, labels) = reference::points();
        let [train, held_out] = [0..150, 150..200]
            .map(|rows| Tensor::new([rows.len(), 8], &points.data()[rows.start * 8..rows.end * 8]));
        let probe = Probe::fit(&train, &labels[..150]);
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        for (found, expected) in probe.weights.iter().zip(weights.as_flattened()) {
            close(*found, *expected);
        }
        for (found, expected) in
            probe.probabilities(&held_out).iter().flatten().zip(probabilities.as_flattened())
        {
            close(*found, *expected);
        }
        let answers = probe.predict(&held_out);
        assert_eq!(answers.iter().zip(&labels[150..]).filter(|(answer, label)| answer == label).count(), 47);
    }

    /// The same script: the labels modulo 2. With the penalty of more labels the weights were those of C = 2.
    #[test]
    fn of_two_labels_it_is_that_of_scikit_learn_too() {
        let expected = [
            0.837911165,
            3.077802424,
            -0.762566635,
            -0.486942811,
            -0.510350389,
            1.037031073,
            -0.674340412,
            -0.006427831,
            0.000857117,
        ];
        let probabilities = [0.079309376, 0.997820570, 0.000832446, 0.624541125, 0.029526940];
        let (points, labels) = reference::points();
        let labels: Vec<u32> = labels.iter().map(|label| label % 2).collect();
        let [train, held_out] = [0..150, 150..200]
            .map(|rows| Tensor::new([rows.len(), 8], &points.data()[rows.start * 8..rows.end * 8]));
        let probe = Probe::fit(&train, &labels[..150]);
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        let (first, second) = probe.weights.split_at(9);
        for ((first, second), expected) in first.iter().zip(second).zip(expected) {
            close(second - first, expected);
        }
        for (found, expected) in probe.probabilities(&held_out).iter().zip(probabilities) {
            close(found[1], expected);
        }
        let answers = probe.predict(&held_out);
        assert_eq!(answers.iter().zip(&labels[150..]).filter(|(answer, label)| answer == label).count(), 49);
    }

    #[test]
    #[should_panic(expected = "rows with a number that is not finite")]
    fn numbers_that_are_not_finite_are_a_bug() {
        Probe::fit(&Tensor::new([2, 1], &[0.0, f32::NAN]), &[0, 1]);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_objective_and_vanishes_at_the_solution() {
        let (points, labels) = reference::points();
        let probe = Probe::fit(&points, &labels);
        let inputs = probe.standardise(&points);
        let targets: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
        let at = |weights: &[f64]| objective(weights, 1.0, &inputs, &targets, 9);
        let (_, gradient) = at(&probe.weights);
        assert!(gradient.iter().all(|slope| slope.abs() <= TOLERANCE), "{gradient:?}");
        let mut weights: Vec<f64> = (0..36).map(|i| f64::from(i * 5 % 13) / 10.0 - 0.6).collect();
        let (_, gradient) = at(&weights);
        for (i, slope) in gradient.iter().enumerate() {
            let here = weights[i];
            let sides = [-1e-5, 1e-5].map(|step| {
                weights[i] = here + step;
                at(&weights).0
            });
            weights[i] = here;
            let quotient = (sides[1] - sides[0]) / 2e-5;
            assert!((slope - quotient).abs() < 1e-9, "weight {i}: {slope}, expected {quotient}");
        }
    }

    #[test]
    fn labels_need_not_be_consecutive_and_columns_may_be_constant() {
        let rows = Tensor::new([4, 3], &[1.0, 0.1, -2.0, 1.0, 0.1, 2.0, 1.0, 0.1, -2.5, 1.0, 0.1, 2.5]);
        let probe = Probe::fit(&rows, &[7, 3, 7, 3]);
        assert_eq!(probe.predict(&rows), [7, 3, 7, 3]);
        assert!(probe.weights.iter().all(|weight| weight.is_finite()));
        assert_eq!(Probe::fit(&rows, &[5; 4]).predict(&rows), [5; 4]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let mut rows = Tensor::zeros([700, 9]);
        Stream::new(11, "threads", &[]).fill_normal(0, rows.data_mut());
        let labels: Vec<u32> = (0..700).map(|i| i % 5).collect();
        let probes = [1, 2, 3].map(|threads| parallel::with_threads(threads, || Probe::fit(&rows, &labels)));
        assert_eq!(probes[0], probes[1]);
        assert_eq!(probes[0], probes[2]);
    }
}
