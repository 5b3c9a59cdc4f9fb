//! `diva bench gemm`: how fast the crate multiplies matrices of the sizes that the model uses.

use super::machine;
use crate::cli::{percent, say, say_json};
use crate::error::Result;
use crate::kernels::gemm::{Matrix, Start, gemm_parallel};
use crate::parallel;
use crate::rng::Stream;
use crate::simd::Isa;
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// (rows, inner, columns) of a product, and what has that size at batch 100.
const PRODUCTS: &[([usize; 3], &str)] = &[
    ([1024, 1024, 1024], "the square that libraries are compared by"),
    ([78_400, 256, 256], "256 logits for every pixel"),
    ([19_600, 1152, 1024], "the second up-sampled layer, folded"),
    ([6_400, 800, 64], "the second convolution of an encoder"),
    ([57_600, 25, 32], "the first convolution of an encoder"),
    ([900, 128, 256], "128 to 256 channels at 900 places"),
    ([100, 1024, 64], "the head of an encoder"),
    ([36, 128, 128], "128 to 128 channels at 36 places, the fewest rows of a task"),
];

/// How long each product is repeated, in seconds, and how often at least.
const SECONDS: f64 = 0.15;
const LEAST_RUNS: usize = 3;

/// The crate's matrix product, packing included, on sizes that the model uses. The first run is not counted.
#[derive(Args, Debug)]
pub(in crate::cli) struct Gemm {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    command: &'static str,
    threads: usize,
    isa: &'static str,
    /// Multiply-adds on registers alone, two operations each.
    fma_gflop_per_s: f64,
    products: Vec<Measured>,
}

#[derive(Serialize)]
struct Measured {
    rows: usize,
    inner: usize,
    columns: usize,
    what: &'static str,
    median_s: f64,
    gflop_per_s: f64,
    peak_share: f64,
}

impl Gemm {
    pub(super) fn run(&self) -> Result<()> {
        let fma_gflop_per_s = machine::fma_gflop_per_s();
        let report = Report {
            command: "gemm",
            threads: parallel::threads(),
            isa: Isa::current().name(),
            fma_gflop_per_s,
            products: PRODUCTS.iter().map(|&(sizes, what)| measure(sizes, what, fma_gflop_per_s)).collect(),
        };
        if self.json {
            return say_json(&report);
        }
        say(&format!(
            "gemm, {} threads, {}: peak {fma_gflop_per_s:.0} GFLOP/s (multiply-adds on registers alone)",
            report.threads, report.isa
        ))?;
        say(&format!("{:>20}{:>12}{:>10}{:>9}", "size", "median ms", "GFLOP/s", "of peak"))?;
        for product in &report.products {
            let Measured { rows, inner, columns, what, median_s, gflop_per_s, peak_share } = product;
            let (size, share) = (format!("{rows}x{inner}x{columns}"), percent(*peak_share));
            say(&format!("{size:>20}{:>12.3}{gflop_per_s:>10.1}{share:>9}  {what}", 1e3 * median_s))?;
        }
        Ok(())
    }
}

/// Multiplies matrices of random numbers.
fn measure([rows, inner, columns]: [usize; 3], what: &'static str, peak: f64) -> Measured {
    let stream = Stream::new(0, "bench gemm", &[]);
    let numbers = |len: usize| -> Vec<f32> { (0..len as u64).map(|i| stream.uniform(i) - 0.5).collect() };
    let (a, b) = (numbers(rows * inner), numbers(inner * columns));
    let (a, b) = (Matrix::new(&a, rows, inner), Matrix::new(&b, inner, columns));
    let mut c = vec![0.0; rows * columns];
    gemm_parallel(a, b, &mut c, Start::Zero);
    let mut seconds = vec![];
    let begin = Instant::now();
    while seconds.len() < LEAST_RUNS || begin.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        gemm_parallel(a, b, &mut c, Start::Zero);
        seconds.push(start.elapsed().as_secs_f64());
    }
    let median_s = super::median(&mut seconds);
    let gflop_per_s = 2.0 * (rows * inner * columns) as f64 / median_s / 1e9;
    Measured { rows, inner, columns, what, median_s, gflop_per_s, peak_share: gflop_per_s / peak }
}
