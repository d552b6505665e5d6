"""Detection tested: average precision, what went wrong, and the images it went wrong on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vislab.data.table import Table
from vislab.evaluate.report import report
from vislab.metrics.detection_errors import LABELS, MISSED, errors_of
from vislab.runs import figures
from vislab.runs.figures.style import BLUE, FAINT, GREEN, ORANGE, PURPLE, VERMILLION
from vislab.runs.notebook import Notebook
from vislab.tasks.detecting import Detected
from vislab.tasks.task import Measured

SURE = 0.5  # boxes that are drawn, and whose errors are counted
SHOWN = 6  # images of boxes
COLOURS = {
    "right": GREEN, "localisation": ORANGE, "class": PURPLE, "duplicate": FAINT, "both": VERMILLION,
    "background": VERMILLION, "missed": BLUE,
}  # fmt: skip


@report.register
def report_detected(
    outcome: Detected,
    notebook: Notebook,
    task: Measured,
    table: Table,
    name: str,
    *,
    examine: bool,
) -> None:
    """File images with boxes, errors by type, precision and recall, and the classes."""
    if examine:
        _examine(notebook, table, outcome, name)


def _examine(notebook: Notebook, table: Table, one: Detected, name: str) -> None:
    whole = one.average_precision()
    before = f"{name} " if name else ""
    errors = errors_of(one.found, one.targets, one.classes, score=SURE)
    notebook.show(
        f"{before}found on test images",
        boxes_figure(table, "test", one, errors.label, errors.missed, _mixed(one, errors)),
        caption=f"Boxes with a score of {SURE} and more. Green: right; orange: right class, wrong "
        "place; purple: wrong class; red: nothing there; grey: found twice; blue, dashed: missed.",
    )
    counts = {label: int(values.sum()) for label, values in errors.counts.items()}
    notebook.show(
        f"{before}errors by type",
        figures.bars(
            [label for label in counts if label != "right"],
            [float(value) for label, value in counts.items() if label != "right"],
            unit="",
        ),
        caption=f"Of boxes with a score of {SURE} and more, beside {counts['right']} right ones.",
    )
    lines = {
        f"{table.classes[k]}": (curve.recall, np.maximum.accumulate(curve.precision[::-1])[::-1])
        for k, curve in enumerate(whole.curves)
        if len(curve.recall) and not np.isnan(whole.per_class[k])
    }
    if lines:
        notebook.show(
            f"{before}precision and recall",
            figures.curves(dict(list(lines.items())[:8]), x="recall", y="precision"),
            caption="Each the best precision at that recall or a larger one; overlap 0.5."
            + (" The first eight classes." if len(lines) > 8 else ""),
            folded=True,
        )
    notebook.table(
        f"{before}classes",
        ("name", "instances", ("AP50", ".3f"), *LABELS, MISSED),  # "class" is one of the labels
        [
            (
                label,
                int((one.targets.label == k).sum()),
                float(whole.per_class[k]),
                *(int(errors.counts[name][k]) for name in (*LABELS, MISSED)),
            )
            for k, label in enumerate(table.classes)
        ],
        folded=True,
    )


def _mixed(one: Detected, errors: Any) -> list[int]:
    """Return images to show: some with many errors, some with none."""
    wrong = np.zeros(len(one), dtype=np.int64)
    np.add.at(wrong, one.found.image[errors.label > 0], 1)
    np.add.at(wrong, one.targets.image[errors.missed], 1)
    order = np.argsort(-wrong, kind="stable")
    half = SHOWN // 2
    best = order[::-1][: max(0, min(SHOWN, len(one)) - half)]
    chosen: list[int] = [*order[:half].tolist(), *best[::-1].tolist()]
    return chosen


def boxes_figure(
    table: Table,
    split: str,
    one: Detected,
    labels: np.ndarray,
    missed: np.ndarray,
    chosen: Sequence[int],
) -> Any:
    """Draw what was found and what was missed in some images of a split."""
    subset = table.split(split)
    drawn = []
    for place in chosen:
        row = int(subset.rows[place])
        mine = [
            figures.Drawn(
                _here(table, row, one.found.boxes[d]),
                f"{table.classes[one.found.label[d]]} {100 * one.found.score[d]:.0f}",
                COLOURS[LABELS[labels[d]]],
            )
            for d in np.flatnonzero((one.found.image == place) & (labels >= 0))
        ]
        mine += [
            figures.Drawn(
                _here(table, row, one.targets.boxes[r]),
                table.classes[one.targets.label[r]],
                COLOURS[MISSED],
                dashed=True,
            )
            for r in np.flatnonzero((one.targets.image == place) & missed)
        ]
        drawn.append(mine)
    pixels = np.asarray(table.pixels[subset.rows[list(chosen)]])
    return figures.boxes_over_images(pixels, drawn, columns=3 if len(chosen) > 4 else 2)


def _here(table: Table, row: int, corners: np.ndarray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = table.placement.in_square(row, corners)
    return x1, y1, x2, y2
