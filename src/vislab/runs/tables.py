"""Tables of a run: numbers in full in the CSV, written for people in the report.

A cell is a number, a text, nothing, or a value with its interval as `runs.intervals` returns it. A
column is a name, or a name and a format of Python's: `("test accuracy", ".1%")`.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from vislab.runs.formatting import THIN, minus
from vislab.runs.intervals import Interval

Cell = str | int | float | None | tuple[float, Interval | None]
Head = str | tuple[str, str]

# What a spreadsheet computes when it opens a CSV, with any apostrophes that keep it from that.
COMPUTED = re.compile(r"'*[=+\-@\t\r]")
FORM = re.compile(r"[ +-]?z?#?0?\d{0,2}[,_]?(\.\d{1,2})?[deEfFgG%]?")  # its width within bounds

BOUNDS = ("low", "high")  # what the columns of an interval's bounds are called, after its own


def name_of(head: Head) -> str:
    """Return a column's name."""
    return head if isinstance(head, str) else head[0]


def formats_of(heads: Sequence[Head]) -> dict[str, str]:
    """Return the formats of those columns that have one."""
    return dict(head for head in heads if not isinstance(head, str))


def flat_rows(
    heads: Sequence[Head], rows: Iterable[Sequence[Any]]
) -> tuple[list[str], list[list[Any]], list[str]]:
    """Return a table as CSV holds it, and which columns are followed by their bounds.

    Raises ValueError for a row that has not as many cells as there are columns.
    """
    cells = [list(row) for row in rows]
    names = [name_of(head) for head in heads]
    for row in cells:
        if len(row) != len(names):
            raise ValueError(f"a row of {len(row)} cells under {len(names)} columns: {row}")
    spans = [k for k in range(len(names)) if any(has_interval(row[k]) for row in cells)]
    columns: list[str] = []
    for k, name in enumerate(names):
        columns += [name, *(f"{name} {bound}" for bound in BOUNDS)] if k in spans else [name]
    flat = []
    for row in cells:
        line: list[Any] = []
        for k, cell in enumerate(row):
            value, interval = cell if isinstance(cell, tuple) else (cell, None)
            if k not in spans:
                line.append(plain_cell(value))
                continue
            line += [plain_cell(value), *(interval if interval is not None else ("", ""))]
        flat.append(line)
    return columns, flat, [names[k] for k in spans]


def has_interval(cell: Any) -> bool:
    """Return whether a cell is a value with an interval that has bounds."""
    return isinstance(cell, tuple) and cell[1] is not None


def plain_cell(cell: Any) -> Any:
    """Return a cell as CSV holds it: nothing for None and for what is not a number."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return cell.item() if hasattr(cell, "item") else cell


def as_text(cell: Any) -> Any:
    """Return a cell as CSV holds it: what a spreadsheet would compute behind an apostrophe."""
    if isinstance(cell, str) and COMPUTED.match(cell) and not is_number(cell):
        return f"'{cell}"
    return cell


def from_text(cell: str) -> str:
    """Return a cell of a CSV as it was before `as_text`."""
    return cell[1:] if cell.startswith("'") and COMPUTED.match(cell) else cell


def is_number(text: str) -> bool:
    """Return whether a text is a number and no more."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_format(form: Any) -> bool:
    """Return whether numbers can be written in a format, and at no great length."""
    if not isinstance(form, str) or not FORM.fullmatch(form):
        return False
    try:
        written(0.5, form)
    except ValueError:  # parts that do not go together
        return False
    return True


def written(value: float, form: str) -> str:
    """Write a number in a format, as the report does: a real minus, thin spaces."""
    if not math.isfinite(value):
        return "not finite"
    if form.endswith("d"):
        value = round(value)
    text = f"{value:{form}}".replace(",", THIN)
    return minus(text[:-1] + THIN + "%" if text.endswith("%") else text)


def with_bounds(text: str, low: str, high: str) -> str:
    """Write a cell with its bounds: "45.4 % (44.4 to 46.4)"."""
    if not text or not low or not high:
        return text
    return f"{text} ({low.removesuffix(f'{THIN}%')} to {high.removesuffix(f'{THIN}%')})"


def owner(name: str, columns: Sequence[str]) -> str | None:
    """Return whose bound a column holds: "accuracy" of "accuracy low"."""
    before, _, bound = name.rpartition(" ")
    return before if bound in BOUNDS and before in columns else None
