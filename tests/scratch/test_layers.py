"""Every layer against torch's own functions with autograd, and against finite differences."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.scratch.in_torch import (
    attention_lstm,
    batch_norm,
    conv,
    dropout,
    group_norm,
    layer_norm,
    linear,
    linear_over_time,
    lstm,
    lstm_step,
    max_pool,
    multi_head_attention,
    rnn,
    rnn_step,
)
from vislab.ops.seeding import generator
from vislab.scratch import (
    LSTM,
    RNN,
    AttentionLSTM,
    BatchNorm,
    Conv,
    ConvBatchNormReLU,
    ConvBatchNormReLUPool,
    ConvReLU,
    ConvReLUPool,
    Dropout,
    GroupNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    LinearBatchNormReLU,
    LinearReLU,
    MaxPool,
    MultiHeadAttention,
    ReLU,
    TemporalLinear,
    WordEmbedding,
    attention_weights,
    check_gradient,
    compute_numeric_gradient,
    rel_error,
)
from vislab.scratch.batch_norm import SpatialBatchNorm
from vislab.scratch.correlation import FEW_CHANNELS

STEP = 1e-4  # of finite differences
ROOM = 2e-3  # how far from a kink an input must lie: a step moves what is behind it by less
MANY = 30  # numbers; with more, random directions and some coordinates are looked at, not all
WORDS = torch.tensor([[3, 0, 3], [1, 3, 5]])  # of a table of 7; 3 comes more than once


@dataclass(frozen=True)
class Case:
    """A layer, the shapes of what it has gradients for, and the same thing written with torch."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    witness: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    kinks: Callable[..., torch.Tensor] | None = None  # numbers that no step may take through zero
    fixed: dict[str, tuple[int, ...]] = field(default_factory=dict)  # positive, without gradient
    options: dict[str, Any] = field(default_factory=dict)

    def draw(self, rng):
        fixed = {
            name: torch.rand(shape, dtype=torch.float64, generator=rng) + 0.5
            for name, shape in self.fixed.items()
        }
        options = {**self.options, **fixed}
        for _ in range(200):
            tensors = [torch.randn(s, dtype=torch.float64, generator=rng) for s in self.shapes]
            if self.kinks is None or self.kinks(*tensors, **options).abs().min() > ROOM:
                return tensors, options
        raise AssertionError(f"{self.name}: 200 draws, all of them near a kink")


def case(name, layer, witness, *shapes, kinks=None, fixed=None, step=False, **options):
    forward = layer.step_forward if step else layer.forward
    backward = layer.step_backward if step else layer.backward
    return Case(name, forward, backward, witness, shapes, kinks, fixed or {}, options)


class SeededDropout:
    """Dropout whose mask is the same at every call, as a difference of two calls needs it."""

    backward = Dropout.backward

    @staticmethod
    def forward(x, p, training):
        return Dropout.forward(x, p, training, generator("mask"))


def seeded_dropout(x, p, training):
    return dropout(x, p, training, generator("mask"))


class Embedding:
    """The words have no gradient: the table is the only tensor."""

    @staticmethod
    def forward(table):
        return WordEmbedding.forward(WORDS, table)

    backward = WordEmbedding.backward


def linear_norm(x, w, b, gamma, beta, **norm):
    return batch_norm(linear(x, w, b), gamma, beta, **norm)


def conv_norm(x, w, b, gamma, beta, stride=1, pad=0, **norm):
    return batch_norm(conv(x, w, b, stride, pad), gamma, beta, **norm)


def then(*steps):
    """Return the functions one after the other; only the first takes the options."""

    def all_of_them(*tensors, **options):
        out = steps[0](*tensors, **options)
        for step in steps[1:]:
            out = step(out)
        return out

    return all_of_them


def gaps(x, size=2, stride=2):
    """Return by how much the largest of each window leads, where it is not a ReLU's zero."""
    flat = x.flatten(0, 1)[:, None]
    first, second = F.unfold(flat, size, stride=stride).topk(2, dim=1).values.unbind(1)
    return (first - second)[first != 0]


def before_relu_and_pool(before):
    """Return what the ReLU gets and the leads in the windows after it."""

    def both(*tensors, **options):
        a = before(*tensors, **options)
        return torch.cat([a.flatten(), gaps(F.relu(a))])

    return both


def same(x, **options):
    return x


D, H, M = 4, 3, 5
NORM = {"running_mean": (M,), "running_var": (M,)}
IMAGES, KERNELS = (2, 3, 7, 6), (M, 3, 3, 2)
CASES = [
    case("linear", Linear, linear, (3, D), (D, M), (M,)),
    case("linear of images", Linear, linear, (2, 3, 2, 1), (6, M), (M,)),
    case("linear, one row", Linear, linear, (1, D), (D, 1), (1,)),
    case("linear over time", TemporalLinear, linear_over_time,
         (2, 3, D), (D, M), (M,)),
    case("relu", ReLU, F.relu, (2, 3, 7, 6), kinks=same),
    case("leaky relu", LeakyReLU, F.leaky_relu, (3, D), kinks=same),
    case("leaky relu, slope 0.3", LeakyReLU, lambda x, slope: F.leaky_relu(x, slope), (2, 3, D),
         kinks=same, slope=0.3),
    case("dropout", SeededDropout, seeded_dropout, (5, 7), p=0.3, training=True),
    case("dropout of nothing", SeededDropout, seeded_dropout, (5, 7), p=0.0, training=True),
    case("dropout, testing", SeededDropout, seeded_dropout, (5, 7), p=0.3, training=False),
    *(
        case(f"conv, stride {stride}, pad {pad}", Conv, conv, IMAGES, KERNELS, (M,),
             stride=stride, pad=pad)
        for stride, pad in [(1, 0), (1, 1), (1, 3), (2, 0), (2, 1), (2, 2), (3, 0), (3, 3)]
    ),
    case("conv, one image, one channel", Conv, conv, (1, 1, 7, 6), (2, 1, 2, 3), (2,), pad=1),
    case("conv, one pixel a kernel", Conv, conv, (2, 3, 4, 5), (2, 3, 1, 1), (2,), stride=2),
    case("conv, a kernel as large as the image", Conv, conv, (2, 3, 4, 5), (2, 3, 4, 5), (2,)),
    case("conv, 40 channels", Conv, conv, (1, 40, 5, 4), (2, 40, 3, 2), (2,), pad=1),
    case("conv, 40 channels, stride 2", Conv, conv, (2, 40, 5, 4), (2, 40, 2, 3), (2,), stride=2,
         pad=1),
    case("conv, 40 channels, stride 3", Conv, conv, (2, 40, 6, 5), (1, 40, 2, 2), (1,), stride=3),
    *(
        case(f"max pool of {size}, {step} apart", MaxPool, max_pool, (2, 2, 7, 6), kinks=gaps,
             size=size, stride=step)
        for size, step in [(2, 2), (3, 2), (2, 3), (3, 1)]
    ),
    case("batch norm", BatchNorm, batch_norm, (4, M), (M,), (M,), fixed=NORM),
    case("batch norm, eps 0.1", BatchNorm, batch_norm, (4, M), (M,), (M,), fixed=NORM, eps=0.1),
    case("batch norm, testing", BatchNorm, batch_norm, (4, M), (M,), (M,), fixed=NORM,
         training=False),
    case("batch norm, testing one", BatchNorm, batch_norm, (1, M), (M,), (M,), fixed=NORM,
         training=False),
    case("spatial batch norm", SpatialBatchNorm, batch_norm, (2, M, 3, 2), (M,), (M,), fixed=NORM),
    case("spatial batch norm, one image", SpatialBatchNorm, batch_norm, (1, M, 3, 2), (M,), (M,),
         fixed=NORM),
    case("spatial batch norm, testing", SpatialBatchNorm, batch_norm, (2, M, 3, 2), (M,), (M,),
         fixed=NORM, training=False),
    case("layer norm", LayerNorm, layer_norm, (3, M), (M,), (M,)),
    case("layer norm of one", LayerNorm, layer_norm, (1, M), (M,), (M,), eps=1e-2),
    case("layer norm over time", LayerNorm, layer_norm, (2, 3, M), (M,), (M,)),
    *(
        case(f"group norm, {count} groups", GroupNorm, group_norm, (2, 6, 3, 2), (6,), (6,),
             groups=count)
        for count in (1, 2, 3, 6)
    ),
    case("rnn, a step", RNN, rnn_step, (2, D), (2, H), (D, H), (H, H), (H,), step=True),
    case("rnn", RNN, rnn, (2, 5, D), (2, H), (D, H), (H, H), (H,)),
    case("rnn, one step", RNN, rnn, (1, 1, D), (1, H), (D, H), (H, H), (H,)),
    case("lstm, a step", LSTM, lstm_step, (2, D), (2, H), (2, H), (D, 4 * H), (H, 4 * H), (4 * H,),
         step=True),
    case("lstm", LSTM, lstm, (2, 5, D), (2, H), (D, 4 * H), (H, 4 * H), (4 * H,)),
    case("lstm, one step", LSTM, lstm, (1, 1, D), (1, H), (D, 4 * H), (H, 4 * H), (4 * H,)),
    case("attention lstm", AttentionLSTM, attention_lstm, (2, 4, D), (2, H, 3, 2), (D, 4 * H),
         (H, 4 * H), (H, 4 * H), (4 * H,)),
    case("attention lstm, one place, one step", AttentionLSTM, attention_lstm, (1, 1, D),
         (1, H, 1, 1), (D, 4 * H), (H, 4 * H), (H, 4 * H), (4 * H,)),
    case("word embedding", Embedding, lambda table: F.embedding(WORDS, table), (7, D)),
    *(
        case(f"attention, {heads} heads", MultiHeadAttention, multi_head_attention, (2, 3, 6),
             (6, 18), (18,), (6, 6), (6,), heads=heads)
        for heads in (1, 2, 3, 6)
    ),
    case("attention, one token", MultiHeadAttention, multi_head_attention, (1, 1, 2), (2, 6), (6,),
         (2, 2), (2,), heads=2),
    case("linear-relu", LinearReLU, then(linear, F.relu), (3, 2, 2), (4, M), (M,), kinks=linear),
    case("linear-batch norm-relu", LinearBatchNormReLU, then(linear_norm, F.relu), (4, D), (D, M),
         (M,), (M,), (M,), kinks=linear_norm, fixed=NORM),
    case("linear-batch norm-relu, testing", LinearBatchNormReLU, then(linear_norm, F.relu), (4, D),
         (D, M), (M,), (M,), (M,), kinks=linear_norm, fixed=NORM, training=False),
    case("conv-relu", ConvReLU, then(conv, F.relu), IMAGES, KERNELS, (M,), kinks=conv,
         stride=2, pad=1),
    case("conv-relu-pool", ConvReLUPool, then(conv, F.relu, max_pool), IMAGES, KERNELS, (M,),
         kinks=before_relu_and_pool(conv), stride=1, pad=1),
    case("conv-batch norm-relu", ConvBatchNormReLU, then(conv_norm, F.relu), (2, 3, 5, 4), KERNELS,
         (M,), (M,), (M,), kinks=conv_norm, fixed=NORM, stride=2, pad=1),
    case("conv-batch norm-relu-pool", ConvBatchNormReLUPool, then(conv_norm, F.relu, max_pool),
         (2, 3, 5, 4), KERNELS, (M,), (M,), (M,), kinks=before_relu_and_pool(conv_norm),
         fixed=NORM, pad=1),
    case("conv-batch norm-relu-pool, testing", ConvBatchNormReLUPool,
         then(conv_norm, F.relu, max_pool), (2, 3, 5, 4), KERNELS, (M,), (M,), (M,),
         kinks=before_relu_and_pool(conv_norm), fixed=NORM, training=False, pad=1),
]  # fmt: skip
each = pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)


def several(found):
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def upstream(outs, rng):
    return [torch.randn(out.shape, dtype=out.dtype, generator=rng) for out in outs]


def test_the_table_is_whole():
    assert len({one.name for one in CASES}) == len(CASES) > 50
    assert FEW_CHANNELS < 40, "the kernel's gradient has another way for many channels"


@each
def test_forward_and_backward_agree_with_torch(one, rng):
    tensors, options = one.draw(rng)
    *outs, cache = one.forward(*tensors, **options)
    douts = upstream(outs, rng)
    leaves = [t.clone().requires_grad_() for t in tensors]
    expected = several(one.witness(*leaves, **options))
    wanted = torch.autograd.grad(expected, leaves, douts)
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(tuple(outs), expected, **close)
    torch.testing.assert_close(several(one.backward(*douts, cache)), wanted, **close)


@each
def test_backward_agrees_with_finite_differences(one, rng):
    tensors, options = one.draw(rng)
    *outs, cache = one.forward(*tensors, **options)
    douts = upstream(outs, rng)
    found = several(one.backward(*douts, cache))
    assert len(found) == len(tensors)

    for place, ours in enumerate(found):

        def weighed(tensor, place=place):
            given = [*tensors[:place], tensor, *tensors[place + 1 :]]
            *results, _ = one.forward(*given, **options)
            return sum((out * dout).sum() for out, dout in zip(results, douts, strict=True))

        if ours.numel() > MANY:
            check_gradient(weighed, tensors[place], ours, tolerance=1e-7, h=STEP)
        else:
            numeric = compute_numeric_gradient(weighed, tensors[place], h=STEP)
            # A bias before batch normalisation has none: sizes far below 1e-3 count as zero.
            assert rel_error(ours, numeric, eps=1e-3) <= 1e-7, f"gradient {place}"


@each
def test_nothing_handed_in_is_changed_and_backward_can_be_called_again(one, rng):
    tensors, options = one.draw(rng)
    before = [t.clone() for t in tensors]
    *outs, cache = one.forward(*tensors, **options)
    douts = upstream(outs, rng)
    above = [dout.clone() for dout in douts]
    first = [g.clone() for g in several(one.backward(*douts, cache))]
    again = several(one.backward(*douts, cache))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tensors + douts, before + above, strict=True))


@each
def test_float32_stays_float32(one, rng):
    if "dropout" in one.name:  # another type draws another mask
        return
    tensors, options = one.draw(rng)
    *outs, cache = one.forward(*tensors, **options)
    douts = upstream(outs, rng)
    exact = (*outs, *several(one.backward(*douts, cache)))
    single = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    *outs, cache = one.forward(*(t.float() for t in tensors), **single)
    came = (*outs, *several(one.backward(*(dout.float() for dout in douts), cache)))
    assert {t.dtype for t in came} == {torch.float32}
    for ours, wanted in zip(came, exact, strict=True):
        torch.testing.assert_close(ours.double(), wanted, rtol=1e-4, atol=1e-4)


def test_of_equal_numbers_the_first_in_reading_order_gets_the_gradient():
    x = torch.tensor([[1.0, 5.0, 0.0], [5.0, 5.0, 0.0], [0.0, 0.0, 0.0]]).double()[None, None]
    out, cache = MaxPool.forward(x, 2, 1)
    dout = torch.tensor([[1.0, 10.0], [100.0, 1000.0]]).double()[None, None]
    assert out.flatten().tolist() == [5, 5, 5, 5]
    # Both upper windows choose (0, 1), the lower left one (1, 0), the lower right one (1, 1).
    assert MaxPool.backward(dout, cache)[0, 0].tolist() == [[0, 11, 0], [100, 1000, 0], [0, 0, 0]]


def test_at_zero_relu_passes_no_gradient():
    x = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    dout = torch.tensor([3.0, 5.0, 7.0], dtype=torch.float64)
    out, cache = ReLU.forward(x)
    assert out.tolist() == [0, 0, 2]
    assert ReLU.backward(dout, cache).tolist() == [0, 0, 7]
    out, cache = LeakyReLU.forward(x, 0.5)
    assert out.tolist() == [-0.5, 0, 2]
    assert LeakyReLU.backward(dout, cache).tolist() == [1.5, 2.5, 7]


def test_attention_weights_are_the_softmax_of_the_fit_before_each_step(rng):
    def draw(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=rng)

    A = draw(2, 4, 3, 2)
    h, cache = AttentionLSTM.forward(
        draw(2, 5, D), A, draw(D, 16), draw(4, 16), draw(4, 16), draw(16)
    )
    weights = attention_weights(cache)
    assert weights.shape == (2, 5, 3, 2)
    before = torch.cat([A.mean(dim=(2, 3))[:, None], h[:, :-1]], dim=1)  # h_{t-1} of every step
    fit = torch.einsum("nth,nhab->ntab", before, A) / 2  # the root of 4 features
    expected = fit.flatten(2).softmax(dim=2).view(2, 5, 3, 2)
    torch.testing.assert_close(weights, expected, rtol=1e-12, atol=1e-12)
