"""Run a recipe from its first line to its report: once, over several seeds, or continued."""

import contextlib
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vislab.errors import OptionError, RunError, VislabError
from vislab.lab.bench import Lab
from vislab.lab.knobs import plain
from vislab.lab.recipe import Recipe
from vislab.lab.training import Stopped, Watch
from vislab.ops import processes
from vislab.profiling.costs import peak_memory
from vislab.runs.environment import environment
from vislab.runs.folder import RunFolder, read_json
from vislab.runs.intervals import over_seeds
from vislab.runs.lesson import read_lesson
from vislab.runs.references import Protocol
from vislab.runs.report import write_report
from vislab.runs.writing import write_json


@dataclass(frozen=True)
class Conditions:
    """What holds for a run besides its recipe; kept in recipe.yaml."""

    seed: int = 0
    seeds: int = 1
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise OptionError(f"--seeds {self.seeds} runs nothing; use 1 or more")
        if self.minutes is not None and self.minutes <= 0:
            raise OptionError(f"--minutes {self.minutes:g} leaves no time; use more than 0")


def execute(
    recipe: Recipe,
    name: str,
    folder: Path,
    conditions: Conditions | None = None,
    *,
    resume: bool = False,
    save_every: float = 20.0,
    quiet: bool = False,
    watch: Watch | None = None,
) -> RunFolder:
    """Run `recipe` into `folder` and return the finished run.

    With `resume` the folder holds a run of this recipe already; what is finished is not done
    again. Whatever ends the run early, the folder says so and keeps what there is. `watch` is told
    each epoch's validation accuracy and may end the run by raising `Stopped`.
    """
    conditions = conditions or Conditions()
    processes.join()
    silent = processes.rank() > 0
    if resume:
        processes.wait()
        run = RunFolder.open(folder, silent=silent)
        run.tidy()
        same_threads(folder)
    else:
        options = {**plain(recipe), "run": asdict(conditions)}
        run = RunFolder.create(folder, name, options, silent=silent)
    if conditions.seeds > 1:
        return _over_seeds(
            recipe, name, run, conditions, save_every=save_every, quiet=quiet, watch=watch
        )
    with _filing(run, recipe, name, conditions):
        lab = Lab(
            run,
            seed=conditions.seed,
            minutes=conditions.minutes,
            save_every=save_every,
            quiet=quiet,
            watch=watch,
        )
        recipe.run(lab)
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
    except VislabError as error:
        result.status, result.error = "failed", str(error)
        raise
    except Exception as error:
        result.status, result.error = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        result.seconds = before + time.monotonic() - begun
        result.peak_memory_bytes = max(result.peak_memory_bytes, peak_memory())
        ours = Protocol(**result.protocol)
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
    """Compute with as many threads as the run was begun with: sums of floats depend on it."""
    path = folder / "environment.json"
    threads = read_json(path).get("threads") if path.exists() else None
    if threads and processes.world_size() == 1:
        torch.set_num_threads(int(threads))


def close(run: RunFolder) -> None:
    """Write result and report, and drop the checkpoints that a finished run needs no longer."""
    run.save()
    if run.silent:
        return
    write_report(run)
    if run.result.status == "finished":
        for spare in run.path.glob("checkpoints/*/previous.ckpt"):
            spare.unlink()


def command(recipe: Recipe, name: str, conditions: Conditions) -> str:
    """Return the command that repeats the run on the same data."""
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
    *,
    save_every: float,
    quiet: bool,
    watch: Watch | None,
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
            if not quiet and not run.silent:
                print(f"seed {seed}", flush=True)
            parts.append(
                execute(
                    recipe,
                    name,
                    folder,
                    one,
                    resume=begun,
                    save_every=save_every,
                    quiet=quiet,
                    watch=watch,
                )
            )
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
        interval = over_seeds(values)
        if interval is not None:
            result.intervals[metric] = interval
    result.trivial, result.data = first.result.trivial, first.result.data
    result.protocol, result.costs = first.result.protocol, first.result.costs
    run.add_table(
        "seeds",
        ("seed", *names),
        [(part.result.seed, *(part.result.metrics[metric] for metric in names)) for part in parts],
        caption=f"One row a run; the intervals above are Student's over {len(parts)} seeds.",
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
    """Take the options of recipe.yaml apart: the recipe's own, and the run's conditions."""
    options = dict(run["options"])
    return options, Conditions(**options.pop("run", {}))
