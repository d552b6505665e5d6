"""`vislab twin`: gradients by hand against autograd, step by step and layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from vislab import recipes
from vislab.cli.run_command import finish, name_at, new_folder
from vislab.errors import OptionError, pick

USAGE = """usage: vislab twin NAME [options]

Train the same network by hand and by autograd, from the same weights on the same batches in
float64, and show where they differ. Exit code 1 when they do.

  vislab twin convnet-by-hand                    do the engines agree?
  vislab twin convnet-by-hand --inject Conv:2    plant a wrong gradient and find it

Recipes with two engines: """


@dataclass(frozen=True)
class TwinOptions:
    """How to compare."""

    steps: int = 50
    """Steps that both engines take."""
    inject: str | None = None
    """Plant a wrong gradient in this layer: its kind and place, such as Conv:2 or LSTM."""
    fault: str = "sign"
    """What is wrong with it: sign, factor (a missing 2) or transpose."""
    tolerance: float = 1e-10
    """The largest difference of the loss that passes."""
    folder: Path | None = None
    """The run folder itself; without it, a new one under runs/."""
    seed: int = 0
    """Everything random is a function of it."""


def main(words: Sequence[str]) -> int:
    """Compare the engines of one recipe."""
    words = list(words)
    if not words or words in (["-h"], ["--help"]):
        print(USAGE + ", ".join(with_twins()))
        return 0 if words else 2
    name = words.pop(name_at(words))
    kind = recipes.find(name)
    if not hasattr(kind, "pair"):
        raise OptionError(
            f"{name} takes no gradients by hand, so it has no twin; "
            f"these have one: {', '.join(with_twins())}"
        )
    both = make_dataclass(
        kind.__name__,
        [
            ("options", Annotated[TwinOptions, tyro.conf.arg(name="")]),
            ("recipe", Annotated[kind, tyro.conf.arg(name="")]),
        ],
    )
    parsed: Any = tyro.cli(
        both,
        args=words,
        default=both(TwinOptions(), kind(**kind.quick)),
        prog=f"vislab twin {name}",
        description="Compare gradients by hand with autograd, in the recipe's quick size.",
    )
    options: TwinOptions = parsed.options
    if options.steps < 1:
        raise OptionError(f"--steps {options.steps} compares nothing; use 1 or more")
    from vislab.lab.running import Conditions, execute
    from vislab.lab.twin import Twin, TwinsDiffer
    from vislab.scratch.tracing import FAULTS

    pick(FAULTS, options.fault, "fault")
    if not options.tolerance > 0:
        raise OptionError(f"--tolerance {options.tolerance:g} passes nothing; use more than 0")
    twin = Twin(parsed.recipe, options.steps, options.inject, options.fault, options.tolerance)
    folder = options.folder or new_folder(f"twin-{name}")
    try:
        finish(
            lambda: execute(twin, name, folder, Conditions(options.seed)),
            folder,
            way_on="compare again from the beginning",
        )
    except TwinsDiffer:
        print(f"report: {folder / 'report.html'}")
        raise
    return 0


def with_twins() -> list[str]:
    """Return the recipes that have two engines."""
    return [name for name in recipes.names() if hasattr(recipes.find(name), "pair")]
