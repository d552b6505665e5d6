"""Begin a run from the checkpoints of another: after a loss of NaN, at a lower rate for example.

The copy lies hidden in the new folder before anything says that it is a run, and is put in place
in one step, so that a run which was killed meanwhile never trains from nothing in its stead.
"""

import shutil
from pathlib import Path

from vislab.errors import RunError
from vislab.runs.folder import RunFolder
from vislab.runs.occupied import is_occupied
from vislab.runs.writing import saying_why

WAITING = ".checkpoints"  # the copy, until the folder is a run
LEFT_OUT = shutil.ignore_patterns(".*", "previous.ckpt", "bad-batch.safetensors")
MAY_CHANGE = ("optim.", "augment.", "epochs")  # options that leave a checkpoint what it is
MAY_NOT = ("optim.name",)  # whose state would mean something else


def may_change(option: str) -> bool:
    """Return whether a run may go on from a checkpoint with another value of an option."""
    return option.startswith(MAY_CHANGE) and option not in MAY_NOT


def begin_from(source: Path, folder: Path) -> None:
    """Copy checkpoints and log of a run into a folder that is to become another.

    Raises RunError when the run is finished, has no checkpoint, or is at work.
    """
    run = RunFolder.open(source)
    if run.result.status == "finished":
        raise RunError(f"{source} is finished, so that nothing of it is to be continued")
    if is_occupied(source):
        raise RunError(f"{source} is being run; end it before another begins from its checkpoint")
    if not any(source.glob("checkpoints/*/last.ckpt")):
        raise RunError(f"{source} has no checkpoint to begin from; begin a new run")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is not empty; name another folder for the new run")
    with saying_why(folder):
        shutil.copytree(source / "checkpoints", folder / WAITING, ignore=LEFT_OUT)
        if (source / "metrics.jsonl").is_file():
            shutil.copy(source / "metrics.jsonl", folder / WAITING / "metrics.jsonl")


def take_up(folder: Path) -> None:
    """Put such a copy in place, in a folder that is a run by now; without one, do nothing."""
    waiting = folder / WAITING
    if not waiting.exists():
        return
    with saying_why(folder):
        if (waiting / "metrics.jsonl").exists():
            (waiting / "metrics.jsonl").replace(folder / "metrics.jsonl")
        if (folder / "checkpoints").exists():
            (folder / "checkpoints").rmdir()  # empty: nothing was trained before the copy was here
        waiting.rename(folder / "checkpoints")
