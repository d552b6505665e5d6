"""What happens to a batch, against an image-by-image account of the same."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from vislab.data import augment_batch
from vislab.data.augment import Augment
from vislab.data.augment_batch import (
    colours,
    cover,
    cut_windows,
    draw_mix,
    normalise,
    resize_boxes,
)
from vislab.data.randaugment import GREY
from vislab.data.views import draw_views, see_pixels
from vislab.errors import OptionError
from vislab.ops.seeding import generator


def noise(count, side, seed=0):
    chance = np.random.default_rng(seed)
    return torch.from_numpy(chance.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def flat(shades, side=7):
    """One image a shade, grey all over."""
    return torch.tensor(shades, dtype=torch.uint8)[:, None, None, None].repeat(1, side, side, 3)


def everyone(pixels):
    return torch.arange(len(pixels)), len(pixels)


def moved_by(way, pixels, rows, count, draws):
    """Return these rows of a batch as they are looked at."""
    views = draw_views(way, count, pixels.shape[1], draws).take(rows)
    return see_pixels(pixels.numpy(), np.arange(len(pixels)), views)


def enlarged(pixels, boxes):
    still = torch.zeros(len(pixels), dtype=torch.bool)
    return resize_boxes(pixels.numpy(), np.arange(len(pixels)), boxes, still, pixels.shape[1])


@pytest.mark.parametrize("pad", [1, 2, 7], ids=lambda pad: f"pad {pad}")
@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_every_window_is_what_numpy_cuts_from_the_padded_image(mode, pad):
    offsets = torch.cartesian_prod(torch.arange(2 * pad + 1), torch.arange(2 * pad + 1))
    pixels = noise(len(offsets), 5)
    windows = cut_windows(pixels, offsets, pad, mode)
    for window, image, (top, left) in zip(windows, pixels, offsets.tolist(), strict=True):
        padded = np.pad(image.numpy(), ((pad, pad), (pad, pad), (0, 0)), mode=mode)
        assert np.array_equal(window.numpy(), padded[top : top + 5, left : left + 5])


def test_a_crop_brings_black_in_and_a_shift_repeats_the_border():
    white = flat([255] * 60)
    cropped, shifted = (
        moved_by(way, white, *everyone(white), generator(4))
        for way in (Augment(crop=0.3), Augment(shift=0.3))
    )
    black = (cropped == 0).all(dim=3)  # (N, S, S)
    assert (cropped == 255).all(dim=3).logical_or(black).all()
    # pad = round(0.3 · 7) = 2: (up, left) moves −2…2 each cut an L of black off
    lost = {(abs(y) * 7 + abs(x) * (7 - abs(y))) for y in range(-2, 3) for x in range(-2, 3)}
    assert set(black.sum(dim=(1, 2)).tolist()) == lost
    assert (shifted == 255).all()


def test_the_smallest_crop_still_moves_by_a_pixel():
    pixels = noise(40, 7)
    moved = moved_by(Augment(crop=0.01), pixels, *everyone(pixels), generator(0))
    assert not torch.equal(moved, pixels)
    inner = moved[:, 1:-1, 1:-1]
    for y, x in [(0, 0), (0, 1), (1, 2), (2, 2)]:  # some of each, of the nine there are
        assert (inner == pixels[:, y : y + 5, x : x + 5]).all(dim=(1, 2, 3)).any()


def test_the_whole_image_as_window_is_the_image():
    pixels = noise(5, 7)
    whole = torch.tensor([[0, 0, 7, 7]]).repeat(5, 1)
    assert torch.equal(enlarged(pixels, whole), pixels)


def test_a_mirrored_window_is_the_mirror_of_the_window():
    pixels, boxes = noise(4, 9), torch.tensor([[1, 2, 5, 6]]).repeat(4, 1)
    turned = torch.tensor([True, False, True, False])
    out = resize_boxes(pixels.numpy(), np.array([3, 2, 1, 0]), boxes, turned, pixels.shape[1])
    still = enlarged(pixels, boxes).flip(0)
    assert torch.equal(out[1::2], still[1::2])
    assert torch.equal(out[::2], still[::2].flip(2))


def test_a_window_of_one_pixel_gives_an_image_of_its_colour():
    pixels = noise(3, 7)
    boxes = torch.tensor([[0, 0, 1, 1], [6, 2, 1, 1], [3, 6, 1, 1]])
    out = enlarged(pixels, boxes)
    for image, source, (top, left, _, _) in zip(out, pixels, boxes.tolist(), strict=True):
        assert (image == source[top, left]).all()


def test_enlarged_windows_agree_with_torch_on_floats_image_by_image():
    pixels, chance = noise(50, 9), np.random.default_rng(1)
    boxes = []
    for _ in range(50):
        height, width = chance.integers(1, 10, 2)
        boxes.append([chance.integers(10 - height), chance.integers(10 - width), height, width])
    out = enlarged(pixels, torch.tensor(boxes))
    for image, source, (top, left, height, width) in zip(out, pixels, boxes, strict=True):
        window = source[top : top + height, left : left + width].permute(2, 0, 1)[None].float()
        expected = F.interpolate(window, (9, 9), mode="bilinear")[0].permute(1, 2, 0)
        # The kernel on bytes rounds after each of the two directions.
        assert (image - expected).abs().max() <= 1.01


def test_resized_crops_cover_the_asked_share_and_keep_near_to_square():
    side = 40
    boxes = augment_batch.crop_boxes(0.25, 4000, side, generator(0))
    top, left, height, width = boxes.unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= side).all()
    assert (left + width <= side).all()
    area = height * width / side**2
    assert 0.22 < area.min() < 0.28  # rounding moves a side by half a pixel
    assert area.max() == 1
    inside = (height < side) & (width < side)  # where the border did not cut the aspect
    aspect = (width / height)[inside]
    assert aspect.min() > 3 / 4 * 0.94
    assert aspect.max() < 4 / 3 * 1.06
    assert abs(aspect.log().mean()) < 0.01
    # Uniform area: a quarter of the draws in the lowest quarter of [0.25, 1].
    assert abs((area < 0.25 + 0.75 / 4).float().mean() - 0.25) < 6 * (0.25 * 0.75 / 4000) ** 0.5


def test_half_of_the_images_are_mirrored_and_the_rest_are_not_touched():
    pixels = noise(1500, 3)
    out = moved_by(Augment(flip=True), pixels, *everyone(pixels), generator(0))
    mirrored = (out == pixels.numpy()[:, :, ::-1].copy()).all(dim=(1, 2, 3))
    kept = (out == pixels).all(dim=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert abs(mirrored.sum() - 750) < 5 * 1500**0.5 / 2


def test_normalised_pixels_are_shares_less_mean_over_deviation(rng):
    pixels = noise(2, 7)
    mean, std = (0.5, 0.25, 0.1), (0.2, 0.3, 0.01)
    out = normalise(pixels, mean, std)
    for channel in range(3):
        shares = pixels[..., channel].double() / 255
        expected = (shares - mean[channel]) / std[channel]
        # atol: 1/d is up to 100, and the offset is rounded in float32 before it is added
        torch.testing.assert_close(out[:, channel].double(), expected, rtol=1e-5, atol=1e-5)
    assert out.shape == (2, 3, 7, 7)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_strength_next_to_zero_leaves_every_pixel():
    pixels = noise(6, 7)
    out = colours(Augment(colour=1e-6), pixels, *everyone(pixels), generator(0))
    assert torch.equal(out, pixels)


def test_a_grey_image_is_only_made_brighter_or_darker():
    # The same draws for all three shades: a batch of one shade at a time.
    by_shade = [
        colours(Augment(colour=0.27), flat([shade] * 200), *everyone(range(200)), generator(8))
        for shade in (7, 100, 200)
    ]
    for out in by_shade:
        assert (out == out[:, :1, :1, :1]).all()
    low, middle, high = (out[:, 0, 0, 0].double() for out in by_shade)
    factor = high / 200
    assert 0.72 < factor.min() < 0.75
    assert 1.25 < factor.max() < 1.28
    assert (middle - 100 * factor).abs().max() <= 0.76  # half a shade each, one of them halved
    assert (low - 7 * factor).abs().max() <= 0.52


def test_contrast_and_saturation_keep_an_images_mean_luminance():
    pixels = 110 + noise(30, 11) // 8  # 110…141: nothing is cut off at 0 or 255
    grey_of = torch.tensor(GREY)
    levels = (pixels.float() @ grey_of).mean(dim=(1, 2))
    grey = flat(levels.round().int().tolist(), 11)
    way = Augment(colour=0.4)
    out, only_brightness = (
        colours(way, these, *everyone(these), generator(2)) for these in (pixels, grey)
    )
    after = (out.float() @ grey_of).mean(dim=(1, 2))
    expected = only_brightness[:, 0, 0, 0]
    # A shade is rounded before brightness (± 0.5 · 1.4) and after it (± 0.5).
    assert (after - expected).abs().max() < 1.3
    assert (out.float().std(dim=(1, 2, 3)) - pixels.float().std(dim=(1, 2, 3))).abs().max() > 1


def test_colours_agree_with_a_walk_over_images():
    pixels, strength = noise(9, 5), 0.6
    out = colours(Augment(colour=strength), pixels, *everyone(pixels), generator(1))
    draws = torch.rand(9, 3, generator=generator(1)).double().numpy()
    weights = np.array([0.299, 0.587, 0.114])
    for image, source, draw in zip(out.numpy(), pixels.numpy(), draws, strict=True):
        bright, contrast, saturation = 1 - strength + 2 * strength * draw
        values = source * bright
        grey = values @ weights
        values = grey[..., None] * (1 - saturation) + values * saturation
        values = grey.mean() * (1 - contrast) + values * contrast
        assert np.abs(image - values.clip(0, 255)).max() <= 0.501


@pytest.mark.parametrize(
    ("share", "intervals"),
    [
        (0.43, {(0, 2), (0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 7)}),  # 3 pixels, odd
        (0.57, {(0, 2), (0, 3), (0, 4), (1, 5), (2, 6), (3, 7), (4, 7)}),  # 4 pixels
        (0.01, {(n, n + 1) for n in range(7)}),  # never nothing
        (1.0, {(0, 4), (0, 5), (0, 6), (0, 7), (1, 7), (2, 7), (3, 7)}),
    ],
    ids=["odd", "even", "smallest", "whole"],
)
def test_cutout_covers_one_square_that_may_reach_over_the_border(share, intervals, rng):
    images = torch.randn(700, 3, 7, 7, generator=rng).add(9)  # no zeros of its own
    out = cover(Augment(cutout=share), images.clone(), *everyone(images), generator(0))
    seen = set()
    for before, after in zip(images, out, strict=True):
        hole = (after == 0).all(dim=0)
        ys, xs = hole.any(dim=1).nonzero().flatten(), hole.any(dim=0).nonzero().flatten()
        top, bottom, left, right = ys[0].item(), ys[-1] + 1, xs[0].item(), xs[-1] + 1
        expected = before.clone()
        expected[:, top:bottom, left:right] = 0
        assert torch.equal(after, expected)
        seen.add(((top, int(bottom)), (left, int(right))))
    assert {y for y, _ in seen} == {x for _, x in seen} == intervals
    assert len(seen) == len(intervals) ** 2  # row and column are drawn apart


def test_nothing_is_mixed_unless_asked_for():
    assert draw_mix(Augment(crop=0.1, flip=True, cutout=0.5), 5, 8, generator(0)) is None


@pytest.mark.parametrize("way", [Augment(mixup=0.2), Augment(cutmix=1.0)], ids=["mixup", "cutmix"])
def test_each_image_is_the_partner_of_exactly_one(way):
    for step in range(20):
        mix = draw_mix(way, 9, 8, generator(step))
        assert sorted(mix.partner.tolist()) == list(range(9))


def test_the_share_of_mixup_follows_the_beta_distribution():
    shares = np.array([draw_mix(Augment(mixup=0.2), 3, 8, generator(n)).share for n in range(3000)])
    # Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)) = 1 / 5.6
    assert abs(shares.mean() - 0.5) < 6 * (1 / 5.6 / 3000) ** 0.5
    assert abs(shares.var() - 1 / 5.6) < 0.01


def test_with_both_on_half_of_the_batches_take_cutmix():
    kinds = [draw_mix(Augment(mixup=0.2, cutmix=1.0), 2, 8, generator(n)) for n in range(1000)]
    assert abs(sum(mix.box is None for mix in kinds) - 500) < 5 * 1000**0.5 / 2


def given_beta(monkeypatch, share, y, x):
    drawn = SimpleNamespace(beta=lambda a, b: share, integers=lambda low, high, size: (y, x))
    monkeypatch.setattr(augment_batch.np.random, "default_rng", lambda key: drawn)


@pytest.mark.parametrize(
    ("share", "y", "x", "box", "kept"),
    [
        (0.75, 3, 5, (1, 3, 5, 7), 0.75),  # half the side: a quarter of the area, as drawn
        (0.4375, 4, 3, (1, 0, 7, 6), 1 - 36 / 64),
        (0.75, 0, 7, (0, 5, 2, 8), 1 - 6 / 64),  # over the border: less than drawn
        (1.0, 4, 4, (4, 4, 4, 4), 1.0),  # nothing is pasted
        (0.0, 4, 4, (0, 0, 8, 8), 0.0),  # all is
    ],
)
def test_the_window_of_cutmix_has_the_area_of_the_share_given_away(
    monkeypatch, share, y, x, box, kept
):
    """Yun et al., equation 2: sides of S·√(1 − λ), and λ put right where the border cuts them."""
    given_beta(monkeypatch, share, y, x)
    mix = draw_mix(Augment(cutmix=1.0), 5, 8, generator(0))
    assert mix.box == box
    assert mix.share == kept


@given(seed=st.integers(0, 10_000), side=st.integers(7, 33))
def test_the_labels_share_is_the_share_of_pixels_that_stay(seed, side):
    mix = draw_mix(Augment(cutmix=1.0), 3, side, generator(seed))
    top, left, bottom, right = mix.box
    stays = np.ones((side, side))
    stays[top:bottom, left:right] = 0
    assert 0 <= top <= bottom <= side
    assert 0 <= left <= right <= side
    assert mix.share == pytest.approx(stays.mean(), abs=1e-12)


STEPS = {
    "none": Augment(),
    "crop": Augment(crop=0.2),
    "shift": Augment(shift=0.2),
    "resized_crop": Augment(resized_crop=0.2),
    "flip": Augment(flip=True),
    "rotation": Augment(rotation=True),
    "colour": Augment(colour=0.5),
    "randaugment": Augment(randaugment=3, magnitude=17),
    "cutout": Augment(cutout=0.5),
    "all": Augment(
        crop=0.1, shift=0.1, resized_crop=0.5, flip=True, colour=0.2, randaugment=2, cutout=0.3
    ),
}


@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("way", STEPS.values(), ids=STEPS.keys())
@given(data=st.data(), seed=st.integers(0, 99), side=st.sampled_from([8, 9, 13]))
def test_some_of_a_batch_look_as_they_do_in_the_whole(way, data, seed, side):
    count = data.draw(st.integers(1, 9))
    chosen = data.draw(st.lists(st.integers(0, count - 1), min_size=1, unique=True))
    rows, pixels = torch.tensor(chosen), noise(count, side, seed)

    def through(pixels, rows):
        draws = generator(seed)
        pixels = moved_by(way, pixels, rows, count, draws)
        pixels = colours(way, pixels, rows, count, draws)
        images = normalise(pixels, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
        return cover(way, images, rows, count, draws), draws.get_state()

    some, state_after_some = through(pixels[rows], rows)
    whole, state_after_all = through(pixels, torch.arange(count))
    assert torch.equal(some, whole[rows])
    assert torch.equal(state_after_some, state_after_all)


def test_every_step_that_there_is_stands_in_the_law_above():
    on = {f.name for way in STEPS.values() for f in fields(way) if getattr(way, f.name) > f.default}
    assert on == {field.name for field in fields(Augment)} - {"mixup", "cutmix"}


@pytest.mark.parametrize("name", sorted(STEPS.keys() - {"none"}))
def test_every_step_changes_something_and_never_its_input(name):
    pixels = noise(8, 9)
    kept = pixels.clone()
    rows, draws = torch.arange(8), generator(0)
    moved = moved_by(STEPS[name], pixels, rows, 8, draws)
    out = colours(STEPS[name], moved, rows, 8, draws)
    images = normalise(out, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    covered = cover(STEPS[name], images.clone(), rows, 8, draws)
    assert torch.equal(pixels, kept)
    assert not torch.equal(covered, normalise(pixels, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)))


def test_an_augmentation_is_described_by_what_is_on():
    assert Augment().describe() == "none"
    assert Augment(magnitude=20).describe() == "none"
    assert Augment(crop=0.125, flip=True).describe() == "crop 0.125, flip"
    assert Augment(mixup=0.2, resized_crop=0.25).describe() == "resized_crop 0.25, mixup 0.2"


def test_only_mixing_mixes_labels():
    assert Augment(mixup=0.1).mixes
    assert Augment(cutmix=0.1).mixes
    assert not replace(STEPS["all"], mixup=0.0).mixes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": -0.1}, r"--augment\.crop -0\.1 must not be negative"),
        ({"resized_crop": -0.1}, r"--augment\.resized-crop -0\.1 must not be negative"),
        ({"randaugment": -1}, r"--augment\.randaugment -1 must not be negative"),
        ({"magnitude": -1}, r"--augment\.magnitude -1 must not be negative"),
        ({"resized_crop": 1.5}, r"--augment\.resized-crop 1\.5 is a share and must not be above 1"),
        ({"cutout": 2.0}, r"--augment\.cutout 2\.0 is a share"),
        ({"magnitude": 31}, r"--augment\.magnitude 31 is above 30, the strongest"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Augment(**options)


def test_the_ends_of_the_ranges_are_in_them():
    Augment(crop=1.0, shift=1.0, resized_crop=1.0, colour=1.0, cutout=1.0, magnitude=30)
    Augment(mixup=3.0, cutmix=2.0)  # alphas, not shares
