"""One training by `vislab.scratch.Solver`, put down and taken up like any other.

The solver knows steps and epochs; here it gets the run's images, clock, journal and checkpoints.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vislab.data.augment_batch import normalise
from vislab.data.table import Table
from vislab.lab.checkpoints import OF_SOLVER, fitting, load_checkpoint, save_checkpoint
from vislab.progress import track
from vislab.runs.folder import RunFolder
from vislab.scratch.solver import Solver
from vislab.tasks.engines import ByHand, as_input

CHECKED = 2000  # training images on which accuracy is measured after an epoch


class Pixels:
    """The images of a split as a network reads them, decoded by the rows that are asked for."""

    def __init__(self, table: Table, split: str, task: ByHand) -> None:
        self.split, self.task = table.split(split), task
        self.mean, self.std = table.normalisation

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, rows: Tensor) -> Tensor:
        pixels = torch.from_numpy(self.split.take(rows.numpy()))
        images = normalise(pixels, self.mean, self.std)
        # The layers by hand are fastest on (N, C, H, W) as it lies in memory.
        return as_input(self.task.engine, images.contiguous())


def data_of(table: Table, task: ByHand) -> dict[str, Any]:
    """Return training and validation images as `Solver` takes them."""
    data: dict[str, Any] = {}
    for split, name in (("train", "train"), ("val", "val")):
        data[f"X_{name}"] = Pixels(table, split, task)
        data[f"y_{name}"] = torch.from_numpy(np.asarray(table.split(split).labels, np.int64))
    return data


@dataclass(frozen=True)
class Terms:
    """Where a training is kept and how long it may take."""

    name: str
    seconds: float | None  # stop after about this long
    save_every: float  # seconds between checkpoints
    quiet: bool


def solve(solver: Solver, run: RunFolder, terms: Terms) -> dict[str, Any]:
    """Train to the end, from the last checkpoint if there is one; the best weights are put back.

    Returns epoch, seconds, stopped_by and, where this process trained, images_per_second. Raises
    NonFiniteLoss when the loss stops being a number; the last good checkpoint stays.
    """
    folder = run.path / "checkpoints" / terms.name
    state = load_checkpoint(folder, OF_SOLVER)
    trained_before = 0.0
    if state is None:
        run.forget_after(terms.name, 0)  # what a run logged that was killed before it saved
    else:
        with fitting(folder):
            own = solver.state()
            require_alike(state["solver"], own, "solver")
            if state["solver"].keys() != own.keys():  # each becomes an attribute of the solver
                raise ValueError("it holds more than a solver's state")
            solver.restore(state["solver"])
        trained_before = float(state["seconds"])
        if state["finished"]:
            return {key: state[key] for key in ("epoch", "seconds", "stopped_by")}
        run.forget_after(terms.name, _steps(solver))
    total = solver.num_epochs * solver.steps_per_epoch
    title = "training" if terms.name == "training" else f"training {terms.name}"
    begun = time.monotonic()
    with track(title, total=total, quiet=terms.quiet or run.silent) as advance:
        advance(_steps(solver))
        clock = _Clock(solver, run, terms, folder, trained_before)

        def after_step(solver: Solver) -> bool:
            note = f"epoch {min(solver.epoch + 1, solver.num_epochs)} of {solver.num_epochs}"
            if solver.val_acc_history:
                note += f", accuracy {solver.val_acc_history[-1]:.1%}"
            advance(1, note)
            return clock.after_step()

        solver.train(after_step)
    clock.save(finished=True)
    taken = time.monotonic() - begun
    return {
        "epoch": solver.epoch,
        "seconds": clock.seconds,
        "stopped_by": clock.stopped_by,
        "images_per_second": clock.steps * solver.batch_size / max(taken, 1e-9),
    }


def require_alike(state: Any, own: Any, where: str) -> None:
    """Raise ValueError where a state that was kept is not of the kinds of the solver's own."""
    if isinstance(own, Tensor) and isinstance(state, Tensor) and state.shape == own.shape:
        return
    if isinstance(own, Mapping) and isinstance(state, Mapping):
        for name in own:  # update rules and the best epoch add more while training
            if name not in state:
                raise ValueError(f"{where} has no {name}")
            require_alike(state[name], own[name], f"{where}.{name}")
        return
    numbers = isinstance(own, int | float) and isinstance(state, int | float)
    if not numbers and (isinstance(own, Tensor) or not isinstance(state, type(own))):
        raise ValueError(f"{where} is no {type(own).__name__} as it should be")


def _steps(solver: Solver) -> int:
    return solver.epoch * solver.steps_per_epoch + solver.step_in_epoch


class _Clock:
    """After each step: log an epoch's end, save when it is time, stop when time is up."""

    def __init__(
        self, solver: Solver, run: RunFolder, terms: Terms, folder: Path, before: float
    ) -> None:
        self.solver, self.run, self.terms, self.folder = solver, run, terms, folder
        self.before, self.begun = before, time.monotonic()
        self.saved = self.begun
        self.steps = 0
        self.stopped_by = "epochs"

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.begun

    def after_step(self) -> bool:
        solver = self.solver
        self.steps += 1
        if solver.step_in_epoch == 0:
            self.run.log(
                {
                    "fit": self.terms.name,
                    "epoch": solver.epoch,
                    "step": _steps(solver),
                    "train/loss": float(np.mean(solver.loss_history[-solver.steps_per_epoch :])),
                    "train/accuracy": solver.train_acc_history[-1],
                    "val/accuracy": solver.val_acc_history[-1],
                }
            )
        if time.monotonic() - self.saved >= self.terms.save_every:
            self.save(finished=False)
        if self.terms.seconds is not None and self.seconds >= self.terms.seconds:
            self.stopped_by = "minutes"
            return True
        return False

    def save(self, *, finished: bool) -> None:
        self.solver.require_finite_weights()
        save_checkpoint(
            self.folder,
            {
                "solver": self.solver.state(),
                "epoch": self.solver.epoch,
                "seconds": self.seconds,
                "stopped_by": self.stopped_by,
                "finished": finished,
            },
        )
        self.saved = time.monotonic()


def few(table: Table, task: ByHand, count: int) -> dict[str, Any]:
    """Return the first training images, spread over the split, with few validation ones."""
    data = data_of(table, task)
    for split, most in (("train", count), ("val", CHECKED)):
        total = len(data[f"y_{split}"])
        rows = torch.linspace(0, max(total - 1, 0), min(most, total)).long()
        data[f"X_{split}"] = data[f"X_{split}"][rows] if total else torch.zeros(0)
        data[f"y_{split}"] = data[f"y_{split}"][rows] if total else data[f"y_{split}"]
    return data
