//! The two-dimensional cross-correlation, a few images at a time.
//!
//! ```text
//! y[n, i, j, o] = b[o] + sum over (u, v, c) of x[n, s i + u - p, s j + v - p, c] w[u, v, c, o]
//! ```
//!
//! This is (windows) x (weights). The gradient of the image is (gradient of y) x (weights)^T, scattered back;
//! that of the weights is (windows)^T x (gradient of y), summed over images. A 1x1 kernel needs no windows: it is one
//! product over all pixels of the batch.

use super::{Images, Windows, images_per_partial, images_per_product};
use crate::kernels::gemm::{Matrix, Packed, Start, gemm, gemm_packed, gemm_parallel, gemm_tall, with_packed};
use crate::parallel;
use std::ops::Range;

/// y from x (images), w (kernel, kernel, inputs, outputs) and perhaps a bias (outputs).
pub fn forward<'a>(
    windows: &Windows,
    x: impl Into<Images<'a>>,
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let (x, rows, outputs) = (x.into(), windows.len(), w.len() / windows.len());
    let w = Matrix::new(w, rows, outputs);
    if let (true, Some(x)) = (windows.is_pointwise(), x.plain()) {
        let start = bias.map_or(Start::Zero, Start::Row);
        return gemm_parallel(Matrix::new(x, x.len() / rows, rows), w, y, start);
    }
    let (places, image) = (windows.count(), windows.image_len());
    let group = images_per_product(x.len() / image, places);
    with_packed(w, |w| {
        parallel::for_each_chunk(y, group * places * outputs, |i, y| {
            let (first, images) = (i * group * image, y.len() / (places * outputs));
            forward_of(windows, x, first..first + images * image, w, bias, y);
        });
    });
}

/// y from some of the images x and packed weights, by one product on the calling thread.
pub(super) fn forward_of(
    windows: &Windows,
    x: Images<'_>,
    images: Range<usize>,
    w: Packed<'_>,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let (rows, places) = (windows.len(), images.len() / windows.image_len() * windows.count());
    parallel::with_scratch(places * rows, |columns| {
        x.with(images, |x| windows.gather(x, columns));
        gemm_packed(Matrix::new(columns, places, rows), w, y, bias.map_or(Start::Zero, Start::Row));
    });
}

/// The gradient of the images, from that of y.
pub fn input_gradient<'a>(windows: &Windows, w: &[f32], dy: impl Into<Images<'a>>, dx: &mut [f32]) {
    let (dy, rows, outputs) = (dy.into(), windows.len(), w.len() / windows.len());
    let w = Matrix::new(w, rows, outputs).transposed();
    if let (true, Some(dy)) = (windows.is_pointwise(), dy.plain()) {
        return gemm_parallel(Matrix::new(dy, dy.len() / outputs, outputs), w, dx, Start::Zero);
    }
    let (places, image) = (windows.count(), windows.image_len());
    let group = images_per_product(dx.len() / image, places);
    with_packed(w, |w| {
        parallel::for_each_chunk(dx, group * image, |i, dx| {
            let all_places = dx.len() / image * places;
            let first = i * group * places * outputs;
            parallel::with_scratch(all_places * rows, |columns| {
                dy.with(first..first + all_places * outputs, |dy| {
                    gemm_packed(Matrix::new(dy, all_places, outputs), w, columns, Start::Zero);
                });
                windows.scatter(columns, dx);
            });
        });
    });
}

/// The gradient of the weights, from the images and the gradient of y.
pub fn weight_gradient<'a>(
    windows: &Windows,
    x: impl Into<Images<'a>>,
    dy: impl Into<Images<'a>>,
    dw: &mut [f32],
) {
    let (x, dy, rows, outputs) = (x.into(), dy.into(), windows.len(), dw.len() / windows.len());
    if let (true, Some(x), Some(dy)) = (windows.is_pointwise(), x.plain(), dy.plain()) {
        let pixels = x.len() / rows;
        return gemm_tall(Matrix::new(x, pixels, rows), Matrix::new(dy, pixels, outputs), dw, 8);
    }
    sum_of_groups(windows, x, dy, dw, |x, dy, dw, start| {
        let places = dy.len() / outputs;
        parallel::with_scratch(places * rows, |columns| {
            windows.gather(x, columns);
            let columns = Matrix::new(columns, places, rows).transposed();
            gemm(columns, Matrix::new(dy, places, outputs), dw, start);
        });
    });
}

/// dw as a sum over groups of images, dealt out to threads: `work(x, dy, dw, start)` overwrites dw with that of a group
/// or, if `start` is [`Start::Kept`], adds it.
pub(super) fn sum_of_groups(
    windows: &Windows,
    x: Images<'_>,
    dy: Images<'_>,
    dw: &mut [f32],
    work: impl Fn(&[f32], &[f32], &mut [f32], Start<'_>) + Sync + Send,
) {
    let (places, image) = (windows.count(), windows.image_len());
    let each = places * (dw.len() / windows.len());
    let images = x.len() / image;
    let (share, group) = (images_per_partial(images), images_per_product(images, places));
    parallel::sum_of_partials(images.div_ceil(share), dw, |i, dw| {
        let mut start = Start::Zero;
        let last = ((i + 1) * share).min(images);
        for first in (i * share..last).step_by(group) {
            let end = last.min(first + group);
            x.with(first * image..end * image, |x| {
                dy.with(first * each..end * each, |dy| work(x, dy, dw, start));
            });
            start = Start::Kept;
        }
    });
}
