//! How well classes are recognised, by the mean of q(zy|x), without training anything.

use crate::data::Dataset;
use crate::data::collection::UNLABELLED;
use crate::models::{LabelPredictor, argmax, softmax};
use crate::tensor::Buffer;

/// Images that are turned from bytes to f32 together.
const BATCH: usize = 500;

/// The predicted label of every image.
pub fn predict(predictor: &LabelPredictor, data: &Dataset) -> Vec<u32> {
    let mut predicted = Vec::with_capacity(data.len());
    for_each_batch(predictor, data, |logits| predicted.extend(argmax(logits, predictor.labels())));
    predicted
}

/// The predicted label of every image, and the probabilities of all labels: (images, labels).
pub fn predict_with_probabilities(predictor: &LabelPredictor, data: &Dataset) -> (Vec<u32>, Vec<f32>) {
    let labels = predictor.labels();
    let mut predicted = Vec::with_capacity(data.len());
    let mut probabilities = Vec::with_capacity(data.len() * labels);
    for_each_batch(predictor, data, |logits| {
        predicted.extend(argmax(logits, labels));
        probabilities.extend(softmax(logits, labels));
    });
    (predicted, probabilities)
}

/// Hands on the logits of all images, batch by batch.
fn for_each_batch(predictor: &LabelPredictor, data: &Dataset, mut take: impl FnMut(&[f32])) {
    let all: Vec<usize> = (0..data.len()).collect();
    let (pixels, labels) = (data.values(), predictor.labels());
    let mut images = Buffer::zeros(BATCH.min(all.len()) * pixels);
    let mut logits = Buffer::zeros(BATCH.min(all.len()) * labels);
    for indices in all.chunks(BATCH) {
        let images = &mut images[..indices.len() * pixels];
        let logits = &mut logits[..indices.len() * labels];
        data.gather_pixels(indices, images);
        predictor.logits(images, logits);
        take(logits);
    }
}

/// (right predictions, images whose class is known) of each domain 0..domains.
pub fn correct_by_domain(data: &Dataset, predicted: &[u32], domains: usize) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); domains];
    for ((&domain, class), prediction) in data.domains.iter().zip(&data.classes).zip(predicted) {
        let (right, all) = &mut counts[domain as usize];
        *right += usize::from(class == prediction);
        *all += usize::from(*class != UNLABELLED);
    }
    counts
}

/// The share of right predictions, 0..1.
pub fn accuracy(data: &Dataset, predicted: &[u32]) -> f64 {
    let right = data.classes.iter().zip(predicted).filter(|(class, prediction)| class == prediction).count();
    right as f64 / data.len().max(1) as f64
}
