"""A small grid of trainings by `vislab.scratch.Solver`, as the courses search by hand.

Each cell is short; its validation accuracy is kept as soon as it is known, so that an interrupted
search goes on where it stopped.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from vislab.errors import NonFiniteLoss
from vislab.progress import track
from vislab.runs.folder import file_name, read_json
from vislab.runs.writing import write_json
from vislab.scratch.solver import Solver

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

Cell = Mapping[str, float]


def grid_search(
    lab: "Lab",
    name: str,
    axes: Mapping[str, Sequence[float]],
    make: Callable[[Cell], Solver],
) -> dict[tuple[float, ...], float]:
    """Train one solver a cell of the grid; return validation accuracies by the cell's values.

    `make` gives a solver for a cell, such as {"learning_rate": 0.1, "reg": 1e-3}. A training whose
    loss stops being a number gets NaN.
    """
    kept = lab.run.path / "checkpoints" / f"{file_name(name)}.json"
    known: dict[str, float | None] = read_json(kept) if kept.exists() else {}
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
                    write_json(kept, known)
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
            "and lower learning rates help, or there are no validation pictures"
        )
    return max(good, key=lambda values: good[values])
