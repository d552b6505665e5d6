"""What a test files beside its scores: what is common to all kinds of outcomes, and the choice.

A kind of outcome with figures of its own registers them with `report.register`.
"""

from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from vislab.data.table import Table
from vislab.runs import figures
from vislab.runs.formatting import THIN, percent
from vislab.runs.notebook import Notebook
from vislab.tasks.outcome import Outcome
from vislab.tasks.task import Measured

SHOWN = 6  # of the best and of the worst images


@singledispatch
def report(
    outcome: Outcome, notebook: Notebook, task: Measured, table: Table, name: str, *, examine: bool
) -> None:
    """File what there is to see of an outcome on the test images; little without `examine`.

    Of a task of one's own: the images it does best and worst on, with what is known of them, and
    every score of every image as a table.
    """
    if not examine or outcome.score not in outcome.values:
        return
    before = f"{name} " if name else ""
    split, values = table.split("test"), np.asarray(outcome.values[outcome.score], dtype=float)
    order = np.argsort(values, kind="stable")
    for title, chosen in (
        ("worst examples", order[:SHOWN]),
        ("best examples", order[::-1][:SHOWN]),
    ):
        pixels, words = table.drawn(split.rows[chosen])
        titles = [
            "\n".join([*values_of(outcome, int(k), units=task.units), text]).strip()
            for k, text in zip(chosen, words, strict=True)
        ]
        notebook.show(
            f"{before}{title}",
            figures.image_grid(pixels, titles=titles, columns=3),
            caption=f"Test images by {outcome.score}, with what is known of them.",
            folded=title == "best examples",
        )
    table_of_images(outcome, notebook, table, name, order)


def values_of(outcome: Outcome, place: int, *, units: Mapping[str, str]) -> list[str]:
    """Return what was measured of one image, in words."""
    found = []
    for score, values in outcome.values.items():
        if values.dtype.kind == "b":
            found.append("right" if values[place] else "wrong")
        else:
            found.append(scored(float(values[place]), outcome, score, units=units))
    return found


def table_of_images(
    outcome: Outcome, notebook: Notebook, table: Table, name: str, order: np.ndarray
) -> None:
    """File every score of every test image, in this order."""
    names, columns = table.split("test").names, list(outcome.values)
    notebook.table(
        f"{name} test images" if name else "test images",
        ("image", *columns),
        [(names[k], *(outcome.values[score][k] for score in columns)) for k in order],
        caption="From the worst up.",
        folded=True,
    )


def form_of(outcome: Outcome, score: str | None = None) -> str:
    """Return in which format a score is written: percent for a share of what is right."""
    name = score or outcome.score
    values = outcome.values.get(name)
    if values is not None and values.dtype.kind == "b":
        return ".1%"
    return ".3f" if abs(outcome.mean(name)) <= 1 else ".2f"


def scored(
    value: float, outcome: Outcome, score: str | None = None, *, units: Mapping[str, str]
) -> str:
    """Write a score with its name and unit: "accuracy 81.2 %", "psnr 24.31 dB"."""
    name = score or outcome.score
    if form_of(outcome, name) == ".1%":
        return f"{name} {percent(value)}"
    unit = f"{THIN}{units[name]}" if name in units else ""
    return f"{name} {value:{form_of(outcome, name)}}{unit}"
