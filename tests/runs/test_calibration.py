import math

import numpy as np
import pytest

from vislab.runs.calibration import calibration


def test_four_images_by_hand():
    # Bins of a half: (0, 0.5] holds 0.2 (wrong) and 0.5 (right), (0.5, 1] holds 0.9 and 1.0, one
    # right. ECE = 2/4 · |0.5 − 0.35| + 2/4 · |0.5 − 0.95| = 0.075 + 0.225.
    found = calibration(
        np.array([0.5, 0.9, 0.2, 1.0]), np.array([True, False, False, True]), bins=2
    )
    low, high = found.bins
    assert (low.count, low.accuracy, low.confidence) == (2, 0.5, pytest.approx(0.35))
    assert (high.count, high.accuracy, high.confidence) == (2, 0.5, pytest.approx(0.95))
    assert found.error == pytest.approx(0.3)


def test_an_edge_belongs_to_the_bin_below_it_and_zero_to_the_first():
    confidence = np.arange(16) / 15
    found = calibration(confidence, np.ones(16, dtype=bool))
    assert [b.count for b in found.bins] == [2] + [1] * 14
    assert (found.bins[0].low, found.bins[-1].high) == (0.0, 1.0)


def test_the_error_is_that_of_a_plain_loop():
    rng = np.random.default_rng(3)
    confidence, correct = rng.beta(4, 2, 211), rng.random(211) < 0.6
    wanted = 0.0
    for m in range(1, 8):
        inside = [k for k, c in enumerate(confidence) if m == max(1, math.ceil(c * 7))]
        if inside:
            accuracy = sum(correct[k] for k in inside) / len(inside)
            said = sum(confidence[k] for k in inside) / len(inside)
            wanted += len(inside) / 211 * abs(accuracy - said)
    assert calibration(confidence, correct, bins=7).error == pytest.approx(wanted, rel=1e-12)


def test_one_that_is_always_sure_and_never_right_is_wholly_wrong():
    assert calibration(np.ones(5), np.zeros(5, dtype=bool)).error == 1.0


def test_no_images_leave_empty_bins():
    found = calibration(np.array([]), np.array([], dtype=bool))
    assert found.error == 0.0
    assert len(found.bins) == 15
    assert all(b.count == 0 and b.accuracy is None for b in found.bins)
