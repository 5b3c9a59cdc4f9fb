//! Differentiable operations, one file each: equation, forward, backward, f64 reference, cases. Those in `fused` do the
//! work of several.
//!
//! Adding one is a file here and a word in the table below. A file of the table must have `cases()` (fixed shapes,
//! chosen for their edges) and `random(sizes)` (any shape); without them the tests do not compile. What is checked for
//! every row stands in `autograd/gradcheck.rs`.

mod elementwise;
#[cfg(test)]
mod rows_of_logits;
mod statistics;

/// Declares the modules of ops, and for tests the table of their cases.
macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        #[cfg(test)]
        pub(in crate::ops) const TABLE: &[crate::ops::tests::Row] = &[$(crate::ops::tests::Row {
            name: stringify!($name),
            cases: $name::tests::cases,
            random: $name::tests::random,
        }),*];
    };
}

ops! {
    activate,
    add,
    batch_norm,
    concat,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    div,
    exp,
    gather_rows,
    linear,
    ln,
    log_softmax,
    logistic_mixture,
    max_pool,
    mul,
    normal_kl,
    normal_log_prob,
    reverse_gradient,
    scale,
    shift,
    softplus,
    sub,
    sum,
    sum_columns,
    to_channels_first,
}

mod fused;

pub use crate::kernels::norm::Activation;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::Conv2d;
pub use elementwise::{Each, ElementWise};
pub use fused::Product;
pub(crate) use statistics::EPSILON;
pub use statistics::Statistics;

#[cfg(test)]
mod tests {
    use super::{TABLE, fused};
    use crate::autograd::gradcheck::{Case, Sizes};
    use proptest::prelude::*;

    pub(super) struct Row {
        pub(super) name: &'static str,
        pub(super) cases: fn() -> Vec<Case>,
        pub(super) random: fn(&mut Sizes) -> Case,
    }

    /// All ops, plain and fused.
    fn rows() -> impl Iterator<Item = &'static Row> {
        TABLE.iter().chain(fused::TABLE)
    }

    /// Runs one check over all fixed cases of all ops, and reports every one that fails.
    fn over_the_table(check: impl Fn(Case, u64) -> Result<(), String>) -> usize {
        over(rows(), check)
    }

    /// The same of some ops.
    fn over(
        rows: impl IntoIterator<Item = &'static Row>,
        check: impl Fn(Case, u64) -> Result<(), String>,
    ) -> usize {
        let mut count = 0;
        let mut failures = Vec::new();
        for row in rows {
            for (i, case) in (row.cases)().into_iter().enumerate() {
                count += 1;
                if let Err(failure) = check(case, i as u64) {
                    failures.push(format!("{}: {failure}", row.name));
                }
            }
        }
        assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
        count
    }

    #[test]
    fn every_op_equals_its_reference_forward_and_backward_with_the_same_bits_everywhere() {
        let count = over_the_table(|case, seed| case.check(seed));
        println!("{count} fixed cases of {} ops", rows().count());
    }

    #[test]
    fn every_fused_op_equals_its_definition_by_other_ops() {
        over(fused::TABLE, |case, seed| case.check_definition(seed));
    }

    #[test]
    fn a_variable_used_twice_gets_both_contributions() {
        over_the_table(|case, seed| case.check_use_twice(seed));
    }

    /// Ops of which a NaN may also reach what does not depend on it, or does so by less than a rounding.
    const MAY_SPREAD_NAN: &[(&str, &str)] = &[
        ("batch_norm_conv2d", "as conv2d"),
        ("batch_norm_linear_cross_entropy", "a rectifier that holds back numbers lets NaN through"),
        ("conv2d", "the zeros of a border are multiplied, and Winograd's tiles hold several pixels"),
        ("conv2d_batch_norm", "as conv2d"),
        ("conv2d_logistic_mixture", "as conv2d"),
        ("conv_transpose2d", "as conv2d"),
        ("cross_entropy", "probabilities beyond the last digit of their sum"),
        ("log_softmax", "as cross_entropy"),
        ("logistic_mixture", "as cross_entropy"),
        ("softplus", "a slope of 1 but for less than a rounding"),
        ("upsampled_conv_transpose2d", "taps are summed before they are multiplied, and as conv2d"),
    ];

    #[test]
    fn nan_goes_through_every_op_to_what_depends_on_it() {
        let mut failures = Vec::new();
        for row in rows() {
            let exactly = MAY_SPREAD_NAN.iter().all(|(name, _)| *name != row.name);
            let (mut in_outputs, mut in_gradients) = (0, 0);
            for (i, case) in (row.cases)().into_iter().enumerate() {
                match case.check_nan(i as u64, exactly) {
                    Ok(reached) => {
                        in_outputs += reached.outputs;
                        in_gradients += reached.gradients_of_upstream;
                    }
                    Err(failure) => failures.push(format!("{}: {failure}", row.name)),
                }
            }
            if in_outputs == 0 || in_gradients == 0 {
                failures.push(format!("{}: no NaN was looked for", row.name));
            }
        }
        assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    }

    #[test]
    fn inputs_that_hold_no_numbers_are_refused_by_every_op() {
        for row in rows() {
            let case = (row.cases)().swap_remove(0);
            for emptied in case.shapes_with_a_size_of_0() {
                let refusal = case.plan(&emptied).expect_err(row.name).0;
                let words = format!("holds no numbers: {:?}", emptied.iter().find(|x| x.is_empty()).unwrap());
                assert!(refusal.contains(&words), "{} of {emptied:?}: {refusal}", row.name);
            }
        }
    }

    #[test]
    fn every_op_holds_on_random_shapes() {
        for row in rows() {
            proptest!(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() },
                |(sizes in proptest::collection::vec(any::<u16>(), 8), seed in any::<u32>())| {
                    let case = (row.random)(&mut Sizes(sizes));
                    prop_assert_eq!(case.check(u64::from(seed)), Ok(()), "{}", row.name);
                }
            );
        }
        println!("32 random cases of each of {} ops", rows().count());
    }
}
