//! Where the statistics of a batch normalisation come from, for the ops that have one inside.

use super::batch_norm::{Gradient, gradient_of_gamma, scales};
use crate::autograd::{Mismatch, require};
use crate::kernels::norm::{self, Affine, Coefficients};
use std::sync::Arc;

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
    /// Fails unless so many rows and columns can be normalised by them.
    ///
    /// # Errors
    /// If given statistics are of other columns, or a batch has no two rows to differ.
    pub(super) fn check(&self, rows: usize, columns: usize) -> Result<(), Mismatch> {
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

    fn mean(self) -> &'a [f32] {
        &self.saved[..self.columns()]
    }

    /// As an affine map, in memory for two numbers a column.
    pub(super) fn affine(self, memory: &'a mut [f32]) -> Affine<'a> {
        let (scale, shift) = memory.split_at_mut(self.columns());
        scales(self.gamma, &self.saved[self.columns()..], scale);
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
            gradient_of_gamma(weighted, &self.saved[self.columns()..], self.times, dgamma);
        }
        if let Some(dbeta) = dbeta {
            dbeta.iter_mut().zip(plain).for_each(|(dbeta, plain)| *dbeta = self.times * plain);
        }
    }

    /// The numbers that give dx, in memory for three a column.
    pub(super) fn coefficients(
        self,
        sums: &'a [f32],
        rows: usize,
        memory: &'a mut [f32],
    ) -> Coefficients<'a> {
        let (mean, variance) = self.saved.split_at(self.columns());
        let gradient = Gradient { mean, variance, gamma: self.gamma, sums };
        match self.statistics {
            Statistics::OfBatch => gradient.coefficients(rows, self.times, memory),
            Statistics::Given { .. } => {
                let scale = &mut memory[..self.columns()];
                gradient.scale(self.times, scale);
                Coefficients { gradient: scale, statistics: None }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::Array64;
    use crate::ops::Activation::Identity;
    use crate::ops::EPSILON;
    use crate::ops::batch_norm::tests::reference;

    /// Given statistics that differ from column to column.
    pub(in crate::ops) fn given(columns: usize) -> Statistics {
        let mean = (0..columns).map(|c| 0.1 * c as f32 - 0.3).collect();
        let variance = (0..columns).map(|c| 0.5 + 0.1 * c as f32).collect();
        Statistics::Given { mean, variance }
    }

    /// x normalised, in f64.
    pub(in crate::ops) fn normalized(
        statistics: &Statistics,
        x: &Array64,
        gamma: &Array64,
        beta: &Array64,
    ) -> Array64 {
        let Statistics::Given { mean, variance } = statistics else {
            return reference(Identity, x, gamma, beta);
        };
        let mut y = x.clone();
        for (i, y) in y.data.iter_mut().enumerate() {
            let c = i % mean.len();
            let sd = (f64::from(variance[c]) + f64::from(EPSILON)).sqrt();
            *y = gamma.data[c] * (*y - f64::from(mean[c])) / sd + beta.data[c];
        }
        y
    }
}
