//! The selected model of a run's folder, ready for use.

use crate::autograd::{Builder, Params};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::models::diva::Diva;
use crate::store::run_folder::RunFolder;
use crate::store::tensors::TensorFile;
use crate::train::{dataset, run, weights};
use std::path::Path;

/// A configuration with a model and its parameters.
pub(super) struct SavedRun {
    pub(super) config: Config,
    pub(super) diva: Diva,
    pub(super) params: Params,
}

impl SavedRun {
    /// Reads `config.toml` and `best.safetensors`.
    pub(super) fn load(folder: &Path) -> Result<Self> {
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
        let config = run::read_config(&files.config(), &[])?;
        // p(y) enters the loss of unlabelled images only, and no saved model is asked for a loss: any will do.
        let (diva, params) = load_weights(&config, &files.best(), |classes| Some(vec![1; classes]))?;
        Ok(SavedRun { config, diva, params })
    }

    /// The names of the training domains, in the order of their labels.
    pub(super) fn domain_names(&self) -> Vec<String> {
        self.config.data.training_domains().into_iter().map(ToString::to_string).collect()
    }
}

/// The model of a configuration with the parameters of a weight file, which says how many domains and classes there
/// are; `class_counts` makes p(y) from the number of classes, where p(y) is to be the frequency in training data.
pub(super) fn load_weights(
    config: &Config,
    path: &Path,
    class_counts: impl Fn(usize) -> Option<Vec<usize>>,
) -> Result<(Diva, Params)> {
    let file = TensorFile::read(path)?;
    let domains = weights::outputs(&file, "qd.fc1.weight", config.model.latent, path)?;
    let classes = weights::outputs(&file, "qy.fc1.weight", config.model.latent, path)?;
    let settings = dataset::settings(&config.model, domains, classes, class_counts(classes).as_deref())?;
    // Memory is taken for a model once the file is known to hold it.
    let mut outline = Params::outline();
    Diva::new(&mut Builder::without_start(&mut outline), settings.clone());
    weights::check(&outline, &file, path)?;
    let mut params = Params::new();
    let diva = Diva::new(&mut Builder::without_start(&mut params), settings);
    weights::import(&mut params, &file, path)?;
    Ok((diva, params))
}
