"""What a killed training continues from.

A checkpoint holds weights, the states of optimisers and schedules, the place reached and the counts
of the epoch so far. Randomness is no part of it: that is a function of seed, epoch and step. The
last two are kept, each written whole; with either the run ends at the same weights.
"""

from pathlib import Path
from typing import Any

import torch

from vislab.errors import RunError
from vislab.runs.writing import replacing, saying_why

FORMAT = 3


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


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the newest checkpoint, or None when nothing was saved yet.

    Nothing in the file is run (torch's weights_only). Raises RunError when it is damaged.
    """
    # A kill between the two renames leaves `next` whole and no `last`.
    for name in ("next.ckpt", "last.ckpt", "previous.ckpt"):
        path = folder / name
        if not path.exists() or (name == "next.ckpt" and (folder / "last.ckpt").exists()):
            continue
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            version = int(state["format"])
        except Exception as error:  # torch raises a dozen kinds for a damaged or hostile file
            other = folder / "previous.ckpt"
            way_out = (
                f"delete it to continue from {other.name} beside it"
                if path != other and other.exists()
                else "delete it to train this part from its beginning"
            )
            raise RunError(f"the checkpoint {path} is damaged; {way_out}") from error
        if version > FORMAT:
            raise RunError(
                f"the checkpoint {path} was written by a newer vislab; "
                "update with `pip install -U vislab`"
            )
        return renamed(state) if version < FORMAT else state
    return None


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
