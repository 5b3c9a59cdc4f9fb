//! Intervals and answers, against `scripts/score_intervals.py`.

use super::*;

#[track_caller]
fn same(found: Option<[f64; 2]>, expected: &Value, what: &str) {
    assert_eq!(found.is_some(), !expected.is_null(), "{what}: {found:?}, expected {expected}");
    for (found, expected) in found.into_iter().flatten().zip(numbers(expected)) {
        assert!((found - expected).abs() < 1e-9, "{what}: {found}, expected {expected}");
    }
}

#[test]
fn intervals_are_those_of_the_reference() {
    for case in cases() {
        let (predictions, positive, what) = read(&case);
        let alone = Answer::of(&predictions, positive);
        same(alone.roc_auc.unwrap().interval, &case["roc_auc_interval"], &what);
        assert_eq!(alone.of_groups, None);
        let of_groups = Answer::of(&predictions.in_groups(&whole_numbers(&case["groups"])), positive);
        let intervals = of_groups.of_groups.unwrap();
        same(intervals.accuracy, &case["accuracy_interval_of_groups"], &what);
        same(intervals.roc_auc, &case["roc_auc_interval_of_groups"], &what);
        assert_eq!(Answer { of_groups: None, ..of_groups }, alone, "{what}");
    }
}

#[test]
fn an_answer_holds_what_the_scores_are() {
    for case in cases() {
        let (predictions, positive, what) = read(&case);
        let (answer, scores) = (Answer::of(&predictions, positive), predictions.scores(positive));
        let accuracy = answer.accuracy.unwrap();
        assert_eq!((Some(accuracy.value), accuracy.of), (scores.accuracy, scores.images), "{what}");
        near(answer.commonest_class_share, &case["commonest_class_share"], &what);
        near(answer.calibration_error, &case["expected_error"], &what);
        assert_eq!((answer.balanced_accuracy, answer.roc_auc), (scores.balanced_accuracy, scores.roc_auc));
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer, "{text}");
    }
}

/// An area of 1 has an interval too: no pair was seen in the wrong order, which says little of few.
#[test]
fn an_area_of_one_or_nothing_has_an_interval_that_is_no_point_and_shrinks_with_the_images() {
    let interval = |of_each: usize, skill: f32| {
        let truth: Vec<u32> = (0..2 * of_each as u32).map(|i| i % 2).collect();
        let logits: Vec<f32> = truth.iter().flat_map(|&class| [0.0, skill * class as f32]).collect();
        let auc = Predictions::new(&truth, &logits, 2).unwrap().scores(1).roc_auc.unwrap();
        assert_eq!(auc.value, if skill > 0.0 { 1.0 } else { 0.0 });
        auc.interval.unwrap()
    };
    let mut last = 0.0;
    for of_each in [2, 3, 5, 20, 100, 5000] {
        let [low, high] = interval(of_each, 1.0);
        assert!(last < low && low < 1.0 && high == 1.0, "{of_each}: {low} to {high}");
        last = low;
        let [opposite_low, opposite_high] = interval(of_each, -1.0);
        assert_eq!((opposite_low, 1.0 - opposite_high), (0.0, 1.0 - (1.0 - low)), "{of_each}");
    }
    assert!(last > 0.999, "{last}");
    assert!((0.8..0.95).contains(&interval(20, 1.0)[0]));
}

#[test]
fn neither_the_order_of_images_nor_the_names_of_groups_matter() {
    let (truth, logits) = overlapping(120, 0.4);
    let groups: Vec<u32> = (0..120).map(|image| image * image % 13).collect();
    let answer = |order: &[usize], rename: fn(u32) -> u32| {
        let of = |values: &[u32]| -> Vec<u32> { order.iter().map(|&image| values[image]).collect() };
        let rows: Vec<f32> = order.iter().flat_map(|&image| &logits[2 * image..][..2]).copied().collect();
        let groups: Vec<u32> = of(&groups).into_iter().map(rename).collect();
        Answer::of(&Predictions::new(&of(&truth), &rows, 2).unwrap().in_groups(&groups), 1)
    };
    let plain = answer(&(0..120).collect::<Vec<_>>(), |group| group);
    let other = answer(&Stream::new(3, "order", &[]).permutation(120), |group| u32::MAX - 7 * group);
    let ends = |answer: &Answer| -> Vec<f64> {
        let of_groups = answer.of_groups.unwrap();
        let all = [answer.roc_auc.unwrap().interval, of_groups.accuracy, of_groups.roc_auc];
        all.into_iter().flat_map(Option::unwrap).collect()
    };
    assert_eq!(plain.of_groups.unwrap().groups, other.of_groups.unwrap().groups);
    for (plain, other) in ends(&plain).into_iter().zip(ends(&other)) {
        assert!((plain - other).abs() < 1e-13, "{plain}, {other}");
    }
}

/// Two hundred images in groups that are right or wrong as a whole tell as much as there are groups.
#[test]
fn groups_that_are_alike_count_as_one_image_each_and_one_group_says_nothing() {
    let width = |interval: Option<[f64; 2]>| interval.map(|[low, high]| high - low).unwrap();
    let answer = |group_of: fn(u32) -> u32, wrong: fn(u32) -> bool| {
        let truth: Vec<u32> = (0..200).map(|image| image % 2).collect();
        let rows: Vec<f32> = (0..200)
            .flat_map(|image| [0.0, if (truth[image as usize] == 1) ^ wrong(image) { 1.0 } else { -1.0 }])
            .collect();
        let groups: Vec<u32> = (0..200).map(group_of).collect();
        Answer::of(&Predictions::new(&truth, &rows, 2).unwrap().in_groups(&groups), 1)
    };
    // Every tenth group of 10 images is wrong, and every tenth image: 90 % of both.
    let (whole, mixed) =
        (answer(|image| image / 10, |image| image / 10 % 10 == 0), answer(|i| i / 10, |i| i % 10 == 0));
    for answer in [whole, mixed] {
        assert_eq!((answer.accuracy.unwrap().count, answer.of_groups.unwrap().groups), (180, 20));
    }
    let of_images = width(mixed.accuracy.map(|share| share.interval));
    let of_groups = [whole, mixed].map(|answer| width(answer.of_groups.unwrap().accuracy));
    assert!(of_groups[1] >= of_images && of_groups[0] > 2.5 * of_images, "{of_images} {of_groups:?}");
    let twenty = width(Share::new(18, 20).map(|share| share.interval));
    assert!((of_groups[0] / twenty - 1.0).abs() < 0.15, "{of_groups:?}, of 20 images {twenty}");
    let areas = [whole, mixed].map(|answer| width(answer.of_groups.unwrap().roc_auc));
    assert!(areas[0] > 2.0 * areas[1] && areas[1] >= width(mixed.roc_auc.unwrap().interval), "{areas:?}");

    // All right and all wrong, in many groups and in two.
    for wrong in [(|_| false) as fn(u32) -> bool, |_| true] {
        let [many, two] = [answer(|image| image / 10, wrong), answer(|image| image / 100, wrong)];
        for (answer, least) in [(many, 0.05), (two, 0.5)] {
            let of_groups = answer.of_groups.unwrap();
            for interval in [of_groups.accuracy, of_groups.roc_auc] {
                let [low, high] = interval.unwrap();
                assert_eq!((low == 0.0, high == 1.0), (wrong(0), !wrong(0)), "{answer:?}");
                assert!(high - low > least && high - low < 1.0, "{answer:?}");
            }
        }
    }
    let one = answer(|_| 7, |image| image % 10 == 0).of_groups;
    assert_eq!(one, Some(OfGroups { groups: 1, accuracy: None, roc_auc: None }));
}

#[test]
fn an_answer_is_a_table() {
    let (truth, logits) = overlapping(60, 0.4);
    let predictions = Predictions::new(&truth, &logits, 2).unwrap();
    let alone = "                            95 % interval\n\
                 accuracy            71.7 %  59.2 to 81.5 %\n\
                 commonest class     70.0 %\n\
                 balanced accuracy   68.7 %\n\
                 ROC AUC              0.801  0.650 to 0.897\n\
                 calibration error    0.147";
    assert_eq!(Answer::of(&predictions, 1).to_string(), alone);
    let groups: Vec<u32> = (0..60).map(|image| image / 5).collect();
    let in_groups = "                            95 % interval    of groups, 12 here\n\
                     accuracy            71.7 %  59.2 to 81.5 %   56.2 to 83.3 %\n\
                     commonest class     70.0 %\n\
                     balanced accuracy   68.7 %\n\
                     ROC AUC              0.801  0.650 to 0.897   0.629 to 0.905\n\
                     calibration error    0.147";
    assert_eq!(Answer::of(&predictions.in_groups(&groups), 1).to_string(), in_groups);
    // Of one group, and without images of one of three classes.
    let rows = [2.0, 1.0, 0.0, 0.0, 1.0, 0.0];
    let undefined = Predictions::new(&[0, 1], &rows, 3).unwrap().in_groups(&[4, 4]);
    let dashes = "                            95 % interval    of groups, 1 here\n\
                  accuracy           100.0 %  34.2 to 100.0 %  -\n\
                  commonest class     50.0 %\n\
                  balanced accuracy        -\n\
                  ROC AUC                  -                   -\n\
                  calibration error    0.379";
    assert_eq!(Answer::of(&undefined, 0).to_string(), dashes);
}
