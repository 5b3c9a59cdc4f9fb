//! Rows of logits: the logarithm of their softmax, and cross-entropy.
//!
//! With m the largest logit of a row and `others` the sum of exp(x\[c\] - m) over all c but one of the largest,
//!
//! ```text
//! softmax(x)[c]    = exp(x[c] - m) / (1 + others),   of the largest 1 - others / (1 + others)
//! ln softmax(x)[c] = (x[c] - m) - ln(1 + others)
//! ```
//!
//! m and ln(1 + others) are never added: at a height of 1e6 nothing of ln 10 but 2.31 would be left after the logit is taken
//! off. Nor is 1 added to `others` where what is wanted is small with it: the loss of a row that is sure of its label,
//! ln_1p(others), and the slope at that label, -others / (1 + others), which as softmax - 1 would be 0 from a distance of
//! 17 on.
//!
//! A row with NaN or infinity is NaN throughout; minus infinity is a probability of 0.

use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd, math};

/// The sum of the powers exp(x - the largest x), of which one is left out that is 1.
///
/// Powers of 1 are counted apart, for beside a 1 a sum of tiny ones loses its digits. That of the largest is always one.
#[derive(Clone, Copy)]
pub(super) struct Others<S: Simd> {
    below: S::V,
    ones: S::V,
}

impl<S: Simd> Others<S> {
    #[inline(always)]
    pub(super) fn new(s: S) -> Self {
        Others { below: s.splat(0.0), ones: s.splat(0.0) }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, s: S, powers: S::V) {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let is_one = s.equal(powers, one);
        self.below = s.add(self.below, s.select(is_one, zero, powers));
        self.ones = s.add(self.ones, s.select(is_one, one, zero));
    }

    /// The sum for each lane.
    #[inline(always)]
    pub(super) fn of_lanes(&self, s: S) -> S::V {
        s.add(self.below, s.sub(self.ones, s.splat(1.0)))
    }

    /// The sum over all lanes.
    #[inline(always)]
    fn of_all(&self, s: S) -> f32 {
        s.sum(self.below) + (s.sum(self.ones) - 1.0)
    }
}

/// The numbers behind the last whole vector of a row. Behind them stands minus infinity: never the largest, and exp makes
/// it 0.
#[inline(always)]
fn last<S: Simd>(s: S, tail: &[f32]) -> S::V {
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..tail.len()].copy_from_slice(tail);
    s.load(&last)
}

/// The largest number of a row.
#[inline(always)]
fn largest<S: Simd>(s: S, vectors: &[[f32; LANES]], last: S::V) -> f32 {
    let mut largest = last;
    for x in vectors {
        largest = s.max(largest, s.load(x));
    }
    s.largest(largest)
}

/// Writes the largest number and `others` of every row of `x`, `columns` logits each.
#[inline(always)]
fn statistics<S: Simd>(s: S, x: &[f32], columns: usize, of_rows: [&mut [f32]; 2]) {
    let [largests, others] = of_rows;
    for ((row, of_row), others_of_row) in x.chunks_exact(columns).zip(largests).zip(others) {
        let (vectors, tail) = row.as_chunks::<LANES>();
        let last = last(s, tail);
        *of_row = largest(s, vectors, last);
        let m = s.splat(*of_row);
        let mut others = Others::new(s);
        others.add(s, math::exp(s, s.sub(last, m)));
        for x in vectors {
            others.add(s, math::exp(s, s.sub(s.load(x), m)));
        }
        *others_of_row = others.of_all(s);
    }
}

/// The cross-entropy of every row of `x` with its label. For the backward pass it leaves the largest logit of every row, and
/// `others`.
pub fn cross_entropy(x: &[f32], labels: &[u32], losses: &mut [f32], of_rows: [&mut [f32]; 2]) {
    let columns = x.len() / labels.len();
    let rows = parallel::rows_per_task(columns);
    let [largest, others] = of_rows;
    parallel::for_each_chunk3(losses, largest, others, rows, |i, losses, largest, others| {
        let x = &x[i * rows * columns..][..losses.len() * columns];
        let labels = &labels[i * rows..][..losses.len()];
        simd::run(CrossEntropy { x, labels, losses, of_rows: [largest, others] });
    });
}

struct CrossEntropy<'a> {
    x: &'a [f32],
    labels: &'a [u32],
    losses: &'a mut [f32],
    of_rows: [&'a mut [f32]; 2],
}

impl Kernel for CrossEntropy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let CrossEntropy { x, labels, losses, of_rows: [largest, others] } = self;
        let columns = x.len() / labels.len();
        statistics(s, x, columns, [&mut *largest, &mut *others]);
        let rows = x.chunks_exact(columns).zip(labels).zip(&*largest);
        for (((row, &label), largest), loss) in rows.zip(&mut *losses) {
            *loss = largest - row[label as usize];
        }
        simd::slice::update(
            s,
            losses,
            others,
            #[inline(always)]
            |s, below, others| s.add(below, math::ln_1p(s, others)),
        );
    }
}

/// The gradient of the sum over the rows of `scale` times the cross-entropy, from what [`cross_entropy`] has left.
pub fn cross_entropy_gradient(
    x: &[f32],
    of_rows: [&[f32]; 2],
    labels: &[u32],
    scale: &[f32],
    dx: &mut [f32],
) {
    let columns = dx.len() / labels.len();
    let rows = parallel::rows_per_task(columns);
    parallel::for_each_chunk(dx, rows * columns, |i, dx| {
        let chunk = i * rows..i * rows + dx.len() / columns;
        let x = &x[chunk.start * columns..][..dx.len()];
        let of_rows = of_rows.map(|numbers| &numbers[chunk.clone()]);
        let (labels, scale) = (&labels[chunk.clone()], &scale[chunk]);
        simd::run(CrossEntropyGradient { x, of_rows, labels, scale, dx });
    });
}

struct CrossEntropyGradient<'a> {
    x: &'a [f32],
    of_rows: [&'a [f32]; 2],
    labels: &'a [u32],
    scale: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for CrossEntropyGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let columns = self.dx.len() / self.labels.len();
        let rows = self.x.chunks_exact(columns).zip(self.dx.chunks_exact_mut(columns));
        for (i, (x, dx)) in rows.enumerate() {
            let [largest, others] = self.of_rows.map(|numbers| numbers[i]);
            let share = self.scale[i] / (1.0 + others);
            let (m, of_row) = (s.splat(largest), s.splat(share));
            simd::slice::map(
                s,
                x,
                dx,
                #[inline(always)]
                |s, x| s.mul(math::exp(s, s.sub(x, m)), of_row),
            );
            let label = self.labels[i] as usize;
            // A probability that is not the largest is at most 1/2: in it less 1 nothing cancels.
            dx[label] = if x[label] == largest { -others * share } else { dx[label] - self.scale[i] };
        }
    }
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
        let columns = self.columns;
        let sixteens = self.logits.chunks_mut(LANES * columns).zip(self.labels.chunks(LANES));
        for ((rows, labels), losses) in sixteens.zip(self.losses.chunks_mut(LANES)) {
            // One logarithm of sixteen rows.
            let (mut below, mut all_others) = ([0.0; LANES], [0.0; LANES]);
            for (i, (row, &label)) in rows.chunks_exact_mut(columns).zip(labels).enumerate() {
                let label = label as usize;
                let of_label = row[label];
                let (vectors, tail) = row.as_chunks_mut::<LANES>();
                let last = last(s, tail);
                let largest = largest(s, vectors, last);
                let m = s.splat(largest);
                let last = math::exp(s, s.sub(last, m));
                let mut others = Others::new(s);
                others.add(s, last);
                for x in &mut *vectors {
                    let power = math::exp(s, s.sub(s.load(x), m));
                    s.store(power, x);
                    others.add(s, power);
                }
                let others = others.of_all(s);
                let share = 1.0 / (1.0 + others);
                let of_row = s.splat(share);
                for x in vectors {
                    s.store(s.mul(s.load(x), of_row), x);
                }
                s.store_head(s.mul(last, of_row), tail);
                // A probability that is not the largest is at most 1/2: in it less 1 nothing cancels.
                row[label] = if of_label == largest { -others * share } else { row[label] - 1.0 };
                (below[i], all_others[i]) = (largest - of_label, others);
            }
            let loss = s.add(s.load(&below), math::ln_1p(s, s.load(&all_others)));
            s.store_head(loss, losses);
        }
    }
}

/// y = ln softmax(x), by row.
pub fn log_softmax(x: &[f32], columns: usize, y: &mut [f32]) {
    let rows = parallel::rows_per_task(columns);
    parallel::for_each_chunk(y, rows * columns, |i, y| {
        let x = &x[i * rows * columns..][..y.len()];
        parallel::with_scratch(2 * y.len() / columns, |scratch| {
            let (largest, others) = scratch.split_at_mut(y.len() / columns);
            simd::run(LogSoftmax { x, columns, of_rows: [largest, others], y });
        });
    });
}

struct LogSoftmax<'a> {
    x: &'a [f32],
    columns: usize,
    of_rows: [&'a mut [f32]; 2],
    y: &'a mut [f32],
}

impl Kernel for LogSoftmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let LogSoftmax { x, columns, of_rows: [largest, others], y } = self;
        statistics(s, x, columns, [&mut *largest, &mut *others]);
        simd::slice::map_in_place(s, others, math::ln_1p);
        let rows = x.chunks_exact(columns).zip(y.chunks_exact_mut(columns));
        for ((x, y), (largest, logarithm)) in rows.zip(largest.iter().zip(&*others)) {
            let (m, logarithm) = (s.splat(*largest), s.splat(*logarithm));
            simd::slice::map(
                s,
                x,
                y,
                #[inline(always)]
                |s, x| s.sub(s.sub(x, m), logarithm),
            );
        }
    }
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

/// Above this logarithm a probability is larger than all others of its row together.
const MOST: f32 = -0.6;

impl Kernel for LogSoftmaxGradient<'_> {
    type Output = ();

    /// Of a probability p that is nearly 1, dy - p (dy + the others' dy) would be what rounding has left of dy. Here it is
    /// (1 - p) dy - p (the others' dy).
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.y.chunks_exact(self.columns).zip(self.dy.chunks_exact(self.columns));
        for ((y, dy), dx) in rows.zip(self.dx.chunks_exact_mut(self.columns)) {
            // The others' dy lie in dx until they are added up.
            simd::slice::zip(
                s,
                y,
                dy,
                dx,
                #[inline(always)]
                |s, y, dy| s.select(s.less(s.splat(MOST), y), s.splat(0.0), dy),
            );
            let [all, others] = [s.splat(simd::slice::sum(s, dy)), s.splat(simd::slice::sum(s, dx))];
            simd::slice::zip(
                s,
                y,
                dy,
                dx,
                #[inline(always)]
                |s, y, dy| {
                    let (p, p_less_1) = math::exp_and_exp_m1(s, y);
                    let is_most = s.less(s.splat(MOST), y);
                    let sum = s.select(is_most, others, all);
                    let share = s.select(is_most, s.neg(p_less_1), s.splat(1.0));
                    s.mul_add(s.neg(p), sum, s.mul(share, dy))
                },
            );
        }
    }
}
