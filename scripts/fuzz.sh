#!/usr/bin/env bash
# Fuzzing: random bytes for everything that reads a file, random names for what is written of them, and
# random shapes for every way to compute a convolution.
#
#     scripts/fuzz.sh [SECONDS [TARGET...]]        600 seconds and all targets if nothing is said
#
# Each target starts from a copy of its committed seeds (fuzz/seeds/TARGET), so that nothing in the repository changes;
# what it does with the bytes stands in fuzz/src. AddressSanitizer watches, debug assertions and overflow checks are on,
# a single allocation of more than 64 MiB (of pictures, which are packed so well, 200) is a finding, and so are 1 GiB in
# all and a minute for one input. One line
# for each target says how many inputs were tried and what was found; an input that is a finding is kept in
# fuzz/artifacts/TARGET, to become a unit test and a seed. The exit code is 1 if there was one.
#
# Needs a nightly compiler (rustup toolchain install nightly), a C++ compiler and `cargo install cargo-fuzz`.
# Seeds are made by `cargo run --example make_seeds`, in fuzz/. tests/fuzz_seeds.rs reads each with every `cargo test`,
# and tests/memory.rs holds the bounds of what a file can make us allocate.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift || true
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cargo +nightly fuzz list); fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cargo +nightly fuzz build -O

found=0
for target in "${targets[@]}"; do
    cp -r "fuzz/seeds/$target" "$scratch/$target"
    status=0
    largest=64
    [ "$target" != picture ] || largest=200
    # One thread: two would share the coverage and make it depend on their luck.
    RAYON_NUM_THREADS=1 cargo +nightly fuzz run -O "$target" "$scratch/$target" -- -max_total_time="$seconds" \
        -max_len=16384 -malloc_limit_mb=$largest -rss_limit_mb=1024 -timeout=60 -print_final_stats=1 \
        >"$scratch/$target.log" 2>&1 || status=$?
    tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$target.log")
    if [ "$status" -eq 0 ]; then
        echo "$target: ${tried:-?} inputs, no finding"
    else
        found=1
        echo "$target: ${tried:-?} inputs, a finding:"
        grep -a -m 3 -E "panicked at|ERROR: |Test unit written" "$scratch/$target.log" | sed 's/^/    /' || true
        tail -n 5 "$scratch/$target.log" | sed 's/^/    /'
    fi
done
exit "$found"
