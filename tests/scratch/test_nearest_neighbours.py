"""Neighbours: three ways to the same distances, votes and ties, folds that share out the data."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from vislab.errors import OptionError, ShapeError
from vislab.ops.seeding import generator
from vislab.scratch import (
    KnnClassifier,
    compute_distances_no_loops,
    compute_distances_one_loop,
    compute_distances_two_loops,
    knn_cross_validate,
    knn_get_best_k,
    nearest_neighbours,
    predict_labels,
)

WAYS = [compute_distances_two_loops, compute_distances_one_loop, compute_distances_no_loops]
each_way = pytest.mark.parametrize("way", WAYS)


def images(rng, n, *shape):
    return torch.randn(n, *shape, dtype=torch.float64, generator=rng)


@each_way
@settings(deadline=None, max_examples=20)
@given(
    n=st.integers(1, 6), m=st.integers(1, 6), seed=st.integers(0, 999),
    shape=st.sampled_from([(1,), (4,), (3, 2, 2)]),
)  # fmt: skip
def test_distances_are_the_squares_of_torchs(way, n, m, seed, shape):
    draws = generator("distances", seed)
    train, test = images(draws, n, *shape), images(draws, m, *shape)
    told = torch.cdist(
        train.flatten(1), test.flatten(1), compute_mode="donot_use_mm_for_euclid_dist"
    )
    torch.testing.assert_close(way(train, test), told**2, rtol=1e-12, atol=1e-12)


@each_way
def test_distances_by_hand(way):
    train = torch.tensor([[0.0, 0.0], [3.0, 4.0], [-1.0, 2.0]])
    assert way(train, torch.tensor([[3.0, 0.0], [0.0, 0.0]])).tolist() == [
        [9, 0],
        [16, 25],
        [20, 5],
    ]


@each_way
def test_no_distance_is_below_zero(way, rng):
    far = 1e4 + torch.randn(20, 30, generator=rng)  # float32: the squares lose all that differs
    dists = way(far, far)
    assert dists.ge(0).all()
    assert dists.dtype == torch.float32


@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 30), m=st.integers(1, 8), seed=st.integers(0, 999), data=st.data())
def test_both_ways_to_predict_agree_with_sklearn_where_no_votes_tie(n, m, seed, data):
    draws = generator("votes", seed)
    train, test = images(draws, n, 2, 2), images(draws, m, 2, 2)
    y = torch.randint(3, (n,), generator=draws)
    k = data.draw(st.integers(1, n))
    told = KNeighborsClassifier(n_neighbors=k, algorithm="brute").fit(train.flatten(1), y)
    shares = (
        torch.as_tensor(told.predict_proba(test.flatten(1))).sort(dim=1, descending=True).values
    )
    clear = (shares[:, 0] - shares[:, 1] > 1e-9) if shares.shape[1] > 1 else torch.ones(m).bool()
    wanted = torch.as_tensor(told.predict(test.flatten(1)))
    by_distances = predict_labels(compute_distances_no_loops(train, test), y, k)
    assert by_distances[clear].equal(wanted[clear])
    assert KnnClassifier(train, y).predict(test, k).equal(by_distances)


@pytest.mark.parametrize(
    ("labels", "k", "said"),
    [
        ([3, 1, 0, 0], 1, 3),
        ([3, 1, 0, 0], 2, 1),  # one each
        ([3, 1, 0, 0], 3, 0),  # one each, and 0 is the farthest of them
        ([2, 2, 1, 1], 4, 1),  # two each
        ([2, 2, 1, 1], 3, 2),
        ([0, 5, 5, 0], 3, 5),
    ],
)
def test_of_labels_with_as_many_votes_the_smallest_wins(labels, k, said):
    train, test = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([[0.0]])
    y = torch.tensor(labels)
    knn = KnnClassifier(train, y)
    assert knn.predict(test, k).tolist() == [said] == knn.vote(torch.arange(k)[None]).tolist()
    assert predict_labels(compute_distances_no_loops(train, test), y, k).tolist() == [said]


def test_neighbours_come_nearest_first():
    train, y = torch.tensor([[5.0], [1.0], [-2.0], [0.5]]), torch.arange(4)
    found = KnnClassifier(train, y).nearest(torch.tensor([[0.0], [4.0]]), 3)
    assert found.tolist() == [[3, 1, 2], [0, 1, 3]]


@pytest.mark.parametrize("bytes_at_once", [1, 13 * 8 * 2, 13 * 8 * 3 + 5, 1 << 20])
def test_the_size_of_a_block_changes_nothing(bytes_at_once, rng, monkeypatch):
    train, test = images(rng, 13, 3), images(rng, 7, 3)
    y = torch.randint(3, (13,), generator=rng)
    wanted = compute_distances_two_loops(train, test).T.sort(dim=1).indices[:, :5]
    blocks = []
    split = torch.split
    monkeypatch.setattr(torch, "split", lambda *given: blocks.append(split(*given)) or blocks[-1])
    monkeypatch.setattr(nearest_neighbours, "BLOCK_BYTES", bytes_at_once)
    assert KnnClassifier(train, y).nearest(test, 5).equal(wanted)
    rows = max(1, bytes_at_once // (13 * 8))
    assert [len(block) for block in blocks[0]] == [len(p) for p in range_in_parts(7, rows)]


def range_in_parts(count, size):
    return [range(count)[i : i + size] for i in range(0, count, size)]


def test_every_training_image_is_its_own_neighbour_and_accuracy_is_a_share(rng):
    train, y = images(rng, 12, 2, 3), torch.randint(4, (12,), generator=rng)
    knn = KnnClassifier(train, y)
    assert knn.nearest(train, 1)[:, 0].tolist() == list(range(12))
    assert knn.check_accuracy(train, y) == 1
    wrong = y.clone()
    wrong[:3] += 1
    assert knn.check_accuracy(train, wrong) == 9 / 12


def folds_of(monkeypatch, n, num_folds, k_choices=(1,)):
    """Return what was remembered and what was asked about, fold by fold, and the accuracies."""
    seen = []

    class Watched(KnnClassifier):
        def nearest(self, x, *args, **options):
            seen.append((self.x_train[:, 0].tolist(), x[:, 0].tolist()))
            return super().nearest(x, *args, **options)

    monkeypatch.setattr(nearest_neighbours, "KnnClassifier", Watched)
    x = torch.arange(float(n))[:, None]
    found = knn_cross_validate(x, torch.arange(n) % 2, num_folds, k_choices)
    return seen, found


@pytest.mark.parametrize(("n", "num_folds"), [(6, 3), (7, 3), (6, 4), (11, 4), (5, 5), (9, 2)])
def test_every_image_is_asked_about_once_and_not_remembered_then(n, num_folds, monkeypatch):
    seen, found = folds_of(monkeypatch, n, num_folds)
    assert len(seen) == num_folds == len(found[1])
    assert sorted(x for _, asked in seen for x in asked) == list(range(n))
    sizes = [len(asked) for _, asked in seen]
    assert max(sizes) - min(sizes) <= 1
    for known, asked in seen:
        assert sorted(known + asked) == list(range(n))


def test_folds_are_drawn_and_always_the_same(monkeypatch):
    first, found = folds_of(monkeypatch, 12, 3)
    with monkeypatch.context() as again:
        assert folds_of(again, 12, 3) == (first, found)
    assert [asked for _, asked in first] != [[*map(float, part)] for part in range_in_parts(12, 4)]


def test_accuracies_of_a_fold_are_those_of_a_classifier_without_it(rng, monkeypatch):
    x, y = images(rng, 17, 3), torch.randint(3, (17,), generator=rng)
    marked = torch.cat([torch.arange(17.0)[:, None].double() * 1e-9, x], dim=1)
    asked = []
    monkeypatch.setattr(
        nearest_neighbours, "KnnClassifier",
        lambda known, labels: asked.append(known) or KnnClassifier(known, labels),
    )  # fmt: skip
    found = knn_cross_validate(marked, y, 4, [5, 1, 3, 1])
    assert list(found) == [1, 3, 5]
    for fold, known in enumerate(asked):
        inside = (known[:, 0] / 1e-9).round().long()
        outside = torch.tensor([n for n in range(17) if n not in inside.tolist()])
        for k, accuracies in found.items():
            alone = KnnClassifier(marked[inside], y[inside])
            assert accuracies[fold] == alone.check_accuracy(marked[outside], y[outside], k)


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ({1: [0.5, 0.7], 3: [0.9, 0.2], 5: [0.6, 0.7]}, 5),
        ({8: [0.5, 0.75], 3: [0.75, 0.5], 5: [0.25, 1.0]}, 3),  # all the same mean
        ({1: [0.0], 2: [0.0]}, 1),
    ],
)
def test_the_best_k_has_the_highest_mean_and_is_the_smallest_of_equals(accuracies, best):
    assert knn_get_best_k(accuracies) == best


@pytest.mark.parametrize("k", [0, 5, -1])
def test_more_neighbours_than_images_are_refused(k):
    train, y = torch.zeros(4, 2), torch.zeros(4, dtype=torch.long)
    wanted = f"k is {k}, wanted 1 to 4, the number of training images"
    with pytest.raises(OptionError, match=wanted):
        KnnClassifier(train, y).predict(train, k)
    with pytest.raises(OptionError, match=wanted):
        predict_labels(torch.zeros(4, 2), y, k)


@pytest.mark.parametrize("num_folds", [0, 1, 5])
def test_a_number_of_folds_that_makes_no_sense_is_refused(num_folds):
    with pytest.raises(OptionError, match=f"num_folds is {num_folds}, wanted 2 to 4"):
        knn_cross_validate(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), num_folds)


@each_way
def test_images_of_another_size_are_refused(way):
    with pytest.raises(ShapeError, match=r"x_test has shape \(2, 5\), wanted \(2, 4\)"):
        way(torch.zeros(3, 2, 2), torch.zeros(2, 5))
