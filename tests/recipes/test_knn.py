"""k nearest neighbours: the accuracy of scikit-learn's, the k of the cross-validation."""

import csv

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tests.recipes.smoke import SIZE, smoked
from vislab import data

K_CHOICES = (1, 3, 4, 9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return smoked("knn", tmp_path_factory.mktemp("knn") / "run", k_choices=K_CHOICES)


def rows(split):
    subset = data.images("shapes:easy", size=SIZE, per_class=6, validation=0.2).split(split)
    # Channels first, as a row of the course's; a distance does not mind.
    pixels = subset.take(slice(None)).transpose(0, 3, 1, 2).reshape(len(subset), -1) / 255
    return pixels, np.asarray(subset.labels)


def table(run, title):
    (entry,) = (known for known in run.result.tables if known["title"] == title)
    with (run.path / entry["file"]).open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("k", K_CHOICES)
def test_its_accuracy_is_scikit_learns_on_the_same_images(k, tmp_path, run):
    if run.result.metrics["best k"] != k:
        run = smoked("knn", tmp_path / "run", k_choices=(k,))
    assert run.result.metrics["best k"] == k
    theirs = KNeighborsClassifier(k, algorithm="brute").fit(*rows("train"))
    pixels, labels = rows("test")
    assert len(labels) == 2000
    # One image may tie within the rounding of float32.
    assert run.result.metrics["test/accuracy"] == pytest.approx(
        theirs.score(pixels, labels), abs=1.5 / 2000
    )


def test_the_best_k_is_that_of_the_highest_mean_over_the_folds(run):
    found = {
        int(row["k"]): sum(float(row[f"fold {n}"]) for n in (1, 2))
        for row in table(run, "cross-validation")
    }
    assert tuple(found) == K_CHOICES
    best = max(found.values())
    assert run.result.metrics["best k"] == min(k for k, share in found.items() if share == best)


def test_chance_and_interval_stand_beside_the_accuracy(run):
    metrics, accuracy = run.result.metrics, run.result.metrics["test/accuracy"]
    low, high = run.result.intervals["test/accuracy"]
    assert run.result.trivial["test/accuracy"] == 0.1
    assert low < accuracy < high
    assert metrics["test/accuracy above chance"] == pytest.approx(accuracy - 0.1)
    assert run.result.intervals["test/accuracy above chance"] == pytest.approx(
        (low - 0.1, high - 0.1)
    )


def test_three_ways_to_compute_distances_agree(run):
    found = table(run, "three ways to compute distances")
    assert [row["way"] for row in found] == ["two loops", "one loop", "no loop"]
    assert all(float(row["relative error"]) < 1e-5 for row in found)


def test_fewer_images_are_tried_up_to_all_there_are(run):
    found = table(run, "best k by number of images")
    assert [row["training images"] for row in found] == ["20", "60"]
    assert all(int(row["best k"]) in K_CHOICES for row in found)


def test_an_amount_smaller_than_every_k_can_be_asked_for(tmp_path):
    smoked("knn", tmp_path / "run", amounts=(2,), k_choices=(3, 4))
