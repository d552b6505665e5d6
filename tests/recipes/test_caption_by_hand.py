"""Captions by hand: only of images that have some, by either engine, with chance beside them."""

import pytest
import torch

from tests.lab.undrawn import draw_nothing
from tests.recipes.smoke import close, smoked
from vislab import recipes
from vislab.cli.main import main
from vislab.errors import UnknownName
from vislab.lab.bench import Lab
from vislab.recipes.caption_by_hand import inputs_of
from vislab.runs import figures
from vislab.runs.folder import RunFolder

CELLS = ("rnn", "lstm", "attention")
TINY = {"size": 16, "per_class": 3, "epochs": 2}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Return a run, the solver of each writer, and the gradients through time it drew."""
    solvers, solve, drawn, signal = {}, Lab.solve, {}, figures.signal

    def heard_signal(activations, gradients, **named):
        drawn.update(gradients)
        return signal(activations, gradients, **named)

    def heard(self, *args, **named):
        solvers[named["name"]] = solve(self, *args, **named)
        return solvers[named["name"]]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lab, "solve", heard)
        patched.setattr("vislab.runs.figures.signal", heard_signal, raising=False)
        run = smoked("caption-by-hand", tmp_path_factory.mktemp("words") / "run", **TINY)
    return run, solvers, drawn


@pytest.mark.parametrize("where", ["cifar10", "digits", "/some/folder"])
@pytest.mark.parametrize("command", ["run", "twin"])
def test_images_without_captions_are_refused_in_one_sentence(command, where, tmp_path, capsys):
    words = [command, "caption-by-hand", "--data", where, "--folder", str(tmp_path / "run")]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"vislab: --data {where} has no captions; use shapes, shapes:easy or shapes:hard\n"
    )


def test_every_writer_says_words_and_captions_with_chance_and_interval_beside(watched):
    run, _, _ = watched
    for cell in CELLS:
        for what in ("words right", "captions right"):
            name = f"{cell}/test/{what}"
            low, high = run.result.intervals[name]
            assert low <= run.result.metrics[name] <= high
        assert run.result.metrics[f"{cell}/test/captions right"] < 0.5, "after two epochs"
        assert 0 < run.result.trivial[f"{cell}/test/words right"] < 0.5
    chances = {run.result.trivial[f"{cell}/test/words right"] for cell in CELLS}
    assert len(chances) == 1


def test_the_training_loss_is_the_mean_of_the_last_epochs_steps(watched):
    run, solvers, _ = watched
    for cell, solver in solvers.items():
        last = solver.loss_history[-solver.steps_per_epoch :]
        assert len(solver.loss_history) == 2 * solver.steps_per_epoch == 2 * len(last)
        mean = sum(last) / len(last)
        assert run.result.metrics[f"{cell}/train/loss"] == pytest.approx(mean)


def test_writers_learn_in_every_epoch(watched):
    _, solvers, _ = watched
    assert set(solvers) == set(CELLS)
    for solver in solvers.values():
        steps = solver.steps_per_epoch
        assert sum(solver.loss_history[steps:]) < sum(solver.loss_history[:steps])


def test_what_is_written_stands_beside_what_the_world_says(watched):
    columns, rows = watched[0].table("what they write")
    assert columns == ["image", "the world", *CELLS]
    assert len(rows) == 9
    assert all(len(row[1].split()) > 3 for row in rows)
    assert not any("<" in cell for row in rows for cell in row), "no marks"


def test_either_engine_gives_nearly_the_same_metrics(watched, tmp_path):
    other = smoked("caption-by-hand", tmp_path / "run", engine="autograd", **TINY)
    # Where two words are nearly as likely, rounding chooses.
    close(watched[0].result.metrics, other.result.metrics, accuracy=0.01, loss=1e-2)


def test_stopped_by_minutes_the_loss_is_the_mean_of_the_steps_there_were(tmp_path, monkeypatch):
    losses, solve = [], Lab.solve

    def heard(self, *args, **named):
        solver = solve(self, *args, **named)
        losses.append(solver.loss_history)
        return solver

    monkeypatch.setattr(Lab, "solve", heard)
    monkeypatch.setattr(Lab, "_seconds_for_next", lambda _self: 0.0)
    run = smoked("caption-by-hand", tmp_path / "run", **{**TINY, "cells": ("rnn",)})
    assert len(losses[0]) == 1
    assert run.result.metrics["rnn/train/loss"] == pytest.approx(losses[0][0])


def test_attention_gains_what_it_has_right_beyond_the_lstm(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    lab = Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)
    right = {"lstm": [False, True, False, False], "attention": [True, True, True, False]}
    for cell, hits in right.items():
        lab.record(f"{cell}/test/captions right", sum(hits) / 4, interval=(0.0, 1.0))
    recipes.find("caption-by-hand")().compare(lab, right)
    assert lab.run.result.metrics["attention: gain over lstm"] == pytest.approx(0.5)


def test_gradients_through_time_are_recorded_as_they_are_drawn(watched):
    run, _, drawn = watched
    assert all(len(lengths) == 30 for lengths in drawn.values())
    growth = run.result.metrics["rnn, large weights: growth of the gradient a step"]
    assert growth**29 == pytest.approx(drawn["RNN, large weights"][0])
    kept = run.result.metrics["lstm: gradient kept, over the rnn's"]
    assert kept == pytest.approx(drawn["LSTM"][0] / drawn["RNN"][0])
    assert max(drawn["the same, clipped"]) <= 1 + 1e-6


def test_only_attention_sees_places(rng):
    maps = torch.randn(2, 3, 4, 4, generator=rng)
    assert inputs_of("attention", maps) is maps
    for cell in ("rnn", "lstm"):
        torch.testing.assert_close(inputs_of(cell, maps), maps.flatten(2).sum(dim=2) / 16)


def test_a_cell_nobody_knows_names_those_there_are(tmp_path):
    with pytest.raises(UnknownName, match=r"'gru'.* Known: attention, lstm, rnn"):
        smoked("caption-by-hand", tmp_path / "run", **{**TINY, "cells": ("gru",)})
