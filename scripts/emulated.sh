#!/usr/bin/env bash
# The same bits on CPUs that this machine is not: QEMU runs the program as if on
#
#   haswell   x86-64 of 2013: AVX2 and FMA, no AVX-512, which also the package matrixmultiply then cannot take;
#   aarch64   64-bit ARM: NEON, another compiler back end, another C library.
#
# scripts/emulated.sh haswell|aarch64|all [THREADS...]
#
#     Trains natively and there, on every instruction set and with these numbers of threads (1 2 3 4 7), on digits, of which
#     every second step has no labels, and on cells, and passes a given batch through both branches of the loss (`diva
#     gradients`). Proves that
#     every file left behind has the same SHA-256: checkpoint, selected weights, pictures, report, unlike.json, result.json, and
#     metrics.jsonl but for what a clock said (fields named *_seconds and *_per_second).
#
# scripts/emulated.sh test haswell|aarch64 [ARGUMENT...]
#
#     cargo test ARGUMENT... there. The whole suite takes an hour; a part is named as for cargo test.
#
# Needs Linux on x86-64, Rust, and what it installs where it may (Debian's packages, as root): qemu-user and, for aarch64,
# gcc-aarch64-linux-gnu. Rust's library for ARM comes from rustup, where that is how Rust got here, or else with a
# compiler of Debian's: rustc-web and libstd-rust-web-dev:arm64.
#
# Exit code: 0 all the same; 1 something differs or failed; 3 it cannot be tried on this system, and a line says why.
set -euo pipefail
set -f # settings hold brackets, and no name here is a pattern
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")
fixture=tests/fixtures/tiny
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Runs as short as they can be with all parts of long ones: a line each, a name and its settings. That of digits takes turns
# between labelled and unlabelled batches; that of cells is wide enough for every algorithm of convolution.
runs=(
    'digits --preset quick --set data.domains=[0,30,75] --set data.per_class=1 --set data.unlabelled.subsets=1
    --set model.width=0.0625 --set train.batch=10 --set train.epochs=2'
    'cells --preset quick-cells --set data.domains=["P01","P02","P03"] --set data.test_domain=P03 --set data.per_domain=10
    --set model.encoder_width=0.25 --set model.latent=8 --set train.batch=6 --set train.epochs=1'
)

# The features that a Haswell has and QEMU has not, switched off so that QEMU has nothing to warn of. None calculates.
haswell=(qemu-x86_64 -cpu Haswell,-pcid,-x2apic,-tsc-deadline,-invpcid,-hle,-rtm)
aarch64=(qemu-aarch64)

usage() {
    sed -n '/^# scripts/s/^# //p' "$0" >&2
    exit 2
}

cannot() {
    echo "cannot be tried here: $*" >&2
    exit 3
}

# install WHAT-FOR PACKAGE...
install() {
    local purpose=$1
    shift
    if ! command -v apt-get >/dev/null; then
        cannot "$purpose is missing, and there is no apt-get to install $* with"
    elif [ "$(id -u)" -ne 0 ]; then
        cannot "$purpose is missing; as root: apt-get install $*"
    fi
    echo "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    # The lists of packages may be missing, or so old that they name files that are gone.
    for pause in 0 10 30; do
        sleep "$pause"
        if { apt-get -qq update && apt-get -qq install --no-install-recommends "$@"; } >"$scratch/apt" 2>&1 </dev/null; then
            return
        fi
    done
    tail -n 20 "$scratch/apt" >&2
    cannot "$purpose is missing, and apt-get could not install $*"
}

need_emulator() {
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        cannot "this is $(uname -sm), and a comparison needs Linux x86_64"
    fi
    command -v "$1" >/dev/null || install "the emulator $1" qemu-user
}

# Whether the compiler in use has Rust's library for ARM.
has_library() {
    [ -n "$(find "$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$target/lib" -name 'libstd-*' 2>/dev/null)" ]
}

# Sets what cargo needs to build and to run for ARM.
prepare_aarch64() {
    need_emulator qemu-aarch64
    if ! command -v aarch64-linux-gnu-gcc >/dev/null || [ ! -e /usr/aarch64-linux-gnu/lib/libc.a ]; then
        install "a linker for ARM" gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    fi
    if ! has_library && command -v rustup >/dev/null; then
        rustup target add "$target" || true
    fi
    if ! has_library; then
        if ! dpkg -s rustc-web libstd-rust-web-dev:arm64 >/dev/null 2>&1; then
            [ "$(id -u)" -ne 0 ] || dpkg --add-architecture arm64 2>/dev/null || true
            install "Rust's library for $target (rustup target add $target)" rustc-web libstd-rust-web-dev:arm64
        fi
        RUSTC=$(dpkg -L rustc-web | grep -m 1 '/bin/rustc$')
        export RUSTC
    fi
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    # With the C library inside. Otherwise the emulated loader may meet a C library of another release (with
    # libc6:arm64 installed beside the cross compiler's), and the program hangs when it starts its first thread.
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
}

# digest FOLDER: SHA-256 and name of every file below, without what a clock said.
digest() {
    local file sum
    find "$1" -type f ! -name '*.lock' -printf '%P\n' | LC_ALL=C sort | while read -r file; do
        case $file in
            *metrics.jsonl) sum=$(sed -E 's/"[a-z_]+_(seconds|per_second)":[^,}]*,?//g' "$1/$file" | sha256sum) ;;
            *) sum=$(sha256sum <"$1/$file") ;;
        esac
        printf '%s  %s\n' "${sum%% *}" "$file"
    done
}

different=0
compared=0

# compare MACHINE ISA THREADS COMMAND...: all runs by COMMAND, which is the program with its emulator; then their files
# against those of the first call.
compare() {
    local machine=$1 isa=$2 threads=$3 folder=$scratch/$1-$2-$3 run name branch start=$SECONDS
    shift 3
    mkdir "$folder"
    for run in "${runs[@]}"; do
        name=${run%% *}
        # Unquoted, because the settings are words.
        DIVA_ISA=$isa timeout 900 "$@" train ${run#"$name"} --threads "$threads" --out "$folder/$name" >/dev/null
        # The page names the run as it is named here.
        (cd "$folder" && DIVA_ISA=$isa timeout 900 "$@" report "$name" --threads "$threads" >/dev/null)
    done
    for branch in "" --unlabelled; do
        DIVA_ISA=$isa timeout 900 "$@" gradients --config $fixture/config.toml --weights $fixture/weights.safetensors \
            --batch $fixture/batch.safetensors $branch --threads "$threads" --out "$folder/gradients$branch" >/dev/null
    done
    digest "$folder" >"$folder.sums"
    printf '%-8s %-9s %s threads  ' "$machine" "$isa" "$threads"
    if [ ! -e "$scratch/expected" ]; then
        # A file that is not written is not compared.
        for run in "${runs[@]}"; do
            for name in checkpoint.safetensors best.safetensors metrics.jsonl result.json unlike.json accuracy.png reconstructions.png report.html; do
                grep -q "  ${run%% *}/$name\$" "$folder.sums"
            done
        done
        cp "$folder.sums" "$scratch/expected"
        printf 'the files to be met, %s s:\n' $((SECONDS - start))
        sed 's/^/    /' "$folder.sums"
    elif diff "$scratch/expected" "$folder.sums" >"$scratch/difference"; then
        compared=$((compared + 1))
        printf 'all %s files the same, %s s\n' "$(wc -l <"$folder.sums")" $((SECONDS - start))
    else
        different=$((different + 1))
        echo "different files:"
        sed -n 's/^>/   /p' "$scratch/difference"
    fi
    rm -r "$folder"
}

# refuse ISA NAMES COMMAND...: the machine says that it has the instruction sets NAMES and no ISA.
refuse() {
    local isa=$1 names=$2
    shift 2
    if DIVA_ISA=$isa timeout 60 "$@" data info >/dev/null 2>"$scratch/refusal" || ! grep -q "it has $names\$" "$scratch/refusal"; then
        echo "the emulated CPU was to have $names alone: $(cat "$scratch/refusal")" >&2
        exit 1
    fi
}

native() {
    local isa
    cargo build --release
    for isa in avx512 avx2 portable; do
        # A machine without the first or the first two is as good to compare with.
        if DIVA_ISA=$isa "$built/release/diva" data info >/dev/null 2>&1; then
            compare native $isa 2 "$built/release/diva"
        fi
    done
}

compare_haswell() {
    local emulated=("${haswell[@]}" "$built/release/diva") threads
    refuse avx512 "portable, avx2" "${emulated[@]}"
    for threads in "${counts[@]}"; do
        compare haswell avx2 "$threads" "${emulated[@]}"
        compare haswell portable "$threads" "${emulated[@]}"
    done
}

compare_aarch64() {
    local emulated=("${aarch64[@]}" "$built/$target/release/diva") threads
    cargo build --release --target "$target"
    refuse avx2 "portable" "${emulated[@]}"
    for threads in "${counts[@]}"; do
        compare aarch64 portable "$threads" "${emulated[@]}"
    done
}

case ${1-} in
    haswell | aarch64) machines=("$1") ;;
    all) machines=(haswell aarch64) ;;
    test)
        shift
        machine=${1-}
        case $machine in
            haswell)
                need_emulator qemu-x86_64
                export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="${haswell[*]}" DIVA_TEST_RUNNER="${haswell[*]}"
                shift
                cargo test "$@"
                ;;
            aarch64)
                prepare_aarch64
                export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="${aarch64[*]}" DIVA_TEST_RUNNER="${aarch64[*]}"
                shift
                cargo test --target "$target" "$@"
                ;;
            *) usage ;;
        esac
        exit
        ;;
    *) usage ;;
esac
shift
counts=("$@")
[ $# -ne 0 ] || counts=(1 2 3 4 7)

# Before anything is run, so that what cannot be tried is said at once.
for machine in "${machines[@]}"; do
    case $machine in
        haswell) need_emulator qemu-x86_64 ;;
        aarch64) (prepare_aarch64) ;;
    esac
done
native
for machine in "${machines[@]}"; do
    if [ "$machine" = aarch64 ]; then
        prepare_aarch64
    fi
    "compare_$machine"
done
if [ "$different" -ne 0 ]; then
    echo "$different of $((compared + different)) ways of running differ from the first" >&2
    exit 1
fi
echo "$((compared + 1)) ways of running, one set of bytes"
