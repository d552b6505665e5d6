"""The update rules against torch.optim, and against steps worked out by hand."""

import pytest
import torch

from vislab.errors import ShapeError, UnknownName
from vislab.scratch import Solver, TwoLayerNet, adam, rmsprop, sgd, sgd_momentum

SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 2, 1)]
RULES = {
    "sgd": (sgd, torch.optim.SGD, {}, {}),
    "momentum": (sgd_momentum, torch.optim.SGD, {}, {"momentum": 0.9}),
    "momentum 0.5": (sgd_momentum, torch.optim.SGD, {"momentum": 0.5}, {"momentum": 0.5}),
    "rmsprop": (rmsprop, torch.optim.RMSprop, {}, {"alpha": 0.99}),
    "rmsprop, all its options": (rmsprop, torch.optim.RMSprop,
                                 {"decay_rate": 0.7, "epsilon": 0.1}, {"alpha": 0.7, "eps": 0.1}),
    "adam": (adam, torch.optim.Adam, {}, {}),
    "adam, all its options": (adam, torch.optim.Adam,
                              {"beta1": 0.6, "beta2": 0.8, "epsilon": 0.1},
                              {"betas": (0.6, 0.8), "eps": 0.1}),
}  # fmt: skip
each = pytest.mark.parametrize("rule", [sgd, sgd_momentum, rmsprop, adam])


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_lead_where_torchs_lead(name, shape, rng):
    rule, optimiser, ours, theirs = RULES[name]
    w = torch.randn(shape, dtype=torch.float64, generator=rng)
    leaf = w.clone().requires_grad_()
    told = optimiser([leaf], lr=0.03, **theirs)
    config = {"learning_rate": 0.03, **ours}
    for _ in range(20):
        dw = torch.randn(shape, dtype=torch.float64, generator=rng)
        leaf.grad = dw.clone()
        told.step()
        w, config = rule(w, dw, config)
        torch.testing.assert_close(w, leaf.detach(), rtol=1e-12, atol=1e-12)


def test_two_steps_of_adam_by_hand():
    """With β1 = ½, β2 = ¾, η = 1 and ε = 0, from w = 0 and gradients 2 and -4.

    Step 1: m = 1 and v = 1, corrected 1 / ½ = 2 and 1 / ¼ = 4; w = -2 / √4 = -1.
    Step 2: m = ½ - 2 = -3/2 and v = ¾ + 4 = 19/4, corrected by ¾ and 7/16: -2 and 76/7.
    """
    config = {"learning_rate": 1.0, "beta1": 0.5, "beta2": 0.75, "epsilon": 0.0}
    w, config = adam(tensor([0.0]), tensor([2.0]), config)
    assert (w.item(), config["m"].item(), config["v"].item(), config["t"]) == (-1, 1, 1, 1)
    w, config = adam(w, tensor([-4.0]), config)
    assert (config["m"].item(), config["v"].item(), config["t"]) == (-1.5, 4.75, 2)
    assert w.item() == pytest.approx(-1 + 2 / (76 / 7) ** 0.5, rel=1e-14)


def test_adams_first_step_is_the_learning_rate_whatever_the_gradients_size():
    dw = tensor([1e-3, -2.0, 5e4])
    w, _ = adam(tensor([1.0, 1.0, 1.0]), dw, {"learning_rate": 0.1, "epsilon": 0.0})
    torch.testing.assert_close(w, tensor([0.9, 1.1, 0.9]), rtol=1e-12, atol=0)


def test_a_step_of_each_other_rule_by_hand():
    w, dw = tensor([1.0, -2.0]), tensor([10.0, -20.0])
    step, _ = sgd(w, dw, {"learning_rate": 0.1})
    torch.testing.assert_close(step, tensor([0.0, 0.0]))
    step, config = sgd_momentum(w, dw, {"learning_rate": 0.1, "momentum": 0.5,
                                        "velocity": tensor([4.0, 0.0])})  # fmt: skip
    torch.testing.assert_close(config["velocity"], tensor([1.0, 2.0]))  # 2 - 1 and 0 + 2
    torch.testing.assert_close(step, tensor([2.0, 0.0]))
    step, config = rmsprop(w, dw, {"learning_rate": 3.0, "decay_rate": 0.75, "epsilon": 1.0})
    torch.testing.assert_close(config["cache"], tensor([25.0, 100.0]))
    torch.testing.assert_close(step, tensor([1 - 30 / 6, -2 + 60 / 11]))


@pytest.mark.parametrize(
    ("rule", "defaults"),
    [
        (sgd, {"learning_rate": 1e-2}),
        (sgd_momentum, {"learning_rate": 1e-2, "momentum": 0.9}),
        (rmsprop, {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}),
        (adam, {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
    ],
)
def test_what_a_config_lacks_is_the_courses_default(rule, defaults, rng):
    w = torch.randn(3, 4, dtype=torch.float64, generator=rng)
    dw = torch.randn(3, 4, dtype=torch.float64, generator=rng)
    bare, config = rule(w, dw)
    assert {name: config[name] for name in defaults} == defaults
    spelled, _ = rule(w, dw, defaults)
    assert bare.equal(spelled)
    for name in defaults:
        other, changed = rule(w, dw, {name: 0.5})
        assert changed[name] == 0.5
        # ε is too small to be seen in a first step that is not tiny; beta1 and beta2 cancel.
        assert name in {"momentum", "beta1", "beta2"} or not other.equal(bare), name


@each
def test_weights_gradient_and_config_handed_in_are_left_as_they_were(rule, rng):
    w, dw = (torch.randn(3, dtype=torch.float64, generator=rng) for _ in range(2))
    kept = w.clone(), dw.clone()
    given = {"learning_rate": 0.5}
    _, config = rule(w, dw, given)
    assert given == {"learning_rate": 0.5}
    tensors = {k: v.clone() for k, v in config.items() if isinstance(v, torch.Tensor)}
    rule(w, dw, config)
    assert all(config[name].equal(before) for name, before in tensors.items())
    assert w.equal(kept[0])
    assert dw.equal(kept[1])


@each
def test_without_a_gradient_a_weight_stays(rule, rng):
    w = torch.randn(3, 2, dtype=torch.float64, generator=rng)
    assert rule(w, torch.zeros_like(w))[0].equal(w)


def test_momentum_goes_on_when_the_gradient_stops():
    w, config = sgd_momentum(tensor([0.0]), tensor([1.0]), {"learning_rate": 1.0, "momentum": 0.5})
    seen = [w.item()]
    for _ in range(3):
        w, config = sgd_momentum(w, tensor([0.0]), config)
        seen.append(w.item())
    assert seen == [-1, -1.5, -1.75, -1.875]


@each
def test_every_rule_walks_down_a_bowl(rule):
    w, config = tensor([3.0, -1.0]), {"learning_rate": 0.05}
    heights = []
    for _ in range(200):
        heights.append(float((w**2).sum()))
        w, config = rule(w, 2 * w, config)
    assert heights[-1] < 1e-2 * heights[0]


@each
def test_float32_stays_float32(rule, rng):
    w = torch.randn(3, generator=rng)
    stepped, config = rule(w, w, {"learning_rate": 0.1})
    stepped, config = rule(stepped, w, config)
    held = [value.dtype for value in config.values() if isinstance(value, torch.Tensor)]
    assert {stepped.dtype, *held} == {torch.float32}


@each
def test_a_gradient_of_another_shape_is_refused(rule):
    with pytest.raises(ShapeError, match=r"dw has shape \(3,\), wanted \(2, 3\)"):
        rule(torch.zeros(2, 3), torch.zeros(3))


def a_training(**options):
    X, y = torch.zeros(2, 3), torch.tensor([0, 1])
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    return Solver(TwoLayerNet(3, 4, 2), data, **options)


def test_an_unknown_rule_names_those_that_are_known():
    with pytest.raises(UnknownName) as told:
        a_training(update_rule="adams")
    assert "update rule is named 'adams'. Did you mean 'adam'?" in str(told.value)
    assert "Known: adam, rmsprop, sgd, sgd_momentum" in str(told.value)
