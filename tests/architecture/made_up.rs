//! The rules on made-up sources: each breach is found, and nothing else.

use super::{MOST_LINES, SYSTEM_MATHEMATICS, breaches_in};

#[test]
fn each_breach_is_found() {
    let long = "// a line\n".repeat(MOST_LINES + 1);
    let cases: &[(&str, &str, &[&str])] = &[
        ("lattice/mod.rs", "", &["lattice/mod.rs: the module lattice has no row in the table"]),
        (
            "tensor/shape.rs",
            "\nuse crate::simd::LANES;",
            &["tensor/shape.rs:2: tensor may not use simd::LANES"],
        ),
        ("kernels/pool.rs", "use crate::Pool;", &["kernels/pool.rs:1: kernels may not use Pool"]),
        ("kernels/pool.rs", "use crate::*;", &["kernels/pool.rs:1: kernels may not use *"]),
        (
            "models/vae.rs",
            "use crate::{nn::{Linear, self as layers}, kernels::{gemm::{self, Matrix as M}, pool}, tensor};",
            &[
                "models/vae.rs:1: models may not use kernels::gemm",
                "models/vae.rs:1: models may not use kernels::gemm::Matrix",
                "models/vae.rs:1: models may not use kernels::pool",
            ],
        ),
        (
            "models/diva/elbo.rs",
            "use crate::ops::{Activation, add}; fn f() { crate::ops::exp::<f32>() }",
            &[
                "models/diva/elbo.rs:1: models may use types of ops, not ops::add",
                "models/diva/elbo.rs:1: models may use types of ops, not ops::exp",
            ],
        ),
        ("ops/add.rs", "fn f() { super::super::nn::f() }", &["ops/add.rs:1: ops may not use nn::f"]),
        ("ops/add.rs", "use super::{super::nn, sub};", &["ops/add.rs:1: ops may not use nn"]),
        (
            "rng.rs",
            "mod a { use super::super::tensor::Shape; }",
            &["rng.rs:1: rng may not use tensor::Shape"],
        ),
        ("rng.rs", "macro_rules! m { () => { $crate::nn::f() } }", &["rng.rs:1: rng may not use nn::f"]),
        (
            "rng.rs",
            "#[cfg(test)]\nmod tests { use crate::nn::A; }\nuse crate::nn::B;",
            &["rng.rs:3: rng may not use nn::B"],
        ),
        (
            "rng.rs",
            "#[cfg(test)]\nuse crate::nn::A;\nuse crate::nn::B;",
            &["rng.rs:3: rng may not use nn::B"],
        ),
        ("rng.rs", "#[cfg(not(test))] use crate::nn::A;", &["rng.rs:1: rng may not use nn::A"]),
        ("config/tests.rs", "use crate::nn::A;", &["config/tests.rs:1: config may not use nn::A"]),
        ("store/durable.rs", "fn f() { unsafe { g() } }", &["store/durable.rs:1: unsafe has no place here"]),
        ("tensor/shape.rs", "unsafe impl Send for A {}", &["tensor/shape.rs:1: unsafe has no place here"]),
        ("rng.rs", "#[cfg(test)] mod tests { unsafe fn f() {} }", &["rng.rs:1: unsafe has no place here"]),
        ("lib.rs", "pub mod tensor;\nmod train;", &["lib.rs:2: train is of the application"]),
        ("lib.rs", "#[cfg(feature = \"a\")] mod nn;", &["lib.rs:1: nn is of the autograd, behind a feature"]),
        ("nn/linear.rs", "use crate::tables::Table;", &["nn/linear.rs:1: nn may not use tables::Table"]),
        ("error.rs", &long, &["error.rs: 501 lines, at most 500"]),
        ("kernels/pool.rs", "use rayon::prelude::*;", &["kernels/pool.rs:1: rayon has no place here"]),
        (
            "cli/bench.rs",
            "fn f() { g(current_num_threads(), std::thread::available_parallelism()) }",
            &[
                "cli/bench.rs:1: current_num_threads has no place here",
                "cli/bench.rs:1: available_parallelism has no place here",
            ],
        ),
        ("data/mod.rs", "use std::collections::HashMap;", &["data/mod.rs:1: HashMap has no place here"]),
        ("data/mod.rs", "type A = HashSet<u8>;", &["data/mod.rs:1: HashSet has no place here"]),
        ("optim/adam.rs", "fn f(x: f32) { x\n.powi(2) }", &["optim/adam.rs:2: powi of the standard library"]),
        ("kernels/norm.rs", "fn f() { (2.0).exp() }", &["kernels/norm.rs:1: exp of the standard library"]),
        ("prob/normal.rs", "const F: A = f32::exp;", &["prob/normal.rs:1: exp of the standard library"]),
        (
            "data/rotate.rs",
            "fn f(x: f64) { x.sin().ln() }",
            &["data/rotate.rs:1: ln of the standard library"],
        ),
    ];
    for (path, text, expected) in cases {
        assert_eq!(breaches_in(&[(path, text)]), *expected, "{path}: {text}");
    }
    for name in SYSTEM_MATHEMATICS {
        assert_eq!(breaches_in(&[("rng.rs", &format!("fn f(x: f32) {{ x.{name}() }}"))]).len(), 1, "{name}");
    }
}

#[test]
fn what_is_allowed_is_left_alone() {
    let exactly_long = "// a line\n".repeat(MOST_LINES);
    let cases: &[(&str, &str)] = &[
        ("lib.rs", "pub mod tensor; pub use crate::tensor::Shape;"),
        (
            "lib.rs",
            "#[cfg(feature = \"application\")] mod tables; pub mod error; #[cfg(feature = \"a\")] pub mod cli;",
        ),
        ("error.rs", &exactly_long),
        (
            "rng.rs",
            "// unsafe rayon\n/* HashMap /* crate::nn */ x.exp() */\n/// unsafe `crate::nn::A`\nfn f() {}",
        ),
        (
            "rng.rs",
            r##"const A: &str = "unsafe x.exp() crate::nn"; const B: &str = r#"" rayon "#; const C: char = '"';"##,
        ),
        ("rng.rs", "fn f<'unsafe_>(x: A) { x.exp; x.expand(); x.exp_of(); sin(x); #![allow(unsafe_code)] }"),
        ("rng.rs", "use crate::simd::{self, math}; pub(crate) fn f() {} pub(in crate::rng) fn g() {}"),
        ("rng.rs", "use self::a::B; mod a { use super::C; }"),
        ("rng.rs", "#[cfg(test)] #[allow(dead_code)] mod tests { use crate::nn::A; fn f() { x.exp() } }"),
        ("rng.rs", "#[cfg(all(test, unix))] const A: [crate::nn::A; 2] = [crate::nn::B; 2];"),
        ("simd/avx2.rs", "fn f() { unsafe { g() } }"),
        ("tensor/buffer.rs", "fn f() { unsafe { g() } }"),
        ("kernels/gemm/mod.rs", "fn f() { unsafe { g() } }"),
        ("parallel.rs", "use rayon::prelude::*; fn f() { rayon::current_num_threads() }"),
        ("prob/normal.rs", "fn f(log: Var) -> Var { log.exp() }"),
        ("cli/train.rs", "use crate::{kernels, report, train}; use crate::experiments::Table;"),
    ];
    for (path, text) in cases {
        assert_eq!(breaches_in(&[(path, text)]), [""; 0], "{path}: {text}");
    }
}

#[test]
fn a_file_is_a_test_where_its_declaration_says_so() {
    let text = "use crate::nn::A; fn f(x: f64) { x.ln() }";
    let tests = [("config/tests.rs", text), ("config/tests/deep.rs", text)];
    assert_eq!(breaches_in(&[("config/mod.rs", "#[cfg(test)]\nmod tests;"), tests[0], tests[1]]), [""; 0]);
    assert_eq!(breaches_in(&[("config/mod.rs", "mod tests;"), tests[0], tests[1]]).len(), 4);
    assert_eq!(breaches_in(&[("store/mod.rs", "#[cfg(test)]\nmod tests;"), tests[0]]).len(), 2);
}
