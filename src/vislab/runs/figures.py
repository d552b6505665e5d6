"""Figures of a run: one look for all, readable at the width of a phone.

Drawn with matplotlib's objects; pyplot and its global state are not touched, and matplotlib is
imported only when something is drawn. The same input gives the same bytes.

Colours: Okabe and Ito 2008, "Color Universal Design", told apart with every kind of colour vision.
"""

import io
import math
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vislab.runs.calibration import calibration
from vislab.runs.intervals import Interval
from vislab.runs.phrasing import Number, measured, number, percent

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK = PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
)
RIGHT, WRONG = GREEN, VERMILLION  # the colours of a right and of a wrong prediction
INK, FAINT, RULE = "#1f2933", "#5f6b76", "#dfe3e8"

WIDTH = 4.5  # inches; shown 350 pixels wide, letters of 9 points are 10 pixels high
SMALL, TEXT, HEADING = 8.5, 9.5, 11.0  # points
HOUSE = {
    "axes.edgecolor": "#9aa5b1",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": FAINT,
    "axes.labelsize": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": HEADING,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
    "figure.facecolor": "white",
    "font.size": TEXT,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "vislab",  # without it every SVG has random ids
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5"
    "xtick.color": FAINT,
    "xtick.labelsize": SMALL,
    "ytick.color": FAINT,
    "ytick.labelsize": SMALL,
}
# What DejaVu Sans cannot write is looked for here, as far as the machine has them.
MORE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans Devanagari",
    "Noto Sans Arabic",
    "PingFang SC",
    "Microsoft YaHei",
    "Nirmala UI",
)


@contextmanager
def house() -> Iterator[None]:
    """Draw in the house style, whatever the user's matplotlibrc says."""
    import matplotlib.font_manager
    import matplotlib.style

    known = set(matplotlib.font_manager.get_font_names())
    family = ["DejaVu Sans", *(name for name in MORE_FONTS if name in known)]
    with matplotlib.style.context(["default", {**HOUSE, "font.family": family}]):
        yield


def to_png(figure: "matplotlib.figure.Figure", *, dpi: int = 200) -> bytes:
    """Return the figure as PNG; equal figures give equal bytes."""
    file = io.BytesIO()
    with house():
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
    return file.getvalue()


def to_svg(figure: "matplotlib.figure.Figure") -> bytes:
    """Return the figure as SVG for slides, letters as outlines; equal figures give equal bytes."""
    file = io.BytesIO()
    with house():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def picture_grid(
    pictures: UInt8[np.ndarray, "n h w 3"],
    *,
    titles: Sequence[str] | None = None,
    colours: Sequence[str] | None = None,
    columns: int | None = None,
    heading: str | None = None,
) -> "matplotlib.figure.Figure":
    """Lay pictures out in rows, pixels of small ones shown as squares.

    A title takes one line more than it has and is cut where it is longer; `colours` are the
    titles'.
    """
    return grid(pictures, titles, colours, columns or columns_for(len(pictures), titles), heading)


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


def named_rows(
    rows: Sequence[tuple[str, UInt8[np.ndarray, "_n _h _w 3"]]], *, heading: str | None = None
) -> "matplotlib.figure.Figure":
    """Lay out rows of pictures, each under its name; rows may differ in length and size."""
    columns = max((len(pictures) for _, pictures in rows), default=0)
    if columns == 0:
        return nothing("no pictures")
    side, gap, line = cell_side(columns), 0.06, 0.24
    top = 0.36 if heading else 0.06
    shapes = [pictures.shape[1:3] for _, pictures in rows]
    heights = [line + side * h / max(w, 1) + gap for h, w in shapes]
    width = max(2 * 0.1 + columns * (side + gap) - gap, 2.5)
    figure, axes = sheet(width, top + sum(heights) + 0.06)
    if heading:
        write_heading(axes, heading)
    with house():
        for (name, pictures), height in zip(rows, heights, strict=True):
            text = shorten(name, int((width - 0.2) * 72 / (TEXT * 0.58)))
            axes.text(0.1, top + line - 0.06, text, va="baseline", color=INK, fontsize=TEXT)
            for column, picture in enumerate(pictures):
                left = 0.1 + column * (side + gap)
                put_picture(axes, picture, left, top + line, side)
            top += height
    return figure


def grid(
    pictures: np.ndarray,
    titles: Sequence[str] | None,
    colours: Sequence[str] | None,
    columns: int,
    heading: str | None,
    *,
    below: float = 0.0,
    **scale: Any,
) -> "matplotlib.figure.Figure":
    """Lay out pictures (N, H, W, 3) or maps (N, H, W); `below` inches are left free."""
    if len(pictures) == 0:
        return nothing("no pictures")
    side, gap = cell_side(columns), 0.09
    letters = max(4, int(side * 72 / (SMALL * 0.52)))
    written = [broken(title, letters) for title in titles] if titles is not None else []
    line = 0.15 * max((text.count("\n") + 1 for text in written), default=0)
    tall = side * pictures.shape[1] / max(pictures.shape[2], 1)
    rows = math.ceil(len(pictures) / columns)
    top = 0.38 if heading else 0.06
    width = max(2 * 0.1 + columns * (side + gap) - gap, 2.0)
    figure, axes = sheet(width, top + rows * (line + tall + gap) + below)
    if heading:
        write_heading(axes, heading)
    inks = colours if colours is not None else [INK] * len(pictures)
    texts = written or [""] * len(pictures)
    with house():
        for place, (picture, text, ink) in enumerate(zip(pictures, texts, inks, strict=True)):
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
            put_picture(axes, picture, left, above + line, side, **scale)
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


def put_picture(
    axes: "matplotlib.axes.Axes",
    picture: np.ndarray,
    left: float,
    top: float,
    side: float,
    **scale: Any,
) -> None:
    """Draw one picture `side` inches wide with its upper left corner at (left, top)."""
    high, wide = picture.shape[:2]
    bottom = top + side * high / max(wide, 1)
    axes.imshow(
        picture,
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


def shorten(text: str, letters: int) -> str:
    """Cut a text to `letters` letters, the last of them an ellipsis."""
    return text if len(text) <= letters else text[: max(letters - 1, 0)].rstrip() + "…"


def curves(
    series: Mapping[str, tuple[Sequence[Number] | np.ndarray, Sequence[Number] | np.ndarray]],
    *,
    x: str,
    y: str,
    heading: str | None = None,
    colours: Mapping[str, str] | None = None,
    dashed: Collection[str] = (),
    log: bool = False,
    share: bool = False,
) -> "matplotlib.figure.Figure":
    """Draw named lines of (x values, y values); `x` and `y` say what the axes mean.

    Up to eight lines carry their names at their ends, more share a legend. Values that are not
    finite leave a gap. `log` scales y by its logarithm (values ≤ 0 leave a gap too), `share`
    writes it in percent.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with house():
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
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
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(x)
        axes.set_title(heading or y)
        if heading:
            axes.set_ylabel(y)
        axes.margins(x=0.01)
        if len(series) > 8:
            # A name that begins with "_" would be left out: give the legend its texts afterwards.
            legend = figure.legend(
                handles, ["x"] * len(handles), loc="outside lower center", ncols=3
            )
            for text, name in zip(legend.get_texts(), series, strict=True):
                text.set_text(shorten(name, 22))
        elif len(series) > 1:
            write_ends(axes, ends)
    return figure


def write_ends(axes: "matplotlib.axes.Axes", ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name beside its end, moved apart so that none covers another."""
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
    unit: str = "",
    heading: str | None = None,
) -> "matplotlib.figure.Figure":
    """Draw one bar a name, from the top down, with its interval.

    `unit` "%" takes shares of 1 and writes percent; any other is written beside the axis.
    `reference` draws a named line at each value, `chance` a dotted one.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    share = unit == "%"
    known = list(intervals) if intervals is not None else [None] * len(values)
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
            texts.append(f"chance {measured(chance, share=share)}")
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
        if all(value >= 0 for value in values):
            axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if share:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        elif unit:
            axes.set_xlabel(unit)
        if heading:
            axes.set_title(heading)
    return figure


def confusion_matrix(
    counts: Int[np.ndarray, "k k"], classes: Sequence[str]
) -> "matplotlib.figure.Figure":
    """Draw how often a picture of the row's class was taken for the column's.

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
        colour_bar.set_label("of the row's pictures", fontsize=SMALL)
    return figure


def reliability(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, bins: int = 15
) -> "matplotlib.figure.Figure":
    """Draw accuracy against confidence, the gap between them, and how many pictures lie where.

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
        axes.set_title(f"ECE {percent(found.error)}  ({number(confidence.size)} pictures)")
        axes.annotate(
            "hatched: the gap to the confidence",
            (0.03, 0.94),
            color=VERMILLION,
            fontsize=SMALL,
            va="top",
        )
        below.set(xlabel="confidence", ylabel="pictures", ylim=(0, None))
        for part in (axes, below):
            part.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:.0f} %"))
        below.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:.0f} %"))
    return figure
