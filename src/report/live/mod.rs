//! What a reader of the page can try: the decoder of the run's model, run by the page itself, on the latents of some images.
//!
//! The page holds the numbers of the decoder and, where there is room, of the encoder that tells the classes; the means of the
//! posteriors of some images; the means of the priors; and the directions in which the former differ most. All else is done by
//! the page: `html/live/decoder.js` computes, `html/live/live.js` is what the reader touches.

mod half;
mod images;
mod numbers;
mod section;
#[cfg(test)]
mod tests;

pub use section::{LINK, section};

use super::Picture;
use super::html::{base64, name};
use super::palette::label;
use super::text::degrees;
use crate::autograd::{Engine, Params, Tape, Var};
use crate::config::LogitLayout;
use crate::data::{Split, class_in_words};
use crate::experiments::latents::{self, Latent as Encoded};
use crate::experiments::pca::Components;
use crate::models::networks::Decoder;
use crate::models::{Latent, LatentVariableModel, Model};
use crate::nn::{Writer, Written};
use crate::tensor::Tensor;
use half::{half, widened};
use numbers::{Layer, Numbers};
use serde::Serialize;
use std::sync::Arc;

/// The live part of a page.
#[derive(Clone, Debug)]
pub struct Live {
    /// What the page's program reads: JSON that closes no element.
    pub data: String,
    /// The images side by side in rows, as a PNG file.
    pub sheet: Vec<u8>,
    /// Sentences on what the page holds.
    pub notes: Vec<String>,
}

/// With more weights than this they are stored in 16 bits, if the pictures allow it.
const MOST_WHOLE: usize = 1 << 18;

/// With more weights than this there is no live part, or no encoder in it: the page would be larger than browsers like.
const MOST_WEIGHTS: usize = 1 << 24;

/// Pictures may differ by less than this, in levels of 255, if weights are stored in 16 bits.
const MOST_DIFFERENCE: f64 = 0.5;

/// Directions of all latents together that have a slider.
const SLIDERS: usize = 9;

/// Images in a row of the sheet.
const COLUMNS: usize = 20;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    image: [usize; 3],
    mixture: bool,
    channels_first: bool,
    bits: usize,
    decoder: Vec<Layer>,
    classifier: Option<Vec<Layer>>,
    latents: Vec<OfLatent>,
    classes: Vec<String>,
    domains: Vec<String>,
    colours: Vec<String>,
    class_of: Vec<usize>,
    domain_of: Vec<usize>,
    columns: usize,
    weights: String,
    numbers: String,
}

#[derive(Debug, Serialize)]
struct OfLatent {
    name: &'static str,
    size: usize,
    /// "class", "domain" or nothing: what its prior is conditioned on.
    label: Option<&'static str>,
    priors: usize,
    directions: usize,
    /// Whether the directions are its dimensions.
    dimensions: bool,
}

/// The live part of the model of a run with the images of its split.
///
/// # Errors
/// Why there is none, in a clause.
pub fn live(model: &Model, params: &Params, split: &Split) -> Result<Live, String> {
    let variables = model.latent_variables().ok_or("the model has no decoder")?;
    let images = images::chosen(split);
    if images.len() < 2 {
        return Err("there are fewer than two images to show".into());
    }
    let encoded = latents::encode(model, params, &images, "shown").map_err(|error| error.to_string())?;
    let size = |params: &Params| numbers::weights(&decoder(variables, params));
    let of_decoder = size(params).ok_or("a number of the decoder is not finite")?;
    if of_decoder > MOST_WEIGHTS {
        return Err(format!(
            "the decoder has {of_decoder} weights, and the page has room for {MOST_WEIGHTS}"
        ));
    }
    let mut notes = Vec::new();
    let of_classifier = numbers::weights(&classifier(variables, params));
    let has_classifier = of_classifier.is_some_and(|weights| weights <= MOST_WEIGHTS);
    if !has_classifier {
        notes.push("The encoder that tells the classes is left out, as it is too large.".to_owned());
    }
    let weights = of_decoder + of_classifier.filter(|_| has_classifier).unwrap_or(0);
    let halves = (weights > MOST_WHOLE).then(|| in_halves(params)).flatten();
    let difference = halves.as_ref().map(|halves| difference(variables, [params, halves], &encoded));
    let are_halves = difference.is_some_and(|difference| difference < MOST_DIFFERENCE);
    if let Some(difference) = difference {
        notes.push(match are_halves {
            true => format!(
                "Weights are stored with 16 bits: in the pictures of these images a pixel's {} differs by at most \
                 {difference:.3} of 255 levels for that.",
                of_pixel(variables)
            ),
            false => format!(
                "Weights are stored with 32 bits: with 16 a pixel's {} would differ by up to {difference:.1} of 255 levels.",
                of_pixel(variables)
            ),
        });
    }
    let stored = halves.as_ref().filter(|_| are_halves).unwrap_or(params);
    let mut numbers = Numbers { are_halves, ..Numbers::default() };
    let decoder = numbers.network(&decoder(variables, stored));
    let classifier = has_classifier.then(|| numbers.network(&classifier(variables, stored)));
    let latents = latents_of(variables, params, &encoded, &mut numbers)?;
    let (rows, columns, pixels) = images::sheet(&images, COLUMNS);
    let (classes, domains) = names(split);
    let data = Data {
        image: [images.height, images.width, images.channels],
        mixture: matches!(variables.decoder(), Decoder::Resnet(_)),
        channels_first: matches!(variables.decoder(), Decoder::Lenet(_, LogitLayout::Published)),
        bits: if are_halves { 16 } else { 32 },
        decoder,
        classifier,
        latents,
        colours: (0..10).map(|number| hexadecimal(label(number))).collect(),
        class_of: images.classes.iter().map(|&class| (class as usize).min(split.classes)).collect(),
        domain_of: images.domains.iter().map(|&domain| domain as usize).collect(),
        classes,
        domains,
        columns: COLUMNS,
        weights: base64(&numbers.weights),
        numbers: base64(&numbers.others),
    };
    // A name that would end the element is data too.
    let data = serde_json::to_string(&data).expect("names and finite numbers").replace('<', "\\u003c");
    Ok(Live { data, sheet: Picture::new(rows, columns, images.channels, pixels).to_png(), notes })
}

/// The decoder, layer by layer.
fn decoder(model: &dyn LatentVariableModel, params: &Params) -> Vec<Written> {
    let settings = model.settings();
    let each = match model.latents()[..] {
        [Latent::Single] => settings.single_latent(),
        _ => settings.latent,
    };
    model.decoder().written(each * model.latents().len(), params)
}

/// From an image to the logits of its class, layer by layer.
fn classifier(model: &dyn LatentVariableModel, params: &Params) -> Vec<Written> {
    let mut writer = Writer::new(model.settings().image, params);
    model.class_stages().iter().for_each(|stage| writer.stage(stage));
    writer.finish()
}

/// The parameters with every weight of 16 bits; nothing if one is too large for that.
fn in_halves(params: &Params) -> Option<Params> {
    let mut halves = params.clone();
    for param in params.handles().filter(|&param| params.entry(param).shape.rank() > 1) {
        for number in halves.get_mut(param) {
            *number = widened(half(*number)?);
        }
    }
    Some(halves)
}

/// What a pixel of a picture is compared by.
fn of_pixel(model: &dyn LatentVariableModel) -> &'static str {
    match model.decoder() {
        Decoder::Lenet(..) => "expected level",
        Decoder::Resnet(_) => "level",
    }
}

/// By how much two sets of parameters differ in what they make of some of the images, in levels of 255.
fn difference(model: &dyn LatentVariableModel, params: [&Params; 2], encoded: &[Encoded]) -> f64 {
    /// Every eighth image: at the published width an image takes some hundredths of a second.
    const STEP: usize = 8;
    let rows: Vec<Vec<f32>> = (0..encoded[0].means.shape().rows())
        .step_by(STEP)
        .map(|row| encoded.iter().flat_map(|latent| row_of(&latent.means, row)).copied().collect())
        .collect();
    let [ours, theirs] = params.map(|params| {
        let engine = Engine::new();
        let pictures = rows.iter().map(|row| {
            let tape = Tape::inference(&engine, params);
            levels(model.decoder(), tape.input(&Tensor::new([1, row.len()], row)))
        });
        pictures.collect::<Vec<_>>().concat()
    });
    ours.iter().zip(&theirs).fold(0.0, |most, (a, b)| f64::max(most, (a - b).abs()))
}

/// The expected level of each pixel, or that of the mean of its likeliest component.
fn levels(decoder: &Decoder, z: Var<'_>) -> Vec<f64> {
    match decoder {
        Decoder::Lenet(decoder, layout) => {
            let logarithms = decoder.pixel_logits(z, *layout).log_softmax();
            let expected = |row: &[f32]| {
                let of_level = |(level, &p): (u16, &f32)| f64::from(level) * f64::from(p);
                (0..).zip(row).map(of_level).sum()
            };
            logarithms.exp().read(|rows| rows.chunks_exact(256).map(expected).collect())
        }
        Decoder::Resnet(decoder) => {
            decoder.mixtures(z).likeliest_means().data().iter().map(|&mean| 255.0 * f64::from(mean)).collect()
        }
    }
}

fn row_of(rows: &Tensor, row: usize) -> &[f32] {
    let columns = rows.shape().columns();
    &rows.data()[row * columns..][..columns]
}

/// Describes the latents; the means of the posteriors and the priors, the directions and the standard deviations along them
/// are appended to the numbers.
fn latents_of(
    model: &dyn LatentVariableModel,
    params: &Params,
    encoded: &[Encoded],
    numbers: &mut Numbers,
) -> Result<Vec<OfLatent>, String> {
    let (engine, all) = (Engine::new(), model.latents());
    let of_latent = |(&latent, Encoded { means, .. }): (&Latent, &Encoded)| {
        let size = means.shape().columns();
        let label = match latent {
            Latent::Domain => Some("domain"),
            Latent::Class => Some("class"),
            Latent::Residual | Latent::Single => None,
        };
        numbers.append(means.data());
        let priors = model.labels(latent).unwrap_or(0);
        if priors > 0 {
            let tape = Tape::inference(&engine, params);
            let labels: Arc<[u32]> = (0..priors as u32).collect();
            let means = model.prior(&tape, latent, &labels).mean.read(<[f32]>::to_vec);
            if means.iter().any(|mean| !mean.is_finite()) {
                return Err(format!("a mean of the prior of {} is not finite", latent.name()));
            }
            numbers.append(&means);
        }
        let directions = directions(means, SLIDERS / all.len());
        let as_f32 = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<_>>();
        numbers.append(&as_f32(&directions.mean));
        directions.axes.iter().for_each(|axis| numbers.append(&as_f32(axis)));
        let deviations: Vec<f64> = directions.variances.iter().map(|variance| variance.sqrt()).collect();
        numbers.append(&as_f32(&deviations));
        let count = directions.axes.len();
        Ok(OfLatent { name: latent.name(), size, label, priors, directions: count, dimensions: size <= 2 })
    };
    all.iter().zip(encoded).map(of_latent).collect()
}

/// The directions in which the rows of `means` differ most, without those in which they do not differ; of at most two
/// dimensions these themselves.
fn directions(means: &Tensor, most: usize) -> Components {
    let columns = means.shape().columns();
    let mut found = Components::of(means, most);
    if columns <= 2 {
        let column = |i: usize| means.data().iter().skip(i).step_by(columns).map(|&mean| f64::from(mean));
        let divisor = (means.shape().rows() - 1) as f64;
        let variance =
            |i: usize| column(i).map(|x| (x - found.mean[i]) * (x - found.mean[i])).sum::<f64>() / divisor;
        found.variances = (0..columns).map(variance).collect();
        found.axes =
            (0..columns).map(|i| (0..columns).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    }
    // The square of a number that f32 holds, with room.
    let mut variances = found.variances.iter();
    found.axes.retain(|_| variances.next().is_some_and(|&variance| variance > 1e-24));
    found.variances.retain(|&variance| variance > 1e-24);
    found
}

/// The names of classes, the last for those that are not known, and of domains, the unseen one last.
fn names(split: &Split) -> (Vec<String>, Vec<String>) {
    let class = |class: usize| name(&class_in_words(&split.class_names, class as u32));
    let mut classes: Vec<String> = (0..split.classes).map(class).collect();
    classes.push("class not known".into());
    let mut domains: Vec<String> = split.domain_names.iter().map(|domain| name(&degrees(domain))).collect();
    domains.push(format!("{}, unseen", name(&degrees(&split.test_domain))));
    (classes, domains)
}

fn hexadecimal([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
