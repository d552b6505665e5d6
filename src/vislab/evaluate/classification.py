"""What the test of a classifier files beside its score: answers, examples, calibration, maps."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from vislab import explain
from vislab.data.augment_batch import normalise
from vislab.data.normalisation import Normalisation
from vislab.data.table import Table
from vislab.errors import ShapeError
from vislab.evaluate.report import report
from vislab.ops import processes
from vislab.runs import figures
from vislab.runs.formatting import percent
from vislab.runs.notebook import Notebook
from vislab.tasks.classify import Classified
from vislab.tasks.task import Measured

SHOWN = 12  # best or worst examples


@report.register
def report_classified(
    outcome: Classified,
    notebook: Notebook,
    task: Measured,
    table: Table,
    name: str,
    *,
    examine: bool,
) -> None:
    """File every prediction; with `examine` the confusion matrix, examples and calibration."""
    file_predictions(notebook, table, outcome, name)
    if outcome.uneven and "accuracy" in outcome.values:
        notebook.note(beside_the_largest(outcome, task.chance(table)["accuracy"], name))
    if examine:
        file_examination(notebook, table, outcome, name)


def beside_the_largest(outcome: Classified, largest: float, name: str) -> str:
    """Say of uneven classes what naming the largest is worth, and whether more was learned."""
    accuracy, interval = outcome.estimates["accuracy"]
    low, high = interval or (accuracy, accuracy)
    who = f"{name}: the" if name else "The"
    found = f"{percent(accuracy)} of {len(outcome)}"
    if high < largest:
        verdict = f"{who} network is right on less, {found}, and has learned less than that."
    elif low <= largest:
        verdict = f"{who} network is right on {found}, which is not shown to be more."
    else:
        verdict = f"{who} network is right on {found}."
    balanced = percent(outcome.balanced()[0])
    return (
        f"The classes are uneven: always naming the largest is right on {percent(largest)} of the "
        f"test images. {verdict} Of each class alike (balanced accuracy) it is right on {balanced}."
    )


def file_predictions(notebook: Notebook, table: Table, outcome: Classified, name: str) -> None:
    """File what the network said of every test image, as a table."""
    split, classes = table.split("test"), table.classes
    rows = zip(
        split.names,
        (classes[k] for k in outcome.labels),
        (classes[k] for k in outcome.predicted),
        outcome.probabilities.max(axis=1),
        outcome.losses,
        strict=True,
    )
    columns = ("image", "label", "predicted", "probability", "loss")
    title = f"{name} test predictions" if name else "test predictions"
    notebook.table(title, columns, rows, folded=True, shown=False)


def file_examination(notebook: Notebook, table: Table, outcome: Classified, name: str) -> None:
    """File the confusion matrix, the best and worst examples, and calibration."""
    before = f"{name} " if name else ""
    split, classes = table.split("test"), table.classes
    certainty = outcome.probabilities.max(axis=1)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (outcome.labels, outcome.predicted), 1)
    notebook.show(
        f"{before}confusion matrix",
        figures.confusion_matrix(counts, classes),
        caption="Rows are what an image is, columns what the network says.",
        folded=True,
    )
    order = np.argsort(outcome.losses, kind="stable")
    for title, chosen in (
        ("best examples", order[:SHOWN]),
        ("worst examples", order[::-1][:SHOWN]),
    ):
        right = outcome.correct[chosen]
        notebook.show(
            f"{before}{title}",
            figures.image_grid(
                split.take(chosen),
                titles=[
                    f"{classes[outcome.predicted[i]]} {certainty[i]:.0%}"
                    + ("" if outcome.correct[i] else f"\nis {classes[outcome.labels[i]]}")
                    for i in chosen
                ],
                colours=[figures.RIGHT if ok else figures.WRONG for ok in right],
                columns=6,
            ),
            caption=f"Images of the {'lowest' if title[0] == 'b' else 'highest'} loss.",
            folded=True,
        )
    notebook.show(
        f"{before}calibration",
        figures.reliability(certainty, outcome.correct),
        caption="Of the images it is 80 % sure of, a calibrated network has 80 % right.",
        folded=True,
    )


def show_grad_cam(
    notebook: Notebook, task: Measured, table: Table, outcome: Classified, count: int
) -> None:
    """Show where the network looked on test images: some it got right, some wrong."""
    right, wrong = np.flatnonzero(outcome.correct), np.flatnonzero(~outcome.correct)
    chosen = np.concatenate([right[:: max(1, len(right) // count)][:count], wrong[:count]])
    split, classes = table.split("test"), table.classes
    pixels = split.take(chosen)
    try:
        maps = grad_cam_of_predictions(
            task.network, pixels, table.normalisation, processes.device()
        )
    except ShapeError as error:
        notebook.note(f"No image of where it looked: {error}.")
        return
    notebook.show(
        "where it looked",
        figures.heatmaps_over_images(
            pixels,
            maps,
            titles=[
                f"{classes[outcome.predicted[i]]}\n{outcome.probabilities[i].max():.0%}"
                + ("" if outcome.correct[i] else f"\nis {classes[outcome.labels[i]]}")
                for i in chosen
            ],
        ),
        caption="Grad-CAM for the class the network names: yellow speaks most for it.",
    )


def grad_cam_of_predictions(
    network: nn.Module,
    pixels: UInt8[np.ndarray, "n s s 3"],
    normalisation: Normalisation,
    device: torch.device,
) -> Float[np.ndarray, "n i j"]:
    """Return Grad-CAM's map of the class that the network names for each image.

    Raises ShapeError when no layer of the network has places.
    """
    if not len(pixels):
        return np.zeros((0, 1, 1), dtype=np.float32)
    mean, std = normalisation
    images = normalise(torch.from_numpy(pixels).to(device), mean, std)
    return explain.grad_cam(network.to(device), images).numpy()
