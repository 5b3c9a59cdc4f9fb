//! Steps and epochs, in memory: no files, no clock.

use super::divergence::{self, Divergence};
use super::metrics::{EpochMetrics, SelectedEpoch};
use super::state::{Progress, State};
use super::{dataset, evaluate, memory, weights};
use crate::autograd::{Builder, Engine, Gradients, Params, Tape};
use crate::config::Config;
use crate::data::batches::{Epoch, Turns};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::models::{Model, ModelKind, Step, StepImages, Weights};
use crate::optim::{Adam, reversal, warm_up};
use crate::store::digest::sha256_hex;
use std::collections::BTreeMap;

/// A model in training.
#[derive(Debug)]
pub struct Trainer {
    config: Config,
    split: Split,
    model: Model,
    state: State,
    engine: Engine,
    gradients: Gradients,
}

/// The numbers of one step, summed over its batch.
#[derive(Clone, Debug, PartialEq)]
pub struct StepLoss {
    /// The loss, then its terms, by name, in nats.
    pub terms: Vec<(&'static str, f32)>,
    /// The images of the batch.
    pub images: usize,
}

impl Trainer {
    /// A model that has not been trained, for the data of its configuration.
    ///
    /// # Errors
    /// If the configuration does not fit the data, or takes more memory than there is.
    pub fn new(config: Config, split: Split) -> Result<Self> {
        dataset::refuse_too_few_images(&config, &split)?;
        dataset::refuse_impossible_classes(&config, &split)?;
        let counts = dataset::class_counts(&split.train, split.classes);
        let settings =
            dataset::settings(&config.model, split.domain_names.len(), split.classes, Some(&counts))?;
        memory::refuse_what_does_not_fit(&settings, config.train.batch, &split)?;
        let mut params = Params::new();
        let model = Model::new(&mut Builder::new(&mut params, config.seed), settings);
        let adam = Adam::new(&params, config.train.learning_rate);
        let gradients = Gradients::new(&params);
        let images_sha256 = Some(split.sha256());
        let state = State { params, adam, progress: Progress::default(), images_sha256, best_sha256: None };
        Ok(Trainer { config, split, model, state, engine: Engine::new(), gradients })
    }

    /// From now on, looks at the results of every op of every step, so that the first that is no finite number ends
    /// the training. Without this only the terms of the loss and the gradients are looked at, and the step is repeated
    /// to find the op once one of them is not finite.
    pub fn detect_anomalies(&mut self) {
        self.engine.detect_anomalies(true);
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The images.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All that is saved.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All that is saved, to be restored.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// How many buffers had to be allocated so far.
    pub fn allocations(&self) -> usize {
        self.engine.misses()
    }

    /// Bytes of all buffers that steps have needed.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> u64 {
        self.engine.held_bytes()
    }

    /// The bytes of the checkpoint: all that a resumed run needs.
    ///
    /// # Errors
    /// If a parameter is not a finite number.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        let params = &self.state.params;
        if let Some((name, bad)) = params.not_finite(params.slab()) {
            let batches = self.state.progress.batches;
            let when = match batches {
                0 => format!("epoch {}", self.state.progress.epochs),
                _ => format!("epoch {}, step {batches}", self.epoch()),
            };
            return Err(
                self.diverged(&when, &Divergence::of_numbers(format!("after it, {name} holds {bad}")))
            );
        }
        Ok(self.state.to_checkpoint(&self.config.identity()))
    }

    /// The number of the epoch in progress, or about to begin, counted from 1.
    pub fn epoch(&self) -> usize {
        self.state.progress.epochs + 1
    }

    /// Whether nothing is left to train.
    pub fn is_done(&self) -> bool {
        let progress = &self.state.progress;
        progress.epochs >= self.config.train.epochs || progress.out_of_patience
    }

    /// The order of the images in the epoch in progress.
    ///
    /// # Errors
    /// If the batches of the configuration do not fit the data.
    pub fn order(&self) -> Result<Epoch> {
        let unlabelled = self.split.unlabelled.as_ref().map_or(0, Dataset::len);
        let turns = match self.config.model.kind {
            ModelKind::Dann if self.config.train.second_batch => Turns::TogetherWithSecond,
            ModelKind::Dann => Turns::Together,
            _ => Turns::Alternating,
        };
        let images = [self.split.train.len(), unlabelled];
        Epoch::new([self.config.seed, self.epoch() as u64], images, self.config.train.batch, turns)
    }

    /// The next step of the epoch in progress.
    ///
    /// # Errors
    /// If a term of the loss or a gradient is not a finite number, or the loss has exploded. The parameters are then as
    /// they were.
    pub fn step(&mut self, order: &Epoch) -> Result<StepLoss> {
        let indices = order.step(self.state.progress.batches);
        let unlabelled = indices.without_class();
        let augmented = self.config.data.augment.then(|| [self.config.seed, self.epoch() as u64]);
        let images = dataset::step_images(&self.split, indices, augmented);
        let step = self.step_on(&images, order.len())?;
        let progress = &mut self.state.progress;
        progress.batches += 1;
        progress.steps += 1;
        progress.images += step.images;
        progress.unlabelled_images += unlabelled;
        for &(name, term) in &step.terms {
            match progress.sums.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += f64::from(term),
                None => progress.sums.push((name.to_owned(), f64::from(term))),
            }
        }
        Ok(step)
    }

    /// Forward, backward and Adam on the images of one of `steps` steps of an epoch.
    fn step_on(&mut self, images: &StepImages, steps: usize) -> Result<StepLoss> {
        let step = self.describe(steps);
        let (terms, mut bad) = self.differentiate(images, &step);
        let mut anomaly = self.engine.take_anomaly();
        if bad.is_some() && anomaly.is_none() {
            // Nothing has changed yet: the same pass again, with an eye on every op.
            let before = self.engine.detect_anomalies(true);
            bad = self.differentiate(images, &step).1;
            anomaly = self.engine.take_anomaly();
            self.engine.detect_anomalies(before);
        }
        if bad.is_some() || anomaly.is_some() {
            let finite = || Divergence::of_numbers("its loss and gradients are finite".into());
            let mut found = bad.unwrap_or_else(finite);
            if let Some(op) = anomaly {
                found.what += &format!("; the first op with a result that is not finite is {op}");
            }
            return Err(self.diverged(&self.place(), &found));
        }
        let kind = self.config.model.kind;
        if let Some(found) = divergence::exploded(&terms, images, &step.weights, kind, &self.split) {
            return Err(self.diverged(&self.place(), &found));
        }
        self.state.adam.step(&mut self.state.params, &self.gradients);
        self.state.params.take_statistics(&self.gradients);
        Ok(StepLoss { terms, images: images.len() })
    }

    /// Forward and backward on the images of a step of the epoch in progress, of which nothing is kept: all that is saved stays
    /// as it is.
    pub(super) fn rehearse(&mut self, order: &Epoch, step: usize) {
        let augmented = self.config.data.augment.then(|| [self.config.seed, self.epoch() as u64]);
        let images = dataset::step_images(&self.split, order.step(step), augmented);
        let step = self.describe(order.len());
        self.differentiate(&images, &step);
        self.engine.take_anomaly();
    }

    /// What the next step knows besides its images.
    fn describe(&self, steps: usize) -> Step {
        let settings = &self.config.train;
        let number = self.state.progress.steps;
        Step {
            seed: self.config.seed,
            number,
            weights: Weights {
                beta: warm_up(self.epoch(), settings.warmup) as f32,
                alpha_d: settings.alpha_d as f32,
                alpha_y: settings.alpha_y as f32,
            },
            reversal: (settings.reversal * reversal(number as f64 / (settings.epochs * steps) as f64)) as f32,
        }
    }

    /// Fills the gradients. Returns the terms of the loss, and what is not finite among them or the gradients.
    fn differentiate(
        &mut self,
        images: &StepImages,
        step: &Step,
    ) -> (Vec<(&'static str, f32)>, Option<Divergence>) {
        let terms = {
            let tape = Tape::train(&self.engine, &self.state.params);
            let loss = self.model.loss(&tape, images, step);
            let mut terms = loss.terms;
            terms.push(("loss", loss.sum));
            loss.total.backward(&mut self.gradients);
            terms
        }; // the tape hands its buffers back here, and lets go of the parameters
        let term = terms.iter().find(|(_, value)| !value.is_finite());
        let of_term = |&(name, value): &(&'static str, f32)| Divergence {
            term: Some(name),
            what: format!("{name} is {value}"),
        };
        let bad = term.map(of_term).or_else(|| {
            let (name, value) = self.state.params.not_finite(self.gradients.slab())?;
            Some(Divergence::of_numbers(format!("the gradient of {name} holds {value}")))
        });
        (terms, bad)
    }

    /// The step that is being taken, in words.
    fn place(&self) -> String {
        format!("epoch {}, step {}", self.epoch(), self.state.progress.batches + 1)
    }

    fn diverged(&self, when: &str, found: &Divergence) -> Error {
        let advice = divergence::advice(found, &self.config, self.state.progress.steps);
        Error::work(format!("training diverged in {when}: {}; {advice}", found.what))
    }

    /// Ends an epoch whose batches are done: evaluates, selects, and begins the next.
    ///
    /// The fields of the metrics that need a clock are 0, and there is no hash. If this epoch is the best so far, returns
    /// the bytes of its weight file, too.
    ///
    /// # Errors
    /// If what the model makes of an image is not finite, so that no class follows from it.
    pub fn end_epoch(&mut self) -> Result<(EpochMetrics, Option<Vec<u8>>)> {
        let epoch = self.epoch();
        let metrics = self
            .evaluate(epoch)
            .map_err(|cause| Divergence::of_numbers(format!("after it, {cause}")))
            .map_err(|found| self.diverged(&format!("epoch {epoch}"), &found))?;
        let progress = &mut self.state.progress;
        let candidate = SelectedEpoch::of(&metrics);
        let improved = progress.best.as_ref().is_none_or(|best| candidate.is_better_than(best));
        if improved {
            progress.best = Some(candidate);
        }
        let best_epoch = progress.best.as_ref().map_or(epoch, |best| best.epoch);
        *progress = Progress {
            epochs: epoch,
            steps: progress.steps,
            best: progress.best.take(),
            out_of_patience: epoch - best_epoch >= self.config.train.patience,
            ..Progress::default()
        };
        let best = improved.then(|| self.weights());
        if let Some(best) = &best {
            self.state.best_sha256 = Some(sha256_hex(best));
        }
        Ok((metrics, best))
    }

    /// The bytes of a weight file of the parameters as they are.
    pub fn weights(&self) -> Vec<u8> {
        weights::export(&self.state.params, self.state.progress.steps).to_bytes()
    }

    fn evaluate(&self, epoch: usize) -> Result<EpochMetrics> {
        let Split { train, validation, test, disjoint_test, domain_names, .. } = &self.split;
        let predictor = self.model.class_predictor(&self.state.params);
        let predict = |data| evaluate::predict(&predictor, data);
        let accuracy = |data| -> Result<f64> { Ok(evaluate::accuracy(data, &predict(data)?)) };
        let on_train = predict(train)?;
        let by_domain = evaluate::correct_by_domain(train, &on_train, domain_names.len());
        let with_labels = domain_names.iter().zip(by_domain).filter(|(_, (_, images))| *images > 0);
        let domain_accuracy: BTreeMap<String, f64> =
            with_labels.map(|(name, (right, images))| (name.clone(), right as f64 / images as f64)).collect();
        let progress = &self.state.progress;
        let (images, unlabelled) = (progress.images, progress.unlabelled_images);
        let mean_over = |images: usize, name: &str| {
            let (_, sum) = progress.sums.iter().find(|(term, _)| term == name)?;
            Some(sum / images as f64)
        };
        let mean = |name| mean_over(images, name);
        Ok(EpochMetrics {
            epoch,
            beta: warm_up(epoch, self.config.train.warmup),
            loss: mean("loss").unwrap_or(0.0),
            reconstruction: mean("reconstruction"),
            kl: mean("kl"),
            kl_d: mean("kl_d"),
            kl_x: mean("kl_x"),
            kl_y: mean("kl_y"),
            ce_d: mean("ce_d"),
            ce_y: mean_over(images - unlabelled, "ce_y").unwrap_or(0.0),
            entropy_y: mean_over(unlabelled, "entropy_y"),
            unlabelled_share: (unlabelled > 0).then(|| unlabelled as f64 / images as f64),
            train_accuracy: evaluate::accuracy(train, &on_train),
            validation_accuracy: validation.as_ref().map(accuracy).transpose()?,
            domain_accuracy,
            test_accuracy: accuracy(test)?,
            disjoint_test_accuracy: disjoint_test.as_ref().map(accuracy).transpose()?,
            state_sha256: String::new(),
            train_seconds: 0.0,
            evaluate_seconds: 0.0,
            images_per_second: 0.0,
            line_sha256: None,
        })
    }
}
