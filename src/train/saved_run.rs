//! The selected model of a run's folder, ready for use.

use super::{dataset, seals, weights};
use crate::autograd::{Builder, Params};
use crate::config::{Config, ModelKind};
use crate::error::{Error, Result};
use crate::models::{HIDDEN, Model, single_latent};
use crate::store::digest::sha256_hex;
use crate::store::run_folder::RunFolder;
use crate::store::tensors::{self, TensorFile};
use std::path::Path;

/// A configuration with a model and its parameters.
pub struct SavedRun {
    /// That of the run, perhaps with its data elsewhere.
    pub config: Config,
    /// Its model.
    pub model: Model,
    /// The parameters of the selected epoch.
    pub params: Params,
    /// The SHA-256 of the weight file.
    pub best_sha256: String,
}

impl SavedRun {
    /// The model of a configuration with the parameters of the run's `best.safetensors`, which are those that it saved; if nothing
    /// says so, a sentence. `verb` says what cannot be done with others.
    ///
    /// # Errors
    /// If there is no such file, it is damaged, another run's or of another model.
    pub fn of(verb: &str, config: Config, files: &RunFolder) -> Result<(Self, Option<String>)> {
        let bytes = tensors::read_file(&files.best())?;
        let best_sha256 = sha256_hex(&bytes);
        let notice = seals::check_best(verb, files, &best_sha256)?;
        let file = TensorFile::from_bytes(&bytes, &files.best())?;
        // p(y) enters the loss of unlabelled images only, and no saved model is asked for a loss: any will do.
        let (model, params) = model_of(&config, &file, &files.best(), |classes| Some(vec![1; classes]))?;
        Ok((SavedRun { config, model, params, best_sha256 }, notice))
    }

    /// The names of the training domains, in the order of their labels.
    pub fn domain_names(&self) -> Vec<String> {
        self.config.data.training_domains().into_iter().map(ToString::to_string).collect()
    }
}

/// Refuses images of another number of classes than the model of a run knows; `verb` says what cannot be done with them.
///
/// # Errors
/// If the two differ.
pub fn refuse_other_classes(verb: &str, folder: &Path, model: usize, images: usize) -> Result<()> {
    if model == images {
        return Ok(());
    }
    Err(Error::request(format!(
        "cannot {verb} {}: its model knows {model} classes, its images have {images}",
        folder.display()
    )))
}

/// The model of a configuration with the parameters of a weight file, which says how many domains and classes there
/// are; `class_counts` makes p(y) from the number of classes, where p(y) is to be the frequency in training data.
///
/// # Errors
/// If the file cannot be read or is of another model.
pub fn load_weights(
    config: &Config,
    path: &Path,
    class_counts: impl Fn(usize) -> Option<Vec<usize>>,
) -> Result<(Model, Params)> {
    model_of(config, &TensorFile::read(path)?, path, class_counts)
}

/// The same of a file that is read; `path` is for messages.
fn model_of(
    config: &Config,
    file: &TensorFile,
    path: &Path,
    class_counts: impl Fn(usize) -> Option<Vec<usize>>,
) -> Result<(Model, Params)> {
    let (model, mut params) = empty_model(config, file, path, class_counts)?;
    weights::import(&mut params, file, path)?;
    Ok((model, params))
}

/// The same of a file that is read, with parameters that are all 0; `path` is for messages.
///
/// # Errors
/// If the file is of another model.
pub fn empty_model(
    config: &Config,
    file: &TensorFile,
    path: &Path,
    class_counts: impl Fn(usize) -> Option<Vec<usize>>,
) -> Result<(Model, Params)> {
    let latent = config.model.latent;
    // Of each kind, the last layers that know the numbers of labels, and how many inputs they have. Some have no parameter
    // that knows the number of domains.
    let (of_domain, of_class, inputs) = match config.model.kind {
        ModelKind::Diva | ModelKind::DivaNoZx => (Some("qd.fc1.weight"), "qy.fc1.weight", latent),
        ModelKind::DivaNoZd => (None, "qy.fc1.weight", latent),
        ModelKind::Vae => {
            (Some("qd.fc1.weight"), "qy.fc1.weight", single_latent(config.model.networks, latent))
        }
        ModelKind::Classifier => (None, "qy.fc2.weight", HIDDEN),
        ModelKind::Dann => (Some("qd.fc2.weight"), "qy.fc2.weight", HIDDEN),
    };
    let domains = match of_domain {
        Some(name) => weights::outputs(file, name, inputs, path)?,
        None => config.data.training_domains().len(),
    };
    let classes = weights::outputs(file, of_class, inputs, path)?;
    let settings = dataset::settings(&config.model, domains, classes, class_counts(classes).as_deref())?;
    // Memory is taken for a model once the file is known to hold it.
    let mut outline = Params::outline();
    Model::new(&mut Builder::without_start(&mut outline), settings.clone());
    weights::check(&outline, file, path)?;
    let mut params = Params::new();
    let model = Model::new(&mut Builder::without_start(&mut params), settings);
    Ok((model, params))
}
