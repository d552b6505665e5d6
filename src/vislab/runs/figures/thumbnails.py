"""A map of small images, each at its place and framed in the colour of its class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8

from vislab.errors import ShapeError
from vislab.runs.figures.sheets import nothing, sheet, write_heading
from vislab.runs.figures.style import FAINT, INK, PALETTE, SMALL, house, shorten

if TYPE_CHECKING:
    import matplotlib.figure

SIDE = 7.0  # inches of the map
DASHES = ("solid", (0, (2.5, 1.2)), (0, (1, 1)))  # after seven classes the colours come again


def thumbnails(
    points: Float[np.ndarray, "n 2"],
    images: UInt8[np.ndarray, "m h w 3"],
    labels: Int[np.ndarray, " k"],
    classes: Sequence[str],
    *,
    size: float = 0.26,
    heading: str | None = None,
) -> "matplotlib.figure.Figure":
    """Draw an image at each point, `size` inches wide, and a dot where there is no room for it.

    The places are those of a map, without units: both axes have one scale. Classes beyond seven
    have the same colours again, dashed.
    """
    from matplotlib.patches import Rectangle

    if not len(points) == len(images) == len(labels):
        raise ShapeError(
            f"{len(points)} points, {len(images)} images and {len(labels)} labels are not of "
            "the same images"
        )
    if len(points) == 0:
        return nothing("no images")
    used = [k for k in range(len(classes)) if bool((labels == k).any())]
    columns = max(1, min(len(used), int(SIDE / (0.5 + 0.075 * longest(classes)))))
    top = 0.42 if heading else 0.1
    foot = 0.25 + 0.2 * -(-len(used) // columns)
    tall = size * images.shape[1] / images.shape[2]
    figure, axes = sheet(SIDE, top + SIDE + foot)
    if heading:
        write_heading(axes, heading)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    span = max(float(np.ptp(points, axis=0).max()), 1e-12)
    room = SIDE - 2 * max(size, tall) - 0.1
    places = SIDE / 2 + (points - middle) / span * room * np.array([1, -1]) + np.array([0, top])
    chosen = spread(places, (size * 1.12, tall * 1.12))
    with house():
        colours = np.array([PALETTE[k % len(PALETTE)] for k in range(len(classes))])
        axes.scatter(
            places[:, 0],
            places[:, 1],
            s=5,
            c=colours[labels],
            alpha=0.35,
            linewidths=0,
            zorder=1,
            rasterized=True,
        )
        for place in chosen:
            (x, y), label = places[place], int(labels[place])
            box = (x - size / 2, x + size / 2, y + tall / 2, y - tall / 2)
            axes.imshow(
                images[place], extent=box, aspect="auto", zorder=2,
                interpolation="antialiased",
            )  # fmt: skip
            axes.add_patch(
                Rectangle(
                    (box[0], box[3]), size, tall, fill=False, zorder=3, linewidth=1.6,
                    edgecolor=colours[label], linestyle=dashes(label),
                )
            )  # fmt: skip
        for turn, label in enumerate(used):
            row, column = divmod(turn, columns)
            x, y = 0.15 + column * (SIDE - 0.2) / columns, top + SIDE + 0.12 + 0.2 * row
            axes.add_patch(
                Rectangle(
                    (x, y - 0.065), 0.13, 0.13, fill=False, linewidth=2,
                    edgecolor=colours[label], linestyle=dashes(label),
                )
            )  # fmt: skip
            axes.text(
                x + 0.2, y, shorten(classes[label], 24), va="center", fontsize=SMALL, color=INK
            )
        axes.text(
            SIDE - 0.1, top + SIDE + foot - 0.04, f"{len(chosen)} of {len(points)} as images",
            ha="right", va="bottom", fontsize=SMALL - 1, color=FAINT,
        )  # fmt: skip
    return figure


def longest(classes: Sequence[str]) -> int:
    """Return the letters of the longest name, as it is written."""
    return max((min(len(name), 24) for name in classes), default=0)


def dashes(label: int) -> str | tuple[int, tuple[float, ...]]:
    """Return the line of a class's frame."""
    return DASHES[label // len(PALETTE) % len(DASHES)]


def spread(places: Float[np.ndarray, "n 2"], box: tuple[float, float]) -> list[int]:
    """Return which boxes to draw so that none covers another, the loneliest points first.

    Those in a crowd have others like them beside; one that stands alone has nobody to show for it.
    """
    size = np.array(box)
    cells = np.floor(places / size).astype(int)
    _, cell, crowd = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    taken: dict[tuple[int, int], int] = {}
    chosen: list[int] = []
    for place in np.argsort(crowd[cell.ravel()], kind="stable"):
        x, y = (int(at) for at in cells[place])
        around = (taken.get((x + i, y + j)) for i in (-1, 0, 1) for j in (-1, 0, 1))
        if all(
            other is None or bool((np.abs(places[other] - places[place]) >= size).any())
            for other in around
        ):
            taken[x, y] = int(place)
            chosen.append(int(place))
    return chosen
