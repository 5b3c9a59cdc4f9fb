//! What is left of pictures of 16 bits, of which the upper 8 are kept.
//!
//! Cameras and scanners count to 4095 or 16383 and store that in 16 bits: without the lower 8 it is 16 or 64 levels, nearly
//! black. Nothing in a file says so, but its values do.

/// A span of values that leaves at most half of the 256 levels.
const NARROW: u16 = 1 << 15;

/// A sentence for the user if pictures of 16 bits have values that become few levels. For each picture: its smallest and its
/// largest value if it is of 16 bits.
pub fn notice(ranges: impl IntoIterator<Item = Option<[u16; 2]>>) -> Option<String> {
    let (mut pictures, mut narrow, mut all) = (0, 0, [u16::MAX, 0]);
    for range in ranges {
        pictures += 1;
        if let Some([low, high]) = range.filter(|[low, high]| high - low < NARROW) {
            narrow += 1;
            all = [all[0].min(low), all[1].max(high)];
        }
    }
    if narrow == 0 {
        return None;
    }
    let [low, high] = all;
    let (darkest, lightest) = (low >> 8, high >> 8);
    let look = match (darkest, lightest) {
        (_, ..64) => "nearly black",
        (192.., _) => "nearly white",
        _ => "with little contrast",
    };
    Some(format!(
        "16-bit values between {low} and {high} of 65535 in {narrow} of {pictures} pictures: only the upper 8 bits are kept, so \
         they become levels {darkest} to {lightest} of 255, {look}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_where_little_is_left() {
        let twelve = notice([Some([0, 4095]), None, Some([17, 3000])]).unwrap();
        assert_eq!(
            twelve,
            "16-bit values between 0 and 4095 of 65535 in 2 of 3 pictures: only the upper 8 bits are kept, so they become levels \
             0 to 15 of 255, nearly black"
        );
        let cases = [
            (
                Some([0, 16383]),
                "16-bit values between 0 and 16383 of 65535 in 1 of 1 pictures: ",
                "0 to 63 of 255, nearly black",
            ),
            (Some([0, 32767]), "between 0 and 32767 of", "0 to 127 of 255, with little contrast"),
            (Some([30000, 34000]), "between 30000 and 34000 of", "117 to 132 of 255, with little contrast"),
            (Some([60000, 65535]), "between 60000 and 65535 of", "234 to 255 of 255, nearly white"),
            (Some([0, 0]), "between 0 and 0 of", "0 to 0 of 255, nearly black"),
        ];
        for (range, begin, end) in cases {
            let found = notice([range]).unwrap();
            assert!(found.contains(begin) && found.ends_with(end), "{found}");
        }
        // The whole range, and pictures of 8 bits.
        assert_eq!(notice([Some([0, 65535]), Some([100, 32868]), None]), None);
        assert_eq!(notice([]), None);
    }
}
