"""How nearly two computations agree: differences on a logarithmic scale, beside what is allowed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vislab.runs.figures.style import (
    FAINT,
    PALETTE,
    SMALL,
    WIDTH,
    house,
    power_of_ten,
    shorten,
)
from vislab.runs.formatting import Number

if TYPE_CHECKING:
    import matplotlib.figure

FLOOR = 1e-17  # equal to the last digit is drawn here


def rounding(
    differences: Sequence[Number],
    across: Sequence[int] | range,
    *,
    tolerance: float,
    x: str,
    y: str,
) -> "matplotlib.figure.Figure":
    """Draw differences, one a step, and the tolerance as a line; 0 is drawn at 1e-17."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with house():
        figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
        axes = figure.subplots()
        values = np.maximum(np.asarray(differences, dtype=float), FLOOR)
        finite = values[np.isfinite(values)]
        axes.plot(list(across), values, color=PALETTE[0], marker="o", markersize=3, linewidth=1)
        axes.axhline(tolerance, color=FAINT, linestyle="--", linewidth=1.4)
        axes.annotate(
            f"tolerance {tolerance:.0e}", (0.01, tolerance), xycoords=("axes fraction", "data"),
            xytext=(0, 4), textcoords="offset points", color=FAINT, fontsize=SMALL,
        )  # fmt: skip
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        axes.set_ylim(FLOOR / 3, max(tolerance * 30, float(finite.max(initial=FLOOR)) * 10))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(x)
        axes.set_title(y)
    return figure


def rounding_dots(
    names: Sequence[str],
    series: Mapping[str, Sequence[Number]],
    *,
    limits: Mapping[str, float],
) -> "matplotlib.figure.Figure":
    """Draw relative errors, a row a name and a colour a series, with each series' limit dashed."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator

    with house():
        figure = Figure(figsize=(WIDTH, 1.4 + 0.24 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.grid(True, axis="both")
        places = np.arange(len(names))
        for turn, (name, errors) in enumerate(series.items()):
            values = np.maximum(np.asarray(errors, dtype=float), FLOOR)
            axes.plot(
                values, places, linestyle="", marker="os"[turn % 2], markersize=5.5,
                color=PALETTE[turn], label=name,
            )  # fmt: skip
            axes.axvline(limits[name], color=PALETTE[turn], linestyle="--", linewidth=1.2)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=7))
        axes.xaxis.set_major_formatter(FuncFormatter(power_of_ten))
        axes.set_xlim(FLOOR / 3, 10)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(places, [shorten(name, 20) for name in names])
        axes.set_xlabel("relative error; dashed: the most that passes")
        figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL)
    return figure
