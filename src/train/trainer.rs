//! Steps and epochs, in memory: no files, no clock.

use super::metrics::{EpochMetrics, SelectedEpoch};
use super::state::{Progress, State};
use super::{dataset, evaluate};
use crate::autograd::{Builder, Engine, Gradients, Params, Tape};
use crate::config::Config;
use crate::data::Split;
use crate::data::batches::BatchOrder;
use crate::error::{Error, Result};
use crate::models::diva::{Batch, Diva, LabelPredictor, Noise, Weights};
use crate::optim::{Adam, warm_up};
use std::collections::BTreeMap;

/// A model in training.
#[derive(Debug)]
pub struct Trainer {
    config: Config,
    split: Split,
    diva: Diva,
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
    /// If the configuration does not fit the data.
    pub fn new(config: Config, split: Split) -> Result<Self> {
        let counts = dataset::class_counts(&split.train, split.classes);
        let settings =
            dataset::settings(&config.model, split.domain_names.len(), split.classes, Some(&counts))?;
        let mut params = Params::new();
        let diva = Diva::new(&mut Builder::new(&mut params, config.seed), settings);
        let adam = Adam::new(&params, config.train.learning_rate);
        let gradients = Gradients::new(&params);
        let state = State { params, adam, progress: Progress::default() };
        Ok(Trainer { config, split, diva, state, engine: Engine::new(), gradients })
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
    pub fn diva(&self) -> &Diva {
        &self.diva
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

    /// The number of the epoch in progress, or about to begin, counted from 1.
    pub fn epoch(&self) -> usize {
        self.state.progress.epochs + 1
    }

    /// The order of the images in the epoch in progress.
    ///
    /// # Errors
    /// If the batches of the configuration do not fit the data.
    pub fn order(&self) -> Result<BatchOrder> {
        BatchOrder::new(
            self.config.seed,
            self.epoch() as u64,
            self.split.train.len(),
            self.config.train.batch,
        )
    }

    /// The next step of the epoch in progress.
    ///
    /// # Errors
    /// If the loss or one of its terms is not a finite number. The parameters are then as they were.
    pub fn step(&mut self, order: &BatchOrder) -> Result<StepLoss> {
        let batch = dataset::batch(&self.split.train, order.batch(self.state.progress.batches));
        let step = self.step_on(&batch)?;
        let progress = &mut self.state.progress;
        progress.batches += 1;
        progress.steps += 1;
        progress.images += step.images;
        if progress.sums.is_empty() {
            progress.sums = step.terms.iter().map(|&(name, _)| (name.to_owned(), 0.0)).collect();
        }
        for ((_, sum), (_, term)) in progress.sums.iter_mut().zip(&step.terms) {
            *sum += f64::from(*term);
        }
        Ok(step)
    }

    /// Forward, backward and Adam on one batch.
    fn step_on(&mut self, batch: &Batch) -> Result<StepLoss> {
        let epoch = self.epoch();
        let progress = &self.state.progress;
        let images = batch.domains.len();
        let noise = Noise::of_step(self.config.seed, progress.steps, images, self.diva.settings().latent);
        let settings = &self.config.train;
        let weights = Weights {
            beta: warm_up(epoch, settings.warmup) as f32,
            alpha_d: settings.alpha_d as f32,
            alpha_y: settings.alpha_y as f32,
        };
        let terms = {
            let tape = Tape::train(&self.engine, &self.state.params);
            let loss = self.diva.loss(&tape, batch, &noise, weights);
            let mut terms = loss.terms;
            terms.push(("loss", loss.total.item()));
            if let Some((name, value)) = terms.iter().find(|(_, value)| !value.is_finite()) {
                return Err(Error::work(format!(
                    "training diverged in epoch {epoch}, step {}: {name} is {value}; try a lower \
                     train.learning_rate (now {})",
                    progress.batches + 1,
                    settings.learning_rate
                )));
            }
            loss.total.backward(&mut self.gradients);
            terms
        }; // the tape hands its buffers back here, and lets go of the parameters
        self.state.adam.step(&mut self.state.params, &self.gradients);
        self.state.params.take_statistics(&self.gradients);
        Ok(StepLoss { terms, images })
    }

    /// Ends an epoch whose batches are done: evaluates, selects, and begins the next.
    ///
    /// The fields of the metrics that need a clock are 0. Returns whether this epoch is the best so far.
    ///
    /// # Errors
    /// If a parameter is not a finite number.
    pub fn end_epoch(&mut self) -> Result<(EpochMetrics, bool)> {
        let epoch = self.epoch();
        for param in self.state.params.handles() {
            if let Some(bad) = self.state.params.get(param).iter().find(|x| !x.is_finite()) {
                let name = &self.state.params.entry(param).name;
                return Err(Error::work(format!(
                    "training diverged in epoch {epoch}: {name} holds {bad} after its last step; try a lower \
                     train.learning_rate (now {})",
                    self.config.train.learning_rate
                )));
            }
        }
        let metrics = self.evaluate(epoch);
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
        Ok((metrics, improved))
    }

    fn evaluate(&self, epoch: usize) -> EpochMetrics {
        let Split { train, test, disjoint_test, domain_names, .. } = &self.split;
        let predictor = LabelPredictor::of_classes(&self.diva, &self.state.params);
        let predict = |data| evaluate::predict(&predictor, data);
        let on_train = predict(train);
        let by_domain = evaluate::correct_by_domain(train, &on_train, domain_names.len());
        let shares = by_domain.iter().map(|&(right, all)| right as f64 / all.max(1) as f64);
        let domain_accuracy: BTreeMap<String, f64> = domain_names.iter().cloned().zip(shares).collect();
        let progress = &self.state.progress;
        let mean = |name: &str| {
            let sum = progress.sums.iter().find(|(term, _)| term == name).map_or(0.0, |(_, sum)| *sum);
            sum / progress.images.max(1) as f64
        };
        EpochMetrics {
            epoch,
            beta: warm_up(epoch, self.config.train.warmup),
            loss: mean("loss"),
            reconstruction: mean("reconstruction"),
            kl_d: mean("kl_d"),
            kl_x: mean("kl_x"),
            kl_y: mean("kl_y"),
            ce_d: mean("ce_d"),
            ce_y: mean("ce_y"),
            train_accuracy: evaluate::accuracy(train, &on_train),
            domain_accuracy,
            test_accuracy: evaluate::accuracy(test, &predict(test)),
            disjoint_test_accuracy: disjoint_test
                .as_ref()
                .map(|data| evaluate::accuracy(data, &predict(data))),
            train_seconds: 0.0,
            evaluate_seconds: 0.0,
            images_per_second: 0.0,
        }
    }
}
