//! The points of scripts/sklearn_reference.py.

use crate::tensor::Tensor;

/// 200 points of eight dimensions, with their labels 0 to 3.
pub(super) fn points() -> (Tensor, Vec<u32>) {
    let (mut labels, mut numbers) = (vec![], vec![]);
    for line in include_str!("../../tests/fixtures/latents/points.csv").lines() {
        let (label, coordinates) = line.split_once(',').unwrap();
        labels.push(label.parse().unwrap());
        numbers.extend(coordinates.split(',').map(|number| number.parse::<f32>().unwrap()));
    }
    (Tensor::new([labels.len(), 8], &numbers), labels)
}
