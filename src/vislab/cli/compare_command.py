"""`vislab compare`: runs side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from vislab.runs.compare import compare, comparison_lines, write_comparison
from vislab.runs.folder import RunFolder
from vislab.runs.terminal import harmless


def main(words: Sequence[str]) -> int:
    """Compare."""
    tyro.cli(show, args=list(words), prog="vislab compare")
    return 0


def show(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path = Path("comparison.html"),
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Put two or more runs side by side; the first is what the others are compared with.

    Prints the difference in accuracy with a paired 95 % interval over the test images,
    beside speed, latency, memory and size, and writes the same as a page.

    Args:
        runs: Run folders.
        out: Where the page is written.
        as_json: Print JSON and write no page.
    """
    comparison = compare([RunFolder.open(path) for path in runs])
    if as_json:
        print(json.dumps(comparison.as_json(), indent=2, ensure_ascii=False))
        return
    print(harmless(comparison_lines(comparison)))
    write_comparison(comparison, out)
    print(harmless(f"\nreport: {out}"))
