"""Colorization: both losses by hand, and the colours of four images by heart."""

import math

import pytest
import torch
from torch.nn import functional as F

from tests.tasks.annotated import fit, plain, ready, same_state, state_of
from vislab.models.colorizer import REACH, Colorizer, colour_bins
from vislab.ops.colour import lab_to_rgb, rgb_to_lab
from vislab.tasks import Colorize, Optim

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.25, 0.2, 0.5)


def coloured(ab, *, lightness=60.0, side=6):
    """Return images of one colour each, normalised."""
    ab = torch.tensor(ab)
    lab = torch.cat([torch.full((len(ab), 1), lightness), ab], dim=1)[:, :, None, None]
    pixels = lab_to_rgb(lab.expand(-1, -1, side, side))
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
    return (pixels - mean) / std


def task_of(classes, optim=None, width=4, **options):
    torch.manual_seed(0)
    model = Colorizer(classes=classes, width=width)
    return ready(Colorize(model, optim, mean=MEAN, std=DEVIATION, **options))


def saying(task, bias):
    """Let the network say the same of every place."""
    task.model.head.weight.data.zero_()
    task.model.head.bias.data = torch.tensor(bias)
    return task


def test_images_come_back_to_pixels():
    images = coloured([[20.0, -10.0]])
    lab = rgb_to_lab(task_of(2).pixels(images))
    torch.testing.assert_close(
        lab[0, :, 0, 0], torch.tensor([60.0, 20.0, -10.0]), atol=0.05, rtol=0
    )
    assert task_of(2).pixels(torch.full((1, 3, 2, 2), 99.0)).max() == 1


def test_regression_by_hand():
    """Colours (22, −11) and (0, 33), in units of 110: 0.2, −0.1, 0 and 0.3; said is (0.1, 0.1)."""
    task = saying(task_of(2), [0.1, 0.1])
    out = task.training_step(plain(coloured([[22.0, -11.0], [0.0, 33.0]])), 0)
    wanted = (0.1**2 + 0.2**2 + 0.1**2 + 0.2**2) / 4
    assert out["loss"].item() == pytest.approx(wanted, rel=1e-3)
    assert out["sums"]["loss"].item() == pytest.approx(2 * wanted, rel=1e-3)


def test_the_network_sees_lightness_from_minus_one_to_one():
    task, seen = task_of(2), []
    task.model.first.register_forward_pre_hook(lambda _m, taken: seen.append(taken[0]))
    task.training_step(plain(coloured([[20.0, 5.0]] * 2, lightness=75.0)), 0)
    torch.testing.assert_close(seen[0], torch.full((2, 1, 6, 6), 0.5), atol=1e-3, rtol=0)


def place_of(ab):
    return int((colour_bins() - torch.tensor(ab)).square().sum(dim=1).argmin())


def test_bins_by_hand_each_pixel_weighs_what_its_colour_weighs():
    """Shares of 3/4 and 1/4 of a half of all bins' weight; said is 3 to 1 for the first of two."""
    bins = len(colour_bins())
    first, second = place_of([20.0, 0.0]), place_of([-20.0, 10.0])
    shares = torch.zeros(bins)
    shares[first], shares[second] = 0.75, 0.25
    bias = [-99.0] * bins
    bias[first], bias[second] = math.log(3), 0.0
    task = saying(task_of(bins, shares=shares), bias)
    batch = plain(coloured([[20.0, 0.0], [-20.0, 10.0], [-20.0, 10.0]]))
    rare, often = 1 / (0.125 + 0.5 / bins), 1 / (0.375 + 0.5 / bins)
    mean = 0.75 * often + 0.25 * rare
    wanted = (often * math.log(4 / 3) + 2 * rare * math.log(4)) / mean / 3
    assert task.training_step(batch, 0)["loss"].item() == pytest.approx(wanted, rel=1e-3)
    plainly = saying(task_of(bins), bias).training_step(batch, 0)
    assert plainly["loss"].item() == pytest.approx(
        (math.log(4 / 3) + 2 * math.log(4)) / 3, rel=1e-3
    )


def test_the_mean_over_processes_is_the_mean_over_the_batch():
    """Parts of one and of two images of three, of unlike colours."""
    bins = len(colour_bins())
    shares = torch.rand(bins, generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    images = coloured([[20.0, 0.0], [-20.0, 10.0], [40.0, 40.0]], side=12)
    bias = torch.randn(bins, generator=torch.Generator().manual_seed(1)).tolist()
    whole = saying(task_of(bins, shares=shares), bias).training_step(plain(images), 0)["loss"]
    task = ready(saying(task_of(bins, shares=shares), bias), world=2)
    parts = [
        task.training_step(plain(images[mine]).replaced(whole=3), 0)["loss"]
        for mine in (slice(1), slice(1, 3))
    ]
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_colours_are_learned_at_half_the_size_each_the_mean_of_four():
    """Columns of 11 and 33 by turns are 22 at half the size."""
    task = saying(task_of(2), [22.0 / REACH, 0.0])
    images = coloured([[11.0, 0.0]], side=12)
    images[..., 1::2] = coloured([[33.0, 0.0]], side=12)[..., 1::2]
    assert task.training_step(plain(images), 0)["loss"].item() == pytest.approx(0, abs=1e-6)


def test_scores_by_hand_of_a_network_that_paints_grey():
    task = saying(task_of(2), [0.0, 0.0])
    images = coloured([[30.0, 10.0], [0.0, 0.0]])
    scores = task.scores([plain(images)])
    pixels = task.pixels(images)
    grey = lab_to_rgb(rgb_to_lab(pixels) * torch.tensor([1.0, 0, 0])[:, None, None])
    away = F.mse_loss(grey[0], pixels[0]).item()
    assert scores["psnr"] == pytest.approx((-10 * math.log10(away) + 100) / 2, abs=0.5)
    assert scores["colourfulness"] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("way", ["regression", "class-bins"])
def test_it_learns_the_colours_of_four_images_by_heart(way):
    """Each image has its own light, and its own colour on it."""
    colours = [[25.0, 20.0], [-20.0, 20.0], [10.0, -30.0], [0.0, 40.0]]
    images = torch.cat(
        [
            coloured([ab], lightness=light, side=16)
            for ab, light in zip(colours, (35.0, 50.0, 65.0, 80.0), strict=True)
        ]
    )
    task = task_of(2 if way == "regression" else len(colour_bins()), Optim(lr=1e-2), width=8)
    fit(task, plain(images), 60)
    before = state_of(task)
    scores = task.scores([plain(images)])
    assert same_state(before, state_of(task))
    assert scores["psnr"] > 24
    assert scores["colourfulness"] > 15
