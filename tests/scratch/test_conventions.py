"""The conventions that trip people, each shown on a case: whose variance, which p, which gate."""

import math

import pytest
import torch
from torch import nn

from vislab.ops.seeding import generator
from vislab.scratch import (
    LSTM,
    AttentionLSTM,
    BatchNorm,
    Conv,
    Dropout,
    GroupNorm,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    attention_weights,
    kaiming_initializer,
    rel_error,
    xavier_initializer,
)
from vislab.scratch.batch_norm import SpatialBatchNorm


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_running_variance_is_the_biased_one_by_hand():
    mean, var = tensor([10.0]), tensor([20.0])
    x = tensor([[1.0], [2.0], [6.0]])  # mean 3; squares 4 + 1 + 9 = 14
    BatchNorm.forward(x, tensor([1.0]), tensor([0.0]), mean, var, momentum=0.75)
    assert mean.item() == pytest.approx(0.75 * 10 + 0.25 * 3, rel=1e-14)
    assert var.item() == pytest.approx(0.75 * 20 + 0.25 * 14 / 3, rel=1e-14)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 2)], ids=["rows", "images"])
def test_torchs_running_variance_is_larger_by_n_over_n_minus_one(shape, rng):
    n = math.prod(shape) // 3
    x = 2 * torch.randn(shape, dtype=torch.float64, generator=rng) + 1
    twin = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(3, momentum=0.1).double()
    layer = BatchNorm if len(shape) == 2 else SpatialBatchNorm
    mean, var = torch.zeros(3).double(), torch.zeros(3).double()
    twin.running_var.zero_()
    out, _ = layer.forward(x, torch.ones(3).double(), torch.zeros(3).double(), mean, var)
    # torch's 0.1 is our 0.9: what it gives to the batch, we give to what was.
    torch.testing.assert_close(out, twin(x).detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mean, twin.running_mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(var * n / (n - 1), twin.running_var, rtol=1e-12, atol=1e-12)
    assert rel_error(var, twin.running_var) > 0.01


def test_momentum_one_learns_nothing_and_zero_keeps_nothing(rng):
    x = torch.randn(6, 2, dtype=torch.float64, generator=rng)
    for momentum, wanted in [(1.0, (5.0, 7.0)), (0.0, (x.mean(0), x.var(0, correction=0)))]:
        mean, var = tensor([5.0, 5.0]), tensor([7.0, 7.0])
        BatchNorm.forward(x, mean * 0 + 1, mean * 0, mean, var, momentum=momentum)
        torch.testing.assert_close(mean, torch.as_tensor(wanted[0]).double().expand(2))
        torch.testing.assert_close(var, torch.as_tensor(wanted[1]).double().expand(2))


def test_after_many_batches_testing_is_as_training_was(rng):
    gamma, beta = tensor([2.0, 0.5, 1.0]), tensor([1.0, 0.0, -3.0])
    mean, var = torch.zeros(3).double(), torch.ones(3).double()
    x = 4 * torch.randn(50, 3, dtype=torch.float64, generator=rng) + 2
    for _ in range(200):  # 0.9 to the 200th is 7e-10
        trained, _ = BatchNorm.forward(x, gamma, beta, mean, var)
    tested, _ = BatchNorm.forward(x, gamma, beta, mean, var, training=False)
    torch.testing.assert_close(tested, trained, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("forward", "axes"),
    [
        (lambda x, g, b: LayerNorm.forward(x.flatten(1), g.repeat_interleave(6), b.repeat(3))[0],
         "of a row"),
        (lambda x, g, b: GroupNorm.forward(x, g, b[:3], 1)[0], "of an image"),
    ],
)  # fmt: skip
def test_layer_and_group_norm_never_look_at_other_images(forward, axes, rng):
    x = torch.randn(4, 3, 3, 2, dtype=torch.float64, generator=rng)
    gamma, beta = tensor([1.0, 2.0, 3.0]), torch.zeros(6).double()
    whole = forward(x, gamma, beta)
    alone = torch.cat([forward(one[None], gamma, beta) for one in x])
    torch.testing.assert_close(whole, alone, rtol=1e-13, atol=1e-13)


def test_batch_norm_takes_no_shift_and_no_scale_of_the_batch_from_above(rng):
    x, dout = (torch.randn(5, 3, dtype=torch.float64, generator=rng) for _ in range(2))
    ones, zeros = torch.ones(3).double(), torch.zeros(3).double()
    _, cache = BatchNorm.forward(x, ones, zeros, zeros.clone(), ones.clone(), eps=0.0)
    dx, _, _ = BatchNorm.backward(dout, cache)
    torch.testing.assert_close(dx.sum(0), zeros, rtol=0, atol=1e-12)
    torch.testing.assert_close((dx * x).sum(0), zeros, rtol=0, atol=1e-12)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_drops_a_share_p_and_keeps_the_expectation(p):
    x = torch.full((400, 500), 3.0, dtype=torch.float64)
    out, mask = Dropout.forward(x, p, generator=generator("dropout", str(p)))
    dropped = float(out.eq(0).double().mean())
    assert dropped == pytest.approx(p, abs=0.005)  # four standard deviations of 200 000 draws
    assert float(out.mean()) == pytest.approx(3, rel=0.02)
    kept = out[out != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 3 / (1 - p)), rtol=1e-14, atol=0)
    assert Dropout.backward(x, mask).equal(out)


def test_dropout_does_nothing_when_testing_and_draws_the_same_from_the_same_seed(rng):
    x = torch.randn(20, 30, dtype=torch.float64, generator=rng)
    out, cache = Dropout.forward(x, 0.5, training=False)
    assert out.equal(x)
    assert Dropout.backward(x, cache).equal(x)
    first, again, other = (Dropout.forward(x, 0.5, True, generator(key))[0] for key in "aab")
    assert first.equal(again)
    assert not first.equal(other)


GATES = ["input", "forget", "output", "candidate"]


@pytest.mark.parametrize(
    ("closed", "h", "c"),
    [
        # All open: i = f = o = 1 and g = 1, so c = 0.5 + 1.
        (None, math.tanh(1.5), 1.5),
        ("input", math.tanh(0.5), 0.5),
        ("forget", math.tanh(1.0), 1.0),
        ("output", 0.0, 1.5),
        ("candidate", math.tanh(-0.5), -0.5),  # its tanh is then -1
    ],
)
def test_an_lstms_gates_stand_in_the_order_input_forget_output_candidate(closed, h, c):
    a = [-40.0 if gate == closed else 40.0 for gate in GATES]
    found = LSTM.step_forward(
        tensor([[0.0]]), tensor([[0.0]]), tensor([[0.5]]), torch.zeros(1, 4).double(),
        torch.zeros(1, 4).double(), tensor(a),
    )  # fmt: skip
    assert [found[0].item(), found[1].item()] == pytest.approx([h, c], abs=1e-12)


def test_an_lstm_begins_with_an_empty_cell_and_one_with_attention_with_the_mean_of_the_map():
    forget_only = tensor([-40.0, 40.0, 40.0, 0.0])  # c_1 = c_0 and h_1 = tanh(c_0)
    x, w = torch.zeros(1, 1, 1).double(), torch.zeros(1, 4).double()
    h, _ = LSTM.forward(x, tensor([[0.7]]), w, w, forget_only)
    assert h.item() == pytest.approx(0, abs=1e-12)
    A = tensor([[[[1.0, 2.0, 6.0]]]])
    h, _ = AttentionLSTM.forward(x, A, w, w, w, forget_only)
    assert h.item() == pytest.approx(math.tanh(3.0), rel=1e-12)


def test_attention_divides_the_dot_product_by_the_root_of_the_features():
    # Two places of 4 features; the first state is their mean, 2 everywhere.
    A = torch.stack([torch.full((4,), 1.0), torch.full((4,), 3.0)], dim=1).double()[None, :, None]
    w = torch.zeros(4, 16).double()
    _, cache = AttentionLSTM.forward(torch.zeros(1, 1, 4).double(), A, w, w, w, w[0])
    weights = attention_weights(cache)[0, 0, 0]
    # The dot products are 8 and 24; halved, 4 and 12.
    assert weights[1] / weights[0] == pytest.approx(math.exp(8), rel=1e-12)


def test_multi_head_attention_divides_by_the_root_of_a_heads_features():
    x = tensor([[[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 3.0, 0.0]]])
    eye = torch.eye(4).double()
    out, _ = MultiHeadAttention.forward(
        x,
        torch.cat([eye, eye, eye], dim=1),
        torch.zeros(12).double(),
        eye,
        torch.zeros(4).double(),
        2,
    )
    # Head 0 of token 0: fits 1 and 0 over √2. Head 1: 4 and 6 over √2.
    first = 1 / (1 + math.exp(-1 / math.sqrt(2)))
    third = 2 + 1 / (1 + math.exp(-2 / math.sqrt(2)))
    torch.testing.assert_close(out[0, 0], tensor([first, 0.0, third, 0.0]), rtol=1e-12, atol=0)


def test_weights_of_a_linear_layer_stand_features_first_and_kernels_are_not_mirrored():
    out, _ = Linear.forward(tensor([[1.0, 10.0]]), tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
                            tensor([100.0, 200.0, 300.0]))  # fmt: skip
    assert out.tolist() == [[141, 252, 363]]
    out, _ = Conv.forward(tensor([[[[1.0, 2.0, 4.0]]]]), tensor([[[[10.0, 1.0]]]]), tensor([0.5]))
    assert out.flatten().tolist() == [12.5, 24.5]


DRAWN = [
    # Din, Dout, K, then fan in and fan out
    (400, 300, None, 400, 300),
    (30, 50, 7, 30 * 49, 50 * 49),
    (3, 200, 11, 3 * 121, 200 * 121),
]


@pytest.mark.parametrize(("Din", "Dout", "K", "fan_in", "fan_out"), DRAWN)
def test_weights_are_spread_as_the_papers_say(Din, Dout, K, fan_in, fan_out):
    wanted = {
        "kaiming": (kaiming_initializer(Din, Dout, K, generator=generator("k")), 2 / fan_in),
        "kaiming without relu": (
            kaiming_initializer(Din, Dout, K, relu=False, generator=generator("p")), 1 / fan_in
        ),
        "xavier": (
            xavier_initializer(Din, Dout, K, generator=generator("x")), 2 / (fan_in + fan_out)
        ),
    }  # fmt: skip
    for name, (w, variance) in wanted.items():
        assert w.shape == ((Din, Dout) if K is None else (Dout, Din, K, K)), name
        assert w.dtype == torch.float32
        # More than 70 000 draws: a variance is within 2 % in all but one of 10 000 trials.
        assert float(w.double().var()) == pytest.approx(variance, rel=0.03), name
        assert abs(float(w.mean())) < 5 * math.sqrt(variance / w.numel()), name
        beyond = float((w.double().abs() > 2 * math.sqrt(variance)).double().mean())
        assert beyond == pytest.approx(math.erfc(math.sqrt(2)), abs=0.004), "a normal's tail"


def test_kaiming_keeps_the_size_of_a_signal_through_many_relus(rng):
    h = torch.randn(64, 256, dtype=torch.float64, generator=rng)
    for _ in range(20):
        w = kaiming_initializer(256, 256, dtype=torch.float64, generator=rng)
        h = (h @ w).clamp(min=0)
    size = float((h**2).mean())  # of a ReLU's output half of what its input had
    assert 0.1 < size < 3
    for _ in range(20):
        h = (h @ xavier_initializer(256, 256, dtype=torch.float64, generator=rng)).clamp(min=0)
    assert float((h**2).mean()) < 1e-4 * size, "each ReLU halves it"


@pytest.mark.parametrize("initializer", [kaiming_initializer, xavier_initializer])
def test_weights_follow_from_the_generator_whatever_their_type(initializer):
    one = initializer(30, 20, dtype=torch.float64, generator=generator("w"))
    assert one.equal(initializer(30, 20, dtype=torch.float64, generator=generator("w")))
    assert not one.equal(initializer(30, 20, dtype=torch.float64, generator=generator("v")))
    single = initializer(30, 20, generator=generator("w"))
    torch.testing.assert_close(single.double(), one, rtol=1e-6, atol=1e-7)
