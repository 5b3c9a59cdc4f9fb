//! The part of the report that says how good the probabilities of two classes are: scores of every domain, and of the
//! unseen one the ROC curve and the calibration.

use super::chart::Chart;
use super::html::chart::svg;
use super::html::{Page, captioned, name};
use super::palette::{GREY, label};
use super::text::{MISSING, cells, degrees, or_dash, percent};
use crate::scores::{Auc, Calibration, RocPoint, Scores, Tempered};
use crate::train::evaluate::Evaluation;

/// Adds the section about the two `classes`, the second of which is the positive one; nothing if the evaluation is not of
/// two.
pub(super) fn describe(page: &mut Page, evaluation: &Evaluation, classes: &[String]) {
    let ([negative, positive], Some(scores)) = (classes, evaluation.test_scores()) else { return };
    let (negative, positive) = (&name(negative), &name(positive));
    page.heading(3, "How good the probabilities are");
    page.paragraph(&format!(
        "What follows is about the class {positive}. Precision is the share of the images that are taken for it which are \
         {positive}, recall the share of the {positive} images which are taken for it; F1 is the harmonic mean of both. \
         Beside the accuracy stands the share of the commonest class, which a model gets that names that class always; balanced \
         accuracy is the mean of the recalls of both classes, of which such a model gets 50 %. Images are ranked by their \
         log-odds, which differ where probabilities round to the same number.",
    ));
    table(page, evaluation);
    page.paragraph(interval_in_words(scores.roc_auc.as_ref()));
    let mut charts = Vec::new();
    if let Some(curve) = &scores.roc_curve {
        let caption = format!(
            "Images of the unseen domain count as {positive} if their probability of it is above a threshold. For every \
             threshold: upwards the share of the {positive} that are found, to the right the share of the {negative} \
             that are mistaken for {positive}. The area under the curve is the probability that one that is {positive} \
             ranks above one that is {negative}; on the grey line it is 0.5. The dot is where the likelier class is taken."
        );
        charts.push(captioned(&roc_chart(curve, scores, positive), &caption));
    }
    if let Some(calibration) = &scores.calibration {
        let tempered = evaluation.tempered.as_ref();
        let after = tempered.map_or(String::new(), |tempered| format!(" {}.", tempered.in_words()));
        let caption = format!(
            "Whether probabilities are frequencies: images of the unseen domain in ten groups by their probability of \
             {positive}, to the right the mean of it, upwards the share that are {positive}. On the grey line, of the \
             images that are given 0.8, 80 of 100 are. The distance from it, averaged over the images, is {:.3}.{after}",
            calibration.expected_error
        );
        charts.push(captioned(&calibration_chart(calibration, tempered, positive), &caption));
    }
    page.gallery(&charts);
    if let Some(calibration) = &scores.calibration {
        groups(page, calibration, positive);
    }
}

/// The scores of each domain in each role.
fn table(page: &mut Page, evaluation: &Evaluation) {
    let mut rows = vec![cells(&[
        "domain",
        "role",
        "images",
        "accuracy",
        "commonest class",
        "balanced",
        "precision",
        "recall",
        "F1",
        "ROC AUC",
        "95 % interval",
    ])];
    for row in &evaluation.domains {
        let Some(scores) = &row.scores else { continue };
        let share = |share: Option<f64>| or_dash(share, percent);
        let interval = scores.roc_auc.and_then(|area| area.interval);
        rows.push(vec![
            degrees(&row.domain),
            row.role.into(),
            row.images.to_string(),
            percent(row.accuracy),
            percent(row.commonest_class_share),
            share(scores.balanced_accuracy),
            share(scores.precision),
            share(scores.recall),
            share(scores.f1),
            or_dash(scores.roc_auc.map(|area| area.value), |area| format!("{area:.3}")),
            interval.map_or(MISSING.into(), |[low, high]| format!("{low:.3} to {high:.3}")),
        ]);
    }
    page.table(&rows);
}

/// What the interval of the unseen domain's area is and is not.
fn interval_in_words(area: Option<&Auc>) -> &'static str {
    match area {
        None => "The unseen domain has images of one class only: there is no ROC curve.",
        Some(Auc { interval: None, .. }) => {
            "The unseen domain has a single image of one class, which says nothing of how such images differ: there is no interval."
        }
        Some(_) => {
            "The interval says how far the area of all images of this domain may be from that of these: it holds for 95 of 100 \
             draws of as many images, drawn independently. Images of one patient are alike, and of such it is too narrow. It \
             does not say how the area differs between domains or between trainings."
        }
    }
}

fn roc_chart(curve: &[RocPoint], scores: &Scores, positive: &str) -> String {
    let points = curve.iter().map(|point| [point.false_positive_rate, point.true_positive_rate]).collect();
    let rate = |row: &Vec<usize>| row[1] as f64 / row.iter().sum::<usize>() as f64;
    let [negatives, positives] = &scores.confusion[..] else { return String::new() };
    let name = match scores.roc_auc {
        Some(area) => format!("{positive}, area {:.3}", area.value),
        None => positive.to_owned(),
    };
    let chart = on_diagonal("ROC curve", "chance")
        .axes("false positive rate", "true positive rate")
        .series(name, label(1), points)
        .marked([[rate(negatives), rate(positives)]]);
    svg(&chart)
}

fn calibration_chart(calibration: &Calibration, tempered: Option<&Tempered>, positive: &str) -> String {
    let points = |calibration: &Calibration| -> Vec<[f64; 2]> {
        calibration.bins.iter().filter_map(|bin| Some([bin.mean_probability?, bin.frequency?])).collect()
    };
    let found = points(calibration);
    let mut chart = on_diagonal("Calibration", "probabilities that are frequencies")
        .axes("mean probability", "frequency")
        .series(positive, label(1), found.clone())
        .marked(found);
    if let Some(tempered) = tempered {
        let found = points(&tempered.calibration);
        let name = format!("{positive}, temperature {:.2}", tempered.temperature);
        chart = chart.series(name, label(2), found.clone()).marked(found);
    }
    svg(&chart)
}

/// A chart of shares with the line where both are equal, which has a name.
fn on_diagonal(title: &str, name: &str) -> Chart {
    Chart::new(title).of_shares().series(name, GREY, vec![[0.0, 0.0], [1.0, 1.0]])
}

/// How many images stand behind each point of the calibration: one of few says little.
fn groups(page: &mut Page, calibration: &Calibration, positive: &str) {
    let mut rows = vec![vec![
        format!("probability of {positive}"),
        "images".into(),
        "mean probability".into(),
        format!("are {positive}"),
    ]];
    for bin in calibration.bins.iter().filter(|bin| bin.images > 0) {
        rows.push(vec![
            format!("{:.1} to {:.1}", bin.from, bin.to),
            bin.images.to_string(),
            or_dash(bin.mean_probability, |mean| format!("{mean:.3}")),
            or_dash(bin.frequency, percent),
        ]);
    }
    page.table(&rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::{Answer, Predictions};
    use crate::train::evaluate::DomainEvaluation;

    /// Four images, worked by hand. By descending probability of class 1 they are 1, 0, 1, 0: the curve goes through
    /// (0, 0), (0, 1/2), (1/2, 1/2), (1/2, 1), (1, 1), with an area of 3/4. At 1/2 the first three are taken for class 1.
    fn evaluation() -> Evaluation {
        let of_one = [0.95, 0.85, 0.65, 0.05];
        let rows: Vec<f32> = of_one.into_iter().flat_map(|p: f32| [0.0, (p / (1.0 - p)).ln()]).collect();
        let predictions = Predictions::new(&[1, 0, 1, 0], &rows, 2).unwrap();
        let scores = predictions.scores(1);
        let row = DomainEvaluation {
            domain: "P9 <b>".into(),
            role: "test",
            images: 4,
            correct: 3,
            accuracy: 0.75,
            commonest_class_share: 0.5,
            scores: Some(scores),
        };
        Evaluation {
            train_accuracy: 1.0,
            validation_accuracy: None,
            test_accuracy: 0.75,
            test_commonest_class_share: 0.5,
            disjoint_test_accuracy: None,
            answer: Answer::of(&predictions, 1),
            operating_point: None,
            tempered: None,
            positive_class: Some("ill".into()),
            domains: vec![row],
        }
    }

    fn page(evaluation: &Evaluation) -> String {
        let mut page = Page::new("t");
        describe(&mut page, evaluation, &["well".into(), "ill".into()]);
        page.finish()
    }

    #[test]
    fn four_images_worked_by_hand_are_drawn() {
        let text = page(&evaluation());
        // Precision 2/3, recall 1, balanced (1/2 + 1) / 2, F1 = 4 / 5.
        let row = "<tr><th>P9 &lt;b&gt;</th><td>test</td><td>4</td><td>75.0 %</td><td>50.0 %</td><td>75.0 %</td><td>66.7 %</td>\
                   <td>100.0 %</td><td>80.0 %</td><td>0.750</td>";
        assert!(text.contains(row), "{text}");
        // 540 across from 72, 540 up from 574.
        let curve = "points=\"72.0,574.0 72.0,304.0 342.0,304.0 342.0,34.0 612.0,34.0\"";
        let dot = "<circle cx=\"342.0\" cy=\"34.0\" r=\"5\"";
        assert!(text.contains(curve) && text.contains(dot), "{text}");
        assert!(text.contains("ill, area 0.750"), "{text}");
        // One image in each of four groups, three of them far from the line: |0 - 0.05|, |1 - 0.65|, |0 - 0.85|, |1 - 0.95|.
        assert!(text.contains("averaged over the images, is 0.325."), "{text}");
        assert!(text.contains("points=\"99.0,574.0 423.0,34.0 531.0,574.0 585.0,34.0\""), "{text}");
        assert!(text.contains("<th>0.6 to 0.7</th><td>1</td><td>0.650</td><td>100.0 %</td>"), "{text}");
        assert_eq!(text.matches("<svg").count(), 2);
    }

    /// All four probabilities at 1 / 2: one group, of which half are ill.
    #[test]
    fn the_calibration_of_a_temperature_stands_beside_it() {
        let calibration =
            Predictions::new(&[1, 0, 1, 0], &[0.0; 8], 2).unwrap().scores(1).calibration.unwrap();
        let tempered = Some(Tempered { temperature: 2.5, fitted_on: 40, calibration });
        let text = page(&Evaluation { tempered, ..evaluation() });
        assert!(text.contains("a temperature of 2.50, fitted on 40 held-back images"), "{text}");
        assert!(
            text.contains("ill, temperature 2.50") && text.contains("the calibration error is 0.000."),
            "{text}"
        );
        // 540 across from 72, 540 up from 574: its one point is in the middle.
        assert!(text.contains("<circle cx=\"342.0\" cy=\"304.0\""), "{text}");
    }

    #[test]
    fn what_is_not_defined_is_not_drawn() {
        let mut one_class = evaluation();
        let scores =
            |truth: &[u32], logits: &[f32]| Some(Predictions::new(truth, logits, 2).unwrap().scores(1));
        one_class.domains[0].scores = scores(&[1], &[-1.0, 1.0]);
        let text = page(&one_class);
        assert!(text.contains("images of one class only") && !text.contains("NaN"), "{text}");
        assert_eq!(text.matches("<svg").count(), 1, "the calibration is left");
        let mut single = evaluation();
        single.domains[0].scores = scores(&[1, 0, 0], &[-1.0, 1.0, 1.0, 0.5, 0.0, 0.0]);
        let text = page(&single);
        assert!(text.contains(&format!("<td>1.000</td><td>{MISSING}</td>")), "{text}");
        assert!(text.contains("a single image of one class"), "{text}");
        let mut several = evaluation();
        (several.positive_class, several.domains[0].scores) = (None, None);
        assert!(!page(&several).contains("How good the probabilities are"));
    }
}
