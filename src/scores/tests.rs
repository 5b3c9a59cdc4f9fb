use super::*;
use crate::parallel::with_threads;
use crate::rng::Stream;
use serde_json::Value;

const NONE: Bootstrap = Bootstrap { resamples: 0, seed: 0 };

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|number| number as f32).collect()
}

#[track_caller]
fn near(found: Option<f64>, expected: &Value, what: &str) {
    let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() < 1e-12, "{what}: {found}, scikit-learn says {expected}");
}

#[test]
fn every_score_is_scikit_learns() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/fixtures/scores/cases.json")).unwrap();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let truth: Vec<u32> = numbers(&case["truth"]).into_iter().map(|class| class as u32).collect();
        let what = format!("{} images of {classes} classes", truth.len());
        let predictions = Predictions::new(&truth, &floats(&case["logits"]), classes).unwrap();
        let scores = predictions.scores(case["positive"].as_u64().unwrap() as u32, NONE);
        assert_eq!(scores.images, truth.len());
        near(scores.accuracy, &case["accuracy"], &what);
        near(scores.balanced_accuracy, &case["balanced_accuracy"], &what);
        near(scores.precision, &case["precision"], &what);
        near(scores.recall, &case["recall"], &what);
        near(scores.f1, &case["f1"], &what);
        near(scores.roc_auc.map(|auc| auc.value), &case["roc_auc"], &what);
        assert_eq!(serde_json::to_value(&scores.confusion).unwrap(), case["confusion"], "{what}");

        assert_eq!(scores.roc_curve.is_some(), classes == 2, "{what}");
        if let Some(curve) = scores.roc_curve {
            let expected = case["roc_curve"].as_array().unwrap();
            assert_eq!(curve.len(), expected.len(), "{what}");
            for (point, expected) in curve.iter().zip(expected) {
                near(Some(point.false_positive_rate), &expected[0], &what);
                near(Some(point.true_positive_rate), &expected[1], &what);
                assert_eq!(point.threshold_log_odds, expected[2].as_f64(), "{what}");
                assert_eq!(point.threshold, expected[2].as_f64().map(log_odds::probability), "{what}");
            }
        }

        let Calibration { bins, expected_error } = scores.calibration.unwrap();
        near(Some(expected_error), &case["expected_error"], &what);
        let sizes: Vec<f64> = bins.iter().map(|bin| bin.images as f64).collect();
        assert_eq!(sizes, numbers(&case["bins"]), "{what}");
        for (field, of_bin) in [
            ("frequency", (|bin| bin.frequency) as fn(&Bin) -> Option<f64>),
            ("mean_probability", |bin| bin.mean_probability),
        ] {
            let found: Vec<f64> = bins.iter().filter_map(of_bin).collect();
            let expected = numbers(&case[field]);
            assert_eq!(found.len(), expected.len(), "{what}: {field}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{what}: {field} {found}, {expected}");
            }
        }
    }
}

/// 80 images whose probabilities are all 1 in f32: their area is 0.5 by these.
#[test]
fn images_are_ranked_by_what_f32_probabilities_do_not_hold() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/fixtures/scores/cases.json")).unwrap();
    let confident =
        cases.iter().filter(|case| case["roc_auc_of_f32_probabilities"] == 0.5).collect::<Vec<_>>();
    let [case] = confident[..] else { panic!("{} such cases", confident.len()) };
    let truth: Vec<u32> = numbers(&case["truth"]).into_iter().map(|class| class as u32).collect();
    let logits = floats(&case["logits"]);
    assert_eq!(truth.len(), 80);
    let odds = log_odds::log_odds(&logits, 2);
    assert!(odds.iter().skip(1).step_by(2).all(|&odds| log_odds::probability(odds) as f32 == 1.0));
    let area = |logits: &[f32]| {
        let scores =
            Predictions::new(&truth, logits, 2).unwrap().scores(1, Bootstrap { resamples: 50, seed: 0 });
        scores.roc_auc.unwrap()
    };
    let plain = area(&logits);
    assert_eq!(format!("{plain:.3}")[..5], *"0.589");
    for power in [-110, -20, 1, 60, 110] {
        let scaled: Vec<f32> = logits.iter().map(|x| x * f64::from(power).exp2() as f32).collect();
        assert_eq!(area(&scaled), plain, "2^{power}");
    }
}

/// Two classes that overlap: class 1 with this share, logits with ties.
fn overlapping(images: usize, share: f32) -> (Vec<u32>, Vec<f32>) {
    let stream = Stream::new(41, "scores", &[]);
    let mut noise = vec![0.0; images];
    Stream::new(42, "scores", &[]).fill_normal(0, &mut noise);
    let truth: Vec<u32> = (0..images as u64).map(|i| u32::from(stream.uniform(i) < share)).collect();
    let of_one =
        truth.iter().zip(&noise).map(|(&class, noise)| ((class as f32 + noise - 0.6) * 10.0).round() / 16.0);
    let logits = of_one.flat_map(|x| [0.25, 0.25 + x]).collect();
    (truth, logits)
}

/// The area pair by pair.
fn pairwise(truth: &[u32], of_one: &[f32], images: &[usize]) -> Option<f64> {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for &i in images.iter().filter(|&&i| truth[i] == 1) {
        for &j in images.iter().filter(|&&j| truth[j] == 0) {
            pairs += 1.0;
            wins += if of_one[i] > of_one[j] {
                1.0
            } else if of_one[i] == of_one[j] {
                0.5
            } else {
                0.0
            };
        }
    }
    (pairs > 0.0).then(|| wins / pairs)
}

#[test]
fn the_interval_is_that_of_areas_counted_pair_by_pair() {
    // Of twelve images one is of class 1: a third of all draws lack it.
    for (images, share, resamples) in [(12, 0.1, 300), (90, 0.6, 200)] {
        let (mut truth, logits) = overlapping(images, share);
        truth[0] = 1;
        let of_one: Vec<f32> = logits.iter().skip(1).step_by(2).copied().collect();
        let predictions = Predictions::new(&truth, &logits, 2).unwrap();
        let auc = predictions.scores(1, Bootstrap { resamples, seed: 9 }).roc_auc.unwrap();
        let mut areas: Vec<f64> = (0..resamples as u64)
            .filter_map(|draw| {
                let stream = Stream::new(9, "scores/bootstrap", &[draw]);
                let drawn: Vec<usize> =
                    (0..images as u64).map(|i| stream.below(i, images as u64) as usize).collect();
                pairwise(&truth, &of_one, &drawn)
            })
            .collect();
        areas.sort_by(f64::total_cmp);
        assert_eq!((auc.resamples, auc.skipped), (resamples, resamples - areas.len()));
        assert_eq!(auc.skipped > 0, images == 12, "{auc:?}");
        let all: Vec<usize> = (0..images).collect();
        assert!((auc.value - pairwise(&truth, &of_one, &all).unwrap()).abs() < 1e-12);
        for (end, q) in auc.interval.unwrap().into_iter().zip([0.025, 0.975]) {
            let place = q * (areas.len() - 1) as f64;
            let (below, above) = (areas[place as usize], areas[place.ceil() as usize]);
            assert!((end - (below + (above - below) * place.fract())).abs() < 1e-12, "{auc:?}");
        }
    }
}

/// Against the standard error of DeLong, DeLong and Clarke-Pearson (1988).
#[test]
fn the_interval_is_as_wide_as_the_standard_error_says() {
    let (truth, logits) = overlapping(800, 0.7);
    let of_one: Vec<f32> = logits.iter().skip(1).step_by(2).copied().collect();
    let (ones, zeros): (Vec<usize>, Vec<usize>) = (0..800).partition(|&i| truth[i] == 1);
    let placements = |own: &[usize], other: &[usize]| -> f64 {
        let values: Vec<f64> = own
            .iter()
            .map(|&i| {
                let with: Vec<usize> = other.iter().copied().chain([i]).collect();
                pairwise(&truth, &of_one, &with).unwrap()
            })
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        squares / (values.len() - 1) as f64 / values.len() as f64
    };
    let error = (placements(&ones, &zeros) + placements(&zeros, &ones)).sqrt();
    let predictions = Predictions::new(&truth, &logits, 2).unwrap();
    let auc = predictions.scores(1, Bootstrap::default()).roc_auc.unwrap();
    let [low, high] = auc.interval.unwrap();
    assert!(low < auc.value && auc.value < high, "{auc:?}");
    let width = (high - low) / (2.0 * 1.96 * error);
    assert!((width - 1.0).abs() < 0.12, "{auc:?}: {width} of 3.92 standard errors of {error}");
}

#[test]
fn the_interval_does_not_depend_on_threads_and_follows_the_seed() {
    let (truth, logits) = overlapping(200, 0.5);
    let predictions = Predictions::new(&truth, &logits, 2).unwrap();
    let scores =
        |threads, seed| with_threads(threads, || predictions.scores(1, Bootstrap { resamples: 100, seed }));
    assert_eq!(scores(1, 0), scores(3, 0));
    assert_ne!(scores(1, 0).roc_auc.unwrap().interval, scores(1, 1).roc_auc.unwrap().interval);
}

/// The next number of f32 decides, and of equal logits the first; by hand.
#[test]
fn the_largest_logit_is_predicted_however_near_the_others_are() {
    let next = 30.0_f32.next_up();
    let predictions = Predictions::new(&[1, 1, 0], &[30.0, next, 30.0, 30.0, 1.0, 0.0], 2).unwrap();
    assert_eq!(predictions.confusion(), [[1, 0], [1, 1]]);
}

#[test]
fn a_summary_names_its_class_and_reads_back() {
    let (truth, logits) = overlapping(60, 0.4);
    let scores =
        Predictions::new(&truth, &logits, 2).unwrap().scores(1, Bootstrap { resamples: 20, seed: 0 });
    let summary = Summary::of(&scores, "ill");
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    let (kept, all): (Value, Value) =
        (serde_json::from_str(&text).unwrap(), serde_json::to_value(&scores).unwrap());
    let mut kept = kept.as_object().unwrap().clone();
    assert_eq!(kept.remove("positive_class"), Some("ill".into()));
    assert_eq!(kept.len(), 7);
    assert!(kept.iter().all(|(name, value)| all[name] == *value), "{text}");
}

#[test]
#[should_panic(expected = "a summary of 3 classes, not of two")]
fn three_classes_have_no_summary() {
    let thirds = Predictions::new(&[0], &[3.0, 2.0, 1.0], 3).unwrap();
    Summary::of(&thirds.scores(0, NONE), "ill");
}

#[test]
fn what_is_undefined_is_nothing_and_never_a_number() {
    let score = |truth: &[u32], rows: &[[f32; 2]]| {
        Predictions::new(truth, rows.as_flattened(), 2)
            .unwrap()
            .scores(1, Bootstrap { resamples: 50, seed: 0 })
    };
    let nothing = score(&[], &[]);
    let expected = Scores {
        images: 0,
        accuracy: None,
        balanced_accuracy: None,
        precision: None,
        recall: None,
        f1: None,
        roc_auc: None,
        confusion: vec![vec![0, 0], vec![0, 0]],
        roc_curve: None,
        calibration: None,
    };
    assert_eq!(nothing, expected);

    // The positive class is absent, and predicted once.
    let absent = score(&[0, 0], &[[2.0, 0.0], [-1.0, 1.0]]);
    assert_eq!((absent.accuracy, absent.balanced_accuracy), (Some(0.5), None));
    assert_eq!((absent.precision, absent.recall, absent.f1), (Some(0.0), None, Some(0.0)));
    assert_eq!((absent.roc_auc, &absent.roc_curve), (None, &None));
    // There, but never predicted; a tie goes to the first class.
    let unseen = score(&[0, 1], &[[2.0, 0.0], [0.5, 0.5]]);
    assert_eq!((unseen.precision, unseen.recall, unseen.f1), (None, Some(0.0), Some(0.0)));
    assert_eq!(unseen.roc_auc.unwrap().value, 1.0);
    // Neither.
    let neither = score(&[0], &[[2.0, 0.0]]);
    assert_eq!((neither.precision, neither.recall, neither.f1), (None, None, None));
    // There is but one.
    let only = Predictions::new(&[0, 0], &[3.0, -1.0], 1).unwrap().scores(0, NONE);
    assert_eq!((only.accuracy, only.roc_auc, &only.confusion[..]), (Some(1.0), None, &[vec![2]][..]));
    // One of three classes is absent: whatever is a mean over the classes is undefined.
    let thirds = [5.0, 3.0, 2.0, 3.0, 5.0, 2.0];
    let scores = Predictions::new(&[0, 1], &thirds, 3).unwrap().scores(0, NONE);
    assert_eq!((scores.accuracy, scores.balanced_accuracy, scores.f1), (Some(1.0), None, None));
    assert_eq!((scores.recall, scores.roc_auc), (None, None));

    for scores in [nothing, absent, unseen, neither, scores] {
        let text = serde_json::to_string(&scores).unwrap();
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores, "{text}");
    }
}

#[test]
fn a_logit_that_is_no_number_is_refused_in_a_sentence() {
    for (bad, words) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let refusal = Predictions::new(&[0, 1], &[0.5, 0.5, 0.5, bad], 2).unwrap_err();
        let expected = format!("the logit of class 1 of image 1 is {words}, expected a finite number");
        assert_eq!((refusal.to_string(), refusal.exit_code()), (expected, 1));
    }
    assert!(Predictions::new(&[0], &[-3e38, 3e38], 2).is_ok());
}

#[test]
#[should_panic(expected = "class 2 of 2")]
fn a_class_that_is_none_of_them_is_a_bug() {
    let _ = Predictions::new(&[2], &[0.5, 0.5], 2);
}
