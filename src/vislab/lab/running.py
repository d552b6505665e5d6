"""Run a recipe from its first line to its report: once, over several seeds, or continued."""

import contextlib
import errno
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from vislab.errors import OptionError, RunError, VislabError
from vislab.lab.beginning import begin_from, take_up
from vislab.lab.bench import Lab
from vislab.lab.endings import ended_by_signals, outputs_closed
from vislab.lab.knobs import plain
from vislab.lab.recipe import Recipe
from vislab.lab.training import Stopped, Watch
from vislab.ops import processes
from vislab.profiling.costs import peak_memory
from vislab.runs.environment import environment
from vislab.runs.folder import RunFolder, read_json
from vislab.runs.formatting import is_difference, is_share
from vislab.runs.intervals import over_seeds
from vislab.runs.lesson import read_lesson
from vislab.runs.occupied import occupied
from vislab.runs.references import Protocol
from vislab.runs.report import write_report
from vislab.runs.shape import Misfit, Shape, require
from vislab.runs.writing import write_json

MOST_THREADS = 1024


@dataclass(frozen=True)
class Conditions:
    """What holds for a run besides its recipe; kept in recipe.yaml."""

    seed: int = 0
    seeds: int = 1
    minutes: float | None = None
    begun_from: str | None = None  # the run whose checkpoints it began with
    changed: str | None = None  # the options that it has in place of that one's, as typed

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise OptionError(f"--seeds {self.seeds} runs nothing; use 1 or more")
        if self.minutes is not None and self.minutes <= 0:
            raise OptionError(f"--minutes {self.minutes:g} leaves no time; use more than 0")

    def kept(self) -> dict[str, Any]:
        """Return what recipe.yaml keeps of them."""
        values = asdict(self)
        return {key: values[key] for key in values if key in ALWAYS_KEPT or values[key] is not None}


ALWAYS_KEPT = ("seed", "seeds", "minutes")
KEPT: Shape = {
    "seed?": int, "seeds?": int, "minutes?": (float, None), "begun_from?": (str, None),
    "changed?": (str, None),
}  # fmt: skip


def execute(
    recipe: Recipe,
    name: str,
    folder: Path,
    conditions: Conditions | None = None,
    *,
    resume: bool = False,
    data_changed: bool = False,
    save_every: float = 20.0,
    quiet: bool = False,
    watch: Watch | None = None,
) -> RunFolder:
    """Run `recipe` into `folder` and return the finished run.

    With `resume` the folder holds a run of this recipe already; what is finished is not done
    again. Images that are others by now are refused, unless `data_changed` says that they may be.
    Whatever ends the run early, the folder says so and keeps what there is; SIGTERM and SIGHUP end
    it by SystemExit. `watch` is told each epoch's validation accuracy and may end the run by
    raising `Stopped`. Raises RunError when another process is at work on the run.
    """
    conditions = conditions or Conditions()
    processes.join()
    with contextlib.ExitStack() as held:
        held.enter_context(ended_by_signals())
        run = _opened(recipe, name, folder, conditions, resume, held)
        options: dict[str, Any] = {
            "data_changed": data_changed, "save_every": save_every, "quiet": quiet, "watch": watch,
        }  # fmt: skip
        if conditions.seeds > 1:
            return _over_seeds(recipe, name, run, conditions, options)
        with _filing(run, recipe, name, conditions):
            lab = Lab(run, seed=conditions.seed, minutes=conditions.minutes, **options)
            recipe.run(lab)
    return run


def _opened(
    recipe: Recipe,
    name: str,
    folder: Path,
    conditions: Conditions,
    resume: bool,
    held: contextlib.ExitStack,
) -> RunFolder:
    """Begin the run or open the one that is there, and hold it for this process."""
    silent = processes.rank() > 0
    options = {**plain(recipe), "run": conditions.kept()}
    refusal: RunError | None = None
    if not silent:
        try:
            if resume:
                RunFolder(folder).recipe()  # a folder that is no run is left as it is
            else:
                if conditions.begun_from is not None:
                    begin_from(Path(conditions.begun_from), folder)
                RunFolder.create(folder, name, options)
            held.enter_context(occupied(folder))
            take_up(folder)
            RunFolder.open(folder).tidy()
        except RunError as error:
            refusal = error
    # All processes end where the first may not begin; none waits for it in vain.
    told = processes.share(None if refusal is None else str(refusal))
    if told is not None:
        raise refusal or RunError(told)
    if silent and not resume:  # on another machine, maybe, where no folder is
        return RunFolder.create(folder, name, options, silent=True)
    run = RunFolder.open(folder, silent=silent)
    if resume:
        same_threads(folder)
    elif conditions.begun_from is not None:
        run.result.notes.append(
            f"It began from the last checkpoint of {conditions.begun_from}, with "
            f"{conditions.changed}; trainings that were finished there are taken as they were."
        )
    return run


@contextlib.contextmanager
def _filing(run: RunFolder, recipe: Recipe, name: str, conditions: Conditions) -> Iterator[None]:
    """Write down how the run was asked for, and at its end, however that comes, how it went."""
    lesson = read_lesson(type(recipe).__doc__ or name)
    result = run.result
    result.title, result.lesson = lesson.title, asdict(lesson)
    result.seed, result.error, result.status = conditions.seed, None, "interrupted"
    result.command = command(recipe, name, conditions)
    if not run.silent:
        about = {**environment(), "threads": torch.get_num_threads(), "seed": conditions.seed}
        write_json(run.path / "environment.json", about)
        run.save()
    before, begun = result.seconds, time.monotonic()
    try:
        yield
        result.status = "finished"
    except Stopped as stop:
        result.notes.append(str(stop))
        raise
    except BrokenPipeError:
        raise  # who read what is printed went away: interrupted, as by a closed terminal
    except VislabError as error:
        result.status, result.error = "failed", str(error)
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EIO and outputs_closed():
            raise  # the terminal went away without a word
        result.status, result.error = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        result.seconds = before + time.monotonic() - begun
        result.peak_memory_bytes = max(result.peak_memory_bytes, peak_memory())
        known = {field.name for field in fields(Protocol)}  # a newer vislab may know more
        ours = Protocol(**{key: value for key, value in result.protocol.items() if key in known})
        result.references = [
            reference.beside(result.metrics, result.intervals, ours)
            for reference in recipe.references
        ]
        result.claims = [claim.judge(result.metrics, result.intervals) for claim in recipe.claims]
        # After a failure the disk may be full: the first error is the one to tell.
        failed = result.status != "finished"
        with contextlib.suppress(RunError) if failed else contextlib.nullcontext():
            close(run)


def same_threads(folder: Path) -> None:
    """Compute with as many threads as the run was begun with: sums of floats depend on it.

    Raises RunError when environment.json is damaged.
    """
    path = folder / "environment.json"
    threads = read_json(path).get("threads") if path.exists() else None
    if threads is None:
        return
    if not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise RunError(
            f"{path} is damaged: no run has {threads!r} threads; delete the file to continue with "
            "as many as this machine takes"
        )
    if processes.world_size() == 1:
        torch.set_num_threads(threads)


def close(run: RunFolder) -> None:
    """Write report and result, and drop the checkpoints that a finished run needs no longer.

    A run is finished on the disk when its report is there; killed before, it is resumed.
    """
    if run.silent:
        return
    if run.result.status != "finished":
        run.save()
        write_report(run)
        return
    write_report(run)
    run.save()
    for spare in run.path.glob("checkpoints/*/previous.ckpt"):
        spare.unlink()


def complete(folder: Path) -> bool:
    """Write the report of a finished run where it is missing; return whether it was."""
    if (folder / "report.html").is_file():
        return False
    with occupied(folder):
        write_report(RunFolder.open(folder))
    return True


def command(recipe: Recipe, name: str, conditions: Conditions) -> str:
    """Return the command that repeats the run on the same data."""
    if conditions.begun_from is not None:
        words = ["vislab", "run", name, "--resume", conditions.begun_from]
        return f"{shlex.join(words)} {conditions.changed}"
    words = ["vislab", recipe.verb, name, *recipe.words(), "--seed", str(conditions.seed)]
    if conditions.seeds > 1:
        words += ["--seeds", str(conditions.seeds)]
    if conditions.minutes is not None:
        words += ["--minutes", f"{conditions.minutes:g}"]
    return shlex.join(words)


def _over_seeds(
    recipe: Recipe,
    name: str,
    run: RunFolder,
    conditions: Conditions,
    options: dict[str, Any],
) -> RunFolder:
    """Run once a seed, in folders below, and report mean and interval."""
    with _filing(run, recipe, name, conditions):
        parts = []
        for seed in range(conditions.seed, conditions.seed + conditions.seeds):
            folder = run.path / f"seed-{seed}"
            one = replace(conditions, seed=seed, seeds=1)
            begun = (folder / "recipe.yaml").exists()
            if begun and RunFolder.open(folder).result.status == "finished":
                parts.append(RunFolder.open(folder, silent=run.silent))
                continue
            if not options["quiet"] and not run.silent:
                print(f"seed {seed}", flush=True)
            parts.append(execute(recipe, name, folder, one, resume=begun, **options))
        _average(run, parts)
    return run


def _average(run: RunFolder, parts: list[RunFolder]) -> None:
    first, result = parts[0], run.result
    names = [
        metric
        for metric in first.result.metrics
        if all(metric in part.result.metrics for part in parts)
    ]
    for metric in names:
        values = [part.result.metrics[metric] for part in parts]
        result.metrics[metric] = sum(values) / len(values)
        tests = [part.result.intervals.get(metric) for part in parts]
        # A loss may lie between 0 and 1 and is no share; it has no interval of its own.
        within = all(test is not None and 0 <= test[0] <= test[1] <= 1 for test in tests)
        share = (within or is_share(metric)) and not is_difference(metric)
        interval = over_seeds(values, tests=tests, share=share)
        if interval is not None:
            result.intervals[metric] = interval
    result.trivial, result.data = first.result.trivial, first.result.data
    result.protocol, result.costs = first.result.protocol, first.result.costs
    run.add_table(
        "seeds",
        ("seed", *names),
        [(part.result.seed, *(part.result.metrics[metric] for metric in names)) for part in parts],
        caption=f"One row a run; the intervals above hold {len(parts)} seeds and the test "
        "images: Student's over the seeds, and the intervals of the runs.",
    )
    result.notes.append(f"Figures, predictions and weights are those of seed {first.result.seed}.")
    result.figures = first.result.figures
    result.tables = [
        *(table for table in first.result.tables if table["title"] != "seeds"),
        *(table for table in result.tables if table["title"] == "seeds"),
    ]
    if not run.silent:
        for inner in ("figures", "tables"):
            shutil.copytree(first.path / inner, run.path / inner, dirs_exist_ok=True)
        for file in ("model.json", "model.safetensors", "metrics.jsonl"):
            if (first.path / file).exists():
                shutil.copy2(first.path / file, run.path / file)


def read_conditions(run: dict[str, Any]) -> tuple[dict[str, Any], Conditions]:
    """Take the options of recipe.yaml apart: the recipe's own, and the run's conditions.

    Raises RunError when the conditions are none.
    """
    options = dict(run["options"])
    kept = options.pop("run", {})
    try:
        require(kept, KEPT, "run")
    except Misfit as misfit:
        raise RunError(
            f"recipe.yaml is damaged ({misfit}); the run cannot be continued"
        ) from misfit
    known = {field.name for field in fields(Conditions)}
    if kept.get("minutes") is not None:
        kept = {**kept, "minutes": float(kept["minutes"])}
    return options, Conditions(**{key: kept[key] for key in kept if key in known})
