"""One progress bar for work counted in bytes: drawn on a terminal, a few plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]  # takes the bytes done so far
Progress = Callable[[str, int | None], AbstractContextManager[Advance]]
STEPS = 4  # plain lines between start and end, so that a log file stays readable


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Advance]:
    """Yield a function that takes how many bytes are done so far. Writes to standard error."""
    if not sys.stderr.isatty():
        with lines(what, total) as advance:
            yield advance
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as drawn:
        task = drawn.add_task(what, total=total)
        yield lambda done: drawn.update(task, completed=done)


@contextmanager
def lines(what: str, total: int | None) -> Iterator[Advance]:
    """The same for a log file: one line at the start and one whenever a quarter more is done."""
    size = f" ({readable(total)})" if total else ""
    print(f"{what}{size} ...", file=sys.stderr, flush=True)
    said = 0

    def advance(done: int) -> None:
        nonlocal said
        step = STEPS * done // total if total else 0
        if step > said:
            said = step
            print(f"{what}: {100 * step // STEPS} %", file=sys.stderr, flush=True)

    yield advance


@contextmanager
def silent(what: str, total: int | None) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda done: None


def readable(size: int) -> str:
    """Write a number of bytes as a person would: `170 MB`, `1.9 GB`, `502 bytes`."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            amount = size / unit
            return f"{amount:.1f} {name}" if amount < 10 else f"{amount:.0f} {name}"
    return f"{size} bytes"
