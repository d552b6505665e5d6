"""Each operation against torchvision's, on floats where torchvision cuts fractions off on bytes."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from vislab.data import randaugment as ours
from vislab.ops.seeding import generator

STRENGTHS = torch.tensor([0.3, -0.3, 1.0, -1.0, 0.0, 0.55, -0.8])  # what sign · M/30 can be


def noise(side, count=7):  # as many as there are strengths
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    return torch.from_numpy(pixels)


def dull(side):
    """Images whose channels fill a part of the range each, another for each image."""
    pixels = noise(side).float()
    low = torch.arange(len(pixels))[:, None, None, None] * 9.0
    wide = torch.tensor([20.0, 90.0, 150.0])[:, None, None]
    return (low + pixels / 255 * wide).round().to(torch.uint8)


def one_by_one(values, operation):
    return torch.stack([operation(v, by.item()) for v, by in zip(values, STRENGTHS, strict=True)])


def affine(values, *, angle=0.0, translate=(0, 0), shear=(0.0, 0.0)):
    return vision.affine(
        values,
        angle=angle,
        translate=list(translate),
        scale=1.0,
        shear=[math.degrees(math.atan(s)) for s in shear],
        interpolation=InterpolationMode.BILINEAR,
    )


GEOMETRY = {
    # Theirs shears about the corner at the top left, as Pillow did for the paper: the middle of
    # the image moves with it. Ours turns about the middle, hence affine() without a centre.
    "shear_x": lambda v, by: affine(v, shear=(0.3 * by, 0.0)),
    "shear_y": lambda v, by: affine(v, shear=(0.0, 0.3 * by)),
    "rotate": lambda v, by: vision.rotate(v, 30 * by, interpolation=InterpolationMode.BILINEAR),
}


@pytest.mark.parametrize("side", [7, 10])
@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_agrees_with_torchvision(name, side):
    values = noise(side).float()
    expected = one_by_one(values, GEOMETRY[name])
    # atol: both place a pixel to 1e-6 of the side, and neighbours differ by up to 255
    torch.testing.assert_close(getattr(ours, name)(values, STRENGTHS), expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize(("name", "axis"), [("translate_x", 3), ("translate_y", 2)])
def test_a_translation_by_whole_pixels_moves_them_and_leaves_black(name, axis):
    side = 9
    pixels = torch.arange(-4, 5)  # 0.45 · 9 is 4.05: four pixels at most
    values = noise(side, len(pixels)).float() + 1
    moved = getattr(ours, name)(values, pixels / (0.45 * side))
    for after, before, by in zip(moved, values, pixels.tolist(), strict=True):
        # A strength above 0 looks further on, so what is seen moves back.
        expected = before.roll(-by, dims=axis - 1)
        gone = range(side - by, side) if by > 0 else range(-by)
        expected.index_fill_(axis - 1, torch.tensor(list(gone), dtype=torch.long), 0)
        torch.testing.assert_close(after, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["translate_x", "translate_y"])
def test_the_strongest_translation_is_that_of_torchvision_to_a_hundredth_of_the_side(name):
    """Theirs is 150 of the paper's 331 pixels, cut to whole ones; ours is 0.45 of any side."""
    side = 100
    values = noise(side, 1).float()
    shift = (0, -45) if name == "translate_y" else (-45, 0)  # theirs moves, ours looks
    moved = getattr(ours, name)(values, torch.ones(1))
    torch.testing.assert_close(moved[0], affine(values[0], translate=shift), rtol=0, atol=5e-3)
    assert abs(150 / 331 - 0.45) < 0.01


COLOUR = {
    "brightness": vision.adjust_brightness,
    "colour": vision.adjust_saturation,
    "contrast": vision.adjust_contrast,
    "sharpness": vision.adjust_sharpness,
}


@pytest.mark.parametrize("side", [7, 10])
@pytest.mark.parametrize("name", COLOUR)
def test_blends_agree_with_torchvision(name, side):
    values = noise(side).float()
    expected = one_by_one(values / 255, lambda v, by: COLOUR[name](v, 1 + 0.9 * by)) * 255
    # atol: they weigh red by 0.2989, we by 0.299 as BT.601 has it: 0.0001 · 255 · 0.9
    torch.testing.assert_close(getattr(ours, name)(values, STRENGTHS), expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("name", COLOUR)
def test_blends_on_bytes_are_torchvisions_to_what_it_cuts_off(name):
    """On bytes they floor the grey image and the result; ours rounds once, at the end."""
    pixels = noise(9)
    expected = one_by_one(pixels, lambda v, by: COLOUR[name](v, 1 + 0.9 * by)).float()
    rounded = getattr(ours, name)(pixels.float(), STRENGTHS).round()
    assert (rounded - expected).abs().max() <= 2


def test_an_image_too_small_to_smooth_is_not_sharpened():
    values = noise(2).float()
    assert torch.equal(ours.sharpness(values, STRENGTHS), values)


@pytest.mark.parametrize("magnitude", range(31))
def test_posterize_keeps_the_bits_that_torchvision_keeps_at_every_magnitude(magnitude):
    pixels = torch.arange(3 * 8 * 8, dtype=torch.uint8).view(1, 3, 8, 8) + 63
    bits = int((8 - torch.tensor(magnitude) / (30 / 4)).round())  # their formula
    for sign in (1, -1):
        out = ours.posterize(pixels.float(), torch.tensor([sign * magnitude / 30]))
        assert torch.equal(out, vision.posterize(pixels, bits).float())


@pytest.mark.parametrize("magnitude", range(31))
def test_solarize_turns_the_pixels_that_torchvision_turns_at_every_magnitude(magnitude):
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    threshold = 255 * torch.linspace(1.0, 0.0, 31)[magnitude].item()  # their formula
    expected = vision.solarize(pixels, threshold).float()
    # A threshold of 51, 102 or 119 is met or missed by the last bit of a float, theirs and ours.
    clear = (pixels - threshold).abs() > 1e-4
    assert clear.sum() >= 3 * 255
    for sign in (1, -1):
        out = ours.solarize(pixels.float(), torch.tensor([sign * magnitude / 30]))
        assert torch.equal(out[clear], expected[clear])


def as_pillow(pixels, operation):
    images = [Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pixels]
    done = np.stack([np.asarray(operation(image)) for image in images])
    return torch.from_numpy(done).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("side", [7, 10])
def test_autocontrast_agrees_with_pillow(side):
    pixels = dull(side)
    out = ours.autocontrast(pixels.float(), STRENGTHS)
    assert (out - as_pillow(pixels, ImageOps.autocontrast)).abs().max() <= 1  # Pillow's floor
    assert (out.amin(dim=(2, 3)) == 0).all()
    assert (out.amax(dim=(2, 3)) >= 254).all()  # torchvision cuts 254.99… off, too


@pytest.mark.parametrize("side", [7, 24])
def test_equalize_agrees_with_pillow(side):
    pixels = dull(side)
    out = ours.equalize(pixels.float(), STRENGTHS)
    assert torch.equal(out, as_pillow(pixels, ImageOps.equalize))


@pytest.mark.parametrize(
    "name",
    ["identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
     "colour", "contrast", "sharpness", "posterize"],
)  # fmt: skip
def test_at_strength_zero_an_image_stays(name):
    pixels = noise(9)
    out = getattr(ours, name)(pixels.float(), torch.zeros(len(pixels)))
    assert torch.equal(out.round().to(torch.uint8), pixels)


def test_at_strength_zero_solarize_turns_white_alone():
    """As theirs: `pixel >= 255` is asked at the weakest, so pure white becomes black."""
    pixels = noise(9)
    out = ours.solarize(pixels.float(), torch.zeros(len(pixels)))
    expected = torch.where(pixels == 255, 0, pixels).float()
    assert torch.equal(out, expected)
    assert (pixels == 255).any()


def test_the_operations_are_the_fourteen_of_the_paper():
    names = {operation.__name__ for operation in ours.OPERATIONS}
    assert len(ours.OPERATIONS) == 14
    assert names == {
        "identity", "autocontrast", "equalize", "rotate", "solarize", "colour", "posterize",
        "contrast", "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y",
    }  # fmt: skip


@pytest.mark.parametrize("operation", ours.OPERATIONS, ids=lambda o: o.__name__)
def test_what_happens_to_an_image_does_not_depend_on_its_neighbours(operation):
    values = dull(11).float()
    whole = operation(values, STRENGTHS)
    for place in range(len(values)):
        alone = operation(values[place : place + 1].clone(), STRENGTHS[place : place + 1])
        assert torch.equal(alone[0], whole[place])


def apply(pixels, key, *, operations=1, magnitude=30):
    rows = torch.arange(len(pixels))
    return ours.randaugment(
        pixels, rows, len(pixels), generator(key), operations=operations, magnitude=magnitude
    )


def test_every_operation_comes_equally_often_with_both_signs():
    image = dull(9)[3].permute(1, 2, 0)
    count = 2800
    pixels = image.repeat(count, 1, 1, 1)
    values = image.permute(2, 0, 1)[None].float()
    expected = {}  # what the image becomes: how likely that is
    for operation in ours.OPERATIONS:
        for sign in (1.0, -1.0):
            out = operation(values, torch.tensor([sign])).round().clamp(0, 255).to(torch.uint8)
            key = out.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
            expected[key] = expected.get(key, 0) + 1 / 28
    found = dict.fromkeys(expected, 0)
    for out in apply(pixels, 0).numpy():
        found[out.tobytes()] += 1  # a KeyError: an image that no operation gives
    assert len(found) >= 22  # eight kinds have two signs, the rest one
    for key, share in expected.items():
        assert abs(found[key] - count * share) < 5 * (count * share * (1 - share)) ** 0.5


def test_operations_follow_one_another_on_rounded_pixels():
    pixels = noise(9, 24).permute(0, 2, 3, 1).contiguous()
    together, magnitude = apply(pixels, 5, operations=3, magnitude=14), 14
    draws = generator(5)
    images = pixels
    for _ in range(3):
        which = torch.randint(14, (24,), generator=draws)
        sign = torch.randint(2, (24,), generator=draws) * 2 - 1
        done = []
        for image, number, s in zip(images, which.tolist(), sign, strict=True):
            values = image.permute(2, 0, 1)[None].float()
            out = ours.OPERATIONS[number](values, s[None] * magnitude / 30)
            done.append(out[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8))
        images = torch.stack(done)
    assert torch.equal(together, images)


def test_no_operation_is_no_change_and_pixels_come_back_in_rows():
    pixels = noise(9).permute(0, 2, 3, 1).contiguous()
    assert torch.equal(apply(pixels, 0, operations=0), pixels)
    assert apply(pixels, 0, operations=2).is_contiguous()
