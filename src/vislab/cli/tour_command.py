"""`vislab tour`: the first thing to run."""

from collections.abc import Sequence

from vislab.cli import run_command


def main(words: Sequence[str]) -> int:
    """Run the recipe `tour`."""
    return run_command.main(["tour", *words])
