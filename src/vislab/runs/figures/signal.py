"""The signal figure: how large activations and gradients are, from layer to layer or step to step.

Activations that shrink or grow by a factor a layer, and gradients that do, are why deep and
recurrent networks do not begin to learn (Glorot and Bengio 2010, figures 6 and 7).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vislab.runs.figures.charts import write_ends
from vislab.runs.figures.style import PALETTE, WIDTH, house, power_of_ten
from vislab.runs.phrasing import Number

if TYPE_CHECKING:
    import matplotlib.figure


def signal(
    activations: Mapping[str, Sequence[Number]],
    gradients: Mapping[str, Sequence[Number]],
    *,
    x: str,
) -> "matplotlib.figure.Figure":
    """Draw a line a name above (activations) and below (gradients), on logarithmic scales.

    `x` says what is counted from 1 along both. What is zero or not finite leaves a gap.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    with house():
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for axes, series, title in (
            (above, activations, "size of the activations"),
            (below, gradients, "size of their gradients"),
        ):
            ends = []
            for turn, (name, values) in enumerate(series.items()):
                line = np.asarray(values, dtype=float)
                line = np.where(np.isfinite(line) & (line > 0), line, np.nan)
                axes.plot(np.arange(1, len(line) + 1), line, color=PALETTE[turn], marker=".")
                known = np.flatnonzero(np.isfinite(line))
                if known.size:
                    ends.append((float(line[known[-1]]), name, PALETTE[turn]))
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(numticks=7))
            axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
            axes.set_title(title)
            axes.margins(x=0.02)
            write_ends(axes, ends)
        below.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        below.set_xlabel(x)
    return figure
