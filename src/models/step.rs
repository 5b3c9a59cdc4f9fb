//! What a model is given for a step of training, and what it gives: images, weights of the terms, random numbers, the loss.

use crate::autograd::Var;
use crate::rng::Stream;
use crate::tensor::Tensor;
use std::sync::Arc;

/// A batch of images with what is known of them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// (batch, height, width, channels) in 0..1.
    pub images: Tensor,
    /// The same as levels 0..=255, in the same order: what the likelihood is of.
    pub levels: Arc<[u32]>,
    /// The domain of each image.
    pub domains: Arc<[u32]>,
    /// The class of each image, if known.
    pub classes: Option<Arc<[u32]>>,
}

impl Batch {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// The images of a step.
#[derive(Clone, Debug, Default)]
pub struct StepImages {
    /// Those whose classes are known.
    pub labelled: Option<Batch>,
    /// Those of which only the domain is.
    pub unlabelled: Option<Batch>,
}

impl StepImages {
    /// The number of images of both parts.
    pub fn len(&self) -> usize {
        [&self.labelled, &self.unlabelled].into_iter().flatten().map(Batch::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The weights of the terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// b, of the divergences.
    pub beta: f32,
    /// a_d, of the domain classifier.
    pub alpha_d: f32,
    /// a_y, of the class classifier.
    pub alpha_y: f32,
}

/// What a step knows besides its images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The seed of the run.
    pub seed: u64,
    /// The steps before this one, in all epochs: with the seed, what random numbers are a function of.
    pub number: u64,
    /// The weights of the terms.
    pub weights: Weights,
    /// What DANN multiplies the reversed gradient by, 0..1.
    pub reversal: f32,
}

impl Step {
    /// Standard normal numbers (rows, columns); `which` tells those of one step apart.
    pub fn normal(&self, which: u64, rows: usize, columns: usize) -> Tensor {
        normal([self.seed, self.number, which], [rows, columns])
    }

    /// What dropout multiplies (rows, columns) by: 0 or 2, as likely as each other.
    pub fn dropout(&self, which: u64, rows: usize, columns: usize) -> Tensor {
        let mut keep = Tensor::zeros([rows, columns]);
        Stream::new(self.seed, "dropout", &[self.number, which]).fill_uniform(0.0, 1.0, keep.data_mut());
        for number in keep.data_mut() {
            *number = if *number < 0.5 { 0.0 } else { 2.0 };
        }
        keep
    }
}

/// Standard normal numbers of the given shape: a function of seed, step, and which of the step's they are.
pub(super) fn normal([seed, step, which]: [u64; 3], shape: [usize; 2]) -> Tensor {
    let mut noise = Tensor::zeros(shape);
    Stream::new(seed, "noise", &[step, which]).fill_normal(0, noise.data_mut());
    noise
}

/// The loss of a step, and its terms as numbers for the log.
#[derive(Debug)]
pub struct Loss<'t> {
    /// What is minimised: a single number.
    pub total: Var<'t>,
    /// The loss in nats, summed over the images, whatever is minimised.
    pub sum: f32,
    /// The terms by name, in nats, summed over the images, without their weights.
    pub terms: Vec<(&'static str, f32)>,
}
