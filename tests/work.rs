//! What an observer of the engine is told: which ops were run on what, and what they cost, against loops that count.

use diva::autograd::{Builder, Engine, Gradients, Init, Layout, MultiplyAdds, Params, Pass, Tape, Var};
use diva::ops::{Conv2d, Statistics};
use diva::tensor::Shape;
use std::collections::BTreeSet;
use std::sync::mpsc;

/// A run as it was observed.
#[derive(Debug)]
struct Seen {
    op: &'static str,
    inputs: Vec<Shape>,
    output: Shape,
    /// The gradients that were wanted; `None` forward.
    wanted: Option<Vec<bool>>,
    work: MultiplyAdds,
    bytes: usize,
}

/// The runs of an op applied to inputs (a shape, and whether it is trained), its output summed and differentiated.
fn runs(inputs: &[(Shape, bool)], apply: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>) -> Vec<Seen> {
    let (sender, seen) = mpsc::channel();
    let observed = Engine::observed(Box::new(move |run, go| {
        go();
        let wanted = match run.pass {
            Pass::Forward => None,
            Pass::Backward { wanted } => Some(wanted.to_vec()),
        };
        let (inputs, work, bytes) = (run.inputs.to_vec(), run.multiply_adds(), run.bytes());
        sender.send(Seen { op: run.op.name(), inputs, output: run.output, wanted, work, bytes }).unwrap();
    }));
    let mut params = Params::new();
    let mut builder = Builder::new(&mut params, 7);
    let handles: Vec<_> = (inputs.iter().enumerate())
        .map(|(i, &(shape, trained))| {
            let init = Init::XavierUniform { fan_in: 3, fan_out: 3 };
            trained.then(|| builder.weight(&i.to_string(), shape, Layout::same(shape), init))
        })
        .collect();
    let gradients = [observed, Engine::new()].map(|engine| {
        let mut gradients = Gradients::new(&params);
        let tape = Tape::train(&engine, &params);
        let variables: Vec<Var<'_>> = (handles.iter().zip(inputs))
            .map(|(handle, &(shape, _))| match handle {
                Some(param) => tape.param(*param),
                None => tape.constant(shape, |numbers| numbers.fill(0.25)),
            })
            .collect();
        apply(&variables).sum().backward(&mut gradients);
        drop(tape);
        gradients.slab().to_vec()
    });
    assert!(gradients[0].iter().any(|&number| number != 0.0));
    assert_eq!(gradients[0], gradients[1], "being observed changes nothing");
    seen.try_iter().collect()
}

/// The forward and the backward run of the op itself, between which that of the sum lies.
#[track_caller]
fn passes(name: &str, shapes: &[(Shape, bool)], apply: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>) -> [Seen; 2] {
    let [forward, sum, sum_backward, backward] = runs(shapes, apply).try_into().expect("four runs");
    assert_eq!([forward.op, sum.op, sum_backward.op, backward.op], [name, "sum", "sum", name]);
    assert_eq!((&sum.wanted, &sum_backward.wanted), (&None, &Some(vec![true])));
    let trained: Vec<bool> = shapes.iter().map(|&(_, trained)| trained).collect();
    assert_eq!((&forward.wanted, &backward.wanted), (&None, &Some(trained)));
    for seen in [&forward, &backward] {
        assert!(seen.inputs.iter().eq(shapes.iter().map(|(shape, _)| shape)), "{seen:?}");
        assert_eq!(seen.output, sum.inputs[0]);
    }
    let size = |(shape, _): &(Shape, bool)| shape.len();
    let all: usize = shapes.iter().map(size).sum::<usize>() + forward.output.len();
    let wanted: usize = shapes.iter().filter(|(_, trained)| *trained).map(size).sum();
    assert_eq!((forward.bytes, backward.bytes), (4 * all, 4 * (all + wanted)), "{name}");
    [forward, backward]
}

#[track_caller]
fn assert_work([forward, backward]: &[Seen; 2], computed: [usize; 2], naive: [usize; 2]) {
    let expected = [0, 1].map(|i| MultiplyAdds { computed: computed[i], naive: naive[i] });
    assert_eq!([forward.work, backward.work], expected, "{forward:?} {backward:?}");
}

#[test]
fn linear_multiplies_once_forward_and_once_for_each_gradient() {
    let (rows, inputs, outputs) = (3, 4, 5);
    let mut count = 0;
    for _row in 0..rows {
        for _output in 0..outputs {
            for _input in 0..inputs {
                count += 1;
            }
        }
    }
    for (x_trained, w_trained) in [(true, true), (false, true), (true, false)] {
        let shapes = [
            ([rows, inputs].into(), x_trained),
            ([inputs, outputs].into(), w_trained),
            ([outputs].into(), true),
        ];
        let products = usize::from(x_trained) + usize::from(w_trained);
        let found = passes("linear", &shapes, |x| x[0].linear(x[1], Some(x[2])));
        assert_work(&found, [count, products * count], [count, products * count]);
    }
}

#[test]
fn conv2d_multiplies_every_pixel_of_every_window() {
    let ([images, height, width, channels], kernel, outputs) = ([2, 7, 6, 3], 3, 5);
    let settings = Conv2d { stride: 2, padding: 1 };
    let mut count = 0;
    for _image in 0..images {
        for _top in (0..=height + 2 - kernel).step_by(2) {
            for _left in (0..=width + 2 - kernel).step_by(2) {
                count += kernel * kernel * channels * outputs;
            }
        }
    }
    for trained in [true, false] {
        let shapes = [
            ([images, height, width, channels].into(), trained),
            ([kernel, kernel, channels, outputs].into(), true),
        ];
        let backward = if trained { 2 * count } else { count };
        let found = passes("conv2d", &shapes, |x| x[0].conv2d(x[1], None, settings));
        assert_work(&found, [count, backward], [count, backward]);
    }
}

/// (computed, naive) of one image and one pass of an up-sampled layer: the pixels that are multiplied for each output
/// when equal ones are taken together, and a transposed convolution that scatters every pixel of the large image.
fn upsampled(height: usize, width: usize, channels: usize, kernel: usize, outputs: usize) -> (usize, usize) {
    let (mut folded, mut scattered) = (0, 0);
    for p in 0..(2 * height + kernel - 1) as isize {
        for q in 0..(2 * width + kernel - 1) as isize {
            let mut pixels = BTreeSet::new();
            for r in 0..kernel as isize {
                for s in 0..kernel as isize {
                    pixels.insert([(p - r).div_euclid(2), (q - s).div_euclid(2)]);
                }
            }
            folded += pixels.len();
        }
    }
    for _row in 0..2 * height {
        for _column in 0..2 * width {
            scattered += kernel * kernel;
        }
    }
    (folded * channels * outputs, scattered * channels * outputs)
}

#[test]
fn an_upsampled_layer_multiplies_less_than_its_equation_asks_for() {
    for ([images, height, width, channels], kernel, outputs) in
        [([2, 3, 4, 5], 5, 6), ([1, 2, 2, 3], 3, 2), ([3, 1, 2, 2], 1, 4)]
    {
        let (computed, naive) = upsampled(height, width, channels, kernel, outputs);
        let (computed, naive) = (images * computed, images * naive);
        for trained in [true, false] {
            let shapes = [
                ([images, height, width, channels].into(), trained),
                ([kernel, kernel, channels, outputs].into(), true),
            ];
            let gradients = if trained { 2 } else { 1 };
            let found =
                passes("upsampled_conv_transpose2d", &shapes, |x| x[0].upsampled_conv_transpose2d(x[1]));
            assert_work(&found, [computed, gradients * computed], [naive, gradients * naive]);
        }
    }
}

#[test]
fn eleven_products_an_axis_do_for_tiles_of_four_pixels() {
    let ([images, height, width, channels], kernel, outputs) = ([2, 12, 7, 64], 5, 32);
    let mut computed = 0;
    for _tile_down in (0..height).step_by(4) {
        for _tile_across in (0..width).step_by(4) {
            computed += 11 * 11 * channels * outputs;
        }
    }
    let naive = upsampled(height, width, channels, kernel, outputs).1;
    let shapes = [
        ([images, height, width, channels].into(), true),
        ([kernel, kernel, channels, outputs].into(), true),
    ];
    let found = passes("upsampled_conv_transpose2d", &shapes, |x| x[0].upsampled_conv_transpose2d(x[1]));
    assert_work(&found, [images * computed, 2 * images * computed], [images * naive, 2 * images * naive]);
}

#[test]
fn the_likelihood_multiplies_on_the_way_forward() {
    let (rows, inputs, classes) = (3, 4, 5);
    for trained in [true, false] {
        let shapes = [
            ([rows, inputs].into(), trained),
            ([inputs].into(), true),
            ([inputs].into(), true),
            ([inputs, classes].into(), true),
            ([classes].into(), true),
        ];
        let logits = rows * inputs * classes;
        let naive = if trained { 2 * logits } else { logits };
        let found = passes("batch_norm_linear_cross_entropy", &shapes, |x| {
            x[0].batch_norm_linear_cross_entropy(
                [x[1], x[2]],
                Statistics::OfBatch,
                [x[3], x[4]],
                [0_u32, 4, 2],
            )
        });
        assert_work(&found, [3 * logits, 0], [logits, naive]);
    }
}

#[test]
fn ops_without_products_move_memory_only() {
    let shapes = [(Shape::from([3, 17]), true), (Shape::from([3, 17]), false)];
    assert_work(&passes("mul", &shapes, |x| x[0] * x[1]), [0; 2], [0; 2]);
}
