//! Operations of the rotated-MNIST model at batch 100 that move more than they multiply: forward, and with all
//! gradients. (The one that multiplies, too, is here because it is no convolution.)
//!
//! Elements are those of the first variable.

mod rows;

use criterion::{Criterion, criterion_group, criterion_main};
use diva::ops::{Activation, Statistics};
use diva_benches::labels;
use std::sync::{Arc, LazyLock};

const BATCH: usize = 100;
const PIXELS: usize = BATCH * 28 * 28;

/// A grey level for every pixel, drawn outside of what is timed.
static LEVELS: LazyLock<Arc<[u32]>> = LazyLock::new(|| labels("levels", PIXELS, 256));

fn ops(criterion: &mut Criterion) {
    LazyLock::force(&LEVELS);
    let image = [BATCH, 12, 12, 128];
    let latent = [BATCH, 64];
    let elements = image.iter().product();
    let rows: Vec<rows::Row> = vec![
        ("relu", vec![image.into()], elements, |v| v[0].relu()),
        ("softplus", vec![image.into()], elements, |v| v[0].softplus()),
        ("exp", vec![image.into()], elements, |v| v[0].exp()),
        ("add", vec![image.into(); 2], elements, |v| v[0] + v[1]),
        ("max_pool", vec![image.into()], elements, |v| v[0].max_pool()),
        ("batch_norm_relu", vec![image.into(), [128].into(), [128].into()], elements, |v| {
            v[0].batch_norm([v[1], v[2]], Statistics::OfBatch, Activation::Relu)
        }),
        ("log_softmax", vec![[BATCH, 256].into()], BATCH * 256, |v| v[0].log_softmax()),
        ("normal_log_prob", vec![latent.into(); 3], BATCH * 64, |v| v[0].normal_log_prob(v[1], v[2])),
        ("linear", vec![[BATCH, 1024].into(), [1024, 64].into(), [64].into()], BATCH * 1024, |v| {
            v[0].linear(v[1], Some(v[2]))
        }),
        (
            "batch_norm_linear_cross_entropy",
            vec![[PIXELS, 256].into(), [256].into(), [256].into(), [256, 256].into(), [256].into()],
            PIXELS * 256,
            |v| {
                let (norm, layer) = ([v[1], v[2]], [v[3], v[4]]);
                v[0].batch_norm_linear_cross_entropy(norm, Statistics::OfBatch, layer, LEVELS.clone())
            },
        ),
    ];
    rows::time(criterion, "ops", rows);
}

criterion_group!(benches, ops);
criterion_main!(benches);
