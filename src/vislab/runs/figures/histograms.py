"""Histograms of many layers, one over the other, each in its own range."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vislab.runs.figures.sheets import nothing
from vislab.runs.figures.style import BLUE, FAINT, SMALL, VERMILLION, WIDTH, house, shorten

if TYPE_CHECKING:
    import matplotlib.figure

Bars = tuple[np.ndarray, np.ndarray]  # edges, and the counts between them


def histograms(
    columns: Mapping[str, Mapping[str, Bars]], *, most: int = 24
) -> "matplotlib.figure.Figure":
    """Draw a column for each title and a row for each layer, first layer on top.

    The std of the values stands beside each. Of more than `most` layers some are left out,
    evenly.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for layers in columns.values() for name in layers))
    if not names:
        return nothing("no layers")
    names = [names[k] for k in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int))]
    with house():
        figure = Figure(figsize=(WIDTH, 0.36 * len(names) + 0.5))
        figure.set_layout_engine("constrained", h_pad=0.01)
        grid = figure.subplots(len(names), len(columns), squeeze=False)
        for column, (title, layers) in enumerate(columns.items()):
            for row, name in enumerate(names):
                axes = grid[row][column]
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if row == 0:
                    axes.set_title(title, fontsize=SMALL + 1)
                if column == 0:
                    axes.set_ylabel(
                        shorten(name, 22), rotation=0, ha="right", va="center", fontsize=SMALL - 1
                    )
                if name not in layers:
                    continue
                edges, counts = layers[name]
                axes.stairs(counts, edges, fill=True, color=(BLUE, VERMILLION)[column % 2])
                axes.axvline(0, color=FAINT, linewidth=0.6)
                reach = np.abs(edges).max() or 1.0
                axes.set_xlim(-reach, reach)
                middle = (edges[1:] + edges[:-1]) / 2
                std = np.sqrt(np.average(middle**2, weights=counts))
                axes.text(
                    0.99, 0.9, f"{std:.1e}", transform=axes.transAxes, ha="right", va="top",
                    fontsize=SMALL - 2, color=FAINT,
                )  # fmt: skip
    return figure
