//! The selected model of a run's folder, ready for use.

use super::note;
use crate::autograd::{Builder, Params};
use crate::config::{Config, ModelKind};
use crate::error::{Error, Result};
use crate::models::{HIDDEN, Model, single_latent};
use crate::store::digest::sha256_hex;
use crate::store::run_folder::RunFolder;
use crate::store::tensors::{self, TensorFile};
use crate::train::sources::Images;
use crate::train::{dataset, recorded, run, seals, weights};
use clap::Args;
use std::path::Path;

/// Where a run's data lie now.
#[derive(Args, Debug, Default)]
pub(super) struct Elsewhere {
    /// Set a key that cannot change results, such as data.path=...; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Elsewhere {
    /// The configuration of a run with these keys changed; `verb` says what cannot be done with another one.
    pub(super) fn config(&self, verb: &str, files: &RunFolder) -> Result<Config> {
        let config = run::read_config(&files.config(), &self.overrides)?;
        run::refuse_another_configuration(verb, &files.config(), &config)?;
        seals::check_configuration(verb, files, &config)?;
        Ok(config)
    }
}

/// A configuration with a model and its parameters.
pub(super) struct SavedRun {
    pub(super) config: Config,
    pub(super) model: Model,
    pub(super) params: Params,
    /// The SHA-256 of the weight file.
    pub(super) best_sha256: String,
}

impl SavedRun {
    /// Reads `config.toml` and `best.safetensors`.
    pub(super) fn load(folder: &Path, elsewhere: &Elsewhere) -> Result<Self> {
        let files = RunFolder::new(folder);
        if !folder.is_dir() {
            return Err(Error::request(format!("{} is not the folder of a run", folder.display())));
        }
        if !files.best().exists() {
            let folder = folder.display();
            return Err(Error::request(format!(
                "{folder} holds no best.safetensors: no epoch of it is done yet"
            )));
        }
        let config = elsewhere.config("use", &files)?;
        let (saved, notice) = Self::of("use", config, &files)?;
        notice.iter().for_each(|sentence| note(sentence));
        Ok(saved)
    }

    /// The model of a configuration with the parameters of the run's `best.safetensors`, which are those that it saved; if nothing
    /// says so, a sentence. `verb` says what cannot be done with others.
    pub(super) fn of(verb: &str, config: Config, files: &RunFolder) -> Result<(Self, Option<String>)> {
        let bytes = tensors::read_file(&files.best())?;
        let best_sha256 = sha256_hex(&bytes);
        let notice = seals::check_best(verb, files, &best_sha256)?;
        let file = TensorFile::from_bytes(&bytes, &files.best())?;
        // p(y) enters the loss of unlabelled images only, and no saved model is asked for a loss: any will do.
        let (model, params) = model_of(&config, &file, &files.best(), |classes| Some(vec![1; classes]))?;
        Ok((SavedRun { config, model, params, best_sha256 }, notice))
    }

    /// The images of the run, as it divided them; what is to be known of them is said. `verb` says what cannot be done with others.
    pub(super) fn images(&self, verb: &str, folder: &Path) -> Result<Images> {
        let images =
            recorded::read(&format!("{verb} {}", folder.display()), &self.config, &RunFolder::new(folder))?;
        images.left_out.iter().chain(&images.notices).for_each(|sentence| note(sentence));
        Ok(images)
    }

    /// The names of the training domains, in the order of their labels.
    pub(super) fn domain_names(&self) -> Vec<String> {
        self.config.data.training_domains().into_iter().map(ToString::to_string).collect()
    }
}

/// Refuses images of another number of classes than the model of a run knows; `verb` says what cannot be done with them.
pub(super) fn refuse_other_classes(verb: &str, folder: &Path, model: usize, images: usize) -> Result<()> {
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
pub(super) fn load_weights(
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

/// The same with parameters that are all 0.
pub(super) fn empty_model(
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
