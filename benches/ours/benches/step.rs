//! Whole training steps at batch 100, Adam included: the decoder alone, the model with and without classes, and the
//! narrow model of the preset `quick`.
//!
//! Elements are images.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diva_benches::{DecoderTraining, DivaTraining, use_isa_of_environment};

const BATCH: usize = 100;

fn step(criterion: &mut Criterion) {
    use_isa_of_environment();
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10);
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut decoder = DecoderTraining::new(BATCH);
    group.bench_function("decoder", |bencher| bencher.iter(|| decoder.step()));
    drop(decoder);
    for (name, preset, labelled) in [
        ("rotated_mnist", "rotated-mnist", true),
        ("rotated_mnist_unlabelled", "rotated-mnist", false),
        ("quick", "quick", true),
    ] {
        let mut training = DivaTraining::new(preset, BATCH, labelled);
        group.bench_function(name, |bencher| bencher.iter(|| training.step()));
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
