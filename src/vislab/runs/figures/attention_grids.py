"""Maps of several layers, networks or methods over the same images, to be read across."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from vislab.runs.figures.explanations import over_image
from vislab.runs.figures.sheets import broken, nothing, put_image, sheet
from vislab.runs.figures.style import FAINT, INK, SMALL, WIDTH, house

if TYPE_CHECKING:
    import matplotlib.figure

LABEL = 1.0  # inches left of a row
LARGEST, SMALLEST = 0.95, 0.4  # inches of an image's side
GAP, LINE, BELOW = 0.06, 0.15, 0.3
LETTER = 0.55 * SMALL / 72  # inches, on average


def attention_grid(
    images: UInt8[np.ndarray, "n h w 3"],
    rows: Mapping[str, Float[np.ndarray, "n _i _j"]],
    *,
    titles: Sequence[str] = (),
) -> "matplotlib.figure.Figure":
    """Draw the images and below them a row for each name: its map of each image over it.

    Each map is shown in its own range, from its least to its most, so that rows of different units
    can be compared in where, not in how much. `titles` stand above the images. A name takes one
    line more than it has and is cut where it is longer.
    """
    if not len(images) or not rows:
        return nothing("no maps")
    high, wide = images.shape[1:3]
    side = (WIDTH - 0.2 - LABEL) / len(images) - GAP
    side = min(LARGEST, max(SMALLEST, side))
    tall = side * high / wide
    heads = [broken(title, int(side / LETTER)) for title in titles]
    top = 0.06 + LINE * max((text.count("\n") + 1 for text in heads), default=0)
    width = max(0.2 + LABEL + len(images) * (side + GAP) - GAP, 2.6)
    figure, axes = sheet(width, top + (len(rows) + 1) * (tall + GAP) + BELOW)
    with house():
        for column, text in enumerate(heads):
            middle = 0.1 + LABEL + column * (side + GAP) + side / 2
            axes.text(
                middle, top - 0.035, text, color=INK, fontsize=SMALL, ha="center", va="bottom",
                linespacing=1.05,
            )  # fmt: skip
        for row, (name, maps) in enumerate([("", None), *rows.items()]):
            above = top + row * (tall + GAP)
            text = broken(name, int((LABEL - 0.08) / LETTER))
            axes.text(0.1, above + tall / 2, text, color=INK, fontsize=SMALL, va="center")
            for column, image in enumerate(images):
                shown = image if maps is None else over_image(image, above_least(maps[column]))
                put_image(axes, shown, 0.1 + LABEL + column * (side + GAP), above, side)
        bottom = top + (len(rows) + 1) * (tall + GAP) + 0.06
        grey = np.full((12, 120, 3), 170, dtype=np.uint8)
        scale = over_image(grey, np.linspace(0, 1, 120)[None])
        axes.text(0.1, bottom + 0.07, "least", color=FAINT, fontsize=SMALL, va="center")
        put_image(axes, scale, 0.5, bottom, 1.2)
        axes.text(
            1.77, bottom + 0.07, "most of its map", color=FAINT, fontsize=SMALL, va="center"
        )  # fmt: skip
    return figure


def above_least(found: Float[np.ndarray, "i j"]) -> Float[np.ndarray, "i j"]:
    """Return a map less its least value: shares of attention are never zero."""
    shares: Float[np.ndarray, "i j"] = found - found.min()
    return shares
