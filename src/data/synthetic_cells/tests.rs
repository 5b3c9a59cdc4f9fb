//! The cells are the same everywhere, differ from patient to patient, and have their labels.

use super::*;
use crate::store::digest::sha256_hex;

const SMALL: SyntheticCells = SyntheticCells { patients: 3, cells: 20, side: 32, channels: 3, seed: 1 };

#[test]
fn cells_are_a_function_of_seed_patient_and_number() {
    let all = SMALL.build().unwrap();
    assert_eq!(all.domain_names, ["P01", "P02", "P03"]);
    assert_eq!(all.class_names, ["uninfected", "parasitised"]);
    assert_eq!(all.counts().iter().map(|counts| counts.all()).collect::<Vec<_>>(), [20; 3]);
    for threads in [1, 3] {
        assert!(parallel::with_threads(threads, || SMALL.build()).unwrap() == all);
    }
    let fewer = SyntheticCells { patients: 2, cells: 5, ..SMALL }.build().unwrap();
    for (image, of_all) in [(0, 0), (4, 4), (5, 20), (9, 24)] {
        assert_eq!(fewer.images.image(image), all.images.image(of_all));
        assert_eq!(fewer.images.classes[image], all.images.classes[of_all]);
    }
    let other = SyntheticCells { seed: 2, ..SMALL }.build().unwrap();
    assert!(other.images.pixels != all.images.pixels && other.images.classes != all.images.classes);
    // On every machine: a change of these bytes changes what runs were trained on.
    assert_eq!(
        sha256_hex(&all.images.pixels),
        "55aa70a492bad7f83ebd7bb2ab32c823aaddc5bb92e7a3fa7740b0112dcb4dde"
    );
}

#[test]
fn grey_cells_are_the_luma_of_coloured_ones() {
    for side in [16, 64, 128] {
        let colour = SyntheticCells { side, cells: 2, ..SMALL }.build().unwrap();
        let grey = SyntheticCells { side, cells: 2, channels: 1, ..SMALL }.build().unwrap();
        let expected: Vec<u8> =
            colour.images.pixels.as_chunks().0.iter().map(|&[r, g, b]| luma(r, g, b)).collect();
        assert!(grey.images.pixels == expected);
        assert_eq!((grey.images.height, grey.images.width, grey.images.len()), (side, side, 6));
    }
}

/// The mean of each channel of an image.
fn means(image: &[u8]) -> [f64; 3] {
    let pixels = image.as_chunks::<3>().0;
    std::array::from_fn(|channel| {
        pixels.iter().map(|pixel| f64::from(pixel[channel])).sum::<f64>() / pixels.len() as f64
    })
}

/// How well the best threshold on one number, found on all patients together, tells the classes apart.
fn best_threshold(numbers: &[f64], classes: &[u32]) -> f64 {
    let mut all: Vec<(f64, u32)> = numbers.iter().copied().zip(classes.iter().copied()).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ill = classes.iter().filter(|&&class| class == 1).count();
    let mut right = ill;
    let mut best = right.max(all.len() - right);
    for (_, class) in &all {
        right = if *class == 1 { right - 1 } else { right + 1 };
        best = best.max(right).max(all.len() - right);
    }
    best as f64 / all.len() as f64
}

/// Neither trivial nor impossible: over all patients no mean colour tells the classes apart; within a patient the amount
/// of blue-violet says more than chance; and the mean colour tells the patients apart better than the classes.
#[test]
fn stain_differs_more_between_patients_than_between_classes() {
    let cells = SyntheticCells { patients: 8, cells: 150, side: 32, channels: 3, seed: 4 }.build().unwrap();
    let images = &cells.images;
    let colours: Vec<[f64; 3]> = (0..images.len()).map(|i| means(images.image(i))).collect();
    for channel in 0..3 {
        let mine: Vec<f64> = colours.iter().map(|colour| colour[channel]).collect();
        let over_all = best_threshold(&mine, &images.classes);
        println!("channel {channel}: {over_all:.3} over all patients");
        assert!(over_all < 0.66, "channel {channel}: {over_all}");
    }
    let mut within = Vec::new();
    for (patient, counts) in (0..).zip(cells.counts()) {
        assert!(
            counts.of_class.iter().all(|&cells| (150 * 25 / 100..150 * 75 / 100).contains(&cells)),
            "{counts:?}"
        );
        let mine: Vec<usize> = (0..images.len()).filter(|&i| images.domains[i] == patient).collect();
        // How dark the darkest hundredth is in red, which eosin lets through.
        let darkest = |&i: &usize| {
            let mut reds: Vec<u8> = images.image(i).as_chunks::<3>().0.iter().map(|&[red, ..]| red).collect();
            reds.sort_unstable();
            f64::from(reds[10])
        };
        let classes: Vec<u32> = mine.iter().map(|&i| images.classes[i]).collect();
        within.push(best_threshold(&mine.iter().map(darkest).collect::<Vec<_>>(), &classes));
    }
    println!("darkest red within each patient: {within:.3?}");
    let mean = within.iter().sum::<f64>() / within.len() as f64;
    assert!((0.70..0.97).contains(&mean), "{mean}");

    let nearest_is_of_the_same = |i: usize| {
        let apart = |j: usize| (0..3).map(|c| (colours[i][c] - colours[j][c]).powi(2)).sum::<f64>();
        let others = (0..images.len()).filter(|&j| j != i);
        let nearest = others.min_by(|&a, &b| apart(a).total_cmp(&apart(b))).unwrap();
        [images.domains[i] == images.domains[nearest], images.classes[i] == images.classes[nearest]]
    };
    let found: Vec<[bool; 2]> = (0..images.len()).map(nearest_is_of_the_same).collect();
    let share = |which: usize| found.iter().filter(|same| same[which]).count() as f64 / found.len() as f64;
    println!(
        "the nearest mean colour has the same patient in {:.3}, the same class in {:.3}",
        share(0),
        share(1)
    );
    assert!(share(0) > 0.9 && share(1) < 0.85, "{} {}", share(0), share(1));
}

#[test]
fn impossible_numbers_are_refused() {
    for (cells, expected) in [
        (SyntheticCells { patients: 0, ..SMALL }, "cells of 0 patients, expected 1 to 99"),
        (SyntheticCells { patients: 100, ..SMALL }, "cells of 100 patients"),
        (SyntheticCells { cells: 0, ..SMALL }, "0 cells of each patient"),
        (SyntheticCells { side: 0, ..SMALL }, "cells of 0x0 pixels"),
        (SyntheticCells { side: 40, ..SMALL }, "cells of 40x40 pixels, expected a multiple of 16 up to 128"),
        (SyntheticCells { side: 144, ..SMALL }, "cells of 144x144 pixels"),
        (SyntheticCells { channels: 4, ..SMALL }, "cells of 4 channels, expected 1 or 3"),
    ] {
        let error = cells.build().unwrap_err();
        assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{error}");
    }
}
