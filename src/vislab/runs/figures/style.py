"""One look for all figures, readable at the width of a phone.

Drawn with matplotlib's objects; pyplot and its global state are not touched, and matplotlib is
imported only when something is drawn. The same input gives the same bytes.

Colours: Okabe and Ito 2008, "Color Universal Design", told apart with every kind of colour vision.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vislab.runs.own_files import KEY, OURS

if TYPE_CHECKING:
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
    """Return the figure as PNG, marked as ours; equal figures give equal bytes."""
    file = io.BytesIO()
    with house():
        figure.savefig(file, format="png", dpi=dpi, metadata={KEY: OURS})
    return file.getvalue()


def to_svg(figure: "matplotlib.figure.Figure") -> bytes:
    """Return the figure as SVG for slides, letters as outlines; equal figures give equal bytes."""
    file = io.BytesIO()
    with house():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def shorten(text: str, letters: int) -> str:
    """Cut a text to `letters` letters, the last of them an ellipsis."""
    return text if len(text) <= letters else text[: max(letters - 1, 0)].rstrip() + "…"


def power_of_ten(value: float, _place: object = None) -> str:
    """Write 1e-9 as 10⁻⁹: the ticks of a logarithmic axis, without mathematical type."""
    if value <= 0:
        return ""
    raised = str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}"
