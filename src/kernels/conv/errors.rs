//! How far each algorithm is from the convolution in f64, on the model's own layers: the largest difference, as a share
//! of the largest number. The bounds are what docs/performance.md states; `cargo test -- --nocapture errors` prints what
//! was found.

use super::upsampled::{Upsampled, errors};
use super::{Algorithm, Windows, plain};
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

/// The passes of one convolution, each as far from the sums as it is.
fn convolution(windows: Windows, images: usize, outputs: usize) -> ([f64; 3], [f64; 3]) {
    let Windows { height, width, channels, kernel, padding, .. } = windows;
    let (rows, columns) = windows.output().unwrap();
    let x = numbers(0, images * windows.image_len());
    let w = numbers(1, windows.len() * outputs);
    let dy = numbers(2, images * rows * columns * outputs);
    let taps = (0..images * rows * columns).flat_map(|place| {
        let (n, i, j) = (place / (rows * columns), place / columns % rows, place % columns);
        (0..kernel * kernel).map(move |tap| (place, n, i + tap / kernel, j + tap % kernel, tap))
    });
    let places = taps.filter_map(|(place, n, i, j, tap)| {
        let row = i.checked_sub(padding).filter(|&row| row < height)?;
        let column = j.checked_sub(padding).filter(|&column| column < width)?;
        Some([(n * height + row) * width + column, tap, place])
    });
    let sums = Sums::new([&x, &w, &dy], [channels, outputs], places);
    let (mut y, mut dx, mut dw) =
        (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]);
    plain::forward(&windows, &x, &w, None, &mut y);
    plain::input_gradient(&windows, &w, &dy, &mut dx);
    plain::weight_gradient(&windows, &x, &dy, &mut dw);
    let gathered = sums.errors([&y, &dx, &dw]);
    super::forward(&windows, &x, &w, None, &mut y);
    super::input_gradient(&windows, &w, &dy, &mut dx);
    super::weight_gradient(&windows, &x, &dy, &mut dw);
    (gathered, sums.errors([&y, &dx, &dw]))
}

#[test]
fn errors_of_the_second_convolution_of_an_encoder() {
    let windows = Windows { height: 12, width: 12, channels: 32, kernel: 5, stride: 1, padding: 0 };
    assert!(matches!(super::algorithm(&windows, 64), Algorithm::FiveTaps(_)));
    let (gathered, points) = convolution(windows, 16, 64);
    assert_below([1e-6; 3], gathered, "5x5 convolution, gathered");
    assert_below([5e-6; 3], points, "5x5 convolution, six points");
}

#[test]
fn errors_of_the_convolutions_of_cells() {
    for (side, channels, outputs) in [(16, 32, 32), (32, 32, 100), (8, 64, 64), (4, 64, 64)] {
        let windows = Windows { height: side, width: side, channels, kernel: 3, stride: 1, padding: 1 };
        assert!(matches!(super::algorithm(&windows, outputs), Algorithm::ThreeTaps(_)));
        let (gathered, points) = convolution(windows, 1024 / (side * side), outputs);
        let what = format!("3x3 convolution of {side} x {side}, {channels} to {outputs}");
        assert_below([1e-6; 3], gathered, &format!("{what}, gathered"));
        assert_below([5e-6; 3], points, &format!("{what}, six points"));
    }
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
