#!/usr/bin/env bash
# Runs the tests under tools that see what unsafe code does wrong. Needs a nightly Rust; gives its exit code.
#
#     scripts/sanitize.sh address [ARGUMENT...]
#     scripts/sanitize.sh miri
#
# address: AddressSanitizer. No load or store of the crate, its packages or matrixmultiply's kernels leaves its
#   allocation, or uses one that is gone, while the tests run, with the instructions that the CPU has. Kernels are
#   tested on every instruction set by the tests themselves; everything else runs on the best, so a short training run
#   follows on each. ARGUMENTs go to `cargo test` and replace the whole suite (and the run): the CI's share is
#   `--lib -- simd:: kernels::`, say. It does not see a read of memory that nobody has written, a wrong index that
#   stays inside of its allocation (debug assertions are for those, and are on), or a race.
#   Left out: the benchmarks, which are for optimised builds, and the doc tests, which build a program each.
#
# miri: the interpreter of Rust, which sees every breach of the language's rules: bounds of slices rather than of
#   allocations, aliasing (tree borrows, which the threads' packages need), provenance, unwritten memory, alignment, races, and features of the CPU
#   that were used without being there. First the portable path, then the same on AVX2 and AVX-512, most of whose
#   intrinsics it knows. It is some thousand times slower, so it gets the tests of the files with unsafe code alone
#   (docs/unsafe.md), of the products only the small ones, and of the threads what these products use.
#   Left out by name: `blocks_of_rows` (18 million multiply-adds) and `sum_f64` (a million numbers), both of safe
#   code around what the others run; `scalar_arithmetic_on_edges` and `split_and_exp2i`, for their many numbers: the
#   first's operations are those of the test on random ones. Of that, Miri lacks the comparisons of AVX-512.
#   Leaks are not looked for: the threads of the pool outlive the program.
#   Needs: rustup component add miri rust-src --toolchain nightly
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-}
[ $# -eq 0 ] || shift
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

case $mode in
address)
    # A folder and a target of its own: the flags are for the program, not for what builds it.
    export CARGO_TARGET_DIR=$target/address RUSTFLAGS="-Zsanitizer=address"
    if [ $# -gt 0 ]; then
        exec cargo +nightly test --target "$host" "$@"
    fi
    cargo +nightly test --target "$host" --lib --bins --tests --examples --no-fail-fast
    runs=$(mktemp -d)
    trap 'rm -rf "$runs"' EXIT
    for isa in portable avx2 avx512; do
        if [ "$isa" != portable ] && ! grep -qw "${isa/avx512/avx512f}" /proc/cpuinfo; then
            echo "skipped: a run on $isa, which this CPU lacks"
            continue
        fi
        DIVA_ISA=$isa "$CARGO_TARGET_DIR/$host/debug/diva" train --preset quick --set data.per_class=4 \
            --set train.batch=20 --set train.epochs=2 --set train.warmup=1 --set model.width=0.25 \
            --set model.latent=16 --out "$runs/$isa"
        cmp "$runs/portable/checkpoint.safetensors" "$runs/$isa/checkpoint.safetensors"
    done
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
