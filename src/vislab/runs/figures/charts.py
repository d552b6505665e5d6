"""Drawings of numbers: curves, bars, ladders, confusion, calibration."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vislab.runs.calibration import calibration
from vislab.runs.figures.style import (
    BLUE,
    FAINT,
    INK,
    PALETTE,
    SMALL,
    VERMILLION,
    WIDTH,
    house,
    shorten,
)
from vislab.runs.formatting import Number, measured, number, percent
from vislab.runs.intervals import Interval

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure


def curves(
    series: Mapping[str, tuple[Sequence[Number] | np.ndarray, Sequence[Number] | np.ndarray]],
    *,
    x: str,
    y: str,
    heading: str | None = None,
    colours: Mapping[str, str] | None = None,
    dashed: Collection[str] = (),
    log: bool = False,
    log_x: bool = False,
    share: bool = False,
) -> "matplotlib.figure.Figure":
    """Draw named lines of (x values, y values); `x` and `y` say what the axes mean.

    Up to eight lines carry their names at their ends, more share a legend. Values that are not
    finite leave a gap. `log` scales y by its logarithm (values ≤ 0 leave a gap too), `log_x` x;
    `share` writes y in percent.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    columns = 2 if all(len(name) <= 22 for name in series) else 1
    legend_height = 0.21 * math.ceil(len(series) / columns) if len(series) > 8 else 0.0
    with house():
        figure = Figure(figsize=(WIDTH, 3.0 + legend_height), layout="constrained")
        axes = figure.subplots()
        ends, handles = [], []
        for place, (name, (across, up)) in enumerate(series.items()):
            ink = (colours or {}).get(name, PALETTE[place % len(PALETTE)])
            steps, values = np.asarray(across, dtype=float), np.asarray(up, dtype=float)
            values = np.where(np.isfinite(values) & ((values > 0) | (not log)), values, np.nan)
            turn = place // len(PALETTE)  # colours come back as dashes and dots
            style: Any = (0, (3, 1.6)) if name in dashed else ("-", "-.", ":")[turn % 3]
            alone = int(np.isfinite(values).sum()) == 1
            marker = "o" if alone else None  # one value is no line
            handles += axes.plot(steps, values, color=ink, linestyle=style, marker=marker)
            known = np.flatnonzero(np.isfinite(values))
            if known.size:
                ends.append((float(values[known[-1]]), name, ink))
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        if share:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        if log_x:
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(x)
        axes.set_title(heading or y)
        if heading:
            axes.set_ylabel(y)
        axes.margins(x=0.01)
        if len(series) > 8:
            # A name that begins with "_" would be left out: give the legend its texts afterwards.
            legend = figure.legend(
                handles, ["x"] * len(handles), loc="outside lower center", ncols=columns
            )
            for text, name in zip(legend.get_texts(), series, strict=True):
                text.set_text(shorten(name, 22 if columns == 2 else 48))
        elif len(series) > 1:
            write_ends(axes, ends)
    return figure


def smoothed(values: Sequence[Number], over: int) -> tuple[range, np.ndarray]:
    """Return steps, counted from 1, and the mean of the last `over` values up to each."""
    over = max(1, min(over, len(values)))
    mean = np.convolve(np.asarray(values, dtype=float), np.ones(over) / over, mode="valid")
    return range(over, over + len(mean)), mean


def write_ends(axes: "matplotlib.axes.Axes", ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name beside its end, moved apart so that none covers another."""
    axes.autoscale_view()  # matplotlib puts it off, and the limits would still be 0 and 1
    line = 0.075  # of the height of the axes
    low, high = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    placed = []
    for value, name, ink in ends:
        at = axes.transData.transform((1, value))[1]
        placed.append((float((at - low) / (high - low)), name, ink))
    placed.sort()
    heights: list[float] = []
    for wanted, _, _ in placed:
        heights.append(max(wanted, heights[-1] + line) if heights else wanted)
    excess = max(0.0, heights[-1] - 1.0) if heights else 0.0
    for place in reversed(range(len(heights))):  # what was pushed out of the top comes back down
        roof = heights[place + 1] - line if place + 1 < len(heights) else heights[place] - excess
        heights[place] = min(heights[place], roof)
    for height, (_, name, ink) in zip(heights, placed, strict=True):
        axes.text(
            1.015,
            height,
            shorten(name, 20),
            color=ink,
            fontsize=SMALL,
            transform=axes.transAxes,
            va="center",
        )


def bars(
    names: Sequence[str],
    values: Sequence[Number],
    *,
    intervals: Sequence[Interval | None] | None = None,
    reference: Sequence[tuple[str, Number]] | None = None,
    chance: Number | None = None,
    level: str = "chance",
    unit: str = "",
    heading: str | None = None,
) -> "matplotlib.figure.Figure":
    """Draw one bar a name, from the top down, with its interval.

    `unit` "%" takes shares of 1 and writes percent; any other is written beside the axis.
    `reference` draws a named line at each value, `chance` a dotted one, called `level`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    share = unit == "%"
    known = [
        one if one is not None and math.isfinite(one[0]) else None
        for one in (intervals if intervals is not None else [None] * len(values))
    ]
    with house():
        figure = Figure(figsize=(WIDTH, 0.95 + 0.36 * max(len(names), 1)), layout="constrained")
        axes = figure.subplots()
        axes.grid(False)
        axes.grid(True, axis="x")
        places = np.arange(len(names))
        axes.barh(places, values, height=0.62, color=BLUE)
        for place, value, interval in zip(places, values, known, strict=True):
            low, high = interval or (value, value)
            if interval is not None:
                axes.plot([low, high], [place, place], color=INK, linewidth=1.4, marker="|")
            axes.annotate(
                measured(value, share=share),
                (max(value, high, 0.0), float(place)),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
            )
        handles, texts = [], []
        if chance is not None:
            handles.append(axes.axvline(chance, color=FAINT, linestyle=":", linewidth=1.5))
            texts.append(f"{level} {measured(chance, share=share)}")
        for turn, (name, theirs) in enumerate(reference or ()):
            ink = PALETTE[1 + turn % (len(PALETTE) - 1)]
            handles.append(axes.axvline(theirs, color=ink, linestyle="--", linewidth=1.5))
            texts.append(f"{name} {measured(theirs, share=share)}")
        if handles:
            legend = figure.legend(handles, texts, loc="outside lower center", ncols=2)
            for text, said in zip(legend.get_texts(), texts, strict=True):
                text.set_text(shorten(said, 34))
        axes.set_yticks(places, [shorten(name, 22) for name in names])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_visible(False)
        axes.invert_yaxis()
        axes.margins(x=0.16)
        drawn = [*values, *(one[0] for one in known if one is not None), chance or 0]
        if all(value >= 0 for value in drawn):
            axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if share:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        elif unit:
            axes.set_xlabel(unit)
        if heading:
            axes.set_title(heading)
    return figure


def ladder(
    rungs: Sequence[str],
    series: Mapping[str, Sequence[tuple[Number, Interval]]],
    *,
    chance: Number | None = None,
) -> "matplotlib.figure.Figure":
    """Draw a share for each named rung, with its interval: one line a series, left to right."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    with house():
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        spread = 0.28 / max(len(series), 1)  # so that intervals do not cover one another
        ends = []
        for place, (name, steps) in enumerate(series.items()):
            ink = PALETTE[place % len(PALETTE)]
            across = np.arange(len(rungs)) + spread * (place - (len(series) - 1) / 2)
            values = np.array([value for value, _ in steps])
            reach = np.abs(np.array([span for _, span in steps]).T - values)  # (2, rungs)
            axes.errorbar(
                across, values, yerr=reach, color=ink, marker="o", markersize=4, elinewidth=1.2
            )
            ends.append((float(values[-1]), name, ink))
        if chance is not None:
            axes.axhline(chance, color=FAINT, linestyle=":", linewidth=1.5)
            ends.append((float(chance), "chance", FAINT))
        axes.set_xticks(range(len(rungs)), [shorten(name, 12) for name in rungs])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        axes.margins(x=0.04)
        write_ends(axes, ends)
    return figure


def confusion_matrix(
    counts: Int[np.ndarray, "k k"], classes: Sequence[str]
) -> "matplotlib.figure.Figure":
    """Draw how often an image of the row's class was taken for the column's.

    Shades are shares of the row; counts are written up to 20 classes; beyond 40, only every few
    classes are named.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    kinds = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 5.0 if kinds <= 12 else 6.5 if kinds <= 20 else 8.0
    with house():
        figure = Figure(figsize=(side, side * 0.88), layout="constrained")
        axes = figure.subplots()
        shading = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        step = 1 if kinds <= 40 else math.ceil(kinds / 25)
        shown = range(0, kinds, step)
        size = min(SMALL, 0.6 * side * 72 / max(len(shown), 1) * 0.8)
        names = [shorten(classes[k], 18) for k in shown]
        axes.set_xticks(shown, names, rotation=90 if kinds > 12 else 45, fontsize=size)
        for text in axes.get_xticklabels() if kinds <= 12 else ():
            text.set(ha="right", rotation_mode="anchor")
        axes.set_yticks(shown, names, fontsize=size)
        axes.set(xlabel="predicted", ylabel="true")
        axes.grid(False)
        axes.tick_params(length=0 if step == 1 else 2)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if kinds <= 20:
            digits = len(str(int(counts.max(initial=0))))
            fitting = 0.66 * side * 72 / max(kinds, 1) / (0.66 * max(digits, 2))
            for (row, column), count in np.ndenumerate(counts):
                ink = "white" if shares[row, column] > 0.55 else INK if count else "#b6bec7"
                axes.text(
                    column,
                    row,
                    str(count),
                    color=ink,
                    fontsize=min(SMALL, fitting),
                    ha="center",
                    va="center",
                )
        colour_bar = figure.colorbar(shading, ax=axes, shrink=0.45, aspect=22, pad=0.01)
        colour_bar.outline.set_visible(False)
        colour_bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:.0f} %"))
        colour_bar.ax.grid(False)
        colour_bar.set_label("of the row's images", fontsize=SMALL)
    return figure


def reliability(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, bins: int = 15
) -> "matplotlib.figure.Figure":
    """Draw accuracy against confidence, the gap between them, and how many images lie where.

    `confidence` is the probability of the predicted class. Guo et al. 2017, figure 4.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    found = calibration(confidence, correct, bins=bins)
    filled = [bin_ for bin_ in found.bins if bin_.count]
    with house():
        figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        for bin_ in filled:
            centre, width = (bin_.low + bin_.high) / 2, 0.94 * (bin_.high - bin_.low)
            was, said = bin_.accuracy or 0.0, bin_.confidence or 0.0
            axes.bar(centre, was, width, color=BLUE)
            axes.bar(
                centre,
                said - was,
                width,
                bottom=was,
                facecolor="none" if said < was else "#d55e0033",
                edgecolor=VERMILLION,
                linewidth=0.9,
                hatch="////",
            )
            below.bar(centre, bin_.count / confidence.size, width, color=FAINT)
        axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1.4)
        axes.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        axes.set_title(f"ECE {percent(found.error)}  ({number(confidence.size)} images)")
        axes.annotate(
            "hatched: the gap to the confidence",
            (0.03, 0.94),
            color=VERMILLION,
            fontsize=SMALL,
            va="top",
        )
        below.set(xlabel="confidence", ylabel="images", ylim=(0, None))
        for part in (axes, below):
            part.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:.0f} %"))
        below.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:.0f} %"))
    return figure
