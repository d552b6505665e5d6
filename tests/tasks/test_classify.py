"""Loss and update of classification, worked by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from vislab.data.batches import Batch
from vislab.errors import NonFiniteLoss
from vislab.models import ConvNet
from vislab.tasks import Classify
from vislab.tasks.optim import Optim


class Told(nn.Module):
    """Gives the logits it was told, whatever the images."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images):
        return self.logits


def batch_of(labels, targets=None, *, whole=None, side=5):
    labels = torch.tensor(labels)
    return Batch(
        images=torch.zeros(len(labels), 3, side, side),
        labels=labels,
        targets=labels if targets is None else torch.tensor(targets),
        rows=torch.arange(len(labels)),
        whole=len(labels) if whole is None else whole,
    )


def task_of(model, world=1, **options):
    task = Classify(model, **options)
    task._trainer = SimpleNamespace(world_size=world)
    return task


# Image 1: scores 0, ln 2, ln 5, so shares 1/8, 2/8, 5/8. Image 2: ln 3, 0, 0: 3/5, 1/5, 1/5.
LOGITS = [[0.0, math.log(2), math.log(5)], [math.log(3), 0.0, 0.0]]


def test_the_loss_is_the_mean_of_minus_the_log_of_the_true_class():
    out = task_of(Told(LOGITS)).training_step(batch_of([2, 1]), 0)
    total = math.log(8 / 5) + math.log(5)  # = ln 8
    assert out["loss"].item() == pytest.approx(total / 2)
    assert out["sums"]["loss"].item() == pytest.approx(total)
    assert not out["sums"]["loss"].requires_grad
    assert out["sums"]["accuracy"].item() == 1  # the first is, the second is not


def test_the_gradient_is_shares_less_truth_over_the_batch():
    model = Told(LOGITS)
    task_of(model).training_step(batch_of([2, 1]), 0)["loss"].backward()
    by_hand = torch.tensor([[1 / 8, 2 / 8, -3 / 8], [3 / 5, -4 / 5, 1 / 5]]) / 2
    torch.testing.assert_close(model.logits.grad, by_hand)


def test_label_smoothing_spreads_its_share_over_all_classes():
    out = task_of(Told(LOGITS), label_smoothing=0.3).training_step(batch_of([2, 1]), 0)
    first = 0.8 * math.log(8 / 5) + 0.1 * math.log(8) + 0.1 * math.log(4)
    second = 0.8 * math.log(5) + 0.1 * math.log(5 / 3) + 0.1 * math.log(5)
    assert out["loss"].item() == pytest.approx((first + second) / 2)


def test_mixed_labels_weigh_the_logs_of_their_classes():
    targets = [[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]
    out = task_of(Told(LOGITS)).training_step(batch_of([2, 1], targets), 0)
    first = 0.25 * math.log(8) + 0.75 * math.log(8 / 5)
    assert out["loss"].item() == pytest.approx((first + math.log(5)) / 2)
    assert out["sums"]["accuracy"].item() == 1  # counted on labels


def test_the_mean_over_processes_is_the_mean_over_the_batch():
    """Of seven images one process holds four and another three."""
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, generator=chance)
    labels = [0, 2, 1, 1, 0, 2, 2]
    alone = Told(logits.tolist())
    whole = task_of(alone).training_step(batch_of(labels), 0)["loss"]
    whole.backward()
    losses, gradients = [], []
    for mine in (slice(0, 4), slice(4, 7)):
        model = Told(logits[mine].tolist())
        task = task_of(model, world=2)
        loss = task.training_step(batch_of(labels[mine], whole=7), 0)["loss"]
        loss.backward()
        losses.append(loss)
        gradients.append(model.logits.grad)
    torch.testing.assert_close(sum(losses) / 2, whole)
    torch.testing.assert_close(torch.cat(gradients) / 2, alone.logits.grad)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_refused_before_anything_changes(bad):
    model = Told([[0.0, bad, 1.0]])
    before = model.logits.detach().clone()
    with pytest.raises(NonFiniteLoss, match=r"the loss became (nan|inf)"):
        task_of(model).training_step(batch_of([2]), 0)
    assert model.logits.grad is None
    torch.testing.assert_close(model.logits.detach(), before, equal_nan=True)


def test_losses_of_a_test_are_each_images_own_without_smoothing():
    task = task_of(Told(LOGITS), label_smoothing=0.3)
    found = task.test([batch_of([2, 1], [[0.5, 0, 0.5], [0, 1.0, 0]])])
    assert found.losses.tolist() == pytest.approx([math.log(8 / 5), math.log(5)])
    assert found.correct.tolist() == [True, False]
    assert found.accuracy == 0.5
    shares = [[1 / 8, 2 / 8, 5 / 8], [3 / 5, 1 / 5, 1 / 5]]
    np.testing.assert_allclose(found.probabilities, shares, rtol=1e-6)


def test_averaged_weights_forget_by_the_decay():
    """First the weights themselves; then a ← d·a + (1 − d)·w: after three steps, by hand."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(9.0)
    task = task_of(model, optim=Optim(ema=0.9))
    for weight in (1.0, 2.0, 4.0):
        model.weight.data.fill_(weight)
        task.after_step()
    # 1; 0.9 · 1 + 0.1 · 2 = 1.1; 0.9 · 1.1 + 0.1 · 4
    assert task.network.weight.item() == pytest.approx(1.39)
    assert model.weight.item() == 4.0
    assert not task.network.weight.requires_grad


def test_running_means_are_averaged_with_the_weights():
    model = nn.BatchNorm2d(2)
    task = task_of(model, optim=Optim(ema=0.75))
    for mean in (1.0, 3.0):
        model.running_mean.fill_(mean)
        task.after_step()
    assert task.network.running_mean.tolist() == pytest.approx([1.5, 1.5])


def test_without_averaging_the_network_is_the_trained_one():
    model = nn.Linear(2, 2)
    task = task_of(model)
    task.after_step()
    assert task.network is model


def test_the_optimiser_moves_the_trained_weights_and_not_the_averaged():
    model = ConvNet(classes=3, widths=(4, 6))
    task = task_of(model, optim=Optim(name="sgd", lr=0.1, ema=0.9))
    moved = {id(p) for group in task.configure_optimizers().param_groups for p in group["params"]}
    assert moved == {id(p) for p in model.parameters()}


def test_a_training_step_learns():
    torch.manual_seed(0)
    model = ConvNet(classes=3, widths=(6, 8))
    task = task_of(model, optim=Optim(lr=1e-2))
    images = torch.randn(7, 3, 9, 8)
    batch = batch_of([0, 1, 2, 0, 1, 2, 0]).replaced(images=images)
    optimiser = task.configure_optimizers()
    for step in range(40):
        out = task.training_step(batch, step)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
    assert out["loss"] < 0.05
    assert out["sums"]["accuracy"] == 7
