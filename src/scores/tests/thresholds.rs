//! Thresholds for a wanted sensitivity, against scikit-learn's curve and a loop.

use super::*;

#[test]
fn thresholds_are_those_of_scikit_learns_curve() {
    let mut rows = 0;
    for case in cases() {
        let (predictions, positive, what) = read(&case);
        for row in case["thresholds"].as_array().into_iter().flatten() {
            let [wanted, log_odds, sensitivity, specificity] = numbers(row)[..] else { panic!("{row}") };
            let threshold = predictions.threshold_for_sensitivity(positive, wanted).unwrap();
            assert_eq!(threshold, log_odds, "{what}: {wanted}");
            let found = predictions.at_threshold(positive, threshold);
            assert_eq!(found.threshold, log_odds::probability(threshold));
            assert!((found.sensitivity.unwrap().value - sensitivity).abs() < 1e-12, "{what}: {found:?}");
            assert!((found.specificity.unwrap().value - specificity).abs() < 1e-12, "{what}: {found:?}");
            rows += 1;
        }
    }
    assert_eq!(rows, 11 * 6);
}

#[test]
fn a_threshold_is_the_highest_that_finds_enough_of_those_held_back_by_a_loop() {
    let (truth, logits) = overlapping(90, 0.5);
    let (other_truth, other_logits) = overlapping(140, 0.2);
    let held_back = Predictions::new(&truth, &logits, 2).unwrap();
    let others = Predictions::new(&other_truth, &other_logits, 2).unwrap();
    for positive in [0, 1] {
        let odds = |logits: &[f32], image: usize| {
            f64::from(logits[2 * image + positive]) - f64::from(logits[2 * image + 1 - positive])
        };
        let is = |truth: &[u32], image: usize| truth[image] as usize == positive;
        let there = (0..90).filter(|&image| is(&truth, image)).count();
        let found = |from: f64| (0..90).filter(|&i| is(&truth, i) && odds(&logits, i) >= from).count();
        for percent in 1..=100 {
            let enough = |from: &f64| 100 * found(*from) >= percent * there;
            let expected = (0..90).map(|image| odds(&logits, image)).filter(enough).fold(f64::MIN, f64::max);
            let threshold = held_back.threshold_for_sensitivity(positive as u32, percent as f64 / 100.0);
            assert_eq!(threshold, Some(expected), "{percent} % of {positive}");
            let [mut taken, mut there] = [[0; 2]; 2];
            for image in 0..140 {
                let own = usize::from(is(&other_truth, image));
                there[own] += 1;
                taken[own] += usize::from(odds(&other_logits, image) >= expected);
            }
            let point = others.at_threshold(positive as u32, expected);
            assert_eq!(point.sensitivity, Share::new(taken[1], there[1]));
            assert_eq!(point.specificity, Share::new(there[0] - taken[0], there[0]));
            assert_eq!(point.threshold_log_odds, expected);
        }
    }
    let none = Predictions::new(&[0, 0], &[1.0, 0.0, 0.5, 2.0], 2).unwrap();
    assert_eq!(none.threshold_for_sensitivity(1, 0.95), None);
    let point = none.at_threshold(1, 0.0);
    assert_eq!((point.sensitivity, point.specificity), (None, Share::new(1, 2)));
    let words = "from a probability of 0.500 (log-odds 0.000) on: sensitivity -; specificity 50.0 % (9.5 to 90.5 %), 1 of 2";
    assert_eq!(point.to_string(), words);
}

#[test]
#[should_panic(expected = "a threshold of class 0 of 3")]
fn three_classes_have_no_threshold() {
    Predictions::new(&[0], &[3.0, 2.0, 1.0], 3).unwrap().at_threshold(0, 0.0);
}
