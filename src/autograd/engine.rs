//! The long-lived part of a computation: recycled buffers, and the one place where ops are run.
//!
//! A training step needs the same buffers as the one before it. They are kept by exact length and handed out again,
//! so that after the first step no tensor memory is allocated; [`Engine::misses`] counts the exceptions.

use super::op::{Op, Point, View};
use crate::tensor::Buffer;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Recycles buffers and runs ops.
#[derive(Debug, Default)]
pub struct Engine {
    free: RefCell<BTreeMap<usize, Vec<Buffer>>>,
    misses: Cell<usize>,
}

impl Engine {
    /// An engine without buffers.
    pub fn new() -> Self {
        Engine::default()
    }

    /// How often a buffer had to be allocated because none of its length was free.
    pub fn misses(&self) -> usize {
        self.misses.get()
    }

    /// A buffer of `len` numbers, whatever they are.
    pub(crate) fn take(&self, len: usize) -> Buffer {
        if len == 0 {
            return Buffer::zeros(0);
        }
        let recycled = self.free.borrow_mut().get_mut(&len).and_then(Vec::pop);
        recycled.unwrap_or_else(|| {
            self.misses.set(self.misses.get() + 1);
            Buffer::zeros(len)
        })
    }

    /// Takes a buffer back.
    pub(crate) fn recycle(&self, buffer: Buffer) {
        if !buffer.is_empty() {
            self.free.borrow_mut().entry(buffer.len()).or_default().push(buffer);
        }
    }

    /// Runs the forward pass of one op. Every op of every tape comes through here.
    pub(crate) fn forward(&self, op: &dyn Op, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        op.forward(inputs, output, saved);
    }

    /// Runs the backward pass of one op. Every op of every tape comes through here.
    pub(crate) fn backward(&self, op: &dyn Op, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        op.backward(at, gradients);
    }
}
