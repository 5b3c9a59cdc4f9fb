//! Differentiable operations, one file each: equation, forward, backward, f64 reference, cases.
//!
//! Adding one is a file here and a word in the table below. A file of the table must have `cases()` (fixed shapes,
//! chosen for their edges) and `random(sizes)` (any shape); without them the tests do not compile. What is checked for
//! every row stands in `autograd/gradcheck.rs`.

mod elementwise;
#[cfg(test)]
mod rows_of_logits;
mod statistics;

/// Declares the modules of the ops, and for tests the table of their cases.
macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        #[cfg(test)]
        const TABLE: &[tests::Row] = &[
            $(tests::Row { name: stringify!($name), cases: $name::tests::cases, random: $name::tests::random }),*
        ];
    };
}

ops! {
    add,
    batch_norm,
    batch_norm_conv2d,
    batch_norm_linear_cross_entropy,
    batch_norm_max_pool,
    batch_norm_pair,
    batch_norm_residual,
    concat,
    conv2d,
    conv2d_batch_norm,
    conv2d_logistic_mixture,
    conv_transpose2d,
    cross_entropy,
    exp,
    gather_rows,
    leaky_relu,
    linear,
    ln,
    log_softmax,
    logistic_mixture,
    max_pool,
    mul,
    normal_kl,
    normal_log_prob,
    normalize,
    relu,
    reverse_gradient,
    scale,
    shift,
    softplus,
    sub,
    sum,
    sum_columns,
    to_channels_first,
    upsampled_conv_transpose2d,
}

pub use crate::kernels::norm::{Activation, LEAK};
pub(crate) use batch_norm::EPSILON;
pub use batch_norm_conv2d::Product;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::Conv2d;
pub use statistics::Statistics;

#[cfg(test)]
mod tests {
    use super::TABLE;
    use crate::autograd::gradcheck::{Case, Sizes};
    use proptest::prelude::*;

    pub(super) struct Row {
        pub(super) name: &'static str,
        pub(super) cases: fn() -> Vec<Case>,
        pub(super) random: fn(&mut Sizes) -> Case,
    }

    /// Runs one check over all fixed cases of all rows, and reports every row that fails.
    fn over_the_table(check: impl Fn(Case, u64) -> Result<(), String>) -> usize {
        let mut count = 0;
        let mut failures = Vec::new();
        for row in TABLE {
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
        println!("{count} fixed cases of {} ops", TABLE.len());
    }

    #[test]
    fn a_variable_used_twice_gets_both_contributions() {
        over_the_table(|case, seed| case.check_use_twice(seed));
    }

    #[test]
    fn every_op_holds_on_random_shapes() {
        for row in TABLE {
            proptest!(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() },
                |(sizes in proptest::collection::vec(any::<u16>(), 8), seed in any::<u32>())| {
                    let case = (row.random)(&mut Sizes(sizes));
                    prop_assert_eq!(case.check(u64::from(seed)), Ok(()), "{}", row.name);
                }
            );
        }
        println!("32 random cases of each of {} ops", TABLE.len());
    }
}
