"""The trials of a search: each as one line over all options, and one option at a time.

Parallel coordinates: Inselberg 1985, "The plane with parallel coordinates".
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vislab.runs.figures.style import (
    BLUE,
    FAINT,
    INK,
    RULE,
    SMALL,
    VERMILLION,
    WIDTH,
    house,
    power_of_ten,
    shorten,
)
from vislab.runs.formatting import Number, minus

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

LOW_INK = "#c3d4e3"  # the worst of the trials; the best of them are BLUE
PALE = "#a9b4be"  # trials that were stopped early
TICK = 7.0  # points; six axes share the width of a phone


@dataclass(frozen=True)
class Parameter:
    """What one option was in each trial: numbers, or names out of `choices`.

    `ends` are the lowest and the highest number that were searched.
    """

    values: Sequence[int | float | str]
    log: bool = False
    choices: Sequence[str] | None = None
    ends: tuple[int | float, int | float] | None = None


@dataclass(frozen=True)
class Scale:
    """Where values lie on an axis from 0 to 1, and which of them are written beside it."""

    low: float
    high: float
    log: bool = False
    choices: Sequence[str] | None = None
    share: bool = False

    def __call__(self, value: int | float | str) -> float:
        """Return the place of a value."""
        if self.choices is not None:
            return (list(self.choices).index(str(value)) + 0.5) / len(self.choices)
        bend = math.log10 if self.log else float
        low, high = bend(self.low), bend(self.high)
        return (bend(float(value)) - low) / (high - low) if high > low else 0.5

    def ticks(self, most: int, *, letters: int = 12) -> list[tuple[float, str]]:
        """Return up to about `most` values as (place, text); choices are cut to `letters`."""
        if self.choices is not None:
            step = -(-len(self.choices) // most)
            return [(self(name), shorten(name, letters)) for name in self.choices[::step]]
        at = log_ticks(self.low, self.high, most) if self.log else even_ticks(self, most)
        powers = self.log and all(math.isclose(v, 10.0 ** round(math.log10(v))) for v in at)
        if powers and not self.share and not (at[0] >= 0.01 and at[-1] <= 1000):
            return [(self(value), power_of_ten(value)) for value in at]
        return [(self(value), self.text(value)) for value in at]

    def text(self, value: float) -> str:
        """Write a value as short as it goes."""
        return f"{minus(f'{100 * value:.4g}')} %" if self.share else minus(f"{value:.4g}")


def even_ticks(scale: Scale, most: int) -> list[float]:
    """Return round values between the ends."""
    from matplotlib.ticker import MaxNLocator

    if scale.high <= scale.low:
        return [scale.low]
    found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(scale.low, scale.high)
    slack = 1e-9 * (scale.high - scale.low)
    return [float(v) for v in found if scale.low - slack <= v <= scale.high + slack]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten between the ends; where there are few, 1, 2 and 5 times them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for times in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        powers = (10.0**power * by for power in range(first, last + 1) for by in times)
        found = [v for v in powers if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        if len(found) >= (2 if times == (1,) else 3):
            return found[:: -(-len(found) // most)]
    return [low, high] if high > low else [low]


def scale_of(parameter: Parameter) -> Scale:
    """Return the axis on which all values of a parameter have a place."""
    if parameter.choices is not None:
        return Scale(0.0, 1.0, choices=parameter.choices)
    numbers = [float(value) for value in (*parameter.values, *(parameter.ends or ()))] or [0.0, 1.0]
    return Scale(min(numbers), max(numbers), log=parameter.log and min(numbers) > 0)


def scale_of_values(values: Sequence[Number], share: bool) -> Scale:
    """Return the axis of what was measured: logarithmic where one trial would squash the others."""
    known = [float(value) for value in values] or [0.0, 1.0]
    low, high = min(known), max(known)
    return Scale(low, high, log=low > 0 and high > 200 * low, share=share)


def best_of(values: Sequence[Number | None], pruned: Collection[int], lowest: bool) -> int | None:
    """Return the place of the best trial that was not stopped early."""
    known = [(v, k) for k, v in enumerate(values) if v is not None and k not in pruned]
    if not known:
        return None
    return min(known, key=lambda pair: ((pair[0] if lowest else -pair[0]), pair[1]))[1]


@contextmanager
def _framed(high: float) -> "Iterator[matplotlib.figure.Figure]":
    from matplotlib.figure import Figure

    with house():
        yield Figure(figsize=(WIDTH, high), layout="constrained")


def parallel_coordinates(
    parameters: Mapping[str, Parameter],
    values: Sequence[Number | None],
    *,
    metric: str,
    pruned: Collection[int] = (),
    share: bool = False,
    lowest: bool = False,
) -> "matplotlib.figure.Figure":
    """Draw one line a trial over one axis a parameter, and the metric as the last axis.

    The better, the darker; the best stands out. `pruned` names the places of trials that were
    stopped early, drawn faint; where a value is None the trial has no line. `lowest` says that low
    values are the good ones.
    """
    drawn = [k for k, value in enumerate(values) if value is not None]
    measured = [value for value in values if value is not None]
    scales = {name: scale_of(parameter) for name, parameter in parameters.items()}
    up = scale_of_values(measured, share)
    across = [*scales.items(), (metric, up)]
    best = best_of(values, pruned, lowest)

    def heights(k: int) -> list[float]:
        value = values[k]
        assert value is not None
        places = [scales[name](parameter.values[k]) for name, parameter in parameters.items()]
        return [*places, up(value)]

    whole = [k for k in drawn if k not in pruned and k != best]
    whole.sort(key=lambda k: heights(k)[-1], reverse=lowest)  # the better, the later and higher
    with _framed(3.5) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set(xlim=(-0.42, len(across) - 0.85), ylim=(-0.04, 1.03))
        for k in drawn:
            if k in pruned:
                axes.plot(heights(k), color=PALE, linewidth=0.8, linestyle=(0, (3, 1.6)))
        thin = 1.2 if len(drawn) <= 50 else 0.7
        for rank, k in enumerate(whole):
            good = 1 - heights(k)[-1] if lowest else heights(k)[-1]
            axes.plot(heights(k), color=shade(good), linewidth=thin, zorder=2.1 + rank * 1e-6)
        if best is not None:
            axes.plot(
                heights(best), color=VERMILLION, linewidth=2.4, marker="o", markersize=4, zorder=2.5
            )
        letters = max(4, 66 // len(across) - 2)
        for place, (name, scale) in enumerate(across):
            axes.plot([place, place], [0, 1], color=INK, linewidth=1.0, zorder=2.2)
            for height, text in scale.ticks(6 if scale.choices is None else 16, letters=letters):
                axes.plot([place - 0.03, place], [height, height], color=INK, linewidth=0.8)
                _write(axes, place - 0.05, height, text)
            _head(axes, place, name, len(across))
        _legend(figure, trials=False, best=best is not None, pruned=bool(set(drawn) & {*pruned}))
    return figure


def shade(good: float) -> str:
    """Return the ink of a trial that is this good, from 0 to 1."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    return to_hex(LinearSegmentedColormap.from_list("trials", [LOW_INK, BLUE])(good))


def _write(axes: "matplotlib.axes.Axes", x: float, y: float, text: str) -> None:
    ground = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    axes.text(
        x, y, text, ha="right", va="center", fontsize=TICK, color=INK, bbox=ground, zorder=2.6
    )


def _head(axes: "matplotlib.axes.Axes", place: int, name: str, count: int) -> None:
    """Write an axis's name above it; many names share two or three lines."""
    lines = 1 if count <= 3 else 2 if count <= 6 else 3
    base = 1.05 + 0.075 * (place % lines)
    if place % lines:
        axes.plot([place, place], [1.0, base - 0.01], color=RULE, linewidth=0.8, clip_on=False)
    side = "right" if place == count - 1 else "left" if place == 0 else "center"
    shift = {"left": -0.3, "right": 0.12, "center": 0.0}[side]
    fitting = 54 * lines // count
    text = ending(name, fitting) if place == count - 1 else shorten(name, fitting)
    axes.text(place + shift, base, text, ha=side, va="bottom", fontsize=SMALL, color=INK)


def ending(text: str, letters: int) -> str:
    """Cut a text to its last `letters` letters, the first of them an ellipsis."""
    return text if len(text) <= letters else "…" + text[1 - letters :].lstrip()


def slices(
    parameters: Mapping[str, Parameter],
    values: Sequence[Number | None],
    *,
    metric: str,
    pruned: Collection[int] = (),
    share: bool = False,
    lowest: bool = False,
) -> "matplotlib.figure.Figure":
    """Draw the metric against each parameter, one small panel each; one dot is one trial.

    Options are as for `parallel_coordinates`.
    """
    drawn = [k for k, value in enumerate(values) if value is not None]
    heights = [value for value in values if value is not None]
    up = scale_of_values(heights, share)
    best = best_of(values, pruned, lowest)
    columns = min(2, max(len(parameters), 1))
    rows = -(-max(len(parameters), 1) // columns)
    with _framed(0.5 + (2.4 if rows == 1 else 1.95 * rows)) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for panel in grid.flat[len(parameters) :]:
            panel.set_axis_off()
        for panel, (name, parameter) in zip(grid.flat, parameters.items(), strict=False):
            scale = scale_of(parameter)
            at = np.array([scale(parameter.values[k]) for k in drawn])
            if parameter.choices is not None:  # equal choices side by side, not on one another
                wiggle = np.array([(k * 0.618) % 1 - 0.5 for k in drawn])
                at = at + 0.45 * wiggle / max(len(parameter.choices), 1)
            _dots(panel, at, [up(v) for v in heights], drawn, pruned, best)
            places = scale.ticks(4 if parameter.choices is None else 8)
            panel.set_xticks([place for place, _ in places], [text for _, text in places])
            crowded = sum(len(text) for _, text in places) > 46 / columns
            if crowded:
                panel.tick_params(axis="x", labelrotation=30)
                for text in panel.get_xticklabels():
                    text.set(ha="right", rotation_mode="anchor")
            panel.set_xlabel(shorten(name, 52 // columns), color=INK)
            panel.set(xlim=(-0.06, 1.06), ylim=(-0.08, 1.08))
            written = up.ticks(5)
            panel.set_yticks([place for place, _ in written], [text for _, text in written])
        for panel in grid[:, 0]:
            panel.set_ylabel(ending(metric, 24 if rows == 1 else 17))
        held = bool(set(drawn) & {*pruned})
        _legend(figure, trials=True, best=best is not None, pruned=held)
    return figure


def _dots(
    panel: "matplotlib.axes.Axes",
    across: np.ndarray,
    heights: Sequence[float],
    drawn: Sequence[int],
    pruned: Collection[int],
    best: int | None,
) -> None:
    for k, x, y in zip(drawn, across, heights, strict=True):
        style: dict[str, Any] = {"color": BLUE, "markersize": 4.5, "zorder": 3, "alpha": 0.8}
        if k in pruned:
            style |= {"color": PALE, "markerfacecolor": "none", "zorder": 2}
        elif k == best:
            style |= {"color": VERMILLION, "markersize": 8.0, "zorder": 4, "alpha": 1.0}
        panel.plot([x], [y], marker="o", linestyle="none", clip_on=False, **style)


def _legend(figure: "matplotlib.figure.Figure", *, trials: bool, best: bool, pruned: bool) -> None:
    from matplotlib.lines import Line2D

    line: Any = "none" if trials else "-"
    rest: dict[str, Any] = {"marker": "o" if trials else "none", "markersize": 4.5}
    handles, texts = [Line2D([], [], color=BLUE, linestyle=line, **rest)], ["a trial"]
    if best:
        style = {**rest, "marker": "o"}
        handles.append(Line2D([], [], color=VERMILLION, linestyle=line, **style))
        texts.append("the best")
    if pruned:
        dashes: Any = "none" if trials else (0, (3, 1.6))
        handles.append(Line2D([], [], color=PALE, linestyle=dashes, markerfacecolor="none", **rest))
        texts.append("stopped early")
    figure.legend(handles, texts, loc="outside lower center", ncols=3, labelcolor=FAINT)
