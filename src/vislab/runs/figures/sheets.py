"""Sheets of images and of heat maps."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from vislab.runs.figures.style import (
    FAINT,
    HEADING,
    INK,
    RULE,
    SMALL,
    TEXT,
    WIDTH,
    house,
    shorten,
)

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure


def image_grid(
    images: UInt8[np.ndarray, "n h w 3"],
    *,
    titles: Sequence[str] | None = None,
    colours: Sequence[str] | None = None,
    columns: int | None = None,
    heading: str | None = None,
) -> "matplotlib.figure.Figure":
    """Lay images out in rows, pixels of small ones shown as squares.

    A title takes one line more than it has and is cut where it is longer; `colours` are the
    titles'.
    """
    return grid(images, titles, colours, columns or columns_for(len(images), titles), heading)


def map_grid(
    maps: Float[np.ndarray, "n h w"],
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    centred: bool = False,
    bar: bool = True,
    heading: str | None = None,
) -> "matplotlib.figure.Figure":
    """Lay heat maps out in rows, all on one scale, which the bar below shows.

    `centred` puts white at 0, for maps that have a sign. NaN is drawn grey.
    """
    import matplotlib
    from matplotlib.colors import Normalize

    known = maps[np.isfinite(maps)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if centred:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    scale = {
        "norm": Normalize(low, high),
        "cmap": matplotlib.colormaps["RdBu_r" if centred else "viridis"].with_extremes(bad=RULE),
    }
    figure = grid(
        maps,
        titles,
        None,
        columns or columns_for(len(maps), titles),
        heading,
        below=0.42 if bar and len(maps) else 0.0,
        **scale,
    )
    if bar and len(maps):
        with house():
            width, height = figure.get_size_inches()
            long = min(2.6, width - 0.4)
            place = figure.add_axes((0.2 / width, 0.27 / height, long / width, 0.11 / height))
            colour_bar = figure.colorbar(
                figure.axes[0].images[0], cax=place, orientation="horizontal"
            )
            colour_bar.outline.set_visible(False)
            place.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
            place.grid(False)
    return figure


def map_over_image(
    image: UInt8[np.ndarray, "h w 3"],
    maps: Float[np.ndarray, "n a b"],
    *,
    titles: Sequence[str],
    columns: int = 5,
) -> "matplotlib.figure.Figure":
    """Draw the image once a map, bright where the map is large, darker elsewhere.

    Each map is shown in its own range, its cells widened to the image without smoothing.
    """
    high, wide = image.shape[:2]
    rows = np.arange(high) * maps.shape[1] // high
    across = np.arange(wide) * maps.shape[2] // wide
    large = maps[:, rows][:, :, across]  # (N, H, W)
    low = large.min(axis=(1, 2), keepdims=True)
    span = np.maximum(large.max(axis=(1, 2), keepdims=True) - low, 1e-12)
    light = 0.25 + 0.75 * (large - low) / span
    shown = (image * light[..., None]).round().astype(np.uint8)
    return image_grid(shown, titles=titles, columns=columns)


def named_rows(
    rows: Sequence[tuple[str, UInt8[np.ndarray, "_n _h _w 3"]]], *, heading: str | None = None
) -> "matplotlib.figure.Figure":
    """Lay out rows of images, each under its name; rows may differ in length and size."""
    columns = max((len(images) for _, images in rows), default=0)
    if columns == 0:
        return nothing("no images")
    side, gap, line = cell_side(columns), 0.06, 0.24
    top = 0.36 if heading else 0.06
    shapes = [images.shape[1:3] for _, images in rows]
    heights = [line + side * h / max(w, 1) + gap for h, w in shapes]
    width = max(2 * 0.1 + columns * (side + gap) - gap, 2.5)
    figure, axes = sheet(width, top + sum(heights) + 0.06)
    if heading:
        write_heading(axes, heading)
    with house():
        for (name, images), height in zip(rows, heights, strict=True):
            text = shorten(name, int((width - 0.2) * 72 / (TEXT * 0.58)))
            axes.text(0.1, top + line - 0.06, text, va="baseline", color=INK, fontsize=TEXT)
            for column, image in enumerate(images):
                left = 0.1 + column * (side + gap)
                put_image(axes, image, left, top + line, side)
            top += height
    return figure


def grid(
    images: np.ndarray,
    titles: Sequence[str] | None,
    colours: Sequence[str] | None,
    columns: int,
    heading: str | None,
    *,
    below: float = 0.0,
    **scale: Any,
) -> "matplotlib.figure.Figure":
    """Lay out images (N, H, W, 3) or maps (N, H, W); `below` inches are left free."""
    if len(images) == 0:
        return nothing("no images")
    side, gap = cell_side(columns), 0.09
    letters = max(4, int(side * 72 / (SMALL * 0.52)))
    written = [broken(title, letters) for title in titles] if titles is not None else []
    line = 0.15 * max((text.count("\n") + 1 for text in written), default=0)
    tall = side * images.shape[1] / max(images.shape[2], 1)
    rows = math.ceil(len(images) / columns)
    top = 0.38 if heading else 0.06
    width = max(2 * 0.1 + columns * (side + gap) - gap, 2.0)
    figure, axes = sheet(width, top + rows * (line + tall + gap) + below)
    if heading:
        write_heading(axes, heading)
    inks = colours if colours is not None else [INK] * len(images)
    texts = written or [""] * len(images)
    with house():
        for place, (image, text, ink) in enumerate(zip(images, texts, inks, strict=True)):
            row, column = divmod(place, columns)
            left = 0.1 + column * (side + gap)
            above = top + row * (line + tall + gap)
            axes.text(
                left + side / 2,
                above + line - 0.035,
                text,
                color=ink,
                fontsize=SMALL,
                ha="center",
                va="bottom",
                linespacing=1.05,
            )
            put_image(axes, image, left, above + line, side, **scale)
    return figure


def sheet(width: float, height: float) -> tuple["matplotlib.figure.Figure", "matplotlib.axes.Axes"]:
    """Return an empty figure and axes that measure it in inches from its top left corner."""
    from matplotlib.figure import Figure

    with house():
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure, axes


def put_image(
    axes: "matplotlib.axes.Axes",
    image: np.ndarray,
    left: float,
    top: float,
    side: float,
    **scale: Any,
) -> None:
    """Draw one image `side` inches wide with its upper left corner at (left, top)."""
    high, wide = image.shape[:2]
    bottom = top + side * high / max(wide, 1)
    axes.imshow(
        image,
        extent=(left, left + side, bottom, top),
        aspect="auto",
        interpolation="nearest" if max(high, wide) <= 96 else "antialiased",
        **scale,
    )


def write_heading(axes: "matplotlib.axes.Axes", heading: str) -> None:
    """Write one bold line at the top of a sheet, cut to its width."""
    letters = int((axes.get_xlim()[1] - 0.2) * 72 / (HEADING * 0.66))
    with house():
        axes.text(
            0.1, 0.07, shorten(heading, letters), va="top", fontsize=HEADING, fontweight="bold"
        )


def nothing(sentence: str) -> "matplotlib.figure.Figure":
    """Return a figure that says that there is nothing to draw."""
    figure, axes = sheet(WIDTH / 2, 0.6)
    with house():
        axes.text(WIDTH / 4, 0.3, sentence, color=FAINT, ha="center", va="center")
    return figure


def columns_for(count: int, titles: Sequence[str] | None) -> int:
    """Return a number of columns that leaves no nearly empty last row; fewer where titles stand."""
    most = 8 if titles is None else 4
    return math.ceil(count / math.ceil(count / most)) if count else 1


def cell_side(columns: int) -> float:
    """Return the width of a cell in inches."""
    return min(1.6, (WIDTH - 0.2) / columns - 0.09)


def broken(title: str, letters: int) -> str:
    """Break a title at spaces into one line more than it has; cut what is longer."""
    lines = title.splitlines()
    pieces = [
        piece for line in lines for piece in textwrap.wrap(line, letters, break_long_words=False)
    ]
    most = len(lines) + 1
    if len(pieces) > most:
        pieces = [*pieces[: most - 1], " ".join(pieces[most - 1 :])]
    return "\n".join(shorten(piece, letters) for piece in pieces)
