"""Six pixels by hand, empty masks, and distances between borders that can be counted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import hausdorff_distance

from vislab.errors import DataError, ShapeError
from vislab.metrics import (
    boundary_f1,
    confusion,
    dice,
    hausdorff95,
    jaccard,
    sensitivity,
    specificity,
)

TRUTH = np.array([[[0, 0, 1], [1, 2, 255]], [[0, 0, 0], [0, 0, 0]]], dtype=np.uint8)
PRED = np.array([[[0, 1, 1], [1, 0, 2]], [[0, 0, 0], [0, 0, 0]]])


def mask(rows, columns, *, size=(20, 30)):
    found = np.zeros(size, dtype=bool)
    found[rows, columns] = True
    return found


def test_a_confusion_by_hand():
    """Five pixels count: 0 as 0, 0 as 1, 1 as 1 twice, 2 as 0; the void one does not."""
    table = confusion(PRED, TRUTH, 3)
    assert table[0].tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert table[1].tolist() == [[6, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert confusion(PRED, np.full_like(TRUTH, 7), 3, void=7).sum() == 0
    assert confusion(PRED[:0], TRUTH[:0], 3).shape == (0, 3, 3)


def test_the_four_scores_by_hand():
    """Class 0: tp 1, fp 1, fn 1, tn 2. Class 1: 2, 1, 0, 2. Class 2: 0, 0, 1, 4."""
    table = confusion(PRED, TRUTH, 3)
    np.testing.assert_allclose(dice(table)[0], [1 / 2, 4 / 5, 0])
    np.testing.assert_allclose(jaccard(table)[0], [1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(sensitivity(table)[0], [1 / 2, 1, 0])
    np.testing.assert_allclose(specificity(table)[0], [2 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("true", "predictions", "expected"),
    [
        ([0, 0], [0, 0], (1, 1, 1, 1)),  # neither there nor predicted
        ([0, 0], [0, 1], (0, 0, 0, 1 / 2)),  # predicted, not there
        ([0, 1], [0, 0], (0, 0, 0, 1)),  # there, not predicted
        ([1, 1], [1, 1], (1, 1, 1, 1)),  # there is nothing else, and nothing else was said
        ([1, 1], [1, 0], (2 / 3, 1 / 2, 1 / 2, 0)),  # there is nothing else, and else was said
        ([255, 255], [1, 1], (1, 1, 1, 1)),  # nothing counts
    ],
)
def test_empty_masks_have_values(true, predictions, expected):
    table = confusion(np.array([[predictions]]), np.array([[true]]), 2)
    found = [score(table)[0, 1] for score in (dice, jaccard, sensitivity, specificity)]
    np.testing.assert_allclose(found, expected)


@given(st.integers(0, 9999), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_scores_are_what_sets_of_pixels_give(seed, classes):
    generator = np.random.default_rng(seed)
    targets, pred = generator.integers(classes, size=(2, 2, 5, 4))
    targets[generator.random(targets.shape) < 0.2] = 255
    table = confusion(pred, targets, classes)
    assert table.sum() == (targets != 255).sum()
    for image in range(2):
        seen = targets[image] != 255
        for kind in range(classes):
            a, b = (pred[image] == kind) & seen, (targets[image] == kind) & seen
            if a.any() and b.any():
                shared, either = (a & b).sum(), (a | b).sum()
                assert dice(table)[image, kind] == pytest.approx(2 * shared / (a.sum() + b.sum()))
                assert jaccard(table)[image, kind] == pytest.approx(shared / either)
                assert sensitivity(table)[image, kind] == pytest.approx(shared / b.sum())
    np.testing.assert_allclose(jaccard(table), dice(table) / (2 - dice(table)))


@pytest.mark.parametrize(
    ("pred", "targets", "message"), [(3, 0, "prediction has class 3"), (0, 9, "target has class 9")]
)
def test_a_class_that_is_not_there_is_refused(pred, targets, message):
    with pytest.raises(DataError, match=message):
        confusion(np.array([[[pred]]]), np.array([[[targets]]]), 3)


def test_borders_a_known_way_apart():
    """Two columns of 10 pixels, 7 apart; then a rectangle that one 3 away at each side holds."""
    assert hausdorff95(mask(slice(5, 15), 4), mask(slice(5, 15), 11)) == 7.0
    inner, outer = mask(slice(5, 9), slice(8, 20)), mask(slice(2, 12), slice(5, 23))
    # From the inner border all are 3 away; of the outer 52 the 4 corners √18, more than 5 %.
    assert hausdorff95(inner, outer) == pytest.approx(math.sqrt(18))


def test_a_far_speck_of_less_than_a_twentieth_is_left_out():
    clean = mask(slice(2, 18), slice(2, 18))  # a border of 60 pixels
    speck = clean.copy()
    speck[10, 29] = True
    assert hausdorff95(speck, clean) == 0.0
    assert hausdorff_distance(speck, clean) == 12.0
    assert hausdorff95(mask(10, 29), clean) == hausdorff95(clean, mask(10, 29)) > 12.0


def test_empty_masks_are_a_diagonal_away_and_equal_ones_nothing():
    none, some = mask(0, slice(0, 0)), mask(3, slice(4, 9))
    assert hausdorff95(none, none) == 0.0
    assert hausdorff95(none, some) == hausdorff95(some, none) == pytest.approx(math.hypot(20, 30))
    assert hausdorff95(some, some) == 0.0
    assert (boundary_f1(none, none), boundary_f1(none, some), boundary_f1(some, some)) == (1, 0, 1)


@given(st.integers(0, 9999))
@settings(max_examples=25, deadline=None)
def test_distances_are_those_of_every_border_pixel_to_every_other(seed):
    generator = np.random.default_rng(seed)
    masks = generator.random((2, 9, 7)) < generator.uniform(0.05, 0.9)
    masks[:, generator.integers(9), generator.integers(7)] = True
    borders = []
    for one in masks:
        wide = np.pad(one, 1)
        inside = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
        borders.append(np.argwhere(one & ~inside))
    apart = np.linalg.norm(borders[0][:, None] - borders[1][None], axis=2)
    there, back = apart.min(axis=1), apart.min(axis=0)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hausdorff95(*masks) == pytest.approx(expected)
    near, far = (there <= 1.5).mean(), (back <= 1.5).mean()
    wanted = 2 * near * far / (near + far) if near + far else 0.0
    assert boundary_f1(*masks, tolerance=1.5) == pytest.approx(wanted)


def test_the_tolerance_of_a_border_is_a_share_of_the_diagonal():
    """0.75 % of √(120² + 160²) = 200 is 1.5 pixels."""
    size = (120, 160)
    one = mask(50, slice(10, 40), size=size)
    assert boundary_f1(one, mask(51, slice(10, 40), size=size)) == 1.0
    assert boundary_f1(one, mask(52, slice(10, 40), size=size)) == 0.0


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ShapeError, match="does not fit"):
        hausdorff95(np.ones((2, 3), dtype=bool), np.ones((3, 2), dtype=bool))
