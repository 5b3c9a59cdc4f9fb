//! How well classes are recognised, by the mean of q(zy|x), without training anything.

use super::dataset;
use crate::autograd::{Engine, Params, Tape};
use crate::data::Dataset;
use crate::models::diva::{Diva, argmax_rows};

/// Images that go through the networks together.
const BATCH: usize = 100;

/// The predicted class of every image.
pub fn predict_classes(diva: &Diva, params: &Params, engine: &Engine, data: &Dataset) -> Vec<u32> {
    let all: Vec<usize> = (0..data.len()).collect();
    let predict = |indices: &[usize]| {
        let tape = Tape::inference(engine, params);
        argmax_rows(diva.class_logits(tape.input(&dataset::images(data, indices))))
    };
    all.chunks(BATCH).flat_map(predict).collect()
}

/// (right predictions, images) of each domain 0..domains.
pub fn correct_by_domain(data: &Dataset, predicted: &[u32], domains: usize) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); domains];
    for ((&domain, class), prediction) in data.domains.iter().zip(&data.classes).zip(predicted) {
        let (right, all) = &mut counts[domain as usize];
        *right += usize::from(class == prediction);
        *all += 1;
    }
    counts
}

/// The share of right predictions, 0..1.
pub fn accuracy(data: &Dataset, predicted: &[u32]) -> f64 {
    let right = data.classes.iter().zip(predicted).filter(|(class, prediction)| class == prediction).count();
    right as f64 / data.len().max(1) as f64
}
