"""`vislab run`: a recipe by name or from a file, its knobs and the run's conditions as options."""

import contextlib
import datetime
import itertools
import os
import shlex
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from vislab import recipes
from vislab.errors import OptionError, RunError
from vislab.lab.knobs import restore
from vislab.lab.recipe import Recipe
from vislab.runs.folder import RunFolder
from vislab.runs.formatting import is_share, measured, trivial_word, with_span
from vislab.runs.terminal import harmless
from vislab.runs.writing import saying_why

USAGE = """usage: vislab run NAME-OR-FILE [options]
       vislab run --resume FOLDER
       vislab run --resume FOLDER --optim.lr 1e-4

Run a recipe and write its folder, with the report in FOLDER/report.html.
`--resume` continues a run that was cut short. With options of learning
(--optim.…, --augment.…, --epochs) beside it, a new run begins from that one's last checkpoint.
`vislab list` names the recipes; `vislab run NAME --help` lists the options of one."""

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True)
class RunOptions:
    """How to run it."""

    quick: Flag = False
    """Small and offline: what a newcomer tries."""
    course_protocol: Flag = False
    """The protocol of the course whose number stands beside ours."""
    folder: Path | None = None
    """The run folder itself; without it, a new one under runs/."""
    resume: Path | None = None
    """Continue the run in this folder; its recipe and options are read from there. With --optim.…,
    --augment.… or --epochs beside it, a new run begins from its last checkpoint."""
    data_changed: Flag = False
    """With --resume: go on though the images are not those that the run was begun with."""
    seed: int = 0
    """Everything random is a function of it."""
    seeds: int = 1
    """Run so many times, with seeds counting up, and report mean and interval."""
    minutes: float | None = None
    """Train for about this long, the learning-rate schedule shortened to fit."""
    devices: int = 1
    """GPUs, or processes on the CPU, that train together."""
    save_every: float = 20.0
    """Seconds between checkpoints."""


def main(words: Sequence[str]) -> int:
    """Run or continue a recipe."""
    words = list(words)
    if not words or words in (["-h"], ["--help"]):
        print(USAGE)
        return 0 if words else 2
    resume = folder_to_resume(words)
    if resume is not None:
        return continue_run(resume, words)
    name = words.pop(name_at(words))
    kind = recipes.find(name)
    options, recipe = parse(kind, name, words)
    if options.data_changed:
        raise OptionError("--data-changed goes with --resume FOLDER; a new run needs it not")
    if options.devices > 1:
        spread(options.devices, ["run", name, *without(words, "--devices")])
    return start(recipe, name, options)


def name_at(words: list[str]) -> int:
    """Return where the recipe stands: first, or wherever a known name or a .py file does."""
    if not words[0].startswith("-"):
        return 0
    known = recipes.names()
    for place, word in enumerate(words):
        if word in known or word.endswith(".py"):
            return place
    raise OptionError("which recipe? Write `vislab run NAME`; `vislab list` names them")


def parse(
    kind: type[Recipe], name: str, words: list[str], begun: Recipe | None = None
) -> tuple[RunOptions, Recipe]:
    """Read the options; `--quick` and `--course-protocol` change the defaults of the others.

    Those that are not typed are `begun`'s where that is given.
    """
    presets: dict[str, Any] = {}
    for flag, preset in (("--quick", kind.quick), ("--course-protocol", kind.course_protocol)):
        if flag in words:
            if not preset:
                raise OptionError(f"{name} has no {flag}; run it without")
            presets |= preset
    default = kind(**presets) if begun is None else begun
    # Both parts side by side, so that knobs and conditions are typed without a prefix.
    both = make_dataclass(
        kind.__name__,
        [
            ("recipe", Annotated[kind, tyro.conf.arg(name="")]),
            ("options", Annotated[RunOptions, tyro.conf.arg(name="")]),
        ],
    )
    lesson = (kind.__doc__ or name).split("\n\n")[0]
    parsed: Any = tyro.cli(
        both,
        args=words,
        default=both(default, RunOptions()),
        prog=f"vislab run {name}",
        description=lesson,
    )
    return parsed.options, parsed.recipe


def start(recipe: Recipe, name: str, options: RunOptions) -> int:
    """Run from the beginning."""
    from vislab.lab.running import Conditions, execute
    from vislab.ops import processes

    conditions = Conditions(options.seed, options.seeds, options.minutes)
    processes.join()
    folder = folder_for(options.folder, name)
    finish(lambda: execute(recipe, name, folder, conditions, save_every=options.save_every), folder)
    return 0


def folder_for(chosen: Path | None, name: str) -> Path:
    """Return the folder that was chosen, or a new one, the same in all processes."""
    from vislab.ops import processes

    made = new_folder(name) if chosen is None and processes.rank() == 0 else chosen
    found: Path = processes.share(made)
    return found


def continue_run(folder: Path, words: list[str]) -> int:
    """Continue a run with the options it was begun with, or begin another from its checkpoint."""
    from vislab.lab.running import complete, execute, read_conditions

    rest = without(without(words, "--resume"), "--save-every")
    data_changed = "--data-changed" in rest
    rest = [word for word in rest if word != "--data-changed"]
    content = RunFolder(folder).recipe()
    name = str(content["recipe"])
    if name == "sweep":
        raise OptionError(
            f"{folder} holds a sweep; type its own command again, with --folder {folder}"
        )
    named = [name] if name in rest else []
    if name.endswith(".py") and not named:
        raise OptionError(
            f"{folder} was made by your own recipe; continue it with "
            f"`vislab run {name} --resume {folder}`, so that no code is run unasked"
        )
    if rest and not rest[0].startswith("-") and rest[0] != name:
        raise OptionError(f"{folder} holds a run of {name}, not of {rest[0]}; name that, or none")
    values, conditions = read_conditions(content)
    recipe = restore(recipes.find(name), values)
    finished = RunFolder.open(folder).result.status == "finished"
    if rest not in ([], named):
        typed = [word for word in without(words, "--resume") if word != "--data-changed"]
        if named:
            typed.remove(name)
        return begin_anew(folder, name, recipe, typed, finished=finished)
    if finished:
        if complete(folder):
            print(harmless(f"this run was finished, but for its report; that is written now: "
                           f"{folder / 'report.html'}"))  # fmt: skip
        else:
            print(harmless(f"this run is finished already; its report is {folder / 'report.html'}"))
        return 0
    every = saving(words)
    finish(
        lambda: execute(
            recipe, name, folder, conditions,
            resume=True, data_changed=data_changed, save_every=every,
        ),
        folder,
    )  # fmt: skip
    return 0


def saving(words: list[str]) -> float:
    """Return the seconds that `--save-every` names."""
    typed = value_of(words, "--save-every")
    try:
        return 20.0 if typed is None else float(typed)
    except ValueError as error:
        raise OptionError(f"--save-every {typed} is no number of seconds") from error


def begin_anew(folder: Path, name: str, before: Recipe, words: list[str], *, finished: bool) -> int:
    """Begin a run from another's last checkpoint, with other options of learning."""
    from vislab.lab.beginning import may_change
    from vislab.lab.knobs import flags, plain
    from vislab.lab.running import execute, read_conditions
    from vislab.ops import processes
    from vislab.runs.report import flat

    if finished:
        raise OptionError(
            f"--resume continues a run as it was begun, and {folder} is finished; "
            "begin a new run to change an option"
        )
    options, recipe = parse(type(before), name, words, before)
    _, conditions = read_conditions(RunFolder(folder).recipe())
    unlike = RunOptions(folder=options.folder, save_every=options.save_every)
    old, new = flat(plain(before)), flat(plain(recipe))
    refused = [
        option for option in new if new[option] != old.get(option) and not may_change(option)
    ]
    if refused or options != unlike or conditions.seeds > 1:
        what = (
            f"--{refused[0].replace('_', '-')}"
            if refused
            else "run over seeds"
            if conditions.seeds > 1
            else "option of the run itself"
        )
        raise OptionError(
            f"--resume continues a run as it was begun, and only --optim.…, --augment.… and "
            f"--epochs may be others from its last checkpoint on; {what} may not: begin a new run"
        )
    changes = flags(recipe, beside=before)
    if not changes:
        raise OptionError(f"{folder} has these options already; leave them out to continue it")
    if not any(folder.glob("checkpoints/*/last.ckpt")):
        raise RunError(f"{folder} has no checkpoint to begin from; begin a new run")
    processes.join()
    into = folder_for(options.folder, name)
    changed = shlex.join(changes)
    if processes.rank() == 0:
        text = f"a new run, {into}, begins from the last checkpoint of {folder} with {changed}"
        print(harmless(text), flush=True)
    began = replace(conditions, begun_from=str(folder), changed=changed)
    finish(lambda: execute(recipe, name, into, began, save_every=options.save_every), into)
    return 0


def finish(work: Any, folder: Path, *, way_on: str = "") -> None:
    """Do the work, say how it went and where the report is.

    `way_on` is what to do after an interruption; without it, to resume the run.
    """
    from vislab.lab.endings import let_go_of_closed_outputs
    from vislab.ops import processes

    try:
        run = work()
    except (KeyboardInterrupt, SystemExit, BrokenPipeError) as stop:
        let_go_of_closed_outputs()
        raise RunError(
            f"interrupted; what there is so far is in {folder}, "
            + (way_on or f"continue with `vislab run --resume {folder}`")
        ) from stop
    if processes.rank() == 0:
        print(harmless(summary(run)))
        report = folder / "report.html"
        print(harmless(f"report: {report}"))
        if sys.stdout.isatty() and os.environ.get("DISPLAY", sys.platform != "linux"):
            webbrowser.open(report.resolve().as_uri())


def summary(run: RunFolder) -> str:
    """Return metrics, references and claims as plain lines."""
    result = run.result
    lines = [""]
    width = max((len(name) for name in result.metrics), default=0)
    for name, value in result.metrics.items():
        if not name.endswith("loss"):
            share = is_share(name)
            text = with_span(value, result.intervals.get(name), share=share)
            trivial = result.trivial.get(name)
            level = "" if trivial is None else measured(trivial, share=share)
            beside = f"   {trivial_word(name, result.metrics)} {level}" if level else ""
            lines.append(f"  {name:<{width}}  {text}{beside}")
    for reference in result.references:
        if reference["ours"] is not None:
            share = is_share(reference["metric"])
            lines.append(
                f"  {reference['metric']}: {reference['source']} has "
                f"{measured(reference['value'], share=share)} ({reference['verdict']})"
            )
    lines += [f"  claim {claim['verdict']}: {claim['claim']}" for claim in result.claims]
    return "\n".join(lines)


def new_folder(name: str) -> Path:
    """Make a folder under runs/ that nobody else has, named by recipe and time, and return it."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    base = Path("runs") / f"{Path(name).stem}-{stamp}"
    with saying_why(base):
        base.parent.mkdir(parents=True, exist_ok=True)
        for turn in itertools.count(1):
            folder = base.with_name(f"{base.name}-{turn}") if turn > 1 else base
            with contextlib.suppress(FileExistsError):  # another process was first: the next name
                folder.mkdir()
                return folder
    raise AssertionError("there is always a next name")


def folder_to_resume(words: list[str]) -> Path | None:
    """Return the folder that `--resume` names."""
    value = value_of(words, "--resume")
    return Path(value) if value is not None else None


def value_of(words: list[str], flag: str) -> str | None:
    """Return the value of `--flag VALUE` or `--flag=VALUE`, None where it does not stand."""
    for place, word in enumerate(words):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag:
            if place + 1 == len(words):
                raise OptionError(f"{flag} needs a value")
            return words[place + 1]
    return None


def without(words: list[str], flag: str) -> list[str]:
    """Return the words without a flag and its value."""
    kept, skip = [], False
    for word in words:
        if not skip and word != flag and not word.startswith(f"{flag}="):
            kept.append(word)
        skip = word == flag
    return kept


def spread(devices: int, words: list[str]) -> None:
    """Start this command again as so many processes, through torchrun; does not return."""
    if "WORLD_SIZE" in os.environ:
        raise OptionError("--devices does not go with torchrun; give one of the two")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(devices), "-m", "vislab", *words,
    ]  # fmt: skip
    os.execv(sys.executable, command)
