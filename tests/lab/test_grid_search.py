"""A search by grid: every cell once, also when it is interrupted, and the best of them."""

import math

import pytest
import torch

from vislab.errors import NonFiniteLoss
from vislab.lab.bench import Lab
from vislab.lab.grid_search import GridRecipe, best_cell, grid_search, search_rate_and_penalty
from vislab.ops.seeding import generator
from vislab.runs import figures
from vislab.runs.folder import RunFolder
from vislab.runs.witnessed import read_witnessed
from vislab.scratch import Softmax, Solver
from vislab.tasks.engines import ByHand

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
    kept = read_witnessed(folder / "checkpoints/a-grid.json")
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


def test_without_validation_images_no_cell_has_an_accuracy(folder):
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


# Rate and penalty of a network by hand


class Networks:
    """Build a classifier of images for a penalty, from the same weights, and remember which."""

    def __init__(self):
        self.penalties = []

    def __call__(self, penalty):
        self.penalties.append(penalty)
        return ByHand(Softmax(3 * 8 * 8 + 1, 10, penalty, generator=generator("weights")))


def images_on(lab):
    return lab.images("digits", size=8, per_class=8, validation=0.2).centred()


def cells(folder, name):
    """Return what the search kept, by rate and penalty."""
    kept = read_witnessed(folder / f"checkpoints/{name}.json")
    return {tuple(float(value) for value in key.split()): found for key, found in kept.items()}


@pytest.mark.parametrize(
    ("name", "kept", "title"),
    [
        ("", "grid", "learning rate and penalty"),
        ("svm", "svm-grid", "svm: learning rate and penalty"),
    ],
)
def test_the_best_rate_and_penalty_are_those_of_the_map_that_is_filed(
    folder, monkeypatch, name, kept, title
):
    drawn, draw = {}, figures.heat_map

    def heard(values, **options):
        drawn.update(options, values=values)
        return draw(values, **options)

    monkeypatch.setattr(figures, "heat_map", heard)
    lab = lab_on(folder)
    best = search_rate_and_penalty(
        lab, Networks(), images_on(lab), rates=(1e-9, 3e-2, 1e39), penalties=(1e-3, 1e3),
        epochs=4, batch=16, name=name,
    )  # fmt: skip
    found = cells(folder, kept)
    assert list(found) == [(r, p) for r in (1e-9, 3e-2, 1e39) for p in (1e-3, 1e3)]
    assert best == (3e-2, 1e-3)
    assert all(found[best] >= accuracy for accuracy in found.values() if accuracy is not None)
    assert found[best] > 1.5 / 10, "it learned something"
    assert [one["title"] for one in lab.run.result.figures] == [title]
    assert (drawn["rows"], drawn["columns"]) == (["1e-09", "0.03", "1e+39"], ["0.001", "1000"])
    assert drawn["values"][1][0] == found[3e-2, 1e-3]
    assert drawn["values"][0][1] == found[1e-9, 1e3]
    assert math.isnan(drawn["values"][2][1])
    (edge,) = lab.run.result.notes
    said = "The best penalty, 0.001, lies at the lower edge of what was tried, 0.001 to 1000"
    assert edge.startswith(f"{name}: {said}" if name else said)


def test_a_search_where_nothing_is_learned_files_no_map(folder):
    lab = lab_on(folder)
    with pytest.raises(NonFiniteLoss, match="lower learning rates help"):
        search_rate_and_penalty(
            lab, Networks(), images_on(lab), rates=(1e39,), penalties=(0.0,), epochs=1, batch=16
        )
    assert not lab.run.result.figures


def test_the_best_of_the_grid_is_what_is_trained_longer(folder):
    lab, build = lab_on(folder), Networks()
    recipe = GridRecipe(
        data="digits", size=8, per_class=8, learning_rates=(1e-9, 3e-2), penalties=(1e-3, 1.0),
        batch=16, search_epochs=4, epochs=5, decay=0.5,
    )  # fmt: skip
    task, solver = recipe.trained(lab, build, recipe.images(lab), name="softmax")
    found = cells(folder, "softmax-grid")
    rate, penalty = max(found, key=lambda cell: found[cell])
    assert build.penalties == [1e-3, 1.0, 1e-3, 1.0, penalty]
    assert task.engine.reg == penalty
    assert solver.model is task.engine
    assert "after 4 epochs" in lab.run.result.figures[0]["caption"]
    assert len(solver.val_acc_history) == 5
    assert solver.configs["W"]["learning_rate"] == pytest.approx(rate * 0.5**5)
    assert lab.run.result.metrics == {"softmax/val/accuracy": solver.best_val_acc}


def test_a_recipe_on_a_grid_takes_the_mean_away_and_no_more(folder):
    lab = lab_on(folder)
    images = GridRecipe(data="digits", size=8, per_class=8).images(lab)
    mean, std = images.normalisation
    assert tuple(std) == (1, 1, 1)
    train = images.split("train")
    pixels = train.take(slice(0, len(train))) / 255
    assert mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-6)
    assert len(images.split("val")) > 0, "or nothing could be searched"
