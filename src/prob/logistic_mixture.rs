//! Mixtures of discretised logistic distributions: how a decoder speaks of pixels.

use crate::autograd::Var;
use crate::rng::Stream;
use crate::tensor::Tensor;
use std::sync::Arc;

/// A mixture for every pixel. Equations and the order of the parameters: `kernels/logistic_mixture/`.
#[derive(Clone, Copy, Debug)]
pub struct LogisticMixture<'t> {
    /// (..., 10 k) for pixels of 3 channels, (..., 3 k) for pixels of 1, of k components.
    pub parameters: Var<'t>,
    /// 1 or 3.
    pub channels: usize,
}

impl<'t> LogisticMixture<'t> {
    /// -ln p of every pixel, in nats, for levels 0 to 255 (pixels, channels): (pixels).
    #[track_caller]
    pub fn negative_log_prob(&self, levels: &Arc<[u32]>) -> Var<'t> {
        self.parameters.logistic_mixture(levels.clone(), self.channels)
    }

    /// The mean of each pixel's likeliest component, in 0..1: (pixels, channels).
    #[track_caller]
    pub fn likeliest_means(&self) -> Tensor {
        self.parameters.logistic_mixture_means(self.channels)
    }

    /// A draw from each pixel's mixture, level / 255: (pixels, channels). The noise is that of `stream` from its beginning.
    #[track_caller]
    pub fn sample(&self, stream: Stream) -> Tensor {
        let noise = |uniform: &mut [f32]| stream.fill_uniform(0.0, 1.0, uniform);
        self.parameters.logistic_mixture_draws(self.channels, noise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Engine, Params, Tape};

    /// On average a draw's -ln p is the entropy of the mixture, which the likelihoods of all levels give.
    #[test]
    fn the_likelihood_is_that_of_the_draws() {
        let (engine, params) = (Engine::new(), Params::new());
        let tape = Tape::inference(&engine, &params);
        let row = [0.5, -0.5, 0.3, 0.6, -3.0, -2.0];
        let pixels = 20_000;
        let mixture = LogisticMixture {
            parameters: tape.input(&Tensor::new([pixels, 6], &row.repeat(pixels))),
            channels: 1,
        };
        let losses = |levels: Vec<u32>| mixture.negative_log_prob(&levels.into()).read(<[f32]>::to_vec);
        let every: Vec<f64> =
            (0..256).map(|level| f64::from(losses(vec![level; pixels])[pixels - 1])).collect();
        let entropy: f64 = every.iter().map(|loss| (-loss).exp() * loss).sum();
        let square: f64 = every.iter().map(|loss| (-loss).exp() * loss * loss).sum();
        let sample = mixture.sample(Stream::new(3, "sample", &[]));
        assert_eq!(sample.shape(), [pixels, 1].into());
        let levels = sample.data().iter().map(|value| (value * 255.0).round() as u32).collect();
        let mean = losses(levels).iter().map(|&loss| f64::from(loss)).sum::<f64>() / pixels as f64;
        let room = 4.5 * ((square - entropy * entropy) / pixels as f64).sqrt() + 1e-3; // the floor's share
        assert!((mean - entropy).abs() < room, "{mean}, expected {entropy}");
        assert_eq!(mixture.likeliest_means().data(), vec![0.3; pixels]);
        assert_ne!(sample, mixture.sample(Stream::new(4, "sample", &[])));
    }
}
