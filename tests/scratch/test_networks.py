"""The networks against torch with autograd and finite differences; what they penalise and say."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.scratch.in_torch import (
    attention_lstm,
    batch_norm,
    conv,
    dropout,
    layer_norm,
    linear,
    lstm,
    max_pool,
    rnn,
)
from vislab.ops.seeding import generator
from vislab.scratch import (
    CaptioningRNN,
    DeepConvNet,
    FullyConnectedNet,
    LinearSVM,
    Softmax,
    Solver,
    ThreeLayerConvNet,
    TwoLayerNet,
    adam,
    check_gradient,
    compute_numeric_gradient,
    rel_error,
    with_ones,
)

STEP = 1e-5  # of finite differences: short, so that no ReLU and no window changes its mind
MANY = 60  # numbers in a network
WORDS = {"<NULL>": 0, "cat": 1, "<START>": 2, "dog": 3, "<END>": 4}
CAPTIONS = torch.tensor([[2, 1, 3, 4], [2, 3, 4, 0], [2, 4, 0, 0]])
GATES = {"rnn": 1, "lstm": 4, "attention": 4}


def scores_of_layers(net, X, training):
    """Return what a FullyConnectedNet, or a network of its layers, should say."""
    p, h = net.params, X
    layers = sum(name.startswith("W") for name in p)
    normalization, share = getattr(net, "normalization", None), getattr(net, "dropout", 0)
    draws = generator("masks")
    for i in range(1, layers):
        h = linear(h, p[f"W{i}"], p[f"b{i}"])
        if normalization == "batchnorm":
            mean, var = net.running[f"mean{i}"], net.running[f"var{i}"]
            h = batch_norm(h, p[f"gamma{i}"], p[f"beta{i}"], mean, var, training)
        elif normalization == "layernorm":
            h = layer_norm(h, p[f"gamma{i}"], p[f"beta{i}"])
        h = dropout(F.relu(h), share, training, draws)
    return linear(h, p[f"W{layers}"], p[f"b{layers}"])


def scores_of_classifier(net, X, training):
    return X @ net.params["W"]


def scores_of_three_layers(net, X, training):
    p = net.params
    kernel = p["W1"].shape[2]
    h = max_pool(F.relu(conv(X, p["W1"], p["b1"], 1, kernel // 2)))
    return linear(F.relu(linear(h, p["W2"], p["b2"])), p["W3"], p["b3"])


def scores_of_deep(net, X, training):
    p, h = net.params, X
    last = sum(name.startswith("W") for name in p)
    for i in range(1, last):
        h = conv(h, p[f"W{i}"], p[f"b{i}"], 1, 1)
        if net.running:
            mean, var = net.running[f"mean{i}"], net.running[f"var{i}"]
            h = batch_norm(h, p[f"gamma{i}"], p[f"beta{i}"], mean, var, training)
        h = F.relu(h)
        h = max_pool(h) if i - 1 in net.max_pools else h
    return linear(h, p[f"W{last}"], p[f"b{last}"])


@dataclass(frozen=True)
class Case:
    """A network, one image's shape, and the scores it should have, written with torch."""

    make: Callable[..., Any]
    image: tuple[int, ...]
    witness: Callable[..., Any]
    shapes: dict[str, tuple[int, ...]]

    def network(self, **options):
        return self.make(dtype=torch.float64, generator=generator("masks"), **options)


def case(make, image, witness, *arguments, shapes, classes=4, **named):
    def made(**options):
        return make(*arguments, num_classes=classes, **{**named, **options})

    return Case(made, image, witness, shapes)


def layers(*sides, norm=False):
    shapes = {}
    for i, (here, there) in enumerate(pairwise(sides), start=1):
        shapes |= {f"W{i}": (here, there), f"b{i}": (there,)}
        if norm and i < len(sides) - 1:
            shapes |= {f"gamma{i}": (there,), f"beta{i}": (there,)}
    return shapes


THREE = {"W1": (2, 1, 3, 3), "b1": (2,), "W2": (2 * 2 * 3, 3), "b2": (3,), "W3": (3, 4), "b3": (4,)}
DEEP = {"W1": (2, 1, 3, 3), "b1": (2,), "W2": (3, 2, 3, 3), "b2": (3,), "W3": (3 * 3 * 2, 4),
        "b3": (4,)}  # fmt: skip
DEEP_NORM = DEEP | {"gamma1": (2,), "beta1": (2,), "gamma2": (3,), "beta2": (3,)}
FULLY = (FullyConnectedNet, (3, 1), scores_of_layers, (5, 3), 3)
NETWORKS = {
    "svm": case(LinearSVM, (3,), scores_of_classifier, 3, shapes={"W": (3, 4)}),
    "softmax": case(Softmax, (3,), scores_of_classifier, 3, shapes={"W": (3, 4)}),
    "two layers": case(TwoLayerNet, (3, 1), scores_of_layers, 3, 5, shapes=layers(3, 5, 4)),
    "fully connected": case(*FULLY, shapes=layers(3, 5, 3, 4)),
    "with batchnorm": case(
        *FULLY, normalization="batchnorm", shapes=layers(3, 5, 3, 4, norm=True)
    ),
    "with layernorm": case(
        *FULLY, normalization="layernorm", shapes=layers(3, 5, 3, 4, norm=True)
    ),
    "with dropout": case(*FULLY, dropout=0.4, shapes=layers(3, 5, 3, 4)),
    "with both": case(
        *FULLY, dropout=0.4, normalization="batchnorm", shapes=layers(3, 5, 3, 4, norm=True)
    ),
    "no hidden layer": case(
        FullyConnectedNet, (3,), scores_of_layers, (), 3, shapes=layers(3, 4)
    ),
    "three layers": case(
        ThreeLayerConvNet, (1, 5, 6), scores_of_three_layers, (1, 5, 6), 2, 3, 3, shapes=THREE
    ),
    "deep": case(DeepConvNet, (1, 7, 5), scores_of_deep, (1, 7, 5), (2, 3), (0,), shapes=DEEP),
    "deep, two pools": case(
        DeepConvNet, (1, 7, 5), scores_of_deep, (1, 7, 5), (2, 3), (1, 0),
        shapes=DEEP | {"W3": (3, 4)},
    ),
    "deep with batchnorm": case(
        DeepConvNet, (1, 7, 5), scores_of_deep, (1, 7, 5), (2, 3), (1,), True, shapes=DEEP_NORM
    ),
}  # fmt: skip
each = pytest.mark.parametrize("name", NETWORKS)


def batch(one, rng, n=4):
    X = torch.randn(n, *one.image, dtype=torch.float64, generator=rng)
    return X, torch.randint(4, (n,), generator=rng)


def stir(net, rng):
    """Draw all parameters and averages, so that no bias is zero and no gamma is one."""
    for w in net.params.values():
        w.copy_(0.7 * torch.randn(w.shape, dtype=w.dtype, generator=rng))
    for average in net.running.values():
        average.copy_(torch.rand(average.shape, dtype=w.dtype, generator=rng) + 0.5)
    return net


def loss_with_the_same_masks(net, X, y):
    net.generator.manual_seed(generator("masks").initial_seed())
    return net.loss(X, y)


def check_by_differences(net, X, y):
    """Look at every coordinate, or where there are many at some and along random directions."""
    _, grads = loss_with_the_same_masks(net, X, y)
    kept = dict(net.params)
    sizes = [w.numel() for w in kept.values()]

    def loss(vector):
        pieces = zip(kept.items(), vector.split(sizes), strict=True)
        net.params.update({name: piece.view(w.shape) for (name, w), piece in pieces})
        return loss_with_the_same_masks(net, X, y)[0]

    here = torch.cat([w.flatten() for w in kept.values()])
    claimed = torch.cat([grads[name].flatten() for name in kept])
    if sum(sizes) > MANY:
        check_gradient(loss, here, claimed, tolerance=1e-7, h=STEP)
    else:
        numeric = compute_numeric_gradient(loss, here, h=STEP).split(sizes)
        for name, ours, wanted in zip(kept, claimed.split(sizes), numeric, strict=True):
            # A bias before batch normalisation has none: sizes far below 1e-3 count as zero.
            assert rel_error(ours, wanted, eps=1e-3) <= 1e-7, name
    net.params.update(kept)


def gradients_by_autograd(net, loss_of):
    """Return the loss, and the gradients of what the network holds now."""
    kept = dict(net.params)
    leaves = {name: w.clone().requires_grad_() for name, w in kept.items()}
    net.params.update(leaves)
    loss = loss_of()
    found = torch.autograd.grad(loss, list(leaves.values()))
    net.params.update(kept)
    return float(loss.detach()), dict(zip(leaves, found, strict=True))


def agree(came, wanted):
    assert set(came) == set(wanted)
    for name in wanted:
        torch.testing.assert_close(came[name], wanted[name], rtol=1e-12, atol=1e-12)


@each
def test_parameters_have_the_courses_names_and_shapes(name):
    shapes = {key: tuple(w.shape) for key, w in NETWORKS[name].network().params.items()}
    assert shapes == NETWORKS[name].shapes


@each
def test_loss_and_gradients_agree_with_autograd(name, rng):
    one = NETWORKS[name]
    net, (X, y) = stir(one.network(reg=0.3), rng), batch(one, rng)

    def told():
        scores = one.witness(net, X, training=True)
        data = F.multi_margin_loss(scores, y) * 4 if name == "svm" else F.cross_entropy(scores, y)
        return data + 0.3 * sum((w**2).sum() for n, w in net.params.items() if n.startswith("W"))

    wanted = gradients_by_autograd(net, told)
    loss, grads = loss_with_the_same_masks(net, X, y)
    assert loss == pytest.approx(wanted[0], rel=1e-12)
    agree(grads, wanted[1])


@each
def test_every_gradient_agrees_with_finite_differences(name, rng):
    one = NETWORKS[name]
    net, (X, y) = stir(one.network(reg=0.3, l2_convention="half"), rng), batch(one, rng)
    check_by_differences(net, X, y)


@each
def test_scores_when_testing_are_torchs_and_always_the_same(name, rng):
    one = NETWORKS[name]
    net, (X, _) = stir(one.network(), rng), batch(one, rng)
    before = {key: value.clone() for key, value in net.running.items()}
    scores = net.loss(X)
    torch.testing.assert_close(scores, one.witness(net, X, training=False), rtol=1e-12, atol=1e-12)
    assert net.loss(X).equal(scores)
    alone = torch.cat([net.loss(X[n : n + 1]) for n in range(len(X))])
    torch.testing.assert_close(alone, scores, rtol=1e-12, atol=1e-12)
    assert all(net.running[key].equal(value) for key, value in before.items())


@each
def test_right_is_where_the_highest_score_is_the_label(name, rng):
    one = NETWORKS[name]
    net, (X, y) = stir(one.network(), rng), batch(one, rng, n=9)
    said = [max(range(4), key=row.__getitem__) for row in net.loss(X).tolist()]
    assert net.right(X, y).tolist() == [a == b for a, b in zip(said, y.tolist(), strict=True)]


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("deep")])
def test_the_last_layer_scores_the_features(name, rng):
    one = NETWORKS[name]
    net, (X, _) = stir(one.network(), rng), batch(one, rng)
    found = net.features(X)
    side = 7 >> len(net.max_pools), 5 >> len(net.max_pools)
    assert found.shape == (4, 3, *side)
    assert found.ge(0).all()
    scores = linear(found, net.params["W3"], net.params["b3"])
    torch.testing.assert_close(net.loss(X), scores, rtol=1e-12, atol=1e-12)


@each
def test_small_weights_know_nothing(name, rng):
    one = NETWORKS[name]
    net, (X, y) = one.network(weight_scale=1e-7), batch(one, rng)
    loss, _ = net.loss(X, y)
    assert loss == pytest.approx(3 if name == "svm" else math.log(4), abs=1e-3)


@each
def test_only_weights_are_penalised(name, rng):
    one = NETWORKS[name]
    net, (X, y) = stir(one.network(), rng), batch(one, rng)
    plain, dplain = loss_with_the_same_masks(net, X, y)
    squares = sum(float((w**2).sum()) for key, w in net.params.items() if key[0] == "W")
    for convention, factor in [("full", 1.0), ("half", 0.5)]:
        other = one.network(reg=0.6, l2_convention=convention)
        other.params.update(net.params)
        loss, grads = loss_with_the_same_masks(other, X, y)
        assert loss - plain == pytest.approx(factor * 0.6 * squares, rel=1e-12)
        for key, w in net.params.items():
            extra = 2 * factor * 0.6 * w if key[0] == "W" else torch.zeros_like(w)
            torch.testing.assert_close(grads[key], dplain[key] + extra, rtol=1e-12, atol=1e-12)


@each
def test_a_loss_leaves_the_parameters_and_the_images_alone(name, rng):
    one = NETWORKS[name]
    net, (X, y) = stir(one.network(reg=0.3), rng), batch(one, rng)
    before, images = {key: w.clone() for key, w in net.params.items()}, X.clone()
    net.loss(X, y)
    assert all(net.params[key].equal(w) for key, w in before.items())
    assert X.equal(images)


@each
def test_the_same_generator_draws_the_same_weights(name):
    one, other = NETWORKS[name].network(), NETWORKS[name].network()
    assert all(one.params[key].equal(other.params[key]) for key in one.params)
    again = NETWORKS[name].make(dtype=torch.float64, generator=generator("other"))
    assert not any(one.params[key].equal(again.params[key]) for key in one.params if key[0] == "W")


@each
def test_biases_begin_at_zero_and_normalisations_as_nothing(name):
    begins = {"b": 0.0, "beta": 0.0, "gamma": 1.0, "mean": 0.0, "var": 1.0}
    net = NETWORKS[name].network()
    for key, value in (net.params | net.running).items():
        kind = key.rstrip("0123456789")
        assert kind == "W" or value.eq(begins[kind]).all(), key


@each
def test_a_network_is_float32_unless_told(name, rng):
    X, y = batch(NETWORKS[name], rng)
    net = NETWORKS[name].make(generator=generator("masks"))
    loss, grads = net.loss(X, y)  # float64 images are taken to the network's type
    assert isinstance(loss, float)
    assert {g.dtype for g in grads.values()} == {torch.float32} == {net.loss(X).dtype}


def test_batch_norm_follows_the_batches_only_while_training(rng):
    one = NETWORKS["with batchnorm"]
    net, (X, y) = stir(one.network(), rng), batch(one, rng)
    mean, var = net.running["mean1"].clone(), net.running["var1"].clone()
    a = linear(X, net.params["W1"], net.params["b1"])
    net.loss(X, y)
    torch.testing.assert_close(net.running["mean1"], 0.9 * mean + 0.1 * a.mean(dim=0))
    biased = a.var(dim=0, correction=0)
    torch.testing.assert_close(net.running["var1"], 0.9 * var + 0.1 * biased)


def test_dropout_draws_anew_at_every_loss_and_drops_its_share(rng):
    net = FullyConnectedNet(
        (4000,), 3, 2, dropout=0.25, dtype=torch.float64, generator=generator("masks")
    )
    net.params["b1"].fill_(1.0)
    X, y = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([1])
    first, second = (net.loss(X, y)[1]["W2"][:, 0] for _ in range(2))
    # All hidden numbers are 1: those dropped have no gradient, the others one of 4/3.
    assert not first.eq(second).all()
    for grad in (first, second):
        assert float(grad.eq(0).double().mean()) == pytest.approx(0.25, abs=0.03)
        torch.testing.assert_close(grad[grad != 0], grad.max().expand(int((grad != 0).sum())))


MEMORISERS = {
    "svm": lambda **o: LinearSVM(12, 4, **o),
    "two layers": lambda **o: TwoLayerNet(12, 20, 4, weight_scale="kaiming", **o),
    "fully connected": lambda **o: FullyConnectedNet(
        (20, 20), 12, 4, normalization="layernorm", weight_scale="xavier", **o
    ),
    "three layers": lambda **o: ThreeLayerConvNet(
        (3, 2, 2), 8, 3, 20, 4, weight_scale="kaiming", **o
    ),
    "deep with batchnorm": lambda **o: DeepConvNet(
        (3, 2, 2), (8, 8), (1,), True, 4, "kaiming", **o
    ),
}


@pytest.mark.parametrize("name", MEMORISERS)
def test_five_images_can_be_learned_by_heart(name, rng):
    shape = (3, 2, 2) if name in {"three layers", "deep with batchnorm"} else (12,)
    X, y = torch.randn(5, *shape, generator=rng), torch.tensor([0, 1, 2, 3, 1])
    net = MEMORISERS[name](generator=rng)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    solver = Solver(net, data, "adam", {"learning_rate": 0.03}, batch_size=5, num_epochs=40)
    solver.train()
    assert solver.best_val_acc == 1
    assert solver.check_accuracy(X, y) == 1
    assert solver.loss_history[-1] < 0.1 * solver.loss_history[0]


def test_a_linear_classifier_trains_itself_and_a_column_of_ones_is_its_bias(rng):
    X = torch.randn(60, 2, 1, dtype=torch.float64, generator=rng)
    y = (X[:, 0, 0] > 0.5).long()  # a border that does not go through the origin
    rows = with_ones(X)
    assert rows.shape == (60, 3)
    assert rows[:, 2].eq(1).all()
    for make in (LinearSVM, Softmax):
        net = make(3, 2, dtype=torch.float64, generator=generator("sgd"))
        losses = net.train(rows, y, learning_rate=0.5, num_iters=300, batch_size=30)
        assert len(losses) == 300
        assert sum(losses[-20:]) < 0.5 * sum(losses[:20])
        assert float((net.predict(rows) == y).double().mean()) > 0.95
        assert net.predict(rows).equal((rows @ net.params["W"]).argmax(dim=1))


# Captions


def captioner(cell, words=WORDS, **options):
    options = {"dtype": torch.float64, "generator": generator("captions")} | options
    return CaptioningRNN(words, 3, 2, 4, cell, **options)


def features(cell, rng, n=3):
    shape = (n, 3, 3, 2) if cell == "attention" else (n, 3)
    return torch.randn(shape, dtype=torch.float64, generator=rng)


def caption_scores(net, X, read):
    """Return the scores that a captioner should have for the words it reads."""
    p = net.params
    x = F.embedding(read, p["W_embed"])
    if net.cell_type == "attention":
        first = torch.einsum("ndab,dh->nhab", X, p["W_proj"]) + p["b_proj"][:, None, None]
        h = attention_lstm(x, first, p["Wx"], p["Wh"], p["Wattn"], p["b"])
    else:
        run = rnn if net.cell_type == "rnn" else lstm
        h = run(x, linear(X, p["W_proj"], p["b_proj"]), p["Wx"], p["Wh"], p["b"])
    return F.linear(h, p["W_vocab"].T, p["b_vocab"])


each_cell = pytest.mark.parametrize("cell", GATES)


@each_cell
def test_a_captioners_parameters_have_the_courses_names_and_shapes(cell):
    wide = 4 * GATES[cell]
    shapes = {
        "W_proj": (3, 4), "b_proj": (4,), "W_embed": (5, 2), "Wx": (2, wide), "Wh": (4, wide),
        "b": (wide,), "W_vocab": (4, 5), "b_vocab": (5,),
    }  # fmt: skip
    if cell == "attention":
        shapes["Wattn"] = (4, wide)
    assert {name: tuple(w.shape) for name, w in captioner(cell).params.items()} == shapes


@each_cell
def test_a_captioners_loss_and_gradients_agree_with_autograd(cell, rng):
    net, X = stir(captioner(cell), rng), features(cell, rng)

    def told():
        scores = caption_scores(net, X, CAPTIONS[:, :-1])
        flat, wanted = scores.flatten(0, 1), CAPTIONS[:, 1:].flatten()
        return F.cross_entropy(flat, wanted, ignore_index=0, reduction="sum") / 3

    wanted = gradients_by_autograd(net, told)
    loss, grads = net.loss(X, CAPTIONS)
    assert loss == pytest.approx(wanted[0], rel=1e-12)
    agree(grads, wanted[1])


@each_cell
def test_a_captioners_gradients_agree_with_finite_differences(cell, rng):
    net, X = stir(captioner(cell), rng), features(cell, rng, n=2)
    check_by_differences(net, X, CAPTIONS[:2])


@each_cell
def test_words_are_right_where_they_are_the_likeliest_and_padding_is_not_asked(cell, rng):
    net, X = stir(captioner(cell), rng), features(cell, rng)
    likeliest = caption_scores(net, X, CAPTIONS[:, :-1]).argmax(dim=2)
    captions = CAPTIONS.clone()
    captions[0, 3] = likeliest[0, 2].clamp(min=1)  # the last word, which is not read
    told = [
        int(likeliest[n, t]) == int(captions[n, t + 1])
        for n in range(3) for t in range(3) if captions[n, t + 1] != 0
    ]  # fmt: skip
    assert len(told) == 6
    assert net.right(X, captions).tolist() == told


@each_cell
def test_padding_after_a_caption_costs_nothing(cell, rng):
    net, X = stir(captioner(cell), rng), features(cell, rng)
    loss, grads = net.loss(X, CAPTIONS)
    padded = torch.cat([CAPTIONS, torch.zeros(3, 2, dtype=torch.long)], dim=1)
    longer, dlonger = net.loss(X, padded)
    assert longer == pytest.approx(loss, rel=1e-14)
    agree(dlonger, grads)


@each_cell
def test_what_it_samples_is_the_likeliest_word_after_each_and_ends_once(cell, rng):
    net = stir(captioner(cell), rng)
    X, ends = 5 * features(cell, rng, n=40), 0  # large, for captions of many lengths
    said, looked = net.sample_with_attention(X, max_length=6)
    assert said.shape == (40, 6)
    assert net.sample(X, 6).equal(said)
    read = torch.cat([torch.full((40, 1), WORDS["<START>"]), said[:, :-1]], dim=1)
    likeliest = caption_scores(net, X, read).argmax(dim=2)
    for n, words in enumerate(said.tolist()):
        end = words.index(WORDS["<END>"]) + 1 if WORDS["<END>"] in words else 6
        assert words[:end] == likeliest[n, :end].tolist()
        assert set(words[end:]) <= {WORDS["<NULL>"]}
        ends += end < 6
    assert 5 < ends < 40, "some must end before the last step and some not"
    assert (looked is None) == (cell != "attention")


def test_where_it_looked_sums_to_one_and_is_what_reading_its_own_words_shows(rng):
    net, X = stir(captioner("attention"), rng), features("attention", rng)
    said, looked = net.sample_with_attention(X, max_length=4)
    assert looked.shape == (3, 4, 3, 2)
    torch.testing.assert_close(looked.sum(dim=(2, 3)), torch.ones(3, 4, dtype=torch.float64))
    read = torch.cat([torch.full((3, 1), WORDS["<START>"]), said], dim=1)
    going = torch.cat([torch.ones(3, 1), (said != WORDS["<END>"]).cumprod(1)[:, :-1]], 1).bool()
    torch.testing.assert_close(net.attention(X, read)[going], looked[going])


@each_cell
def test_a_captioner_learns_three_captions_by_heart(cell, rng):
    net = CaptioningRNN(WORDS, 3, 8, 16, cell, dtype=torch.float64, generator=generator("captions"))
    X = features(cell, rng)
    configs = dict.fromkeys(net.params)
    first, _ = net.loss(X, CAPTIONS)
    assert 0.3 < first / (7 / 3 * math.log(5)) < 3  # seven words to say, five to choose from
    for _ in range(60):
        loss, grads = net.loss(X, CAPTIONS)
        for name, w in net.params.items():
            config = configs[name] or {"learning_rate": 0.03}
            net.params[name], configs[name] = adam(w, grads[name], config)
    assert loss < 0.1
    padded = torch.cat([CAPTIONS[:, 1:], torch.zeros(3, 1, dtype=torch.long)], dim=1)
    assert net.sample(X, 4).equal(padded)
    assert net.loss(X).equal(net.sample(X))


@each_cell
def test_any_numbering_of_the_words_gives_the_same_captions(cell, rng):
    net, X = stir(captioner(cell), rng), features(cell, rng)
    order = torch.tensor([4, 2, 0, 1, 3])  # old number to new
    renamed = {word: int(order[number]) for word, number in WORDS.items()}
    other = captioner(cell, renamed)
    other.params.update(net.params)
    back = order.argsort()
    other.params["W_embed"] = net.params["W_embed"][back]
    other.params["W_vocab"] = net.params["W_vocab"][:, back]
    other.params["b_vocab"] = net.params["b_vocab"][back]
    assert other.loss(X, order[CAPTIONS])[0] == pytest.approx(net.loss(X, CAPTIONS)[0], rel=1e-12)
    assert other.sample(X).equal(order[net.sample(X)])
