"""CIELAB against scikit-image, known colours, and round trips."""

import numpy as np
import pytest
import skimage.color
import torch

from vislab.ops.colour import lab_to_rgb, rgb_to_lab


def coloured(*rgb):
    return torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_corners_of_the_cube_are_where_tables_have_them(rgb, lab):
    assert rgb_to_lab(coloured(*rgb)).flatten().tolist() == pytest.approx(lab, abs=0.02)


def test_both_ways_agree_with_scikit_image(rng):
    pixels = torch.rand(2, 3, 37, 20, generator=rng, dtype=torch.float64)
    pixels[0] *= torch.linspace(0, 1, 37)[:, None]  # begins where both curves are straight lines
    pixels[1] = 0.1 + 0.9 * pixels[1]
    wanted = torch.tensor(skimage.color.rgb2lab(pixels.numpy(), channel_axis=1))
    lab = rgb_to_lab(pixels)
    torch.testing.assert_close(lab[1], wanted[1], rtol=0, atol=1e-6)
    # In the dark scikit-image rounds 841/108 to 7.787, which a has 500 times.
    torch.testing.assert_close(lab[0], wanted[0], rtol=0, atol=2e-4)
    back = skimage.color.lab2rgb(lab.numpy(), channel_axis=1)
    torch.testing.assert_close(lab_to_rgb(lab), torch.tensor(back), rtol=0, atol=1e-5)
    torch.testing.assert_close(lab_to_rgb(lab), pixels, rtol=0, atol=1e-7)
    # In single precision a is 500 times a difference of numbers about 1.
    torch.testing.assert_close(rgb_to_lab(pixels.float()), wanted.float(), rtol=0, atol=5e-4)
    torch.testing.assert_close(
        lab_to_rgb(rgb_to_lab(pixels.float())), pixels.float(), rtol=0, atol=1e-5
    )


def test_grey_has_no_colour_and_its_lightness_rises():
    grey = torch.linspace(0, 1, 50, dtype=torch.float64).view(1, 1, 1, 50).expand(1, 3, 1, 50)
    lightness, *colour = rgb_to_lab(grey)[0]
    assert max(float(part.abs().max()) for part in colour) < 0.01
    assert bool((lightness.diff() > 0).all())


def test_colours_that_no_screen_shows_are_cut():
    wild = torch.tensor([[[50.0, 50.0, 120.0, -5.0]], [[120.0, -120, 0, 0]], [[0, 100.0, 0, 0]]])
    found = lab_to_rgb(wild[None])
    assert float(found.amin()) == 0.0
    assert float(found.amax()) == 1.0
    assert not np.isnan(found.numpy()).any()


def test_gradients_are_finite_at_black_and_white():
    pixels = torch.tensor([0.0, 0.04045, 1.0]).view(1, 1, 1, 3).repeat(1, 3, 1, 1).requires_grad_()
    lab_to_rgb(rgb_to_lab(pixels)).sum().backward()
    assert bool(pixels.grad.isfinite().all())
