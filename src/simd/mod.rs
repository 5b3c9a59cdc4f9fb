//! Sixteen lanes of f32 on every instruction set, with the same bits on each.
//!
//! [`Simd`] is a handful of operations on a vector of 16 numbers: one AVX-512 register, two AVX2 registers, or the
//! portable lanes of the crate `wide`. Kernels are written once, generic over it, and handed to [`Isa::run`], which
//! compiles them for each instruction set and picks one at run time.
//!
//! Why the bits agree. Add, subtract, multiply, divide and square root are exactly rounded by IEEE 754 wherever they
//! run. [`Simd::mul_add`] is always fused (one rounding); where the CPU has no such instruction it is computed
//! exactly another way. [`Simd::sum`] has one fixed tree. `min` and `max` are compare-and-select, which is what x86
//! does and IEEE's minimum is not. Everything else (exp, ln, tanh ...: [`math`]) is built from these. So a test of a
//! kernel on two instruction sets is `assert_eq!`, not a tolerance. (One thing differs: which NaN a NaN is. IEEE 754
//! leaves its payload open, and compilers swap factors.)
//!
//! A value of a type that implements `Simd` proves that the CPU has the instructions: it can only be made by
//! detection, inside [`Isa::run`]. That is why the methods are safe to call.

#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the one home of intrinsics"))]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod math;
mod portable;
pub mod slice;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// The number of lanes of a vector.
pub const LANES: usize = 16;

/// 2^23 + 127: added to an integral n in -126..=127 it leaves n's biased exponent in the lowest bits of the sum.
const BIASED_ROUNDER: f32 = 8_388_735.0;
/// The bits of 1.
const ONE_BITS: u32 = 0x3f80_0000;
/// The bits of sqrt(1/2) in f32.
const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
/// The bits of the mantissa.
const MANTISSA: u32 = 0x007f_ffff;

/// Arithmetic on 16 f32 lanes.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen numbers.
    type V: Copy;
    /// Sixteen truth values.
    type Mask: Copy;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// Loads 16 numbers.
    fn load(self, from: &[f32; LANES]) -> Self::V;
    /// Stores 16 numbers.
    fn store(self, v: Self::V, to: &mut [f32; LANES]);
    /// a + b
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// a - b
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// a * b
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a / b
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// a * b + c with one rounding.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a < b ? a : b, so b if either is NaN, and if both are zeros: a NaN in b passes, one in a does not.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// a > b ? a : b, so b if either is NaN, and if both are zeros: a NaN in b passes, one in a does not. `max(0, x)` is a
    /// rectifier that NaN goes through, for nothing; where either may be NaN, [`Simd::maximum`] is asked.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The absolute value: clears the sign bit.
    fn abs(self, a: Self::V) -> Self::V;
    /// The negative: flips the sign bit.
    fn neg(self, a: Self::V) -> Self::V;
    /// a < b, false if either is NaN.
    fn less(self, a: Self::V, b: Self::V) -> Self::Mask;
    /// a <= b, false if either is NaN.
    fn less_equal(self, a: Self::V, b: Self::V) -> Self::Mask;
    /// a == b, false if either is NaN.
    fn equal(self, a: Self::V, b: Self::V) -> Self::Mask;
    /// mask ? yes : no, lane by lane.
    fn select(self, mask: Self::Mask, yes: Self::V, no: Self::V) -> Self::V;
    /// 2^n for an integral n in -126..=127, made from exponent bits.
    fn exp2i(self, n: Self::V) -> Self::V;
    /// Splits normal positive numbers: x = m * 2^e with m in [sqrt(1/2), sqrt(2)); returns (m, e).
    fn split(self, x: Self::V) -> (Self::V, Self::V);
    /// The sum of the lanes by one fixed tree: lanes i and i+8, then i and i+4, i and i+2, i and i+1.
    fn sum(self, v: Self::V) -> f32;
    /// The largest lane by the same tree (`max(i, i + 8)`, ...).
    fn largest(self, v: Self::V) -> f32;

    /// The larger of two; NaN if either is.
    #[inline(always)]
    fn maximum(self, a: Self::V, b: Self::V) -> Self::V {
        self.select(self.equal(a, a), self.max(a, b), a)
    }

    /// Loads the up to 16 numbers of `from`; the lanes behind them are 0.
    #[inline(always)]
    fn load_head(self, from: &[f32]) -> Self::V {
        let mut lanes = [0.0; LANES];
        lanes[..from.len()].copy_from_slice(from);
        self.load(&lanes)
    }

    /// Stores the first `to.len()` lanes, at most 16.
    #[inline(always)]
    fn store_head(self, v: Self::V, to: &mut [f32]) {
        let mut lanes = [0.0; LANES];
        self.store(v, &mut lanes);
        to.copy_from_slice(&lanes[..to.len()]);
    }
}

/// Work to be done with vectors: a struct that holds its arguments, with one generic method.
///
/// `run` must be `#[inline(always)]`, and so must everything that it calls with the token: only code that ends up
/// inside [`Isa::run`]'s functions is compiled for the instruction set.
pub trait Kernel {
    /// What the kernel returns.
    type Output;
    /// Does the work.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Isa {
    /// Plain Rust on the lanes of `wide`; runs everywhere.
    Portable = 0,
    /// AVX2 and FMA (x86-64 since 2013).
    Avx2 = 1,
    /// AVX-512 F, BW, DQ and VL.
    Avx512 = 2,
}

/// What `Isa::current` returns; 255 while nobody has asked.
static CURRENT: AtomicU8 = AtomicU8::new(u8::MAX);

impl Isa {
    /// Every instruction set that this CPU has, the portable one first, the best last.
    pub fn supported() -> &'static [Isa] {
        static SUPPORTED: OnceLock<Vec<Isa>> = OnceLock::new();
        SUPPORTED.get_or_init(|| {
            [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| isa.is_detected()).collect()
        })
    }

    /// Cheap, for it is asked before every kernel.
    #[inline]
    fn is_supported(self) -> bool {
        Self::supported().contains(&self)
    }

    #[cfg(target_arch = "x86_64")]
    fn is_detected(self) -> bool {
        match self {
            Isa::Portable => true,
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    // Rust counts it to AVX-512 F.
                    && is_x86_feature_detected!("f16c")
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_detected(self) -> bool {
        self == Isa::Portable
    }

    /// The name used by `DIVA_ISA` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Reads a value of `DIVA_ISA`.
    ///
    /// # Errors
    /// If the name is unknown or the CPU lacks the instruction set.
    pub fn named(name: &str) -> Result<Isa> {
        let available = || Self::supported().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ");
        match [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().find(|isa| isa.name() == name) {
            Some(isa) if isa.is_supported() => Ok(isa),
            Some(_) => {
                Err(Error::request(format!("DIVA_ISA={name}: this CPU lacks it; it has {}", available())))
            }
            None => {
                Err(Error::request(format!("DIVA_ISA={name} is not known; this CPU has {}", available())))
            }
        }
    }

    /// The instruction set in use: what [`Isa::choose`] set last, else the best that the CPU has.
    #[inline]
    pub fn current() -> Isa {
        match CURRENT.load(Ordering::Relaxed) {
            0 => Isa::Portable,
            1 => Isa::Avx2,
            2 => Isa::Avx512,
            _ => {
                let best = Self::supported().last().copied().unwrap_or(Isa::Portable);
                CURRENT.store(best as u8, Ordering::Relaxed);
                best
            }
        }
    }

    /// Uses this instruction set from now on, in the whole process.
    ///
    /// # Panics
    /// If the CPU lacks it: see [`Isa::supported`].
    pub fn choose(self) {
        assert!(self.is_supported(), "{} was chosen, but this CPU lacks it", self.name());
        CURRENT.store(self as u8, Ordering::Relaxed);
    }

    /// Runs `kernel`, compiled for this instruction set.
    ///
    /// # Panics
    /// If the CPU lacks it: see [`Isa::supported`].
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Isa::Portable => kernel.run(portable::Portable),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::run(kernel),
            #[cfg(not(target_arch = "x86_64"))]
            other => panic!("{} was asked for, but this CPU lacks it", other.name()),
        }
    }
}

/// Runs `kernel` on the instruction set in use.
#[inline]
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    Isa::current().run(kernel)
}
