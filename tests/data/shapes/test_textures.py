"""Textures at points where their value is known."""

import numpy as np
import pytest

from vislab.data.shapes.textures import TEXTURES, bands, texture_mix, triangle_wave


def at(name: str, x: list[float], y: list[float], frequency: float = 2.0) -> list[float]:
    """Return the texture's values at points in radii, 1000 pixels a radius."""
    points = np.array([x], dtype=np.float32), np.array([y], dtype=np.float32)
    number = np.array([list(TEXTURES).index(name)])
    one = np.ones(1, dtype=np.float32)
    return texture_mix(number, frequency * one, 1000 * one, *points)[0].tolist()


def test_the_textures_are_the_five_that_are_named():
    assert tuple(TEXTURES) == ("plain", "stripes", "checker", "dots", "gradient")


def test_plain_is_one_colour():
    assert at("plain", [0, 0.3, -0.9], [0.1, 0.5, 0.9]) == [0, 0, 0]


def test_stripes_run_along_x_two_to_the_period():
    y = [-0.25, 0.0, 0.25, 0.5, 0.75]  # half a period each
    one_way = at("stripes", [0.1] * 5, [place + 0.125 for place in y])
    assert one_way == [0, 1, 0, 1, 0]
    assert one_way == at("stripes", [-0.7] * 5, [place + 0.125 for place in y])


def test_neighbouring_squares_of_a_checker_differ_and_diagonal_ones_do_not():
    side = 0.5 / (0.75 * 2.0)  # of a square, in radii
    centres = [side * k for k in (-2, -1, 0, 1, 2)]
    board = np.array([at("checker", centres, [y] * 5) for y in centres])
    assert set(board.ravel()) == {0.0, 1.0}
    assert (board[:, 1:] != board[:, :-1]).all()
    assert (board[1:] != board[:-1]).all()


def test_four_dots_lie_around_the_centre_each_three_tenths_of_a_period_in_radius():
    inside, outside = 0.25 + 0.29 / 2, 0.25 + 0.31 / 2
    assert at("dots", [0.25, -0.25, inside, 0.75], [0.25, 0.25, -0.25, inside]) == [1, 1, 1, 1]
    assert at("dots", [0, 0.25, outside, 0.25], [0, 0, 0.25, -outside]) == [0, 0, 0, 0]


def test_a_gradient_grows_downwards_only():
    values = at("gradient", [0.0, 0.5, -0.5], [-1.0, 0.0, 1.0])
    np.testing.assert_allclose(values, [0, 0.4, 0.8], atol=1e-6)


def test_a_triangle_wave_has_period_one():
    phase = np.array([-1.0, -0.75, -0.5, 0, 0.25, 0.5, 0.75, 7.25], dtype=np.float32)
    np.testing.assert_allclose(triangle_wave(phase), [0, 0.5, 1, 0, 0.5, 1, 0.5, 0.5])


def test_the_edge_of_a_band_is_one_pixel_wide():
    pixels_per_period = np.array([20], dtype=np.float32)
    phase = (np.arange(400, dtype=np.float32) + 0.5) / 400
    values = bands(phase, pixels_per_period)
    blurred = (values > 0) & (values < 1)
    assert blurred.sum() == pytest.approx(2 * 400 / 20, abs=2)  # two edges of one pixel each
    assert values.mean() == pytest.approx(0.5, abs=1e-4)


def test_each_shape_gets_its_own_texture():
    x = np.zeros((3, 2, 2), dtype=np.float32)
    x[1] += 0.5  # a dot's centre
    three = np.array([0, 3, 4])  # plain, dots, gradient
    ones = np.ones(3, dtype=np.float32)
    mix = texture_mix(three, ones, 100 * ones, x, 0 * x + x[1] * (three == 3)[:, None, None])
    np.testing.assert_allclose(mix[:, 0, 0], [0, 1, 0.4], atol=1e-6)
