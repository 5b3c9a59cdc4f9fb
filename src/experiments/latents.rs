//! What a trained model's encoders make of images: the mean of q(z|x) for each latent z.

use crate::autograd::{Engine, Params, Tape};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::tensor::Tensor;
use crate::train::dataset;

/// Images that are encoded together: enough to keep every thread busy, and few enough for their features to be small.
const BATCH: usize = 200;

/// A latent of a model with its values for some images.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// zd, zx or zy; z of a model with a single latent.
    pub name: &'static str,
    /// The means of q(z|x): (images, dimensions).
    pub means: Tensor,
}

/// The posterior means of all latents of the model for all images of `data`, in the order zd, zx, zy. Nothing if the
/// model has no latents, or there are no images. Messages call an image the `which` image of its number.
///
/// # Errors
/// If a mean is not finite.
///
/// # Panics
/// If the model is not for images of this size.
pub fn encode(model: &Model, params: &Params, data: &Dataset, which: &str) -> Result<Vec<Latent>> {
    let Some(variables) = model.latent_variables() else { return Ok(Vec::new()) };
    let engine = Engine::new();
    let all: Vec<usize> = (0..data.len()).collect();
    let mut latents: Vec<Latent> = Vec::new();
    for (batch, indices) in all.chunks(BATCH).enumerate() {
        let tape = Tape::inference(&engine, params);
        let means = variables.posterior_means(tape.input(&dataset::images(data, indices)));
        let named =
            variables.latents().into_iter().filter_map(|latent| Some((latent.name(), means.get(latent)?)));
        for (place, (name, mean)) in named.enumerate() {
            let columns = mean.shape().columns();
            if latents.len() == place {
                latents.push(Latent { name, means: Tensor::zeros([data.len(), columns]) });
            }
            let rows = &mut latents[place].means.data_mut()[batch * BATCH * columns..];
            mean.read(|numbers| rows[..numbers.len()].copy_from_slice(numbers));
        }
    }
    for Latent { name, means } in &latents {
        if let Some(place) = means.data().iter().position(|mean| !mean.is_finite()) {
            let (image, mean) = (place / means.shape().columns(), means.data()[place]);
            return Err(Error::work(format!(
                "a mean of {name} of {which} image {image} is {mean}, expected a finite number"
            )));
        }
    }
    Ok(latents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::Builder;
    use crate::config::Config;
    use crate::models::LabelPredictor;
    use crate::parallel;

    /// A narrow model of the kind, and 210 digits of three domains: two batches.
    fn model(kind: &str) -> (Model, Params, Dataset) {
        let mut overrides = [
            "data.domains=[0, 15, 30, 75]",
            "data.per_class=7",
            "train.batch=10",
            "model.encoder_width=0.1",
            "model.decoder_width=0.05",
            "model.latent=4",
        ]
        .map(str::to_owned)
        .to_vec();
        overrides.push(format!("model.kind={kind}"));
        let config = Config::resolve(None, Some("quick"), &overrides, None).unwrap();
        let split = dataset::load(&config).unwrap();
        let settings = dataset::settings(&config.model, split.domain_names.len(), 10, None).unwrap();
        let mut params = Params::new();
        let model = Model::new(&mut Builder::new(&mut params, 5), settings);
        (model, params, split.train)
    }

    fn names_and_columns(latents: &[Latent]) -> Vec<(&'static str, usize)> {
        latents.iter().map(|latent| (latent.name, latent.means.shape().columns())).collect()
    }

    /// Checks that the linear classifier `name`, written out in f64 on the rectified means, gives the logits that the
    /// model's predictor gives for the images, without a tape.
    fn check_by_classifier(
        params: &Params,
        data: &Dataset,
        latent: &Latent,
        name: &str,
        predictor: &LabelPredictor,
    ) {
        let number = |end: &str| params.get(params.find(&format!("{name}.fc1.{end}")).unwrap());
        let (weight, bias) = (number("weight"), number("bias"));
        let (columns, labels) = (latent.means.shape().columns(), bias.len());
        let mut logits = vec![0.0; data.len() * labels];
        let all: Vec<usize> = (0..data.len()).collect();
        predictor.logits(dataset::images(data, &all).data(), &mut logits);
        let by_image = latent.means.data().chunks_exact(columns).zip(logits.chunks_exact(labels));
        for (image, (mean, logits)) in by_image.enumerate() {
            for (label, &logit) in logits.iter().enumerate() {
                // Weights of linear layers stand (inputs, outputs) in memory.
                let products = mean.iter().enumerate().map(|(i, &z)| z.max(0.0) * weight[i * labels + label]);
                let expected = f64::from(bias[label]) + products.map(f64::from).sum::<f64>();
                assert!(
                    (f64::from(logit) - expected).abs() < 1e-4 * expected.abs().max(1.0),
                    "{name} of image {image}: {logit}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn each_latent_is_what_its_classifier_sees() {
        for (kind, names) in [
            ("diva", &[("zd", 4), ("zx", 4), ("zy", 4)][..]),
            ("diva-no-zd", &[("zx", 4), ("zy", 4)]),
            ("diva-no-zx", &[("zd", 4), ("zy", 4)]),
            ("vae", &[("z", 12)]),
        ] {
            let (model, params, data) = model(kind);
            let latents = encode(&model, &params, &data, "training").unwrap();
            assert_eq!(names_and_columns(&latents), names, "{kind}");
            assert!(latents.iter().all(|latent| latent.means.shape().rows() == 210), "{kind}");
            let of_class = latents.last().unwrap();
            check_by_classifier(&params, &data, of_class, "qy", &model.class_predictor(&params));
            if let Some(predictor) = model.domain_predictor(&params) {
                check_by_classifier(&params, &data, &latents[0], "qd", &predictor);
            }
        }
    }

    #[test]
    fn zx_comes_from_its_own_encoder() {
        let (model, mut params, data) = model("diva");
        for (end, value) in [("weight", 0.0), ("bias", 0.75)] {
            let param = params.find(&format!("qzx.fc11.0.{end}")).unwrap();
            params.get_mut(param).fill(value);
        }
        for latent in encode(&model, &params, &data, "training").unwrap() {
            let is_constant = latent.means.data().iter().all(|&z| z == 0.75);
            assert_eq!(is_constant, latent.name == "zx", "{}", latent.name);
        }
    }

    /// Finite weights whose products f32 does not hold.
    #[test]
    fn a_mean_that_is_no_number_is_an_error_that_names_it() {
        let (model, mut params, data) = model("diva");
        let weight = params.find("qzx.fc11.0.weight").unwrap();
        params.get_mut(weight).iter_mut().for_each(|weight| *weight = 3e38_f32.copysign(*weight));
        let refusal = encode(&model, &params, &data, "training").unwrap_err();
        let sentence = refusal.to_string();
        assert!(sentence.starts_with("a mean of zx of training image 0 is "), "{sentence}");
        assert!(sentence.ends_with(", expected a finite number") && refusal.exit_code() == 1, "{sentence}");
    }

    #[test]
    fn models_without_latents_and_no_images_give_nothing() {
        for kind in ["classifier", "dann"] {
            let (model, params, data) = model(kind);
            assert_eq!(encode(&model, &params, &data, "training").unwrap(), []);
        }
        let (model, params, _) = model("diva");
        let none = Dataset::new([28, 28, 1], vec![], vec![], vec![]);
        assert_eq!(encode(&model, &params, &none, "training").unwrap(), []);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (model, params, data) = model("diva");
        let encode = || encode(&model, &params, &data, "training").unwrap();
        let encoded = [1, 2, 3].map(|threads| parallel::with_threads(threads, encode));
        assert_eq!(encoded[0], encoded[1]);
        assert_eq!(encoded[0], encoded[2]);
    }
}
