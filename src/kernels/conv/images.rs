//! Images as a convolution reads them: as they lie in memory, or normalised and activated on the way.
//!
//! What lies between two convolutions of a network is bound by memory: the normalised image would be written once and
//! read twice, and held until the way back. Normalised in pieces of the size that a thread works on, it stays in that
//! thread's cache and is made again where it is needed.

use crate::kernels::norm::{self, Activation, Affine};
use crate::parallel::with_scratch;
use std::ops::Range;

/// Images, and what is done to their channels before anything else.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    data: &'a [f32],
    normalized: Option<(Affine<'a>, Activation)>,
}

impl<'a> From<&'a [f32]> for Images<'a> {
    fn from(data: &'a [f32]) -> Self {
        Images { data, normalized: None }
    }
}

impl<'a> From<&'a Vec<f32>> for Images<'a> {
    fn from(data: &'a Vec<f32>) -> Self {
        data.as_slice().into()
    }
}

impl<'a> Images<'a> {
    /// Images whose channels go through an affine map and an activation.
    pub fn normalized(data: &'a [f32], by_channel: Affine<'a>, activation: Activation) -> Self {
        Images { data, normalized: Some((by_channel, activation)) }
    }

    /// How many numbers they are.
    pub(super) fn len(self) -> usize {
        self.data.len()
    }

    /// The numbers, if they need nothing done to them.
    pub(super) fn plain(self) -> Option<&'a [f32]> {
        self.normalized.is_none().then_some(self.data)
    }

    /// Lends those numbers of whole pixels, ready to be used, to `work`.
    pub(super) fn with<R>(self, range: Range<usize>, work: impl FnOnce(&[f32]) -> R) -> R {
        let data = &self.data[range];
        match self.normalized {
            None => work(data),
            Some((affine, activation)) => with_scratch(data.len(), |ready| {
                norm::affine_of(data, affine, activation, ready);
                work(ready)
            }),
        }
    }
}
