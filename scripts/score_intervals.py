"""The intervals of src/scores/, written once more: pair by pair, with SciPy's quantiles, and by looking for roots.

Equations and reasons stand in src/scores/influence.rs and auc.rs. `scripts/sklearn_scores.py` writes what this says into
tests/fixtures/scores/cases.json, `scripts/auc_coverage.py` tries how often it holds. Needs NumPy and SciPy.
"""
import numpy
from scipy.optimize import brentq
from scipy.stats import t

UNSEEN, VARIANCE_OF_UNSEEN = 1 / 3, 0.3


def area(truth, odds):
    """The area (of more than two classes the mean), and by what each image moves it and could at most."""
    images, classes = odds.shape
    ranked = [1] if classes == 2 else range(classes)
    areas, moved, reach = [], numpy.zeros(images), numpy.zeros(images)
    for c in ranked:
        of_class, others = numpy.flatnonzero(truth == c), numpy.flatnonzero(truth != c)
        above = odds[of_class, c][:, None] - odds[others, c][None, :]
        wins = (above > 0) + 0.5 * (above == 0)
        areas.append(wins.mean())
        for kind, placements in [(of_class, wins.mean(axis=1)), (others, wins.mean(axis=0))]:
            moved[kind] += (placements - wins.mean()) / len(kind) / len(ranked)
            reach[kind] += 1 / len(kind) / len(ranked)
    return float(numpy.mean(areas)), moved, reach


def spread(value, moved, reach):
    """One through the number of images that tell as much as these units, and the degrees of freedom; none of one unit."""
    if len(moved) < 2:
        return None
    worth = reach.sum() ** 2 / (reach**2).sum()
    g = UNSEEN / worth * (1 - UNSEEN / worth)
    variance = len(moved) * numpy.var(moved, ddof=1) + len(moved) ** 2 / (len(moved) - 1) * moved.mean() ** 2
    inverse = (variance + VARIANCE_OF_UNSEEN * g * (reach**2).sum()) / (value * (1 - value) + g)
    return inverse, max(worth - 1, 1)


def of_classes(value, truth, moved, reach, classes):
    parts = [spread(value, moved[truth == c], reach[truth == c]) for c in range(classes)]
    if None in parts:
        return None
    inverse, freedom = numpy.array(parts).T
    return inverse.sum(), max(inverse.sum() ** 2 / (inverse**2 / freedom).sum(), 1)


def wilson(value, inverse, freedom):
    """The p at which |value - p| is t standard deviations of p."""
    deviations = t.ppf(0.975, freedom)
    # Of 0 and 1 one root is the value itself, and the equation without it has one root left.
    if value in (0, 1):
        far = 1 / (1 + deviations**2 * inverse)
        return [far, 1.0] if value == 1 else [0.0, 1 - far]

    def beyond(p):
        return (value - p) ** 2 - deviations**2 * p * (1 - p) * inverse

    return [brentq(beyond, 0, value, xtol=1e-16, rtol=1e-15), brentq(beyond, value, 1, xtol=1e-16, rtol=1e-15)]


def of_area(truth, odds):
    value, moved, reach = area(truth, odds)
    found = of_classes(value, truth, moved, reach, odds.shape[1])
    return None if found is None else wilson(value, *found)


def of_area_by_groups(truth, odds, groups):
    value, moved, reach = area(truth, odds)
    images = of_classes(value, truth, moved, reach, odds.shape[1])
    names = numpy.unique(groups)
    sums = numpy.array([moved[groups == g].sum() for g in names])
    reaches = [max(reach[(groups == g) & (truth == c)].sum() for c in range(odds.shape[1])) for g in names]
    found = spread(value, sums, numpy.array(reaches))
    if images is None or found is None:
        return None
    return wilson(value, max(found[0], images[0]), found[1])


def of_accuracy_by_groups(right, groups):
    names = numpy.unique(groups)
    sums = numpy.array([(right[groups == g] - right.mean()).sum() for g in names]) / len(right)
    reaches = numpy.array([(groups == g).sum() for g in names]) / len(right)
    found = spread(right.mean(), sums, reaches)
    return None if found is None else wilson(right.mean(), max(found[0], 1 / len(right)), found[1])
