//! Weight files: a model's parameters under the names, shapes and orders of the published PyTorch model.
//!
//! PyTorch also stores `num_batches_tracked` for every batch normalisation: how many training batches it has seen. It
//! decides nothing here; it is accepted in any file and written to every file, so that `load_state_dict` is content.

use crate::autograd::{Entry, Params};
use crate::error::{Error, Result};
use crate::store::tensors::TensorFile;
use std::path::Path;

/// The counter beside every running mean.
const COUNTER: &str = "num_batches_tracked";

/// The last word of the names of running variances.
const VARIANCE: &str = "running_var";

/// Whether a weight file is that of a model, of which an outline is enough; `path` is for messages.
///
/// # Errors
/// If a tensor is missing, is not f32, has another shape, or is not one of this model's.
pub fn check(params: &Params, file: &TensorFile, path: &Path) -> Result<()> {
    for param in params.handles() {
        let entry = params.entry(param);
        if !file.contains(&entry.name) {
            return Err(Error::request(format!(
                "cannot load weights from {}: {} of shape {:?} is missing",
                path.display(),
                entry.name,
                entry.layout.shape
            )));
        }
        let shape = file.f32_shape(&entry.name)?;
        if shape != entry.layout.shape {
            return Err(Error::request(format!(
                "cannot load weights from {}: {} has shape {shape:?}, the model needs {:?}",
                path.display(),
                entry.name,
                entry.layout.shape
            )));
        }
    }
    let is_known = |name: &str| params.find(name).is_some() || name.rsplit('.').next() == Some(COUNTER);
    if let Some(surplus) = file.names().find(|name| !is_known(name)) {
        return Err(Error::request(format!(
            "cannot load weights from {}: {surplus} is not part of the model",
            path.display()
        )));
    }
    Ok(())
}

/// `params` with the numbers of a weight file in their place.
///
/// # Errors
/// If the file cannot be read, or as [`import`].
pub fn read(params: &Params, path: &Path) -> Result<Params> {
    let mut read = params.clone();
    import(&mut read, &TensorFile::read(path)?, path)?;
    Ok(read)
}

/// Replaces all parameters by those of a weight file; `path` is for messages.
///
/// # Errors
/// As [`check`], and the parameters are then as they were; or if a number is not finite or a running variance is
/// negative. Then they are of no use: some are replaced, some are not.
pub fn import(params: &mut Params, file: &TensorFile, path: &Path) -> Result<()> {
    check(params, file, path)?;
    for param in params.handles() {
        let Entry { name, layout, .. } = params.entry(param).clone();
        let (_, values) = file.f32s(&name)?;
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::request(format!(
                "cannot load weights from {}: {name} holds {bad}, finite numbers are needed",
                path.display()
            )));
        }
        let is_variance = name.rsplit('.').next() == Some(VARIANCE);
        if let Some(bad) = values.iter().find(|&&value| is_variance && value < 0.0) {
            return Err(Error::request(format!(
                "cannot load weights from {}: {name} holds {bad}, variances are at least 0",
                path.display()
            )));
        }
        layout.from_published(&values, params.get_mut(param));
    }
    Ok(())
}

/// All parameters as a weight file, with `steps` as the number of training batches that were seen.
pub fn export(params: &Params, steps: u64) -> TensorFile {
    let mut file = TensorFile::new();
    for param in params.handles() {
        let entry = params.entry(param);
        file.insert(&entry.name, &entry.layout.shape, &entry.layout.to_published(params.get(param)));
        if let Some(layer) = entry.name.strip_suffix("running_mean") {
            file.insert(format!("{layer}{COUNTER}"), &[], &[steps as i64]);
        }
    }
    file
}

/// The number of training batches that a weight file says were seen; 0 if it does not say.
///
/// # Errors
/// If the counter is not a 64-bit integer.
pub fn steps(file: &TensorFile) -> Result<u64> {
    let counter = file.names().find(|name| name.rsplit('.').next() == Some(COUNTER));
    let Some(name) = counter else { return Ok(0) };
    Ok(file.i64s(name)?.1.first().map_or(0, |&steps| steps.max(0) as u64))
}

/// The number of outputs of a linear layer of a weight file from `inputs` numbers: how many labels a classifier knows.
/// The file holds the weights of each, so a model that is made for so many labels grows with the file.
///
/// # Errors
/// If the tensor is missing or is not a matrix of at least one row of so many inputs.
pub fn outputs(file: &TensorFile, name: &str, inputs: usize, path: &Path) -> Result<usize> {
    if !file.contains(name) {
        return Err(Error::request(format!(
            "cannot load weights from {}: {name} is missing",
            path.display()
        )));
    }
    match file.f32_shape(name)? {
        &[outputs, found] if outputs > 0 && found == inputs => Ok(outputs),
        shape => Err(Error::request(format!(
            "cannot load weights from {}: {name} has shape {shape:?}, the model needs [labels, {inputs}]",
            path.display()
        ))),
    }
}
