"""Rates against torch's schedulers and closed forms; rules against hand-made steps."""

import math
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vislab.errors import OptionError
from vislab.models import ConvNet
from vislab.tasks.optim import Optim

shares = st.floats(0, 1)


@pytest.mark.parametrize(("warmup", "rise"), [(0.0, 0.3), (0.25, 0.25)])
def test_one_cycle_runs_through_torchs_curve(warmup, rise):
    """Torch peaks at step rise·T − 1 and ends at T − 1; ours is told shares, 0 to 1."""
    steps, lr = 40, 0.02
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lr, total_steps=steps, pct_start=rise, anneal_strategy="cos",
        cycle_momentum=False, three_phase=False, div_factor=25, final_div_factor=1e4,
    )  # fmt: skip
    ours = Optim(lr=lr, schedule="one-cycle", warmup=warmup)
    peak, last = rise * steps - 1, steps - 1
    for step in range(steps):
        if step <= peak:
            share = rise * step / peak
        else:
            share = rise + (1 - rise) * (step - peak) / (last - peak)
        assert ours.rate(share) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6, abs=1e-12)
        optimiser.step()
        if step < last:
            schedule.step()


def test_one_cycle_begins_peaks_and_ends_where_it_says():
    ours = Optim(lr=0.5, schedule="one-cycle")
    assert ours.rate(0.0) == pytest.approx(0.02)
    assert ours.rate(0.15) == pytest.approx((0.02 + 0.5) / 2)
    assert ours.rate(0.3) == pytest.approx(0.5)
    assert ours.rate(0.65) == pytest.approx((0.5 + 0.02 / 1e4) / 2)
    assert ours.rate(1.0) == pytest.approx(0.02 / 1e4)


def test_cosine_falls_as_torchs_does():
    steps, lr = 30, 0.3
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    ours = Optim(lr=lr, schedule="cosine")
    for step in range(steps):
        assert ours.rate(step / steps) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimiser.step()
        schedule.step()
    assert ours.rate(1.0) == pytest.approx(0, abs=1e-12)


@given(share=shares)
def test_cosine_after_a_warm_up_is_a_line_and_half_a_wave(share):
    ours = Optim(lr=0.4, schedule="cosine", warmup=0.2)
    if share < 0.2:
        expected = 0.4 * share / 0.2
    else:
        expected = 0.2 * (1 + math.cos(math.pi * (share - 0.2) / 0.8))
    assert ours.rate(share) == pytest.approx(expected, abs=1e-12)


@given(share=shares)
def test_constant_is_constant_but_for_a_warm_up(share):
    assert Optim(lr=0.4).rate(share) == 0.4
    assert Optim(lr=0.4, warmup=0.5).rate(share) == pytest.approx(0.4 * min(1, 2 * share))


@given(
    share=shares,
    beyond=st.floats(0, 1e6),
    schedule=st.sampled_from(["constant", "cosine", "one-cycle"]),
    warmup=st.floats(0, 0.9),
)
def test_a_rate_is_never_negative_nor_above_the_highest(share, beyond, schedule, warmup):
    ours = Optim(lr=0.1, schedule=schedule, warmup=warmup)
    assert 0 <= ours.rate(share) <= 0.1 * (1 + 1e-12)
    assert ours.rate(1 + beyond) == ours.rate(1.0)
    assert ours.rate(-beyond) == ours.rate(0.0)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_a_rate_has_no_jumps(schedule):
    ours = Optim(lr=0.1, schedule=schedule, warmup=0.3)
    rates = [ours.rate(n / 10_000) for n in range(10_001)]
    assert max(abs(a - b) for a, b in pairwise(rates)) < 0.1 / 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, r"--optim\.lr 0\.0 must be above 0"),
        ({"lr": float("nan")}, r"--optim\.lr nan must be above 0"),
        ({"weight_decay": -0.1}, r"--optim\.weight-decay -0\.1 must not be negative"),
        ({"clip": -1.0}, r"--optim\.clip -1\.0 must not be negative"),
        ({"momentum": 1.0}, r"--optim\.momentum 1\.0 must be at least 0 and below 1"),
        ({"warmup": -0.1}, r"--optim\.warmup -0\.1 must be at least 0 and below 1"),
        ({"warmup": 1.0}, r"--optim\.warmup 1\.0 must be"),
        ({"ema": 1.5}, r"--optim\.ema 1\.5 must be"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Optim(**options)


def test_weights_are_decayed_and_biases_and_normalisation_are_not():
    model = ConvNet(classes=3, widths=(4, 6))
    model.features[0].weight.requires_grad_(False)
    optimiser = Optim(name="adamw", lr=0.01, weight_decay=0.05).build(model)
    matrices = {f"features.{n}.weight" for n in (3, 7, 10)} | {"head.weight"}
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    for name, p in model.named_parameters():
        if name == "features.0.weight":
            assert id(p) not in decays  # frozen
        else:
            assert decays[id(p)] == (0.05 if name in matrices else 0.0), name
    assert len(decays) == 13


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_group_that_would_be_empty_is_left_out(name):
    layer = nn.Linear(3, 2, bias=False)
    assert len(Optim(name=name).build(layer).param_groups) == 1


def stepped(optim, gradients, start=(1.0, -2.0)):
    """The weights of a 1×2 layer after a step with each of the gradients."""
    layer = nn.Linear(2, 1, bias=False).double()
    layer.weight.data = torch.tensor([start], dtype=torch.float64)
    optimiser = optim.build(layer)
    for gradient in gradients:
        layer.weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
    return layer.weight[0].tolist()


def test_sgd_is_with_nesterovs_momentum():
    """v ← 0.8 v + g; w ← w − 0.1 (g + 0.8 v)."""
    rule = Optim(name="sgd", lr=0.1, momentum=0.8)
    # first: v = g, so g + 0.8 g; second: v = 0.8 g + h, so h + 0.64 g + 0.8 h
    first = stepped(rule, [(1.0, 2.0)])
    assert first == pytest.approx([1 - 0.18, -2 - 0.36])
    second = stepped(rule, [(1.0, 2.0), (-1.0, 0.5)])
    assert second == pytest.approx([0.82 - 0.1 * (-1.8 + 0.64), -2.36 - 0.1 * (0.9 + 1.28)])


def test_sgd_without_momentum_is_plain_and_decays_towards_zero():
    rule = Optim(name="sgd", lr=0.1, momentum=0.0, weight_decay=0.5)
    assert stepped(rule, [(1.0, 2.0)]) == pytest.approx([1 - 0.15, -2 - 0.1])


def test_adamw_decays_apart_from_the_gradient_and_adam_within_it():
    """The first step of Adam is the sign of the gradient, however large."""
    adamw = stepped(Optim(name="adamw", lr=0.1, weight_decay=0.5), [(3.0, 0.01)])
    assert adamw == pytest.approx([0.95 - 0.1, -1.9 - 0.1], abs=1e-6)
    adam = stepped(Optim(name="adam", lr=0.1, weight_decay=0.5), [(3.0, 0.01)])
    assert adam == pytest.approx([1 - 0.1, -2 + 0.1], abs=1e-6)  # 0.01 − 1 is below zero


def test_a_rule_is_described_by_name_and_rate():
    assert Optim().describe() == "adam 0.001"
    assert Optim(name="sgd", lr=0.05, weight_decay=5e-4).describe() == "sgd 0.05, decay 0.0005"


def test_naming_a_rule_does_not_import_torch():
    code = (
        "import sys; from vislab.tasks.optim import Optim; from vislab.data.augment import Augment;"
        "Optim().rate(0.5); Augment(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
