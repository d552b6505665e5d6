"""Make a folder under a name of this process alone, and put it in place in one step.

Several processes may make the same folder at once: one of them puts it in place. What a killed
process leaves half made is removed by the next that makes the same.
"""

import errno
import glob
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from vislab.data.home import home
from vislab.errors import DataError
from vislab.runs.locks import Taken, locked, locked_at_once

THERE = (errno.EEXIST, errno.ENOTEMPTY)  # what renaming onto a folder with files says


@contextmanager
def work_folder(into: Path, ending: str) -> Iterator[Path]:
    """Yield a new hidden folder beside `into`; at the end what is still there is removed.

    Raises OSError as making a folder does.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    sweep(into.parent, ending, of=into.name)
    work = into.with_name(f".{into.name}.{secrets.token_hex(4)}.{ending}")
    lock = _lock_of(work)
    try:
        with locked_at_once(lock):  # while it is held nobody takes the folder for a leftover
            work.mkdir()
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    finally:
        lock.unlink(missing_ok=True)


def put_in_place(made: Path, into: Path) -> bool:
    """Give a folder its name; return False where another process was first, whose folder stays."""
    try:
        if into.exists():
            into.rmdir()  # an empty one makes room; on Windows it would not by itself
        made.rename(into)
    except OSError as error:
        if error.errno in THERE:
            return False
        raise
    return True


def sweep(folder: Path, ending: str, *, of: str | None = None) -> None:
    """Remove what killed processes left half made in a folder; with `of` only of that name."""
    name = "*" if of is None else glob.escape(of)
    for left in folder.glob(f".{name}.*{ending}"):
        lock = _lock_of(left)
        with suppress(Taken), locked_at_once(lock):  # taken: a living process is at it
            shutil.rmtree(left, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _lock_of(work: Path) -> Path:
    return work.with_name(f"{work.name}.lock")


@contextmanager
def alone_with(path: Path, what: str) -> Iterator[None]:
    """Let one process at a time make `path`; the others wait, and then find it made.

    Raises DataError where vislab's home cannot be written to or has no locks.
    """
    key = sha256(str(path.absolute()).encode()).hexdigest()[:16]
    lock = home() / "locks" / f"{key}.lock"
    with ExitStack() as held:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(lock, what))
        except OSError as error:
            raise DataError(
                f"{lock.parent} cannot be written to ({error.strerror or error}), so {what} cannot "
                "be made; let VISLAB_HOME name another folder"
            ) from error
        yield
