"""Time two ways of doing the same work, alternately, and say on which machine."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def quartiles_ms(
    ways: dict[str, Callable[[], object]], *, warmup: int = 1, repeats: int = 7
) -> dict[str, dict[str, float]]:
    """Return median and spread of each way in milliseconds.

    The ways take turns, so that a machine that slows down slows all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warmup + repeats):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            if turn >= warmup:
                times[name].append(1e3 * (time.perf_counter() - start))
    out = {}
    for name, taken in times.items():
        low, middle, high = statistics.quantiles(taken, n=4)
        out[name] = {"median_ms": middle, "iqr_ms": high - low, "repeats": len(taken)}
    return out


def about() -> dict[str, Any]:
    """Return what a reader needs to judge the numbers."""
    import numpy
    import torch
    import torchvision

    from vislab.runs.environment import processor

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": numpy.__version__,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "system": platform.system(),
    }


def drain(batches: Iterable[Any]) -> int:
    """Go through an epoch of vislab's or a DataLoader's batches and return how many images."""
    return sum(len(b.images if hasattr(b, "images") else b[0]) for b in batches)


def write(name: str, rows: list[dict[str, Any]]) -> None:
    """Print the rows and write them, with the machine, to the file named on the command line."""
    text = json.dumps({"benchmark": name, "about": about(), "rows": rows}, indent=2)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
