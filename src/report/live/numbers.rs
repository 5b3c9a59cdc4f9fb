//! The numbers of a model as the page holds them: the description of each layer, and two lists of bytes.

use super::half::half;
use crate::nn::{Written, WrittenConvolution};
use serde::Serialize;

/// A layer without its numbers; those that it has not are absent.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<[usize; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<[usize; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stride: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<usize>,
    transposed: bool,
    upsampled: bool,
    scaled: bool,
    pooled: bool,
    slope: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<Vec<Layer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skip: Option<Box<Layer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<f32>,
}

/// The numbers of a page: weights of 16 or 32 bits, all others of 32; little-endian.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) are_halves: bool,
    pub(super) weights: Vec<u8>,
    pub(super) others: Vec<u8>,
}

impl Numbers {
    /// The description of a network; its numbers are appended.
    pub(super) fn network(&mut self, layers: &[Written]) -> Vec<Layer> {
        layers.iter().map(|layer| self.layer(layer)).collect()
    }

    fn layer(&mut self, layer: &Written) -> Layer {
        match layer {
            Written::Convolution(convolution) => self.convolution(convolution),
            Written::Residual { branch, skip, times, slope } => Layer {
                branch: Some(branch.iter().map(|convolution| self.convolution(convolution)).collect()),
                skip: skip.as_ref().map(|convolution| Box::new(self.convolution(convolution))),
                times: Some(*times),
                slope: *slope,
                ..Layer::default()
            },
            Written::Rectify { slope } => Layer { slope: *slope, ..Layer::default() },
        }
    }

    fn convolution(&mut self, convolution: &WrittenConvolution) -> Layer {
        for &weight in &convolution.weight {
            match half(weight).filter(|_| self.are_halves) {
                Some(bits) => self.weights.extend(bits.to_le_bytes()),
                None => self.weights.extend(weight.to_le_bytes()),
            }
        }
        convolution.scale.iter().for_each(|scale| self.append(scale));
        self.append(&convolution.shift);
        Layer {
            input: Some(convolution.input),
            output: Some(convolution.output),
            kernel: Some(convolution.kernel),
            stride: Some(convolution.stride),
            padding: Some(convolution.padding),
            transposed: convolution.is_transposed,
            upsampled: convolution.is_upsampled,
            scaled: convolution.scale.is_some(),
            pooled: convolution.is_pooled,
            slope: convolution.slope,
            ..Layer::default()
        }
    }

    /// Appends numbers that are no weights.
    pub(super) fn append(&mut self, numbers: &[f32]) {
        self.others.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
}

/// How many weights a network has; nothing if one of its numbers is not finite.
pub(super) fn weights(layers: &[Written]) -> Option<usize> {
    let of_convolution = |convolution: &WrittenConvolution| {
        let WrittenConvolution { weight, scale, shift, .. } = convolution;
        let mut all = weight.iter().chain(scale.iter().flatten()).chain(shift);
        all.all(|number| number.is_finite()).then_some(weight.len())
    };
    let of_layer = |layer: &Written| match layer {
        Written::Convolution(convolution) => of_convolution(convolution),
        Written::Residual { branch, skip, .. } => {
            branch.iter().chain(skip.as_deref()).map(of_convolution).sum()
        }
        Written::Rectify { .. } => Some(0),
    };
    layers.iter().map(of_layer).sum()
}
