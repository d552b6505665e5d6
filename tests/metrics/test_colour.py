"""Noise in decibels and colourfulness, by hand and against scikit-image."""

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from vislab.metrics import colourfulness, psnr


def test_a_tenth_off_everywhere_is_twenty_decibels():
    a = torch.full((2, 3, 4, 5), 0.5)
    b = a + torch.tensor([0.1, 0.0])[:, None, None, None]
    found = psnr(a, b)
    assert found[0].item() == pytest.approx(20, abs=1e-4)
    assert found[1].item() == math.inf


def test_the_ratio_is_scikit_images(rng):
    a, b = torch.rand(2, 3, 3, 6, 7, generator=rng)
    wanted = [
        peak_signal_noise_ratio(one.numpy(), two.numpy(), data_range=1)
        for one, two in zip(a, b, strict=True)
    ]
    assert psnr(a, b).tolist() == pytest.approx(wanted, rel=1e-5)


def test_grey_has_no_colour(rng):
    grey = torch.rand(2, 1, 6, 5, generator=rng).expand(2, 3, 6, 5)
    torch.testing.assert_close(colourfulness(grey), torch.zeros(2), atol=1e-4, rtol=0)


def test_colourfulness_by_hand():
    """Half red, half blue. rg is 255, 0; yb 127.5, -255: deviations 127.5 and 191.25, means 127.5
    and -63.75. And plain red: no std, means 255 and 127.5."""
    pixels = torch.zeros(2, 3, 2, 4)
    pixels[0, 0, :, :2] = 1
    pixels[0, 2, :, 2:] = 1
    pixels[1, 0] = 1
    expected = [
        math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, 63.75),
        0.3 * math.hypot(255, 127.5),
    ]
    assert colourfulness(pixels).tolist() == pytest.approx(expected, rel=1e-5)
