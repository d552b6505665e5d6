"""Learning curves read from what was logged, and when each training had learned, by hand."""

import csv

import pytest

from vislab.evaluate.learning_curves import (
    after_first,
    curves_of,
    epochs_to,
    show_curves,
    time_to_accuracy,
)
from vislab.runs.folder import RunFolder
from vislab.runs.notebook import Notebook

SLOW = [0.2, 0.76, 0.8, 0.7]  # 0.95 times 0.8 is 0.76
QUICK = [0.5, 0.4]


@pytest.fixture
def notebook(tmp_path):
    """Return a run with two trainings: one of 4 epochs in 10 s, one of 2 epochs in 3 s."""
    run = RunFolder.create(tmp_path / "run", "a test", {})
    for epoch in range(1, 5):
        run.log({"fit": "last-blocks-4", "epoch": epoch, "step": 7 * epoch, "train/loss": 1 / epoch,
                 "val/accuracy": SLOW[epoch - 1]})  # fmt: skip
        if epoch <= 2:
            run.log({"fit": "head", "epoch": epoch, "step": 7 * epoch,
                     "val/accuracy": QUICK[epoch - 1]})  # fmt: skip
    run.log({"fit": "head, tuning", "epoch": 1, "step": 7, "val/accuracy": 0.9})
    run.result.costs += [
        {"name": "last-blocks:4", "seconds": 10.0}, {"name": "head", "seconds": 3.0},
        {"name": "", "parameters": 5},  # of the network that is kept: no training of its own
    ]  # fmt: skip
    return Notebook(run, quiet=True)


def rows(notebook):
    with (notebook.run.path / "tables/time-to-accuracy.csv").open() as file:
        return list(csv.DictReader(file))


def test_lines_of_two_trainings_are_told_apart_in_the_order_asked(notebook):
    found = curves_of(notebook, ("head", "last-blocks:4"), "val/accuracy")
    assert list(found) == ["head", "last-blocks:4"]
    assert found == {"head": ([1, 2], QUICK), "last-blocks:4": ([1, 2, 3, 4], SLOW)}


def test_a_training_that_logged_nothing_of_a_metric_has_no_curve(notebook):
    assert list(curves_of(notebook, ("head", "none", "last-blocks:4"), "train/loss")) == [
        "last-blocks:4"
    ]


def test_a_score_that_was_not_finite_is_left_out(notebook):
    notebook.run.log({"fit": "head", "epoch": 3, "step": 21, "val/accuracy": float("nan")})
    notebook.run.log({"fit": "head", "epoch": 4, "step": 28, "val/accuracy": 0.45})
    curve = curves_of(notebook, ("head",), "val/accuracy")["head"]
    assert curve == ([1, 2, 4], [0.5, 0.4, 0.45])


def test_no_figure_is_filed_of_no_curves(notebook):
    assert show_curves(notebook, "nothing", ("none",), "val/accuracy", y="accuracy") == {}
    assert notebook.run.result.figures == []


def test_the_curves_that_are_shown_are_returned(notebook):
    found = show_curves(notebook, "by epoch", ("none", "head"), "val/accuracy", y="accuracy")
    assert found == {"head": ([1, 2], QUICK)}
    assert [figure["title"] for figure in notebook.run.result.figures] == ["by epoch"]


@pytest.mark.parametrize(
    ("share", "epoch"), [(1.0, 8.0), (0.96, 8.0), (0.95, 5.0), (0.26, 5.0), (0.25, 2.0), (0.0, 2.0)]
)
def test_the_first_logged_epoch_with_the_share_counts_not_its_place(share, epoch):
    assert epochs_to(([2, 5, 8, 11], SLOW), share) == epoch


def test_a_score_that_falls_back_had_reached_it_already():
    assert epochs_to(([1, 2, 3], [1.0, 0.1, 0.99])) == 1


def test_the_share_after_the_first_epoch_by_hand():
    assert after_first(([1, 2, 3, 4], SLOW)) == pytest.approx(0.25)
    assert after_first(([1, 2], QUICK)) == 1.0


def test_a_score_that_never_left_zero_learned_nothing_at_once():
    flat = ([1, 2], [0.0, 0.0])
    assert (epochs_to(flat), after_first(flat)) == (1, 0.0)


def test_time_to_accuracy_by_hand(notebook):
    """0.76 after 2 of 4 epochs, which took 10 s: 5 s. 0.5 after 1 of 2, which took 3 s: 1.5 s."""
    curves = curves_of(notebook, ("head", "last-blocks:4"), "val/accuracy")
    time_to_accuracy(notebook, curves, what="strategy")
    assert [list(row.values()) for row in rows(notebook)] == [
        ["head", "0.5", "1", "1.5", "1.5"],
        ["last-blocks:4", "0.8", "2", "5.0", "2.5"],
    ]
    assert notebook.run.result.metrics == {
        "head: epochs to 95% of its best": 1.0,
        "head: share of its best after an epoch": 1.0,
        "last-blocks:4: epochs to 95% of its best": 2.0,
        "last-blocks:4: share of its best after an epoch": pytest.approx(0.25),
    }


def test_another_share_is_named_and_taken(notebook):
    curves = curves_of(notebook, ("last-blocks:4",), "val/accuracy")
    time_to_accuracy(notebook, curves, share=1.0)
    (row,) = rows(notebook)
    assert row["network"] == "last-blocks:4"
    assert row["epochs to 100% of it"] == "3"
    assert notebook.run.result.metrics["last-blocks:4: epochs to 100% of its best"] == 3.0


def test_no_table_is_filed_of_no_curves(notebook):
    time_to_accuracy(notebook, {})
    assert notebook.run.result.tables == []
    assert notebook.run.result.metrics == {}
