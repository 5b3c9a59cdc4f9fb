//! The evidence lower bound (ELBO) of single images of which no label is known: how well a model explains them.
//!
//! Of latents z_i with posteriors q(z_i|x) and labels l_i (the domain for zd, the class for zy, none for the others):
//!
//! ```text
//! log p(x) >= E_q[log p(x|z)] - sum_i KL(q(z_i|x) || p(z_i))          p(z_i) = sum_l p(l) p(z_i|l)
//! ```
//!
//! p(d) is the same for all training domains, p(y) is given. The divergence from a mixture has no closed form, but, by Jensen's
//! inequality, for all weights w(l) that add up to 1
//!
//! ```text
//! KL(q || sum_l p(l) p(z|l)) <= sum_l w(l) [KL(q || p(z|l)) + log w(l) - log p(l)]
//! ```
//!
//! With w(y) = q(y|zy) these are the terms by which training sums y out of images without a class (`diva/elbo.rs`; Ilse et
//! al. 2020, equations 3 and 4, with b = 1). The best weights are proportional to p(l) exp(-KL(q || p(z|l))), and with them
//! the right side is
//!
//! ```text
//! - log sum_l p(l) exp(-KL(q || p(z|l)))
//! ```
//!
//! (the same for mixtures on both sides: Hershey, Olsen, "Approximating the Kullback Leibler divergence between Gaussian mixture
//! models", ICASSP 2007). That is what is subtracted here, so the auxiliary classifiers have no part in it. Divergences of
//! normal distributions are in closed form, which is what the published one-sample estimates are on average, and log p(x|z)
//! is taken at the posteriors' means instead of on average over z: nothing is drawn, an image has one number. It is the
//! bound itself as far as the decoder is linear within the posteriors' deviations.

use super::latents::{Latent, LatentVariableModel, Latents};
use crate::autograd::{Engine, Params, Tape, Var};
use crate::prob::Normal;
use crate::tensor::Tensor;
use std::sync::Arc;

/// Pixels, of all images together, that go through the networks at a time: of a pixel the decoder gives 256 logits, or up
/// to 100 parameters of a mixture.
const PIXELS_TOGETHER: usize = 1 << 14;

/// The ELBO of each image, in nats, with batch normalisation by running statistics: the same number whatever stands beside the
/// image. `images` are levels (height, width, channels) as the model's settings say; `prior_y` is p(y), one probability a
/// class.
///
/// Memory: about 50 MiB, or 12 KiB for each pixel of an image with more than 2^14.
///
/// # Panics
/// If an image has another size, or `prior_y` another number of classes.
#[track_caller]
pub fn elbos(
    model: &dyn LatentVariableModel,
    params: &Params,
    prior_y: &[f64],
    images: &[&[u8]],
) -> Vec<f64> {
    let settings = model.settings();
    assert_eq!(prior_y.len(), settings.classes, "probabilities in p(y)");
    let [height, width, channels] = settings.image;
    let engine = Engine::new();
    let mut elbos = Vec::with_capacity(images.len());
    for images in images.chunks((PIXELS_TOGETHER / (height * width)).max(1)) {
        let tape = Tape::inference(&engine, params);
        let levels: Arc<[u32]> =
            images.iter().flat_map(|image| image.iter().copied().map(u32::from)).collect();
        let mut pixels = Tensor::zeros([images.len(), height, width, channels]);
        assert_eq!(pixels.data().len(), levels.len(), "levels of {} images", images.len());
        for (pixel, &level) in pixels.data_mut().iter_mut().zip(&*levels) {
            *pixel = level as f32 / 255.0;
        }
        let posteriors = model.posteriors(tape.input(&pixels));
        let means: Latents<'_> = posteriors.iter().map(|&(latent, q)| (latent, q.mean)).collect();
        let losses = model.decoder().pixel_losses(means.side_by_side(), &levels);
        let first = elbos.len();
        losses.read(|losses| {
            let sum = |image: &[f32]| image.iter().map(|&loss| f64::from(loss)).sum::<f64>();
            elbos.extend(losses.chunks_exact(height * width).map(|image| -sum(image)));
        });
        for (latent, q) in posteriors {
            let divergences = match (latent, model.labels(latent)) {
                (_, None) => {
                    let p = model.prior(&tape, latent, &vec![0; images.len()].into());
                    q.kl(&p).read(|numbers| numbers.iter().map(|&kl| f64::from(kl)).collect())
                }
                (Latent::Class, Some(_)) => divergences(model, &tape, latent, q, prior_y),
                (_, Some(labels)) => divergences(model, &tape, latent, q, &vec![1.0 / labels as f64; labels]),
            };
            for (elbo, divergence) in elbos[first..].iter_mut().zip(divergences) {
                *elbo -= divergence;
            }
        }
    }
    elbos
}

/// - log sum_l p(l) exp(-KL(q || p(z|l))) of each row of q.
fn divergences<'t>(
    model: &dyn LatentVariableModel,
    tape: &'t Tape<'t>,
    latent: Latent,
    q: Normal<'t>,
    probabilities: &[f64],
) -> Vec<f64> {
    let possible: Vec<(u32, f64)> = (0..)
        .zip(probabilities.iter().copied())
        .filter(|&(_, probability)| probability as f32 > 0.0)
        .collect();
    let (images, labels) = (q.mean.shape().rows(), possible.len());
    // Every image with every label: image 0 with all labels, then image 1, ...
    let image_of: Arc<[u32]> = (0..images * labels).map(|i| (i / labels) as u32).collect();
    let label_of: Arc<[u32]> = (0..images * labels).map(|i| (i % labels) as u32).collect();
    let p = model.prior(tape, latent, &possible.iter().map(|&(label, _)| label).collect());
    let kl = q.gather_rows(&image_of).kl(&p.gather_rows(&label_of)).reshape([images, labels]);
    let prior = tape.constant([images, labels], |numbers| {
        for row in numbers.chunks_exact_mut(labels) {
            row.iter_mut()
                .zip(&possible)
                .for_each(|(number, &(_, probability))| *number = probability as f32);
        }
    });
    negative_log_sums(prior.ln() - kl)
}

/// - log sum_l exp(terms(l)) of each row.
fn negative_log_sums(terms: Var<'_>) -> Vec<f64> {
    let labels = terms.shape().columns();
    let rows =
        |numbers: &[f32]| -> Vec<Vec<f32>> { numbers.chunks_exact(labels).map(<[f32]>::to_vec).collect() };
    // Of whichever term, its log-softmax less the term. Of the largest nothing cancels; f64 takes in both, however far apart.
    let log_sum = |(terms, shares): (Vec<f32>, Vec<f32>)| {
        let largest = (0..labels).fold(0, |best, l| if terms[l] > terms[best] { l } else { best });
        f64::from(shares[largest]) - f64::from(terms[largest])
    };
    terms.read(rows).into_iter().zip(terms.log_softmax().read(rows)).map(log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::Builder;
    use crate::autograd::gradcheck::CHOOSING;
    use crate::models::diva::Noise;
    use crate::models::{Batch, Kl, LogitLayout, Model, ModelKind, Networks, Settings, Weights};
    use crate::parallel::with_threads;
    use crate::rng::Stream;
    use crate::simd::Isa;
    use std::sync::PoisonError;

    const ALL: [ModelKind; 4] = [ModelKind::Diva, ModelKind::DivaNoZd, ModelKind::DivaNoZx, ModelKind::Vae];

    /// The settings of narrow models of every family of networks: for digits in both layouts, for cells, grey and in colour.
    fn families() -> [Settings; 4] {
        let lenet = Settings {
            kind: ModelKind::Diva,
            networks: Networks::Lenet,
            image: [28, 28, 1],
            encoder_width: 0.1,
            decoder_width: 0.05,
            latent: 5,
            domains: 3,
            classes: 4,
            logits: LogitLayout::PerPixel,
            kl: Kl::ClosedForm,
            prior_y: vec![0.25; 4],
        };
        let published = Settings { logits: LogitLayout::Published, ..lenet.clone() };
        let resnet = |channels| Settings {
            networks: Networks::Resnet,
            image: [16, 32, channels],
            encoder_width: 0.125,
            decoder_width: 0.125,
            ..lenet.clone()
        };
        let (grey, colour) = (resnet(1), resnet(3));
        [lenet, published, grey, colour]
    }

    /// A model of which no two labels have the same prior.
    fn model(settings: &Settings, kind: ModelKind) -> (Model, Params) {
        let mut params = Params::new();
        let model = Model::new(&mut Builder::new(&mut params, 2), Settings { kind, ..settings.clone() });
        for (number, param) in params.handles().enumerate().collect::<Vec<_>>() {
            let range = match params.entry(param).name.rsplit('.').next() {
                Some("running_mean" | "bias") => [-0.3, 0.3],
                Some("running_var") => [0.5, 2.0],
                _ => continue,
            };
            let [low, high] = range;
            Stream::new(5, "parameters", &[number as u64]).fill_uniform(low, high, params.get_mut(param));
        }
        (model, params)
    }

    /// Images of noise of every contrast.
    fn images([height, width, channels]: [usize; 3], count: usize) -> Vec<Vec<u8>> {
        let image = |number: usize| {
            let mut noise = vec![0.0; height * width * channels];
            Stream::new(8, "image", &[number as u64]).fill_uniform(0.0, 255.99, &mut noise);
            noise.iter().map(|level| (level / (1 + number % 3) as f32) as u8).collect()
        };
        (0..count).map(image).collect()
    }

    fn lent(images: &[Vec<u8>]) -> Vec<&[u8]> {
        images.iter().map(Vec::as_slice).collect()
    }

    /// The terms of the published loss of one image with these labels, without noise, by running statistics.
    fn terms(
        model: &Model,
        params: &Params,
        image: &[u8],
        [domain, class]: [u32; 2],
    ) -> Vec<(&'static str, f64)> {
        let settings = model.latent_variables().unwrap().settings();
        let [height, width, channels] = settings.image;
        let pixels: Vec<f32> = image.iter().map(|&level| f32::from(level) / 255.0).collect();
        let batch = Batch {
            images: Tensor::new([1, height, width, channels], &pixels),
            levels: image.iter().map(|&level| u32::from(level)).collect(),
            domains: [domain].into(),
            classes: Some([class].into()),
        };
        let weights = Weights { beta: 1.0, alpha_d: 1.0, alpha_y: 1.0 };
        let engine = Engine::new();
        let tape = Tape::inference(&engine, params);
        let none = |columns| Tensor::zeros([1, columns]);
        let loss = match model {
            Model::Diva(diva) => {
                let noise = [none(settings.latent), none(settings.latent), none(settings.latent)];
                let [domain, residual, class] = noise;
                diva.loss(&tape, &batch, &Noise { domain, residual, class }, weights)
            }
            Model::Vae(vae) => vae.loss(&tape, &batch, &none(settings.single_latent()), weights),
            _ => panic!("a model without latents"),
        };
        loss.terms.into_iter().map(|(name, term)| (name, f64::from(term))).collect()
    }

    /// The definition in f64, from the terms of the loss for each domain and each class.
    fn by_labels(model: &Model, params: &Params, prior_y: &[f64], image: &[u8]) -> f64 {
        let settings = model.latent_variables().unwrap().settings();
        let term = |name: &str, labels| {
            let found = terms(model, params, image, labels);
            found.into_iter().find(|(its, _)| *its == name).map_or(0.0, |(_, term)| term)
        };
        let p_d = 1.0 / settings.domains as f64;
        let of_domain: f64 = (0..settings.domains as u32).map(|d| p_d * (-term("kl_d", [d, 0])).exp()).sum();
        let of_class: f64 = (0..).zip(prior_y).map(|(y, p_y)| p_y * (-term("kl_y", [0, y])).exp()).sum();
        let others = term("reconstruction", [0, 0]) + term("kl_x", [0, 0]) + term("kl", [0, 0]);
        of_domain.ln() + of_class.ln() - others
    }

    #[test]
    fn labels_are_summed_out() {
        let prior_y = [0.5, 0.1, 0.0, 0.4];
        for settings in families() {
            for kind in ALL {
                let (model, params) = model(&settings, kind);
                let images = images(settings.image, 3);
                let found = elbos(model.latent_variables().unwrap(), &params, &prior_y, &lent(&images));
                assert_eq!(found.len(), images.len());
                for (found, image) in found.iter().zip(&images) {
                    let expected = by_labels(&model, &params, &prior_y, image);
                    let what = format!("{kind:?} of {:?}, {:?}", settings.image, settings.logits);
                    assert!(
                        (found - expected).abs() < 1e-6 * expected.abs(),
                        "{what}: {found}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn labels_are_summed_out_however_far_all_priors_are() {
        let (engine, params) = (Engine::new(), Params::new());
        let tape = Tape::inference(&engine, &params);
        for height in [0.0_f32, -1e4, -1e6, -1e8] {
            for below in [[0.0_f32, 0.0, 0.0], [0.0, -8.0, -24.0], [-16.0, -8.0, 0.0]] {
                let terms = below.map(|x| height + x);
                let found = negative_log_sums(tape.input(&Tensor::new([1, 3], &terms)))[0];
                let sum: f64 = below.iter().map(|&x| f64::from(x).exp()).sum();
                let expected = -f64::from(height) - sum.ln();
                assert!((found - expected).abs() < 3e-7, "{terms:?}: {found}, expected {expected}");
            }
        }
    }

    /// The labels matter: priors of this model differ by nats.
    #[test]
    fn the_label_that_explains_best_counts_most() {
        let [settings, ..] = families();
        let (model, params) = model(&settings, ModelKind::Diva);
        let image = &images(settings.image, 1)[0];
        let of_class =
            |y| terms(&model, &params, image, [0, y]).iter().find(|(n, _)| *n == "kl_y").unwrap().1;
        let divergences: Vec<f64> = (0..4).map(of_class).collect();
        let elbo = |prior_y: &[f64]| elbos(model.latent_variables().unwrap(), &params, prior_y, &[image])[0];
        let one_class = |y: usize| elbo(&[0, 1, 2, 3].map(|class| f64::from(u8::from(class == y))));
        for y in 1..4 {
            let difference = one_class(y) - one_class(0);
            assert!((difference - (divergences[0] - divergences[y])).abs() < 1e-3, "{y}: {difference}");
            assert!(difference.abs() > 0.01, "{y}: {difference}");
        }
        let best = (0..4).map(one_class).fold(f64::NEG_INFINITY, f64::max);
        let of_all = elbo(&[0.25; 4]);
        assert!(of_all < best && of_all > best - 4.0_f64.ln(), "{of_all}, of the best class {best}");
    }

    /// With a single label each there is nothing to sum out: the loss without the auxiliary classifiers.
    #[test]
    fn of_one_domain_and_one_class_it_is_the_loss() {
        for settings in families() {
            let settings = Settings { domains: 1, classes: 1, prior_y: vec![1.0], ..settings };
            for kind in ALL {
                let (model, params) = model(&settings, kind);
                let images = images(settings.image, 2);
                let found = elbos(model.latent_variables().unwrap(), &params, &[1.0], &lent(&images));
                for (found, image) in found.iter().zip(&images) {
                    let all = terms(&model, &params, image, [0, 0]);
                    let sum: f64 =
                        all.iter().filter(|(name, _)| !name.starts_with("ce_")).map(|(_, term)| term).sum();
                    assert!((found + sum).abs() < 1e-6 * sum, "{kind:?} of {:?}: {found}", settings.image);
                }
            }
        }
    }

    /// Wide enough for every way of convolving; more images than go through at a time.
    #[test]
    fn an_image_has_one_number_whatever_stands_beside_it() {
        let [lenet, _, _, colour] = families();
        let lenet = Settings { encoder_width: 0.5, decoder_width: 0.5, ..lenet };
        let colour = Settings { image: [64, 64, 3], encoder_width: 1.0, decoder_width: 1.0, ..colour };
        for (settings, count) in [(lenet, 43), (colour, 6)] {
            let (model, params) = model(&settings, ModelKind::Diva);
            let images = images(settings.image, count);
            let of = |images: &[Vec<u8>]| {
                elbos(model.latent_variables().unwrap(), &params, &settings.prior_y, &lent(images))
            };
            let together = of(&images);
            for some in [0, 7, 42] {
                if let Some(image) = images.get(some..=some) {
                    assert_eq!(of(image), together[some..=some]);
                }
            }
            for threads in [1, 2, 3] {
                assert_eq!(with_threads(threads, || of(&images)), together, "{threads} threads");
            }
            let _guard = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
            let before = Isa::current();
            for &isa in Isa::supported() {
                isa.choose();
                let found = of(&images);
                before.choose();
                assert_eq!(found, together, "{}", isa.name());
            }
        }
    }
}
