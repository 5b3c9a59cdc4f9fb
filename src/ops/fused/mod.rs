//! Ops that equal others applied one after the other, without what these would hold between them.
//!
//! Each file begins with what its op equals, written in the other ops: `fn definition`. A test over the table holds value
//! and gradients to it, besides all that holds for every op.

ops! {
    batch_norm_conv2d,
    batch_norm_linear_cross_entropy,
    batch_norm_max_pool,
    batch_norm_residual,
    conv2d_batch_norm,
    conv2d_logistic_mixture,
    upsampled_conv_transpose2d,
}

pub use batch_norm_conv2d::Product;
