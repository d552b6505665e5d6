"""The two engines: the same losses, gradients, averages and masks, whoever derives them."""

import json

import pytest
import torch
import torch.nn.functional as F

from tests.tasks.small_networks import NETWORKS, OF_IMAGES, OF_WORDS, stir
from vislab import models
from vislab.errors import UnknownName
from vislab.lab.captioning import WordSpotter
from vislab.scratch import DeepConvNet, Softmax, Solver
from vislab.tasks.engines import AutogradEngine, ByHand, InPlace, Scorer, as_input, engine

each = pytest.mark.parametrize("name", NETWORKS)
each_of_images = pytest.mark.parametrize("name", OF_IMAGES)
each_of_words = pytest.mark.parametrize("name", OF_WORDS)
CAN_BE_PENALISED = [name for name in NETWORKS if name not in OF_WORDS]


def both(name, rng, **options):
    network = stir(NETWORKS[name].network(**options), rng)
    return network, AutogradEngine(network)


def agree(came, wanted, tolerance=1e-11):
    assert set(came) == set(wanted)
    for name in wanted:
        torch.testing.assert_close(came[name], wanted[name], rtol=tolerance, atol=tolerance)


@each
def test_both_engines_give_the_same_loss_and_gradients(name, rng):
    by_hand, twin = both(name, rng)
    for step in range(3):
        X, y = NETWORKS[name].batch(step)
        ours, theirs = by_hand.loss(X, y), twin.loss(X, y)
        assert theirs[0] == pytest.approx(ours[0], rel=1e-13)
        agree(theirs[1], ours[1])


@pytest.mark.parametrize("name", CAN_BE_PENALISED)
@pytest.mark.parametrize("convention", ["full", "half"])
def test_both_engines_penalise_the_same_weights_by_the_same_rule(name, convention, rng):
    by_hand, twin = both(name, rng, reg=0.6, l2_convention=convention)
    X, y = NETWORKS[name].batch(0)
    ours, theirs = by_hand.loss(X, y), twin.loss(X, y)
    assert theirs[0] == pytest.approx(ours[0], rel=1e-13)
    agree(theirs[1], ours[1])


@each_of_images
def test_both_engines_give_the_same_scores_and_are_right_about_the_same_images(name, rng):
    by_hand, twin = both(name, rng)
    X, y = NETWORKS[name].batch(0, n=23)
    torch.testing.assert_close(twin.loss(X), by_hand.loss(X), rtol=1e-12, atol=1e-12)
    right = twin.right(X, y)
    assert right.equal(by_hand.right(X, y))
    assert 0 < int(right.sum()) < 23, "some must be right and some not"


@each_of_words
def test_both_engines_are_right_about_the_same_words(name, rng):
    by_hand, twin = both(name, rng)
    found = []
    for step in range(8):
        X, y = NETWORKS[name].batch(step)
        found.append(twin.right(X, y))
        assert found[-1].equal(by_hand.right(X, y))
        assert len(found[-1]) == int((y[:, 1:] != 0).sum()), "padding is not asked"
    share = float(torch.cat(found).double().mean())
    assert 0 < share < 1


@each_of_words
def test_both_engines_write_the_same_captions(name, rng):
    by_hand, twin = both(name, rng)
    X, _ = NETWORKS[name].batch(0)
    assert twin.loss(X).equal(by_hand.loss(X))


def trained(name, who):
    network = NETWORKS[name].network(**({} if name in OF_WORDS else {"reg": 1e-3}))
    one = engine(network, who)
    X, y = NETWORKS[name].batch(0, n=6)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    solver = Solver(
        one, data, "sgd_momentum", {"learning_rate": 0.02}, 0.9, batch_size=3, num_epochs=4
    )
    solver.train()
    return solver


@each
def test_trained_by_the_same_solver_both_engines_go_the_same_way(name):
    by_hand, twin = trained(name, "scratch"), trained(name, "autograd")
    assert twin.loss_history == pytest.approx(by_hand.loss_history, rel=1e-9)
    assert len(by_hand.loss_history) == 8
    assert twin.train_acc_history == by_hand.train_acc_history
    agree(dict(twin.model.params), by_hand.model.params, 1e-9)
    agree(twin.model.running, by_hand.model.running, 1e-9)
    moved = NETWORKS[name].network().params
    assert not any(by_hand.model.params[key].equal(w) for key, w in moved.items() if key[0] == "W")


@pytest.mark.parametrize("who", ["scratch", "autograd"])
def test_the_running_variance_of_both_is_the_biased_one(who, rng):
    network = stir(NETWORKS["batchnorm and dropout"].network(), rng)
    one = engine(network, who)
    W, b = network.params["W1"], network.params["b1"]
    mean, var = (network.running[key].numpy().copy() for key in ("mean1", "var1"))
    for step in range(4):
        X, y = NETWORKS["batchnorm and dropout"].batch(step, n=3)
        one.loss(X, y)
        h = (X @ W + b).numpy()
        mean = 0.9 * mean + 0.1 * h.mean(axis=0)
        var = 0.9 * var + 0.1 * ((h - h.mean(axis=0)) ** 2).sum(axis=0) / 3
    torch.testing.assert_close(one.running["mean1"], torch.from_numpy(mean))
    torch.testing.assert_close(one.running["var1"], torch.from_numpy(var))


@pytest.mark.parametrize("name", ["batchnorm and dropout", "deep with batchnorm"])
def test_testing_leaves_the_averages_of_the_twin_alone(name, rng):
    _, twin = both(name, rng)
    before = {key: value.clone() for key, value in twin.running.items()}
    X, y = NETWORKS[name].batch(0)
    twin.loss(X), twin.right(X, y)
    assert len(before) == 4
    assert all(twin.running[key].equal(value) for key, value in before.items())


def test_both_engines_drop_the_same_numbers_each_time_anew(rng):
    by_hand, twin = both("layernorm and dropout", rng)
    X, y = NETWORKS["layernorm and dropout"].batch(0)
    ours = [by_hand.loss(X, y)[0] for _ in range(4)]
    theirs = [twin.loss(X, y)[0] for _ in range(4)]
    assert theirs == pytest.approx(ours, rel=1e-12)
    assert len(set(ours)) == 4
    by_hand.generator.manual_seed(5), twin.generator.manual_seed(5)
    assert twin.loss(X, y)[0] == pytest.approx(by_hand.loss(X, y)[0], rel=1e-12)


def test_drawing_from_one_engine_leaves_the_other_where_it_was(rng):
    by_hand, twin = both("layernorm and dropout", rng)
    X, y = NETWORKS["layernorm and dropout"].batch(0)
    state = by_hand.generator.get_state()
    twin.loss(X, y)
    assert by_hand.generator.get_state().equal(state)


@each
def test_the_twin_has_copies_of_the_weights_and_returns_gradients_without_a_graph(name, rng):
    by_hand, twin = both(name, rng)
    kept = {key: w.clone() for key, w in by_hand.params.items()}
    X, y = NETWORKS[name].batch(0)
    _, grads = twin.loss(X, y)
    for key in twin.params:
        twin.params[key] = twin.params[key] + 1
    assert all(by_hand.params[key].equal(w) for key, w in kept.items())
    assert not any(g.requires_grad for g in grads.values())
    assert all(p.grad is None for p in twin.module.parameters())


def test_an_engine_nobody_knows_names_both():
    network = NETWORKS["two layers"].network()
    with pytest.raises(UnknownName, match=r"'autogard'\. Did you mean 'autograd'\? .*scratch"):
        engine(network, "autogard")
    assert engine(network, "scratch") is network


# Weights in place


def test_setting_a_weight_in_place_changes_the_modules_own_and_nothing_else(rng):
    module = models.create("linear-scores", classes=3, features=4)
    weights, own = InPlace(module), dict(module.named_parameters())
    place = own["W"].data_ptr()
    wanted = torch.randn(4, 3, generator=rng)
    weights["W"] = wanted
    assert own["W"].equal(wanted)
    assert own["W"].data_ptr() == place
    assert own["W"] is dict(module.named_parameters())["W"]
    wanted += 1
    assert not own["W"].equal(wanted), "a copy was asked for"
    weights.update(W=wanted)
    assert weights["W"].equal(wanted)
    assert not weights["W"].requires_grad
    assert (list(weights), len(weights)) == (["W"], 1)


def test_weights_in_place_are_neither_lost_nor_added():
    weights = InPlace(models.create("linear-scores", classes=3, features=4))
    with pytest.raises(TypeError, match="keeps its parameters"):
        del weights["W"]
    with pytest.raises(KeyError):
        weights["V"] = torch.zeros(4, 3)
    with pytest.raises(RuntimeError):
        weights["W"] = torch.zeros(5, 3)


# What the bench tests and keeps


def images_for(name, rng):
    """Return images as the lab gives them: (N, 3, S, S) for a linear classifier too."""
    reads = NETWORKS[name].reads
    shape = (3, 2, 2) if reads == (13,) else reads
    return torch.randn(6, *shape, dtype=torch.float64, generator=rng)


@each_of_images
@pytest.mark.parametrize("who", ["scratch", "autograd"])
def test_what_is_kept_gives_the_same_scores_in_a_module_made_anew(name, who, rng):
    task = ByHand(stir(NETWORKS[name].network(), rng), who)
    X = images_for(name, rng)
    scores = task.network(X)
    built = json.loads(json.dumps(task.model.built_as))
    fresh = models.create(built["name"], classes=built["classes"], **built["options"]).double()
    assert built["classes"] == scores.shape[1] == 4
    assert not torch.allclose(fresh.eval()(X), scores)
    fresh.load_state_dict(task.network.state_dict())
    torch.testing.assert_close(fresh.eval()(X), scores, rtol=1e-12, atol=1e-12)


@each
@pytest.mark.parametrize("who", ["scratch", "autograd"])
def test_the_model_of_a_task_holds_the_weights_as_they_are_now(name, who, rng):
    task = ByHand(NETWORKS[name].network(), who)
    X, y = NETWORKS[name].batch(0)
    task.engine.loss(X, y)
    for key, w in list(task.engine.params.items()):
        task.engine.params[key] = torch.randn(w.shape, dtype=w.dtype, generator=rng)
    held = task.model.state_dict()
    assert held.keys() == {*task.engine.params, *task.engine.running}
    assert all(held[key].equal(value) for key, value in task.engine.params.items())
    assert all(held[key].equal(value) for key, value in task.engine.running.items())


def test_a_linear_classifier_is_given_its_column_of_ones_and_others_the_images(rng):
    X = torch.randn(2, 3, 2, 2, generator=rng)
    for make in (lambda n: n, AutogradEngine):
        found = as_input(make(Softmax(13, 4)), X)
        assert found[:, :12].equal(X.flatten(1))
        assert found[:, 12:].equal(torch.ones(2, 1))
    assert as_input(NETWORKS["two layers"].network(), X) is X


def test_a_scorer_scores_as_when_testing(rng):
    network = stir(NETWORKS["batchnorm and dropout"].network(), rng)
    X, y = NETWORKS["batchnorm and dropout"].batch(0)
    scorer = Scorer(network)
    before = scorer(X)
    assert scorer(X).equal(before)
    network.loss(X, y)  # moves the averages
    assert not scorer(X).equal(before)


def test_a_network_with_a_loss_of_its_own_has_it_by_autograd_too(rng):
    network = WordSpotter((3, 4, 4), (2,), (0,), False, 4, "kaiming", dtype=torch.float64)
    X = torch.randn(3, 3, 4, 4, dtype=torch.float64, generator=rng)
    bags = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.float64)
    wanted = 4 * F.binary_cross_entropy_with_logits(network.loss(X), bags)
    assert network.loss(X, bags)[0] == pytest.approx(float(wanted))
    assert AutogradEngine(network).loss(X, bags)[0] == pytest.approx(float(wanted))


def test_the_twin_of_a_deep_network_has_its_size_whatever_the_poolings_leave(rng):
    for side, pools in ((7, (0, 1)), (6, ()), (5, (1,))):
        network = DeepConvNet((3, side, side), (2, 3), pools, dtype=torch.float64)
        X = torch.randn(2, 3, side, side, dtype=torch.float64, generator=rng)
        wanted = network.loss(X)
        torch.testing.assert_close(AutogradEngine(network).loss(X), wanted, rtol=1e-12, atol=1e-12)
