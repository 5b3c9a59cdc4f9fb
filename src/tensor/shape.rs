//! The sizes of a tensor: rank 0 to 4, a plain value.

use std::fmt;

/// The sizes of a tensor, outermost first; rank 0 is a single number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    sizes: [usize; 4],
    rank: usize,
}

impl Shape {
    /// The shape of a single number.
    pub const SCALAR: Shape = Shape { sizes: [1; 4], rank: 0 };

    /// A shape of these sizes.
    ///
    /// # Panics
    /// If there are more than four.
    #[track_caller]
    pub fn new(sizes: &[usize]) -> Self {
        assert!(sizes.len() <= 4, "a shape has at most 4 sizes, not {}", sizes.len());
        let mut padded = [1; 4];
        padded[..sizes.len()].copy_from_slice(sizes);
        Shape { sizes: padded, rank: sizes.len() }
    }

    /// The sizes, outermost first.
    #[inline]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }

    /// How many sizes there are.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many numbers a tensor of this shape holds.
    pub fn len(&self) -> usize {
        self.sizes().iter().product()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The innermost size (features, channels); 1 for a single number.
    pub fn columns(&self) -> usize {
        self.sizes().last().copied().unwrap_or(1)
    }

    /// The product of all sizes but the innermost.
    pub fn rows(&self) -> usize {
        self.sizes().split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// The four sizes of an image batch (batch, height, width, channels), if the rank is 4.
    pub fn image(&self) -> Option<[usize; 4]> {
        (self.rank == 4).then_some(self.sizes)
    }
}

impl<const RANK: usize> From<[usize; RANK]> for Shape {
    fn from(sizes: [usize; RANK]) -> Self {
        Shape::new(&sizes)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.sizes())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_times_columns_is_the_length() {
        for (shape, rows, columns) in [
            (Shape::SCALAR, 1, 1),
            (Shape::from([7]), 1, 7),
            (Shape::from([3, 5]), 3, 5),
            (Shape::from([2, 3, 4, 5]), 24, 5),
            (Shape::from([0, 5]), 0, 5),
        ] {
            assert_eq!(
                (shape.rows(), shape.columns(), shape.len()),
                (rows, columns, rows * columns),
                "{shape}"
            );
        }
        assert_eq!(Shape::from([2, 3, 4, 5]).image(), Some([2, 3, 4, 5]));
        assert_eq!(Shape::from([2, 3]).image(), None);
    }
}
