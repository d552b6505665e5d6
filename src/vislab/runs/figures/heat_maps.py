"""Numbers in a grid, as shades: a hyper-parameter search, a difference by parameter and step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vislab.runs.figures.style import INK, SMALL, WIDTH, house, power_of_ten, shorten
from vislab.runs.formatting import Number

if TYPE_CHECKING:
    import matplotlib.figure

WRITTEN = 8  # columns up to which the numbers themselves are written


def heat_map(
    values: Sequence[Sequence[Number]] | np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    x: str,
    y: str,
    unit: str,
    share: bool = False,
    log: bool = False,
    heading: str | None = None,
) -> "matplotlib.figure.Figure":
    """Draw one cell a value; `x` and `y` say what columns and rows are, `unit` what the shade is.

    Few cells carry their number, and the highest a frame. `share` writes percent. `log` shades by
    the logarithm, from 1e-17 up, and frames nothing. What is not finite stays empty, with a cross.
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import FuncFormatter

    grid = np.asarray(values, dtype=float)
    good = np.isfinite(grid)
    grid = np.where(good, np.maximum(grid, 1e-17) if log else grid, np.nan)
    known = grid[good] if good.any() else np.array([0.0, 1.0])
    norm: Normalize = Normalize(float(known.min()), float(known.max()))
    if log:
        norm = LogNorm(1e-17, max(1.0, float(known.max())))
    with house():
        high = 1.5 + 0.3 * len(rows)
        figure = Figure(figsize=(WIDTH, min(high, 7.5)), layout="constrained")
        axes = figure.subplots()
        shading = axes.imshow(grid, cmap="cividis", norm=norm, aspect="auto", interpolation="none")
        written = len(columns) <= WRITTEN and not log
        for (row, column), value in np.ndenumerate(grid):
            if not good[row, column]:
                axes.text(column, row, "×", ha="center", va="center", color=INK, fontsize=SMALL)
            elif written:
                text = f"{100 * value:.1f}" if share else f"{value:.3g}"
                ink = "white" if norm(value) < 0.55 else INK
                axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=SMALL)
        if written and good.any():
            row, column = np.unravel_index(np.nanargmax(grid), grid.shape)
            frame = Rectangle(
                (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#d55e00", linewidth=2.2
            )
            axes.add_patch(frame)
        step = max(1, -(-len(columns) // (10 if len(columns) <= 10 else 6)))
        axes.set_xticks(range(0, len(columns), step), columns[::step])
        size = SMALL if len(rows) <= 20 else max(5.0, SMALL * 20 / len(rows))
        axes.set_yticks(range(len(rows)), [shorten(name, 14) for name in rows], fontsize=size)
        axes.set(xlabel=x, ylabel=y)
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0)
        colour_bar = figure.colorbar(shading, ax=axes, aspect=28, pad=0.02)
        colour_bar.outline.set_visible(False)
        colour_bar.ax.grid(False)
        if log:
            colour_bar.ax.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        elif share:
            colour_bar.ax.yaxis.set_major_formatter(
                FuncFormatter(lambda at, _: f"{100 * at:.3g} %")
            )
        colour_bar.set_label(unit, fontsize=SMALL)
        if heading:
            axes.set_title(heading)
    return figure
