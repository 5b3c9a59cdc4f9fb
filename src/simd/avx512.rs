//! Sixteen lanes as one AVX-512 register.
//!
//! SAFETY: an [`Avx512`] can only be made by [`run_with_avx512`], which only [`run`] calls, after it has checked that
//! the CPU (and the operating system) has AVX-512 F, BW, DQ and VL, AVX2 and FMA. Every method below takes one, so that
//! its instructions exist is proved by its first argument, wherever that was carried; the blocks say what else they
//! rely on.

use super::{BIASED_ROUNDER, Isa, Kernel, LANES, MANTISSA, ONE_BITS, SQRT_HALF_BITS, Simd, avx2};
#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their own prefix; in tests the lint is silent"
)]
use std::arch::x86_64::*;

/// The proof that the CPU has AVX-512.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

/// Runs `kernel` compiled for AVX-512; panics if the CPU lacks it.
#[inline]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    assert!(Isa::Avx512.is_supported(), "AVX-512 was asked for, but this CPU lacks it");
    // SAFETY: the CPU has the instructions, as was just checked: those named there imply all others of this function.
    unsafe { run_with_avx512(kernel) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn run_with_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

/// Methods that are one function of AVX-512.
macro_rules! on_register {
    ($($name:ident($($v:ident: $from:ty),+) -> $to:ty = $function:path;)+) => {$(
        #[inline(always)]
        fn $name(self, $($v: $from),+) -> $to {
            // SAFETY: the token proves the instruction.
            unsafe { $function($($v),+) }
        }
    )+};
}

impl Simd for Avx512 {
    type V = __m512;
    type Mask = __mmask16;

    on_register! {
        splat(x: f32) -> __m512 = _mm512_set1_ps;
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps;
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps;
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps;
        div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps;
        sqrt(a: __m512) -> __m512 = _mm512_sqrt_ps;
        mul_add(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps;
        min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps;
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps;
        abs(a: __m512) -> __m512 = _mm512_abs_ps;
        neg(a: __m512) -> __m512 = neg;
        less(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>;
        less_equal(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LE_OQ>;
        equal(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>;
        select(mask: __mmask16, yes: __m512, no: __m512) -> __m512 = select;
        exp2i(n: __m512) -> __m512 = exp2i;
        split(x: __m512) -> (__m512, __m512) = split;
        sum(v: __m512) -> f32 = sum;
        largest(v: __m512) -> f32 = largest;
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        // SAFETY: the token proves the instruction, which reads sixteen numbers of any alignment: this array.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: __m512, to: &mut [f32; LANES]) {
        // SAFETY: the token proves the instruction, which writes sixteen numbers of any alignment: this array, borrowed
        // exclusively.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn load_head(self, from: &[f32]) -> __m512 {
        // SAFETY: the token proves the instruction, which reads the lanes that the mask names, of any alignment, and no
        // memory behind them: the first `from.len()`, for `head` has refused more than there are lanes.
        unsafe { _mm512_maskz_loadu_ps(head(from.len()), from.as_ptr()) }
    }

    #[inline(always)]
    fn store_head(self, v: __m512, to: &mut [f32]) {
        // SAFETY: as in `load_head`, written instead of read; the slice is borrowed exclusively.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), head(to.len()), v) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn neg(a: __m512) -> __m512 {
    _mm512_xor_ps(_mm512_set1_ps(-0.0), a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn select(mask: __mmask16, yes: __m512, no: __m512) -> __m512 {
    _mm512_mask_blend_ps(mask, no, yes)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn exp2i(n: __m512) -> __m512 {
    let biased = _mm512_castps_si512(_mm512_add_ps(n, _mm512_set1_ps(BIASED_ROUNDER)));
    _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn split(x: __m512) -> (__m512, __m512) {
    let integers = |bits: u32| _mm512_set1_epi32(bits.cast_signed());
    let shifted = _mm512_add_epi32(_mm512_castps_si512(x), integers(ONE_BITS - SQRT_HALF_BITS));
    let biased = _mm512_or_si512(_mm512_srli_epi32::<23>(shifted), integers((8_388_608.0_f32).to_bits()));
    let m = _mm512_add_epi32(_mm512_and_si512(shifted, integers(MANTISSA)), integers(SQRT_HALF_BITS));
    (_mm512_castsi512_ps(m), _mm512_sub_ps(_mm512_castsi512_ps(biased), _mm512_set1_ps(BIASED_ROUNDER)))
}

/// The sum by the tree of [`Simd::sum`].
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn sum(v: __m512) -> f32 {
    avx2::sum(halves(v))
}

/// The largest lane by the tree of [`Simd::sum`].
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn largest(v: __m512) -> f32 {
    avx2::largest(halves(v))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn halves(v: __m512) -> [__m256; 2] {
    [_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)]
}

/// The mask of the first `count` of 16 lanes; panics if there are more.
#[inline(always)]
fn head(count: usize) -> __mmask16 {
    assert!(count <= LANES, "the head of a vector has {count} numbers, more than {LANES}");
    let mask = (0xffff_u32 >> (LANES - count)) as __mmask16;
    debug_assert_eq!(
        [mask.count_ones(), mask.trailing_ones()],
        [count as u32; 2],
        "the mask of {count} lanes"
    );
    mask
}
