use super::*;
use crate::rng::Stream;
use serde_json::Value;

mod intervals;
mod thresholds;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn whole_numbers(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|number| number as u32).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|number| number as f32).collect()
}

#[track_caller]
fn near(found: Option<f64>, expected: &Value, what: &str) {
    let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() < 1e-12, "{what}: {found}, scikit-learn says {expected}");
}

fn cases() -> Vec<Value> {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/fixtures/scores/cases.json")).unwrap();
    assert_eq!(cases.len(), 16);
    cases
}

/// The predictions of a case, the positive class and what the case is called.
fn read(case: &Value) -> (Predictions, u32, String) {
    let classes = case["classes"].as_u64().unwrap() as usize;
    let truth = whole_numbers(&case["truth"]);
    let what = format!("{} images of {classes} classes", truth.len());
    let predictions = Predictions::new(&truth, &floats(&case["logits"]), classes).unwrap();
    (predictions, case["positive"].as_u64().unwrap() as u32, what)
}

#[test]
fn every_score_is_scikit_learns() {
    for case in cases() {
        let (predictions, positive, what) = read(&case);
        let (truth, classes) = (&predictions.truth, predictions.classes);
        let scores = predictions.scores(positive);
        assert_eq!(scores.images, truth.len());
        near(scores.accuracy, &case["accuracy"], &what);
        near(scores.balanced_accuracy, &case["balanced_accuracy"], &what);
        near(scores.precision, &case["precision"], &what);
        near(scores.recall, &case["recall"], &what);
        near(scores.f1, &case["f1"], &what);
        near(scores.roc_auc.map(|auc| auc.value), &case["roc_auc"], &what);
        if classes > 2 {
            near(scores.roc_auc.map(|auc| auc.value), &case["roc_auc_ovr"], &what);
        }
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
    let cases = cases();
    let confident =
        cases.iter().filter(|case| case["roc_auc_of_f32_probabilities"] == 0.5).collect::<Vec<_>>();
    let [case] = confident[..] else { panic!("{} such cases", confident.len()) };
    let (truth, logits) = (whole_numbers(&case["truth"]), floats(&case["logits"]));
    assert_eq!(truth.len(), 80);
    let odds = log_odds::log_odds(&logits, 2);
    assert!(odds.iter().skip(1).step_by(2).all(|&odds| log_odds::probability(odds) as f32 == 1.0));
    let area = |logits: &[f32]| Predictions::new(&truth, logits, 2).unwrap().scores(1).roc_auc.unwrap();
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
    let scores = Predictions::new(&truth, &logits, 2).unwrap().scores(1);
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
    Summary::of(&thirds.scores(0), "ill");
}

#[test]
fn what_is_undefined_is_nothing_and_never_a_number() {
    let score =
        |truth: &[u32], rows: &[[f32; 2]]| Predictions::new(truth, rows.as_flattened(), 2).unwrap().scores(1);
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
    // A single image of a class says nothing of how they differ.
    assert_eq!(unseen.roc_auc, Some(Auc { value: 1.0, interval: None }));
    // Neither.
    let neither = score(&[0], &[[2.0, 0.0]]);
    assert_eq!((neither.precision, neither.recall, neither.f1), (None, None, None));
    // There is but one.
    let only = Predictions::new(&[0, 0], &[3.0, -1.0], 1).unwrap().scores(0);
    assert_eq!((only.accuracy, only.roc_auc, &only.confusion[..]), (Some(1.0), None, &[vec![2]][..]));
    // One of three classes is absent: whatever is a mean over the classes is undefined.
    let thirds = [5.0, 3.0, 2.0, 3.0, 5.0, 2.0];
    let scores = Predictions::new(&[0, 1], &thirds, 3).unwrap().scores(0);
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
