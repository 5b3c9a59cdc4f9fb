//! -ln p of pixels under mixtures of discretised logistic distributions, one number a pixel.
//!
//! Equations and the order of the parameters: `kernels/logistic_mixture/`. The backward pass goes through them again
//! with the factor dy of each pixel: nothing is saved.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::logistic_mixture::{self as kernel, LEVELS, Mixture};
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// The levels of an image's pixels, channels last.
#[derive(Clone)]
pub(super) struct Levels {
    pub(super) levels: Arc<[u32]>,
    pub(super) channels: usize,
}

impl Levels {
    /// The mixtures of `rows` pixels with so many parameters each.
    ///
    /// # Errors
    /// If there are no such mixtures, or the levels are others.
    pub(super) fn mixture(&self, rows: usize, parameters: usize) -> Result<Mixture, Mismatch> {
        let Levels { levels, channels } = self;
        let mixture = Mixture::new(parameters, *channels);
        let mixture = mixture.ok_or_else(|| {
            Mismatch(format!(
                "{parameters} parameters for a pixel of {channels} channels: of 1 there are 3 for each component, of 3 \
                 there are 10, and others there are not"
            ))
        })?;
        require!(
            levels.len() == rows * channels,
            "{rows} rows of parameters for {} levels of {channels} channels",
            levels.len()
        );
        let largest = levels.iter().max().copied().unwrap_or(0);
        require!(largest < LEVELS, "level {largest} of {LEVELS}");
        Ok(mixture)
    }
}

impl std::fmt::Debug for Levels {
    /// Without the levels, of which there are some a pixel.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} levels of {} channels", self.levels.len(), self.channels)
    }
}

#[derive(Clone, Debug)]
struct LogisticMixture(Levels);

impl LogisticMixture {
    /// The mixtures of parameters that `plan` has accepted.
    fn mixture(&self, parameters: Shape) -> Mixture {
        let mixture = Mixture::new(parameters.columns(), self.0.channels);
        mixture.expect("parameters that the plan has accepted")
    }
}

impl Op for LogisticMixture {
    fn name(&self) -> &'static str {
        "logistic_mixture"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x] = arity(inputs)?;
        require!(x.rank() >= 2, "the parameters must have rows and columns");
        self.0.mixture(x.rows(), x.columns())?;
        Ok(Plan::output([x.rows()]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        kernel::losses(self.mixture(inputs[0].shape), inputs[0].data, &self.0.levels, output);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        if let Some(dx) = &mut gradients[0] {
            let x = at.inputs[0];
            kernel::gradient(self.mixture(x.shape), x.data, &self.0.levels, at.grad, dx);
        }
    }
}

impl<'t> Var<'t> {
    /// -ln p, in nats, of every pixel: parameters (..., 10 k) for `levels` (pixels, 3) of colour or (..., 3 k) for
    /// `levels` (pixels, 1) of grey, 0 to 255, give (pixels). Their order stands in `kernels/logistic_mixture`.
    #[track_caller]
    pub fn logistic_mixture(self, levels: impl Into<Arc<[u32]>>, channels: usize) -> Var<'t> {
        self.tape().apply(LogisticMixture(Levels { levels: levels.into(), channels }), &[self])
    }

    /// The mean of each pixel's likeliest component, in 0..1, of parameters as for [`Var::logistic_mixture`]: (pixels,
    /// channels). No gradient.
    ///
    /// # Panics
    /// If there are no such mixtures.
    #[track_caller]
    pub fn logistic_mixture_means(self, channels: usize) -> Tensor {
        let (mixture, mut means) = self.pixels(channels);
        self.read(|parameters| kernel::likeliest_means(mixture, parameters, means.data_mut()));
        means
    }

    /// A draw from each pixel's mixture, level / 255, of parameters as for [`Var::logistic_mixture`]: (pixels,
    /// channels). `noise` gives the uniform numbers in 0..1 that a pixel needs, for each component one, then for each
    /// channel. No gradient.
    ///
    /// # Panics
    /// If there are no such mixtures.
    #[track_caller]
    pub fn logistic_mixture_draws(self, channels: usize, noise: impl FnOnce(&mut [f32])) -> Tensor {
        let (mixture, mut draws) = self.pixels(channels);
        let mut uniform = vec![0.0; draws.shape().rows() * (mixture.components() + channels)];
        noise(&mut uniform);
        self.read(|parameters| kernel::draws(mixture, parameters, &uniform, draws.data_mut()));
        draws
    }

    /// The form of its mixtures, and room for a number for each channel of each pixel.
    #[track_caller]
    fn pixels(self, channels: usize) -> (Mixture, Tensor) {
        let shape = self.shape();
        let mixture = Mixture::new(shape.columns(), channels);
        let mixture = mixture.unwrap_or_else(|| panic!("mixtures of {channels} channels from {shape}"));
        (mixture, Tensor::zeros([shape.rows(), channels]))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes, labels};
    use crate::kernels::logistic_mixture::reference::{Dual, loss};

    /// The loss of every row of parameters.
    pub(in crate::ops) fn losses(parameters: &[f64], levels: &[u32], channels: usize) -> Array64 {
        let columns = parameters.len() / (levels.len() / channels);
        let rows = parameters.chunks_exact(columns).zip(levels.chunks_exact(channels));
        let losses: Vec<f64> = rows
            .map(|(row, levels)| {
                let row: Vec<Dual> = row.iter().map(|&x| Dual::constant(x)).collect();
                loss(&row, levels).value
            })
            .collect();
        Array64::new([losses.len()], losses)
    }

    /// Levels of which one in eight is the lowest or the highest.
    pub(in crate::ops) fn levels(count: usize) -> Arc<[u32]> {
        let drawn = labels(17, count, 320);
        drawn.iter().map(|&level| level.saturating_sub(32).min(LEVELS - 1)).collect()
    }

    fn case(rows: usize, components: usize, channels: usize) -> Case {
        let columns = components * if channels == 1 { 3 } else { 10 };
        let levels = levels(rows * channels);
        let op = LogisticMixture(Levels { levels: levels.clone(), channels });
        Case::new(op, [[rows, columns].into()], move |x| losses(&x[0].data, &levels, channels))
            // ln of a sum less ln of another.
            .difference_of_ones()
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES.into_iter().flat_map(|n| [case(n, 2, 3), case(n, 3, 1), case(2, n, 1)]);
        let extreme = [
            case(40, 10, 3).between(0, -20.0, -7.5), // all log-scales clamped, all means far away
            case(40, 3, 1).between(0, 2.0, 6.0),     // so wide that a level is as likely as the next
            case(40, 2, 3).between(0, -4.5, 4.5),
        ];
        edges.chain(extreme).chain([case(1, 1, 3), case(300, 10, 3)]).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 40), sizes.next(1, 6), [1, 3][sizes.next(0, 1)])
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        let op = |levels: &[u32], channels| LogisticMixture(Levels { levels: levels.into(), channels });
        for (op, shape, words) in [
            (op(&[0; 6], 3), [2, 31], "31 parameters for a pixel of 3 channels"),
            (op(&[0; 4], 2), [2, 30], "30 parameters for a pixel of 2 channels"),
            (op(&[0; 5], 3), [2, 30], "2 rows of parameters for 5 levels of 3 channels"),
            (op(&[0, 256], 1), [2, 30], "level 256 of 256"),
        ] {
            let refusal = op.plan(&[shape.into()]).unwrap_err().0;
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
