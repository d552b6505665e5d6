"""One detection of every type, and what was missed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.test_detection import random_split
from tests.metrics.test_detection_matching import found, there
from vislab.metrics import LABELS, average_precision, errors_of

TRUTH = there(
    (0, (0, 10), 0),  # found, twice
    (0, (20, 30), 0),  # only at the wrong place
    (0, (40, 50), 1),  # only as the wrong class
    (0, (60, 70), 1),  # only touched by another class
    (1, (0, 10), 1),  # seen by no one
    (1, (50, 60), "crowd"),
)
ROWS = (
    ("right", (0, (0, 9), 0.9, 0)),
    ("duplicate", (0, (1, 10), 0.8, 0)),
    ("localisation", (0, (26, 34), 0.8, 0)),  # 4 of 14
    ("class", (0, (40, 49), 0.8, 0)),
    ("both", (0, (66, 74), 0.8, 0)),
    ("background", (0, (99, 109), 0.8, 0)),
    ("background", (0, (69, 79), 0.8, 1)),  # 1 of 19 is nothing
    ("background", (2, (0, 10), 0.8, 0)),  # an image without objects
    ("background", (1, (51, 60), 0.8, 1)),  # over a crowd of another class
    (None, (1, (52, 56), 0.8, 0)),  # in the crowd
    (None, (1, (0, 10), 0.4, 1)),  # scores too low
)


def test_every_type_by_hand():
    errors = errors_of(found(*(row for _, row in ROWS)), TRUTH, 2)
    labels = [None if place < 0 else LABELS[place] for place in errors.label]
    assert labels == [name for name, _ in ROWS]
    # Place and class errors take their objects out of the missed; "both" does not.
    assert errors.missed.tolist() == [False, False, False, True, True, False]
    assert {name: count.tolist() for name, count in errors.counts.items()} == {
        "right": [1, 0],
        "localisation": [1, 0],
        "class": [1, 0],
        "duplicate": [1, 0],
        "both": [1, 0],
        "background": [2, 2],
        "missed": [0, 2],
    }


@pytest.mark.parametrize(
    ("end", "label", "name"),
    [
        (5, 0, "right"),  # the limits belong to the type above
        (4.99, 0, "localisation"),
        (1, 0, "localisation"),
        (0.99, 0, "background"),
        (5, 1, "class"),
        (4.99, 1, "both"),
        (1, 1, "both"),
        (0.99, 1, "background"),
    ],
)
def test_limits_belong_to_the_nearer_type(end, label, name):
    errors = errors_of(found((0, (0, end), 0.9, label)), there((0, (0, 10))), 2)
    assert LABELS[errors.label[0]] == name


def test_nothing_found_is_all_missed_and_nothing_there_all_background():
    errors = errors_of(found(), TRUTH, 2)
    assert errors.counts["missed"].tolist() == [2, 3]
    errors = errors_of(found((0, (0, 1), 0.9), (3, (0, 1), 0.9, 1)), there(), 2)
    assert errors.counts["background"].tolist() == [1, 1]


@given(st.integers(0, 99_999))
@settings(max_examples=25, deadline=None)
def test_all_are_labelled_once_and_the_right_ones_are_those_of_average_precision(seed):
    detections, targets = random_split(seed, images=3)
    errors = errors_of(detections, targets, 3, score=0.3)
    counted = detections.take(detections.score >= 0.3)
    curves = average_precision(counted, targets, 3, how="coco-101").curves
    for label in range(3):
        to_find = int(((targets.label == label) & ~targets.ignored).sum())
        labelled = sum(int(errors.counts[name][label]) for name in LABELS)
        assert labelled == len(curves[label].recall)
        if to_find and labelled:
            right = curves[label].recall[-1] * to_find
            assert errors.counts["right"][label] == pytest.approx(right)
        missed = errors.counts["missed"][label]
        assert missed <= to_find - errors.counts["right"][label]
    assert not (errors.missed & targets.ignored).any()
    assert (errors.label[detections.score < 0.3] == -1).all()
    assert np.isin(errors.label, np.arange(-1, len(LABELS))).all()
