//! Lesson 2: fit a line. `cargo run --example 02_fit_a_line`
//!
//! Points scatter about y = a x + b, and a and b are to be found. This is all of training in small: parameters, a loss
//! that says how wrong they are, its gradient, and an optimiser that turns the gradient into a step. A network has more
//! parameters and a longer expression for the loss, and nothing else that is new.

use diva::autograd::{Builder, Engine, Gradients, Init, Layout, Params, Tape};
use diva::optim::Adam;
use diva::rng::Stream;
use diva::tensor::{Shape, Tensor};

const POINTS: usize = 200;
const STEPS: usize = 300;

/// What the points are made with, and what the fit does not know.
const TRUTH: [f32; 2] = [2.0, -0.5];
const NOISE: f32 = 0.3;

fn main() {
    // Random numbers are functions of (seed, purpose, index): these points are the same on every machine.
    let (mut x, mut y) = (Tensor::zeros([POINTS, 1]), Tensor::zeros([POINTS, 1]));
    Stream::new(0, "x", &[]).fill_uniform(-1.0, 1.0, x.data_mut());
    Stream::new(0, "noise", &[]).fill_normal(0, y.data_mut());
    for (y, x) in y.data_mut().iter_mut().zip(x.data()) {
        *y = TRUTH[0] * x + TRUTH[1] + NOISE * *y;
    }

    // The line is a fully connected layer with one input and one output: its weight is a, its bias is b.
    let mut params = Params::new();
    let mut builder = Builder::new(&mut params, 0);
    let mut start_at_zero =
        |name, shape| builder.weight(name, shape, Layout::same(shape), Init::Constant(0.0));
    let a = start_at_zero("a", Shape::from([1, 1]));
    let b = start_at_zero("b", Shape::from([1]));

    let mut adam = Adam::new(&params, 0.05);
    let mut gradients = Gradients::new(&params);
    let engine = Engine::new();
    let mut buffers_of_one_step = 0;
    println!("{POINTS} points about y = a x + b with a = {} and b = {}, noise {NOISE}", TRUTH[0], TRUTH[1]);
    for step in 1..=STEPS {
        let loss = {
            let tape = Tape::train(&engine, &params);
            let difference = tape.input(&x).linear(tape.param(a), Some(tape.param(b))) - tape.input(&y);
            let loss = (difference * difference).sum().scale(1.0 / POINTS as f32);
            let value = loss.item(); // to be read now: the walk back gives the memory of every value away
            loss.backward(&mut gradients);
            value
        }; // the tape ends, and with it the loan of the parameters: only now can they change
        adam.step(&mut params, &gradients);
        if step == 1 {
            buffers_of_one_step = engine.misses();
        }
        if step == 1 || step % 50 == 0 {
            let [a, b] = [a, b].map(|param| params.get(param)[0]);
            println!("step {step:3}: mean squared error {loss:.4}, a = {a:.4}, b = {b:.4}");
        }
    }

    // For a line there is a formula to check against: least squares in closed form.
    let fitted = [a, b].map(|param| f64::from(params.get(param)[0]));
    let expected = least_squares(x.data(), y.data());
    println!("least squares in closed form:        a = {:.4}, b = {:.4}", expected[0], expected[1]);
    for (fitted, expected) in fitted.iter().zip(expected) {
        assert!((fitted - expected).abs() < 1e-3, "fitted {fitted}, least squares {expected}");
    }
    // Every step needs the memory of the step before it, so the first one is the only one that asks for any.
    assert_eq!(engine.misses(), buffers_of_one_step, "buffers were allocated after the first step");
    println!(
        "{STEPS} steps; the first asked for memory ({buffers_of_one_step} buffers), the others for none"
    );
}

/// The line of least squares: a = cov(x, y) / var(x), b = mean(y) - a mean(x).
fn least_squares(x: &[f32], y: &[f32]) -> [f64; 2] {
    let mean = |values: &[f32]| values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let sum_with_x = |values: &[f32], mean: f64| -> f64 {
        x.iter().zip(values).map(|(&x, &v)| (f64::from(x) - mean_x) * (f64::from(v) - mean)).sum()
    };
    let a = sum_with_x(y, mean_y) / sum_with_x(x, mean_x);
    [a, mean_y - a * mean_x]
}

/// `cargo test` runs the lesson too: its assertions are the test.
#[test]
fn the_lesson_is_true() {
    main();
}
