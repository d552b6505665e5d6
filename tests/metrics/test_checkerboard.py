"""Patterns whose score follows from the formula, and what upsampling leaves behind."""

import math

import pytest
import torch
from torch.nn import functional as F

from vislab.errors import ShapeError
from vislab.metrics import checkerboard_score

ROWS, COLUMNS = torch.meshgrid(torch.arange(24.0), torch.arange(17.0), indexing="ij")


def score(found):
    return float(checkerboard_score(found[None])[0])


def test_pure_patterns_of_period_two_score_one_at_any_scale_and_offset():
    for board in ((-1) ** (ROWS + COLUMNS), (-1) ** ROWS, (-1) ** COLUMNS):
        assert score(board) == pytest.approx(1.0, abs=1e-6)
        assert score(3e-3 * board + 7) == pytest.approx(1.0, abs=1e-3)


def test_what_is_smooth_scores_nothing():
    for smooth in (
        torch.zeros(24, 17),
        torch.full((24, 17), 0.1),
        COLUMNS,
        ROWS - 2 * COLUMNS,
        (ROWS / 5).sin() * COLUMNS,
        torch.exp(-((ROWS - 12) ** 2 + (COLUMNS - 8) ** 2) / 20),
    ):
        assert score(smooth) < 1e-3


def test_noise_scores_about_nothing(rng):
    noise = torch.randn(200, 64, 64, generator=rng)
    assert float(checkerboard_score(noise).mean()) < 0.1


def test_a_case_by_hand():
    """Across 16 pixels, 2 at the Nyquist frequency and a cosine of 2 two steps below it.

    Two steps are all of the neighbourhood, and the window reaches one. The pattern has a power of
    2², the cosine half its amplitude at either sign of frequency, so 1: (4 − 1) / (4 + 1).
    """
    x = torch.arange(16.0)
    row = 2 * (-1) ** x + 2 * torch.cos(2 * math.pi * 6 * x / 16)
    assert score(row.expand(9, 16)) == pytest.approx(0.6, abs=1e-6)
    assert score(row[:, None].expand(16, 9)) == pytest.approx(0.6, abs=1e-6)
    # Frequencies further away do not matter.
    assert score((row + 9 * torch.cos(2 * math.pi * 2 * x / 16)).expand(9, 16)) == pytest.approx(
        0.6, abs=1e-6
    )


def test_a_faint_board_on_a_steep_ramp_is_seen():
    board = (-1) ** (ROWS + COLUMNS)
    assert score(10 * COLUMNS + 5 * ROWS + board) > 0.9


def test_transposed_convolution_leaves_boards_and_bilinear_upsampling_none(rng):
    maps = F.interpolate(torch.rand(30, 1, 6, 5, generator=rng), (24, 20), mode="bilinear")
    kernels = torch.rand(30, 1, 3, 3, generator=rng)
    transposed = F.conv_transpose2d(maps.mT.transpose(0, 1), kernels, stride=2, groups=30)[0]
    bilinear = F.interpolate(maps, scale_factor=2, mode="bilinear")[:, 0]
    assert float(checkerboard_score(transposed).min()) > 0.5
    assert float(checkerboard_score(bilinear).max()) < 0.05


def test_each_map_has_its_own_score():
    both = torch.stack(((-1) ** ROWS, ROWS))
    torch.testing.assert_close(checkerboard_score(both), torch.tensor([1.0, 0.0]))


def test_a_map_too_small_to_tell_is_refused():
    with pytest.raises(ShapeError, match="at least 8×8"):
        checkerboard_score(torch.rand(1, 7, 20))
