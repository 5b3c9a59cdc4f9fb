//! Numbers of 16 bits (IEEE 754 binary16), in which a wide decoder takes half the room.

/// The finite number nearest to x, the even one of two: its bits. Nothing where there is none.
pub(super) fn half(x: f32) -> Option<u16> {
    /// Units of the last place of the smallest numbers.
    const SMALLEST: f32 = 1.0 / 16_777_216.0; // 2^-24
    /// Added and taken away again, it rounds a small number to a whole one.
    const ROUNDER: f32 = 12_582_912.0; // 1.5 * 2^23
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let size = x.abs();
    if size < 6.103_515_6e-5 {
        // Below 2^-14 the steps are all alike.
        return Some(sign | ((size / SMALLEST + ROUNDER) - ROUNDER) as u16);
    }
    let bits = size.to_bits();
    // 13 bits go: half of the last one that stays is added, less one unit where that bit is 0.
    let rounded = bits + 0xfff + (bits >> 13 & 1);
    let half = (rounded >> 13).checked_sub(112 << 10)?;
    u16::try_from(half).ok().filter(|&half| half < 0x7c00).map(|half| sign | half)
}

/// The number of these bits.
pub(super) fn widened(half: u16) -> f32 {
    let (exponent, fraction) = (half >> 10 & 31, f32::from(half & 1023));
    let size = match exponent {
        0 => fraction / 16_777_216.0,
        _ => (1024.0 + fraction) * f32::from_bits(u32::from(exponent + 102) << 23),
    };
    if half >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_16_bits_is_its_own_and_those_between_go_to_the_nearer_or_the_even() {
        for bits in 0..0x7c00_u16 {
            let here = widened(bits);
            assert_eq!((half(here), half(-here)), (Some(bits), Some(bits | 0x8000)), "{bits:#x}");
            if bits + 1 == 0x7c00 {
                continue;
            }
            let next = widened(bits + 1);
            assert!(here < next, "{bits:#x}");
            let middle = (here + next) / 2.0;
            assert_eq!(half(middle), Some(bits + (bits & 1)), "{bits:#x}");
            assert_eq!(half(middle.next_down()), Some(bits), "{bits:#x}");
            assert_eq!(half(middle.next_up()), Some(bits + 1), "{bits:#x}");
        }
        // As the standard's examples: 1, the largest, the smallest normal, the smallest of all.
        let known = [(0x3c00, 1.0), (0x7bff, 65504.0), (0x0400, 6.103_515_6e-5), (0x0001, 5.960_464_5e-8)];
        known.into_iter().for_each(|(bits, x)| assert_eq!(widened(bits), x));
        for x in [65520.0, 1e30, f32::INFINITY, f32::NAN] {
            assert_eq!(half(x), None, "{x}");
        }
    }
}
