//! The matrix product in the sizes of the rotated-MNIST model at batch 100, and in the square ones that others quote.
//!
//! Elements a second are floating-point operations a second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use diva::kernels::gemm::{Matrix, Start, gemm_parallel};
use diva_benches::{numbers, use_isa_of_environment};

/// (what it is, rows, inner size, columns)
const PRODUCTS: &[(&str, [usize; 3])] = &[
    ("decoder_linear", [100, 192, 1024]),
    ("encoder_head", [100, 1024, 64]),
    ("encoder_conv1", [57_600, 25, 32]),
    ("encoder_conv2", [6_400, 800, 64]),
    ("decoder_phase", [4_900, 1_152, 1_024]),
    ("pixel_logits", [78_400, 256, 256]),
    ("square_512", [512, 512, 512]),
    ("square_1024", [1024, 1024, 1024]),
];

fn gemm(criterion: &mut Criterion) {
    use_isa_of_environment();
    let mut group = criterion.benchmark_group("gemm");
    group.sample_size(10);
    for &(name, [m, k, n]) in PRODUCTS {
        let (a, b) = (numbers("a", m * k), numbers("b", k * n));
        let mut c = vec![0.0; m * n];
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        group.bench_function(BenchmarkId::new(name, format!("{m}x{k}x{n}")), |bencher| {
            bencher.iter(|| gemm_parallel(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut c, Start::Zero));
        });
    }
    group.finish();
}

criterion_group!(benches, gemm);
criterion_main!(benches);
