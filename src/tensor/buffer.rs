//! Memory for f32s that starts at a multiple of 64 bytes: a cache line, and the width of an AVX-512 register.

#![expect(unsafe_code, reason = "an aligned allocation seen as a slice of f32")]

use std::fmt;
use std::ops::{Deref, DerefMut};

/// One cache line. A vector of these is aligned as the lines are, which `Vec<f32>` is not.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

// Lines lie one behind the other without padding: their numbers are a slice.
const _: () = assert!(size_of::<Line>() == 16 * size_of::<f32>());

/// A fixed number of f32s, 64-byte aligned; a slice in all other respects.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    /// How many of the lines' numbers count: all lines are needed for them, and suffice. Kept whatever panics: a
    /// vector that cannot grow leaves this as it was.
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Buffer { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len }
    }

    /// Changes the length; what is added is zero.
    pub fn resize(&mut self, len: usize) {
        if len < self.len {
            self[len..].fill(0.0);
        }
        self.lines.resize(len.div_ceil(16), Line([0.0; 16]));
        self.len = len;
    }
}

impl From<&[f32]> for Buffer {
    fn from(values: &[f32]) -> Self {
        let mut buffer = Buffer::zeros(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        debug_assert_eq!(self.lines.len(), self.len.div_ceil(16));
        // SAFETY: `lines` holds at least `len` f32s, one behind the other (16 a line, no padding), all initialised, in
        // one allocation, which Vec keeps below isize::MAX bytes; the pointer is Vec's to all of it, aligned and not
        // null even when empty; and the borrow of self keeps the vector from being changed as long as the slice lives.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        debug_assert_eq!(self.lines.len(), self.len.div_ceil(16));
        // SAFETY: as in `deref`; the pointer may be written through, and the borrow of self, exclusive, is passed on to
        // the slice. Every f32 is a valid one, so nothing that is written can break a line.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_an_aligned_slice_of_its_length() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let mut buffer = Buffer::zeros(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().addr() % 64, 0);
            for (i, x) in buffer.iter_mut().enumerate() {
                *x = i as f32;
            }
            assert!(buffer.iter().enumerate().all(|(i, &x)| x == i as f32));
            assert_eq!(buffer, Buffer::from(&buffer[..]));
            buffer.resize(len / 2);
            buffer.resize(len + 3);
            assert!(buffer.iter().enumerate().all(|(i, &x)| x == if i < len / 2 { i as f32 } else { 0.0 }));
        }
    }
}
