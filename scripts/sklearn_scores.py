"""What scikit-learn scores random predictions with: tests/fixtures/scores/cases.json.

    python scripts/sklearn_scores.py [--check]

Predictions of two and more classes, many of them with ties, written with the classes that are true, the logits and
every score that src/scores/ has too. Curves and areas are of the log-odds, which are found with SciPy: x less
logsumexp of the others. In one case all probabilities are 1 in f32: the area under the curve of these, which is written as
well, is 0.5 instead of 0.589. The intervals are those of `score_intervals.py`; thresholds for a wanted sensitivity are looked up in
scikit-learn's curve, [wanted, log-odds, sensitivity, specificity]. With --check nothing is written, but the file is held against what is computed now. Needs NumPy and scikit-learn; the
file holds what scikit-learn 1.9.1 with NumPy 2.4.6 and SciPy 1.17.1 gave.
"""
import json
import pathlib
import sys

import numpy
import scipy
import sklearn
from scipy.special import logsumexp, softmax
from sklearn import metrics
from sklearn.calibration import calibration_curve

import score_intervals

CASES = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "scores" / "cases.json"


def binary(random, images, share, parts, skill, away=0.0):
    """`share` of the images are of class 1; logits are whole multiples of 1 / parts, their differences `away` from 0."""
    truth = (random.random(images) < share).astype(int)
    truth[:2] = [0, 1]
    difference = away + skill * (2 * truth - 1) + random.normal(size=images)
    logits = numpy.stack([random.normal(size=images), numpy.zeros(images)], axis=1)
    logits[:, 1] = logits[:, 0] + difference
    return truth, numpy.round(logits * parts) / parts


def several(random, images, classes, parts, skill):
    """Logits that are whole multiples of 1 / parts: ties, also between the classes of an image."""
    truth = random.integers(0, classes, images)
    truth[:classes] = numpy.arange(classes)
    logits = random.normal(size=(images, classes))
    logits[numpy.arange(images), truth] += skill
    return truth, numpy.round(logits * parts) / parts


def log_odds(logits):
    """From the differences in ascending order: what is tied in exact arithmetic is tied to the last bit."""
    def of(row, c):
        return -logsumexp(numpy.sort(numpy.delete(row, c) - row[c]))
    return numpy.array([[of(row, c) for c in range(len(row))] for row in logits])


def thresholds(is_positive, odds):
    false, true, at = metrics.roc_curve(is_positive, odds, drop_intermediate=False)
    for wanted in (0.05, 0.5, 0.8, 0.9, 0.95, 1.0):
        first = numpy.flatnonzero(true >= wanted)[0]
        yield [wanted, at[first], true[first], 1 - false[first]]


def score(truth, logits, positive):
    assert (logits.astype(numpy.float32) == logits).all()
    classes = logits.shape[1]
    predicted = logits.argmax(axis=1)
    odds, probabilities = log_odds(logits), softmax(logits, axis=1)
    average = {"average": "binary", "pos_label": positive} if classes == 2 else {"average": "macro"}
    case = {
        "classes": classes,
        "positive": positive,
        "truth": truth.tolist(),
        "logits": logits.ravel().tolist(),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "precision": metrics.precision_score(truth, predicted, **average),
        "recall": metrics.recall_score(truth, predicted, **average),
        "f1": metrics.f1_score(truth, predicted, **average),
        "confusion": metrics.confusion_matrix(truth, predicted).tolist(),
        "roc_curve": None,
    }
    if classes == 2:
        ranked, is_positive = odds[:, positive], truth == positive
        rounded = softmax(logits.astype(numpy.float32), axis=1)[:, positive]
        case["roc_auc"] = metrics.roc_auc_score(is_positive, ranked)
        case["roc_auc_of_f32_probabilities"] = metrics.roc_auc_score(is_positive, rounded)
        curve = metrics.roc_curve(is_positive, ranked)
        case["roc_curve"] = [[f, t, None if numpy.isinf(o) else o] for f, t, o in zip(*(c.tolist() for c in curve))]
        case["thresholds"] = [list(map(float, row)) for row in thresholds(is_positive, ranked)]
        confidence, so = probabilities[:, positive], is_positive
    else:
        areas = [metrics.roc_auc_score(truth == c, odds[:, c]) for c in range(classes)]
        case["roc_auc"] = float(numpy.mean(areas))
        # The same by probabilities, those that are equal but for their rounding made equal.
        tied = numpy.round(probabilities, 12)
        case["roc_auc_ovr"] = metrics.roc_auc_score(truth, tied, multi_class="ovr", average="macro")
        confidence, so = probabilities[numpy.arange(len(truth)), predicted], predicted == truth
    case["commonest_class_share"] = float(numpy.bincount(truth).max() / len(truth))
    # Of groups of very different sizes, some of which are not there.
    groups = numpy.floor(len(truth) / 4 * numpy.random.default_rng(len(truth)).random(len(truth)) ** 2).astype(int)
    case["groups"] = groups.tolist()
    case["roc_auc_interval"] = score_intervals.of_area(truth, odds)
    case["roc_auc_interval_of_groups"] = score_intervals.of_area_by_groups(truth, odds, groups)
    case["accuracy_interval_of_groups"] = score_intervals.of_accuracy_by_groups(predicted == truth, groups)
    # scikit-learn gives the bins that are not empty, without their sizes: it counts as calibration_curve does.
    sizes = numpy.bincount(numpy.searchsorted(numpy.linspace(0.0, 1.0, 11)[1:-1], confidence), minlength=10)
    frequency, probability = calibration_curve(so, confidence, n_bins=10, strategy="uniform")
    case["bins"] = sizes.tolist()
    case["frequency"], case["mean_probability"] = frequency.tolist(), probability.tolist()
    weights = sizes[sizes > 0] / sizes.sum()
    case["expected_error"] = float((weights * numpy.abs(frequency - probability)).sum())
    return case


def main():
    print("scikit-learn", sklearn.__version__, "NumPy", numpy.__version__, "SciPy", scipy.__version__)
    random = numpy.random.default_rng(6)
    cases = []
    for images, share, parts, skill in [(12, 0.5, 2, 0.5), (60, 0.3, 2, 0.3), (150, 0.88, 8, 0.8), (200, 0.6, 2**20, 0.4)]:
        drawn = binary(random, images, share, parts, skill)
        cases += [score(*drawn, positive) for positive in (1, 0)]
    # So far from 0 that every probability is 1 in f32.
    cases.append(score(*binary(numpy.random.default_rng(2), 80, 0.5, 1024, 0.15, away=30.0), 1))
    for images, classes, parts, skill in [(40, 3, 2, 1.0), (150, 3, 1, 1.0), (200, 5, 4, 0.7), (120, 10, 16, 1.0)]:
        cases.append(score(*several(random, images, classes, parts, skill), 0))
    # All right, all wrong, and, of three classes, all right.
    random = numpy.random.default_rng(8)
    cases += [score(*binary(random, 30, 0.3, 8, skill), 1) for skill in (40.0, -40.0)]
    cases.append(score(*several(random, 24, 3, 8, 40.0), 0))
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
    if "--check" in sys.argv:
        sys.exit(None if CASES.read_text() == text else f"{CASES} holds other numbers")
    CASES.parent.mkdir(parents=True, exist_ok=True)
    CASES.write_text(text)


if __name__ == "__main__":
    main()
