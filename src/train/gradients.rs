//! One training-mode pass over a given batch: loss, terms, gradients and statistics, for comparison with PyTorch.

use crate::autograd::{Engine, Gradients, Layout, Params, Role, Tape};
use crate::error::{Error, Result};
use crate::models::diva::Noise;
use crate::models::{Batch, Diva, LatentVariableModel, Weights};
use crate::store::tensors::TensorFile;
use crate::tensor::Tensor;
use std::path::Path;
use std::sync::Arc;

/// A batch file: images, labels and the noise of the three samples.
#[derive(Clone, Debug)]
pub struct BatchFile {
    /// The batch, with its classes.
    pub batch: Batch,
    /// The reparameterisation noise.
    pub noise: Noise,
}

impl BatchFile {
    /// Reads `x` (batch, channels, height, width) in 0..1, `d` and `y` (batch), `eps_d`, `eps_x` and `eps_y` (batch, latent).
    ///
    /// # Errors
    /// If a tensor is missing or has another type or shape, a label is out of range, or a number is not finite.
    pub fn read(path: &Path, diva: &Diva) -> Result<Self> {
        Self::of_tensors(&TensorFile::read(path)?, path, diva)
    }

    /// Takes the tensors of such a file; `path` is what error messages call it. Memory: at most four times the file's
    /// length, besides the file.
    ///
    /// # Errors
    /// As [`BatchFile::read`].
    pub fn of_tensors(file: &TensorFile, path: &Path, diva: &Diva) -> Result<Self> {
        let settings = diva.settings();
        let wrong = |what: String| Error::request(format!("cannot use the batch {}: {what}", path.display()));
        let tensor = |name: &str| -> Result<(Vec<usize>, Vec<f32>)> {
            let (shape, values) = file.f32s(name)?;
            if let Some(bad) = values.iter().find(|x| !x.is_finite()) {
                return Err(wrong(format!("{name} holds {bad}")));
            }
            Ok((shape.to_vec(), values))
        };
        let (shape, images) = tensor("x")?;
        let images_count = shape.first().copied().unwrap_or(0);
        let [height, width, channels] = settings.image;
        if shape != [images_count, channels, height, width] || images_count < 2 {
            return Err(wrong(format!(
                "x has shape {shape:?}, [at least 2, {channels}, {height}, {width}] is needed"
            )));
        }
        if let Some(bad) = images.iter().find(|x| !(0.0..=1.0).contains(*x)) {
            return Err(wrong(format!("x holds {bad}, pixels lie in 0..1")));
        }
        let labels = |name: &str, count: usize| -> Result<Arc<[u32]>> {
            let (shape, values) = file.i64s(name)?;
            if shape != [images_count] {
                return Err(wrong(format!("{name} has shape {shape:?}, [{images_count}] is needed")));
            }
            let label = |&value: &i64| {
                let valid = u32::try_from(value).ok().filter(|&label| (label as usize) < count);
                valid.ok_or_else(|| {
                    wrong(format!("{name} holds {value}, the model has labels 0 to {}", count - 1))
                })
            };
            values.iter().map(label).collect()
        };
        let noise = |name: &str| -> Result<Tensor> {
            let (shape, values) = tensor(name)?;
            if shape != [images_count, settings.latent] {
                let latent = settings.latent;
                return Err(wrong(format!(
                    "{name} has shape {shape:?}, [{images_count}, {latent}] is needed"
                )));
            }
            Ok(Tensor::new([images_count, settings.latent], &values))
        };
        let layout = Layout {
            shape: shape.clone(),
            view: shape,
            order: vec![0, 2, 3, 1], // NCHW to NHWC
        };
        let mut channels_last = Tensor::zeros([images_count, height, width, channels]);
        layout.from_published(&images, channels_last.data_mut());
        let levels = channels_last.data().iter().map(|x| (x * 255.0).round() as u32).collect();
        Ok(BatchFile {
            batch: Batch {
                images: channels_last,
                levels,
                domains: labels("d", settings.domains)?,
                classes: Some(labels("y", settings.classes)?),
            },
            noise: Noise { domain: noise("eps_d")?, residual: noise("eps_x")?, class: noise("eps_y")? },
        })
    }
}

/// The loss, each term, the gradient of every weight (`grad.NAME`) and every statistic after the step
/// (`after.NAME`), in the published names and orders.
pub fn published(diva: &Diva, params: &Params, batch: &Batch, noise: &Noise, weights: Weights) -> TensorFile {
    let engine = Engine::new();
    let mut gradients = Gradients::new(params);
    let mut file = TensorFile::new();
    let tape = Tape::train(&engine, params);
    let loss = diva.loss(&tape, batch, noise, weights);
    file.insert("loss", &[1], &[loss.total.item()]);
    for (name, value) in loss.terms {
        file.insert(name, &[1], &[value]);
    }
    loss.total.backward(&mut gradients);
    insert_gradients(&mut file, params, &gradients);
    file
}

/// Adds the gradient of every weight (`grad.NAME`) and every statistic after the step (`after.NAME`), in the published
/// names and orders.
pub fn insert_gradients(file: &mut TensorFile, params: &Params, gradients: &Gradients) {
    for param in params.handles() {
        let entry = params.entry(param);
        let kind = match entry.role {
            Role::Weight => "grad",
            Role::Statistic => "after",
        };
        let values = entry.layout.to_published(gradients.get(params, param));
        file.insert(format!("{kind}.{}", entry.name), &entry.layout.shape, &values);
    }
}
