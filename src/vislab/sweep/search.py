"""Search the options of a recipe: every trial an ordinary run, any number of workers at once.

Each worker asks the shared study for the next setting, so workers may come, go, be killed and come
again. What is drawn for a trial is a function of (seed, its number, the results so far): a sweep of
one worker that was cut short goes on as if it had not been.
"""

import contextlib
import gc
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from vislab.errors import NonFiniteLoss, OptionError, RunError
from vislab.lab.knobs import plain
from vislab.lab.recipe import Recipe
from vislab.lab.running import Conditions, command, execute
from vislab.lab.training import Stopped, Watch
from vislab.ops import processes
from vislab.ops.seeding import seed_of
from vislab.progress import track
from vislab.runs.folder import RunFolder
from vislab.runs.formatting import is_share, measured
from vislab.runs.occupied import is_occupied
from vislab.runs.report import flat
from vislab.sweep.queue import Queue, locked
from vislab.sweep.report import Found, Trial, file_sweep, is_test, setting, test_warning
from vislab.sweep.space import Axis, Span, Value, check_extremes, placed
from vislab.sweep.study import Sweep, join, quiet_optuna, reason

BEAT = 15.0  # seconds between a worker's signs of life
POLL = 0.5  # seconds between looks at what the others do
DRAWING_SHARE = 0.05  # at most this share of the time goes into the report
FIRST_FAILURES = 3  # when so many fail and none succeeds, the fault is not the settings'
IMPORTANCES_FROM = 10  # complete trials; with fewer, importances are mostly chance
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "underway",
    TrialState.WAITING: "waiting",
}


def search(sweep: Sweep, folder: Path, *, beat: float = BEAT, quiet: bool = False) -> RunFolder:
    """Search until all trials are over, as one worker of any number, and return the sweep's folder.

    A folder that holds this sweep already is joined. Raises RunError when it holds anything else
    and when no setting works, OptionError when the recipe does not record the metric. `beat` is
    the seconds between signs of life; where four are missing, another worker takes a trial over.
    """
    if processes.world_size() > 1:
        raise OptionError("a sweep's worker is one process; start several with the same --folder")
    check_extremes(sweep.recipe, sweep.axes)
    with quiet_optuna():
        try:
            study = join(sweep, folder)
            return Worker(sweep, folder, Queue(study, folder, sweep.trials, beat), quiet).work()
        except StorageInternalError as error:
            raise RunError(
                f"the storage of the sweep in {folder} does not answer ({reason(error)}); "
                "see to it and type the same command again"
            ) from error


class Worker:
    """One process at work on a sweep."""

    def __init__(self, sweep: Sweep, folder: Path, queue: Queue, quiet: bool) -> None:
        self.sweep, self.folder, self.queue, self.quiet = sweep, folder, queue, quiet
        self.draw_after = -math.inf
        self.note = ""  # how the trial underway goes

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            print(text, flush=True)

    def work(self) -> RunFolder:
        """Run trials until all are over; write the report now and then, and in any case at last."""
        try:
            self.take_turns()
        except BaseException as stop:
            # After a failure disk or storage may be what is wrong: the first error is to be told.
            with contextlib.suppress(RunError, StorageInternalError):
                self.report(str(stop) if isinstance(stop, RunError | OptionError) else None)
            raise
        return self.report()

    def take_turns(self) -> None:
        """Take one trial after the other."""
        if is_test(self.sweep.metric):
            self.say(test_warning(self.sweep.metric))
        while not self.queue.finished():
            trial = self.queue.take()
            if trial is None:
                self.wait()
                continue
            self.run(trial)
            self.require_success()
            if time.monotonic() > self.draw_after:
                self.report()
        self.require_success()

    def require_success(self) -> None:
        """Raise RunError when the first trials, or all there are, failed."""
        over = self.queue.over()
        few = min(FIRST_FAILURES, self.sweep.trials)
        if len(over) >= few and all(trial.state == TrialState.FAIL for trial in over):
            raise RunError(
                f"none of the first {len(over)} trials worked, so the sweep ends here; "
                f"the last of them said: {over[-1].user_attrs['ended']['error']}"
            )

    def wait(self) -> None:
        """Wait while the others finish theirs, ready to take over what they abandon."""
        over = len(self.queue.over())
        left = self.sweep.trials - over
        what = "waiting for other workers"
        with track(what, total=left, unit="trials", quiet=self.quiet) as advance:
            while self.queue.nothing_to_take() and over < self.sweep.trials:
                time.sleep(POLL)
                self.queue.look()
                now = len(self.queue.over())
                advance(now - over)
                over = now

    def run(self, trial: optuna.Trial) -> None:
        """Run one trial and write down how it ended."""
        number = trial.user_attrs["number"]
        title, self.note = f"trial {number} of {self.sweep.trials}", ""
        # Nothing drawn may depend on what this worker did before.
        self.queue.study.sampler = optuna.samplers.TPESampler(
            seed=seed_of(self.sweep.seed, "trial", number) % 2**32,
            n_startup_trials=max(4, min(10, self.sweep.trials // 3)),
        )
        try:
            with track(title, total=None, unit="epochs", quiet=self.quiet) as advance:

                def seen(epoch: int, accuracy: float) -> None:
                    self.note = f"epoch {epoch}, accuracy {accuracy:.1%}"
                    advance(1, self.note)

                with self.queue.alive(trial, lambda: advance(0, self.note)):
                    for axis in self.sweep.axes:
                        draw(trial, axis)
                    ended = self.outcome(trial, self.watch(trial, seen))
        except BaseException:
            # Ctrl-C, a full disk, a metric that is not there: no fault of the setting's.
            self.queue.put_back(self.queue.frozen(trial))
            raise
        finally:
            if processes.device().type != "cpu":
                gc.collect()  # a trainer is a ring of references and would keep its memory
        state, value, facts = ended
        if self.queue.end(trial, state, value, facts):
            self.say(f"{title}: {setting(trial.params)} → {self.said(state, value, facts)}")
        else:
            self.say(f"{title}: another worker has taken it over")

    def watch(self, trial: optuna.Trial, seen: Callable[[int, float], None]) -> Watch:
        """Return what follows a trial's epochs and stops it where it lags behind."""
        known = self.queue.frozen(trial).intermediate_values

        def watch(fit: str, epoch: int, accuracy: float) -> None:
            seen(epoch, accuracy)
            if fit != self.sweep.judged_by:
                return
            if epoch not in known:
                trial.report(accuracy, epoch)
            if trial.should_prune():
                raise Stopped(
                    f"Pruned after epoch {epoch}: its best accuracy on validation is below the "
                    "median of the complete trials at that epoch."
                )

        return watch

    def outcome(
        self, trial: optuna.Trial, watch: Watch
    ) -> tuple[TrialState, float | None, dict[str, Any]]:
        """Run the recipe with the trial's setting; return state, value and what else to keep."""
        folder: Path | None = None
        value: float | None = None
        facts: dict[str, Any] = {}
        try:
            recipe = placed(self.sweep.recipe, trial.params)
            folder = self.folder_of(trial, recipe)
            run = self.run_in(folder, recipe, watch)
            value, facts = self.judge(run)
            state = TrialState.COMPLETE if value is not None else TrialState.FAIL
        except Stopped as stop:
            state, facts = TrialState.PRUNED, {"why": str(stop)}
        except (RunError, MetricMissing) as error:
            if not isinstance(error, NonFiniteLoss):
                raise
            state, facts = TrialState.FAIL, {"error": str(error)}
        except Exception as error:
            ours = type(error).__module__ == "vislab.errors"
            why = str(error) if ours else f"{type(error).__name__}: {error}"
            state, facts = TrialState.FAIL, {"error": why}
        if folder is not None and (folder / "recipe.yaml").exists():
            facts |= duration(RunFolder.open(folder))
        return state, value, facts

    def folder_of(self, trial: optuna.Trial, recipe: Recipe) -> Path:
        """Return the trial's folder.

        One of its number is left alone where it has another setting, or where a worker that was
        taken for dead is at it still.
        """
        for turn in itertools.count(1):
            name = f"{trial.user_attrs['number']:04d}" + (f"-{turn}" if turn > 1 else "")
            folder = self.folder / "trials" / name
            if not (folder / "recipe.yaml").exists():
                break
            options = dict(RunFolder(folder).recipe()["options"])
            options.pop("run", None)
            if options == plain(recipe) and not is_occupied(folder):
                break
        trial.set_user_attr("folder", f"trials/{name}")
        return folder

    def run_in(self, folder: Path, recipe: Recipe, watch: Watch) -> RunFolder:
        """Run the recipe in the folder, from wherever it stands there."""
        begun = (folder / "recipe.yaml").exists()
        if begun and RunFolder.open(folder).result.status == "finished":
            return RunFolder.open(folder)
        conditions = Conditions(self.sweep.seed, minutes=self.sweep.minutes)
        name = self.sweep.name
        return execute(recipe, name, folder, conditions, resume=begun, quiet=True, watch=watch)

    def judge(self, run: RunFolder) -> tuple[float | None, dict[str, Any]]:
        """Return what a finished run measured and the trivial level, or None and why.

        Raises MetricMissing when the recipe does not record the metric.
        """
        metric, metrics = self.sweep.metric, run.result.metrics
        if metric in metrics:
            if not math.isfinite(metrics[metric]):
                return None, {"error": f"its {metric} is not a finite number"}
            return metrics[metric], {"trivial": run.result.trivial.get(metric)}
        if self.sweep.minutes is not None:
            why = f"it recorded no {metric}; {self.sweep.minutes:g} minutes may be too few"
            return None, {"error": why}
        raise MetricMissing(
            f"{self.sweep.name} records no {metric}, by which the sweep was to choose, but "
            f"{', '.join(metrics) or 'nothing'}; choose with --metric, and a new --folder"
        )

    def said(self, state: TrialState, value: float | None, facts: dict[str, Any]) -> str:
        """Say how a trial ended."""
        if value is not None:
            share = is_share(self.sweep.metric)
            return f"{self.sweep.metric} {measured(value, share=share)}"
        if state == TrialState.PRUNED:
            return str(facts["why"]).partition(":")[0].lower()
        return f"failed: {facts['error']}"

    def report(self, error: str | None = None) -> RunFolder:
        """Write all that is known by now, one worker at a time."""
        with locked(self.folder, "report"):
            begun = time.monotonic()
            run = RunFolder.open(self.folder)
            found = self.found()
            best = found.best
            again = ""
            if best is not None:
                recipe = placed(self.sweep.recipe, best.params)
                conditions = Conditions(self.sweep.seed, minutes=self.sweep.minutes)
                again = command(recipe, self.sweep.name, conditions)
            file_sweep(run, found, command=self.sweep.command(), again=again, error=error)
            now = time.monotonic()
            self.draw_after = now + (now - begun) / DRAWING_SHARE
        return run

    def found(self) -> Found:
        """Return what the storage holds, without Optuna's types."""
        known = [trial for trial in self.queue.known() if trial.params]  # their settings are drawn
        trials = [plain_trial(trial, self.folder) for trial in known]
        complete = sum(trial.state == "complete" for trial in trials)
        importances = None
        if complete >= IMPORTANCES_FROM and len(self.sweep.axes) > 1:
            importances = optuna.importance.get_param_importances(self.queue.study)
        varied = {axis.name for axis in self.sweep.axes}
        options = flat(plain(self.sweep.recipe))
        return Found(
            fixed=tuple(name for name in options if name not in varied),
            recipe=self.sweep.name,
            seed=self.sweep.seed,
            axes=self.sweep.axes,
            metric=self.sweep.metric,
            lowest=self.sweep.lowest,
            wanted=self.sweep.trials,
            trials=tuple(sorted(trials, key=lambda trial: trial.number)),
            importances=importances,
        )


class MetricMissing(OptionError):
    """The recipe does not record what the sweep was to choose by."""


def draw(trial: optuna.Trial, axis: Axis) -> Value:
    """Draw a value of one option."""
    if not isinstance(axis, Span):
        chosen: Value = trial.suggest_categorical(axis.name, axis.values)
        return chosen
    if axis.whole:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)


def duration(run: RunFolder) -> dict[str, Any]:
    """Return how long a run took, in seconds and in epochs of all its trainings."""
    epochs = {
        line.get("fit"): line["epoch"]
        for line in run.logged()
        if isinstance(line.get("epoch"), int)
    }
    return {"seconds": run.result.seconds, "epochs": sum(epochs.values()) or None}


def plain_trial(trial: FrozenTrial, folder: Path) -> Trial:
    """Return a trial without Optuna's types."""
    attributes = trial.user_attrs
    ended = attributes.get("ended", {})
    where = str(attributes.get("folder", ""))
    if where and not (folder / where).exists():
        where = f"{where} on {attributes.get('machine', 'another machine')}"
    return Trial(
        number=int(attributes["number"]),
        state=STATES[trial.state],
        params=dict(trial.params),
        value=trial.value if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        epochs=ended.get("epochs"),
        seconds=ended.get("seconds"),
        folder=where,
        why=str(ended.get("error") or ended.get("why") or ""),
        trivial=ended.get("trivial"),
    )
