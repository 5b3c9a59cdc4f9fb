"""What scikit-learn scores random predictions with: tests/fixtures/scores/cases.json.

    python scripts/sklearn_scores.py [--check]

Predictions of two and more classes, many of them with ties, written with the classes that are true, the probabilities and
every score that src/scores/ has too. With --check nothing is written, but the file is held against what is
computed now. Needs NumPy and scikit-learn; the file holds what scikit-learn 1.9.1 with NumPy 2.4.6 gave.
"""
import json
import pathlib
import sys

import numpy
import sklearn
from sklearn import metrics
from sklearn.calibration import calibration_curve

CASES = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "scores" / "cases.json"


def binary(random, images, share, digits, skill):
    """`share` of the images are of class 1; `digits` of the probabilities are kept."""
    truth = (random.random(images) < share).astype(int)
    truth[:2] = [0, 1]
    of_one = 1 / (1 + numpy.exp(-(skill * (2 * truth - 1) + random.normal(size=images))))
    of_one = numpy.round(of_one, digits)
    return truth, numpy.stack([1 - of_one, of_one], axis=1)


def several(random, images, classes, parts):
    """Probabilities that are whole multiples of 1 / parts: ties, also between the classes of an image."""
    truth = random.integers(0, classes, images)
    truth[:classes] = numpy.arange(classes)
    weights = numpy.full((images, classes), 0.6)
    weights[numpy.arange(images), truth] += 1.0
    counts = numpy.stack([random.multinomial(parts, random.dirichlet(row)) for row in weights])
    return truth, counts / parts


def score(truth, probabilities, positive):
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    average = {"average": "binary", "pos_label": positive} if classes == 2 else {"average": "macro"}
    case = {
        "classes": classes,
        "positive": positive,
        "truth": truth.tolist(),
        "probabilities": probabilities.ravel().tolist(),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "precision": metrics.precision_score(truth, predicted, **average),
        "recall": metrics.recall_score(truth, predicted, **average),
        "f1": metrics.f1_score(truth, predicted, **average),
        "confusion": metrics.confusion_matrix(truth, predicted).tolist(),
        "roc_curve": None,
    }
    if classes == 2:
        ranked, is_positive = probabilities[:, positive], truth == positive
        case["roc_auc"] = metrics.roc_auc_score(is_positive, ranked)
        curve = metrics.roc_curve(is_positive, ranked)
        case["roc_curve"] = [[f, t, None if numpy.isinf(p) else p] for f, t, p in zip(*(c.tolist() for c in curve))]
        confidence, so = ranked, is_positive
    else:
        case["roc_auc"] = metrics.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
        confidence, so = probabilities.max(axis=1), predicted == truth
    # scikit-learn gives the bins that are not empty, without their sizes: it counts as calibration_curve does.
    sizes = numpy.bincount(numpy.searchsorted(numpy.linspace(0.0, 1.0, 11)[1:-1], confidence), minlength=10)
    frequency, probability = calibration_curve(so, confidence, n_bins=10, strategy="uniform")
    case["bins"] = sizes.tolist()
    case["frequency"], case["mean_probability"] = frequency.tolist(), probability.tolist()
    weights = sizes[sizes > 0] / sizes.sum()
    case["expected_error"] = float((weights * numpy.abs(frequency - probability)).sum())
    return case


def main():
    print("scikit-learn", sklearn.__version__, "NumPy", numpy.__version__)
    random = numpy.random.default_rng(6)
    cases = []
    for images, share, digits, skill in [(12, 0.5, 1, 0.5), (60, 0.3, 1, 0.3), (150, 0.88, 2, 0.8), (200, 0.6, 6, 0.4)]:
        drawn = binary(random, images, share, digits, skill)
        cases += [score(*drawn, positive) for positive in (1, 0)]
    for images, classes, parts in [(40, 3, 10), (150, 3, 7), (200, 5, 20), (120, 10, 100)]:
        cases.append(score(*several(random, images, classes, parts), 0))
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
    if "--check" in sys.argv:
        sys.exit(None if CASES.read_text() == text else f"{CASES} holds other numbers")
    CASES.parent.mkdir(parents=True, exist_ok=True)
    CASES.write_text(text)


if __name__ == "__main__":
    main()
