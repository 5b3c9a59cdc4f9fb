//! Rows of logits: log-sum-exp and what is made from it.
//!
//! lse = m + ln(sum over c of `exp(x[c] - m)`) with m the largest logit, so that nothing overflows. Then
//! log softmax = x - lse, and the gradient of lse is softmax = exp(x - lse).

use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd, math};

/// The log-sum-exp of every row of `x`, `columns` logits each.
pub fn log_sum_exp(x: &[f32], columns: usize, lse: &mut [f32]) {
    let rows = parallel::rows_per_task(columns);
    parallel::for_each_chunk(lse, rows, |i, lse| {
        simd::run(LogSumExp { x: &x[i * rows * columns..][..lse.len() * columns], columns, lse });
    });
}

struct LogSumExp<'a> {
    x: &'a [f32],
    columns: usize,
    lse: &'a mut [f32],
}

impl Kernel for LogSumExp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (row, lse) in self.x.chunks_exact(self.columns).zip(self.lse) {
            let (vectors, tail) = row.as_chunks::<LANES>();
            // Lanes behind the end hold minus infinity: never the largest, and exp makes them 0.
            let mut last = [f32::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            let last = s.load(&last);
            let mut largest = last;
            for x in vectors {
                largest = s.max(largest, s.load(x));
            }
            let largest = s.largest(largest);
            let m = s.splat(largest);
            let mut sum = math::exp(s, s.sub(last, m));
            for x in vectors {
                sum = s.add(sum, math::exp(s, s.sub(s.load(x), m)));
            }
            let sum = s.sum(sum);
            *lse = largest + first_lane(s, math::ln(s, s.splat(sum)));
        }
    }
}

#[inline(always)]
fn first_lane<S: Simd>(s: S, v: S::V) -> f32 {
    let mut lanes = [0.0; LANES];
    s.store(v, &mut lanes);
    lanes[0]
}

/// dx = softmax(x) by row, times `scale` of the row, minus `scale` at the row's label: the gradient of cross-entropy.
pub fn cross_entropy_gradient(x: &[f32], lse: &[f32], labels: &[u32], scale: &[f32], dx: &mut [f32]) {
    let columns = dx.len() / labels.len();
    let rows = parallel::rows_per_task(columns);
    parallel::for_each_chunk(dx, rows * columns, |i, dx| {
        dx.copy_from_slice(&x[i * rows * columns..][..dx.len()]);
        let of_chunk = i * rows..i * rows + dx.len() / columns;
        let (lse, scale) = (&lse[of_chunk.clone()], &scale[of_chunk.clone()]);
        simd::run(SoftmaxInPlace { logits: dx, columns, lse, scale });
        for ((row, &label), scale) in dx.chunks_exact_mut(columns).zip(&labels[of_chunk]).zip(scale) {
            row[label as usize] -= scale;
        }
    });
}

/// The cross-entropy of every row with its label, on the calling thread; the logits become its gradient,
/// softmax - \[c = label\].
pub fn cross_entropy_and_gradient_of(logits: &mut [f32], labels: &[u32], losses: &mut [f32]) {
    let columns = logits.len() / labels.len();
    simd::run(CrossEntropyAndGradient { logits, columns, labels, losses });
}

struct CrossEntropyAndGradient<'a> {
    logits: &'a mut [f32],
    columns: usize,
    labels: &'a [u32],
    losses: &'a mut [f32],
}

impl Kernel for CrossEntropyAndGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.logits.chunks_exact_mut(self.columns).zip(self.labels).zip(self.losses);
        for ((row, &label), loss) in rows {
            let of_label = row[label as usize];
            let (vectors, tail) = row.as_chunks_mut::<LANES>();
            // Lanes behind the end hold minus infinity: never the largest, and exp makes them 0.
            let mut last = [f32::NEG_INFINITY; LANES];
            last[..tail.len()].copy_from_slice(tail);
            let last = s.load(&last);
            let mut largest = last;
            for x in &*vectors {
                largest = s.max(largest, s.load(x));
            }
            let largest = s.largest(largest);
            let m = s.splat(largest);
            let last = math::exp(s, s.sub(last, m));
            let mut sum = last;
            for x in &mut *vectors {
                let e = math::exp(s, s.sub(s.load(x), m));
                s.store(e, x);
                sum = s.add(sum, e);
            }
            let sum = s.sum(sum);
            let one_over = s.splat(1.0 / sum);
            for x in vectors {
                s.store(s.mul(s.load(x), one_over), x);
            }
            s.store_head(s.mul(last, one_over), tail);
            row[label as usize] -= 1.0;
            *loss = largest + first_lane(s, math::ln(s, s.splat(sum))) - of_label;
        }
    }
}

struct SoftmaxInPlace<'a> {
    logits: &'a mut [f32],
    columns: usize,
    lse: &'a [f32],
    scale: &'a [f32],
}

impl Kernel for SoftmaxInPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for ((row, &lse), &scale) in self.logits.chunks_exact_mut(self.columns).zip(self.lse).zip(self.scale)
        {
            let (lse, scale) = (s.splat(lse), s.splat(scale));
            simd::slice::map_in_place(
                s,
                row,
                #[inline(always)]
                |s, x| s.mul(math::exp(s, s.sub(x, lse)), scale),
            );
        }
    }
}

/// y = x - lse, by row.
pub fn log_softmax(x: &[f32], columns: usize, y: &mut [f32]) {
    let rows = parallel::rows_per_task(columns);
    parallel::for_each_chunk(y, rows * columns, |i, y| {
        let x = &x[i * rows * columns..][..y.len()];
        parallel::with_scratch(y.len() / columns, |lse| {
            simd::run(LogSumExp { x, columns, lse });
            for ((x, y), lse) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)).zip(&*lse) {
                for (x, y) in x.iter().zip(y) {
                    *y = x - lse;
                }
            }
        });
    });
}

/// dx = dy - exp(y) (sum of dy), by row, where y is the log softmax.
pub fn log_softmax_gradient(y: &[f32], dy: &[f32], columns: usize, dx: &mut [f32]) {
    let rows = parallel::rows_per_task(columns);
    parallel::for_each_chunk(dx, rows * columns, |i, dx| {
        let range = i * rows * columns..i * rows * columns + dx.len();
        simd::run(LogSoftmaxGradient { y: &y[range.clone()], dy: &dy[range], columns, dx });
    });
}

struct LogSoftmaxGradient<'a> {
    y: &'a [f32],
    dy: &'a [f32],
    columns: usize,
    dx: &'a mut [f32],
}

impl Kernel for LogSoftmaxGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.y.chunks_exact(self.columns).zip(self.dy.chunks_exact(self.columns));
        for ((y, dy), dx) in rows.zip(self.dx.chunks_exact_mut(self.columns)) {
            let sum = s.splat(simd::slice::sum(s, dy));
            simd::slice::zip(
                s,
                y,
                dy,
                dx,
                #[inline(always)]
                |s, y, dy| s.mul_add(s.neg(math::exp(s, y)), sum, dy),
            );
        }
    }
}
