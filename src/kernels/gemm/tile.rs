//! The product on the CPU's own vectors: tiles of C that stay in registers.
//!
//! For a tile of M rows and V vectors of columns, one step of the inner loop loads V vectors of B and broadcasts M
//! numbers of A for M x V fused multiply-adds. With 12 x 2 (AVX-512) or 6 x 1 vectors of two registers (AVX2) the sums
//! fill the registers, and arithmetic, not memory, sets the pace. B is packed beforehand into panels of two vectors, so
//! that it is read in sequence. A is read where it lies, unless its rows would fall on the same few lines of the cache
//! (with 1,024 columns a product took twice as long) or are columns: then it is copied, block by block, into rows of a
//! length that is no power of two.
//!
//! What decides the bits: every element is summed over k in order, by fused multiply-adds, in blocks of
//! [`BLOCK`]; each block starts at zero and is added to C. The size of a tile decides none. That is also the order of
//! matrixmultiply, whose block is as long, so the two agree bit for bit, which the tests hold them to.

use super::{Matrix, PANEL, Start};
use crate::simd::{Kernel, LANES, Simd};

/// How many products are summed before the sum is added to C.
pub(in crate::kernels) const BLOCK: usize = 256;

/// Rows of A that are copied together: whole tiles of 12 or 6 rows, about 100 KB.
const ROWS: usize = 96;

/// The length of a copied row: a block, and one vector more so that rows do not share cache sets.
const STRIDE: usize = BLOCK + LANES;

/// How many numbers a copied block of A takes.
pub(super) const COPY: usize = ROWS * STRIDE;

/// C = start + A B, by tiles of M rows and V vectors, 1 or 2.
pub(super) struct TileProduct<'a, const M: usize, const V: usize> {
    pub(super) a: Matrix<'a>,
    /// For each panel: k rows of [`PANEL`] numbers.
    pub(super) panels: &'a [f32],
    pub(super) columns: usize,
    pub(super) start: Start<'a>,
    /// Room for a block of A: [`COPY`] numbers.
    pub(super) copy: &'a mut [f32],
    pub(super) c: &'a mut [f32],
}

impl<const M: usize, const V: usize> Kernel for TileProduct<'_, M, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let TileProduct { a, panels, columns, start, copy, c } = self;
        let (rows, inner) = (a.rows, a.columns);
        debug_assert!(a.is_inside(), "a matrix that reaches beyond its slice");
        if inner == 0 {
            // A sum of nothing: one empty block writes what C starts from.
            for row in 0..rows {
                for column in (0..columns).step_by(LANES) {
                    let to = row * columns + column..row * columns + (column + LANES).min(columns);
                    finish(s, s.splat(0.0), start, column, &mut c[to]);
                }
            }
            return;
        }
        for first in (0..inner).step_by(BLOCK) {
            let count = BLOCK.min(inner - first);
            let start = if first == 0 { start } else { Start::Kept };
            for top in (0..rows).step_by(ROWS) {
                let a = block_of(a, [top, first], [ROWS.min(rows - top), count], copy);
                let c = &mut c[top * columns..(top + a.rows) * columns];
                for (panel, column) in panels.chunks_exact(inner * PANEL).zip((0..columns).step_by(PANEL)) {
                    let b = &panel[first * PANEL..(first + count) * PANEL];
                    let at = Place { row: 0, column, columns };
                    if V == 2 {
                        down::<S, M, 2, 0>(s, a, b, start, at, c);
                    } else {
                        down::<S, M, 1, 0>(s, a, b, start, at, c);
                        let at = Place { column: column + LANES, ..at };
                        down::<S, M, 1, 1>(s, a, b, start, at, c);
                    }
                }
            }
        }
    }
}

/// The tiles below each other from `at` on, for V vectors of the panel `b` from vector FIRST on.
#[inline(always)]
fn down<S: Simd, const M: usize, const V: usize, const FIRST: usize>(
    s: S,
    a: Matrix<'_>,
    b: &[f32],
    start: Start<'_>,
    mut at: Place,
    c: &mut [f32],
) {
    if at.column >= at.columns {
        return;
    }
    while at.row + M <= a.rows {
        tile::<S, M, V, FIRST>(s, a, b, start, at, c);
        at.row += M;
    }
    while at.row + 4 <= a.rows {
        tile::<S, 4, V, FIRST>(s, a, b, start, at, c);
        at.row += 4;
    }
    while at.row < a.rows {
        tile::<S, 1, V, FIRST>(s, a, b, start, at, c);
        at.row += 1;
    }
}

/// The block of A that begins at (row, column) and has these sizes, copied if that pays; its rows or its columns
/// stay contiguous.
fn block_of<'a>(
    a: Matrix<'a>,
    [row, column]: [usize; 2],
    [rows, columns]: [usize; 2],
    to: &'a mut [f32],
) -> Matrix<'a> {
    let corner = row * a.row_stride + column * a.column_stride;
    if a.column_stride == 1 && !a.row_stride.is_multiple_of(BLOCK) {
        Matrix { data: &a.data[corner..], rows, columns, ..a }
    } else if a.row_stride == 1 {
        for (k, to) in to.chunks_exact_mut(ROWS).take(columns).enumerate() {
            let from = corner + k * a.column_stride;
            to[..rows].copy_from_slice(&a.data[from..from + rows]);
        }
        Matrix { data: to, rows, columns, row_stride: 1, column_stride: ROWS }
    } else {
        for (i, to) in to.chunks_exact_mut(STRIDE).take(rows).enumerate() {
            let from = corner + i * a.row_stride;
            if a.column_stride == 1 {
                to[..columns].copy_from_slice(&a.data[from..from + columns]);
            } else {
                for (to, from) in to[..columns].iter_mut().zip(a.data[from..].iter().step_by(a.column_stride))
                {
                    *to = *from;
                }
            }
        }
        Matrix { data: to, rows, columns, row_stride: STRIDE, column_stride: 1 }
    }
}

/// Where a tile lies: its first row and column of C, and the length of C's rows.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    columns: usize,
}

/// One tile of M rows: the block `a` times the vectors FIRST..FIRST + V of the panel `b`.
#[inline(always)]
fn tile<S: Simd, const M: usize, const V: usize, const FIRST: usize>(
    s: S,
    a: Matrix<'_>,
    b: &[f32],
    start: Start<'_>,
    at: Place,
    c: &mut [f32],
) {
    let (row_stride, column_stride) = (a.row_stride, a.column_stride);
    let corner = at.row * row_stride;
    let (vectors, _) = b.as_chunks::<LANES>();
    let (rows_of_b, _) = vectors.as_chunks::<2>();
    debug_assert!(at.row + M <= a.rows && rows_of_b.len() == a.columns, "a tile outside of its block");
    // Nothing in this wraps: the offsets of a tile are at most those of A as a whole, which gemm_packed has added up in
    // checked arithmetic, or those of a copied block, which are small.
    assert!(corner + (M - 1) * row_stride + (rows_of_b.len() - 1) * column_stride < a.data.len());
    let mut sums = [[s.splat(0.0); V]; M];
    for (k, b) in rows_of_b.iter().enumerate() {
        let mut columns = [s.splat(0.0); V];
        for (column, b) in columns.iter_mut().zip(&b[FIRST..FIRST + V]) {
            *column = s.load(b);
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            let index =
                corner.wrapping_add(i.wrapping_mul(row_stride)).wrapping_add(k.wrapping_mul(column_stride));
            // A pointer, because with debug assertions get_unchecked would look at each, and the loop not be unrolled.
            let x = a.data.as_ptr().wrapping_add(index);
            // SAFETY: the largest index, that of the tile's last row (i = M - 1) and the block's last column
            // (k = rows_of_b.len() - 1), was checked above; the others are no larger, for strides are not negative.
            let x = s.splat(unsafe { x.read_unaligned() });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = s.mul_add(x, column, *sum);
            }
        }
    }
    let (first, last) = (at.column, (at.column + V * LANES).min(at.columns));
    for (i, sums) in sums.into_iter().enumerate() {
        let row = (at.row + i) * at.columns;
        let c = &mut c[row + first..row + last];
        if let (vectors, []) = c.as_chunks_mut::<LANES>()
            && vectors.len() == V
        {
            for (v, (sum, c)) in sums.into_iter().zip(vectors).enumerate() {
                let sum = match start {
                    Start::Zero => sum,
                    Start::Kept => s.add(s.load(c), sum),
                    Start::Row(row) => s.add(s.load_head(&row[first + v * LANES..][..LANES]), sum),
                };
                s.store(sum, c);
            }
        } else {
            for (v, (sum, c)) in sums.into_iter().zip(c.chunks_mut(LANES)).enumerate() {
                finish(s, sum, start, first + v * LANES, c);
            }
        }
    }
}

/// Writes the sum of a block to up to 16 neighbouring elements of C, the first of them in column `column`.
#[inline(always)]
fn finish<S: Simd>(s: S, sum: S::V, start: Start<'_>, column: usize, c: &mut [f32]) {
    let sum = match start {
        Start::Zero => sum,
        Start::Kept => s.add(s.load_head(c), sum),
        Start::Row(row) => s.add(s.load_head(&row[column..column + c.len()]), sum),
    };
    s.store_head(sum, c);
}

/// Writes the columns of B from `first` on into a panel, what lies beyond B as zeros.
pub(super) fn pack_panel(b: Matrix<'_>, first: usize, panel: &mut [f32]) {
    let count = PANEL.min(b.columns - first);
    for (k, to) in panel.chunks_exact_mut(PANEL).enumerate() {
        let start = k * b.row_stride + first * b.column_stride;
        let (inside, outside) = to.split_at_mut(count);
        if b.column_stride == 1 {
            inside.copy_from_slice(&b.data[start..start + count]);
        } else {
            for (to, from) in inside.iter_mut().zip(b.data[start..].iter().step_by(b.column_stride)) {
                *to = *from;
            }
        }
        outside.fill(0.0);
    }
}
