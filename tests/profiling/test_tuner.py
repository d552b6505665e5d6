"""Trials before a training: what they find, and that they leave no trace."""

import copy
import math
from itertools import count, cycle, islice

import pytest
import torch
from torch import nn

from vislab.data.batches import Batch
from vislab.errors import NonFiniteLoss
from vislab.models import ConvNet
from vislab.models.parameter_groups import parameter_groups
from vislab.ops.seeding import generator
from vislab.profiling import tuner
from vislab.profiling.tuner import (
    bytes_per_image,
    largest_batch,
    loss_of,
    lr_range_test,
    seconds_per_image,
    unchanged,
)
from vislab.tasks import Classify
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

CPU = torch.device("cpu")


def task_of(strategy=None, **options):
    """A task in the middle of a training: mixed modes, averages that have moved."""
    torch.manual_seed(0)
    model = ConvNet(classes=3, widths=(4, 6), noise=0.1)
    if strategy is not None:
        options["groups"] = parameter_groups(model, torch.zeros(1, 3, 16, 16))
        options["strategy"] = Strategy.parse(strategy)
    task = Classify(model, options.pop("optim", Optim(lr=0.1, ema=0.9)), **options)
    task.train()
    model(torch.randn(5, 3, 16, 16))
    task.after_step()
    model.features[1].eval()
    return task


def state(task):
    """All that a trial could change."""
    return {
        "values": {name: value.tolist() for name, value in task.state_dict().items()},
        "modes": [module.training for module in task.modules()],
        "gradients": [p.grad for p in task.parameters()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in task.modules()],
    }


def batches(labelled=True):
    for step in count():
        draws = generator("trials", step)
        labels = torch.randint(3, (6,), generator=draws)
        images = torch.randn(6, 3, 16, 16, generator=draws)
        if labelled:
            images[range(6), labels] += 2
        yield Batch(images, torch.arange(6), 6, labels=labels, targets=labels)


TRIALS = {
    "speed of training": lambda task: seconds_per_image(task, 16, CPU, batch=2, train=True),
    "speed of answering": lambda task: seconds_per_image(task, 16, CPU, batch=2, train=False),
    "memory": lambda task: bytes_per_image(task, 16, CPU),
    "batch": lambda task: largest_batch(task, 16, CPU, images=100),
    "rate": lambda task: lr_range_test(task, batches(), steps=20),
}


@pytest.mark.parametrize("strategy", [None, "last-blocks:1", "all"])
@pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)
def test_a_trial_leaves_the_network_as_it_was(trial, strategy):
    task = task_of(strategy)
    before = copy.deepcopy(state(task))
    assert len(set(before["modes"])) == 2
    trial(task)
    assert state(task) == before


@pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)
def test_a_trial_that_fails_leaves_the_network_as_it_was(trial):
    """It fails in the forward pass of the third step, after weights and averages have moved."""
    task, steps = task_of(), count()
    before = copy.deepcopy(state(task))

    def fail(_module, _arguments):
        if next(steps) == (0 if trial in (TRIALS["memory"], TRIALS["batch"]) else 2):
            raise RuntimeError("no more")

    hook = task.model.head.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no more"):
        trial(task)
    hook.remove()
    assert state(task) == before


def test_whatever_is_done_inside_is_taken_back():
    task = task_of()
    before = copy.deepcopy(state(task))

    def spoil():
        with unchanged(task):
            for value in task.state_dict().values():
                value.add_(1)
            for p in task.model.parameters():
                p.grad = torch.ones_like(p)
            task.eval()
            assert not any(module.training for module in task.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoil()
    assert state(task) == before


def test_a_step_is_timed_in_the_mode_and_size_that_is_asked_for():
    task, seen = task_of(), []
    task.model.features[0].register_forward_pre_hook(
        lambda _m, x: seen.append((tuple(x[0].shape), task.model.training, torch.is_grad_enabled()))
    )
    assert seconds_per_image(task, 12, CPU, batch=5, train=True) > 0
    assert seconds_per_image(task, 20, CPU, batch=2, train=False) > 0
    assert seen == [((5, 3, 12, 12), True, True)] * 3 + [((2, 3, 20, 20), False, False)] * 3


def test_the_faster_of_two_passes_after_a_first_is_divided_by_the_images(monkeypatch):
    clock = iter([0.0, 1.0, 200.0, 208.0, 300.0, 304.0])
    monkeypatch.setattr(tuner.time, "perf_counter", lambda: next(clock))
    assert seconds_per_image(task_of(), 16, CPU, batch=8, train=True) == 4.0 / 8


def test_the_loss_is_that_of_the_training():
    """Logits 0, ln 3: shares 1/4, 3/4."""
    task = Classify(nn.Identity(), label_smoothing=0.2)
    logits = torch.tensor([[0.0, math.log(3)]] * 3)
    found = loss_of(task, logits, torch.tensor([1, 0, 1])).item()
    right = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    wrong = 0.9 * math.log(4) + 0.1 * math.log(4 / 3)
    assert found == pytest.approx((2 * right + wrong) / 3)


def stack(side):
    """What each layer keeps for the way back, in numbers, is written beside it."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),  # its input, 3 · side²
        nn.BatchNorm2d(8),  # its input, 8 · side²
        nn.ReLU(inplace=True),  # its output, 8 · side²
        nn.MaxPool2d(2),  # its input, known already, and which place won: 2 · side² as int64
        nn.Flatten(),
        nn.Linear(2 * side * side, 3),  # its input, 2 · side²
    )


@pytest.mark.parametrize("side", [8, 14, 32])
def test_bytes_an_image_are_those_counted_by_hand(side):
    floats, places = (3 + 8 + 8 + 2) * side**2, 2 * side**2
    found = bytes_per_image(Classify(stack(side)), side, CPU)
    assert found == pytest.approx(4 * floats + 8 * places, rel=0.05)


def test_what_is_frozen_keeps_nothing():
    model = stack(16)
    parts = parameter_groups(model, torch.zeros(1, 3, 16, 16))
    task = Classify(model, strategy=Strategy("head"), groups=parts)
    task.before_step(0.0)
    assert bytes_per_image(task, 16, CPU) == pytest.approx(4 * 2 * 16**2, rel=0.05)


def test_weights_are_not_counted_as_images():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5000), nn.Linear(5000, 3))
    assert bytes_per_image(Classify(model), 8, CPU) < 4 * 3 * (3 * 64 + 5000)


@pytest.mark.parametrize(
    ("free", "each", "images", "batch"),
    [
        (1 << 40, 1000, 1 << 20, 256),  # the largest there is
        (1 << 40, 1000, 1300, 128),  # 1300 images in ten steps are 130
        (1 << 40, 1000, 1279, 64),
        (1 << 40, 1000, 30, 8),  # few images: eight
        (1 << 40, 1000, 1, 8),
        (2 * 64_000, 1000, 1 << 20, 64),  # half of what is free
        (2 * 63_999, 1000, 1 << 20, 32),
        (1500, 1000, 1 << 20, 1),  # not even one
        (0, 1000, 1 << 20, 1),
        (1 << 40, 0, 1 << 20, 256),
    ],
)
def test_the_batch_is_the_power_of_two_that_fits(monkeypatch, free, each, images, batch):
    monkeypatch.setattr(tuner, "free_memory", lambda device: free)
    monkeypatch.setattr(tuner, "bytes_per_image", lambda task, size, device: each)
    assert largest_batch(task_of(), 16, CPU, images=images) == batch


def test_with_half_the_memory_fits_half_the_batch(monkeypatch):
    """With what an image takes truly counted."""
    each = bytes_per_image(task_of(), 16, CPU)
    found = []
    for images in (40, 20, 10):
        monkeypatch.setattr(tuner, "free_memory", lambda _, n=images: 2 * n * each)
        found.append(largest_batch(task_of(), 16, CPU, images=100_000))
    assert found == [32, 16, 8]


def test_free_memory_is_some_and_less_than_there_is():
    import os

    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < tuner.free_memory(CPU) <= there


class Ball(nn.Module):
    """Logits (w, 0) for every image: the loss of class 0 is ln(1 + exp(-w)), of 1 ln(1 + exp w).

    With as many of the one as of the other it is a bowl with its bottom at 0.
    """

    def __init__(self, start):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([start]))

    def forward(self, images):
        return torch.stack([self.w, torch.zeros_like(self.w)], dim=1).expand(len(images), 2)


def halves(*sides):
    """Of both classes as many, in each batch or over two."""
    for side in cycle(sides or [(0, 1, 0, 1)]):
        labels = torch.tensor(side)
        yield Batch(torch.zeros(4, 3, 8, 8), torch.arange(4), 4, labels=labels, targets=labels)


def test_the_rate_is_a_tenth_of_that_of_the_lowest_loss_and_the_loss_bursts_after_it():
    """A bowl that tilts from step to step: what is too fast is thrown up its sides."""
    task = Classify(Ball(4.0), Optim("sgd", lr=1.0, momentum=0.0))
    found = lr_range_test(task, halves((0, 1, 0, 0), (1, 1, 0, 1)), low=1e-3, high=1e3, steps=100)
    assert set(found) == {"lr", "lrs", "losses"}
    lowest = min(found["losses"])
    assert found["lr"] == found["lrs"][found["losses"].index(lowest)] / 10
    assert 0.05 < found["lr"] < 2
    assert lowest < 1.0  # from 2.0 over two steps, towards ln 2
    assert len(found["lrs"]) == len(found["losses"]) < 100
    assert found["lrs"][-1] > 8


def test_rates_rise_by_one_factor_from_the_lowest_to_the_highest():
    found = lr_range_test(Classify(Ball(0.0), Optim("sgd")), halves(), low=1e-4, high=1e-1, steps=4)
    assert found["lrs"] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    assert found["losses"] == pytest.approx([math.log(2)] * 4)


def test_the_loss_is_smoothed_and_what_it_starts_from_is_corrected_for(monkeypatch):
    told = iter([1.0, 3.0, 2.0])
    task = Classify(Ball(0.0), Optim("sgd", momentum=0.0))
    monkeypatch.setattr(tuner, "loss_of", lambda task, *_: 0 * task.model.w.sum() + next(told))
    found = lr_range_test(task, halves(), steps=3)
    # (0.2 · 3 + 0.8 · 0.2 · 1) / (1 − 0.8²)
    # (0.2 · 2 + 0.8 · 0.2 · 3 + 0.64 · 0.2 · 1) / (1 − 0.8³)
    assert found["losses"] == pytest.approx([1.0, 0.76 / 0.36, 1.008 / 0.488])
    assert found["lr"] == pytest.approx(1e-7)


def test_a_loss_that_stops_being_a_number_ends_the_test():
    task = Classify(Ball(1.0), Optim("sgd", momentum=0.0))

    def some():
        for step, batch in enumerate(halves()):
            yield batch if step < 7 else batch.replaced(targets=torch.full((4, 2), math.nan))

    assert len(lr_range_test(task, some(), steps=30)["lrs"]) == 7


def test_a_loss_that_never_was_a_number_is_told():
    task = Classify(Ball(math.nan), Optim("sgd"))
    with pytest.raises(NonFiniteLoss, match="the loss is not a number at the lowest learning rate"):
        lr_range_test(task, halves(), steps=5)


def test_each_block_is_tried_at_its_share_of_the_rate(monkeypatch):
    """One step of plain descent: with half the rate a kernel goes half as far."""
    moves = {}
    step = torch.optim.SGD.step
    for text in ("all", "layer-decay:0.5"):
        task = task_of(text, optim=Optim("sgd", momentum=0.0))
        parameters = dict(task.model.named_parameters())
        before = {name: p.detach().clone() for name, p in parameters.items()}

        def note(optimiser, text=text, parameters=parameters, before=before):
            step(optimiser)
            moves[text] = {name: p.detach() - before[name] for name, p in parameters.items()}

        torch.manual_seed(5)  # the noise between the layers
        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.SGD, "step", note)
            lr_range_test(task, islice(batches(), 1), low=0.1, steps=2)
    kernels = [name for name, move in moves["all"].items() if move.ndim == 4]
    assert len(kernels) == 4
    for depth, name in enumerate(reversed([*kernels, "head.weight"])):
        whole, part = moves["all"][name], moves["layer-decay:0.5"][name]
        assert whole.abs().max() > 1e-4
        torch.testing.assert_close(part, whole * 0.5**depth, atol=2e-7, rtol=1e-4)
