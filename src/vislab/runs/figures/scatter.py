"""Named points of two numbers each, with names that cover neither each other nor the points."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vislab.runs.figures.style import BLUE, FAINT, SMALL, WIDTH, house, shorten
from vislab.runs.formatting import Number, amount

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import matplotlib.ticker

DOT = 3.5  # points, the radius of what a name must not cover
AIR = 1.5  # points between a name and anything else
ROUNDS = 10  # attempts to find a good place for each name
GAPS = (
    DOT + 2.0,
    9,
    13,
    17,
    22,
    27,
    35,
    45,
    60,
    80,
    100,
    130,
    170,
)  # points between a dot and its name
NEAR = 6.0  # points from the dot within which a name needs no line to it
# Where the middle of a name may stand: to the right in gaps and in halves of its width, and above
# in gaps and in halves of its height.
SIDES = (
    *((1, 1, 0, 0), (-1, -1, 0, 0), (0, 0, 1, 1), (0, 0, -1, -1)),
    *((1, 1, 1, 1), (-1, -1, 1, 1), (1, 1, -1, -1), (-1, -1, -1, -1)),
    *((0, slide, 1, 1) for slide in (0.5, -0.5, 0.9, -0.9)),
    *((0, slide, -1, -1) for slide in (0.5, -0.5, 0.9, -0.9)),
    *((1, 1, slide, 0) for slide in (0.5, -0.5)),
    *((-1, -1, slide, 0) for slide in (0.5, -0.5)),
)


@dataclass(frozen=True)
class Box:
    """A rectangle on the paper, in points."""

    left: float
    low: float
    wide: float
    high: float

    def meets(self, other: "Box", air: float = AIR) -> bool:
        """Return whether the two are nearer than `air`."""
        return (
            self.left < other.left + other.wide + air
            and other.left < self.left + self.wide + air
            and self.low < other.low + other.high + air
            and other.low < self.low + self.high + air
        )

    def within(self, other: "Box") -> bool:
        """Return whether it lies inside another."""
        return (
            other.left <= self.left
            and self.left + self.wide <= other.left + other.wide
            and other.low <= self.low
            and self.low + self.high <= other.low + other.high
        )

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle."""
        return (self.left + self.wide / 2, self.low + self.high / 2)

    def crossed(self, line: "Line") -> bool:
        """Return whether a line runs through it or touches it."""
        (x, y), (dx, dy) = line.start, line.way
        enter, leave = 0.0, 1.0
        for at, step, low, size in ((x, dx, self.left, self.wide), (y, dy, self.low, self.high)):
            low, top = low - AIR, low + size + AIR
            if step == 0:
                if not low <= at <= top:
                    return False
                continue
            first, last = sorted(((low - at) / step, (top - at) / step))
            enter, leave = max(enter, first), min(leave, last)
        return enter <= leave


@dataclass(frozen=True)
class Line:
    """From a dot to its name: where it starts and how far it goes, in points."""

    start: tuple[float, float]
    way: tuple[float, float]

    def crosses(self, other: "Line") -> bool:
        """Return whether two lines meet."""
        turn = self.way[0] * other.way[1] - self.way[1] * other.way[0]
        if turn == 0:
            return False
        x, y = (there - here for there, here in zip(other.start, self.start, strict=True))
        along = (x * other.way[1] - y * other.way[0]) / turn
        return 0 <= along <= 1 and 0 <= (x * self.way[1] - y * self.way[0]) / turn <= 1


def named_points(
    points: Mapping[str, tuple[Number, Number]], *, x: str, y: str, heading: str | None = None
) -> "matplotlib.figure.Figure":
    """Draw a dot for each name at its (x value, y value), both axes logarithmic.

    A name stands beside its dot, or where there is room, with a line to it. Points of which a value
    is not above 0 and finite are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    shown = {
        shorten(name, 24): pair
        for name, pair in points.items()
        if all(math.isfinite(value) and value > 0 for value in pair)
    }
    with house():
        # The names are measured as `to_png` will write them.
        figure = Figure(figsize=(WIDTH, 4.3), dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        across, up = (np.array([pair[side] for pair in shown.values()]) for side in (0, 1))
        axes.scatter(across, up, s=(2 * DOT) ** 2 * 0.7, color=BLUE, zorder=3)
        axes.set(xscale="log", yscale="log", xlabel=x)
        axes.margins(0.1)
        if not shown:
            axes.set(xlim=(1, 10), ylim=(1, 10))  # matplotlib finds none for no points
        axes.grid(True, axis="both")
        for side, values in ((axes.xaxis, across), (axes.yaxis, up)):
            side.set_major_locator(ticks(values))
            side.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))
            side.set_minor_formatter(NullFormatter())
        axes.set_title(heading or y)
        if heading:
            axes.set_ylabel(y)
        write_names(axes, list(shown), across, up)
    return figure


def ticks(values: np.ndarray) -> "matplotlib.ticker.LogLocator":
    """Return ticks at powers of ten, and between them where there are few."""
    from matplotlib.ticker import LogLocator

    powers = math.log10(values.max() / values.min()) if values.size else 0.0
    between = (1.0,) if powers > 2 else (1.0, 2.0, 5.0) if powers > 0.7 else (1, 1.5, 2, 3, 4, 5, 7)
    return LogLocator(10, subs=between, numticks=12)


def write_names(
    axes: "matplotlib.axes.Axes", names: Sequence[str], across: np.ndarray, up: np.ndarray
) -> None:
    """Write each point's name where it covers nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure = axes.get_figure(root=True)
    assert figure is not None, "the axes belong to no figure"
    assert isinstance(figure.canvas, FigureCanvasAgg), "the figure has nothing to measure with"
    figure.draw_without_rendering()  # settles where the axes lie
    point = 72 / figure.dpi  # of a pixel
    frame = axes.get_window_extent()
    edges = (frame.x0, frame.y0, frame.width, frame.height)
    paper = Box(*(float(point * edge) for edge in edges))
    dots = point * axes.transData.transform(np.column_stack([across, up]).reshape(-1, 2))
    texts = [
        axes.annotate(
            name, (float(x), float(y)), xytext=(0, 0), textcoords="offset points", fontsize=SMALL,
            arrowprops={
                "arrowstyle": "-", "color": FAINT, "linewidth": 0.7, "shrinkA": 0, "shrinkB": DOT
            },
        )
        for name, x, y in zip(names, across, up, strict=True)
    ]  # fmt: skip
    renderer = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]
    extents = [Text.get_window_extent(text, renderer) for text in texts]  # without the lines
    sizes = [(float(point * e.width), float(point * e.height)) for e in extents]
    for text, dot, box in zip(texts, dots, places(dots, sizes, paper), strict=True):
        text.set_in_layout(False)
        on_the_left = box.left + box.wide < dot[0]  # keep the gap where letters run wider
        text.set_position((box.left + on_the_left * box.wide - dot[0], box.low - dot[1]))
        text.set(ha="right" if on_the_left else "left", va="bottom")
        assert text.arrow_patch is not None, "a name without its line"
        text.arrow_patch.set_visible(distance(box, dot) > NEAR)


def places(dots: np.ndarray, sizes: Sequence[tuple[float, float]], paper: Box) -> list[Box]:
    """Return a box for each dot's name, in points.

    One after another takes the nearest place where it covers no dot, no other name and no line. The
    crowded choose first; while one finds no good place, those that fared worst choose before all.
    """
    order, best, least = crowded(dots), [], (math.inf, math.inf)
    for _ in range(ROUNDS):
        boxes, covered = chosen(order, dots, sizes, paper)
        far = [distance(box, dot) for box, dot in zip(boxes, dots, strict=True)]
        if (sum(covered), sum(far)) < least:
            best, least = boxes, (sum(covered), sum(far))
        worse = [turn for turn in order if covered[turn] or far[turn] > NEAR]
        if not worse or worse == order[:1]:
            break
        worst = max(worse, key=lambda turn: (covered[turn], far[turn]))
        order = [worst, *(turn for turn in order if turn != worst)]
    return best


def chosen(
    order: Sequence[int], dots: np.ndarray, sizes: Sequence[tuple[float, float]], paper: Box
) -> tuple[list[Box], list[int]]:
    """Let the names choose in this order; return their boxes and what each covers nevertheless."""
    marks = [Box(float(x) - DOT, float(y) - DOT, 2 * DOT, 2 * DOT) for x, y in dots]
    taken: dict[int, Box] = {}
    lines: dict[int, Line] = {}
    covered: dict[int, int] = {}
    for turn in order:
        apart = [mark for mark in marks if not mark.meets(marks[turn])]  # a line cannot shun others
        best: tuple[int, Box, Line | None] | None = None
        for box in around(dots[turn], sizes[turn], paper):
            line = towards(box, dots[turn]) if distance(box, dots[turn]) > NEAR else None
            met = sum(box.meets(thing) for thing in (*marks, *taken.values()))
            met += sum(box.crossed(other) for other in lines.values())
            if line is not None:
                met += sum(thing.crossed(line) for thing in (*apart, *taken.values()))
                met += sum(line.crosses(other) for other in lines.values())
            if best is None or met < best[0]:
                best = (met, box, line)
            if met == 0:
                break
        assert best is not None, "a name that is larger than the paper"
        covered[turn], taken[turn], led = best
        if led is not None:
            lines[turn] = led
    turns = range(len(dots))
    return [taken[turn] for turn in turns], [covered[turn] for turn in turns]


def around(dot: np.ndarray, size: tuple[float, float], paper: Box) -> Iterator[Box]:
    """Yield boxes beside a dot, then farther and farther away, those that lie on the paper."""
    wide, high = size
    for gap, (aside, across, above, up) in itertools.product(GAPS, SIDES):
        left = dot[0] + aside * gap + (across - 1) * wide / 2
        low = dot[1] + above * gap + (up - 1) * high / 2
        box = Box(float(left), float(low), wide, high)
        if box.within(paper):
            yield box


def towards(box: Box, dot: np.ndarray) -> Line:
    """Return the line from a dot to the middle of its name."""
    x, y = box.middle
    return Line((float(dot[0]), float(dot[1])), (float(x - dot[0]), float(y - dot[1])))


def distance(box: Box, dot: np.ndarray) -> float:
    """Return how far a dot's middle is from a box, in points."""
    x, y = map(float, dot)
    across = max(box.left - x, x - box.left - box.wide, 0.0)
    up = max(box.low - y, y - box.low - box.high, 0.0)
    return math.hypot(across, up)


def crowded(dots: np.ndarray) -> list[int]:
    """Return the places of the dots, those with near neighbours first."""
    apart = np.linalg.norm(dots[:, None] - dots[None], axis=-1)  # (N, N)
    return [int(place) for place in np.argsort(-(1 / (apart + 20)).sum(axis=1), kind="stable")]
