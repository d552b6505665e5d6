"""Images that can be painted: their range, their slopes, what a blur takes out."""

import pytest
import torch

from vislab.errors import DataError, OptionError
from vislab.explain.canvas import COLOURS, Fourier, Pixels
from vislab.ops.seeding import generator


def test_pixels_are_the_image_and_come_back_into_range(rng):
    start = torch.rand(2, 3, 5, 7, generator=rng)
    kept, canvas = start.clone(), Pixels(start)
    assert torch.equal(canvas.image(), start)
    with torch.no_grad():
        canvas.values.add_(0.7)
    canvas.settle()
    assert torch.equal(canvas.image(), (start + 0.7).clamp(0, 1))
    assert torch.equal(start, kept)


def test_images_outside_0_to_1_are_refused():
    with pytest.raises(DataError, match=r"from 0 to 1, got -2 to 0\.5"):
        Pixels(torch.tensor([-2.0, 0.0, 0.5]).view(1, 3, 1, 1))


@pytest.mark.parametrize("size", [(8, 8), (7, 6), (5, 9), (1, 4)])
def test_waves_make_a_nearly_grey_image_of_any_size(size):
    image = Fourier(2, *size, generator("t")).image()
    assert image.shape == (2, 3, *size)
    assert (image - 0.5).abs().max() < 0.2
    assert image.std() > 0


def test_a_wave_is_divided_by_its_frequency_and_coloured():
    """One amplitude a of 2 cycles across 8 pixels: 2a cos(2π · 2x / 8) / (2/8) / √(6 · 8)."""
    canvas = Fourier(1, 6, 8, generator("t"))
    with torch.no_grad():
        canvas.values.zero_()
        canvas.values[0, 1, 0, 2, 0] = 0.3
    across = torch.cos(2 * torch.pi * 2 * torch.arange(8) / 8)
    wave = 2 * 0.3 * across / 0.25 / 48**0.5
    found = canvas.image()[0].detach().logit()  # (3, 6, 8)
    for colour in range(3):
        expected = (COLOURS[colour][1] * wave).expand(6, 8)
        torch.testing.assert_close(found[colour], expected, atol=1e-5, rtol=1e-4)


def test_colour_axes_are_at_right_angles():
    axes = torch.tensor(COLOURS)
    products = axes.T @ axes
    lengths = products.diagonal().sqrt()
    apart = products / lengths[:, None] / lengths[None] - torch.eye(3)
    assert apart.abs().max() < 0.02  # three digits are written
    assert lengths[0] == pytest.approx(1, abs=2e-3)
    assert lengths[0] > lengths[1] > lengths[2]


def test_slopes_reach_the_amplitudes_by_finite_differences():
    canvas = Fourier(1, 4, 5, generator("t"))
    canvas.scale, canvas.colours = canvas.scale.double(), canvas.colours.double()

    def image(values):
        canvas.values = values
        return canvas.image()

    assert torch.autograd.gradcheck(image, (canvas.values.detach().double().requires_grad_(),))


@pytest.mark.parametrize("kind", ["pixels", "waves"])
def test_a_blur_takes_fine_detail_and_leaves_the_rest(kind, rng):
    if kind == "pixels":
        canvas = Pixels(torch.rand(1, 3, 16, 12, generator=rng))
    else:
        canvas = Fourier(1, 16, 12, generator("t"), std=0.3)
    before = canvas.image().detach().clone()
    canvas.blur(1.0)
    after = canvas.image().detach()
    assert after.diff(dim=3).square().mean() < 0.3 * before.diff(dim=3).square().mean()
    assert after.mean() == pytest.approx(before.mean().item(), abs=0.03)
    assert canvas.values.requires_grad
    assert canvas.values.is_leaf


def test_a_blurred_point_is_a_gaussian():
    point = torch.zeros(1, 3, 15, 15)
    point[:, :, 7, 7] = 1.0
    canvas = Pixels(point)
    canvas.blur(1.5)
    row = canvas.values[0, 1, 7].detach()
    assert row[8] / row[7] == pytest.approx(torch.exp(torch.tensor(-0.5 / 1.5**2)).item(), rel=1e-4)
    assert canvas.values[0, 1].sum().item() == pytest.approx(1, abs=1e-4)
    assert torch.equal(row, row.flip(0))


def test_a_canvas_without_pixels_is_refused():
    with pytest.raises(OptionError, match="1 images of 0×4 pixels"):
        Fourier(1, 0, 4, generator("t"))
