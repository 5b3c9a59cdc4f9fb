//! From dyes to the bytes that a camera gives: absorption, uneven light, blur, pixels, noise.

use super::Draws;
use super::canvas::Canvas;
use super::patient::Patient;
use crate::data::pictures::resize::resize;
use crate::rng::Stream;
use crate::simd::{self, Kernel, Simd, math, slice};

/// The rows and columns on which a cell is painted that is to have `side`: enough for a parasite.
pub(super) fn painted_side(side: usize) -> usize {
    side.max(64)
}

/// The canvas as `side` x `side` pixels of red, green and blue.
pub(super) fn exposed(
    canvas: &Canvas,
    patient: &Patient,
    side: usize,
    draws: &mut Draws,
    noise: Stream,
) -> Vec<u8> {
    let painted = canvas.side;
    let mut light: Vec<f32> =
        canvas.dyes.iter().flat_map(|dyes| densities(dyes, &patient.absorption)).collect();
    simd::run(Transmitted(&mut light));

    let [x, y] = draws.in_disc().map(|tilt| 0.05 * tilt);
    for (place, pixel) in light.chunks_exact_mut(3).enumerate() {
        let at = |index: usize| (2 * index + 1) as f64 / painted as f64 - 1.0;
        let uneven = (1.0 + x * at(place % painted) + y * at(place / painted)) as f32;
        pixel.iter_mut().zip(patient.light).for_each(|(pixel, light)| *pixel *= light * uneven);
    }
    let deviation = patient.blur * draws.between(0.8, 1.2) * painted as f64 / 64.0;
    blur(&mut light, painted, deviation * deviation);

    let bytes: Vec<u8> = light.into_iter().map(level).collect();
    let mut pixels = vec![0; side * side * 3];
    resize(&bytes, [painted, painted], 3, [side, side], &mut pixels);
    let mut noises = vec![0.0; pixels.len()];
    noise.fill_normal(0, &mut noises);
    for (pixel, noise) in pixels.iter_mut().zip(noises) {
        *pixel = level(f32::from(*pixel) + patient.noise as f32 * noise);
    }
    pixels
}

/// How much of red, green and blue the dyes absorb, as powers of e.
fn densities(dyes: &[f32; 3], absorption: &[[f32; 3]; 3]) -> [f32; 3] {
    let mut sums = [0.0; 3];
    for (amount, dye) in dyes.iter().zip(absorption) {
        sums.iter_mut().zip(dye).for_each(|(sum, part)| *sum += amount * part);
    }
    sums
}

/// The nearest level.
fn level(light: f32) -> u8 {
    (light + 0.5).clamp(0.0, 255.0) as u8
}

/// x := e^-x
struct Transmitted<'a>(&'a mut [f32]);

impl Kernel for Transmitted<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        slice::map_in_place(
            s,
            self.0,
            #[inline(always)]
            |s, x| math::exp(s, s.neg(x)),
        );
    }
}

/// Blurs `side` x `side` pixels of three values by a bell of this variance: as often as it takes, a pixel gives the share
/// w <= 1/4 to each neighbour in its row, then in its column, which adds the variance 2w in both. Beyond the edge the
/// image goes on as it ends.
fn blur(light: &mut [f32], side: usize, variance: f64) {
    let passes = (2.0 * variance).ceil().max(1.0);
    let share = (0.5 * variance / passes) as f32;
    let mut before = light.to_vec();
    for _ in 0..passes as usize {
        for step in [3, 3 * side] {
            before.copy_from_slice(light);
            for (place, value) in light.iter_mut().enumerate() {
                let along = place / step % side;
                let last = before[if along == 0 { place } else { place - step }];
                let next = before[if along == side - 1 { place } else { place + step }];
                *value = (1.0 - 2.0 * share) * before[place] + share * (last + next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright line among dark ones keeps its light and gets the variance.
    #[test]
    fn a_blur_has_its_variance() {
        let side = 33;
        for variance in [0.1, 0.49, 0.5, 1.1, 5.0] {
            for vertical in [false, true] {
                let of = |place: usize| if vertical { place / 3 % side } else { place / 3 / side };
                let mut light: Vec<f32> =
                    (0..side * side * 3).map(|i| if of(i) == 16 { 100.0 } else { 0.0 }).collect();
                blur(&mut light, side, variance);
                let mut line = vec![0.0; side];
                light.iter().enumerate().for_each(|(i, &value)| line[of(i)] += f64::from(value));
                let sum: f64 = line.iter().sum();
                let spread: f64 =
                    line.iter().zip(-16_i32..).map(|(part, at)| part * f64::from(at * at)).sum();
                assert!((sum / (3 * side * 100) as f64 - 1.0).abs() < 1e-5, "{sum}");
                assert!((spread / sum - variance).abs() < 1e-4, "{} {variance}", spread / sum);
            }
        }
    }

    #[test]
    fn dyes_absorb_as_beer_and_lambert_have_it() {
        let mut light = vec![0.0, 0.5, 1.0, 2.0];
        simd::run(Transmitted(&mut light));
        for (found, density) in light.into_iter().zip([0.0_f64, 0.5, 1.0, 2.0]) {
            assert!((f64::from(found) - (-density).exp()).abs() < 1e-7);
        }
        let sums = densities(&[1.0, 2.0, 0.0], &[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [9.0; 3]]);
        assert_eq!(sums, [21.0, 42.0, 63.0]);
    }
}
