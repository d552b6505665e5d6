"""Masks as images: colours that can be told apart, and what belongs to no class."""

import numpy as np
import pytest

from vislab.runs import figures
from vislab.runs.figures.masks import (
    CONFUSED,
    MISSED,
    TOO_MANY,
    class_colours,
    coloured,
    mask_cases,
    where_wrong,
)

VOID = 255


def rgb(colour):
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


@pytest.mark.parametrize("classes", [1, 2, 7, 8, 21, 150])
def test_every_class_has_a_colour_of_its_own_and_the_background_is_black(classes):
    colours = class_colours(classes)
    assert colours.shape == (classes, 3)
    assert colours[0].tolist() == [0, 0, 0]
    assert len({tuple(row) for row in (255 * colours).astype(np.uint8).tolist()}) == classes
    assert colours.min() >= 0
    assert colours.max() <= 1
    if classes > 1:  # none of the others is as dark as the background
        assert colours[1:].max(axis=1).min() > 0.4


def test_a_class_keeps_its_colour_when_there_are_more():
    np.testing.assert_array_equal(class_colours(7), class_colours(30)[:7])


def test_void_and_the_background_stay_grey_and_instances_are_coloured(rng):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)
    masks = np.zeros((2, 3, 5), dtype=np.uint8)
    masks[0, 1], masks[1, :, 2] = VOID, 9
    shown = coloured(pixels, masks, 10).astype(int)
    grey = np.repeat(pixels.mean(axis=3, keepdims=True), 3, axis=3).round()
    assert (abs(shown - grey) <= 1)[masks != 9].all()
    inside = shown[masks == 9]
    hue = (255 * class_colours(10)[9]).round()
    np.testing.assert_allclose(inside, 0.35 * grey[masks == 9] + 0.65 * hue, atol=1)


def test_what_is_wrong_has_the_colour_of_its_kind_and_void_has_none():
    targets = np.array([[[0, 0, 1, 1, 1, VOID, VOID]]], dtype=np.uint8)
    predictions = np.array([[[0, 2, 1, 0, 2, 0, 1]]], dtype=np.uint8)
    pixels = np.full((1, 1, 7, 3), 100, dtype=np.uint8)
    shown = [tuple(pixel) for pixel in where_wrong(pixels, targets, predictions)[0, 0].tolist()]
    plain = shown[0]
    assert len(set(plain)) == 1
    assert shown == [plain, rgb(TOO_MANY), plain, rgb(MISSED), rgb(CONFUSED), plain, plain]


def test_images_and_masks_are_left_as_they_were():
    pixels = np.full((1, 2, 3, 3), 100, dtype=np.uint8)
    targets, predictions = (
        np.full((1, 2, 3), VOID, dtype=np.uint8),
        np.ones((1, 2, 3), dtype=np.uint8),
    )
    before = pixels.copy(), targets.copy(), predictions.copy()
    figure = mask_cases(pixels, targets, predictions, classes=2, titles=["one"])
    assert figures.to_png(figure)
    for now, then in zip((pixels, targets, predictions), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_no_cases_at_all_can_be_drawn():
    none = np.zeros((0, 4, 4), dtype=np.uint8)
    pixels = np.zeros((0, 4, 4, 3), dtype=np.uint8)
    assert figures.to_png(mask_cases(pixels, none, none, classes=3, titles=[]))
