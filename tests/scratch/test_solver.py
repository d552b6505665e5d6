"""Training: the same seed, put down and taken up, batches that share out the images, failures."""

import copy
import io
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.errors import NonFiniteLoss, OptionError, RunError, VislabError
from vislab.ops.seeding import generator
from vislab.scratch import CaptioningRNN, FullyConnectedNet, Solver, TwoLayerNet
from vislab.scratch.solver import clip_gradients


def some_data(n=23, n_val=9):
    draws = generator("solver data")
    X = torch.randn(n + n_val, 6, dtype=torch.float64, generator=draws)
    y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
    return {"X_train": X[:n], "y_train": y[:n], "X_val": X[n:], "y_val": y[n:]}


def network():
    """Return a network with all that a training must carry on: averages, and masks to draw."""
    return FullyConnectedNet(
        (7,), 6, 3, dropout=0.3, normalization="batchnorm", weight_scale="kaiming",
        dtype=torch.float64, generator=generator("solver weights"),
    )  # fmt: skip


def solver(model=None, data=None, **options):
    given = {"optim_config": {"learning_rate": 0.02}, "lr_decay": 0.9, "batch_size": 8}
    given |= {"num_epochs": 4, "update_rule": "adam"}
    return Solver(model or network(), data or some_data(), **{**given, **options})


def weights(one):
    return {**one.model.params, **one.model.running}


def same(one, other):
    histories = ["loss_history", "train_acc_history", "val_acc_history", "best_val_acc"]
    assert all(getattr(one, name) == getattr(other, name) for name in histories)
    assert one.best_epoch == other.best_epoch
    assert weights(one).keys() == weights(other).keys()
    assert all(weights(one)[name].equal(w) for name, w in weights(other).items())


def test_the_same_seed_is_the_same_training_and_another_seed_another():
    one, again, other = solver(seed=3), solver(seed=3), solver(seed=4)
    for training in (one, again, other):
        training.train()
    same(one, again)
    assert one.loss_history != other.loss_history


def test_what_the_generator_drew_before_changes_nothing():
    one, other = solver(), solver()
    torch.rand(5, generator=other.model.generator)
    one.train()
    other.train()
    same(one, other)


def test_every_step_of_every_epoch_drops_other_numbers():
    drawn = []

    class Dropping(FullyConnectedNet):
        def loss(self, X, y=None):
            if y is not None:
                drawn.append(torch.rand(1, generator=self.generator).item())
            return super().loss(X, y)

    for seed in (0, 1):
        model = Dropping((4,), 6, 3, dtype=torch.float64, generator=generator("dropping"))
        solver(model, num_epochs=3, seed=seed).train()
    assert len(set(drawn)) == len(drawn) == 2 * 3 * 3


def test_histories_have_one_entry_a_step_and_one_an_epoch():
    one = solver()
    one.train()
    assert len(one.loss_history) == 4 * 3
    assert len(one.train_acc_history) == len(one.val_acc_history) == 4
    assert all(math.isfinite(loss) for loss in one.loss_history)
    assert all(0 <= share <= 1 for share in one.train_acc_history + one.val_acc_history)


def test_a_training_learns():
    one = solver(num_epochs=20)
    one.train()
    assert sum(one.loss_history[-6:]) < 0.8 * sum(one.loss_history[:6])


@pytest.mark.parametrize("steps", [1, 3, 4, 8, 12])
def test_a_training_put_down_and_taken_up_goes_on_as_if_nothing_had_been(steps):
    whole = solver()
    whole.train()
    stopped = solver()
    for _ in range(steps):  # an epoch has 3 steps
        stopped.step()
        if stopped.step_in_epoch == stopped.steps_per_epoch:
            stopped.end_epoch()
    kept = io.BytesIO()
    torch.save(stopped.state(), kept)
    kept.seek(0)
    on = solver()
    on.restore(torch.load(kept, weights_only=True))
    assert (on.epoch, on.step_in_epoch) == divmod(steps, 3)
    on.train()
    same(on, whole)
    assert on.configs["W1"]["t"] == 12


def test_a_state_is_what_the_training_was_then_whatever_it_does_later():
    one = solver()
    one.step()
    state = one.state()
    kept = copy.deepcopy(state)
    for _ in range(2):
        one.step()
    one.end_epoch()
    assert state["loss_history"] == kept["loss_history"]
    assert all(state["running"][name].equal(value) for name, value in kept["running"].items())
    assert state["configs"]["W1"]["t"] == kept["configs"]["W1"]["t"]


def test_after_each_step_a_training_may_be_stopped():
    one, seen = solver(), []

    def stop(training):
        seen.append((training.epoch, training.step_in_epoch))
        return len(seen) == 5

    one.train(after_step=stop)
    assert seen == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert len(one.loss_history) == 5
    alone = solver(num_epochs=1)
    alone.train()
    assert all(weights(one)[name].equal(w) for name, w in weights(alone).items()), "the best so far"


class Scripted:
    """A model whose one weight counts the steps and that is right after chosen ones only."""

    def __init__(self, right_after):
        self.params = {"W": torch.zeros(1, dtype=torch.float64)}
        self.running = {"steps": torch.zeros(1, dtype=torch.float64)}
        self.right_after = right_after

    def loss(self, X, y):
        self.running["steps"] += 1
        return 1.0, {"W": torch.full((1,), -1.0, dtype=torch.float64)}

    def right(self, X, y):
        return torch.full((len(X),), int(self.params["W"]) in self.right_after)


@pytest.mark.parametrize(("right_after", "best"), [({4}, 2), ({4, 8}, 2), ({2, 4}, 1), ({}, 1)])
def test_the_weights_of_the_first_best_epoch_are_put_back(right_after, best):
    X, y = torch.zeros(4, 1), torch.zeros(4, dtype=torch.long)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    one = Solver(Scripted(right_after), data, "sgd", {"learning_rate": 1.0}, batch_size=2,
                 num_epochs=5)  # fmt: skip
    one.train()
    assert one.best_epoch == best
    assert one.model.params["W"].item() == 2 * best  # two steps an epoch
    assert one.model.running["steps"].item() == 2 * best
    assert one.best_val_acc == (1.0 if right_after else 0.0)
    assert one.val_acc_history == [float(2 * e in right_after) for e in range(1, 6)]


def test_the_learning_rate_falls_after_every_epoch():
    one = solver(optim_config={"learning_rate": 0.5}, lr_decay=0.25, num_epochs=2)
    rates = []
    one.train(after_step=lambda training: rates.append(training.configs["W1"]["learning_rate"]))
    assert rates == [0.5, 0.5, 0.125, 0.125, 0.125, 0.5 * 0.25**2]


def test_without_a_learning_rate_the_rules_own_falls():
    one = solver(optim_config=None, lr_decay=0.5, num_epochs=1, update_rule="sgd")
    one.train()
    assert {config["learning_rate"] for config in one.configs.values()} == {0.5e-2}


def test_the_options_handed_in_are_left_as_they_were():
    options = {"learning_rate": 0.02, "beta1": 0.8}
    one = solver(optim_config=options)
    one.train()
    assert options == {"learning_rate": 0.02, "beta1": 0.8}


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 40), batch_size=st.integers(1, 45), seed=st.integers(0, 99))
def test_every_image_is_seen_once_an_epoch_in_batches_of_like_size(n, batch_size, seed):
    X, y = torch.arange(float(n))[:, None], torch.zeros(n, dtype=torch.long)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    one = Solver(TwoLayerNet(1, 2, 2), data, batch_size=batch_size, seed=seed)
    orders = []
    for epoch in (0, 1):
        batches = [one.rows(epoch, step).tolist() for step in range(one.steps_per_epoch)]
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1
        orders.append([row for batch in batches for row in batch])
        assert sorted(orders[-1]) == list(range(n))
    assert len(orders[0]) < 8 or orders[0] != orders[1]
    assert one.rows(0, 0).tolist() == orders[0][: len(one.rows(0, 0))]


def test_a_training_sees_what_its_rows_say():
    data, seen = some_data(), []

    class Watched(FullyConnectedNet):
        def loss(self, X, y=None):
            if y is not None:
                seen.append((X, y))
            return super().loss(X, y)

    model = Watched((4,), 6, 3, weight_scale=0.1, dtype=torch.float64)
    one = solver(model, data, num_epochs=2)
    one.train()
    wanted = [one.rows(epoch, step) for epoch in (0, 1) for step in range(3)]
    assert all(X.equal(data["X_train"][rows]) for (X, _), rows in zip(seen, wanted, strict=True))
    assert all(y.equal(data["y_train"][rows]) for (_, y), rows in zip(seen, wanted, strict=True))


def test_accuracy_by_hand_over_more_images_than_are_scored_at_once():
    model = TwoLayerNet(1, 2, 2)
    model.params.update(W1=torch.tensor([[1.0, -1.0]]), W2=torch.eye(2))  # class 0 where x > 0
    X = torch.linspace(-1, 1, 602)[:, None]
    y = torch.zeros(602, dtype=torch.long)
    one = Solver(model, {"X_train": X, "y_train": y, "X_val": X, "y_val": y})
    assert one.check_accuracy(X, y) == 0.5
    assert one.check_accuracy(X[400:], y[400:]) == 1
    share = one.check_accuracy(X, y, num_samples=50)
    assert share == one.check_accuracy(X, y, num_samples=50)
    assert share * 50 == pytest.approx(round(share * 50))
    assert 0.2 < share < 0.8
    assert math.isnan(one.check_accuracy(X[:0], y[:0]))


class Breaking(TwoLayerNet):
    """Its third loss is what it is told."""

    def __init__(self, value):
        super().__init__(6, 4, 3)
        self.value, self.calls = value, 0

    def loss(self, X, y=None):
        found = super().loss(X, y)
        self.calls += y is not None
        return (self.value, found[1]) if y is not None and self.calls == 5 else found


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_names_the_step_and_stops(value):
    one = solver(Breaking(value))
    with pytest.raises(NonFiniteLoss) as told:
        one.train()
    assert f"the loss became {value} at step 2 of epoch 2; try a tenth of" in str(told.value)
    assert len(one.loss_history) == 4


@pytest.mark.parametrize("rate", [1e3, 1e200])
def test_a_learning_rate_too_high_is_told_as_such(rate):
    one = solver(
        TwoLayerNet(6, 5, 3, "kaiming", generator=generator("too high")),
        update_rule="sgd", optim_config={"learning_rate": rate}, num_epochs=30, lr_decay=10.0,
    )  # fmt: skip
    with pytest.raises(NonFiniteLoss, match=r"at step \d of epoch \d+") as told:
        one.train()
    assert isinstance(told.value, RunError)
    assert len(one.loss_history) == 3 * one.epoch + one.step_in_epoch


def test_images_with_nan_are_named_with_the_step():
    data = some_data()
    data["X_train"] = data["X_train"].clone()
    data["X_train"][5, 2] = math.nan
    with pytest.raises(NonFiniteLoss, match=r"X holds nan at \[\d, 2\].*step \d of epoch 1"):
        solver(data=data).train()


@pytest.mark.parametrize("largest", [0.5, 5.0, 50.0])
def test_gradients_are_clipped_together_to_a_norm(largest):
    grads = {"W": torch.tensor([[3.0, 0.0], [0.0, 0.0]]), "b": torch.tensor([4.0])}
    assert clip_gradients(grads, largest) == 5
    scale = min(1.0, largest / 5)
    torch.testing.assert_close(grads["W"], torch.tensor([[3.0 * scale, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(grads["b"], torch.tensor([4.0 * scale]))


def test_clipping_is_torchs(rng):
    grads = {name: torch.randn(4, 3, dtype=torch.float64, generator=rng) for name in "abc"}
    leaves = [torch.zeros(4, 3, dtype=torch.float64, requires_grad=True) for _ in "abc"]
    for leaf, grad in zip(leaves, grads.values(), strict=True):
        leaf.grad = grad.clone()
    told = torch.nn.utils.clip_grad_norm_(leaves, 1.5)
    assert clip_gradients(grads, 1.5) == pytest.approx(float(told), rel=1e-12)
    for leaf, grad in zip(leaves, grads.values(), strict=True):
        torch.testing.assert_close(grad, leaf.grad, rtol=1e-5, atol=0)  # torch adds 1e-6 to norms


def test_a_clipped_step_is_no_longer_than_the_norm_times_the_rate():
    one = solver(update_rule="sgd", optim_config={"learning_rate": 1.0}, clip=1e-3)
    before = {name: w.clone() for name, w in one.model.params.items()}
    one.step()
    moved = sum(float(((one.model.params[n] - w) ** 2).sum()) for n, w in before.items())
    assert moved**0.5 == pytest.approx(1e-3, rel=1e-9)


@pytest.mark.parametrize("key", ["X_train", "y_train", "X_val", "y_val"])
def test_data_that_lack_a_part_are_refused(key):
    data = some_data()
    del data[key]
    with pytest.raises(OptionError, match=re.escape(f"data lacks '{key}'; it needs X_train, y_t")):
        solver(data=data)


def test_a_training_without_images_is_refused():
    with pytest.raises(OptionError, match=r"data\['X_train'\] is empty"):
        solver(data=some_data(n=0))


@pytest.mark.parametrize("option", ["batch_size", "num_epochs"])
def test_less_than_one_is_refused(option):
    with pytest.raises(OptionError, match=f"{option} is 0, wanted at least 1"):
        solver(**{option: 0})


@pytest.mark.parametrize("key", ["y_train", "y_val"])
def test_fewer_labels_than_images_are_refused(key):
    data = some_data()
    data[key] = data[key][:-1]
    with pytest.raises(VislabError, match=key):
        solver(data=data).train()


def test_images_may_be_read_as_they_are_needed():
    data, asked = some_data(), []

    class Drawer:
        def __len__(self):
            return 23

        def __getitem__(self, rows):
            asked.append(rows)
            return some_data()["X_train"][rows]

    whole, lazy = solver(), solver(data=data | {"X_train": Drawer()})
    whole.train()
    lazy.train()
    same(lazy, whole)
    assert max(len(rows) for rows in asked[:3]) <= 8


def test_a_captioner_is_measured_by_the_words_it_has_right(rng):
    words = {"<NULL>": 0, "<START>": 1, "<END>": 2, "cat": 3, "dog": 4}
    X = torch.randn(6, 3, generator=rng)
    y = torch.tensor([[1, 3, 2, 0], [1, 4, 3, 2], [1, 4, 2, 0]] * 2)
    model = CaptioningRNN(words, 3, 4, 8, "lstm", generator=generator("solved captions"))
    data = {"X_train": X[:3], "y_train": y[:3], "X_val": X[:3], "y_val": y[:3]}
    one = Solver(model, data, "adam", {"learning_rate": 0.05}, batch_size=2, num_epochs=40)
    one.train()
    assert one.best_val_acc == 1
    assert model.sample(X[:3], 3).equal(y[:3, 1:])
    wrong = y[:3].clone()
    wrong[0, 2], wrong[1, 3] = 4, 4  # two of seven words; none is read before another
    assert one.check_accuracy(X[:3], wrong) == pytest.approx(5 / 7)
