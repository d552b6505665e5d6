"""Small changes: what they move, by how much, and that a seed decides."""

import pytest
import torch

from vislab.explain.wobble import jitter, mirror, tilt
from vislab.ops.seeding import generator


@pytest.fixture
def images(rng):
    return torch.rand(2, 3, 9, 13, generator=rng)


@pytest.mark.parametrize("change", [jitter(3), tilt(), mirror()], ids=["jitter", "tilt", "mirror"])
def test_the_same_seed_gives_the_same_change_of_the_same_size(change, images):
    results = [[change(images, draws) for _ in range(6)] for draws in (generator(1), generator(1))]
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)
        assert first.shape == images.shape
    assert len({float(result[0, 0, 0, 0]) for result in results[0]}) > 1


def test_jitter_moves_every_pixel_alike_and_loses_none(images):
    draws, moves = generator("t"), set()
    for _ in range(200):
        moved = jitter(2)(images, draws)
        found = [
            (down, across)
            for down in range(-4, 5)
            for across in range(-6, 7)
            if torch.equal(images.roll((down, across), dims=(2, 3)), moved)
        ]
        assert len(found) == 1
        moves.add(found[0])
    assert moves == {(down, across) for down in range(-2, 3) for across in range(-2, 3)}


def test_mirror_swaps_left_and_right_half_of_the_time(images):
    draws, swapped = generator("t"), 0
    for _ in range(100):
        result = mirror()(images, draws)
        swapped += torch.equal(result, images.flip(3))
        assert torch.equal(result, images) or torch.equal(result, images.flip(3))
    assert 30 < swapped < 70


def test_no_turn_and_no_zoom_is_no_change(images):
    torch.testing.assert_close(tilt(0.0, 1.0)(images, generator("t")), images)


def test_a_turn_is_a_turn_in_images_that_are_not_square():
    """A disc in the middle stays one, and where it is, at any angle."""
    down, across = torch.meshgrid(torch.arange(41.0), torch.arange(81.0), indexing="ij")
    disc = (torch.hypot(down - 20, across - 40) < 12).float().expand(1, 3, 41, 81)
    draws = generator("t")
    for _ in range(5):
        turned = tilt(90.0, 1.0)(disc, draws)
        middle = (turned - disc)[..., 22:59]  # at the sides the mirrored border shows
        assert middle.abs().mean() < 0.02


def test_zoom_scales_areas_by_its_square():
    square = torch.zeros(1, 3, 60, 60)
    square[:, :, 20:40, 20:40] = 1
    areas = [float(tilt(0.0, 1.2)(square, generator(key))[0, 0].sum()) / 400 for key in range(40)]
    assert 1 / 1.44 - 0.02 < min(areas) < 0.8
    assert 1.25 < max(areas) < 1.44 + 0.02


def test_a_change_lets_slopes_through(images):
    images.requires_grad_()
    for change in (jitter(2), tilt(), mirror()):
        (slope,) = torch.autograd.grad(change(images, generator("t")).sum(), images)
        assert slope.abs().sum() > 0
