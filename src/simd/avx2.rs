//! Sixteen lanes as two AVX2 registers.
//!
//! SAFETY: an [`Avx2`] can only be made by [`run_with_avx2`], which only [`run`] calls, after it has checked that the
//! CPU (and the operating system) has AVX2 and FMA. Every method below takes one, so that its instructions exist is
//! proved by its first argument, wherever that was carried; the blocks say what else they rely on.

use super::{BIASED_ROUNDER, Isa, Kernel, LANES, MANTISSA, ONE_BITS, SQRT_HALF_BITS, Simd};
#[allow(
    clippy::wildcard_imports,
    reason = "intrinsics carry their own prefix; in tests the lint is silent"
)]
use std::arch::x86_64::*;

/// The proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

type V = [__m256; 2];

/// Runs `kernel` compiled for AVX2 and FMA; panics if the CPU lacks them.
#[inline]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    assert!(Isa::Avx2.is_supported(), "AVX2 was asked for, but this CPU lacks it");
    // SAFETY: the CPU has the instructions, as was just checked: those named there imply all others of this function.
    unsafe { run_with_avx2(kernel) }
}

#[target_feature(enable = "avx2,fma")]
fn run_with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

/// Methods that do the same to both registers, each by one function of AVX2.
macro_rules! on_both {
    ($($name:ident($($v:ident),+) = $function:path;)+) => {$(
        #[inline(always)]
        fn $name(self, $($v: V),+) -> V {
            // SAFETY: the token proves the instruction.
            let low = unsafe { $function($($v[0]),+) };
            // SAFETY: the token proves the instruction.
            let high = unsafe { $function($($v[1]),+) };
            [low, high]
        }
    )+};
}

impl Simd for Avx2 {
    type V = V;
    type Mask = V;

    on_both! {
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        sqrt(a) = _mm256_sqrt_ps;
        mul_add(a, b, c) = _mm256_fmadd_ps;
        min(a, b) = _mm256_min_ps;
        max(a, b) = _mm256_max_ps;
        abs(a) = abs;
        neg(a) = neg;
        less(a, b) = _mm256_cmp_ps::<_CMP_LT_OQ>;
        less_equal(a, b) = _mm256_cmp_ps::<_CMP_LE_OQ>;
        equal(a, b) = _mm256_cmp_ps::<_CMP_EQ_OQ>;
        select(mask, yes, no) = select;
        exp2i(n) = exp2i;
    }

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        // SAFETY: the token proves the instruction.
        [unsafe { _mm256_set1_ps(x) }; 2]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> V {
        let (eights, _) = from.as_chunks::<8>();
        // SAFETY: the token proves the instruction, which reads eight numbers of any alignment: this array of eight.
        let low = unsafe { _mm256_loadu_ps(eights[0].as_ptr()) };
        // SAFETY: as above.
        let high = unsafe { _mm256_loadu_ps(eights[1].as_ptr()) };
        [low, high]
    }

    #[inline(always)]
    fn store(self, v: V, to: &mut [f32; LANES]) {
        let (eights, _) = to.as_chunks_mut::<8>();
        // SAFETY: the token proves the instruction, which writes eight numbers of any alignment: this array of eight,
        // borrowed exclusively.
        unsafe { _mm256_storeu_ps(eights[0].as_mut_ptr(), v[0]) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(eights[1].as_mut_ptr(), v[1]) };
    }

    #[inline(always)]
    fn load_head(self, from: &[f32]) -> V {
        // SAFETY: the token proves the instructions.
        let [low, high] = unsafe { head(from.len()) };
        // SAFETY: the token proves the instruction, which reads the lanes that the mask names, of any alignment, and no
        // memory behind them: the first `from.len()`, for `head` has refused more than there are lanes.
        let low = unsafe { _mm256_maskload_ps(from.as_ptr(), low) };
        // SAFETY: as above, for the numbers from the ninth on. With 8 or fewer the mask is empty and nothing is read,
        // and the pointer, which may lie outside of the slice then, is one that may be computed (`wrapping_add`).
        let high = unsafe { _mm256_maskload_ps(from.as_ptr().wrapping_add(8), high) };
        [low, high]
    }

    #[inline(always)]
    fn store_head(self, v: V, to: &mut [f32]) {
        // SAFETY: the token proves the instructions.
        let [low, high] = unsafe { head(to.len()) };
        // SAFETY: as in `load_head`, written instead of read; the slice is borrowed exclusively.
        unsafe { _mm256_maskstore_ps(to.as_mut_ptr(), low, v[0]) };
        // SAFETY: as above, for the numbers from the ninth on.
        unsafe { _mm256_maskstore_ps(to.as_mut_ptr().wrapping_add(8), high, v[1]) };
    }

    #[inline(always)]
    fn split(self, x: V) -> (V, V) {
        // SAFETY: the token proves the instructions.
        let (m_low, e_low) = unsafe { split(x[0]) };
        // SAFETY: the token proves the instructions.
        let (m_high, e_high) = unsafe { split(x[1]) };
        ([m_low, m_high], [e_low, e_high])
    }

    #[inline(always)]
    fn sum(self, v: V) -> f32 {
        // SAFETY: the token proves the instructions.
        unsafe { sum(v) }
    }

    #[inline(always)]
    fn largest(self, v: V) -> f32 {
        // SAFETY: the token proves the instructions.
        unsafe { largest(v) }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn abs(a: __m256) -> __m256 {
    _mm256_andnot_ps(_mm256_set1_ps(-0.0), a)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn neg(a: __m256) -> __m256 {
    _mm256_xor_ps(_mm256_set1_ps(-0.0), a)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn select(mask: __m256, yes: __m256, no: __m256) -> __m256 {
    _mm256_blendv_ps(no, yes, mask)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn exp2i(n: __m256) -> __m256 {
    let biased = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(BIASED_ROUNDER)));
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn split(x: __m256) -> (__m256, __m256) {
    let integers = |bits: u32| _mm256_set1_epi32(bits.cast_signed());
    let shifted = _mm256_add_epi32(_mm256_castps_si256(x), integers(ONE_BITS - SQRT_HALF_BITS));
    let biased = _mm256_or_si256(_mm256_srli_epi32::<23>(shifted), integers((8_388_608.0_f32).to_bits()));
    let m = _mm256_add_epi32(_mm256_and_si256(shifted, integers(MANTISSA)), integers(SQRT_HALF_BITS));
    (_mm256_castsi256_ps(m), _mm256_sub_ps(_mm256_castsi256_ps(biased), _mm256_set1_ps(BIASED_ROUNDER)))
}

/// The sum by the tree of [`Simd::sum`].
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn sum(v: V) -> f32 {
    let eight = _mm256_add_ps(v[0], v[1]);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// The largest lane by the tree of [`Simd::sum`].
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn largest(v: V) -> f32 {
    let eight = _mm256_max_ps(v[0], v[1]);
    let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
}

/// The masks of the first `count` of 16 lanes; panics if there are more.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn head(count: usize) -> [__m256i; 2] {
    assert!(count <= LANES, "the head of a vector has {count} numbers, more than {LANES}");
    let lanes = _mm256_set1_epi32(count as i32);
    let low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let high = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
    let masks = [_mm256_cmpgt_epi32(lanes, low), _mm256_cmpgt_epi32(lanes, high)];
    debug_assert_eq!(
        masks.map(|mask| _mm256_movemask_ps(_mm256_castsi256_ps(mask))),
        [(1 << count.min(8)) - 1, (1 << count.saturating_sub(8)) - 1],
        "the masks of {count} lanes"
    );
    masks
}
