"""Small multiples: one small chart a knob, a line a network, all on one scale."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vislab.runs.figures.style import PALETTE, SMALL, WIDTH, house, shorten

if TYPE_CHECKING:
    import matplotlib.figure


def small_multiples(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]], *, y: str
) -> "matplotlib.figure.Figure":
    """Draw for each panel, by its name, a line for each series over named values; shares of 1.

    All panels have the same vertical scale and share one legend.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    columns = 2
    rows = max(1, math.ceil(len(panels) / columns))
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    with house():
        legend_rows = math.ceil(len(names) / 2)
        figure = Figure(figsize=(WIDTH, 1.9 * rows + 0.22 * legend_rows + 0.3))
        figure.set_layout_engine("constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        handles = {}
        for place, (panel, series) in enumerate(panels.items()):
            axes = grid[place // columns][place % columns]
            labels = list(dict.fromkeys(label for values in series.values() for label in values))
            for name, values in series.items():
                ink = PALETTE[names.index(name) % len(PALETTE)]
                at = [labels.index(label) for label in values]
                (line,) = axes.plot(at, list(values.values()), color=ink, marker="o", markersize=4)
                handles[name] = line
            axes.set_title(panel, fontsize=SMALL + 1)
            # "rate 0.1" under "learning rate" is said twice.
            texts = [shorten(label.removeprefix(f"{panel.split()[-1]} "), 11) for label in labels]
            axes.set_xticks(range(len(labels)), texts)
            axes.tick_params(axis="x", labelsize=SMALL - 1)
            axes.set_xlim(-0.4, len(labels) - 0.6)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        for spare in range(len(panels), rows * columns):
            grid[spare // columns][spare % columns].set_visible(False)
        for row in grid:
            row[0].set_ylabel(y)
        legend = figure.legend(
            list(handles.values()), ["x"] * len(handles), loc="outside lower center", ncols=2
        )
        for text, name in zip(legend.get_texts(), handles, strict=True):
            text.set_text(shorten(name, 30))
    return figure
