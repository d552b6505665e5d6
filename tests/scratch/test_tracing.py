"""What a pass through a network shows of itself, and that looking leaves nothing behind."""

from itertools import pairwise

import pytest
import torch

from tests.tasks.small_networks import NETWORKS, OF_IMAGES, stir
from vislab import scratch
from vislab.errors import OptionError, ShapeError, UnknownName
from vislab.scratch import Conv, Dropout, Linear, MultiHeadAttention, ReLU, TemporalLinear
from vislab.scratch.tracing import FAULTS, LAYERS, parse_place, trace

each = pytest.mark.parametrize("name", NETWORKS)
NORMAL = ["Linear 1", "LayerNorm 1", "ReLU 1", "Dropout 1"]
NAMES = {
    "svm": ["Linear 1"],
    "two layers": ["Linear 1", "ReLU 1", "Linear 2"],
    "layernorm and dropout": [
        *NORMAL, "Linear 2", "LayerNorm 2", "ReLU 2", "Dropout 2", "Linear 3"
    ],
    "three layers": ["Conv 1", "ReLU 1", "MaxPool 1", "Linear 1", "ReLU 2", "Linear 2"],
    "deep with batchnorm": [
        "Conv 1", "SpatialBatchNorm 1", "ReLU 1", "MaxPool 1",
        "Conv 2", "SpatialBatchNorm 2", "ReLU 2", "Linear 1",
    ],
    "rnn": ["Linear 1", "WordEmbedding 1", "RNN 1", "TemporalLinear 1"],
    "lstm": ["Linear 1", "WordEmbedding 1", "LSTM 1", "TemporalLinear 1"],
    "attention": ["Linear 1", "WordEmbedding 1", "AttentionLSTM 1", "TemporalLinear 1"],
}  # fmt: skip


def heard(name, rng, plant=None):
    """Return the calls of one pass, its loss and gradients."""
    network = stir(NETWORKS[name].network(), rng)
    X, y = NETWORKS[name].batch(0)
    with trace(plant) as calls:
        loss, grads = network.loss(X, y)
    return calls, loss, grads


def same(call, wanted):
    """Ask for a call's gradients to be these. A network leaves out that of what it reads."""
    for place, (came, gradient) in enumerate(zip(call.gradients, wanted, strict=True)):
        left_out = (call.name, place) in (("Linear 1", 0), ("Conv 1", 0)) and came.numel() == 0
        assert left_out or came.equal(gradient), f"{call.name}, gradient {place}"


def as_defined():
    return {name: (layer.forward, layer.backward) for name, layer in LAYERS.items()}


@pytest.mark.parametrize("name", NAMES)
def test_calls_stand_in_order_numbered_by_kind_and_sandwiches_as_their_parts(name, rng):
    calls, _, _ = heard(name, rng)
    assert [call.name for call in calls] == NAMES[name]


@each
def test_a_pass_is_the_same_to_the_last_bit_whether_or_not_it_is_traced(name, rng):
    alone = stir(NETWORKS[name].network(), rng)
    traced = NETWORKS[name].network()
    traced.params.update({key: w.clone() for key, w in alone.params.items()})
    traced.running.update({key: value.clone() for key, value in alone.running.items()})
    X, y = NETWORKS[name].batch(0)
    loss, grads = alone.loss(X, y)
    with trace():
        again, found = traced.loss(X, y)
        scores = traced.loss(X)
    assert again == loss
    assert list(found) == list(grads)
    assert all(found[key].equal(g) for key, g in grads.items())
    assert all(traced.running[key].equal(value) for key, value in alone.running.items())
    assert traced.generator.get_state().equal(alone.generator.get_state())
    assert scores.equal(alone.loss(X))


@pytest.mark.parametrize("name", OF_IMAGES)  # with words and features there is no one chain
def test_what_a_layer_is_given_back_is_what_the_layer_above_gave(name, rng):
    calls, _, _ = heard(name, rng)
    for below, above in pairwise(calls):
        assert below.dout is not None
        assert below.dout.equal(above.gradients[0].view(below.dout.shape))
        assert above.inputs[0].equal(below.out)


@each
def test_the_gradients_of_a_pass_are_those_that_its_layers_gave(name, rng):
    calls, _, grads = heard(name, rng)
    given = [gradient for call in calls for gradient in call.gradients]
    assert all(any(gradient is g for g in given) for gradient in grads.values())


@each
def test_a_call_can_be_made_again_and_gives_the_same(name, rng):
    calls, _, _ = heard(name, rng)
    for call in calls:
        out, cache = call.forward(call.inputs)
        assert out.equal(call.out), call.name
        again = call.backward(call.dout, cache)
        same(call, again)
        asked = [tuple(call.inputs[place].shape) for place in call.differentiated]
        assert asked == [tuple(gradient.shape) for gradient in again]


@pytest.mark.parametrize("name", ["batchnorm and dropout", "deep with batchnorm"])
def test_making_calls_again_moves_no_average_and_draws_nothing(name, rng):
    network = stir(NETWORKS[name].network(), rng)
    X, y = NETWORKS[name].batch(0)
    with trace() as calls:
        network.loss(X, y)
    averages = {key: value.clone() for key, value in network.running.items()}
    state = network.generator.get_state()
    for call in calls:
        call.forward(call.inputs)
    assert len(averages) == 4
    assert all(network.running[key].equal(value) for key, value in averages.items())
    assert network.generator.get_state().equal(state)


def test_a_layer_made_of_layers_stands_as_itself(rng):
    x = torch.randn(2, 3, 4, generator=rng)
    weights = [torch.randn(shape, generator=rng) for shape in ((4, 12), (12,), (4, 4), (4,))]
    with trace() as calls:
        out, cache = MultiHeadAttention.forward(x, *weights, heads=2)
        MultiHeadAttention.backward(torch.randn(out.shape, generator=rng), cache)
        TemporalLinear.forward(x, weights[2], weights[3])
    assert [call.name for call in calls] == ["MultiHeadAttention 1", "TemporalLinear 1"]
    assert calls[0].options == {"heads": 2}
    assert len(calls[0].gradients) == 5


def test_when_testing_nothing_goes_back(rng):
    network = stir(NETWORKS["layernorm and dropout"].network(), rng)
    X, _ = NETWORKS["layernorm and dropout"].batch(0)
    with trace() as calls:
        network.loss(X)
    assert [call.name for call in calls] == NAMES["layernorm and dropout"]
    assert all(call.dout is None and call.gradients is None for call in calls)
    assert calls[0].differentiated == ()


def test_every_layer_of_the_room_can_be_heard():
    layers = {
        name
        for name in dir(scratch)
        if isinstance(getattr(scratch, name), type)
        and {"forward", "backward"} <= set(vars(getattr(scratch, name)))
    }
    networks = {name for name in layers if hasattr(getattr(scratch, name), "loss")}
    sandwiches = {name for name in layers if name.endswith(("ReLU", "Pool"))} - {
        "ReLU", "LeakyReLU", "MaxPool"
    }  # fmt: skip
    assert len(sandwiches) == 6
    assert layers - networks - sandwiches == set(LAYERS)


# Looking leaves nothing behind


class Stop(Exception):
    pass


def fail_in_the_block(x):
    Linear.forward(x, torch.zeros(3, 2), torch.zeros(2))
    raise Stop


def fail_in_a_layer(x):
    Linear.forward(x, torch.zeros(4, 2), torch.zeros(2))


def fail_going_back(x):
    _, cache = ReLU.forward(x)
    ReLU.backward(x[:1], cache)


@pytest.mark.parametrize(
    ("fail", "error"),
    [(fail_in_the_block, Stop), (fail_in_a_layer, ShapeError), (fail_going_back, ShapeError)],
)
def test_after_an_error_every_layer_is_as_it_was(fail, error):
    before = as_defined()
    with pytest.raises(error), trace():
        fail(torch.ones(2, 3))
    assert as_defined() == before
    assert all(isinstance(vars(layer)["forward"], staticmethod) for layer in LAYERS.values())


def test_after_a_layer_has_failed_the_others_are_still_heard(rng):
    x = torch.randn(2, 3, generator=rng)
    with trace() as calls:
        with pytest.raises(ShapeError):
            fail_in_a_layer(x)
        with pytest.raises(ShapeError):
            fail_going_back(x)
        ReLU.forward(x)
    assert [call.name for call in calls] == ["ReLU 1", "ReLU 2"]


def test_after_the_block_nothing_is_heard_and_nothing_is_wrong(rng):
    before = as_defined()
    calls, _, _ = heard("two layers", rng, ("Linear", 2, "sign"))
    assert as_defined() == before
    x, w = torch.randn(2, 3, generator=rng), torch.randn(3, 2, generator=rng)
    out, cache = Linear.forward(x, w, torch.zeros(2))
    dout = torch.randn(out.shape, generator=rng)
    torch.testing.assert_close(Linear.backward(dout, cache)[1], x.T @ dout)
    assert len(calls) == 3


# Planted faults


def spoilt(fault, gradient):
    if fault == "sign":
        return -gradient
    if fault == "factor":
        return 0.5 * gradient
    rows = gradient.reshape(gradient.shape[0], gradient.shape[1], -1)
    swapped = [rows[i, j] for j in range(rows.shape[1]) for i in range(rows.shape[0])]
    return torch.stack(swapped).reshape(gradient.shape)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("plant", [("Linear", 2), ("Conv", 1), ("ReLU", 2), ("MaxPool", 1)])
def test_a_fault_is_planted_in_the_layer_that_was_asked_for_only(fault, plant, rng):
    calls, _, _ = heard("three layers", rng, (*plant, fault))
    assert [call.name for call in calls if call.fault] == [f"{plant[0]} {plant[1]}"]
    for call in calls:
        true = LAYERS[call.layer].backward(call.dout, call.cache)
        true = true if isinstance(true, tuple) else (true,)
        if not call.fault:
            same(call, true)
            continue
        # What flows on and the weights are spoilt, the bias is not.
        same(call, (*(spoilt(fault, g) for g in true[:2]), *true[2:]))
        assert not any(a.equal(b) for a, b in zip(call.gradients[:2], true, strict=False))


def test_a_fault_spoils_what_lies_below_it_and_nothing_above(rng):
    draws = [torch.Generator().manual_seed(1) for _ in range(2)]
    _, loss, right = heard("deep", draws[0])
    _, same, wrong = heard("deep", draws[1], ("ReLU", 2, "factor"))
    assert same == loss
    assert [name for name in right if right[name].equal(wrong[name])] == ["W3", "b3"]
    for name in ("W2", "b2", "W1", "b1"):
        torch.testing.assert_close(wrong[name], right[name] / 2)


def test_numbers_in_the_wrong_order_are_those_of_the_transposed(rng):
    given = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    assert FAULTS["transpose"](given).tolist() == [[1, 4, 2], [5, 3, 6]]
    assert FAULTS["transpose"](given[0]).tolist() == [3, 2, 1]
    assert FAULTS["factor"](given).tolist() == [[0.5, 1, 1.5], [2, 2.5, 3]]


def test_a_layer_with_one_gradient_gives_one_with_its_fault(rng):
    x = torch.randn(3, 4, generator=rng)
    with trace(("Dropout", 1, "sign")):
        out, cache = Dropout.forward(x, 0.5, True, torch.Generator().manual_seed(0))
        found = Dropout.backward(x, cache)
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, -out)


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        (("Cnov", 1, "sign"), r"no layer is named 'Cnov'\. Did you mean 'Conv'\? .*MaxPool"),
        (("Conv", 1, "sing"), r"no fault is named 'sing'\. .*factor, sign, transpose"),
    ],
)
def test_an_unknown_layer_or_fault_names_those_there_are(plant, sentence):
    before = as_defined()
    with pytest.raises(UnknownName, match=sentence), trace(plant):
        pass
    assert as_defined() == before


# Places


@pytest.mark.parametrize(
    ("text", "place"),
    [("Conv", ("Conv", 1)), ("Conv:2", ("Conv", 2)), ("LSTM:13", ("LSTM", 13))],
)
def test_a_place_is_read_from_a_kind_and_a_number(text, place):
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "Conv:0", "Conv:", "Conv:-1", "Conv:1.5", "Conv:two", "Conv: 2", "Conv:1:2",
        "Conv:²",
    ],
)  # fmt: skip
def test_what_is_no_place_is_told_so(text):
    with pytest.raises(OptionError, match="from 1 on") as error:
        parse_place(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["", ":2", "conv:1", "ConvReLU:1"])
def test_what_is_no_layer_names_those_there_are(text):
    with pytest.raises(UnknownName, match="Known: AttentionLSTM, BatchNorm, Conv, Dropout"):
        parse_place(text)
    assert LAYERS["Conv"] is Conv
