"""Trainings by hand through the bench: either engine, put down and taken up, timed, gone wrong."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.lab.undrawn import draw_nothing
from vislab import data, recipes
from vislab.errors import NonFiniteLoss, OptionError, RunError
from vislab.inference import predict
from vislab.lab.bench import Lab
from vislab.lab.checkpoints import load_checkpoint, save_checkpoint
from vislab.lab.recipe import Recipe
from vislab.lab.running import Conditions, execute
from vislab.lab.solving import Pixels, _Clock, data_of, few
from vislab.ops.seeding import generator
from vislab.runs.folder import RunFolder
from vislab.scratch import FullyConnectedNet, Softmax, Solver
from vislab.tasks.engines import ByHand

SIZE, EPOCHS, STEPS = 8, 3, 4  # 40 training images in batches of 12: 4 steps an epoch


def opened():
    return data.images("shapes:easy", size=SIZE, per_class=4).centred()


def network(classes=10):
    """Return a network with all that a resume must carry on: averages, and masks to draw."""
    return FullyConnectedNet(
        (7,), 3 * SIZE**2, classes, dropout=0.3, normalization="batchnorm",
        weight_scale="kaiming", generator=generator("weights"),
    )  # fmt: skip


def solved(lab, task=None, images=None, **options):
    given = {"rule": "adam", "config": {"learning_rate": 0.01}, "epochs": EPOCHS, "batch": 12}
    return lab.solve(task or ByHand(network()), images or opened(), **(given | options))


@dataclass(frozen=True)
class Small(Recipe):
    """Two trainings by hand, one named."""

    engine: str = "scratch"
    rate: float = 0.01

    def run(self, lab):
        images = lab.images("shapes:easy", size=SIZE, per_class=4).centred()
        lab.plan(fits=2)
        for name in ("first", ""):
            task = ByHand(network(), self.engine)
            config = {"learning_rate": self.rate}
            solved(lab, task, images, config=config, decay=0.8, name=name)
            lab.test(task, images, name=name, split="val", examine=False)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    draw_nothing(monkeypatch)


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def logged(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def outcome(folder):
    result = RunFolder.open(folder).result
    weights = load_file(folder / "model.safetensors")
    return result.weights_sha256, (folder / "metrics.jsonl").read_text(), result.metrics, weights


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        draw_nothing(patched)
        found = {}
        for engine in ("scratch", "autograd"):
            folder = tmp_path_factory.mktemp(engine) / "run"
            execute(Small(engine), "small", folder, quiet=True)
            found[engine] = folder
    return found


# Both engines


def test_both_engines_go_nearly_the_same_way(undisturbed):
    by_hand, by_autograd = (logged(RunFolder.open(folder)) for folder in undisturbed.values())
    assert len(by_hand) == len(by_autograd) == 2 * EPOCHS
    for ours, theirs in zip(by_hand, by_autograd, strict=True):
        assert (ours["fit"], ours["epoch"]) == (theirs["fit"], theirs["epoch"])
        assert ours["train/loss"] == pytest.approx(theirs["train/loss"], rel=1e-4)
        for name in ("train/accuracy", "val/accuracy"):
            assert ours[name] == pytest.approx(theirs[name], abs=0.051), "one or two images of 40"
    weights = [load_file(folder / "model.safetensors") for folder in undisturbed.values()]
    assert weights[0].keys() == weights[1].keys()
    assert {"W1", "b1", "gamma1", "beta1", "mean1", "var1", "W2", "b2"} == set(weights[0])


def test_a_training_learns_its_images(lab):
    images = opened()
    solver = solved(lab, images=images, epochs=30)
    assert solver.loss_history[0] == pytest.approx(np.log(10), rel=0.5)
    assert np.mean(solver.loss_history[-STEPS:]) < 0.7 * np.mean(solver.loss_history[:STEPS])
    assert max(solver.train_acc_history) > 0.6  # chance is 0.1


def test_every_epoch_is_logged_as_the_solver_has_it(lab):
    solver = solved(lab)
    lines = logged(lab.run)
    assert [(line["fit"], line["epoch"], line["step"]) for line in lines] == [
        ("training", epoch, STEPS * epoch) for epoch in (1, 2, 3)
    ]
    for epoch, line in enumerate(lines):
        losses = solver.loss_history[STEPS * epoch : STEPS * (epoch + 1)]
        assert line["train/loss"] == pytest.approx(sum(losses) / STEPS, rel=1e-12)
    assert [line["val/accuracy"] for line in lines] == solver.val_acc_history
    assert [line["train/accuracy"] for line in lines] == solver.train_acc_history


def test_the_best_epochs_weights_are_kept_and_tested(lab):
    task, images = ByHand(network()), opened()
    solver = solved(lab, task, images, epochs=8, config={"learning_rate": 0.05})
    assert solver.val_acc_history.index(max(solver.val_acc_history)) + 1 == solver.best_epoch
    assert solver.val_acc_history[-1] < solver.best_val_acc, "the last epoch is not the best here"
    assert lab.test(task, images, split="val").accuracy == pytest.approx(solver.best_val_acc)
    kept = load_file(lab.run.path / "model.safetensors")
    assert all(kept[name].equal(w) for name, w in solver.best_params.items())


def test_trainings_of_one_order_see_the_same_batches_and_others_do_not(lab):
    solvers = {
        name: solved(lab, name=name, order=order, epochs=1)
        for name, order in (("a", "both"), ("b", "both"), ("c", None))
    }
    rows = {name: torch.cat([s.rows(0, k) for k in range(STEPS)]) for name, s in solvers.items()}
    assert rows["a"].equal(rows["b"])
    assert not rows["a"].equal(rows["c"])
    assert sorted(rows["c"].tolist()) == list(range(40))
    assert solvers["a"].loss_history == solvers["b"].loss_history


def test_what_a_training_was_is_noted(lab):
    solved(lab, epochs=2, decay=0.8)
    protocol = lab.run.result.protocol
    wanted = {
        "network": "fully-connected", "optimiser": "adam 0.01", "schedule": "×0.8 an epoch",
        "augmentation": "none", "batch": 12, "epochs": 2, "train": 40, "size": 8,
    }  # fmt: skip
    assert {key: protocol[key] for key in wanted} == wanted
    (cost,) = lab.run.result.costs
    assert (cost["epochs"], cost["stopped_by"]) == (2, "epochs")
    assert cost["train_images_per_second"] > 0


def test_a_training_without_epochs_is_refused(lab):
    with pytest.raises(OptionError, match="--epochs 0 trains nothing"):
        solved(lab, epochs=0)


# Put down and taken up


class Killed(Exception):
    pass


def dies_at(step, monkeypatch):
    """Let the process die within its so-many-th step; return the steps it will have begun."""
    begun = []
    take = Solver.step

    def fatal(self):
        begun.append(1)
        if len(begun) == step:
            raise Killed
        return take(self)

    monkeypatch.setattr(Solver, "step", fatal)
    return begun


@pytest.mark.parametrize(
    ("engine", "step"),
    [("scratch", 1), ("scratch", 5), ("scratch", 13), ("scratch", 24), ("autograd", 5)],
)
def test_killed_and_resumed_it_ends_at_the_same_weights_and_lines(
    engine, step, tmp_path, undisturbed, monkeypatch
):
    folder, recipe = tmp_path / "run", Small(engine)
    with monkeypatch.context() as patched:
        dies_at(step, patched)
        with pytest.raises(Killed):
            execute(recipe, "small", folder, save_every=0.0, quiet=True)
    assert RunFolder.open(folder).result.status == "failed"
    begun = dies_at(10**9, monkeypatch)
    execute(recipe, "small", folder, resume=True, save_every=0.0, quiet=True)
    # All 24 steps but those saved; a training's last step is saved with its end.
    assert len(begun) == 24 - (step - 1)
    same(outcome(folder), outcome(undisturbed[engine]))


def same(came, wanted):
    assert came[:3] == wanted[:3]
    assert came[3].keys() == wanted[3].keys()
    assert all(came[3][name].equal(value) for name, value in wanted[3].items())


def saves_only_after(step, monkeypatch):
    """Let the so-many-th step of all be the only one after which a checkpoint is due."""
    after, count = _Clock.after_step, []

    def after_step(self):
        stop = after(self)
        count.append(1)
        if len(count) == step:
            self.save(finished=False)
        return stop

    monkeypatch.setattr(_Clock, "after_step", after_step)


@pytest.mark.parametrize("saved", [5, 8])
def test_killed_long_after_a_checkpoint_it_forgets_what_came_after(
    saved, tmp_path, undisturbed, monkeypatch
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        saves_only_after(saved, patched)
        dies_at(12, patched)  # the second epoch, of steps 5 to 8, is logged
        with pytest.raises(Killed):
            execute(Small(), "small", folder, save_every=1e9, quiet=True)
    assert len(logged(RunFolder.open(folder))) == 2
    begun = dies_at(10**9, monkeypatch)
    execute(Small(), "small", folder, resume=True, quiet=True)
    assert len(begun) == 24 - saved
    same(outcome(folder), outcome(undisturbed["scratch"]))


def test_killed_before_its_first_checkpoint_it_begins_its_lines_anew(
    tmp_path, undisturbed, monkeypatch
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        dies_at(7, patched)  # the first epoch is logged
        with pytest.raises(Killed):
            execute(Small(), "small", folder, save_every=1e9, quiet=True)
    assert len(logged(RunFolder.open(folder))) == 1
    execute(Small(), "small", folder, resume=True, quiet=True)
    same(outcome(folder), outcome(undisturbed["scratch"]))


def test_a_finished_training_is_not_trained_again(tmp_path, undisturbed, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        tested = Lab.test

        def dies_after(self, *args, **named):
            tested(self, *args, **named)
            raise Killed

        patched.setattr(Lab, "test", dies_after)
        with pytest.raises(Killed):
            execute(Small(), "small", folder, quiet=True)
    begun = dies_at(10**9, monkeypatch)
    execute(Small(), "small", folder, resume=True, quiet=True)
    assert len(begun) == 12, "the second training only"
    same(outcome(folder), outcome(undisturbed["scratch"]))


# Time


def test_minutes_stop_a_training_and_the_best_full_epoch_is_kept(tmp_path):
    run = RunFolder.create(tmp_path / "run", "a test", {})
    lab = Lab(run, minutes=1e-9, quiet=True)
    lab.plan(fits=2)  # a second, the least there is, shared by two
    task, images = ByHand(network()), opened()
    solver = solved(lab, task, images, epochs=10**6, name="first")
    (cost,) = run.result.costs
    assert cost["stopped_by"] == "minutes"
    assert 0.5 <= cost["seconds"] < 10  # one slow step may be added
    assert 0 < solver.epoch < 10**6
    assert len(logged(run)) == solver.epoch == cost["epochs"]
    assert all(task.engine.params[name].equal(w) for name, w in solver.best_params.items())
    state = load_checkpoint(run.path / "checkpoints/first")
    assert state["finished"]
    assert state["stopped_by"] == "minutes"


def test_the_seconds_before_a_kill_count_too(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        dies_at(6, patched)
        with pytest.raises(Killed):
            execute(Small(), "small", tmp_path / "run", Conditions(minutes=1.0), save_every=0.0,
                    quiet=True)  # fmt: skip
    folder = tmp_path / "run/checkpoints/first"
    state = load_checkpoint(folder)
    assert 0 < state["seconds"] < 30
    save_checkpoint(folder, {**state, "seconds": 45.0})
    execute(Small(), "small", tmp_path / "run", Conditions(minutes=1.0), resume=True, quiet=True)
    first, second = RunFolder.open(tmp_path / "run").result.costs
    # Of a minute each training may have half.
    assert (first["stopped_by"], first["epochs"]) == ("minutes", 1)
    assert 45 <= first["seconds"] < 60
    assert (second["stopped_by"], second["epochs"]) == ("epochs", EPOCHS)


def test_a_training_stopped_within_its_first_epoch_keeps_the_weights_it_has(lab, monkeypatch):
    monkeypatch.setattr(Lab, "_seconds_for_next", lambda _self: 0.0)
    task = ByHand(network())
    solver = solved(lab, task)
    assert len(solver.loss_history) == 1
    assert (solver.epoch, solver.val_acc_history) == (0, [])
    assert not task.engine.params["W1"].equal(network().params["W1"])
    kept = load_file(lab.run.path / "model.safetensors")
    assert kept["W1"].equal(task.engine.params["W1"])
    assert lab.run.result.costs[0]["stopped_by"] == "minutes"


# Without validation images, without numbers


def test_without_validation_images_the_last_weights_are_kept(lab):
    images = opened()
    none = replace(images, splits=np.where(images.splits == 1, 2, images.splits))
    assert (len(none.split("val")), len(none.split("train"))) == (0, 40)
    task = ByHand(network())
    solver = solved(lab, task, none)
    assert [line["val/accuracy"] for line in logged(lab.run)] == [None] * EPOCHS
    other = ByHand(network())
    by_itself = Solver(
        other.engine, {**data_of(none, other)}, "adam", {"learning_rate": 0.01}, batch_size=12,
        num_epochs=EPOCHS, num_train_samples=2000, seed=solver.seed,
    )  # fmt: skip
    by_itself.use_best = lambda: None
    by_itself.train()
    assert all(task.engine.params[name].equal(w) for name, w in other.engine.params.items())


@pytest.mark.parametrize("engine", ["scratch", "autograd"])
def test_a_loss_that_is_no_number_fails_the_run_and_keeps_the_last_good_checkpoint(
    engine, tmp_path
):
    folder = tmp_path / "run"
    with pytest.raises(NonFiniteLoss, match=r"at step \d of epoch \d") as error:
        execute(Small(engine, rate=1e30), "small", folder, save_every=0.0, quiet=True)
    result = RunFolder.open(folder).result
    assert (result.status, result.error) == ("failed", str(error.value))
    state = load_checkpoint(folder / "checkpoints/first")
    assert not state["finished"]
    losses = state["solver"]["loss_history"]
    assert losses
    assert np.isfinite(losses).all()
    assert not (folder / "model.safetensors").exists()
    assert finite_weights(state)
    with pytest.raises(NonFiniteLoss):  # from there on it is the same training
        execute(Small(engine, rate=1e30), "small", folder, resume=True, quiet=True)


def test_weights_that_are_no_numbers_do_not_replace_a_checkpoint(tmp_path):
    with pytest.raises(NonFiniteLoss):
        execute(Small(rate=1e39), "small", tmp_path / "run", save_every=0.0, quiet=True)
    state = load_checkpoint(tmp_path / "run/checkpoints/first")
    assert state is None or finite_weights(state)


def finite_weights(state):
    return all(w.isfinite().all() for w in state["solver"]["params"].values())


# What is kept


def test_predict_says_what_the_run_said_of_its_test_images(tmp_path):
    kind = recipes.find("two-layer-net")
    recipe = kind(**{**kind.smoke, "size": SIZE})
    run = execute(recipe, "two-layer-net", tmp_path / "run", quiet=True)
    images = data.images("shapes:easy", size=SIZE, per_class=4)
    test = images.split("test")
    _, rows = run.table("test predictions")
    paths = []
    for place in range(0, len(test), 97):
        paths.append(tmp_path / f"{place}.png")
        Image.fromarray(test.take(slice(place, place + 1))[0]).save(paths[-1])
    found = predict(run, paths)
    assert len(found) == 21
    for prediction, row in zip(found, rows[::97], strict=True):
        assert prediction["label"] == row[2]
        assert prediction["probability"] == pytest.approx(float(row[3]), abs=2e-6)
    about = json.loads((run.path / "model.json").read_text())
    assert about["std"] == [1, 1, 1]
    assert about["mean"] == pytest.approx(list(images.normalisation[0]))


def test_centred_images_lose_their_mean_and_are_not_scaled():
    images = data.images("shapes:easy", size=SIZE, per_class=4)
    centred = images.centred()
    train = images.split("train").take(slice(None)).astype(float) / 255
    mean, std = centred.normalisation
    assert mean == pytest.approx([train[..., c].mean() for c in range(3)])
    assert std == (1, 1, 1)
    assert images.normalisation[1] == pytest.approx([train[..., c].std() for c in range(3)])
    assert images.normalisation[0] == mean
    assert (centred.classes, centred.size, centred.name) == (
        images.classes, images.size, images.name
    )  # fmt: skip
    rows = torch.tensor([5, 0, 39])
    read = Pixels(centred, "train", ByHand(network()))[rows]
    wanted = torch.from_numpy(train[rows.numpy()] - mean).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(read, wanted)
    assert read.is_contiguous()
    everything = Pixels(centred, "train", ByHand(network()))[torch.arange(40)]
    assert everything.mean(dim=(0, 2, 3)).abs().max() < 1e-6


def test_a_linear_classifier_reads_rows_with_a_one_at_their_end():
    images = opened()
    task = ByHand(Softmax(3 * SIZE**2 + 1, 10))
    read = Pixels(images, "val", task)[torch.tensor([2, 3])]
    others = Pixels(images, "val", ByHand(network()))[torch.tensor([2, 3])]
    assert read.shape == (2, 193)
    assert read[:, 192].eq(1).all()
    assert read[:, :192].equal(others.flatten(1))


def test_data_are_both_splits_with_their_labels():
    images = opened()
    found = data_of(images, ByHand(network()))
    assert set(found) == {"X_train", "y_train", "X_val", "y_val"}
    assert [len(found[name]) for name in ("X_train", "y_train", "X_val", "y_val")] == [40] * 4
    for split in ("train", "val"):
        assert found[f"y_{split}"].tolist() == images.split(split).labels.tolist()
        assert found[f"y_{split}"].dtype == torch.int64


@pytest.mark.parametrize("count", [7, 40, 99])
def test_a_few_images_are_spread_over_the_split_with_their_labels(count):
    images, task = opened(), ByHand(network())
    found = few(images, task, count)
    places = [round(k * 39 / 6 - 0.499) for k in range(7)] if count == 7 else range(40)
    assert len(found["X_train"]) == len(found["y_train"]) == min(count, 40)
    everything = data_of(images, task)["X_train"][torch.arange(40)]
    for x, y, place in zip(found["X_train"], found["y_train"], places, strict=True):
        assert x.equal(everything[place])
        assert int(y) == images.split("train").labels[place]
    assert len(found["X_val"]) == 40
    assert len(set(found["y_train"].tolist())) >= min(count, 6)


def without_configs(state):
    del state["solver"]["configs"]


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda state: state.update(solver=[1]), "damaged"),
        (without_configs, "solver has no configs"),
        (lambda state: state["solver"].update(epoch="three"), r"solver\.epoch is no int"),
        (lambda state: state["solver"].update(train=1), "more than a solver's state"),
        (lambda state: state["solver"]["params"].update(W1=torch.zeros(2)), r"params\.W1 is no"),
    ],
)
def test_a_checkpoint_that_is_no_solvers_is_refused_in_a_sentence(lab, harm, sentence):
    solved(lab)
    folder = lab.run.path / "checkpoints" / "training"
    state = load_checkpoint(folder)
    harm(state)
    torch.save(state, folder / "last.ckpt")
    again = Lab(RunFolder.open(lab.run.path), quiet=True)
    with pytest.raises(RunError, match=sentence):
        solved(again)
