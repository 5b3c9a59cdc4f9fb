//! Every algorithm of a convolution against the definition in f64, on shapes and numbers that the bytes choose.
//!
//! The public functions choose an algorithm by the shape, so shapes are drawn from five kinds, one for each way: any
//! shape, windows read in place, the tiles of Winograd's way, folded up-sampling, and its tiles. All three passes
//! run on every instruction set that the CPU has, and all must give the same bits. What the windows' ways sum directly
//! is bounded term by term; Winograd's way mixes neighbours, so its bound takes the largest numbers.

use diva::kernels::conv::direct::{self, PooledConvolution};
use diva::kernels::conv::upsampled::Upsampled;
use diva::kernels::conv::{self, Windows, plain};
use diva::parallel;
use diva::simd::Isa;

/// Products of the definition, at most; Winograd's way begins with many channels.
const MOST_PRODUCTS: usize = 1 << 17;
const MOST_PRODUCTS_OF_TILES: usize = 1 << 20;

/// The unit roundoff of f32.
const ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// How many roundings of the largest possible sum Winograd's way may be off.
const WINOGRAD: f64 = 64.0;

/// The bytes, and zeros after the last.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number from `least` to `most`.
    fn from(&mut self, least: usize, most: usize) -> usize {
        least + usize::from(self.byte()) % (most - least + 1)
    }

    /// One of these.
    fn of(&mut self, choices: &[usize]) -> usize {
        choices[self.from(0, choices.len() - 1)]
    }

    /// Numbers of one kind: small integers, uniform ones of some scale, few that are not zero, or any bits.
    fn numbers(&mut self, count: usize) -> Vec<f32> {
        let (kind, scale, mut state) = (self.byte() % 4, self.byte(), u64::from(self.byte()) + 1);
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let uniform = |bits: u64| (bits % (1 << 24)) as f32 / (1 << 23) as f32 - 1.0;
        // Powers of two that keep all sums within the normal numbers.
        let scale = f32::from_bits((127 - 30 + u32::from(scale) % 61) << 23);
        (0..count)
            .map(|_| match kind {
                0 => (random() % 9) as f32 - 4.0,
                1 => scale * uniform(random()),
                // Few that are not zero, some of them minus zero.
                2 => [0.0, -0.0, 0.0, uniform(random())][(random() % 4) as usize],
                // Bits of the input, their exponents kept in range.
                _ => {
                    let bits = u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]);
                    let exponent = 127 - 30 + (bits >> 23 & 0xff) % 61;
                    f32::from_bits(bits & 0x807f_ffff | exponent << 23)
                }
            })
            .collect()
    }
}

/// The three passes, and the sums of the absolute values of their terms.
struct Sums {
    found: [Vec<f64>; 3],
    sizes: [Vec<f64>; 3],
    /// Terms of a sum, at most.
    terms: [usize; 3],
}

impl Sums {
    /// From every triple of a pixel, a tap and the place in y to which they contribute.
    fn new([x, w, dy]: [&[f32]; 3], [inputs, outputs]: [usize; 2], triples: &[[usize; 3]]) -> Self {
        let empty = || [vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
        let (mut found, mut sizes) = (empty(), empty());
        let mut counts =
            [vec![0; dy.len() / outputs], vec![0; x.len() / inputs], vec![0; w.len() / inputs / outputs]];
        for &[pixel, tap, place] in triples {
            for (counts, at) in counts.iter_mut().zip([place, pixel, tap]) {
                counts[at] += 1;
            }
            for c in 0..inputs {
                let at = [pixel * inputs + c, (tap * inputs + c) * outputs, place * outputs];
                add(&mut found, [x, w, dy], at, outputs, |number| number);
                add(&mut sizes, [x, w, dy], at, outputs, f64::abs);
            }
        }
        let most = counts.map(|counts| counts.into_iter().max().unwrap_or(0));
        Sums { found, sizes, terms: [most[0] * inputs, most[1] * outputs, most[2]] }
    }

    fn check(&self, passes: &[Vec<f32>; 3], factors: [&[f32]; 3], winograd: [bool; 3], what: &str) {
        let largest = factors.map(|numbers| numbers.iter().fold(0.0, |l: f64, x| l.max(f64::from(x.abs()))));
        let largest_product = [largest[0] * largest[1], largest[1] * largest[2], largest[0] * largest[2]];
        for pass in 0..3 {
            let terms = self.terms[pass] as f64;
            // Summed in f32 in any order, taps of folded kernels first.
            let of_sum = 1.01 * ROUNDOFF * (terms + 12.0);
            // A sum of few terms still goes through a whole tile of values and back.
            let of_tiles = WINOGRAD * ROUNDOFF * (terms + 8.0) * largest_product[pass];
            for (i, (&x, e)) in passes[pass].iter().zip(&self.found[pass]).enumerate() {
                // A bias is added last, and the sum rounded once.
                let size = self.sizes[pass][i];
                let bound = if winograd[pass] { of_tiles + ROUNDOFF * size } else { of_sum * size };
                let error = (f64::from(x) - e).abs();
                assert!(
                    error <= bound,
                    "{what}, pass {pass}, number {i}: {x} for {e}, off by {error:e} > {bound:e}"
                );
            }
        }
    }
}

/// Adds the products of one number of x, and of a row of w and of dy, as `f` sees the numbers.
fn add(
    [y, dx, dw]: &mut [Vec<f64>; 3],
    [x, w, dy]: [&[f32]; 3],
    [x_at, w_at, y_at]: [usize; 3],
    outputs: usize,
    f: impl Fn(f64) -> f64,
) {
    let (of_tap, of_place) = (w_at..w_at + outputs, y_at..y_at + outputs);
    let y = y[of_place.clone()].iter_mut().zip(&w[of_tap.clone()]);
    let dw = dw[of_tap].iter_mut().zip(&dy[of_place]);
    let mut sum = 0.0;
    for ((y, &w), (dw, &dy)) in y.zip(dw) {
        let [x, w, dy] = [x[x_at], w, dy].map(|number| f(f64::from(number)));
        *y += x * w;
        *dw += x * dy;
        sum += w * dy;
    }
    dx[x_at] += sum;
}

/// Runs `passes` on every instruction set, and asserts the same bits from each; the instruction set is as it was then.
fn on_every_isa<const N: usize>(what: &str, passes: impl Fn() -> [Vec<f32>; N]) -> [Vec<f32>; N] {
    let before = Isa::current();
    let mut first: Option<[Vec<f32>; N]> = None;
    for &isa in Isa::supported() {
        isa.choose();
        let found = passes();
        match &first {
            None => first = Some(found),
            Some(first) => assert_same_bits(first, &found, &format!("{what} on {}", isa.name())),
        }
    }
    before.choose();
    first.expect("every CPU has the portable one")
}

fn assert_same_bits<const N: usize>(one: &[Vec<f32>; N], other: &[Vec<f32>; N], what: &str) {
    for (pass, (one, other)) in one.iter().zip(other).enumerate() {
        let different = one.iter().zip(other).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!((different, one.len()), (None, other.len()), "{what}, pass {pass}: not the same bits");
    }
}

/// A kind of shape, its sizes, and the numbers.
pub fn convolution(bytes: &[u8]) -> bool {
    // On one of the threads, so that each of some hundred pieces of work does not wait to be handed over.
    parallel::on_threads(|| every_way(Choices(bytes)))
}

fn every_way(mut choices: Choices<'_>) -> bool {
    match choices.byte() % 5 {
        0 => {
            let kernel = choices.from(1, 5);
            let windows = Windows {
                height: choices.from(1, 12),
                width: choices.from(1, 12),
                channels: choices.from(1, 20),
                kernel,
                stride: choices.from(1, 3),
                padding: choices.from(0, 2),
            };
            let sizes = [choices.from(1, 20), choices.from(1, 40)];
            of_windows(windows, sizes, &mut choices)
        }
        1 => {
            let windows = Windows {
                height: choices.from(8, 20),
                width: choices.from(8, 20),
                channels: choices.of(&[1, 1, 2, 3, 5, 16, 17]),
                kernel: choices.from(1, 6),
                stride: 1,
                padding: 0,
            };
            let sizes = [choices.from(1, 40), choices.from(1, 20)];
            of_windows(windows, sizes, &mut choices)
        }
        2 => {
            let windows = Windows {
                height: choices.from(5, 13),
                width: choices.from(5, 13),
                channels: choices.of(&[16, 32, 48]),
                kernel: 5,
                stride: 1,
                padding: 0,
            };
            let sizes = [choices.of(&[32, 64]), choices.from(1, 9)];
            of_windows(windows, sizes, &mut choices)
        }
        3 => {
            let layer = Upsampled {
                height: choices.from(1, 7),
                width: choices.from(1, 7),
                inputs: choices.from(1, 20),
                kernel: choices.of(&[1, 3, 5, 7]),
                outputs: choices.from(1, 20),
            };
            up_sampled(layer, false, &mut choices)
        }
        _ => {
            let layer = Upsampled {
                height: choices.from(1, 9),
                width: choices.from(1, 9),
                inputs: choices.of(&[64, 80]),
                kernel: 5,
                outputs: choices.of(&[32, 64]),
            };
            up_sampled(layer, true, &mut choices)
        }
    }
}

fn of_windows(windows: Windows, [outputs, images]: [usize; 2], choices: &mut Choices<'_>) -> bool {
    let Windows { height, width, channels, kernel, stride, padding } = windows;
    let Some((rows, columns)) = windows.output() else { return false };
    let of_image = windows.count() * windows.len() * outputs;
    // All other ways take every product, and begin with the bias: a huge one is rounded with every term.
    let has_tiles = conv::multiply_adds(&windows, outputs) < of_image;
    let most = if has_tiles { MOST_PRODUCTS_OF_TILES } else { MOST_PRODUCTS };
    let images = images.min(most / of_image);
    if images == 0 {
        return false;
    }
    let what = format!("{windows:?}, {outputs} outputs, {images} images");
    let x = choices.numbers(images * windows.image_len());
    let w = choices.numbers(windows.len() * outputs);
    let dy = choices.numbers(images * windows.count() * outputs);
    let bias = (choices.byte() % 2 == 1).then(|| choices.numbers(outputs));

    let mut triples = Vec::new();
    for place in 0..images * rows * columns {
        let (n, i, j) = (place / columns / rows, place / columns % rows, place % columns);
        for tap in 0..kernel * kernel {
            let (u, v) = (stride * i + tap / kernel, stride * j + tap % kernel);
            if (padding..padding + height).contains(&u) && (padding..padding + width).contains(&v) {
                triples.push([(n * height + u - padding) * width + v - padding, tap, place]);
            }
        }
    }
    let mut sums = Sums::new([&x, &w, &dy], [channels, outputs], &triples);
    if let Some(bias) = &bias {
        for (y, (sum, size)) in sums.found[0].iter_mut().zip(&mut sums.sizes[0]).enumerate() {
            *sum += f64::from(bias[y % outputs]);
            *size += f64::from(bias[y % outputs].abs());
        }
    }
    let empty = || [vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]];
    let bias = bias.as_deref();

    let gathered = on_every_isa(&format!("{what}, gathered"), || {
        let mut passes = empty();
        plain::forward(&windows, &x, &w, bias, &mut passes[0]);
        plain::input_gradient(&windows, &w, &dy, &mut passes[1]);
        plain::weight_gradient(&windows, &x, &dy, &mut passes[2]);
        passes
    });
    sums.check(&gathered, [&x, &w, &dy], [false; 3], &format!("{what}, gathered"));
    if (stride, padding) == (1, 0) {
        let in_place = on_every_isa(&format!("{what}, in place"), || {
            let [mut y, dx, mut dw] = empty();
            direct::forward(&windows, &x, &w, bias, &mut y);
            direct::weight_gradient(&windows, &x, &dy, &mut dw);
            [y, dx, dw]
        });
        let [y, _, dw] = in_place;
        assert_same_bits(&[gathered[0].clone(), gathered[2].clone()], &[y, dw], &format!("{what}, in place"));
        pooled(windows, &x, &w, bias.unwrap_or(&vec![0.0; outputs]), bias.is_some(), &gathered[0], &what);
    }
    let chosen = on_every_isa(&what, || {
        let mut passes = empty();
        conv::forward(&windows, &x, &w, bias, &mut passes[0]);
        conv::input_gradient(&windows, &w, &dy, &mut passes[1]);
        conv::weight_gradient(&windows, &x, &dy, &mut passes[2]);
        passes
    });
    sums.check(&chosen, [&x, &w, &dy], [has_tiles; 3], &what);
    true
}

/// Prediction's convolution, which goes on to the rectifier and the largest of 2x2: the bits of one step after the other.
fn pooled(windows: Windows, x: &[f32], w: &[f32], bias: &[f32], biased: bool, z: &[f32], what: &str) {
    let outputs = bias.len();
    let mut panels = vec![f32::NAN; direct::packed_len(windows.len(), outputs)];
    direct::pack(w, outputs, &mut panels);
    let convolution = PooledConvolution { windows, panels: &panels, bias };
    let ((rows, columns), (_, across)) = (convolution.output(), windows.output().expect("it has windows"));
    let image = windows.image_len();
    let found = on_every_isa(&format!("{what}, pooled"), || {
        let mut y = vec![f32::NAN; rows * columns * outputs];
        convolution.forward(&x[..image], &mut y);
        [y]
    });
    if !biased {
        return; // a sum that starts from nothing may differ from one that starts from 0 in the sign of a zero
    }
    for (at, y) in found[0].iter().enumerate() {
        let (i, j, o) = (at / outputs / columns, at / outputs % columns, at % outputs);
        let corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .map(|(a, b)| z[((2 * i + a) * across + 2 * j + b) * outputs + o]);
        let expected = corners.into_iter().fold(0.0, f32::max);
        assert_eq!(*y, expected, "{what}, pooled, number {at}");
    }
}

fn up_sampled(layer: Upsampled, tiles: bool, choices: &mut Choices<'_>) -> bool {
    let Upsampled { height, width, inputs, kernel, outputs } = layer;
    let of_image = 4 * height * width * kernel * kernel * inputs * outputs;
    let most = if tiles { MOST_PRODUCTS_OF_TILES } else { MOST_PRODUCTS };
    let images = choices.from(1, 20).min(most / of_image);
    if images == 0 {
        return false;
    }
    let (rows, columns) = layer.output();
    let x = choices.numbers(images * height * width * inputs);
    let w = choices.numbers(kernel * kernel * inputs * outputs);
    let dy = choices.numbers(images * rows * columns * outputs);
    let (down, across) = (2 * height, 2 * width);
    let mut triples = Vec::new();
    for pixel in 0..images * down * across {
        let (n, r, s) = (pixel / across / down, pixel / across % down, pixel % across);
        for tap in 0..kernel * kernel {
            let place = (n * rows + r + tap / kernel) * columns + s + tap % kernel;
            triples.push([(n * height + r / 2) * width + s / 2, tap, place]);
        }
    }
    let what = format!("{layer:?}, {images} images");
    let sums = Sums::new([&x, &w, &dy], [inputs, outputs], &triples);
    let found = on_every_isa(&what, || {
        let mut passes = [vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]];
        layer.forward(&x, &w, &mut passes[0]);
        layer.input_gradient(&w, &dy, &mut passes[1]);
        layer.weight_gradient(&x, &dy, &mut passes[2]);
        passes
    });
    sums.check(&found, [&x, &w, &dy], [tiles; 3], &what);
    true
}
