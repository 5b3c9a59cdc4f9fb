//! Where the statistics of a batch normalisation come from, and what it is once they are known: for `batch_norm.rs`, which
//! says the equations, and for the fused ops that have one inside.

use crate::autograd::{Mismatch, require};
use crate::kernels::norm::{self, Affine, Coefficients, ThroughStatistics};
use crate::tensor::Shape;
use std::sync::Arc;

/// eps, which keeps the division by the standard deviation finite. PyTorch's default, used by the published models.
pub(crate) const EPSILON: f32 = 1e-5;

/// Means and biased variances of columns.
#[derive(Clone)]
pub enum Statistics {
    /// Those of the batch: what trains.
    OfBatch,
    /// These, as numbers that do not change.
    Given {
        /// One a column.
        mean: Arc<[f32]>,
        /// One a column.
        variance: Arc<[f32]>,
    },
}

impl std::fmt::Debug for Statistics {
    /// Without the numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Statistics::OfBatch) { "OfBatch" } else { "Given" })
    }
}

impl Statistics {
    /// Fails unless x can be normalised by them, with each gamma and beta of these shapes.
    ///
    /// # Errors
    /// If gamma, beta or given statistics are of other columns than x, or a batch has no two rows to differ.
    pub(super) fn check(&self, x: Shape, gamma_and_beta: [Shape; 2]) -> Result<(), Mismatch> {
        let (rows, columns) = (x.rows(), x.columns());
        require!(x.rank() >= 2, "what is normalised must have rows and columns");
        require!(
            gamma_and_beta.iter().all(|s| s.sizes() == [columns]),
            "gamma and beta must have {columns} numbers"
        );
        match self {
            Statistics::OfBatch => require!(rows >= 2, "{rows} rows have no variance: it takes at least 2"),
            Statistics::Given { mean, variance } => require!(
                [mean.len(), variance.len()] == [columns; 2],
                "statistics of {} columns for {columns}",
                mean.len()
            ),
        }
        Ok(())
    }

    /// Writes those of x: the means, then the variances.
    pub(super) fn write(&self, x: &[f32], saved: &mut [f32]) {
        let (means, variances) = saved.split_at_mut(saved.len() / 2);
        match self {
            Statistics::OfBatch => norm::mean_and_variance(x, means, variances),
            Statistics::Given { mean, variance } => {
                means.copy_from_slice(mean);
                variances.copy_from_slice(variance);
            }
        }
    }
}

/// A batch normalisation whose statistics are known: times (gamma u + beta) with u = (x - mean) / sqrt(variance + eps).
#[derive(Clone, Copy)]
pub(super) struct Normalization<'a> {
    pub(super) statistics: &'a Statistics,
    /// The means, then the variances.
    pub(super) saved: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) beta: &'a [f32],
    /// A factor on all of it.
    pub(super) times: f32,
}

impl<'a> Normalization<'a> {
    pub(super) fn columns(self) -> usize {
        self.gamma.len()
    }

    pub(super) fn mean(self) -> &'a [f32] {
        &self.saved[..self.columns()]
    }

    fn variance(self) -> &'a [f32] {
        &self.saved[self.columns()..]
    }

    /// As an affine map, in memory for two numbers a column.
    pub(super) fn affine(self, memory: &'a mut [f32]) -> Affine<'a> {
        let (scale, shift) = memory.split_at_mut(self.columns());
        scales(self.gamma, self.variance(), scale);
        scale.iter_mut().for_each(|scale| *scale *= self.times);
        shift.iter_mut().zip(self.beta).for_each(|(shift, beta)| *shift = self.times * beta);
        Affine { mean: self.mean(), scale, shift }
    }

    /// The gradients of gamma and beta, from the sums of g and of g (x - mean).
    pub(super) fn parameter_gradients(
        self,
        sums: &[f32],
        dgamma: &mut Option<&mut [f32]>,
        dbeta: &mut Option<&mut [f32]>,
    ) {
        let (plain, weighted) = sums.split_at(self.columns());
        if let Some(dgamma) = dgamma {
            for ((dgamma, weighted), variance) in dgamma.iter_mut().zip(weighted).zip(self.variance()) {
                *dgamma = (f64::from(self.times * weighted) * one_over_sd(*variance)) as f32;
            }
        }
        if let Some(dbeta) = dbeta {
            dbeta.iter_mut().zip(plain).for_each(|(dbeta, plain)| *dbeta = self.times * plain);
        }
    }

    /// The numbers that give dx from these sums, in memory for three a column.
    pub(super) fn coefficients(self, sums: &[f32], rows: usize, memory: &'a mut [f32]) -> Coefficients<'a> {
        let (gradient, rest) = memory.split_at_mut(self.columns());
        scales(self.gamma, self.variance(), gradient);
        gradient.iter_mut().for_each(|gradient| *gradient *= self.times);
        let statistics = match self.statistics {
            Statistics::OfBatch => Some(self.through_statistics(sums, rows, gradient, rest)),
            Statistics::Given { .. } => None,
        };
        Coefficients { gradient, statistics }
    }

    /// b and c of these numbers, from a and in memory for two a column.
    fn through_statistics(
        self,
        sums: &[f32],
        rows: usize,
        gradient: &[f32],
        memory: &'a mut [f32],
    ) -> ThroughStatistics<'a> {
        let (columns, rows) = (self.columns(), rows as f32);
        let (plain, weighted) = sums.split_at(columns);
        let (input, constant) = memory.split_at_mut(columns);
        for c in 0..columns {
            let one_over_sd = one_over_sd(self.variance()[c]);
            // dgamma first, whose size is that of g.
            let dgamma = f64::from(weighted[c]) * one_over_sd;
            input[c] = (-f64::from(gradient[c]) * one_over_sd * (dgamma / f64::from(rows))) as f32;
            constant[c] = -gradient[c] * plain[c] / rows;
        }
        ThroughStatistics { mean: self.mean(), input, constant }
    }
}

/// 1 / sqrt(v + eps), in f64: an error here would be one of all numbers of a column.
fn one_over_sd(variance: f32) -> f64 {
    1.0 / (f64::from(variance) + f64::from(EPSILON)).sqrt()
}

/// What u is multiplied by: gamma / sqrt(v + eps).
fn scales(gamma: &[f32], variance: &[f32], scale: &mut [f32]) {
    for ((scale, gamma), variance) in scale.iter_mut().zip(gamma).zip(variance) {
        *scale = (f64::from(*gamma) * one_over_sd(*variance)) as f32;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, maximum};
    use crate::ops::Activation;

    /// Given statistics that differ from column to column.
    pub(in crate::ops) fn given(columns: usize) -> Statistics {
        let mean = (0..columns).map(|c| 0.1 * c as f32 - 0.3).collect();
        let variance = (0..columns).map(|c| 0.5 + 0.1 * c as f32).collect();
        Statistics::Given { mean, variance }
    }

    /// x normalised, then activated, in f64.
    pub(in crate::ops) fn normalized(
        statistics: &Statistics,
        activation: Activation,
        x: &Array64,
        gamma: &Array64,
        beta: &Array64,
    ) -> Array64 {
        let (rows, columns) = (x.shape.rows(), x.shape.columns());
        let mut y = x.clone();
        for c in 0..columns {
            let column = || (0..rows).map(|r| x.data[r * columns + c]);
            let (mean, variance) = match statistics {
                Statistics::OfBatch => {
                    let mean = column().sum::<f64>() / rows as f64;
                    (mean, column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64)
                }
                Statistics::Given { mean, variance } => (f64::from(mean[c]), f64::from(variance[c])),
            };
            for r in 0..rows {
                let u = (x.data[r * columns + c] - mean) / (variance + f64::from(EPSILON)).sqrt();
                y.data[r * columns + c] = activated(activation, gamma.data[c] * u + beta.data[c]);
            }
        }
        y
    }

    pub(in crate::ops) fn activated(activation: Activation, z: f64) -> f64 {
        match activation {
            Activation::Identity => z,
            Activation::Relu => maximum(z, 0.0),
            Activation::LeakyRelu => maximum(z, 0.01 * z),
        }
    }
}
