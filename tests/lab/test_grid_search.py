"""A search by grid: every cell once, also when it is interrupted, and the best of them."""

import math

import pytest
import torch

from vislab.errors import NonFiniteLoss
from vislab.lab.bench import Lab
from vislab.lab.grid_search import best_cell, grid_search
from vislab.ops.seeding import generator
from vislab.runs.folder import RunFolder, read_json
from vislab.scratch import Softmax, Solver

RATES, PENALTIES = (0.5, 1e-3, 1e39), (0.0, 1e-2)
AXES = {"rate": RATES, "penalty": PENALTIES}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", "a test", {}).path


def lab_on(folder, silent=False):
    return Lab(RunFolder(folder, silent=silent), quiet=True)


def some_data(validation=12):
    draws = generator("grid")
    X = torch.randn(24, 5, generator=draws)
    y = (X[:, 0] > 0).long()
    return {"X_train": X[:12], "y_train": y[:12], "X_val": X[12:][:validation],
            "y_val": y[12:][:validation]}  # fmt: skip


class Made:
    """Make a solver for a cell and remember which; stop before the so-many-th."""

    def __init__(self, stop_before=None, epochs=3, validation=12):
        self.cells, self.stop_before, self.epochs = [], stop_before, epochs
        self.validation = validation

    def __call__(self, cell):
        if len(self.cells) == self.stop_before:
            raise KeyboardInterrupt
        self.cells.append(dict(cell))
        network = Softmax(5, 2, cell["penalty"], generator=generator("weights"))
        return Solver(
            network, some_data(self.validation), "sgd", {"learning_rate": cell["rate"]},
            batch_size=6, num_epochs=self.epochs,
        )  # fmt: skip


def alone(rate, penalty):
    solver = Made()({"rate": rate, "penalty": penalty})
    solver.train()
    return solver.best_val_acc


def test_every_cell_is_trained_once_and_gets_its_own_validation_accuracy(folder):
    make = Made()
    found = grid_search(lab_on(folder), "a grid", AXES, make)
    assert make.cells == [{"rate": r, "penalty": p} for r in RATES for p in PENALTIES]
    assert list(found) == [(r, p) for r in RATES for p in PENALTIES]
    for rate in RATES[:2]:
        for penalty in PENALTIES:
            assert found[rate, penalty] == alone(rate, penalty)
    assert found[0.5, 0.0] > 0.6  # chance is 0.5


def test_a_cell_whose_loss_is_no_number_gets_nan(folder):
    found = grid_search(lab_on(folder), "a grid", AXES, Made())
    assert [math.isnan(found[cell]) for cell in found] == [False] * 4 + [True] * 2
    kept = read_json(folder / "checkpoints/a-grid.json")
    assert kept["1e+39 0"] is None, "JSON has no NaN"


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_an_interrupted_search_goes_on_where_it_stopped(stop, folder):
    with pytest.raises(KeyboardInterrupt):
        grid_search(lab_on(folder), "a grid", AXES, Made(stop_before=stop))
    rest = Made()
    found = grid_search(lab_on(folder), "a grid", AXES, rest)
    assert rest.cells == [{"rate": r, "penalty": p} for r in RATES for p in PENALTIES][stop:]
    again = Made(stop_before=0)
    assert str(grid_search(lab_on(folder), "a grid", AXES, again)) == str(found)
    assert list(found) == [(r, p) for r in RATES for p in PENALTIES]


def test_a_cell_cut_short_is_trained_again(folder, monkeypatch):
    def dies(self, after_step=None):
        self.step()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Solver, "train", dies)
        with pytest.raises(KeyboardInterrupt):
            grid_search(lab_on(folder), "a grid", AXES, Made())
    make = Made()
    found = grid_search(lab_on(folder), "a grid", AXES, make)
    assert len(make.cells) == 6
    assert found[0.5, 0.0] == alone(0.5, 0.0)


def test_two_searches_of_one_run_do_not_share_their_cells(folder):
    one, other = Made(), Made()
    grid_search(lab_on(folder), "svm grid", AXES, one)
    grid_search(lab_on(folder), "softmax grid", AXES, other)
    assert len(one.cells) == len(other.cells) == 6


def test_a_silent_process_searches_and_writes_nothing(tmp_path):
    lab = Lab(RunFolder.create(tmp_path / "run", "a test", {}, silent=True), quiet=True)
    found = grid_search(lab, "a grid", {"rate": (0.5,), "penalty": (0.0,)}, Made())
    assert list(found.values()) == [alone(0.5, 0.0)]
    assert not (tmp_path / "run").exists()


def test_weights_that_the_last_step_made_no_numbers_are_no_accuracy(folder):
    make = Made(epochs=1)
    axes = {"rate": (1e39,), "penalty": (0.0,)}
    make_one = make({"rate": 1e39, "penalty": 0.0})
    make_one.batch_size, make_one.steps_per_epoch = 12, 1
    found = grid_search(lab_on(folder), "a grid", axes, lambda cell: make_one)
    assert make_one.model.params["W"].isnan().any() or make_one.model.params["W"].isinf().any()
    assert math.isnan(found[1e39, 0.0])


def test_without_validation_pictures_no_cell_has_an_accuracy(folder):
    axes = {"rate": (0.5, 1e-3), "penalty": (0.0,)}
    found = grid_search(lab_on(folder), "a grid", axes, Made(validation=0))
    assert all(math.isnan(accuracy) for accuracy in found.values())


# The best of them


def test_the_best_cell_is_that_of_the_highest_accuracy_whatever_is_nan():
    nan = float("nan")
    assert best_cell({(1.0, 2.0): nan, (3.0, 4.0): 0.2, (5.0, 6.0): 0.7, (7.0, 8.0): nan}) == (
        5.0, 6.0
    )  # fmt: skip
    assert best_cell({(1.0,): 0.0, (2.0,): nan}) == (1.0,)
    assert best_cell({(1.0,): 0.4, (2.0,): 0.4}) == (1.0,)


def test_a_search_that_ended_in_nan_everywhere_says_so(folder):
    found = grid_search(lab_on(folder), "a grid", {"rate": (1e39, 1e40), "penalty": (0.0,)}, Made())
    with pytest.raises(NonFiniteLoss, match="every loss became NaN"):
        best_cell(found)
