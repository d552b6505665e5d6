"""Locks between processes. The system holds them for a process: they end with it, however it ends.

A file that is locked stays when the lock is gone: another process may be waiting at it.
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

PATIENCE = 2.0  # seconds of waiting before it is said


class Taken(Exception):
    """Another process holds the lock, or another part of this one."""


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be; wait for whoever holds it.

    `what` is named when the wait is long. Raises OSError where nothing can be locked.
    """
    lock = FileLock(path)
    try:
        _acquire(lock, PATIENCE)
    except Taken:
        print(f"waiting for another process that is at work on {what}", file=sys.stderr, flush=True)
        _acquire(lock, -1.0)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_at_once(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be.

    Raises Taken when it is held elsewhere, OSError where nothing can be locked.
    """
    lock = FileLock(path)
    _acquire(lock, 0.0)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, seconds: float) -> None:
    try:
        # A lock that this thread holds already is a mistake to filelock when it would wait for
        # ever; with a timeout it is merely taken.
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise Taken from error
    except NotImplementedError as error:
        raise OSError(errno.ENOLCK, "its file system has no locks") from error
