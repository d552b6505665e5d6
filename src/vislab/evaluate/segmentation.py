"""Segmentation tested: the worst and the best images, and what became of each class."""

import numpy as np

from vislab.data.table import Table
from vislab.evaluate.report import report, table_of_images
from vislab.metrics import segmentation as metrics
from vislab.runs import figures
from vislab.runs.notebook import Notebook
from vislab.tasks.segment import Segmented
from vislab.tasks.task import Measured

SHOWN = 4  # images among the worst, and among the best


@report.register
def report_segmented(
    outcome: Segmented,
    notebook: Notebook,
    task: Measured,
    table: Table,
    name: str,
    *,
    examine: bool,
) -> None:
    """File the worst and best images, every score of every image, and the classes."""
    if not examine:
        return
    before = f"{name} " if name else ""
    split = table.split("test")
    order = np.argsort(outcome.dice, kind="stable")
    for title, chosen in (("worst cases", order[:SHOWN]), ("best cases", order[::-1][:SHOWN])):
        notebook.show(
            f"{before}{title}",
            figures.mask_cases(
                split.take(chosen),
                outcome.targets[chosen],
                outcome.predictions[chosen],
                classes=len(table.classes),
                titles=[f"Dice {outcome.dice[row]:.2f}" for row in chosen],
            ),
            caption="Orange: said too much; blue: missed; purple: one object taken for another.",
            folded=title == "best cases",
        )
    table_of_images(outcome, notebook, table, name, order)
    if len(table.classes) > 2:
        whole = outcome.table.sum(axis=0)
        scores = (metrics.dice, metrics.jaccard, metrics.sensitivity)
        notebook.table(
            f"{before}classes",
            (
                "class", ("pixels", ",d"), ("Dice", ".3f"), ("Jaccard", ".3f"),
                ("sensitivity", ".3f"),
            ),
            [
                (label, whole[k].sum(), *(score(whole[None])[0, k] for score in scores))
                for k, label in enumerate(table.classes)
            ],
            caption="All test pixels together.",
            folded=True,
        )  # fmt: skip
    notebook.show(
        f"{before}Dice of the test images",
        figures.curves(
            {"images": (np.sort(outcome.dice), np.linspace(0, 1, len(outcome.dice)))},
            x="Dice",
            y="share of images at or below",
            share=True,
        ),
        caption="How many images come out how well.",
        folded=True,
    )
