#!/usr/bin/env bash
# Runs the tests under tools that see what unsafe code does wrong. Needs a nightly Rust, and ends with exit code 3 without
# one; otherwise gives the tests' exit code.
#
#     scripts/sanitize.sh address [ARGUMENT...]
#     scripts/sanitize.sh miri
#
# address: AddressSanitizer. No load or store of the crate, its packages or matrixmultiply's kernels leaves its
#   allocation, or uses one that is gone, while the tests run, with the instructions that the CPU has: the tests of the
#   kernels, and one of whole runs, go through every instruction set by themselves. It does not see a read of memory that
#   nobody has written, a wrong index that stays inside of its allocation (debug assertions are for those, and are on),
#   or a race. ARGUMENTs go to `cargo test` instead of the whole suite: `--lib -- simd:: kernels::`, say.
#   Left out: the benchmarks, and the test that `bench gemm` measures (10^11 multiply-adds, to be divided by seconds),
#   which are for optimised builds; doc tests, whose programs the flags do not reach.
#
# miri: the interpreter of Rust, which sees every breach of the language's rules: the bounds of slices rather than of
#   allocations, aliasing (by tree borrows: the packages behind rayon are written for those), unwritten memory,
#   alignment, races, and instructions that the CPU was not asked for. First the portable path, then the same on AVX2
#   and AVX-512, most of whose intrinsics it knows. It is thousands of times slower, so it gets the tests of the files
#   with unsafe code alone (docs/unsafe.md), and of these the small ones, which `cfg!(miri)` picks.
#   Left out by name: `blocks_of_rows` (18 million multiply-adds) and `sum_f64` (a million numbers), both of safe code
#   around what the others run; `scalar_arithmetic_on_edges` and `split_and_exp2i`, for their many numbers: the first's
#   operations are those of the test on random ones. In that one, Miri lacks the comparisons of AVX-512.
#   Leaks are not looked for: the threads of the pool outlive the program.
#   Needs: rustup component add miri rust-src --toolchain nightly
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-}
[ $# -eq 0 ] || shift
if ! rustc +nightly --version >/dev/null 2>&1; then
    echo "cannot be tried here: it needs a nightly Rust (rustup toolchain install nightly)" >&2
    exit 3
fi
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

case $mode in
address)
    # A folder and a target of its own: the flags are for the program, not for what builds it.
    export CARGO_TARGET_DIR=$target/address RUSTFLAGS="-Zsanitizer=address"
    [ $# -gt 0 ] ||
        set -- --lib --bins --tests --examples --no-fail-fast -- --skip matrix_products_are_measured
    cargo +nightly test --target "$host" "$@"
    ;;
miri)
    tests=(tensor::buffer simd::tests simd::slice kernels::gemm
        --skip scalar_arithmetic_on_edges --skip split_and_exp2i --skip blocks_of_rows --skip sum_f64)
    export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks"
    # Under Miri the CPU has what the program was compiled for.
    interpret() {
        CARGO_TARGET_DIR=$target/miri-$1 RUSTFLAGS=$2 cargo +nightly miri test --target "$host" --lib -- "${@:3}"
    }
    interpret portable "" "${tests[@]}"
    avx2="-C target-feature=+avx2,+fma"
    interpret avx2 "$avx2" "${tests[@]}"
    # Of AVX-512, Miri lacks the comparisons.
    interpret avx512 "$avx2,+f16c,+avx512f,+avx512bw,+avx512dq,+avx512vl" "${tests[@]}" --skip scalar_arithmetic
    ;;
*)
    echo "usage: scripts/sanitize.sh address [ARGUMENT of cargo test...] | miri" >&2
    exit 2
    ;;
esac
