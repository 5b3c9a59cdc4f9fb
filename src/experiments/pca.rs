//! Principal components: the directions in which points differ most, and the plane of the first two.
//!
//! They are the eigenvectors of the covariance with the two largest eigenvalues, found by the cyclic method of Jacobi
//! (Golub & Van Loan, Matrix Computations, section 8.5): it is short, always converges, and takes no random start. An
//! eigenvector's sign is free; here the loading of largest absolute value is positive. All in f64.

use super::assert_finite;
use crate::tensor::Tensor;

/// Far more than are ever needed: the method converges quadratically, in about ten sweeps for 200 dimensions.
const MOST_SWEEPS: usize = 60;

/// The plane of the first two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// The mean of the points.
    pub mean: Vec<f64>,
    /// The two directions, of length 1 and orthogonal; points of one dimension have no second, which is then 0.
    pub axes: [Vec<f64>; 2],
    /// The variance along each (with the number of points less 1 as divisor).
    pub variances: [f64; 2],
    /// The variance along all directions together.
    pub total_variance: f64,
}

/// The first principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// The mean of the points.
    pub mean: Vec<f64>,
    /// The directions, of length 1 and orthogonal; no more than there are dimensions.
    pub axes: Vec<Vec<f64>>,
    /// The variance along each (with the number of points less 1 as divisor), the largest first.
    pub variances: Vec<f64>,
    /// The variance along all directions together.
    pub total_variance: f64,
}

impl Components {
    /// The `most` directions in which the rows of `points` (points, dimensions) differ most.
    ///
    /// # Panics
    /// If there are fewer than two points, or a coordinate is not finite.
    #[track_caller]
    pub fn of(points: &Tensor, most: usize) -> Self {
        assert_finite(points);
        let [rows, columns] = [points.shape().rows(), points.shape().columns()];
        assert!(rows >= 2, "the principal components of {rows} points");
        let mut mean = vec![0.0; columns];
        for row in points.data().chunks_exact(columns) {
            for (sum, &number) in mean.iter_mut().zip(row) {
                *sum += f64::from(number);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= rows as f64);
        let mut covariance = covariance(points, &mean);
        let total_variance = (0..columns).map(|i| covariance[i * columns + i]).sum();
        let vectors = diagonalise(&mut covariance, columns);
        let mut order: Vec<usize> = (0..columns).collect();
        let value = |i: usize| covariance[i * columns + i];
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
        order.truncate(most);
        Components {
            mean,
            axes: order.iter().map(|&i| with_fixed_sign(&vectors[i * columns..][..columns])).collect(),
            variances: order.iter().map(|&i| value(i)).collect(),
            total_variance,
        }
    }
}

impl Plane {
    /// The plane in which the rows of `points` (points, dimensions) differ most.
    ///
    /// # Panics
    /// If there are fewer than two points, or a coordinate is not finite.
    #[track_caller]
    pub fn of(points: &Tensor) -> Self {
        let Components { mean, mut axes, mut variances, total_variance } = Components::of(points, 2);
        axes.resize(2, vec![0.0; mean.len()]);
        variances.resize(2, 0.0);
        let [first, second] = [0, 1].map(|place| axes[place].clone());
        Plane { mean, axes: [first, second], variances: [variances[0], variances[1]], total_variance }
    }

    /// Where the rows of `points` (points, dimensions) lie in the plane.
    ///
    /// # Panics
    /// If they have other dimensions than the points that the plane was made for.
    #[track_caller]
    pub fn project(&self, points: &Tensor) -> Vec<[f64; 2]> {
        let columns = points.shape().columns();
        assert_eq!(columns, self.mean.len(), "dimensions of the points, and of the plane");
        let along = |row: &[f32], axis: &[f64]| {
            let centred = row.iter().zip(&self.mean).map(|(&number, mean)| f64::from(number) - mean);
            centred.zip(axis).map(|(number, loading)| number * loading).sum()
        };
        let rows = points.data().chunks_exact(columns);
        rows.map(|row| [along(row, &self.axes[0]), along(row, &self.axes[1])]).collect()
    }
}

/// (columns, columns), symmetric.
fn covariance(points: &Tensor, mean: &[f64]) -> Vec<f64> {
    let columns = mean.len();
    let mut sums = vec![0.0; columns * columns];
    let mut centred = vec![0.0; columns];
    for row in points.data().chunks_exact(columns) {
        for ((out, &number), mean) in centred.iter_mut().zip(row).zip(mean) {
            *out = f64::from(number) - mean;
        }
        for (i, sums) in sums.chunks_exact_mut(columns).enumerate() {
            let factor = centred[i];
            for (sum, number) in sums[i..].iter_mut().zip(&centred[i..]) {
                *sum += factor * number;
            }
        }
    }
    let divisor = (points.shape().rows() - 1) as f64;
    for i in 0..columns {
        for j in i..columns {
            let value = sums[i * columns + j] / divisor;
            sums[i * columns + j] = value;
            sums[j * columns + i] = value;
        }
    }
    sums
}

/// Turns the symmetric `matrix` (size, size) into a diagonal one, whose entries are its eigenvalues; the rows of what is
/// returned are the eigenvectors, in the same order.
fn diagonalise(matrix: &mut [f64], size: usize) -> Vec<f64> {
    let mut vectors = vec![0.0; size * size];
    (0..size).for_each(|i| vectors[i * size + i] = 1.0);
    let whole: f64 = matrix.iter().map(|entry| entry * entry).sum();
    for _ in 0..MOST_SWEEPS {
        let above =
            (0..size).map(|i| matrix[i * size + i + 1..(i + 1) * size].iter().map(|x| x * x).sum::<f64>());
        if above.sum::<f64>() <= 1e-30 * whole {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                let entry = matrix[p * size + q];
                if entry == 0.0 {
                    continue;
                }
                // The smaller of the two angles that make the entry 0.
                let ratio = (matrix[q * size + q] - matrix[p * size + p]) / (2.0 * entry);
                let tangent = 1.0_f64.copysign(ratio) / (ratio.abs() + (ratio * ratio + 1.0).sqrt());
                let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
                let turn = [cosine, tangent * cosine];
                for k in 0..size {
                    rotate(matrix, [k * size + p, k * size + q], turn);
                }
                for k in 0..size {
                    rotate(matrix, [p * size + k, q * size + k], turn);
                    rotate(&mut vectors, [p * size + k, q * size + k], turn);
                }
            }
        }
    }
    vectors
}

/// (a, b) becomes (c a - s b, s a + c b).
#[inline]
fn rotate(numbers: &mut [f64], [i, j]: [usize; 2], [cosine, sine]: [f64; 2]) {
    let (a, b) = (numbers[i], numbers[j]);
    numbers[i] = cosine * a - sine * b;
    numbers[j] = sine * a + cosine * b;
}

/// The same direction, with its largest entry positive; of equally large ones the first counts.
fn with_fixed_sign(axis: &[f64]) -> Vec<f64> {
    let largest = axis.iter().fold(0.0_f64, |best, x| if x.abs() > best.abs() { *x } else { best });
    axis.iter().map(|x| if largest < 0.0 { -x } else { *x }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::reference::points;

    /// `points` lie on an ellipse, turned by an angle whose sine is 0.6 and moved.
    #[test]
    fn the_axes_of_an_ellipse_are_found() {
        let on_circle = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        let turned = on_circle.map(|[a, b]: [f32; 2]| [0.8 * a - 0.6 * b + 10.0, 0.6 * a + 0.8 * b - 4.0]);
        let points = Tensor::new([4, 2], turned.as_flattened());
        let plane = Plane::of(&points);
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        for (axis, expected) in plane.axes.iter().zip([[0.8, 0.6], [-0.6, 0.8]]) {
            axis.iter().zip(expected).for_each(|(&found, expected)| close(found, expected));
        }
        [plane.variances[0], plane.variances[1], plane.total_variance, plane.mean[0], plane.mean[1]]
            .into_iter()
            .zip([6.0, 2.0 / 3.0, 20.0 / 3.0, 10.0, -4.0])
            .for_each(|(found, expected)| close(found, expected));
        for (found, expected) in plane.project(&points).as_flattened().iter().zip(on_circle.as_flattened()) {
            close(*found, f64::from(*expected));
        }
    }

    #[test]
    fn the_matrix_is_made_of_its_eigenvectors() {
        let size = 23;
        let mut matrix = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..=i {
                let entry = ((i * 37 + j * 101) % 29) as f64 - 14.0;
                matrix[i * size + j] = entry;
                matrix[j * size + i] = entry;
            }
        }
        let mut diagonal = matrix.clone();
        let vectors = diagonalise(&mut diagonal, size);
        let sum_over = |term: &dyn Fn(usize) -> f64| (0..size).map(term).sum::<f64>();
        for i in 0..size {
            for j in 0..size {
                let product = sum_over(&|k| vectors[i * size + k] * vectors[j * size + k]);
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-13, "rows {i}, {j}: {product}");
                let entry =
                    sum_over(&|k| vectors[k * size + i] * diagonal[k * size + k] * vectors[k * size + j]);
                assert!((entry - matrix[i * size + j]).abs() < 1e-12, "entry {i}, {j}: {entry}");
            }
        }
    }

    #[test]
    fn all_components_are_orthonormal_and_carry_the_whole_variance() {
        let (points, _) = points();
        let all = Components::of(&points, 100);
        assert_eq!(all.axes.len(), points.shape().columns());
        for (i, a) in all.axes.iter().enumerate() {
            for (j, b) in all.axes.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "axes {i}, {j}: {product}");
            }
        }
        assert!(all.variances.is_sorted_by(|a, b| a >= b));
        assert!((all.variances.iter().sum::<f64>() - all.total_variance).abs() < 1e-9);
        let plane = Plane::of(&points);
        assert_eq!((&plane.axes[..], &plane.variances[..]), (&all.axes[..2], &all.variances[..2]));
    }

    #[test]
    fn points_of_one_dimension_lie_on_a_line_and_equal_ones_at_its_middle() {
        let line = Tensor::new([3, 1], &[1.0, 2.0, 6.0]);
        let plane = Plane::of(&line);
        assert_eq!((plane.axes, plane.variances), ([vec![1.0], vec![0.0]], [7.0, 0.0]));
        let same = Tensor::new([3, 2], &[0.5, -1.0].repeat(3));
        assert_eq!(Plane::of(&same).project(&same), [[0.0; 2]; 3]);
    }

    /// scripts/sklearn_reference.py, to more digits than the coordinates have.
    #[test]
    fn the_plane_is_that_of_scikit_learn() {
        let axes = [
            [
                0.253323618,
                0.629242474,
                0.076131635,
                -0.234982450,
                -0.574053543,
                0.265424430,
                0.087306410,
                -0.266942443,
            ],
            [
                0.098848531,
                0.140988211,
                -0.395291105,
                0.061907229,
                -0.391593384,
                -0.319287032,
                -0.249120421,
                0.702077744,
            ],
        ];
        let first = [[-0.476920270, -2.280869442], [4.037115157, -3.988112244], [-0.734022149, -1.513206002]];
        let (points, _) = points();
        let plane = Plane::of(&points);
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-8, "{found}, {expected}");
        for (found, expected) in plane.axes.iter().flatten().zip(axes.as_flattened()) {
            close(*found, *expected);
        }
        for (found, expected) in plane.project(&points).as_flattened().iter().zip(first.as_flattened()) {
            close(*found, *expected);
        }
        close(plane.variances[0], 17.539679991);
        close(plane.variances[1], 10.806344989);
        close(plane.total_variance, 44.121485383);
    }
}
