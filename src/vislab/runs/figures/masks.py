"""Masks as images: a colour for each class, laid over the grey image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Integer, UInt8

from vislab.runs.figures.sheets import image_grid
from vislab.runs.figures.style import PALETTE

if TYPE_CHECKING:
    import matplotlib.figure

VOID = 255
STRENGTH = 0.65  # of a colour over the grey image
RIGHT, TOO_MANY, MISSED, CONFUSED = "#ffffff", "#d55e00", "#0072b2", "#cc79a7"


def class_colours(classes: int) -> Float[np.ndarray, "k 3"]:
    """Return a colour in [0, 1] for each class; the first, the background, is black.

    The house's colours, which people with any kind of colour vision can tell apart; beyond those,
    hues evenly apart in two strengths.
    """
    import matplotlib

    named = [matplotlib.colors.to_rgb(colour) for colour in PALETTE[:-1]]
    more = max(0, classes - 1 - len(named))
    hues = [matplotlib.colors.hsv_to_rgb((i / max(more, 1), 0.55 + 0.35 * (i % 2), 0.9))
            for i in range(more)]  # fmt: skip
    return np.array([(0.0, 0.0, 0.0), *named, *hues])[:classes]


def coloured(
    pixels: UInt8[np.ndarray, "n h w 3"], masks: Integer[np.ndarray, "n h w"], classes: int
) -> UInt8[np.ndarray, "n h w 3"]:
    """Return grey images, each pixel in the colour of its class; the background stays grey."""
    colours = class_colours(classes)
    grey = pixels.mean(axis=3, keepdims=True) / 255
    shown = np.where(masks == VOID, 0, masks)
    over = (shown > 0)[..., None] * STRENGTH
    mixed = (1 - over) * grey + over * colours[shown]
    out: UInt8[np.ndarray, "n h w 3"] = (255 * mixed.clip(0, 1)).round().astype(np.uint8)
    return out


def where_wrong(
    pixels: UInt8[np.ndarray, "n h w 3"],
    targets: Integer[np.ndarray, "n h w"],
    predictions: Integer[np.ndarray, "n h w"],
) -> UInt8[np.ndarray, "n h w 3"]:
    """Return grey images with what was said too much in orange, what was missed in blue.

    Purple where one object was taken for another.
    """
    import matplotlib

    shown = np.repeat(pixels.mean(axis=3, keepdims=True) / 255 * 0.7 + 0.15, 3, axis=3)
    known = targets != VOID
    for colour, wrong in (
        (TOO_MANY, known & (targets == 0) & (predictions > 0)),
        (MISSED, known & (targets > 0) & (predictions == 0)),
        (CONFUSED, known & (targets > 0) & (predictions > 0) & (targets != predictions)),
    ):
        shown[wrong] = matplotlib.colors.to_rgb(colour)
    out: UInt8[np.ndarray, "n h w 3"] = (255 * shown.clip(0, 1)).round().astype(np.uint8)
    return out


def mask_cases(
    pixels: UInt8[np.ndarray, "n h w 3"],
    targets: Integer[np.ndarray, "n h w"],
    predictions: Integer[np.ndarray, "n h w"],
    *,
    classes: int,
    titles: Sequence[str],
) -> "matplotlib.figure.Figure":
    """Draw a row for each image: itself, its mask, what was said, and where that is wrong."""
    columns = (
        pixels,
        coloured(pixels, targets, classes),
        coloured(pixels, predictions, classes),
        where_wrong(pixels, targets, predictions),
    )
    shown = np.stack(columns, axis=1).reshape(-1, *pixels.shape[1:])
    names: list[str] = []
    for title in titles:
        names += [title, "the target", "the network", "where wrong"]
    return image_grid(shown, titles=names, columns=4)
