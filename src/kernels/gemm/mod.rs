//! The matrix product: C = A B, C += A B, or C = A B + a row.
//!
//! On AVX2 and AVX-512 the product is `tile.rs`'s; elsewhere it is the crate matrixmultiply's, which is also the oracle
//! of the tests: both sum in the same order, so they agree bit for bit. (Emulated multiply-adds would make our own
//! tile useless on a CPU that lacks them.) matrixmultiply is called with alpha 1 and beta 0 or 1 only: for other values
//! the rounding differs between instruction sets.
//!
//! The product of a block of rows of A is, bit for bit, that block of rows of the whole product, because the order of
//! summation depends on the inner size alone; so rows can be dealt out to threads in any way. Weights are packed once
//! for all of them ([`with_packed`]).

#![expect(unsafe_code, reason = "the inner loop of the tile, and the call of matrixmultiply")]

mod tile;

use crate::parallel;
use crate::simd::{Isa, LANES};
pub(super) use tile::BLOCK;
use tile::{TileProduct, pack_panel};

/// Columns of a panel of B.
pub const PANEL: usize = 2 * LANES;

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
        let len = rows.checked_mul(columns);
        assert_eq!(len, Some(data.len()), "a {rows} x {columns} matrix over {} numbers", data.len());
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

    /// The slice that it lies in.
    pub fn data(self) -> &'a [f32] {
        self.data
    }

    /// Rows `from..from + count`.
    fn rows(self, from: usize, count: usize) -> Self {
        let start = (from * self.row_stride).min(self.data.len());
        Matrix { data: &self.data[start..], rows: count, ..self }
    }

    /// Columns `from..from + count`.
    fn columns(self, from: usize, count: usize) -> Self {
        let start = (from * self.column_stride).min(self.data.len());
        Matrix { data: &self.data[start..], columns: count, ..self }
    }

    /// Whether every element lies inside `data`: the last one does, and its offset is one that can be counted.
    fn is_inside(&self) -> bool {
        let (Some(below), Some(beside)) = (self.rows.checked_sub(1), self.columns.checked_sub(1)) else {
            return true;
        };
        let down = below.checked_mul(self.row_stride);
        let across = beside.checked_mul(self.column_stride);
        let last = down.zip(across).and_then(|(down, across)| down.checked_add(across));
        last.is_some_and(|last| last < self.data.len())
    }
}

/// What the product is added to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start<'a> {
    /// C = A B
    Zero,
    /// C += A B
    Kept,
    /// C = A B + this row: a bias.
    Row(&'a [f32]),
}

/// B (inner x columns), ready to be multiplied by: cut into panels of [`PANEL`] columns, one behind the other, each
/// row-major; the last one is filled up with zeros.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    panels: &'a [f32],
    inner: usize,
    columns: usize,
    isa: Isa,
}

impl<'a> Packed<'a> {
    /// Panels that somebody else has written.
    ///
    /// # Panics
    /// If they are not as long as the sizes say.
    #[track_caller]
    pub fn new(panels: &'a [f32], inner: usize, columns: usize) -> Self {
        let len = packed_len(inner, columns);
        assert_eq!(panels.len(), len, "panels of {inner} x {columns} in {} numbers", panels.len());
        Packed { panels, inner, columns, isa: Isa::current() }
    }
}

/// How many numbers the panels of an inner x columns matrix are.
///
/// # Panics
/// If they are too many to be counted.
#[track_caller]
pub fn packed_len(inner: usize, columns: usize) -> usize {
    let len = columns.checked_next_multiple_of(PANEL).and_then(|columns| columns.checked_mul(inner));
    len.unwrap_or_else(|| panic!("panels of {inner} x {columns} are too many numbers to count"))
}

/// Packs B and lends it to `work`.
///
/// # Panics
/// If B reaches beyond its slice.
#[track_caller]
pub fn with_packed<R>(b: Matrix<'_>, work: impl FnOnce(Packed<'_>) -> R) -> R {
    assert!(b.is_inside(), "a matrix that reaches beyond its slice");
    parallel::with_scratch(packed_len(b.rows, b.columns), |panels| {
        pack(b, panels);
        work(Packed::new(panels, b.rows, b.columns))
    })
}

/// Writes the panels of B, [`packed_len`] numbers.
pub(super) fn pack(b: Matrix<'_>, panels: &mut [f32]) {
    if b.rows > 0 {
        for (i, panel) in panels.chunks_exact_mut(b.rows * PANEL).enumerate() {
            pack_panel(b, i * PANEL, panel);
        }
    }
}

/// C = start + A B on the calling thread; C is row-major.
///
/// # Panics
/// If the sizes do not fit.
#[track_caller]
pub fn gemm_packed(a: Matrix<'_>, packed: Packed<'_>, c: &mut [f32], start: Start<'_>) {
    let Packed { panels, inner, columns, isa } = packed;
    let (m, k) = (a.rows, a.columns);
    assert_eq!(k, inner, "a product of {m} x {k} and {inner} x {columns}");
    // Sizes without a single number in A or B can still be too large to be multiplied.
    assert_eq!(
        Some(c.len()),
        m.checked_mul(columns),
        "a product of {m} x {columns} into {} numbers",
        c.len()
    );
    assert!(a.is_inside(), "a matrix that reaches beyond its slice");
    if let Start::Row(row) = start {
        assert_eq!(row.len(), columns, "a row for {columns} columns");
    }
    match isa {
        // The scratch memory is lent out here: a closure inside of a kernel would not be compiled for its
        // instruction set.
        Isa::Avx512 => parallel::with_scratch(tile::COPY, |copy| {
            isa.run(TileProduct::<12, 2> { a, panels, columns, start, copy, c });
        }),
        Isa::Avx2 => parallel::with_scratch(tile::COPY, |copy| {
            isa.run(TileProduct::<6, 1> { a, panels, columns, start, copy, c });
        }),
        Isa::Portable => {
            for first in (0..columns).step_by(PANEL) {
                let panel = &panels[first * inner..][..inner * PANEL];
                by_matrixmultiply(a, panel, [first, columns], c, start);
            }
        }
    }
}

/// C = start + A B on the calling thread; C is row-major.
///
/// # Panics
/// If the sizes do not fit.
#[track_caller]
pub fn gemm(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32], start: Start<'_>) {
    with_packed(b, |packed| gemm_packed(a, packed, c, start));
}

/// The same by matrixmultiply, for the panel of B that gives the columns of C from `first` on. [`gemm_packed`] has
/// checked the sizes.
fn by_matrixmultiply(
    a: Matrix<'_>,
    panel: &[f32],
    [first, columns]: [usize; 2],
    c: &mut [f32],
    start: Start<'_>,
) {
    let last = (first + PANEL).min(columns);
    let beta = match start {
        Start::Zero => 0.0,
        Start::Kept => 1.0,
        Start::Row(row) => {
            for c in c.chunks_exact_mut(columns) {
                c[first..last].copy_from_slice(&row[first..last]);
            }
            1.0
        }
    };
    let c = c.get_mut(first..).unwrap_or_default();
    debug_assert!(a.is_inside(), "a matrix that reaches beyond its slice");
    debug_assert_eq!(panel.len(), a.columns * PANEL);
    debug_assert!(a.rows == 0 || (a.rows - 1) * columns + (last - first) <= c.len());
    let stride = |s: usize| isize::try_from(s).expect("a slice is shorter than isize::MAX");
    // SAFETY: the three matrices lie inside their slices, none of whose offsets overflows: A as `is_inside` has found, B
    // as a panel of a.columns rows of PANEL >= last - first numbers, C as a.rows rows of `columns` numbers without the
    // first `first` ones. All of it is initialised. `c` is borrowed exclusively, so it overlaps neither A nor B, and its
    // own elements do not overlap each other, for last - first <= columns. Of a product without a row nothing is read or
    // written; of one without columns of A, only C is.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.columns,
            last - first,
            1.0,
            a.data.as_ptr(),
            stride(a.row_stride),
            stride(a.column_stride),
            panel.as_ptr(),
            stride(PANEL),
            1,
            beta,
            c.as_mut_ptr(),
            stride(columns),
            1,
        );
    }
}

/// Multiply-adds worth a task.
const TASK: usize = 2 << 20;

/// Rows of a product that is dealt out by columns: packing B weighs more than it would for many.
const FEW_ROWS: usize = 128;

/// As [`gemm`], blocks of C dealt out to threads.
///
/// # Panics
/// If the sizes do not fit.
#[track_caller]
pub fn gemm_parallel(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32], start: Start<'_>) {
    let (k, n) = (a.columns, b.columns);
    assert_eq!(
        Some(c.len()),
        a.rows.checked_mul(n),
        "a product of {} x {n} into {} numbers",
        a.rows,
        c.len()
    );
    if c.is_empty() {
        return;
    }
    if a.rows <= FEW_ROWS && n > PANEL {
        return by_columns(a, b, c, start);
    }
    // A multiple of the tile's rows.
    let rows = (TASK / (k * n).max(1)).next_multiple_of(12).max(36);
    with_packed(b, |b| {
        parallel::for_each_chunk(c, rows * n, |i, c| gemm_packed(a.rows(i * rows, c.len() / n), b, c, start));
    });
}

/// The same for few rows: panels of columns are packed by whoever multiplies by them.
#[track_caller]
fn by_columns(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32], start: Start<'_>) {
    let (rows, n) = (a.rows, b.columns);
    let width = (TASK / (rows * a.columns).max(1)).next_multiple_of(PANEL).max(PANEL);
    // Blocks of columns, one behind the other, each row-major.
    parallel::with_scratch(rows * n, |blocks| {
        parallel::for_each_chunk(blocks, rows * width, |i, block| {
            let columns = i * width..i * width + block.len() / rows;
            if start == Start::Kept {
                for (block, c) in block.chunks_exact_mut(columns.len()).zip(c.chunks_exact(n)) {
                    block.copy_from_slice(&c[columns.clone()]);
                }
            }
            let start = match start {
                Start::Row(row) => Start::Row(&row[columns.clone()]),
                other => other,
            };
            gemm(a, b.columns(columns.start, columns.len()), block, start);
        });
        for (i, block) in blocks.chunks(rows * width).enumerate() {
            let columns = block.len() / rows;
            for (c, block) in c.chunks_exact_mut(n).zip(block.chunks_exact(columns)) {
                c[i * width..][..columns].copy_from_slice(block);
            }
        }
    });
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
        gemm(a.rows(i * rows, count).transposed(), b.rows(i * rows, count), c, Start::Zero);
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
        for sizes @ [m, k, n] in [
            [1, 1, 1],
            [2, 3, 5],
            [13, 2, 33],
            [1, 260, 2],
            [17, 33, 15],
            [65, 300, 31],
            [130, 7, 64],
            [1, 513, 3],
            [29, 520, 97],
            [100, 1024, 70],
        ] {
            if cfg!(miri) && m * k * n > 1_000 {
                continue; // too much work for an interpreter
            }
            let (a, b) = (numbers(1, m * k), numbers(2, k * n));
            let expected = naive(&a, &b, sizes);
            let mut c = vec![f32::NAN; m * n];
            gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut c, Start::Zero);
            assert_close(&c, &expected);
            let row = numbers(5, n);
            for start in [Start::Zero, Start::Kept, Start::Row(&row)] {
                let [mut serial, mut parallel] = [0; 2].map(|_| numbers(6, m * n));
                gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut serial, start);
                gemm_parallel(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut parallel, start);
                assert_eq!(serial, parallel);
            }

            gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut c, Start::Kept);
            assert_close(&c, &expected.iter().map(|x| 2.0 * x).collect::<Vec<_>>());

            // The same product from the transposed factors.
            let transpose = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (at, bt) = (transpose(&a, m, k), transpose(&b, k, n));
            let (at, bt) = (Matrix::new(&at, k, m), Matrix::new(&bt, n, k));
            gemm(at.transposed(), bt.transposed(), &mut c, Start::Zero);
            assert_close(&c, &expected);

            // Every instruction set to the last bit: the portable one is matrixmultiply.
            let mut panels = vec![f32::NAN; packed_len(k, n)];
            pack(bt.transposed(), &mut panels);
            for start in [Start::Zero, Start::Kept, Start::Row(&row)] {
                let product = |a: Matrix<'_>, isa: Isa| {
                    let mut c = numbers(6, m * n);
                    gemm_packed(a, Packed { isa, ..Packed::new(&panels, k, n) }, &mut c, start);
                    c
                };
                let oracle = product(Matrix::new(&a, m, k), Isa::Portable);
                for &isa in Isa::supported() {
                    for a in [Matrix::new(&a, m, k), at.transposed()] {
                        assert_eq!(product(a, isa), oracle, "{sizes:?} on {}", isa.name());
                    }
                }
            }

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
        gemm(a, b, &mut whole, Start::Zero);
        let mut blocks = vec![f32::NAN; m * n];
        gemm_parallel(a, b, &mut blocks, Start::Zero);
        assert_eq!(whole, blocks);
    }

    /// What `work` panics with.
    fn refusal(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(work).unwrap_err().downcast().expect("a message")
    }

    /// In words of 64 bits these sizes multiply to 16, 32 and 0: taken for that, they would let the product run through
    /// all of the address space.
    #[test]
    fn sizes_that_multiply_to_too_much_are_refused() {
        let large = (1 << 60) + 1;
        let message = refusal(|| {
            Matrix::new(&[0.0; 16], 16, large);
        });
        assert!(message.contains("a 16 x 1152921504606846977 matrix over 16 numbers"), "{message}");
        let message = refusal(|| {
            Packed::new(&[0.0; 32], large, 1);
        });
        assert!(message.contains("panels of 1152921504606846977 x 1 are too many"), "{message}");
        let nothing = Matrix::new(&[], 1 << 63, 0);
        for &isa in Isa::supported() {
            let message = refusal(|| {
                let packed = Packed { isa, ..Packed::new(&[], 0, 2) };
                gemm_packed(nothing, packed, &mut [], Start::Zero);
            });
            assert!(message.contains("a product of 9223372036854775808 x 2 into 0 numbers"), "{message}");
        }
    }

    #[test]
    fn a_matrix_is_inside_its_slice_if_its_last_element_is() {
        let numbers = [0.0; 12];
        let whole = Matrix::new(&numbers, 3, 4);
        assert!(whole.is_inside() && whole.transposed().is_inside());
        assert!(whole.rows(1, 2).is_inside() && !whole.rows(1, 3).is_inside());
        assert!(whole.columns(3, 1).is_inside() && !whole.columns(3, 2).is_inside());
        assert!(whole.rows(7, 0).is_inside() && !whole.rows(7, 1).is_inside());
        // The last row of 2^62 + 1 begins at 2^64, which a word of 64 bits takes for 0.
        assert!(!whole.rows(0, 1 << 62).is_inside() && !whole.rows(0, (1 << 62) + 1).is_inside());
        assert!(whole.rows(0, usize::MAX).columns(0, 0).is_inside());
    }

    #[test]
    #[should_panic(expected = "a product of 5 x 2 into 8 numbers")]
    fn a_result_of_too_few_rows_is_refused() {
        gemm_parallel(
            Matrix::new(&[0.0; 15], 5, 3),
            Matrix::new(&[0.0; 6], 3, 2),
            &mut [0.0; 8],
            Start::Zero,
        );
    }

    #[test]
    #[should_panic(expected = "a product of 2 x 3 and 4 x 2")]
    fn sizes_that_do_not_fit_are_named() {
        gemm(Matrix::new(&[0.0; 6], 2, 3), Matrix::new(&[0.0; 8], 4, 2), &mut [0.0; 4], Start::Zero);
    }
}
