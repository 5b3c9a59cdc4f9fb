"""What scikit-learn makes of a small set of points: the numbers in the tests of src/experiments/.

    python scripts/sklearn_reference.py [--write]

The points are tests/fixtures/latents/points.csv: 200 rows of a label 0 to 3 and eight coordinates. With --write they
are drawn anew, from four Gaussians that overlap. Needs NumPy and scikit-learn; the tests hold what scikit-learn 1.9.1
with NumPy 2.4.6 printed.
"""
import pathlib
import sys

import numpy
import sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE, trustworthiness
from sklearn.manifold._t_sne import _gradient_descent, _joint_probabilities, _kl_divergence
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import StandardScaler

POINTS = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "latents" / "points.csv"


def write():
    random = numpy.random.default_rng(5)
    labels = numpy.arange(200) % 4
    centres = random.normal(0.0, 2.0, (4, 8))
    spread = random.uniform(0.5, 3.0, 8)
    points = centres[labels] + random.normal(0.0, 1.0, (200, 8)) * spread
    lines = (",".join([str(label)] + [f"{x:.3f}" for x in row]) for label, row in zip(labels, points))
    POINTS.parent.mkdir(parents=True, exist_ok=True)
    POINTS.write_text("\n".join(lines) + "\n")


def show(name, numbers):
    numbers = numpy.atleast_2d(numpy.asarray(numbers, dtype=numpy.float64))
    print(f"{name} {numbers.shape}")
    for row in numbers:
        print("[" + ", ".join(f"{x:.9f}" for x in row) + "],")


def main():
    if "--write" in sys.argv:
        write()
    print("scikit-learn", sklearn.__version__, "NumPy", numpy.__version__)
    table = numpy.loadtxt(POINTS, delimiter=",")
    labels, points = table[:, 0].astype(int), table[:, 1:].astype(numpy.float32).astype(numpy.float64)

    pca = PCA(n_components=2, svd_solver="full").fit(points)
    show("PCA: axes", pca.components_)
    show("PCA: variances", pca.explained_variance_)
    show("PCA: total variance", numpy.var(points, axis=0, ddof=1).sum())
    show("PCA: the first three points", pca.transform(points)[:3])

    train, held_out = slice(0, 150), slice(150, 200)
    scaler = StandardScaler().fit(points[train])
    probe = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(scaler.transform(points[train]), labels[train])
    show("logistic regression: weights", probe.coef_)
    show("logistic regression: intercepts", probe.intercept_)
    show("logistic regression: probabilities", probe.predict_proba(scaler.transform(points[held_out]))[:5])
    print("right of 50 held out:", (probe.predict(scaler.transform(points[held_out])) == labels[held_out]).sum())

    two = labels % 2
    probe = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(scaler.transform(points[train]), two[train])
    show("of two labels: weights and intercept", numpy.append(probe.coef_, probe.intercept_))
    show("of two labels: probabilities", probe.predict_proba(scaler.transform(points[held_out]))[:5])
    print("right of 50 held out:", (probe.predict(scaler.transform(points[held_out])) == two[held_out]).sum())

    # Beyond some twenty steps t-SNE is chaotic: starts that differ by a millionth end in different layouts. So the first
    # steps are compared point by point, and the ends by how good they are.
    plane = pca.transform(points)
    start = plane / plane[:, 0].std() * 1e-4
    similarities = _joint_probabilities(pairwise_distances(points, squared=True), 30.0, 0)
    after, _, _ = _gradient_descent(
        _kl_divergence, start.ravel(), 0, 5, momentum=0.5, learning_rate=50.0, args=[12.0 * similarities, 1, 200, 2]
    )
    show("t-SNE: the first three points after five steps", after.reshape(200, 2)[:3])
    ends = []
    for seed in range(8):
        begin = start * (1.0 + 1e-6 * numpy.random.default_rng(seed).normal(size=start.shape))
        tsne = TSNE(method="exact", init=begin, perplexity=30.0, learning_rate="auto", random_state=0)
        view = tsne.fit_transform(points)
        ends.append([tsne.kl_divergence_, trustworthiness(points, view, n_neighbors=5)])
    show("t-SNE: divergence and trustworthiness (5 neighbours) from eight starts", ends)
    show("t-SNE: their means", numpy.mean(ends, axis=0))
    print("PCA: trustworthiness, 5 neighbours", trustworthiness(points, plane, n_neighbors=5))


if __name__ == "__main__":
    main()
