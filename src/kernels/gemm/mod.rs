//! The matrix product C = A B or C += A B, by the crate matrixmultiply.
//!
//! alpha is 1 and beta 0 or 1, always: for other values the rounding differs between instruction sets. The product
//! of a block of rows of A is, bit for bit, that block of rows of the whole product, because the order of summation
//! depends on the inner size alone; so rows can be dealt out to threads in any way.

#![expect(unsafe_code, reason = "the call of matrixmultiply, which takes pointers and strides")]

use crate::parallel;

/// A matrix to be read: a slice and how to step through it.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills `data`.
    ///
    /// # Panics
    /// If the sizes do not multiply to the length of `data`.
    #[track_caller]
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a {rows} x {columns} matrix over {} numbers", data.len());
        Matrix { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub fn transposed(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Rows `from..from + count`.
    fn rows(self, from: usize, count: usize) -> Self {
        let start = (from * self.row_stride).min(self.data.len());
        Matrix { data: &self.data[start..], rows: count, ..self }
    }

    /// Whether every element lies inside `data`.
    fn is_inside(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride < self.data.len()
    }
}

/// What becomes of the old contents of C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// C = A B
    Overwrite,
    /// C += A B
    Accumulate,
}

/// C = A B or C += A B on the calling thread; C is row-major.
///
/// # Panics
/// If the sizes do not fit.
#[track_caller]
pub fn gemm(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32], write: Write) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "a product of {m} x {k} and {} x {n}", b.rows);
    assert_eq!(c.len(), m * n, "a product of {m} x {n} into {} numbers", c.len());
    assert!(a.is_inside() && b.is_inside(), "a matrix that reaches beyond its slice");
    let beta = match write {
        Write::Overwrite => 0.0,
        Write::Accumulate => 1.0,
    };
    let stride = |s: usize| isize::try_from(s).expect("a slice is shorter than isize::MAX");
    // SAFETY: the three matrices lie inside their slices (checked above) and `c` is borrowed exclusively.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.data.as_ptr(),
            stride(a.row_stride),
            stride(a.column_stride),
            b.data.as_ptr(),
            stride(b.row_stride),
            stride(b.column_stride),
            beta,
            c.as_mut_ptr(),
            stride(n),
            1,
        );
    }
}

/// As [`gemm`], blocks of rows of C dealt out to threads.
///
/// # Panics
/// If the sizes do not fit.
#[track_caller]
pub fn gemm_parallel(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32], write: Write) {
    /// Multiply-adds worth a task; a block also has rows enough to pay for packing B again.
    const TASK: usize = 32 << 20;
    let (k, n) = (a.columns, b.columns);
    if c.is_empty() {
        return;
    }
    let rows = (TASK / (k * n).max(1)).max(32);
    parallel::for_each_chunk(c, rows * n, |i, c| gemm(a.rows(i * rows, c.len() / n), b, c, write));
}

/// C = A^T B for tall A (rows x m) and B (rows x n), as in the gradient of a weight: the rows are cut into `pieces`
/// and the partial products added in order.
///
/// # Panics
/// If A and B have different numbers of rows or C is not m x n.
#[track_caller]
pub fn gemm_tall(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32], pieces: usize) {
    assert_eq!(a.rows, b.rows, "a tall product of {} and {} rows", a.rows, b.rows);
    let rows = a.rows.div_ceil(pieces.max(1)).max(1);
    parallel::sum_of_partials(a.rows.div_ceil(rows), c, |i, c| {
        let count = rows.min(a.rows - i * rows);
        gemm(a.rows(i * rows, count).transposed(), b.rows(i * rows, count), c, Write::Overwrite);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn numbers(seed: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(seed, "gemm", &[]);
        (0..len as u64).map(|i| stream.uniform(i) - 0.5).collect()
    }

    /// The naive product in f64.
    fn naive(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
        let dot =
            |i: usize, j: usize| (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j])).sum();
        (0..m * n).map(|ij| dot(ij / n, ij % n)).collect()
    }

    fn assert_close(c: &[f32], expected: &[f64]) {
        let scale = expected.iter().fold(1e-9, |l: f64, x| l.max(x.abs()));
        for (i, (&c, &e)) in c.iter().zip(expected).enumerate() {
            assert!((f64::from(c) - e).abs() < 1e-6 * scale, "element {i}: {c}, expected {e}");
        }
    }

    #[test]
    fn products_equal_the_naive_sum() {
        for sizes @ [m, k, n] in
            [[1, 1, 1], [2, 3, 5], [17, 33, 15], [65, 300, 31], [130, 7, 64], [1, 500, 3]]
        {
            let (a, b) = (numbers(1, m * k), numbers(2, k * n));
            let expected = naive(&a, &b, sizes);
            let mut c = vec![f32::NAN; m * n];
            gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut c, Write::Overwrite);
            assert_close(&c, &expected);
            let mut parallel = vec![f32::NAN; m * n];
            gemm_parallel(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut parallel, Write::Overwrite);
            assert_eq!(c, parallel);

            gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut c, Write::Accumulate);
            assert_close(&c, &expected.iter().map(|x| 2.0 * x).collect::<Vec<_>>());

            // The same product from the transposed factors.
            let transpose = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (at, bt) = (transpose(&a, m, k), transpose(&b, k, n));
            let (at, bt) = (Matrix::new(&at, k, m), Matrix::new(&bt, n, k));
            gemm(at.transposed(), bt.transposed(), &mut c, Write::Overwrite);
            assert_close(&c, &expected);

            for pieces in [1, 3, 8] {
                let mut c = vec![f32::NAN; m * n];
                gemm_tall(at, Matrix::new(&b, k, n), &mut c, pieces);
                assert_close(&c, &expected);
            }
        }
    }

    #[test]
    fn blocks_of_rows_are_the_rows_of_the_whole() {
        let [m, k, n] = [4000, 65, 70];
        let (a, b) = (numbers(3, m * k), numbers(4, k * n));
        let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
        let mut whole = vec![f32::NAN; m * n];
        gemm(a, b, &mut whole, Write::Overwrite);
        let mut blocks = vec![f32::NAN; m * n];
        gemm_parallel(a, b, &mut blocks, Write::Overwrite);
        assert_eq!(whole, blocks);
    }

    #[test]
    #[should_panic(expected = "a product of 2 x 3 and 4 x 2")]
    fn sizes_that_do_not_fit_are_named() {
        gemm(Matrix::new(&[0.0; 6], 2, 3), Matrix::new(&[0.0; 8], 4, 2), &mut [0.0; 4], Write::Overwrite);
    }
}
