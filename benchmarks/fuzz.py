"""Many inputs changed at random, each kind in a process of its own, which may die and is restarted.

`python benchmarks/fuzz.py [SCALE]`. Counted are traces, hangs of over 20 seconds, deaths, and the
most memory that a process took beyond what it began with; the aim is none, and under 2 GB.
"""

import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fuzz import inputs
from tests.fuzz.runs import a_run_folder

KINDS = inputs.KINDS | {"run folder": a_run_folder}
COUNTS = {"image": 1000, "annotated set": 500, "archive": 100, "run folder": 300}
PATIENCE = 20.0  # seconds


def work(kind: str, asked: Connection) -> None:
    """Try the seeds that come, and say how each went and how much memory was taken."""
    import contextlib
    import io

    while (seed := asked.recv()) is not None:
        folder = Path(tempfile.mkdtemp())
        told = ""
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                KINDS[kind](seed, folder)
        except BaseException:
            told = traceback.format_exc()
        shutil.rmtree(folder, ignore_errors=True)
        asked.send((told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6))


def tried(kind: str, count: int) -> Counter[str]:
    """Try so many of one kind and return what was counted."""
    found: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    process, ours, begun = None, None, 0.0
    for seed in range(count):
        if process is None:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(kind, theirs), daemon=True)
            process.start()
            begun = 0.0
        assert ours is not None
        ours.send(seed)
        since = time.monotonic()
        patience = PATIENCE if begun else 3 * PATIENCE  # libraries are loaded with the first
        while not ours.poll(0.1) and process.is_alive() and time.monotonic() - since < patience:
            pass
        if ours.poll():
            told, memory = ours.recv()
            begun = begun or memory
            found["GB beyond the start"] = max(found["GB beyond the start"], memory - begun)
            if told:
                found["traces"] += 1
                print(f"{kind} {seed}:\n{told}")
            continue
        found["hangs" if process.is_alive() else "deaths"] += 1
        print(f"{kind} {seed}: {'hangs' if process.is_alive() else 'died'}")
        process.kill()
        process = None
    if process is not None and ours is not None:
        ours.send(None)
        process.join()
    return found


def main() -> None:
    """Try all kinds, so many times as many as usual."""
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    for kind, count in COUNTS.items():
        found = tried(kind, round(scale * count))
        words = ", ".join(f"{found[what]} {what}" for what in ("traces", "hangs", "deaths"))
        memory = found["GB beyond the start"]
        print(f"{round(scale * count)} of {kind}: {words}, {memory:.2f} GB beyond the start")


if __name__ == "__main__":
    main()
