//! The convolutions of the rotated-MNIST model at batch 100: forward, and with the gradients of image and weights.
//!
//! Elements are images.

mod rows;

use criterion::{Criterion, criterion_group, criterion_main};
use diva::ops::Conv2d;

const BATCH: usize = 100;
const VALID: Conv2d = Conv2d { stride: 1, padding: 0 };

fn conv(criterion: &mut Criterion) {
    let rows: Vec<rows::Row> = vec![
        ("encoder_1", vec![[BATCH, 28, 28, 1].into(), [5, 5, 1, 32].into()], BATCH, |v| {
            v[0].conv2d(v[1], None, VALID)
        }),
        ("encoder_2", vec![[BATCH, 12, 12, 32].into(), [5, 5, 32, 64].into()], BATCH, |v| {
            v[0].conv2d(v[1], None, VALID)
        }),
        ("upsampled_1", vec![[BATCH, 4, 4, 64].into(), [5, 5, 64, 128].into()], BATCH, |v| {
            v[0].upsampled_conv_transpose2d(v[1])
        }),
        ("upsampled_2", vec![[BATCH, 12, 12, 128].into(), [5, 5, 128, 256].into()], BATCH, |v| {
            v[0].upsampled_conv_transpose2d(v[1])
        }),
    ];
    rows::time(criterion, "conv", rows);
}

criterion_group!(benches, conv);
criterion_main!(benches);
