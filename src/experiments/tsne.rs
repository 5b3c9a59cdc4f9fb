//! t-SNE: points of many dimensions in a plane, so that neighbours stay neighbours.
//!
//! van der Maaten & Hinton, "Visualizing Data using t-SNE", JMLR 9 (2008), exactly, without the approximations for many
//! points:
//!
//! ```text
//! p(j|i)  = exp(-b_i |x_i - x_j|^2) / sum_(k != i) exp(-b_i |x_i - x_k|^2)     b_i: its entropy is ln perplexity
//! p_ij    = (p(j|i) + p(i|j)) / 2n
//! w_ij    = 1 / (1 + |y_i - y_j|^2)        q_ij = w_ij / Z        Z = sum_(i != j) w_ij
//! C       = sum p_ij ln(p_ij / q_ij)
//! dC/dy_i = 4 sum_j (p_ij - q_ij) w_ij (y_i - y_j)
//! ```
//!
//! Settings are those of scikit-learn: it starts from the principal components, as small as 1e-4, pulls 12 times too hard
//! for 250 steps, and goes on for 750 more, with momentum 0.5, then 0.8, a learning rate of max(n / 48, 50), and gains a
//! coordinate that grow while its direction lasts. Published crates start from random points, or add in the order in
//! which threads come; this one gives the same bits for any number of threads, on every machine.

use super::assert_finite;
use super::pca::Plane;
use crate::elementary::{exp, ln};
use crate::parallel;
use crate::tensor::Tensor;

/// What a plot can show, and the memory and time of n^2 can bear.
pub const MOST_POINTS: usize = 2000;

/// About how many neighbours a point has.
const PERPLEXITY: f64 = 30.0;

const STEPS: usize = 1000;

/// The first steps, which pull harder.
const EXAGGERATED_STEPS: usize = 250;
const EXAGGERATION: f64 = 12.0;

/// The standard deviation of the start along the first component.
const START: f64 = 1e-4;

/// Sums run in so many strands side by side.
const LANES: usize = 4;

/// Points that are dealt with as one task.
const BLOCK: usize = 16;

/// Points in a plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// In the order of the points that were given. Distances between groups, sizes of groups and the axes mean nothing.
    pub points: Vec<[f64; 2]>,
    /// 30, and less for fewer than 91 points: a third of the other points.
    pub perplexity: f64,
    /// C, in nats.
    pub divergence: f64,
}

/// Lays the rows of `points` (points, dimensions) out in a plane.
///
/// # Panics
/// If there are fewer than two or more than [`MOST_POINTS`], or a coordinate is not finite.
#[track_caller]
pub fn embed(points: &Tensor) -> Embedding {
    assert_finite(points);
    let count = points.shape().rows();
    assert!((2..=MOST_POINTS).contains(&count), "{count} points to be laid out, from 2 to {MOST_POINTS}");
    let perplexity = PERPLEXITY.min((count as f64 - 1.0) / 3.0).max(1.0);
    parallel::on_threads(|| {
        let similarities = Similarities::of(points, perplexity);
        let mut layout = Places::start(points);
        for (steps, exaggeration, momentum) in
            [(EXAGGERATED_STEPS, EXAGGERATION, 0.5), (STEPS - EXAGGERATED_STEPS, 1.0, 0.8)]
        {
            descend(&similarities, &mut layout, steps, exaggeration, momentum);
        }
        let divergence = divergence(&similarities, &layout);
        Embedding { points: layout.points(), perplexity, divergence }
    })
}

/// The p_ij, in rows that are filled up with zeros to whole lanes.
struct Similarities {
    count: usize,
    stride: usize,
    numbers: Vec<f64>,
}

impl Similarities {
    fn of(points: &Tensor, perplexity: f64) -> Self {
        let count = points.shape().rows();
        let conditional = parallel::map(count, |i| conditional(&squared_distances(points, i), i, perplexity));
        let stride = count.next_multiple_of(LANES);
        let mut numbers = vec![0.0; count * stride];
        for (i, row) in numbers.chunks_exact_mut(stride).enumerate() {
            for (j, number) in row[..count].iter_mut().enumerate() {
                *number = (conditional[i][j] + conditional[j][i]) / (2 * count) as f64;
            }
        }
        Similarities { count, stride, numbers }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.numbers[i * self.stride..][..self.stride]
    }
}

/// From row i of `points` to every row.
fn squared_distances(points: &Tensor, i: usize) -> Vec<f64> {
    let columns = points.shape().columns();
    let mut rows = points.data().chunks_exact(columns);
    let here = &points.data()[i * columns..][..columns];
    let square = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)) * (f64::from(a) - f64::from(b));
    rows.by_ref().map(|row| here.iter().zip(row).map(square).sum()).collect()
}

/// p(j|i) for all j, from the squared distances to i: the b of the wanted perplexity is found by halving an interval.
fn conditional(squared_distances: &[f64], i: usize, perplexity: f64) -> Vec<f64> {
    const TRIES: usize = 100;
    const TOLERANCE: f64 = 1e-7;
    let wanted = ln(perplexity);
    let others = || squared_distances.iter().enumerate().filter(|(j, _)| *j != i);
    // Distances beyond the nearest: p does not change, and the exponential of the nearest is 1, never 0.
    let nearest = others().fold(f64::INFINITY, |least, (_, d)| least.min(*d));
    let mut p = vec![0.0; squared_distances.len()];
    let (mut b, mut low, mut high) = (1.0, 0.0, f64::INFINITY);
    for _ in 0..TRIES {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for (j, &d) in others() {
            p[j] = exp(-b * (d - nearest));
            sum += p[j];
            weighted += p[j] * (d - nearest);
        }
        p.iter_mut().for_each(|p| *p /= sum);
        let excess = ln(sum) + b * weighted / sum - wanted;
        if excess.abs() <= TOLERANCE {
            break;
        }
        if excess > 0.0 {
            low = b;
            b = if high.is_finite() { (b + high) / 2.0 } else { 2.0 * b };
        } else {
            high = b;
            b = (b + low) / 2.0;
        }
    }
    p
}

/// The y: first and second coordinates, each filled up to whole lanes by points so far away that they neither pull nor
/// push.
struct Places {
    count: usize,
    coordinates: [Vec<f64>; 2],
}

const FAR_AWAY: f64 = 1e200;

impl Places {
    fn new(points: &[[f64; 2]]) -> Self {
        let filled = |axis: usize| {
            let mut numbers: Vec<f64> = points.iter().map(|point| point[axis]).collect();
            numbers.resize(points.len().next_multiple_of(LANES), FAR_AWAY);
            numbers
        };
        Places { count: points.len(), coordinates: [filled(0), filled(1)] }
    }

    /// The principal components, small. Points that do not differ all lie at 0.
    fn start(points: &Tensor) -> Self {
        let plane = Plane::of(points);
        let count = points.shape().rows() as f64;
        let sd = (plane.variances[0] * (count - 1.0) / count).sqrt();
        let factor = if sd > 0.0 { START / sd } else { 0.0 };
        let start: Vec<[f64; 2]> =
            plane.project(points).iter().map(|point| point.map(|coordinate| coordinate * factor)).collect();
        Places::new(&start)
    }

    fn points(&self) -> Vec<[f64; 2]> {
        let [x, y] = &self.coordinates;
        x.iter().zip(y).take(self.count).map(|(&x, &y)| [x, y]).collect()
    }
}

/// What all points do to one.
#[derive(Clone, Copy)]
struct Forces {
    /// sum_j p_ij w_ij (y_i - y_j)
    attraction: [f64; 2],
    /// sum_j w_ij^2 (y_i - y_j)
    repulsion: [f64; 2],
    /// sum_(j != i) w_ij
    weights: f64,
}

impl Forces {
    fn on(i: usize, similarities: &[f64], layout: &Places) -> Self {
        let [xs, ys] = &layout.coordinates;
        let (x, y) = (xs[i], ys[i]);
        let [mut attraction, mut repulsion] = [[[0.0; LANES]; 2]; 2];
        let mut weights = [0.0; LANES];
        let (similarities, xs, ys) =
            (similarities.as_chunks::<LANES>().0, xs.as_chunks::<LANES>().0, ys.as_chunks::<LANES>().0);
        for ((p, xs), ys) in similarities.iter().zip(xs).zip(ys) {
            for lane in 0..LANES {
                let [dx, dy] = [x - xs[lane], y - ys[lane]];
                let w = 1.0 / (1.0 + dx * dx + dy * dy);
                let (pull, push) = (p[lane] * w, w * w);
                attraction[0][lane] += pull * dx;
                attraction[1][lane] += pull * dy;
                repulsion[0][lane] += push * dx;
                repulsion[1][lane] += push * dy;
                weights[lane] += w;
            }
        }
        let sum = |lanes: [f64; LANES]| lanes.into_iter().sum::<f64>();
        // A point's weight to itself is 1, and was added too.
        Forces { attraction: attraction.map(sum), repulsion: repulsion.map(sum), weights: sum(weights) - 1.0 }
    }

    /// On every point, and Z.
    fn on_all(similarities: &Similarities, layout: &Places) -> (Vec<Forces>, f64) {
        let count = layout.count;
        let blocks = parallel::map(count.div_ceil(BLOCK), |block| {
            let points = block * BLOCK..count.min((block + 1) * BLOCK);
            points.map(|i| Forces::on(i, similarities.row(i), layout)).collect::<Vec<_>>()
        });
        let forces = blocks.concat();
        let sum = forces.iter().map(|forces| forces.weights).sum();
        (forces, sum)
    }
}

/// dC/dy with `exaggeration` times the p.
fn gradient(similarities: &Similarities, layout: &Places, exaggeration: f64) -> Vec<[f64; 2]> {
    let (forces, sum) = Forces::on_all(similarities, layout);
    let slope = |forces: &Forces| {
        [0, 1].map(|axis| 4.0 * (exaggeration * forces.attraction[axis] - forces.repulsion[axis] / sum))
    };
    forces.iter().map(slope).collect()
}

/// C.
fn divergence(similarities: &Similarities, layout: &Places) -> f64 {
    let [xs, ys] = &layout.coordinates;
    let of_point = |i: usize| {
        let row = similarities.row(i)[..similarities.count].iter().enumerate();
        // p_ii is 0, and so may be the similarity of points that lie far apart.
        row.filter(|(_, p)| p.is_normal())
            .map(|(j, &p)| {
                let [dx, dy] = [xs[i] - xs[j], ys[i] - ys[j]];
                p * (ln(p) + ln(1.0 + dx * dx + dy * dy))
            })
            .sum::<f64>()
    };
    let (_, sum) = Forces::on_all(similarities, layout);
    parallel::map(similarities.count, of_point).iter().sum::<f64>() + ln(sum)
}

/// Steps down the gradient, with gains: a coordinate whose direction lasts becomes faster.
fn descend(similarities: &Similarities, layout: &mut Places, steps: usize, exaggeration: f64, momentum: f64) {
    let rate = (layout.count as f64 / EXAGGERATION / 4.0).max(50.0);
    let (mut velocities, mut gains) = (vec![[0.0; 2]; layout.count], vec![[1.0_f64; 2]; layout.count]);
    for _ in 0..steps {
        let gradient = gradient(similarities, layout, exaggeration);
        for (i, slopes) in gradient.iter().enumerate() {
            for (axis, slope) in slopes.iter().enumerate() {
                let (velocity, gain) = (&mut velocities[i][axis], &mut gains[i][axis]);
                *gain = if *velocity * slope < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
                *velocity = momentum * *velocity - rate * *gain * slope;
                layout.coordinates[axis][i] += *velocity;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::reference;
    use crate::rng::Stream;

    fn squared(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
    }

    fn rows(points: &Tensor) -> Vec<Vec<f64>> {
        let rows = points.data().chunks_exact(points.shape().columns());
        rows.map(|row| row.iter().map(|&number| f64::from(number)).collect()).collect()
    }

    /// How far the nearest `k` points of the layout are from being the nearest of the original (Venna & Kaski 2001): 1 if
    /// all are.
    fn trustworthiness(original: &[Vec<f64>], layout: &[[f64; 2]], k: usize) -> f64 {
        let n = original.len();
        let order = |distance: &dyn Fn(usize) -> f64, i: usize| {
            let mut others: Vec<usize> = (0..n).filter(|&j| j != i).collect();
            others.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            others
        };
        let mut penalty = 0;
        for i in 0..n {
            let truth = order(&|j| squared(&original[i], &original[j]), i);
            for neighbour in &order(&|j| squared(&layout[i], &layout[j]), i)[..k] {
                let rank = 1 + truth.iter().position(|other| other == neighbour).unwrap();
                penalty += rank.saturating_sub(k);
            }
        }
        1.0 - penalty as f64 * 2.0 / (n * k * (2 * n - 3 * k - 1)) as f64
    }

    #[test]
    fn the_entropy_of_every_point_is_that_of_the_perplexity() {
        let (points, _) = reference::points();
        for perplexity in [2.0, 30.0, 66.0_f64] {
            for i in 0..200 {
                let p = conditional(&squared_distances(&points, i), i, perplexity);
                assert_eq!(p[i], 0.0);
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-13);
                let entropy: f64 = p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
                assert!((entropy - perplexity.ln()).abs() < 1e-6, "point {i}: {entropy}");
            }
        }
    }

    /// Three points at distances 1, 1 and 2 from the first: p = (s, s, 1 - 2s), and the ratio of the probabilities is
    /// exp(-3 b), b such that the entropy is ln 2.5.
    #[test]
    fn the_probabilities_of_three_neighbours_are_known() {
        let p = conditional(&[0.0, 1.0, 1.0, 4.0], 0, 2.5);
        // The root of -2 s ln s - (1 - 2 s) ln(1 - 2 s) = ln 2.5 between 1/3 and 1/2, by halving.
        let entropy = |s: f64| -2.0 * s * s.ln() - (1.0 - 2.0 * s) * (1.0 - 2.0 * s).ln();
        let (mut low, mut high) = (1.0 / 3.0, 0.5);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if entropy(middle) > 2.5_f64.ln() { low = middle } else { high = middle }
        }
        for (found, expected) in p.into_iter().zip([0.0, low, low, 1.0 - 2.0 * low]) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }

    /// A layout of `count` points with standard normal coordinates.
    fn random_layout(count: usize) -> Places {
        let mut numbers = vec![0.0; 2 * count];
        Stream::new(3, "layout", &[]).fill_normal(0, &mut numbers);
        let points: Vec<[f64; 2]> = numbers.chunks(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
        Places::new(&points)
    }

    /// C from its definition.
    fn naive_divergence(similarities: &Similarities, layout: &Places) -> f64 {
        let (points, n) = (layout.points(), layout.count);
        let pairs = || (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j);
        let w = |(i, j): (usize, usize)| 1.0 / (1.0 + squared(&points[i], &points[j]));
        let sum: f64 = pairs().map(w).sum();
        let p = |(i, j): (usize, usize)| similarities.row(i)[j];
        pairs().filter(|pair| p(*pair) > 0.0).map(|pair| p(pair) * (p(pair) / (w(pair) / sum)).ln()).sum()
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_divergence() {
        for count in [2, 5, 33] {
            let (points, _) = reference::points();
            let points = Tensor::new([count, 8], &points.data()[..count * 8]);
            let similarities = Similarities::of(&points, 1.0 + count as f64 / 5.0);
            let sum: f64 = similarities.numbers.iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "the similarities of {count} points sum to {sum}");
            let mut layout = random_layout(count);
            let expected = naive_divergence(&similarities, &layout);
            let found = divergence(&similarities, &layout);
            assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
            let gradient = gradient(&similarities, &layout, 1.0);
            for (i, slopes) in gradient.iter().enumerate() {
                for (axis, &slope) in slopes.iter().enumerate() {
                    let here = layout.coordinates[axis][i];
                    let sides = [-1e-5, 1e-5].map(|step| {
                        layout.coordinates[axis][i] = here + step;
                        naive_divergence(&similarities, &layout)
                    });
                    layout.coordinates[axis][i] = here;
                    let quotient = (sides[1] - sides[0]) / 2e-5;
                    assert!((slope - quotient).abs() < 1e-9, "point {i}: {slope}, expected {quotient}");
                }
            }
        }
    }

    /// scripts/sklearn_reference.py: the first steps move the points as scikit-learn's do. Later ones magnify every
    /// rounding: there starts that differ by a millionth end at 0.431 to 0.458 nats.
    #[test]
    fn the_first_steps_are_those_of_scikit_learn() {
        let (points, _) = reference::points();
        let mut layout = Places::start(&points);
        descend(&Similarities::of(&points, 30.0), &mut layout, 5, EXAGGERATION, 0.5);
        let expected =
            [[-0.013081078, 0.042085841], [0.023936746, -0.047590320], [0.083760024, -0.068729260]];
        for (found, expected) in
            layout.points().iter().zip(expected).flat_map(|(a, b)| [0, 1].map(|i| (a[i], b[i])))
        {
            assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
        }
    }

    /// The same script, means over eight starts.
    #[test]
    fn it_is_as_good_as_that_of_scikit_learn() {
        let (points, _) = reference::points();
        let embedding = embed(&points);
        assert_eq!(embedding.perplexity, 30.0);
        let ratio = embedding.divergence / 0.445448138;
        assert!((ratio - 1.0).abs() < 0.04, "the divergence is {ratio} of scikit-learn's");
        let trust = trustworthiness(&rows(&points), &embedding.points, 5);
        assert!((trust - 0.972695312).abs() < 0.005, "the trustworthiness is {trust}");
        let plane = Plane::of(&points).project(&points);
        let trust = trustworthiness(&rows(&points), &plane, 5);
        assert!((trust - 0.88896875).abs() < 1e-9, "that of the principal components is {trust}");
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (points, _) = reference::points();
        let points = Tensor::new([75, 8], &points.data()[..75 * 8]);
        let embeddings = [1, 2, 3].map(|threads| parallel::with_threads(threads, || embed(&points)));
        assert_eq!(embeddings[0], embeddings[1]);
        assert_eq!(embeddings[0], embeddings[2]);
        assert!((embeddings[0].perplexity - 74.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn equal_points_and_pairs_are_laid_out() {
        let same = embed(&Tensor::new([50, 3], &[0.25; 150]));
        assert_eq!(same.points, [[0.0; 2]; 50]);
        assert!(same.divergence.abs() < 1e-12, "{}", same.divergence);
        let mut twins = vec![0.0; 120];
        Stream::new(1, "points", &[]).fill_normal(0, &mut twins[..60]);
        twins.copy_within(..60, 60);
        let embedding = embed(&Tensor::new([40, 3], &twins));
        assert!(embedding.points.as_flattened().iter().all(|coordinate| coordinate.is_finite()));
        for (twin, other) in embedding.points[..20].iter().zip(&embedding.points[20..]) {
            assert!(squared(twin, other) < 1e-12, "{twin:?} and {other:?} are the same point");
        }
        assert_eq!(embed(&Tensor::new([2, 1], &[0.0, 1.0])).points.len(), 2);
    }

    #[test]
    #[should_panic(expected = "2001 points to be laid out")]
    fn too_many_points_are_a_bug() {
        embed(&Tensor::zeros([MOST_POINTS + 1, 1]));
    }
}
