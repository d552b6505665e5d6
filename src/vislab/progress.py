"""Progress on anything that takes over two seconds: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

PATIENCE = 2.0  # seconds of silence before anything is shown
LINE_EVERY = 10.0  # seconds between plain lines


@runtime_checkable
class Advance(Protocol):
    """What `track` yields: say how many more are done, and a word on how it goes."""

    def __call__(self, count: int, note: str = "") -> None:
        """Add `count`."""


@contextmanager
def track(
    what: str, *, total: int | None, unit: str = "steps", quiet: bool = False
) -> Iterator[Advance]:
    """Yield a function to call with how many more are done.

    Work that ends within two seconds shows nothing. Everything goes to standard error, so that
    what a command prints can be piped on.
    """
    if quiet:
        yield _ignore
        return
    if sys.stderr.isatty():
        yield from _bar(what, total, unit)
    else:
        yield from _lines(what, total, unit)


def _ignore(count: int, note: str = "") -> None:
    return


def _bar(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("{task.description}", markup=False),  # names may hold brackets
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    begun = time.monotonic()
    task = progress.add_task(what, total=total, note="")
    shown = False

    def advance(count: int, note: str = "") -> None:
        nonlocal shown
        progress.update(task, advance=count, note=note)
        if not shown and time.monotonic() - begun > PATIENCE:
            progress.start()
            shown = True

    try:
        yield advance
    finally:
        if shown:
            progress.stop()


def _lines(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    begun = time.monotonic()
    last = begun - LINE_EVERY  # so that the first line waits for nothing but patience
    done = 0

    def advance(count: int, note: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - begun > PATIENCE and now - last > LINE_EVERY:
            last = now
            of = f" of {total}" if total is not None else ""
            line = f"{what}: {done}{of} {unit}, {now - begun:.0f} s  {note}".rstrip()
            print(line, file=sys.stderr, flush=True)

    yield advance
