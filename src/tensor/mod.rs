//! Shapes, aligned memory, and the pair of them. No numerics.
//!
//! A tensor is f32, contiguous, row-major and of rank 4 at most. Images are NHWC: (batch, height, width, channels).

mod buffer;
mod shape;

pub use buffer::Buffer;
pub use shape::Shape;

/// Numbers with a shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: Buffer,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Tensor { shape, data: Buffer::zeros(shape.len()) }
    }

    /// A tensor that holds a copy of `values`, row-major.
    ///
    /// # Panics
    /// If the number of values is not that of the shape.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, values: &[f32]) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), values.len(), "a tensor of shape {shape} was given {} values", values.len());
        Tensor { shape, data: Buffer::from(values) }
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The numbers, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}
