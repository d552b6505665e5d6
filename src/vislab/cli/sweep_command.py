"""`vislab sweep`: search a recipe's options, alone or as one worker of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from vislab import recipes
from vislab.cli.run_command import Flag, finish, name_at, new_folder
from vislab.errors import OptionError
from vislab.lab.recipe import Recipe

USAGE = """usage: vislab sweep RECIPE --over OPTION=VALUES … [options] [-- recipe options]

Search a recipe's options. Every trial is a run of its own; the sweep's report shows them together.
The best has the highest accuracy on validation images, unless --metric says otherwise.

  vislab sweep fully-connected --quick --trials 10 \\
      --over learning_rate=1e-4..1e-1:log --over batch=25,50,100

        any learning rate between the two, evenly in its logarithm, and one of three batch sizes

  vislab sweep augmentation --metric "batch-norm, none/val/accuracy" --folder runs/rates \\
      --over optim.lr=1e-4..1e-2:log --over optim.schedule=constant,one-cycle \\
      -- --networks batch-norm --rungs none

        options after -- are the same in all trials; the command typed again, after Ctrl-C or in
        another window, goes on or joins in

OPTION=low..high takes any number between, whole ones where the option holds those; with :log
evenly in their logarithm, with :int whole ones only. OPTION=a,b,c takes one of these.
`vislab run RECIPE --help` lists a recipe's options, `vislab sweep RECIPE --help` the search's own.

On several machines: --storage postgresql://user@host/name and a --folder of the same name."""


@dataclass(frozen=True)
class SweepOptions:
    """How to search."""

    over: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """What to search: OPTION=low..high, OPTION=low..high:log or OPTION=a,b,c; once for each."""
    trials: int = 30
    """How many settings are tried, by all workers together."""
    quick: Flag = False
    """Start from the recipe's small and offline size."""
    metric: str = "val/accuracy"
    """What decides: a metric that the recipe records; of a …loss the lowest is the best."""
    folder: Path | None = None
    """The sweep's folder, new or begun by another worker; without it, a new one under runs/."""
    storage: str | None = None
    """Address of a database that workers on several machines share, under the folder's name."""
    minutes: float | None = None
    """Train each trial for about this long."""
    seed: int = 0
    """Everything random is a function of it; all trials run with the same."""
    prune: bool = True
    """Stop a trial early when its validation accuracy is below the median of the others."""


def main(words: Sequence[str]) -> int:
    """Search."""
    words = list(words)
    if not words or words in (["-h"], ["--help"]):
        print(USAGE)
        return 0 if words else 2
    at = words.index("--") if "--" in words else len(words)
    ours, theirs = words[:at], words[at + 1 :]
    if not ours:
        raise OptionError("which recipe? Write `vislab sweep NAME … -- options of the recipe`")
    name = ours.pop(name_at(ours))
    kind = recipes.find(name)
    options = tyro.cli(
        SweepOptions,
        args=ours,
        prog=f"vislab sweep {name}",
        description=f"Search options of {name}. After --, those that every trial shares.",
    )
    recipe = fixed(kind, name, theirs, quick=options.quick)
    from vislab.sweep.space import axes_of, check_extremes

    axes = axes_of(options.over, recipe, name)
    refuse_both([axis.name for axis in axes], theirs)
    check_extremes(recipe, axes)  # before torch is loaded
    from vislab.sweep.search import search
    from vislab.sweep.study import Sweep

    sweep = Sweep(
        recipe, name, axes, options.trials, options.metric, options.minutes, options.seed,
        options.prune, options.storage,
    )  # fmt: skip
    folder = options.folder or new_folder(f"sweep-{Path(name).stem}")
    finish(
        lambda: told(search(sweep, folder)), folder, way_on=f"go on with `{sweep.command(folder)}`"
    )
    return 0


def fixed(kind: type[Recipe], name: str, words: Sequence[str], *, quick: bool) -> Recipe:
    """Return the recipe with the options that every trial shares."""
    if quick and not kind.quick:
        raise OptionError(f"{name} has no --quick; sweep it without")
    recipe: Recipe = tyro.cli(
        kind,
        args=list(words),
        default=kind(**(kind.quick if quick else {})),
        prog=f"vislab sweep {name} … --",
        description="Options of the recipe that every trial shares.",
    )
    return recipe


def refuse_both(searched: Sequence[str], words: Sequence[str]) -> None:
    """Raise OptionError when an option is searched and fixed."""
    for word in words:
        option = word.removeprefix("--").partition("=")[0].replace("-", "_")
        *groups, last = option.split(".")
        positive = ".".join([*groups, last.removeprefix("no_")])
        for name in {option, positive} & set(searched):
            raise OptionError(
                f"{word.partition('=')[0]} stands after --, which fixes it, and {name} after "
                "--over, which searches it; leave one out"
            )


def told(run: Any) -> Any:
    """Print what the sweep has to say, and return it."""
    print()
    for note in run.result.notes:
        print(note)
    return run
