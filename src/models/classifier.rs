//! The baseline that is told nothing of domains: a convolutional network, trained by cross-entropy.
//!
//! It is the trunk of the encoders, a hidden layer of 1024, and logits. The authors do not print theirs for rotated
//! MNIST.

use super::networks::{ClassifierHead, Trunk};
use super::{Batch, LabelPredictor, Loss, Settings};
use crate::autograd::{Builder, Params, Tape};

/// A trunk and a class head.
#[derive(Clone, Debug)]
pub struct Classifier {
    image: [usize; 3],
    trunk: Trunk,
    head: ClassifierHead,
}

impl Classifier {
    /// Makes the parameters, of a head with so many hidden features.
    pub fn new(builder: &mut Builder<'_>, settings: &Settings, hidden: usize) -> Self {
        let trunk = Trunk::new(&mut builder.scope("encoder"), settings);
        let head = ClassifierHead::new(&mut builder.scope("qy"), settings, &trunk, hidden, settings.classes);
        Classifier { image: settings.image, trunk, head }
    }

    /// The mean cross-entropy of a labelled batch.
    ///
    /// # Panics
    /// If its classes are not known.
    #[track_caller]
    pub fn loss<'t>(&self, tape: &'t Tape<'t>, batch: &Batch) -> Loss<'t> {
        let classes = batch.classes.clone().expect("a classifier learns from classes");
        let ce_y =
            self.head.forward(self.trunk.forward(tape.input(&batch.images))).cross_entropy(classes).sum();
        let sum = ce_y.item();
        Loss { total: ce_y.scale(1.0 / batch.len() as f32), sum, terms: vec![("ce_y", sum)] }
    }

    /// What predicts classes with the present parameters.
    pub fn class_predictor(&self, params: &Params) -> LabelPredictor {
        LabelPredictor::of_features(self.image, &self.trunk, &self.head, params)
    }
}
