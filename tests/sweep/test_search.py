"""Searching: what is drawn, what is stopped, and that many workers finish one sweep together."""

import csv
import html
import json
import multiprocessing
import os
import re
import signal
import sqlite3
import time
from dataclasses import dataclass, field
from typing import ClassVar

import optuna
import pytest
import sqlalchemy.engine
import sqlalchemy.event
import torch

from vislab import models, tasks
from vislab.errors import NonFiniteLoss, OptionError, RunError
from vislab.lab.knobs import plain
from vislab.lab.recipe import Recipe
from vislab.lab.running import execute
from vislab.lab.training import Stopped
from vislab.runs.folder import RunFolder
from vislab.sweep import report
from vislab.sweep import search as sweep_module
from vislab.sweep.queue import MISSED, Queue
from vislab.sweep.search import search
from vislab.sweep.space import axes_of
from vislab.sweep.study import Sweep, without_password
from vislab.tasks.optim import Optim

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.lab.test_sweep"])


@dataclass(frozen=True)
class Hill(Recipe):
    """A hill whose top is at 0.3, climbed in ten epochs."""

    x: float = 0.5
    kind: str = "smooth"
    seconds: float = 0.0
    epochs: int = 0
    breaks_above: float = 9.0

    def run(self, lab):
        top = 1 - (self.x - 0.3) ** 2
        for epoch in range(1, self.epochs + 1):
            lab.run.log({"fit": "training", "epoch": epoch, "step": epoch})
            if lab.watch is not None:
                lab.watch("before", epoch, 1 - top)
                lab.watch("training", epoch, top * epoch / self.epochs)
        time.sleep(self.seconds)
        if self.x > self.breaks_above:
            raise NonFiniteLoss(f"the loss became NaN at {self.x:.1f}")
        lab.record("val/accuracy", top, trivial=0.1)
        lab.record("val/loss", 1 - top)
        lab.record("test/accuracy", top - 0.1, trivial=0.1)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave figures and reports out: they take most of the time and have their own tests."""
    drawing = ("sweep.report._file_figures", "sweep.report.write_report")
    for name in (*drawing, "lab.running.write_report"):
        monkeypatch.setattr(f"vislab.{name}", lambda *_: None)
    monkeypatch.setattr("vislab.lab.running.environment", dict)
    monkeypatch.setattr("vislab.runs.writing.os.fsync", lambda _: None)


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
def _hurry(connection, _):
    """Spare the tests the wait for the disk, which only a power cut would need."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


def sweep_of(recipe=None, over=("x=0..1",), **options):
    recipe = recipe or Hill()
    return Sweep(recipe, "hill", axes_of(over, recipe, "hill"), **options)


def go(sweep, folder, **options):
    return search(sweep, folder, **({"quiet": True, "beat": 0.3} | options))


def table(folder):
    with (folder / "tables/trials.csv").open() as file:
        return list(csv.DictReader(file))


def settings(folder):
    return [(row["trial"], row["x"]) for row in table(folder)]


# What is drawn


def test_the_best_is_found_and_every_trial_is_a_run_of_its_own(tmp_path):
    run = go(sweep_of(over=["x=0..1", "kind=smooth,rough"], trials=16), tmp_path / "s")
    rows = table(tmp_path / "s")
    assert [int(row["trial"]) for row in rows] == list(range(1, 17))
    for row in rows:
        assert float(row["val/accuracy"]) == 1 - (float(row["x"]) - 0.3) ** 2
        trial = RunFolder.open(tmp_path / "s" / row["folder"])
        assert trial.result.status == "finished"
        assert trial.recipe()["options"]["x"] == float(row["x"])
        assert (trial.path / "report.html").exists()
    best = max(rows, key=lambda row: float(row["val/accuracy"]))
    assert abs(float(best["x"]) - 0.3) < 0.05
    assert run.result.status == "finished"
    assert run.result.metrics == {
        "best val/accuracy": float(best["val/accuracy"]),
        "trials": 16, "trials complete": 16, "trials pruned": 0, "trials failed": 0,
    }  # fmt: skip
    assert run.result.trivial == {"best val/accuracy": 0.1}
    assert f"Trial {best['trial']} is the best, with val accuracy" in run.result.notes[0]
    assert f"`vislab run hill --x {best['x']}" in run.result.notes[2]
    titles = [figure["title"] for figure in run.result.figures]
    assert titles == [
        "trials as parallel coordinates", "slices", "best so far", "which option mattered"
    ]  # fmt: skip
    for figure in run.result.figures:
        assert (tmp_path / "s" / figure["file"]).exists()
    page = html.unescape((tmp_path / "s/report.html").read_text())
    for note in run.result.notes:
        assert note in page


@pytest.mark.usefixtures("undrawn")
def test_the_same_seed_draws_the_same_settings_and_another_draws_others(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        go(sweep_of(trials=6, seed=seed), tmp_path / name)
    assert settings(tmp_path / "a") == settings(tmp_path / "b")
    assert len({x for _, x in settings(tmp_path / "a")}) == 6
    assert not {x for _, x in settings(tmp_path / "a")} & {x for _, x in settings(tmp_path / "c")}
    assert RunFolder.open(tmp_path / "c/trials/0001").result.seed == 4


@pytest.mark.usefixtures("undrawn")
def test_whole_numbers_and_choices_reach_the_recipe_as_its_types(tmp_path):
    over = ["epochs=0..3", "kind=a,b", "x=1..3:int"]
    go(sweep_of(over=over, trials=5, prune=False), tmp_path / "s")
    for row in table(tmp_path / "s"):
        options = RunFolder.open(tmp_path / "s" / row["folder"]).recipe()["options"]
        # The table has a column of epochs of its own: those that were trained.
        assert (str(options["epochs"]), options["kind"]) == (row["option epochs"], row["kind"])
        assert type(options["epochs"]) is int
        assert options["x"] == float(row["x"])
        assert type(options["x"]) is float


@pytest.mark.usefixtures("undrawn")
def test_of_a_loss_the_lowest_is_the_best(tmp_path):
    run = go(sweep_of(trials=8, metric="val/loss"), tmp_path / "s")
    losses = [float(row["val/loss"]) for row in table(tmp_path / "s")]
    assert run.result.metrics["best val/loss"] == min(losses)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/s/sweep.db")
    assert study.direction.name == "MINIMIZE"


@pytest.mark.usefixtures("undrawn")
def test_choosing_by_test_images_is_warned_of(tmp_path, capsys):
    run = go(sweep_of(trials=2, metric="test/accuracy"), tmp_path / "s", quiet=False)
    assert "the test images are no test any more" in run.result.notes[-1]
    assert run.result.notes[-1] in capsys.readouterr().out
    run = go(sweep_of(trials=2), tmp_path / "t", quiet=False)
    assert "no test any more" not in "".join(run.result.notes) + capsys.readouterr().out


# Being cut short


class Cut(Hill):
    """Is interrupted when a fuse burns down."""

    fuse: ClassVar[int | None] = None
    error: ClassVar[BaseException | None] = None

    def run(self, lab):
        if Cut.fuse is not None:
            Cut.fuse -= 1
            if Cut.fuse == 0:
                lab.run.log({"fit": "training", "epoch": 1, "step": 1})
                raise Cut.error
        super().run(lab)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a sweep draws that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    go(sweep_of(Cut(), trials=6), folder)
    return settings(folder)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("error", "fuse"),
    [
        (KeyboardInterrupt(), 1),
        (KeyboardInterrupt(), 6),
        (SystemExit(1), 2),  # what Lightning makes of Ctrl-C
        (RunError("the disk is full"), 3),
    ],
)
def test_cut_short_it_goes_on_as_if_it_had_not_been(tmp_path, whole, error, fuse, monkeypatch):
    folder = tmp_path / "s"
    monkeypatch.setattr(Cut, "error", error)
    monkeypatch.setattr(Cut, "fuse", fuse)
    with pytest.raises(type(error)):
        go(sweep_of(Cut(), trials=6), folder)
    result = RunFolder.open(folder).result
    if isinstance(error, RunError):
        assert (result.status, result.error) == ("failed", "the disk is full")
    else:
        assert (result.status, result.error) == ("interrupted", None)
    assert result.metrics["trials"] == fuse - 1
    assert [row["state"] for row in table(folder)] == ["complete"] * (fuse - 1) + ["waiting"]
    assert go(sweep_of(Cut(), trials=6), folder).result.status == "finished"
    assert settings(folder) == whole
    assert len(list((folder / "trials").iterdir())) == 6


@pytest.mark.usefixtures("undrawn")
def test_a_finished_sweep_does_nothing_and_more_trials_are_added_to_it(tmp_path):
    go(sweep_of(trials=3), tmp_path / "s")
    before = settings(tmp_path / "s")
    stamp = (tmp_path / "s/trials/0001/result.json").stat().st_mtime_ns
    assert go(sweep_of(trials=3), tmp_path / "s").result.metrics["trials"] == 3
    run = go(sweep_of(trials=5), tmp_path / "s")
    assert (run.result.status, run.result.metrics["trials"]) == ("finished", 5)
    assert settings(tmp_path / "s")[:3] == before
    assert (tmp_path / "s/trials/0001/result.json").stat().st_mtime_ns == stamp


# Failures


@pytest.mark.usefixtures("undrawn")
def test_a_trial_that_fails_keeps_its_sentence_and_the_sweep_goes_on(tmp_path, capsys):
    run = go(sweep_of(Hill(breaks_above=0.6), trials=10), tmp_path / "s", quiet=False)
    rows = table(tmp_path / "s")
    failed = [row for row in rows if row["state"] == "failed"]
    assert {float(row["x"]) > 0.6 for row in failed} == {True}
    assert all(float(row["x"]) <= 0.6 for row in rows if row["state"] == "complete")
    assert 0 < len(failed) < 10
    assert run.result.status == "finished"
    assert run.result.metrics["trials failed"] == len(failed)
    row = failed[0]
    assert row["why"] == f"the loss became NaN at {float(row['x']):.1f}"
    assert row["val/accuracy"] == ""
    assert f"trial {row['trial']} of 10: x {float(row['x']):.4g} → failed: the loss became" in (
        capsys.readouterr().out
    )
    assert RunFolder.open(tmp_path / "s" / row["folder"]).result.status == "failed"


class Broken(Hill):
    """Never works."""

    def run(self, lab):
        raise ZeroDivisionError("division by zero")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("trials", "tried"), [(20, 3), (2, 2)])
def test_when_the_first_trials_all_fail_the_sweep_ends_with_their_error(tmp_path, trials, tried):
    with pytest.raises(RunError) as said:
        go(sweep_of(Broken(), trials=trials), tmp_path / "s")
    assert str(said.value) == (
        f"none of the first {tried} trials worked, so the sweep ends here; "
        "the last of them said: ZeroDivisionError: division by zero"
    )
    run = RunFolder.open(tmp_path / "s")
    assert (run.result.status, run.result.error) == ("failed", str(said.value))
    assert len(table(tmp_path / "s")) == tried


@pytest.mark.usefixtures("undrawn")
def test_a_metric_that_is_not_recorded_is_told_after_the_first_trial(tmp_path):
    with pytest.raises(OptionError) as said:
        go(sweep_of(trials=9, metric="val/f1"), tmp_path / "s")
    assert str(said.value) == (
        "hill records no val/f1, by which the sweep was to choose, but val/accuracy, val/loss, "
        "test/accuracy; choose with --metric, and a new --folder"
    )
    assert len(list((tmp_path / "s/trials").iterdir())) == 1


# Stopping early


@pytest.mark.usefixtures("undrawn")
def test_a_trial_below_the_median_is_pruned_and_its_folder_says_so(tmp_path):
    run = go(sweep_of(Hill(epochs=10), trials=16), tmp_path / "s")
    rows = table(tmp_path / "s")
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert pruned
    assert run.result.metrics["trials pruned"] == len(pruned)
    assert run.result.metrics["trials"] == 16
    for place, row in enumerate(rows):
        before = [float(r["x"]) for r in rows[:place] if r["state"] == "complete"]
        off = sorted(abs(x - 0.3) for x in before)
        median = (off[(len(off) - 1) // 2] + off[len(off) // 2]) / 2 if off else 9
        # Every epoch ranks the trials alike, so the second decides: no epoch before it may.
        late = abs(float(row["x"]) - 0.3) > median + 0.02 and len(before) >= 5
        early = abs(float(row["x"]) - 0.3) < median - 0.02 or len(before) < 5
        if late or early:
            assert (row["state"] == "pruned") == late
        if row["state"] == "pruned":
            assert row["epochs"] == "2"
            folder = RunFolder.open(tmp_path / "s" / row["folder"])
            assert folder.result.status == "interrupted"
            assert folder.result.error is None
            assert folder.result.notes == [row["why"]]
            assert row["why"].startswith("Pruned after epoch 2: ")
    assert run.result.metrics["best val/accuracy"] == max(
        float(row["val/accuracy"]) for row in rows if row["state"] == "complete"
    )


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("options", [{"prune": False}, {"metric": "test/accuracy"}])
def test_nothing_is_pruned_where_it_was_forbidden_or_the_epochs_say_nothing(tmp_path, options):
    run = go(sweep_of(Hill(epochs=10), trials=8, **options), tmp_path / "s")
    assert run.result.metrics["trials complete"] == 8


def test_a_named_metric_is_judged_by_its_own_training():
    assert sweep_of().judged_by == "training"
    assert sweep_of(metric="a net, b/val/accuracy").judged_by == "a-net-b"
    assert sweep_of(metric="interval/accuracy").judged_by is None
    assert sweep_of(metric="val/loss").judged_by is None


@dataclass(frozen=True)
class Smallest(Recipe):
    """Train almost nothing."""

    optim: Optim = field(default_factory=Optim)
    epochs: int = 3
    names: tuple[str, ...] = ("",)

    def run(self, lab):
        images = lab.images("shapes:easy", per_class=4, size=8, validation=0.25)
        for name in self.names:
            model = models.create("convnet", classes=len(images.classes), widths=(4, 4))
            task = tasks.Classify(model, self.optim)
            lab.fit(task, images, epochs=self.epochs, batch=20, name=name)


@pytest.mark.usefixtures("undrawn")
def test_a_run_tells_its_watch_each_epoch_and_records_the_best_on_validation(tmp_path):
    told = []
    run = execute(
        Smallest(names=("one", "")), "smallest", tmp_path / "run", quiet=True,
        watch=lambda *epoch: told.append(epoch),
    )  # fmt: skip
    logged = [(line["fit"], line["epoch"], line["val/accuracy"]) for line in run.logged()]
    assert told == logged
    assert [epoch for _, epoch, _ in told] == [1, 2, 3, 1, 2, 3]
    for metric, fit in (("val/accuracy", "training"), ("one/val/accuracy", "one")):
        assert run.result.metrics[metric] == max(v for name, _, v in logged if name == fit)
        assert run.result.trivial[metric] == run.result.trivial["val/accuracy"] < 0.5


@pytest.mark.usefixtures("undrawn")
def test_a_watch_that_stops_a_run_leaves_it_interrupted_and_it_can_be_resumed(tmp_path):
    def stop(_fit, epoch, _accuracy):
        if epoch == 2:
            raise Stopped("enough of this")

    with pytest.raises(Stopped):
        execute(Smallest(), "smallest", tmp_path / "run", quiet=True, watch=stop)
    result = RunFolder.open(tmp_path / "run").result
    assert (result.status, result.error, result.notes) == ("interrupted", None, ["enough of this"])
    run = execute(Smallest(), "smallest", tmp_path / "run", quiet=True, resume=True)
    assert [line["epoch"] for line in run.logged()] == [1, 2, 3]


@pytest.mark.usefixtures("undrawn")
def test_trainings_are_searched_and_their_epochs_counted(tmp_path):
    sweep = sweep_of(Smallest(), ["optim.lr=1e-4..1e-1:log", "optim.name=sgd,adam"], trials=3)
    run = go(sweep, tmp_path / "s")
    for row in table(tmp_path / "s"):
        trial = RunFolder.open(tmp_path / "s" / row["folder"])
        assert row["epochs"] == "3"
        assert trial.recipe()["options"]["optim"]["lr"] == float(row["optim.lr"])
        assert trial.result.metrics["val/accuracy"] == float(row["val/accuracy"])
    assert run.result.metrics["trials complete"] == 3


# Workers


def work(folder, trials, seconds, storage=None):
    """Be one worker, in a process of its own."""
    torch.set_num_threads(1)
    for module, name in ((report, "_file_figures"), (report, "write_report")):
        setattr(module, name, lambda *_: None)
    sweep_module.BEAT, sweep_module.POLL = 0.2, 0.1
    sweep = sweep_of(Hill(seconds=seconds), trials=trials, storage=storage)
    search(sweep, folder, beat=0.2, quiet=True)


def begin(*words):
    process = processes.Process(target=work, args=words, daemon=True)
    process.start()
    return process


def wait_for(what, seconds=30.0):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_finish_exactly_the_trials_asked_for(tmp_path):
    folder = tmp_path / "s"
    killed = begin(folder, 8, 0.3)
    wait_for(lambda: (folder / "trials/0002/recipe.yaml").exists())
    other = begin(folder, 8, 0.3)
    wait_for(lambda: (folder / "trials/0003").exists())
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    other.join(60)
    assert other.exitcode == 0
    rows = table(folder)
    assert [row["trial"] for row in rows] == [str(k) for k in range(1, 9)]
    assert {row["state"] for row in rows} == {"complete"}
    assert sorted(place.name for place in (folder / "trials").iterdir()) == [
        f"{k:04d}" for k in range(1, 9)
    ]
    for row in rows:
        assert RunFolder.open(folder / row["folder"]).result.status == "finished"
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["metrics"]["trials"]) == ("finished", 8)


@pytest.mark.slow
def test_workers_in_two_folders_share_one_database(tmp_path):
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    folders = [tmp_path / where / "named" for where in ("here", "there")]
    workers = [begin(folder, 6, 0.4, storage) for folder in folders]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    tables = [settings(folder) for folder in folders]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 6
    held = [{place.name for place in (folder / "trials").iterdir()} for folder in folders]
    assert held[0] | held[1] == {f"{k:04d}" for k in range(1, 7)}
    assert not held[0] & held[1]
    for folder, own in zip(folders, held, strict=True):
        for row in table(folder):
            where, _, elsewhere = row["folder"].partition(" on ")
            assert bool(elsewhere) == (where.removeprefix("trials/") not in own)


class Stolen(Hill):
    """In its first trial, another worker holds it for dead."""

    thief: ClassVar[Queue | None] = None

    def run(self, lab):
        if Stolen.thief is not None:
            thief, Stolen.thief = Stolen.thief, None
            (trial,) = thief.study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
            thief.put_back(trial)
        super().run(lab)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("epochs", [0, 3])
def test_a_worker_whose_trial_was_taken_over_gives_it_up_and_goes_on(
    tmp_path, monkeypatch, capsys, epochs
):
    folder = tmp_path / "s"
    sweep = sweep_of(Stolen(epochs=epochs), trials=2)
    go(sweep_of(Stolen(epochs=epochs), trials=1), folder)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder / 'sweep.db'}")
    monkeypatch.setattr(Stolen, "thief", Queue(study, folder, 2, 1.0))
    run = go(sweep, folder, quiet=False)
    said = capsys.readouterr().out
    assert "trial 2 of 2: another worker has taken it over\ntrial 2 of 2: x " in said
    assert run.result.metrics["trials complete"] == 2
    assert [row["folder"] for row in table(folder)] == ["trials/0001", "trials/0002"]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("share", "times"), [(1e-9, 2), (1e9, 5)])
def test_the_report_is_written_at_first_at_last_and_as_often_as_it_costs_little(
    tmp_path, monkeypatch, share, times
):
    written = []
    file_sweep = sweep_module.file_sweep
    monkeypatch.setattr(
        sweep_module, "file_sweep",
        lambda *given, **named: written.append(1) or file_sweep(*given, **named),
    )  # fmt: skip
    monkeypatch.setattr(sweep_module, "DRAWING_SHARE", share)
    go(sweep_of(trials=4), tmp_path / "s")
    assert len(written) == times


def queue_of(tmp_path, study=None, trials=3, beat=0.05):
    study = study or optuna.create_study(direction="maximize")
    return Queue(study, tmp_path, trials, beat)


def take(queue):
    trial = queue.take()
    if trial is not None:
        trial.suggest_float("x", 0, 1)
    return trial


def numbers(queue):
    return sorted(trial.user_attrs["number"] for trial in queue.known())


def test_a_trial_without_a_sign_of_life_is_done_again_under_its_number(tmp_path):
    first = queue_of(tmp_path)
    other = queue_of(tmp_path, first.study)
    trial = take(first)
    other.look()
    time.sleep(0.05 * MISSED + 0.05)
    other.look()
    again = other.take()
    assert again.number != trial.number
    assert again.user_attrs["number"] == trial.user_attrs["number"] == 1
    assert again.params == trial.params
    assert other.end(again, optuna.trial.TrialState.COMPLETE, 0.5, {})
    # The worker was not dead but slow: what it says in the end is too late.
    assert not first.end(trial, optuna.trial.TrialState.COMPLETE, 0.9, {"seconds": 1.0})
    assert [t.value for t in first.known()] == [0.5]


def test_a_trial_that_gives_signs_of_life_is_left_alone(tmp_path):
    first = queue_of(tmp_path)
    other = queue_of(tmp_path, first.study)
    ticks = []
    with first.alive(take(first), lambda: ticks.append(1)):
        until = time.monotonic() + 0.05 * MISSED * 3
        while time.monotonic() < until:
            other.look()
            time.sleep(0.02)
    assert [t.state.name for t in first.study.get_trials()] == ["RUNNING"]
    assert ticks


def test_epochs_known_before_a_trial_was_abandoned_are_known_after(tmp_path):
    queue = queue_of(tmp_path)
    trial = take(queue)
    trial.report(0.25, 1)
    queue.put_back(queue.frozen(trial))
    queue.put_back(queue.frozen(trial))  # by a second worker: once is enough
    again = queue.take()
    assert queue.frozen(again).intermediate_values == {1: 0.25}
    assert len(queue.known()) == 1


def test_killed_between_two_words_of_how_it_failed_a_trial_counts_once(tmp_path):
    queue = queue_of(tmp_path)
    trial = take(queue)
    trial.set_user_attr("ended", {"error": "the loss became NaN"})
    queue.put_back(queue.frozen(trial))
    assert numbers(queue) == [1]
    assert queue.end(queue.take(), optuna.trial.TrialState.FAIL, None, {"error": "again"})
    assert [t.user_attrs["ended"] for t in queue.over()] == [{"error": "again"}]


def test_no_more_trials_are_taken_than_asked_for_and_each_has_its_number(tmp_path):
    queue = queue_of(tmp_path)
    taken = [take(queue) for _ in range(5)]
    assert [trial is None for trial in taken] == [False] * 3 + [True] * 2
    assert numbers(queue) == [1, 2, 3]
    queue.put_back(queue.frozen(taken[1]))
    assert queue.take().user_attrs["number"] == 2


def test_workers_that_ask_at_the_same_moment_get_different_numbers_and_none_too_many(tmp_path):
    study = optuna.create_study()
    queue = queue_of(tmp_path, study)
    asked = [study.ask() for _ in range(3)]  # each has asked, none has its number yet
    assert [queue.free_number(trial.number) for trial in asked] == [1, 2, 3]
    asked[1].set_user_attr("number", 2)
    assert [queue.free_number(asked[place].number) for place in (0, 2)] == [1, 3]
    # A fourth, asked for elsewhere at that moment, is one too many.
    queue.nothing_to_take = lambda: False
    assert queue.take() is None
    assert len(queue.known()) == 3


# Joining


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"over": ["x=0..2"]}, "over is ['x=0.0..1.0'] there and ['x=0.0..2.0'] here"),
        ({"recipe": Hill(kind="rough")}, "options.kind is 'smooth' there and 'rough' here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"metric": "val/loss"}, "metric is 'val/accuracy' there and 'val/loss' here"),
        ({"storage": "sqlite:///else.db"}, "storage is None there and 'sqlite:///else.db' here"),
    ],
)
def test_a_folder_with_another_sweep_is_refused_and_left_as_it_is(tmp_path, options, sentence):
    folder = tmp_path / "s"
    go(sweep_of(trials=1), folder)
    before = (folder / "result.json").read_bytes()
    with pytest.raises(RunError) as said:
        go(sweep_of(trials=1, **options), folder)
    assert f"{folder} holds another sweep: {sentence}; type its own command" in str(said.value)
    assert (folder / "result.json").read_bytes() == before


def test_a_folder_that_holds_no_sweep_is_refused(tmp_path):
    execute(Hill(), "hill", tmp_path / "run", quiet=True)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    for name, sentence in (
        ("run", "run holds a run of hill; name another folder"),
        ("file", "file is a file; name a folder for the sweep"),
        ("full", "full is not empty and holds no sweep; name another folder"),
    ):
        with pytest.raises(RunError, match=re.escape(sentence)):
            go(sweep_of(trials=1), tmp_path / name)
    assert [place.name for place in (tmp_path / "full").iterdir()] == ["mine"]


@pytest.mark.usefixtures("undrawn")
def test_a_name_in_a_shared_storage_holds_one_sweep(tmp_path):
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    go(sweep_of(trials=1, storage=storage), tmp_path / "here/s")
    with pytest.raises(RunError, match=r"s in sqlite:.*shared\.db holds another sweep: seed is 0"):
        go(sweep_of(trials=1, seed=2, storage=storage), tmp_path / "there/s")
    assert go(sweep_of(trials=1, seed=2, storage=storage), tmp_path / "there/t").result.seed == 2


@pytest.mark.parametrize(
    "storage", ["sqlite:////no/such/folder/s.db", "nonsense", "nosuch://me:secret@host/name"]
)
def test_a_storage_that_cannot_be_opened_is_told_without_its_password(
    tmp_path, storage, monkeypatch
):
    monkeypatch.setattr("vislab.sweep.study.PAUSES", (0.0,))
    with pytest.raises(RunError, match=r"the storage .* cannot be opened \(.*\); write") as e:
        go(sweep_of(trials=1, storage=storage), tmp_path / "s")
    assert "secret" not in str(e.value)


def test_passwords_are_kept_out_of_what_is_written(tmp_path):
    sweep = sweep_of(storage="postgresql://me:secret@host/name")
    assert without_password(sweep.storage) == "postgresql://me:***@host/name"
    assert "secret" not in sweep.command()
    assert "secret" not in json.dumps(sweep.described())


def test_a_sweep_of_nothing_or_no_time_is_refused(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="--trials 0 tries nothing; use 1 or more"):
        sweep_of(trials=0)
    with pytest.raises(OptionError, match="--minutes -1 leaves no time"):
        sweep_of(minutes=-1.0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="a sweep's worker is one process; start several"):
        go(sweep_of(), tmp_path / "s")


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_a_trials_number_with_another_setting_is_left_alone(tmp_path):
    folder = tmp_path / "s"
    execute(Hill(x=7.0), "hill", folder / "trials/0001", quiet=True)
    (folder / "trials").rename(tmp_path / "kept")
    folder.rmdir()
    go(sweep_of(trials=1), folder)
    (folder / "sweep.db").unlink()
    (folder / "trials").rename(tmp_path / "away")
    (tmp_path / "kept").rename(folder / "trials")
    go(sweep_of(trials=1), folder)
    assert RunFolder.open(folder / "trials/0001").recipe()["options"]["x"] == 7.0
    assert table(folder)[0]["folder"] == "trials/0001-2"


def test_the_command_says_all_that_makes_the_sweep(tmp_path):
    sweep = sweep_of(
        Hill(kind="a b"), trials=7, seed=3, metric="val/loss", minutes=0.5, prune=False,
        storage="sqlite:///x.db",
    )  # fmt: skip
    assert sweep.command(tmp_path) == (
        "vislab sweep hill --over x=0.0..1.0 --trials 7 --seed 3 --metric val/loss --minutes 0.5 "
        f"--no-prune --storage sqlite:///x.db --folder {tmp_path} -- --kind 'a b'"
    )
    assert sweep_of(trials=2).command() == "vislab sweep hill --over x=0.0..1.0 --trials 2 --seed 0"
    assert sweep.described()["options"] == plain(Hill(kind="a b"))
