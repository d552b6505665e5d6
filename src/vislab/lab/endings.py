"""How a run is ended from outside: SIGTERM, and SIGHUP when its terminal is closed.

Either ends it as Ctrl-C does: what was found by then is written, and the run can be resumed.
"""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

# The second is not known on Windows.
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
OUTPUTS = (1, 2)  # standard output and standard error


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise SystemExit in the block when a signal asks the process to end.

    Signals that somebody has made other arrangements for are left alone, as `nohup` does with
    SIGHUP. Outside the main thread, where none arrive, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = os.getpid()

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != ours:  # a worker that was forked: it has nothing to write down
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        # Shells send SIGHUP twice: the second must not cut short what the first made us write.
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        let_go_of_closed_outputs()
        raise SystemExit(128 + number)

    before: dict[Any, Any] = {}
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def let_go_of_closed_outputs() -> None:
    """Write nowhere what would go to a terminal that was closed, or to a reader that went away."""
    for number in OUTPUTS:
        if is_closed(number):
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)


def outputs_closed() -> bool:
    """Return whether nothing that is printed arrives anywhere any more."""
    return any(map(is_closed, OUTPUTS))


def is_closed(number: int) -> bool:
    """Return whether the other end of an open file is gone."""
    if not hasattr(select, "poll"):  # Windows
        return False
    asked = select.poll()
    asked.register(number, select.POLLOUT)
    try:
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))
    except OSError:
        return False
