"""The ladder of shares: every value, interval and name stands where it should."""

import numpy as np
import pytest

from vislab.runs import figures

RUNGS = ("none", "flip", "crop")
SERIES = {
    "plain": [(0.5, (0.4, 0.6)), (0.55, (0.5, 0.6)), (0.7, (0.6, 0.9))],
    "noise": [(0.4, (0.3, 0.5)), (0.45, (0.4, 0.5)), (0.3, (0.2, 0.35))],
}


@pytest.fixture(scope="module")
def axes():
    return figures.ladder(RUNGS, SERIES, chance=0.1).axes[0]


def test_every_value_and_interval_is_drawn(axes):
    assert [label.get_text() for label in axes.get_xticklabels()] == list(RUNGS)
    for drawn, steps in zip(axes.containers, SERIES.values(), strict=True):
        line, _, bars = drawn
        assert np.allclose(line.get_ydata(), [value for value, _ in steps])
        spans = np.array([segment[:, 1] for segment in bars[0].get_segments()])
        assert np.allclose(spans, [span for _, span in steps])


def test_the_lines_stand_apart_and_near_their_rung(axes):
    places = np.array([drawn[0].get_xdata() for drawn in axes.containers])
    assert np.allclose(places.mean(axis=0), range(3))
    assert (np.abs(places - np.arange(3)) < 0.3).all()
    assert not np.isclose(places[0], places[1]).any()


def test_names_and_chance_stand_at_the_ends(axes):
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == ["chance", "noise", "plain"]
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights["chance"] < heights["noise"] < heights["plain"]
