"""How often the intervals of src/scores/ hold, by simulation: prints the tables of docs/scores.md.

    python scripts/auc_coverage.py [areas | other | classes | groups]...

A cell of a table is the share of draws, in per cent, in whose interval the true number lies, and the interval's mean width. All
draws are seeded. `areas` holds the interval against the percentile bootstrap, which was used before, on scores that are normal with
equal variance; `other` tries scores of other kinds, `classes` the mean over several classes, `groups` images in groups. Draws of two
classes go through a form of the interval for many draws at once, which is held against `score_intervals.py` on the first of
each cell. Needs NumPy and SciPy; all four take about half an hour of one core, the bootstrap most of it.
"""
import sys

import numpy
from scipy.stats import norm, t

import score_intervals

SIZES = [(20, 20), (30, 30), (50, 50), (100, 100), (414, 68), (500, 500), (20, 200)]
AREAS = [0.8, 0.9, 0.95, 0.97, 0.99]
DRAWS, BOOTSTRAPS, RESAMPLES = 5000, 500, 400


def scores(random, kind, area, positives, negatives, draws):
    """Scores of images of the class and of others whose true area is `area`."""
    if kind.startswith("normal"):
        sd = {"normal": 1.0, "normal, positives twice as wide": 2.0, "normal, positives half as wide": 0.5}[kind]
        mean = numpy.sqrt(1 + sd**2) * norm.ppf(area)
        return random.normal(mean, sd, (draws, positives)), random.normal(size=(draws, negatives))
    ratio = area / (1 - area)
    if kind == "exponential, tail upwards":
        return random.exponential(ratio, (draws, positives)), random.exponential(1, (draws, negatives))
    return -random.exponential(1, (draws, positives)), -random.exponential(ratio, (draws, negatives))


OTHER = ["normal, positives twice as wide", "normal, positives half as wide", "exponential, tail upwards",
         "exponential, tail downwards"]


def ranks(rows):
    return numpy.argsort(numpy.argsort(rows, axis=1), axis=1) + 1.0


def intervals(positive, negative):
    """Areas and intervals of many draws without ties."""
    (draws, p), q = positive.shape, negative.shape[1]
    together = ranks(numpy.concatenate([positive, negative], axis=1))
    placements = [(together[:, :p] - ranks(positive)) / q, 1 - (together[:, p:] - ranks(negative)) / p]
    area = placements[0].mean(axis=1)
    parts, squares = [], 0
    for of_kind, size in zip(placements, (p, q)):
        g = score_intervals.UNSEEN / size * (1 - score_intervals.UNSEEN / size)
        variance = of_kind.var(axis=1, ddof=1) + score_intervals.VARIANCE_OF_UNSEEN * g
        parts.append(variance / (area * (1 - area) + g) / size)
        squares += parts[-1] ** 2 / (size - 1)
    inverse = parts[0] + parts[1]
    more = t.ppf(0.975, numpy.maximum(inverse**2 / squares, 1)) ** 2 * inverse
    half = numpy.sqrt(more * area * (1 - area) + more**2 / 4)
    return area, (area + more / 2 - half) / (1 + more), (area + more / 2 + half) / (1 + more)


def bootstrap(random, positive, negative):
    """The percentile bootstrap: images are drawn with replacement, draws without one of the classes are left out."""
    images = len(positive) + len(negative)
    is_positive = numpy.concatenate([numpy.ones(len(positive)), numpy.zeros(len(negative))])
    is_positive = is_positive[numpy.argsort(numpy.concatenate([positive, negative]))]
    places = random.integers(0, images, (RESAMPLES, images)) + images * numpy.arange(RESAMPLES)[:, None]
    drawn = numpy.bincount(places.ravel(), minlength=RESAMPLES * images).reshape(RESAMPLES, images)
    of_class, others = drawn * is_positive, drawn * (1 - is_positive)
    pairs = of_class.sum(axis=1) * others.sum(axis=1)
    wins = (of_class * (numpy.cumsum(others, axis=1) - others)).sum(axis=1)
    return numpy.quantile(wins[pairs > 0] / pairs[pairs > 0], [0.025, 0.975])


def cell(true, ends):
    low, high = numpy.array(ends).T
    return f"{100 * numpy.mean((low <= true + 1e-12) & (true <= high + 1e-12)):.1f} ({numpy.mean(high - low):.3f})"


def of_two_classes(kind, area, size, with_bootstrap=False):
    random = numpy.random.default_rng([*kind.encode(), *size, round(100 * area)])
    ends, before = [], []
    for chunk in range(10):
        positive, negative = scores(random, kind, area, *size, DRAWS // 10)
        value, low, high = intervals(positive, negative)
        ends += list(zip(low, high))
        if chunk == 0:
            odds = numpy.concatenate([positive[0], negative[0]])
            truth = numpy.repeat([1, 0], size)
            expected = score_intervals.of_area(truth, numpy.stack([-odds, odds], axis=1))
            assert numpy.allclose(expected, [low[0], high[0]], atol=1e-9), (expected, low[0], high[0])
        if with_bootstrap:
            before += [bootstrap(random, *draw) for draw in zip(positive, negative)][: BOOTSTRAPS // 10]
    return cell(area, ends) + (f" / {cell(area, before)}" if with_bootstrap else "")


def table(head, rows):
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def areas():
    rows = ([f"{p}/{q}", *(of_two_classes("normal", area, (p, q), True) for area in AREAS)] for p, q in SIZES)
    table(["positives/negatives", *(f"area {area}" for area in AREAS)], rows)


def lowest(kind, size):
    """Of the areas, the one whose interval holds least often."""
    found = [(of_two_classes(kind, area, size), area) for area in AREAS]
    worst, area = min(found, key=lambda cell: float(cell[0].split()[0]))
    return f"{worst} at {area}"


def other():
    rows = ([f"{p}/{q}", *(lowest(kind, (p, q)) for kind in OTHER)] for p, q in SIZES)
    table(["positives/negatives", *OTHER], rows)


def of_classes(random, truth, classes, skill):
    scores = random.normal(size=(len(truth), classes))
    scores[numpy.arange(len(truth)), truth] += skill
    return scores - numpy.log(numpy.exp(scores).sum(axis=1, keepdims=True) - numpy.exp(scores))


def true_mean_area(random, odds, truth):
    """Of so many images that pairs cannot be counted."""
    found = []
    for c in range(odds.shape[1]):
        order = (truth == c)[numpy.argsort(odds[:, c])]
        found.append((numpy.cumsum(~order)[order]).mean() / (~order).sum())
    return numpy.mean(found)


def classes(draws=2000):
    rows = []
    for counts in [(20,) * 3, (30, 60, 100), (20,) * 5, (100,) * 5, (10, 20, 30, 60, 100), (20,) * 10]:
        row = ["/".join(map(str, counts)) if len(set(counts)) > 1 else f"{len(counts)} classes of {counts[0]}"]
        share = numpy.array(counts) / sum(counts)
        for skill in (1.0, 2.0):
            random = numpy.random.default_rng([*counts, int(skill)])
            many = random.choice(len(counts), 200_000, p=share)
            true = true_mean_area(random, of_classes(random, many, len(counts), skill), many)
            ends = []
            while len(ends) < draws:
                truth = random.choice(len(counts), sum(counts), p=share)
                if numpy.bincount(truth, minlength=len(counts)).min() > 1:
                    ends.append(score_intervals.of_area(truth, of_classes(random, truth, len(counts), skill)))
            row.append(f"{true:.3f}: {cell(true, ends)}")
        rows.append(row)
    table(["images of each class, about", "mean area: coverage (width)", "mean area: coverage (width)"], rows)


def bootstrap_of_groups(random, right, groups, count):
    drawn = random.integers(0, count, (RESAMPLES, count))
    sizes, sums = numpy.bincount(groups, minlength=count), numpy.bincount(groups, right, minlength=count)
    return numpy.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])


def groups(draws=2000):
    rows = []
    for count in (3, 5, 10, 20, 50):
        for sizes in ("20 each", "1 to 100"):
            row = [f"{count}, {sizes}"]
            for accuracy, alike in [(0.9, 0.0), (0.9, 0.1), (0.9, 0.4)]:
                random = numpy.random.default_rng([count, len(sizes), round(100 * accuracy), round(10 * alike)])
                found = {"groups": [], "images": [], "bootstrap": []}
                for _ in range(draws):
                    drawn = numpy.exp(random.normal(2.5, 1, count)).round().clip(1, 100).astype(int)
                    size = numpy.full(count, 20) if sizes == "20 each" else drawn
                    each = numpy.full(count, accuracy)
                    if alike > 0:
                        each = random.beta(accuracy * (1 / alike - 1), (1 - accuracy) * (1 / alike - 1), count)
                    of = numpy.repeat(numpy.arange(count), size)
                    right = (random.random(len(of)) < each[of]).astype(float)
                    found["groups"].append(score_intervals.of_accuracy_by_groups(right, of))
                    found["images"].append(score_intervals.wilson(right.mean(), 1 / len(right), 1e9))
                    found["bootstrap"].append(bootstrap_of_groups(random, right, of, count))
                row.append(" / ".join(cell(accuracy, ends) for ends in found.values()))
            rows.append(row)
    table(["groups, images in each", *(f"90 %, alike {alike}" for alike in (0, 0.1, 0.4))], rows)


if __name__ == "__main__":
    for name in sys.argv[1:] or ["areas", "other", "classes", "groups"]:
        print(f"## {name}\n")
        {"areas": areas, "other": other, "classes": classes, "groups": groups}[name]()
