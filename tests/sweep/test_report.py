"""What a sweep's folder says of its trials."""

import csv

import pytest

from vislab.errors import RunError
from vislab.runs.folder import RunFolder
from vislab.sweep.report import Found, Trial, best_so_far, file_sweep, notes, setting
from vislab.sweep.space import Choice, Span

AXES = (Span("optim.lr", 1e-4, 1e-1, log=True), Choice("flip", (True, False)))
VALUES = (0.5, 0.75, None, 0.74, 0.6, None)
STATES = ("complete", "complete", "failed", "complete", "pruned", "underway")


def trials(values=VALUES, states=STATES):
    return tuple(
        Trial(
            number, state, {"optim.lr": 10.0**-number, "flip": number % 2 == 0}, value,
            epochs=3, seconds=1.5, folder=f"trials/000{number}", trivial=0.1,
            why="burst" if state == "failed" else "",
        )
        for number, (value, state) in enumerate(zip(values, states, strict=True), start=1)
    )  # fmt: skip


def found(**options):
    given = {
        "recipe": "net", "seed": 7, "axes": AXES, "metric": "val/accuracy", "lowest": False,
        "wanted": 6, "trials": trials(),
    }  # fmt: skip
    return Found(**(given | options))


def filed(tmp_path, error=None, **options):
    if not (tmp_path / "s").exists():
        RunFolder.create(tmp_path / "s", "sweep", {"recipe": "net"})
    run = RunFolder.open(tmp_path / "s")
    file_sweep(run, found(**options), command="the sweep", again="the best", error=error)
    return RunFolder.open(tmp_path / "s")


def test_the_best_its_lead_and_the_caution_are_said():
    best, caution, again = notes(found(), "vislab run net --optim.lr 0.01")
    assert best == (
        "Trial 2 is the best, with val accuracy 75.0\u202f%: optim.lr 0.01, flip true. "
        "The second best, trial 4, is 1.0 point behind: optim.lr 0.0001, flip true."
    )
    assert caution.startswith("The best of 4 trials flatters itself")
    assert again == "The best setting again: `vislab run net --optim.lr 0.01`"


@pytest.mark.parametrize(
    ("axis", "value", "said"),
    [
        (Span("lr", 1e-4, 1e-1, log=True), 9e-2, "lr, 0.09, lies at the upper edge"),
        (Span("lr", 1e-4, 1e-1, log=True), 1e-4, "lower edge of what was tried, 0.0001 to 0.1"),
        (Span("lr", 1e-4, 1e-1, log=True), 1e-3, ""),
        (Span("crop", 0.0, 0.4), 0.39, "crop, 0.39, lies at the upper edge"),
        (Span("crop", 0.0, 0.4), 0.37, ""),
        (Choice("batch", (32, 64, 128)), 128, "batch, 128, lies at the upper edge"),
        (Choice("batch", (32, 64, 128)), 64, ""),
        (Choice("flip", (True, False)), True, ""),
        (Choice("net", ("a", "b")), "a", ""),
    ],
)
def test_a_best_value_at_the_edge_is_said_to_lie_there(axis, value, said):
    one = Trial(1, "complete", {axis.name: value}, 0.5)
    (best, *_) = notes(found(axes=(axis,), trials=(one,)), "")
    assert ("a better one may lie beyond" in best) == bool(said)
    assert said in best


def test_what_was_not_tried_is_said():
    some = tuple(
        Trial(k, state, {"batch": batch}, 0.5 + k / 10)
        for k, (state, batch) in enumerate((("complete", 32), ("pruned", 32)), start=1)
    )
    axes = (Choice("batch", (32, 64, 128)),)
    _, caution, _ = notes(found(axes=axes, trials=some, fixed=("epochs", "optim.lr")), "")
    assert "Not tried: batch 64, 128; anything outside the ranges of batch; " in caution
    assert "other values of epochs, optim.lr, which stayed as they were." in caution
    assert "1 trials were stopped early" in caution


def test_of_equals_the_earlier_is_the_best_and_alone_it_has_no_second():
    (tie, *_) = notes(found(trials=trials((0.5, 0.5), STATES[:2])), "")
    assert tie.startswith("Trial 1 is the best")
    assert "trial 2, is just as good: " in tie
    (close, *_) = notes(found(trials=trials((0.5, 0.4996), STATES[:2])), "")
    assert "trial 2, is less than 0.1 points behind: " in close
    (alone, *_) = notes(found(trials=trials((0.5,), STATES[:1])), "")
    assert "second best" not in alone


def test_of_a_loss_the_lowest_leads_and_the_lead_is_a_number():
    one = found(metric="val/loss", lowest=True, trials=tuple(
        Trial(number, "complete", {}, value) for number, value in ((1, 2.5), (2, 0.5), (3, 0.75))
    ))  # fmt: skip
    assert one.best.number == 2
    assert notes(one, "")[0].startswith("Trial 2 is the best, with val loss 0.5: ")
    assert "trial 3, is 0.25 behind" in notes(one, "")[0]
    assert best_so_far(one) == {1: 2.5, 2: 0.5, 3: 0.5}


def test_the_best_so_far_never_falls_and_knows_only_complete_trials():
    assert best_so_far(found()) == {1: 0.5, 2: 0.75, 4: 0.75}


def test_a_sweep_with_trials_underway_is_interrupted_until_the_last_is_over(tmp_path):
    run = filed(tmp_path)
    assert run.result.status == "interrupted"
    assert run.result.metrics == {
        "best val/accuracy": 0.75,
        "trials": 5, "trials complete": 3, "trials pruned": 1, "trials failed": 1,
    }  # fmt: skip
    assert run.result.seconds == 9.0
    assert run.result.seed == 7
    assert filed(tmp_path, wanted=5).result.status == "finished"
    run = filed(tmp_path, error="the disk is full")
    assert (run.result.status, run.result.error) == ("failed", "the disk is full")


def test_the_table_holds_every_trial_in_full(tmp_path):
    filed(tmp_path)
    with (tmp_path / "s/tables/trials.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == [
        "trial", "state", "val/accuracy", "optim.lr", "flip", "epochs", "seconds", "folder", "why"
    ]  # fmt: skip
    assert rows[2] == ["2", "complete", "0.75", "0.01", "true", "3", "1.5", "trials/0002", ""]
    assert rows[3] == ["3", "failed", "", "0.001", "false", "3", "1.5", "trials/0003", "burst"]
    assert [row[1] for row in rows[1:]] == list(STATES)


def test_everything_is_written_anew_each_time(tmp_path):
    filed(tmp_path, importances={"optim.lr": 0.75, "flip": 0.25})
    titles = [entry["title"] for entry in RunFolder.open(tmp_path / "s").result.figures]
    assert titles == [
        "trials as parallel coordinates", "slices", "best so far", "which option mattered"
    ]  # fmt: skip
    run = filed(tmp_path, trials=trials((0.5,), ("complete",)))
    assert [entry["title"] for entry in run.result.figures] == titles[:2]
    assert len(run.result.notes) == 3
    page = (tmp_path / "s/report.html").read_text()
    assert "Trial 1 is the best" in page
    assert "Trial 2 is the best" not in page


def test_trials_that_all_score_the_same_name_no_winner(tmp_path):
    same = trials((0.5, 0.5, 0.5), ("complete", "complete", "complete"))
    run = filed(tmp_path, trials=same, importances={"optim.lr": 0.5, "flip": 0.5})
    assert [entry["title"] for entry in run.result.figures][-1] == "best so far"
    (note,) = run.result.notes
    assert "none of the options matters" in note


@pytest.mark.parametrize(
    "some", [(), trials((None,), ("failed",)), trials((None, 0.3), ("underway", "pruned"))]
)
def test_a_sweep_that_has_found_nothing_yet_has_a_report(tmp_path, some):
    run = filed(tmp_path, trials=some)
    assert run.result.notes == []
    assert "best val/accuracy" not in run.result.metrics
    assert (tmp_path / "s/report.html").exists()
    run.table("trials")
    with pytest.raises(RunError):
        run.table("no such table")


def test_an_option_that_is_called_as_another_column_keeps_its_own(tmp_path):
    axes = (Span("epochs", 1, 9, whole=True), Span("seconds", 0.0, 1.0))
    some = (Trial(1, "complete", {"epochs": 4, "seconds": 0.5}, 0.5, epochs=3, seconds=2.0),)
    run = filed(tmp_path, axes=axes, trials=some)
    columns, (row,) = run.table("trials")
    assert dict(zip(columns, row, strict=True)) | {"folder": "", "why": ""} == {
        "trial": "1", "state": "complete", "val/accuracy": "0.5", "option epochs": "4",
        "option seconds": "0.5", "epochs": "3", "seconds": "2.0", "folder": "", "why": "",
    }  # fmt: skip


def test_a_setting_is_written_on_a_line_as_one_reads_it():
    params = {"optim.lr": 0.00123456, "batch": 32, "flip": False, "limit": None, "name": "a b"}
    assert setting(params) == "optim.lr 0.001235, batch 32, flip false, limit none, name a b"
