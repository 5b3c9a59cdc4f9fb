//! The two-dimensional cross-correlation, a few images at a time.
//!
//! ```text
//! y[n, i, j, o] = b[o] + sum over (u, v, c) of x[n, s i + u - p, s j + v - p, c] w[u, v, c, o]
//! ```
//!
//! This is (windows) x (weights). The gradient of the image is (gradient of y) x (weights)^T, scattered back;
//! that of the weights is (windows)^T x (gradient of y), summed over images. A 1x1 kernel needs no windows: it is one
//! product over all pixels of the batch.

use super::{Windows, images_per_partial, images_per_product};
use crate::kernels::gemm::{Matrix, Write, gemm, gemm_parallel, gemm_tall};
use crate::kernels::norm::fill_rows;
use crate::parallel;

/// y from x (images), w (kernel, kernel, inputs, outputs) and perhaps a bias (outputs).
pub fn forward(windows: &Windows, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let (rows, outputs) = (windows.len(), w.len() / windows.len());
    let w = Matrix::new(w, rows, outputs);
    if windows.is_pointwise() {
        let x = Matrix::new(x, x.len() / rows, rows);
        let write = start_from(bias, y);
        return gemm_parallel(x, w, y, write);
    }
    let (places, image) = (windows.count(), windows.image_len());
    let group = images_per_product(x.len() / image, places);
    parallel::for_each_chunk(y, group * places * outputs, |i, y| {
        let all_places = y.len() / outputs;
        parallel::with_scratch(all_places * rows, |columns| {
            windows.gather(&x[i * group * image..][..all_places / places * image], columns);
            let write = start_from(bias, y);
            gemm(Matrix::new(columns, all_places, rows), w, y, write);
        });
    });
}

/// Fills the rows of `y` with the bias, if there is one, for the product to be added to.
fn start_from(bias: Option<&[f32]>, y: &mut [f32]) -> Write {
    match bias {
        Some(bias) => {
            fill_rows(bias, y);
            Write::Accumulate
        }
        None => Write::Overwrite,
    }
}

/// The gradient of the images, from that of y.
pub fn input_gradient(windows: &Windows, w: &[f32], dy: &[f32], dx: &mut [f32]) {
    let (rows, outputs) = (windows.len(), w.len() / windows.len());
    let w = Matrix::new(w, rows, outputs).transposed();
    if windows.is_pointwise() {
        return gemm_parallel(Matrix::new(dy, dy.len() / outputs, outputs), w, dx, Write::Overwrite);
    }
    let (places, image) = (windows.count(), windows.image_len());
    let group = images_per_product(dx.len() / image, places);
    parallel::for_each_chunk(dx, group * image, |i, dx| {
        let all_places = dx.len() / image * places;
        parallel::with_scratch(all_places * rows, |columns| {
            let dy =
                Matrix::new(&dy[i * group * places * outputs..][..all_places * outputs], all_places, outputs);
            gemm(dy, w, columns, Write::Overwrite);
            windows.scatter(columns, dx);
        });
    });
}

/// The gradient of the weights, from the images and the gradient of y.
pub fn weight_gradient(windows: &Windows, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let (rows, outputs) = (windows.len(), dw.len() / windows.len());
    if windows.is_pointwise() {
        let pixels = x.len() / rows;
        return gemm_tall(Matrix::new(x, pixels, rows), Matrix::new(dy, pixels, outputs), dw, 8);
    }
    let (places, image) = (windows.count(), windows.image_len());
    let images = x.len() / image;
    let (share, group) = (images_per_partial(images), images_per_product(images, places));
    parallel::sum_of_partials(images.div_ceil(share), dw, |i, dw| {
        let mut write = Write::Overwrite;
        let last = ((i + 1) * share).min(images);
        for first in (i * share..last).step_by(group) {
            let count = group.min(last - first);
            parallel::with_scratch(count * places * rows, |columns| {
                windows.gather(&x[first * image..][..count * image], columns);
                let columns = Matrix::new(columns, count * places, rows).transposed();
                let dy = &dy[first * places * outputs..][..count * places * outputs];
                gemm(columns, Matrix::new(dy, count * places, outputs), dw, write);
            });
            write = Write::Accumulate;
        }
    });
}
