//! Every way from a row of logits to its cross-entropy: against f64, at every height and however confident.

use crate::autograd::gradcheck::CHOOSING;
use crate::autograd::{Builder, Engine, Gradients, Init, Layout, Params, Tape, Var};
use crate::ops::Statistics;
use crate::simd::Isa;
use crate::tensor::{Shape, Tensor};
use proptest::prelude::*;
use std::sync::PoisonError;

/// A cross-entropy with its gradient by the logits.
#[derive(Clone, Debug)]
struct CrossEntropy<T> {
    loss: T,
    gradient: Vec<T>,
}

/// Nothing cancels in it: the largest is taken off every logit, and beside a probability of nearly 1 stand the others'.
fn reference(logits: &[f32], label: usize) -> CrossEntropy<f64> {
    let largest = (0..logits.len()).fold(0, |best, c| if logits[c] > logits[best] { c } else { best });
    let below = |c: usize| f64::from(logits[c]) - f64::from(logits[largest]);
    let powers: Vec<f64> = (0..logits.len()).map(|c| below(c).exp()).collect();
    let all_but = |left_out: usize| -> f64 {
        powers.iter().enumerate().filter(|(c, _)| *c != left_out).map(|(_, power)| power).sum()
    };
    let sum = 1.0 + all_but(largest);
    let gradient = |c: usize| if c == label { -all_but(label) / sum } else { powers[c] / sum };
    CrossEntropy {
        loss: all_but(largest).ln_1p() - below(label),
        gradient: (0..logits.len()).map(gradient).collect(),
    }
}

type Route = for<'t> fn(&'t Tape<'t>, Var<'t>, u32) -> Var<'t>;

/// The ops that have a cross-entropy in them. Each computes that of one row a whole number of times.
const ROUTES: [(&str, f32, Route); 3] = [
    ("cross_entropy", 1.0, |_, logits, label| {
        logits.reshape([1, logits.shape().len()]).cross_entropy([label]).sum()
    }),
    ("log_softmax", 1.0, |tape, logits, label| {
        let shape = Shape::from([1, logits.shape().len()]);
        let of_label = tape.constant(shape, |numbers| {
            numbers.fill(0.0);
            numbers[label as usize] = -1.0;
        });
        (logits.reshape(shape).log_softmax() * of_label).sum()
    }),
    ("batch_norm_linear_cross_entropy", 2.0, |tape, logits, label| {
        // With weights of 0 the logits of both rows are the bias.
        let x = tape.input(&Tensor::new([2, 1], &[0.5, -0.5]));
        let zero = |shape: Shape| tape.constant(shape, |numbers| numbers.fill(0.0));
        let weight = zero([1, logits.shape().len()].into());
        let gamma_and_beta = [0, 1].map(|_| zero([1].into()));
        x.batch_norm_linear_cross_entropy(gamma_and_beta, Statistics::OfBatch, [weight, logits], [label; 2])
    }),
];

fn computed(logits: &[f32], label: usize, (_, times, route): (&str, f32, Route)) -> CrossEntropy<f32> {
    let mut params = Params::new();
    let shape = Shape::from([logits.len()]);
    let handle =
        Builder::new(&mut params, 0).weight("logits", shape, Layout::same(shape), Init::Constant(0.0));
    params.get_mut(handle).copy_from_slice(logits);
    let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
    let tape = Tape::train(&engine, &params);
    let loss = route(&tape, tape.param(handle), label as u32);
    let value = loss.item() / times;
    loss.backward(&mut gradients);
    let gradient = gradients.get(&params, handle).iter().map(|slope| slope / times).collect();
    CrossEntropy { loss: value, gradient }
}

/// Asserts that every number is right to a millionth of its own size, or to what subnormal numbers can hold. The exponential
/// of a rounded number is as many times less exact as that is large; a log-softmax is rounded twice.
fn check(logits: &[f32], label: usize) -> Result<(), String> {
    let expected = reference(logits, label);
    let [least, largest] = [f32::min, f32::max].map(|f| f64::from(logits.iter().copied().reduce(f).unwrap()));
    let room = 1e-6 + 1.2e-7 * (largest - least);
    for route in ROUTES {
        let found = computed(logits, label, route);
        let pairs = found.gradient.iter().zip(&expected.gradient).enumerate();
        let gradient = pairs.map(|(c, (&found, &expected))| (format!("slope {c}"), found, expected));
        for (what, found, expected) in
            [("loss".to_owned(), found.loss, expected.loss)].into_iter().chain(gradient)
        {
            let error = (f64::from(found) - expected).abs();
            if error.is_nan() || error > room * expected.abs() + 1e-44 {
                let route = route.0;
                return Err(format!(
                    "{route}, label {label} of {logits:?}: {what} is {found}, expected {expected}"
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn equal_logits_cost_the_logarithm_of_their_number_at_every_height() {
    for height in [0.0, 1e4, -1e4, 1e6, -1e6, 1e8, -1e8, 1e38] {
        for route in ROUTES {
            let CrossEntropy { loss, gradient } = computed(&[height; 10], 3, route);
            let what = format!("{} at {height}", route.0);
            assert!((f64::from(loss) - 10.0_f64.ln()).abs() < 3e-7, "{what}: {loss}, expected ln 10");
            for (c, slope) in gradient.into_iter().enumerate() {
                let expected = 0.1 - f64::from(u8::from(c == 3));
                assert!((f64::from(slope) - expected).abs() < 1e-7, "{what}: slope {c} is {slope}");
            }
        }
    }
}

/// 1 - p of the label and the loss are both about the sum of the others' powers, down to 1e-35.
#[test]
fn confident_rows_keep_every_digit() {
    for above in [1.0, 5.0, 16.0, 20.0, 40.0, 80.0] {
        for height in [0.0, 1e3, -1e6] {
            for classes in [2, 10, 40, 256] {
                let mut logits = vec![height; classes];
                logits[1] += above;
                for label in [1, 0] {
                    assert_eq!(check(&logits, label), Ok(()));
                }
                // Two that are equally likely are not confident.
                logits[0] += above;
                assert_eq!(check(&logits, 1), Ok(()));
            }
        }
    }
    // The gradient at the label was exactly 0 from 17 on.
    for route in ROUTES {
        let found = computed(&[20.0, 0.0, 0.0], 0, route);
        let expected = -2.0 * (-20.0_f64).exp();
        assert!((f64::from(found.gradient[0]) / expected - 1.0).abs() < 1e-6, "{}: {found:?}", route.0);
    }
    // Beyond f32 altogether: e^-1000 is 0, the loss of another label 1000.
    for route in ROUTES {
        let found = computed(&[1000.0, 0.0], 0, route);
        assert_eq!((found.loss, found.gradient[0].abs(), found.gradient[1]), (0.0, 0.0, 0.0), "{}", route.0);
        let found = computed(&[1000.0, 0.0], 1, route);
        assert_eq!((found.loss, &found.gradient[..]), (1000.0, &[1.0, -1.0][..]), "{}", route.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_equal_the_reference_at_every_height_on_every_instruction_set(
        height in prop_oneof![Just(0.0_f32), -100.0..100.0_f32, -1e4..1e4_f32, -1e8..1e8_f32],
        spread in prop_oneof![Just(0.01_f32), Just(1.0), Just(10.0), Just(60.0)],
        row in proptest::collection::vec(-1.0..1.0_f32, 2..70),
        label in any::<proptest::sample::Index>(),
    ) {
        let logits: Vec<f32> = row.iter().map(|x| height + spread * x).collect();
        let label = label.index(logits.len());
        prop_assert_eq!(check(&logits, label), Ok(()));

        let bits = |of: CrossEntropy<f32>| -> Vec<u32> {
            of.gradient.iter().chain([&of.loss]).map(|number| number.to_bits()).collect()
        };
        let on = |isa: Isa, route| {
            let _guard = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
            let before = Isa::current();
            isa.choose();
            let found = computed(&logits, label, route);
            before.choose();
            bits(found)
        };
        for route in ROUTES {
            let expected = on(Isa::Portable, route);
            for &isa in Isa::supported() {
                prop_assert_eq!(&on(isa, route), &expected, "{} on {}", route.0, isa.name());
            }
        }
    }
}

/// As PyTorch has it: minus infinity is a probability of 0, and a row with NaN or infinity is NaN throughout.
#[test]
fn what_is_not_finite_is_not_lost() {
    const INFINITY: f32 = f32::INFINITY;
    for classes in [2, 16, 17, 40] {
        for place in [0, 1, classes / 2, classes - 1] {
            for route in ROUTES {
                let what = format!("{} of {classes}, place {place}", route.0);
                let row = |number: f32| -> Vec<f32> {
                    (0..classes).map(|c| if c == place { number } else { c as f32 / 8.0 }).collect()
                };
                for number in [f32::NAN, INFINITY] {
                    for label in [0, place, classes - 1] {
                        let found = computed(&row(number), label, route);
                        let is_nan = found.loss.is_nan() && found.gradient.iter().all(|slope| slope.is_nan());
                        assert!(is_nan, "{what}, label {label}: {number} gives {found:?}");
                    }
                }
                let others: Vec<f32> =
                    row(0.0).into_iter().enumerate().filter(|(c, _)| *c != place).map(|(_, x)| x).collect();
                let label = if place == 0 { 1 } else { 0 };
                let mut expected = reference(&others, label - usize::from(place < label));
                expected.gradient.insert(place, 0.0);
                let found = computed(&row(-INFINITY), label, route);
                let near = |found: f32, expected: f64| (f64::from(found) - expected).abs() < 1e-6;
                let right = found.gradient.iter().zip(&expected.gradient).all(|(f, e)| near(*f, *e));
                // This route multiplies the logarithm by 0.
                let lost = route.0 == "log_softmax";
                assert!(
                    right && (lost || near(found.loss, expected.loss)),
                    "{what}: {found:?}, expected {expected:?}"
                );

                let found = computed(&row(-INFINITY), place, route);
                assert_eq!(found.loss, INFINITY, "{what}: {found:?}");
                assert_eq!(found.gradient[place], -1.0, "{what}: {found:?}");
            }
        }
    }
    for route in ROUTES {
        assert!(computed(&[-INFINITY; 3], 0, route).loss.is_nan(), "{}", route.0);
    }
}

/// A row does not see what stands in the others.
#[test]
fn a_row_that_is_no_number_leaves_the_others_alone() {
    let (engine, params) = (Engine::new(), Params::new());
    let tape = Tape::inference(&engine, &params);
    let x = tape.input(&Tensor::new([3, 2], &[0.0, 1.0, f32::NAN, 1.0, 1.0, 0.0]));
    x.cross_entropy([0, 0, 1]).read(|y| assert!(y[0] == y[2] && y[0].is_finite() && y[1].is_nan(), "{y:?}"));
    x.log_softmax().read(|y| {
        assert_eq!([y[0], y[1]], [y[5], y[4]]);
        assert!(y[0].is_finite() && y[2].is_nan() && y[3].is_nan(), "{y:?}");
    });
}
