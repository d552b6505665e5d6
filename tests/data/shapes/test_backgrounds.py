"""Backgrounds at points where their value is known."""

import numpy as np
import pytest

from vislab.data.shapes.backgrounds import BACKGROUND_KINDS, background_mix, heights

KINDS = ("flat", "slope", "spot", "bars", "clouds")


def mix(name: str, size: int, angle_degrees: float = 0.0, frequency: float = 4.0, key: int = 5):
    """Return one background, (size, size)."""
    angle = np.radians(angle_degrees)
    direction = np.array([[np.cos(angle), np.sin(angle)]], dtype=np.float32)
    kind = np.array([KINDS.index(name)])
    one = np.ones(1, dtype=np.float32)
    return background_mix(kind, direction, frequency * one, np.array([key], dtype=np.uint64), size)[
        0
    ]


def test_the_backgrounds_are_the_five_that_are_named():
    assert tuple(BACKGROUND_KINDS) == KINDS


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("angle", [0, 33, 200])
def test_a_background_stays_between_its_two_colours(name, angle):
    t = mix(name, 37, angle)
    assert t.dtype == np.float32
    assert t.min() >= 0
    assert t.max() <= 1
    assert np.ptp(t) > 0.5 or name == "flat"


def test_a_flat_one_is_halfway():
    assert (mix("flat", 9) == 0.5).all()


def test_a_slope_rises_along_its_direction_and_only_there():
    right, down = mix("slope", 20), mix("slope", 20, 90)
    assert (np.diff(right, axis=1) > 0).all()
    np.testing.assert_allclose(np.diff(right, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(down, right.T, atol=1e-6)
    np.testing.assert_allclose(right.mean(), 0.5, atol=1e-5)


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_a_spot_is_round_and_a_fifth_of_the_side_off_the_centre(angle):
    t = mix("spot", 50, angle)
    y, x = np.unravel_index(t.argmin(), t.shape)
    wanted_x = 0.5 + 0.2 * np.cos(np.radians(angle))
    wanted_y = 0.5 + 0.2 * np.sin(np.radians(angle))
    assert abs((x + 0.5) / 50 - wanted_x) <= 0.021
    assert abs((y + 0.5) / 50 - wanted_y) <= 0.021
    ticks = (np.arange(50) + 0.5) / 50
    square = (ticks - wanted_x) ** 2 + (ticks[:, None] - wanted_y) ** 2
    np.testing.assert_allclose(t, np.minimum(1.6 * square, 1), atol=1e-5)


def test_bars_repeat_as_often_as_their_frequency_says():
    row = mix("bars", 240, frequency=4)[0]
    np.testing.assert_allclose(row[:180], row[60:], atol=1e-4)
    assert np.abs(row[:210] - row[30:]).max() > 0.5


def test_heights_pass_through_their_lattice_and_stay_between_its_numbers():
    lattice = np.random.default_rng(0).random((2, 5, 5), dtype=np.float32)
    fine = heights(lattice, 404)  # four cells of 101 pixels, whose middles are pixels 50, 151, …
    edges = np.array([101, 202, 303])
    np.testing.assert_allclose(fine[:, edges[:, None], edges], lattice[:, 1:4, 1:4], atol=2e-3)
    middle = fine[:, 50, 50]
    np.testing.assert_allclose(middle, lattice[:, :2, :2].mean(axis=(1, 2)), atol=1e-5)
    assert fine.min() >= lattice.min()
    assert fine.max() <= lattice.max()


def test_clouds_come_from_the_key_and_vary_both_ways():
    clouds = mix("clouds", 64)
    np.testing.assert_array_equal(clouds, mix("clouds", 64, angle_degrees=70, frequency=3))
    assert np.abs(clouds - mix("clouds", 64, key=6)).mean() > 0.05
    assert np.ptp(clouds.mean(axis=0)) > 0.1
    assert np.ptp(clouds.mean(axis=1)) > 0.1
