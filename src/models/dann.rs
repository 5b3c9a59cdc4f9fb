//! DANN: a classifier whose features are trained to hide the domain.
//!
//! Ganin et al.: "Domain-Adversarial Training of Neural Networks", JMLR 2016. On top of the trunk stand a class head and
//! a domain head. Between trunk and domain head the gradient is reversed: the head learns to tell the domains, the trunk
//! to make that hard.
//!
//! ```text
//! L = mean CE(class, y) + mean CE(domain, d) + mean CE(domain, d) of the unlabelled images, if there are any
//! gradient of the trunk through the domain head: times -factor, which grows from 0 to 1 (optim/schedule.rs)
//! ```

use super::networks::{ClassifierHead, Trunk};
use super::{Batch, LabelPredictor, Loss, Settings};
use crate::autograd::{Builder, Params, Tape, Var};
use crate::tensor::Tensor;

/// A trunk, a class head and a domain head.
#[derive(Clone, Debug)]
pub struct Dann {
    image: [usize; 3],
    trunk: Trunk,
    class: ClassifierHead,
    domain: ClassifierHead,
}

impl Dann {
    /// Makes the parameters, of heads with so many hidden features.
    pub fn new(builder: &mut Builder<'_>, settings: &Settings, hidden: usize) -> Self {
        let trunk = Trunk::new(&mut builder.scope("encoder"), settings);
        let mut head = |name: &str, labels| {
            ClassifierHead::new(&mut builder.scope(name), settings, &trunk, hidden, labels)
        };
        let (class, domain) = (head("qy", settings.classes), head("qd", settings.domains));
        Dann { image: settings.image, trunk, class, domain }
    }

    /// The loss of a labelled batch and, if there is one, an unlabelled one. What dropout multiplies the hidden features
    /// by (batch, hidden) is asked of `keep` with the number of a use (0: class head, 1: domain head, 2: domain head on
    /// the unlabelled batch) and the batch.
    ///
    /// # Panics
    /// If the classes of the labelled batch are not known.
    #[track_caller]
    pub fn loss<'t>(
        &self,
        tape: &'t Tape<'t>,
        batch: &Batch,
        unlabelled: Option<&Batch>,
        keep: impl Fn(u64, &Batch) -> Tensor,
        reversal: f32,
    ) -> Loss<'t> {
        let of_domain = |features: Var<'t>, which: u64, batch: &Batch| {
            let reversed = features.reverse_gradient(reversal);
            let logits = self.domain.forward_with_dropout(reversed, tape.input(&keep(which, batch)));
            logits.cross_entropy(batch.domains.clone()).sum()
        };
        let mean = |sum: Var<'t>, batch: &Batch| sum.scale(1.0 / batch.len() as f32);

        let classes = batch.classes.clone().expect("a class head learns from classes");
        let features = self.trunk.forward(tape.input(&batch.images));
        let ce_y = self
            .class
            .forward_with_dropout(features, tape.input(&keep(0, batch)))
            .cross_entropy(classes)
            .sum();
        let ce_d = of_domain(features, 1, batch);
        let mut total = mean(ce_y, batch) + mean(ce_d, batch);
        let mut terms = vec![("ce_d", ce_d.item()), ("ce_y", ce_y.item())];
        if let Some(batch) = unlabelled {
            let more = of_domain(self.trunk.forward(tape.input(&batch.images)), 2, batch);
            total = total + mean(more, batch);
            terms[0].1 += more.item();
        }
        let images = batch.len() + unlabelled.map_or(0, Batch::len);
        Loss { total, sum: total.item() * images as f32, terms }
    }

    /// What predicts classes with the present parameters.
    pub fn class_predictor(&self, params: &Params) -> LabelPredictor {
        LabelPredictor::of_features(self.image, &self.trunk, &self.class, params)
    }
}
