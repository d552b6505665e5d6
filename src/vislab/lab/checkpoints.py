"""What a killed training continues from.

A checkpoint holds weights, the states of optimisers and schedules, the place reached and the counts
of the epoch so far. Randomness is no part of it: that is a function of seed, epoch and step. The
last two are kept, each written whole; with either the run ends at the same weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vislab.errors import RunError
from vislab.runs.shape import Shape, at_least_zero, fits, require
from vislab.runs.writing import replacing, saying_why

FORMAT = 3


def _count(value: Any) -> bool:
    return fits(value, int) and value >= 0


OF_ANY: Shape = {
    "epoch": _count, "seconds": at_least_zero, "finished": bool, "stopped_by": str,
}  # fmt: skip
OF_TASK: Shape = {
    **OF_ANY, "task": {"*": Any}, "optimisers": [{"*": Any}], "schedules": [{"*": Any}],
    "step": _count, "counts": {"*": float},
    "best": lambda value: fits(value, BEST) or value == {},
}  # fmt: skip
BEST: Shape = {"score": float, "epoch": _count, "weights": {"*": torch.Tensor}}
OF_SOLVER: Shape = {**OF_ANY, "solver": {"*": Any}}


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write `last.ckpt`; the one before it becomes `previous.ckpt`."""
    with saying_why(folder):
        folder.mkdir(parents=True, exist_ok=True)
    last = folder / "last.ckpt"
    with replacing(folder / "next.ckpt") as file:
        try:
            torch.save({**state, "format": FORMAT}, file)
        except RuntimeError as error:
            # torch hides a full disk behind an error of its own, raised while it cleans up.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
    with saying_why(last):
        if last.exists():
            last.replace(folder / "previous.ckpt")
        (folder / "next.ckpt").replace(last)


def load_checkpoint(folder: Path, shape: Shape = OF_ANY) -> dict[str, Any] | None:
    """Return the newest checkpoint, or None when nothing was saved yet.

    Nothing in the file is run (torch's weights_only). Raises RunError when it is damaged or has not
    the shape of such a training's.
    """
    # A kill between the two renames leaves `next` whole and no `last`.
    for name in ("next.ckpt", "last.ckpt", "previous.ckpt"):
        path = folder / name
        if not path.exists() or (name == "next.ckpt" and (folder / "last.ckpt").exists()):
            continue
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            version = int(state["format"])
            if version <= FORMAT:
                state = renamed(state) if version < FORMAT else state
                require(state, shape, "it")
        except Exception as error:  # torch raises a dozen kinds for a damaged or hostile file
            raise RunError(f"the checkpoint {path} is damaged; {_way_out(path)}") from error
        if version > FORMAT:
            raise RunError(
                f"the checkpoint {path} was written by a newer vislab; "
                "update with `pip install -U vislab`"
            )
        return state
    return None


def _way_out(path: Path) -> str:
    other = path.with_name("previous.ckpt")
    if path != other and other.exists():
        return f"delete it to continue from {other.name} beside it"
    return "delete it to train this part from its beginning"


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Turn what is raised for a checkpoint that does not fit this training into a sentence."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        why = str(e).strip().split("\n")[0][:200]
        raise RunError(
            f"the checkpoint in {folder} does not fit this training ({type(e).__name__}: {why}); "
            "it was made with other options or is damaged. Delete it to train this part from its "
            "beginning"
        ) from e


def renamed(state: dict[str, Any]) -> dict[str, Any]:
    """Return an older checkpoint under the names of today.

    Format 1 knew accuracy alone, format 2 a single optimiser.
    """
    if "counts" not in state:  # of a training by hand, whose names have not changed
        return state
    if "optimiser" in state:
        state = {**state, "optimisers": [state["optimiser"]], "schedules": []}
        del state["optimiser"]
    best, counts = dict(state["best"]), dict(state["counts"])
    if "accuracy" in best:
        best["score"] = best.pop("accuracy")
    names = {"total": "loss", "correct": "accuracy", "images": "images"}
    counts = {names.get(name, name): value for name, value in counts.items()}
    return {**state, "best": best, "counts": counts}
