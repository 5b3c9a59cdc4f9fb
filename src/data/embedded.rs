//! The digits that ship inside the binary: 1,000 of the MNIST training set, 1,000 of its test set, 100 a
//! class.
//!
//! `assets/README.md` says where they come from, by which rule they were chosen and under which licence they
//! stand; `scripts/make_digits.py` makes them.

use super::idx::{self, Digits};

const TRAIN_IMAGES: &[u8] = include_bytes!("../../assets/digits-train-images.idx3-ubyte.gz");
const TRAIN_LABELS: &[u8] = include_bytes!("../../assets/digits-train-labels.idx1-ubyte.gz");
const TEST_IMAGES: &[u8] = include_bytes!("../../assets/digits-test-images.idx3-ubyte.gz");
const TEST_LABELS: &[u8] = include_bytes!("../../assets/digits-test-labels.idx1-ubyte.gz");

/// The 1,000 training digits.
pub fn train() -> Digits {
    unpack(TRAIN_IMAGES, TRAIN_LABELS)
}

/// The 1,000 test digits, by other writers than the training digits.
pub fn test() -> Digits {
    unpack(TEST_IMAGES, TEST_LABELS)
}

fn unpack(images: &[u8], labels: &[u8]) -> Digits {
    idx::read_pair(("the embedded images", images), ("the embedded labels", labels))
        .unwrap_or_else(|error| panic!("the digits inside the binary are damaged: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn checksum(parts: &[&[u8]]) -> String {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The checksums that `scripts/make_digits.py` printed, over the unpacked IDX files.
    #[test]
    fn the_digits_are_those_of_the_script() {
        let cases = [
            (
                train(),
                "0cb80b317a894d1e21285ccfba6ac8033c2757eefd4c1b99eb13d21ea341c53d",
                "9aeff5d440d03231878e43ab60aca7a8f94a82755ebc4c21030b818c5de2fe73",
            ),
            (
                test(),
                "08212e895b958225f959f761e33da53e35faa44cebc75e329dcaa7b477fbddc0",
                "a8455fc3bf4f53a12fd7fac83ac10b16241e37d6ab97bdfad5c2ebdffb543bea",
            ),
        ];
        for (digits, images, labels) in cases {
            let header: Vec<u8> = [2051_u32, 1000, 28, 28].into_iter().flat_map(u32::to_be_bytes).collect();
            assert_eq!(checksum(&[&header, &digits.images]), images);
            let header: Vec<u8> = [2049_u32, 1000].into_iter().flat_map(u32::to_be_bytes).collect();
            assert_eq!(checksum(&[&header, &digits.labels]), labels);
        }
    }

    #[test]
    fn there_are_a_hundred_of_each_class() {
        for digits in [train(), test()] {
            assert_eq!(digits.len(), 1000);
            for class in 0..10 {
                assert_eq!(
                    digits.labels.iter().filter(|&&label| label == class).count(),
                    100,
                    "class {class}"
                );
            }
        }
    }

    #[test]
    fn they_are_small() {
        let bytes =
            [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS].map(<[u8]>::len).iter().sum::<usize>();
        assert!(bytes < 500_000, "{bytes} bytes");
    }
}
