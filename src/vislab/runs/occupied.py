"""Which process is at work on a run: one at a time, and known to all others while it lives."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from vislab.errors import RunError
from vislab.runs.locks import Taken, locked_at_once
from vislab.runs.writing import saying_why, write_json

LOCK = ".running.lock"
WHO = ".running.json"  # beside the lock, for on some systems a file that is locked cannot be read


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Hold a run for this process, until the block ends or the process does, however.

    Raises RunError, naming the process, when another is at work on it.
    """
    with ExitStack() as held:
        with saying_why(folder / LOCK):
            try:
                held.enter_context(locked_at_once(folder / LOCK))
            except Taken as taken:
                raise RunError(
                    f"{folder} is being run{_by_whom(folder)}; wait until it ends, or end it, and "
                    f"continue with `vislab run --resume {folder}`"
                ) from taken
        since = datetime.now().isoformat(" ", "seconds")
        who = {"process": os.getpid(), "machine": platform.node(), "since": since}
        write_json(folder / WHO, who)
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / WHO).unlink()


def is_occupied(folder: Path) -> bool:
    """Return whether a living process is at work on a run."""
    if not (folder / LOCK).exists():
        return False
    try:
        with locked_at_once(folder / LOCK):
            return False
    except Taken:
        return True
    except OSError:  # a folder that may not be written to: nobody runs there
        return False


def _by_whom(folder: Path) -> str:
    try:
        who = json.loads((folder / WHO).read_text(encoding="utf-8"))
        return f" by process {who['process']} of {who['machine']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return " by another process"
