"""Reconstruction: its error in units of pixels, its noise, and images by heart."""

import math

import pytest
import torch
from torch import nn

from tests.tasks.annotated import fit, plain, ready, same_state, state_of
from vislab.errors import OptionError
from vislab.models.autoencoder import ConvAutoencoder
from vislab.tasks import Optim, Reconstruct

LOOK = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.25, 0.125)}


class Off(nn.Module):
    """Gives images back that are wrong by as much in each channel, normalised."""

    def __init__(self, by=(0.0, 0.0, 0.0)):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by)[:, None, None])

    def forward(self, images):
        return images + self.by


def test_the_error_is_counted_in_pixels_from_zero_to_one():
    """Off by 0.2, 0.4, 0 deviations: by 0.1, 0.1, 0 of the range. Mean square 0.02/3."""
    task = ready(Reconstruct(Off((0.2, 0.4, 0.0)), **LOOK))
    out = task.training_step(plain(torch.randn(2, 3, 4, 5)), 0)
    assert out["loss"].item() == pytest.approx(0.02 / 3)
    assert out["sums"]["loss"].item() == pytest.approx(0.04 / 3)
    grey = torch.rand(4, 3, 4, 5) / 2  # so that no pixel leaves its range
    scores = task.scores([plain(grey[:3]), plain(grey[3:])])
    assert scores["loss"] == pytest.approx(0.02 / 3)
    assert scores["psnr"] == pytest.approx(-10 * math.log10(0.02 / 3), abs=1e-3)


def test_the_mean_psnr_is_the_mean_of_each_images():
    images = torch.zeros(2, 3, 4, 4)
    whole = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    task = Reconstruct(nn.Flatten(start_dim=4), **whole)
    task.model.forward = lambda x: x + torch.tensor([0.1, 0.01])[: len(x), None, None, None]
    scores = task.scores([plain(images)])
    assert scores["psnr"] == pytest.approx((20 + 40) / 2, abs=1e-3)
    task.model.forward = lambda x: x
    assert task.scores([plain(images)])["psnr"] == pytest.approx(100)


def test_noise_is_as_strong_as_told_in_pixels():
    task = Reconstruct(Off(), **LOOK, noise=0.1)
    torch.manual_seed(0)
    noise = task.noisy(torch.zeros(8, 3, 50, 50)).std(dim=(0, 2, 3))
    torch.testing.assert_close(noise, 0.1 / torch.tensor(LOOK["std"]), rtol=0.02, atol=0)
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(Reconstruct(Off(), **LOOK).noisy(images), images)


def test_what_is_learned_is_the_image_without_the_noise():
    """A network that gives back what it sees is wrong by the noise."""
    task = ready(Reconstruct(Off(), **LOOK, noise=0.2))
    torch.manual_seed(0)
    out = task.training_step(plain(torch.randn(8, 3, 40, 40)), 0)
    assert out["loss"].item() == pytest.approx(0.2**2, rel=0.03)


def test_tests_see_the_same_noise_each_time():
    task = Reconstruct(Off(), **LOOK, noise=0.2)
    batches = [plain(torch.ones(2, 3, 6, 6)), plain(torch.ones(2, 3, 6, 6))]
    state = torch.get_rng_state()
    assert task.scores(batches) == task.scores(batches)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("noise", [-0.1, 1.5])
def test_noise_is_a_share(noise):
    with pytest.raises(OptionError, match=rf"--noise {noise} is a share .*0 to 1"):
        Reconstruct(Off(), **LOOK, noise=noise)


def test_scores_of_no_images_are_no_numbers():
    scores = Reconstruct(Off(), **LOOK).scores([])
    assert all(math.isnan(value) for value in scores.values())


def test_the_noisy_image_is_the_trivial_answer():
    task = Reconstruct(Off(), **LOOK, noise=0.1)
    found = task.test([plain(torch.zeros(2, 3, 20, 20))])
    assert found.trivial["psnr"] == pytest.approx(20, abs=0.3)
    assert found.mean("psnr") == found.trivial["psnr"]
    assert Reconstruct(Off(), **LOOK).test([plain(torch.zeros(2, 3, 4, 4))]).trivial == {}


def test_it_gives_back_four_images_by_heart_and_scores_leave_it_as_it_was(rng):
    torch.manual_seed(0)
    images = torch.randn(4, 3, 4, 4, generator=rng).repeat_interleave(4, 2).repeat_interleave(4, 3)
    task = Reconstruct(
        ConvAutoencoder(width=12, depth=3, code=12),
        Optim(lr=1e-2),
        mean=(0.5,) * 3,
        std=(0.2, 0.2, 0.2),
    )
    before, after = fit(task, plain(images), 80)
    assert after < 0.1 * before
    state = state_of(task)
    assert task.scores([plain(images)])["psnr"] > 18
    assert same_state(state, state_of(task))
