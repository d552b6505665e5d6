"""A small grid of trainings by `vislab.scratch.Solver`, as the courses search by hand.

Each cell is short; its validation accuracy is kept as soon as it is known, so that an interrupted
search goes on where it stopped. Importing this file does not import torch.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab import runs
from vislab.errors import NonFiniteLoss
from vislab.lab.training_recipe import LabelledImages
from vislab.progress import track
from vislab.runs.formatting import edge_sentence
from vislab.runs.witnessed import read_witnessed, write_witnessed

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.scratch.solver import Solver
    from vislab.tasks.engines import ByHand

CHECKED, VALIDATED = 100, 5000  # images on which a cell's accuracies are measured, at most

Cell = Mapping[str, float]


@dataclass(frozen=True)
class GridRecipe(LabelledImages):
    """Base of the recipes that train by hand, at the best rate and penalty of a small grid."""

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; all images to test on are kept."""
    size: int = 32
    """Side of the images in pixels."""
    engine: str = "scratch"
    """Who derives the gradients: scratch (by hand) or autograd."""
    learning_rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2, 9e-2)
    """Learning rates of the grid."""
    penalties: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2)
    """Weights of the penalty on squared weights, in the grid."""
    batch: int = 64
    """Batch size: images in a step."""
    search_epochs: int = 3
    """Epochs, passes over the training set, in every cell of the grid."""
    epochs: int = 15
    """Epochs with the best learning rate and penalty."""
    decay: float = 0.75
    """The learning rate is multiplied by it after every epoch."""

    def images(self, lab: "Lab") -> "Table":
        """Open the images; only their mean is taken away."""
        opened = self.open_images(lab, validation=0.2)
        return opened.centred()

    def trained(
        self, lab: "Lab", build: "Callable[[float], ByHand]", images: "Table", name: str = ""
    ) -> "tuple[ByHand, Solver]":
        """Search rate and penalty, then train longer with the best of the grid.

        `build` gives a network by hand for a penalty, the same weights each time. Returns the one
        that was trained longer and its solver with the histories.
        """
        rate, penalty = search_rate_and_penalty(
            lab, build, images, rates=self.learning_rates, penalties=self.penalties,
            epochs=self.search_epochs, batch=self.batch, name=name,
        )  # fmt: skip
        task = build(penalty)
        solver = lab.solve(
            task, images, rule="sgd", config={"learning_rate": rate}, epochs=self.epochs,
            batch=self.batch, decay=self.decay, name=name,
        )  # fmt: skip
        return task, solver


def search_rate_and_penalty(
    lab: "Lab",
    build: "Callable[[float], ByHand]",
    images: "Table",
    *,
    rates: Sequence[float],
    penalties: Sequence[float],
    epochs: int,
    batch: int,
    name: str = "",
) -> tuple[float, float]:
    """Return the learning rate and the penalty of the highest validation accuracy, both searched.

    `build` gives a network by hand for a penalty, the same weights each time; it is trained with
    plain SGD. The accuracies are filed as a heat map. Give each search of a run a `name` of its
    own. Raises NonFiniteLoss when nothing was learned in any cell.
    """
    from vislab.lab.solving import data_of
    from vislab.scratch.solver import Solver

    def make(cell: Cell) -> Solver:
        task = build(cell["penalty"])
        return Solver(
            task.engine, data_of(images, task), "sgd", {"learning_rate": cell["rate"]}, 1.0, batch,
            epochs, num_train_samples=CHECKED, num_val_samples=VALIDATED, seed=lab.seed,
        )  # fmt: skip

    axes = {"rate": rates, "penalty": penalties}
    found = grid_search(lab, f"{name} grid" if name else "grid", axes, make)
    rate, penalty = best_cell(found)
    lab.show(
        f"{name}: learning rate and penalty" if name else "learning rate and penalty",
        runs.figures.heat_map(
            [[found[r, p] for p in penalties] for r in rates],
            rows=[f"{r:g}" for r in rates], columns=[f"{p:g}" for p in penalties],
            x="penalty on the weights", y="learning rate", unit="validation accuracy", share=True,
        ),
        caption=f"In percent, after {epochs} epochs; × where the loss became NaN.",
    )  # fmt: skip
    for what, best, tried in (("learning rate", rate, rates), ("penalty", penalty, penalties)):
        low, high = min(tried), max(tried)
        if len(set(tried)) > 1 and best in (low, high):
            side = "lower" if best == low else "upper"
            said = edge_sentence(what, f"{best:g}", side, f"{low:g}", f"{high:g}")
            lab.note(f"{name}: {said}" if name else said)
    return rate, penalty


def grid_search(
    lab: "Lab",
    name: str,
    axes: Mapping[str, Sequence[float]],
    make: "Callable[[Cell], Solver]",
) -> dict[tuple[float, ...], float]:
    """Train one solver a cell of the grid; return validation accuracies by the cell's values.

    `make` gives a solver for a cell, such as {"learning_rate": 0.1, "reg": 1e-3}. A training whose
    loss stops being a number gets NaN.
    """
    from vislab.runs.folder import file_name

    kept = lab.run.path / "checkpoints" / f"{file_name(name)}.json"
    known: dict[str, float | None] = read_witnessed(kept) if kept.exists() else {}
    cells = list(itertools.product(*axes.values()))
    found: dict[tuple[float, ...], float] = {}
    with track(
        f"searching, {name}", total=len(cells), unit="trainings", quiet=lab.quiet
    ) as advance:
        for values in cells:
            key = " ".join(f"{value:g}" for value in values)
            if key not in known:
                solver = make(dict(zip(axes, values, strict=True)))
                try:
                    solver.train()
                    known[key] = solver.best_val_acc if solver.best_epoch else None
                except NonFiniteLoss:
                    known[key] = None
                if not lab.run.silent:
                    write_witnessed(kept, known)
            accuracy = known[key]
            found[values] = float("nan") if accuracy is None else accuracy
            advance(1)
    return found


def best_cell(found: Mapping[tuple[float, ...], float]) -> tuple[float, ...]:
    """Return the values of the highest accuracy. Raises NonFiniteLoss when nothing was learned."""
    good = {values: accuracy for values, accuracy in found.items() if accuracy == accuracy}
    if not good:
        raise NonFiniteLoss(
            "no training of the search has a validation accuracy: either every loss became NaN, "
            "and lower learning rates help, or there are no validation images"
        )
    return max(good, key=lambda values: good[values])
