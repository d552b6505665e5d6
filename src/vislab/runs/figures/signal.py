"""The signal figure: how large activations and gradients are, from layer to layer or step to step.

Activations that shrink or grow by a factor a layer, and gradients that do, are why deep and
recurrent networks do not begin to learn (Glorot and Bengio 2010, figures 6 and 7).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vislab.runs.figures.charts import write_ends
from vislab.runs.figures.style import PALETTE, WIDTH, house, power_of_ten
from vislab.runs.formatting import Number

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
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    with house():
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for axes, series, title in (
            (above, activations, "size of the activations"),
            (below, gradients, "size of their gradients"),
        ):
            ends = []
            for turn, (name, values) in enumerate(series.items()):
                ink = PALETTE[turn % len(PALETTE)]
                line = np.asarray(values, dtype=float)
                line = np.where(np.isfinite(line) & (line > 0), line, np.nan)
                axes.plot(np.arange(1, len(line) + 1), line, color=ink, marker=".")
                known = np.flatnonzero(np.isfinite(line))
                if known.size:
                    ends.append((float(line[known[-1]]), name, ink))
            axes.set_yscale("log")
            drawn = np.array([y for line in axes.lines for y in np.asarray(line.get_ydata())])
            low, high = np.nanmin(drawn, initial=np.inf), np.nanmax(drawn, initial=0.0)
            if low > 0 and high < 10 * low:  # within one decade powers of ten are too far apart
                axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
                axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            else:
                axes.yaxis.set_major_locator(LogLocator(numticks=7))
                axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.set_title(title)
            axes.margins(x=0.02)
            write_ends(axes, ends)
        below.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        below.set_xlabel(x)
    return figure
