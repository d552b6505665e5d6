"""Boxes drawn over images, each with a few words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from vislab.runs.figures.sheets import nothing, put_image, sheet
from vislab.runs.figures.style import INK, SMALL, WIDTH, house, shorten

if TYPE_CHECKING:
    import matplotlib.figure

GAP, LINE = 0.09, 0.17  # inches
TINY = 5.5  # points: the words on a box
TALL = 4.0  # of an image, in widths of its place; taller ones are drawn narrower


@dataclass(frozen=True)
class Drawn:
    """One box: xyxy in pixels of its image, its words and how it is drawn."""

    box: tuple[float, float, float, float]
    text: str = ""
    colour: str = INK
    dashed: bool = False
    thin: bool = False


def boxes_over_images(
    pixels: UInt8[np.ndarray, "n h w 3"],
    boxes: Sequence[Sequence[Drawn]],
    *,
    titles: Sequence[str] | None = None,
    columns: int = 3,
) -> "matplotlib.figure.Figure":
    """Lay images out in rows, each with its boxes; words stand on their upper edge."""
    from matplotlib.patches import Rectangle

    if not len(pixels):
        return nothing("no images")
    columns = min(columns, len(pixels))
    side = min(2.2, (WIDTH - 0.2) / columns - GAP) if columns > 1 else 2.6
    line = LINE if titles else 0.0
    high, wide = pixels.shape[1:3]
    side *= min(1.0, TALL * wide / high)
    tall = side * high / wide
    rows = math.ceil(len(pixels) / columns)
    figure, axes = sheet(0.2 + columns * (side + GAP) - GAP, 0.12 + rows * (line + tall + GAP))
    letters = max(6, int(side * 72 / (SMALL * 0.52)))
    with house():
        for place, (image, mine) in enumerate(zip(pixels, boxes, strict=True)):
            row, column = divmod(place, columns)
            left, top = 0.1 + column * (side + GAP), 0.06 + row * (line + tall + GAP) + line
            put_image(axes, image, left, top, side)
            if titles:
                axes.text(
                    left + side / 2, top - 0.03, shorten(titles[place], letters),
                    ha="center", va="bottom", fontsize=SMALL,
                )  # fmt: skip
            scale = side / wide
            for drawn in mine:
                x1, y1, x2, y2 = (value * scale for value in drawn.box)
                axes.add_patch(
                    Rectangle(
                        (left + x1, top + y1), x2 - x1, y2 - y1, fill=False,
                        edgecolor=drawn.colour, linewidth=0.6 if drawn.thin else 1.3,
                        linestyle=(0, (2, 1.5)) if drawn.dashed else "-",
                    )
                )  # fmt: skip
                if drawn.text:
                    axes.text(
                        min(left + x1, left + side - 0.038 * len(drawn.text)),
                        max(top + y1, top + 0.09), drawn.text, fontsize=TINY, color="white",
                        ha="left", va="bottom", clip_on=True,
                        bbox={"facecolor": drawn.colour, "edgecolor": "none", "pad": 0.6},
                    )  # fmt: skip
    return figure
