//! How far each algorithm is from the convolution in f64, on the model's own layers: the largest difference, as a share
//! of the largest number. The bounds are what docs/performance.md states; `cargo test -- --nocapture errors` prints what
//! was found.

use super::upsampled::{Upsampled, errors};
use super::{Windows, plain, winograd};
use crate::rng::Stream;

/// Outputs, gradients of the images, gradients of the weights.
const PASSES: [&str; 3] = ["forward", "input gradient", "weight gradient"];

fn numbers(purpose: u64, len: usize) -> Vec<f32> {
    let stream = Stream::new(purpose, "errors of convolutions", &[]);
    (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
}

/// The three passes in f64.
struct Sums {
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

impl Sums {
    /// From every triple of a pixel, a tap and the place in y to which they contribute.
    fn new(
        [x, w, dy]: [&[f32]; 3],
        [inputs, outputs]: [usize; 2],
        places: impl Iterator<Item = [usize; 3]>,
    ) -> Self {
        let mut sums = Sums { y: vec![0.0; dy.len()], dx: vec![0.0; x.len()], dw: vec![0.0; w.len()] };
        for [pixel, tap, place] in places {
            for c in 0..inputs {
                let (x_at, w_at, y_at) = (pixel * inputs + c, (tap * inputs + c) * outputs, place * outputs);
                let x = f64::from(x[x_at]);
                let mut sum = 0.0;
                for o in 0..outputs {
                    let (w, dy) = (f64::from(w[w_at + o]), f64::from(dy[y_at + o]));
                    sums.y[y_at + o] += x * w;
                    sums.dw[w_at + o] += x * dy;
                    sum += w * dy;
                }
                sums.dx[x_at] += sum;
            }
        }
        sums
    }

    /// The largest errors of the three passes.
    fn errors(&self, found: [&[f32]; 3]) -> [f64; 3] {
        let expected = [&self.y, &self.dx, &self.dw];
        [0, 1, 2].map(|pass| {
            let largest = expected[pass].iter().fold(0.0, |l: f64, e| l.max(e.abs()));
            let differences = found[pass].iter().zip(expected[pass]).map(|(&f, e)| (f64::from(f) - e).abs());
            differences.fold(0.0, f64::max) / largest
        })
    }
}

#[track_caller]
fn assert_below(bounds: [f64; 3], errors: [f64; 3], what: &str) {
    for ((error, bound), pass) in errors.into_iter().zip(bounds).zip(PASSES) {
        println!("{what}, {pass}: {error:.1e}");
        assert!(error < bound, "{what}, {pass}: {error:e} of the largest number, not below {bound:e}");
    }
}

#[test]
fn errors_of_the_second_convolution_of_an_encoder() {
    let windows = Windows { height: 12, width: 12, channels: 32, kernel: 5, stride: 1, padding: 0 };
    let (images, outputs) = (16, 64);
    let x = numbers(0, images * windows.image_len());
    let w = numbers(1, windows.len() * outputs);
    let dy = numbers(2, images * 64 * outputs);
    let places = (0..images * 64).flat_map(|place| {
        let (n, i, j) = (place / 64, place / 8 % 8, place % 8);
        (0..25).map(move |tap| [(n * 12 + i + tap / 5) * 12 + j + tap % 5, tap, place])
    });
    let sums = Sums::new([&x, &w, &dy], [32, outputs], places);
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);

    plain::forward(&windows, &x, &w, None, &mut y);
    plain::input_gradient(&windows, &w, &dy, &mut dx);
    plain::weight_gradient(&windows, &x, &dy, &mut dw);
    assert_below([1e-6; 3], sums.errors([&y, &dx, &dw]), "5x5 convolution, gathered");

    let tiles = winograd::Tiles::of(&windows, outputs).unwrap();
    tiles.forward(&x, &w, &mut y);
    tiles.input_gradient(&w, &dy, &mut dx);
    tiles.weight_gradient(&x, &dy, &mut dw);
    assert_below([5e-6; 3], sums.errors([&y, &dx, &dw]), "5x5 convolution, six points");
}

#[test]
fn errors_of_the_second_upsampled_layer() {
    let layer = Upsampled { height: 12, width: 12, inputs: 128, kernel: 5, outputs: 64 };
    let images = 2;
    let x = numbers(3, images * 144 * 128);
    let w = numbers(4, 25 * 128 * 64);
    let dy = numbers(5, images * 784 * 64);
    let places = (0..images * 576).flat_map(|pixel| {
        let (n, r, s) = (pixel / 576, pixel / 24 % 24, pixel % 24);
        let small = (n * 12 + r / 2) * 12 + s / 2;
        (0..25).map(move |tap| [small, tap, (n * 28 + r + tap / 5) * 28 + s + tap % 5])
    });
    let sums = Sums::new([&x, &w, &dy], [128, 64], places);
    let [folded, winograd] = errors::both(layer, &x, &w, &dy);
    let of = |[y, dx, dw]: &[Vec<f32>; 3]| sums.errors([y, dx, dw]);
    assert_below([1e-6; 3], of(&folded), "up-sampled 5x5, folded");
    assert_below([5e-6; 3], of(&winograd), "up-sampled 5x5, six points");
}
