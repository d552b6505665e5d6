"""The colorizer: its bins, what it answers, and that it keeps the light."""

import copy

import numpy as np
import pytest
import torch
from skimage import color

from vislab.models import create
from vislab.models.colorizer import BIN, REACH, TEMPERATURE, Colorizer, colour_bins
from vislab.ops.colour import lab_to_rgb, rgb_to_lab


def small(**options):
    torch.manual_seed(0)
    return Colorizer(**{"width": 4, **options})


def test_bins_are_those_that_the_colours_of_a_screen_fall_into(rng):
    bins = colour_bins()
    assert torch.equal(bins % BIN, torch.zeros_like(bins))
    assert len(torch.unique(bins, dim=0)) == len(bins)
    colours = torch.rand(1, 3, 100, 100, generator=rng)
    lab = color.rgb2lab(colours[0].permute(1, 2, 0).double().numpy())
    fallen = {tuple(row) for row in np.round(lab[..., 1:].reshape(-1, 2) / BIN).astype(int)}
    known = {tuple(row) for row in (bins / BIN).int().tolist()}
    assert fallen <= known
    assert len(known) < 1.3 * len(fallen)
    assert (0, 0) in known
    assert (9, 9) not in known


def test_the_answer_is_half_the_size_rounded_up():
    assert small().eval()(torch.zeros(2, 1, 37, 50)).shape == (2, 2, 19, 25)
    assert small(classes=7).eval()(torch.zeros(2, 1, 8, 5)).shape == (2, 7, 4, 3)


def test_every_size_can_be_painted(rng):
    pixels = torch.rand(2, 3, 37, 50, generator=rng)
    for classes in (2, len(colour_bins())):
        assert small(classes=classes).eval().paint(pixels).shape == pixels.shape


def test_two_answers_are_the_colours_themselves(rng):
    answer = torch.rand(2, 2, 3, 4, generator=rng)
    assert torch.equal(small().colours(answer), REACH * answer)


def test_scores_of_bins_mean_their_annealed_mean_by_hand():
    """Logits T·ln 3 and T·ln 1, all others −∞: three quarters of one bin, one of the other."""
    network = small(classes=len(colour_bins()))
    answer = torch.full((1, len(colour_bins()), 1, 1), -1e9)
    answer[0, 5], answer[0, 40] = TEMPERATURE * float(np.log(3)), 0.0
    wanted = 0.75 * colour_bins()[5] + 0.25 * colour_bins()[40]
    torch.testing.assert_close(network.colours(answer)[0, :, 0, 0], wanted)


def test_a_colour_belongs_to_the_bin_whose_centre_is_nearest(rng):
    network = small(classes=len(colour_bins()))
    ab = 200 * torch.rand(2, 2, 3, 4, generator=rng) - 100
    found = network.binned(ab)
    assert found.shape == (2, 3, 4)
    for image in range(2):
        for row in range(3):
            for column in range(4):
                away = (colour_bins() - ab[image, :, row, column]).square().sum(dim=1)
                assert away[found[image, row, column]] == away.min()


def test_painting_keeps_the_light_and_takes_the_colours_that_are_told(rng):
    network = small().eval()
    network.head.weight.data.zero_()
    network.head.bias.data = torch.tensor([12.0, -20.0]) / REACH
    pixels = 0.4 + 0.2 * torch.rand(2, 3, 9, 6, generator=rng)
    lab, painted = rgb_to_lab(pixels), rgb_to_lab(network.paint(pixels))
    torch.testing.assert_close(painted[:, 0], lab[:, 0], atol=0.02, rtol=0)
    wanted = torch.tensor([12.0, -20.0])[:, None, None].expand(2, 2, 9, 6)
    torch.testing.assert_close(painted[:, 1:], wanted, atol=0.05, rtol=0)


def test_it_sees_the_light_alone(rng):
    pixels = 0.4 + 0.2 * torch.rand(1, 3, 8, 8, generator=rng)
    grey = lab_to_rgb(rgb_to_lab(pixels) * torch.tensor([1.0, 0.0, 0.0])[:, None, None])
    network = small().eval()
    torch.testing.assert_close(network.paint(grey), network.paint(pixels), atol=1e-3, rtol=0)


@pytest.fixture
def with_embedder():
    return small(embedder="timm:test_resnet")


def test_the_embedder_is_told_the_grey_image_as_it_was_shown_others(with_embedder):
    """L* = 50 is a grey of 0.4663 in each channel."""
    seen = []
    with_embedder.embedder.register_forward_pre_hook(lambda _m, taken: seen.append(taken[0]))
    with_embedder(torch.zeros(2, 1, 32, 32))
    (pixels,) = seen
    mean, std = (torch.tensor(values)[:, None, None] for values in with_embedder.shown)
    back = pixels * std + mean
    torch.testing.assert_close(back, torch.full((2, 3, 32, 32), 0.4663), atol=2e-3, rtol=0)


def test_what_the_embedder_says_reaches_every_place_and_it_is_not_trained(with_embedder, rng):
    light = torch.rand(2, 1, 32, 40, generator=rng)
    with_embedder.train()
    assert not any(module.training for module in with_embedder.embedder.modules())
    with_embedder(light).square().sum().backward()
    assert all(p.grad is None for p in with_embedder.embedder.parameters())
    assert all(
        p.grad is not None
        for name, p in with_embedder.named_parameters()
        if not name.startswith("embedder.")
    )
    with_embedder.eval()
    before = with_embedder(light)
    with_embedder.embedding = lambda light: torch.arange(2000.0).view(2, 1000)
    assert bool((with_embedder(light) != before).any(dim=1).all())


def test_it_is_built_again_from_its_name_and_options(with_embedder):
    network = create("colorizer", classes=2, width=4, embedder="timm:test_resnet")
    again = create("colorizer", classes=2, **network.built_as["options"])
    assert not again.load_state_dict(network.state_dict(), strict=True).missing_keys
    assert "bins" not in network.state_dict()


def test_a_copy_has_bins_of_its_own():
    network = copy.deepcopy(small())
    network.bins.add_(1)
    assert not torch.equal(network.bins, colour_bins())
    assert torch.equal(small().bins, colour_bins())
