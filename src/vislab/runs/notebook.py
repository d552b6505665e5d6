"""What an experiment writes down: numbers, figures, tables and sentences, filed in its run folder.

Whatever judges a network takes a Notebook; `vislab.lab.Lab` is one that can train as well.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislab.runs.folder import RunFolder
from vislab.runs.tables import Head
from vislab.runs.terminal import harmless

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vislab.runs.intervals import Interval


class Notebook:
    """A run that is open for writing. `quiet` prints nothing."""

    def __init__(self, run: RunFolder, *, quiet: bool = False) -> None:
        self.run, self.quiet = run, quiet

    @property
    def muted(self) -> bool:
        """Whether progress is shown to nobody: asked for, or not the first of several processes."""
        return self.quiet or self.run.silent

    def say(self, text: str) -> None:
        """Print one line of what is going on, in the first process only."""
        if not self.muted:
            print(harmless(text), flush=True)

    def record(
        self,
        name: str,
        value: float,
        *,
        interval: "Interval | None" = None,
        trivial: float | None = None,
    ) -> None:
        """Write down a final metric, its interval and what the trivial answer scores."""
        self.run.result.metrics[name] = float(value)
        if interval is not None:
            self.run.result.intervals[name] = (float(interval[0]), float(interval[1]))
        if trivial is not None:
            self.run.result.trivial[name] = float(trivial)

    def show(
        self, title: str, figure: "Figure", *, caption: str = "", folded: bool = False
    ) -> None:
        """File a figure, as PNG for the report and as SVG for slides."""
        from vislab.runs import figures

        svg = figures.to_svg(figure) if not has_images(figure) else None
        self.run.add_figure(title, figures.to_png(figure), caption=caption, folded=folded, svg=svg)

    def table(
        self,
        title: str,
        columns: Sequence[Head],
        rows: Iterable[Sequence[Any]],
        *,
        caption: str = "",
        folded: bool = False,
        shown: bool = True,
    ) -> Path:
        """File a table, as CSV and in the report; see `runs.tables` for columns and cells."""
        return self.run.add_table(title, columns, rows, caption=caption, folded=folded, shown=shown)

    def note(self, text: str) -> None:
        """Add a sentence to the report's notes."""
        if text not in self.run.result.notes:
            self.run.result.notes.append(text)


def has_images(figure: "Figure") -> bool:
    """Return whether a figure is images rather than a drawing; those make poor SVG."""
    return any(axes.images for axes in figure.axes)
