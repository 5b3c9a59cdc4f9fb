//! Variables, and ops that do not fit.

use super::*;
use crate::autograd::{Builder, Init, Layout};
use crate::ops::{Each, ElementWise};
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Product;

impl ElementWise<2> for Product {
    const NAME: &'static str = "product";

    fn value<S: Simd>(self, s: S, [a, b]: [S::V; 2]) -> S::V {
        s.mul(a, b)
    }

    fn slopes<S: Simd>(self, _: S, [a, b]: [S::V; 2], _: S::V) -> [S::V; 2] {
        [b, a]
    }
}

fn engine_and_params() -> (Engine, Params, Param) {
    let mut params = Params::new();
    let shape = Shape::from([3]);
    let weight = Builder::new(&mut params, 0).weight("w", shape, Layout::same(shape), Init::Constant(2.0));
    (Engine::new(), params, weight)
}

#[test]
fn inputs_are_differentiated_as_weights_are() {
    let (engine, params, weight) = engine_and_params();
    let mut gradients = Gradients::new(&params);
    let tape = Tape::train(&engine, &params);
    let x = tape.variable(&Tensor::new([3], &[1.0, -2.0, 4.0]));
    let unused = tape.variable(&Tensor::new([1, 2], &[1.0, 1.0]));
    let w = tape.param(weight);
    // L = mean of w^2 x / x^2 - 3 x = mean of w^2 / x - 3 x
    (w * w * x / (x * x) + -x * 3.0).mean().backward(&mut gradients);
    let expected = [1.0_f32, -2.0, 4.0].map(|x| (-4.0 / (x * x) - 3.0) / 3.0);
    for (found, expected) in x.gradient().data().iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
    for (found, x) in gradients.get(&params, weight).iter().zip([1.0, -2.0, 4.0]) {
        assert!((found - 4.0 / x / 3.0).abs() < 1e-6, "{found}");
    }
    assert_eq!(unused.gradient(), Tensor::zeros([1, 2]));
}

#[test]
fn what_does_not_fit_is_said_and_leaves_the_tape_as_it_was() {
    let (engine, params, weight) = engine_and_params();
    let tape = Tape::train(&engine, &params);
    let (w, x) = (tape.param(weight), tape.variable(&Tensor::zeros([2])));
    let before = tape.nodes.borrow().len();
    let refusal = tape.try_apply(Each(Product), &[w, x]).map(drop).unwrap_err();
    assert_eq!(refusal.0, "product of [[3], [2]]: the shapes differ");
    assert_eq!(tape.nodes.borrow().len(), before);
}

#[test]
#[should_panic(expected = "gradient() of what is no variable")]
fn a_constant_has_no_gradient() {
    let (engine, params, weight) = engine_and_params();
    let mut gradients = Gradients::new(&params);
    let tape = Tape::train(&engine, &params);
    let one = tape.input(&Tensor::new([3], &[1.0; 3]));
    (tape.param(weight) * one).sum().backward(&mut gradients);
    one.gradient();
}
