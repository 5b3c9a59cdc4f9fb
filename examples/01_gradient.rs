//! Lesson 1: a gradient, by hand and on a tape. `cargo run --example 01_gradient`
//!
//! A derivative says what a small turn of a knob does to a result. Training a network is nothing but that question,
//! asked of a million knobs at once: which way does each have to turn for the loss to fall? This lesson has two knobs,
//! so that every number can be checked with a pencil.

use diva::autograd::{Builder, Engine, Gradients, Init, Layout, Param, Params, Tape};
use diva::tensor::Shape;

/// The loss of the lesson, as mathematics writes it: f(x, y) = x² y + eˣ.
fn f(x: f64, y: f64) -> f64 {
    x * x * y + x.exp()
}

fn main() {
    let (x, y) = (1.5, -2.0);
    println!("f(x, y) = x² y + exp x at x = {x}, y = {y} is {:.6}\n", f(x, y));

    // 1. By hand. Cut f into steps that each have an obvious derivative. Forwards, compute the values:
    let a = x * x;
    let b = a * y;
    let c = x.exp();
    let value = b + c;
    // Backwards, ask of each step what a change of it does to f. The chain rule: multiply along a path.
    let (df_db, df_dc) = (1.0, 1.0); // f = b + c
    let (df_da, df_dy) = (df_db * y, df_db * a); // b = a y
    // x is used three times, twice in a = x x and once in c = exp x. Contributions add up.
    let df_dx = df_da * x + df_da * x + df_dc * c;
    println!(
        "by hand             a = x x = {a:.4}    b = a y = {b:.4}    c = exp x = {c:.4}    f = {value:.4}"
    );
    println!("                    df/dx = {df_dx:.6}    df/dy = {df_dy:.6}");

    // 2. On the tape, which does the same: it writes down every step on the way forward and walks them backwards.
    // What can be turned is a parameter. It has a name, a shape and a start; the layout says how a weight file orders
    // its numbers, which for a single one is no question.
    let mut params = Params::new();
    let mut builder = Builder::new(&mut params, 0);
    let mut knob =
        |name, start| builder.weight(name, Shape::SCALAR, Layout::same(Shape::SCALAR), Init::Constant(start));
    let [knob_x, knob_y] = [knob("x", x as f32), knob("y", y as f32)];

    let engine = Engine::new(); // runs the steps and keeps their memory for the next pass
    let mut gradients = Gradients::new(&params);
    record(&engine, &params, [knob_x, knob_y], &mut gradients);
    let [tape_dx, tape_dy] = [knob_x, knob_y].map(|knob| f64::from(gradients.get(&params, knob)[0]));
    println!("on the tape         df/dx = {tape_dx:.6}    df/dy = {tape_dy:.6}");

    // 3. By trying it out: turn each knob a little both ways and look. One pass for every knob and direction, which
    // is why nobody trains a network so; but it knows no calculus, which makes it a good judge.
    let h = 1e-5;
    let tried_dx = (f(x + h, y) - f(x - h, y)) / (2.0 * h);
    let tried_dy = (f(x, y + h) - f(x, y - h)) / (2.0 * h);
    println!("by trying it out    df/dx = {tried_dx:.6}    df/dy = {tried_dy:.6}\n");

    assert!((value - f(x, y)).abs() < 1e-12, "the steps are not f");
    for (by_hand, on_tape, tried) in [(df_dx, tape_dx, tried_dx), (df_dy, tape_dy, tried_dy)] {
        assert!((by_hand - on_tape).abs() < 1e-6, "the tape says {on_tape}, the pencil {by_hand}");
        assert!((by_hand - tried).abs() < 1e-8, "trying says {tried}, the pencil {by_hand}");
    }

    // 4. What it is good for. Turn both knobs against their derivatives, a little, and f falls; by how much is known
    // before it is tried.
    let rate = 1e-3;
    let promised = -rate * (df_dx * df_dx + df_dy * df_dy);
    let kept = f(x - rate * df_dx, y - rate * df_dy) - f(x, y);
    println!(
        "A step of {rate} against the gradient: f should change by {promised:.6} and changes by {kept:.6}."
    );
    println!("Many such steps are training: lesson 2.");
    assert!((kept / promised - 1.0).abs() < 0.01, "the step changed f by {kept}, not by {promised}");
}

/// One pass over f: forwards when the expression is evaluated, backwards when `backward` is called.
fn record(engine: &Engine, params: &Params, [x, y]: [Param; 2], gradients: &mut Gradients) {
    let tape = Tape::train(engine, params);
    let (x, y) = (tape.param(x), tape.param(y));
    let loss = x * x * y + x.exp();
    loss.backward(gradients);
} // the tape ends here; until then it borrows the parameters, so that nobody turns a knob too early

/// `cargo test` runs the lesson too: its assertions are the test.
#[test]
fn the_lesson_is_true() {
    main();
}
