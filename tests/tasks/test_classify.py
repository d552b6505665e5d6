"""Loss and update of classification, worked by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tests.data.test_images import made
from vislab.data.batches import Batch
from vislab.errors import NonFiniteLoss, ShapeError
from vislab.models import ConvNet
from vislab.tasks import Classify
from vislab.tasks.classify import trivial_accuracy
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


class Says(nn.Module):
    """Answers with what it is told to make of one weight's scores."""

    def __init__(self, scores, how=lambda scores: scores):
        super().__init__()
        self.scores, self.how = nn.Parameter(torch.tensor(scores)), how

    def forward(self, images):
        return self.how(self.scores[: len(images)])


@pytest.mark.parametrize(
    "how",
    [
        lambda z: z, lambda z: z.softmax(1), lambda z: z.log_softmax(1), lambda z: (z, z),
        lambda z: {"logits": z}, lambda z: SimpleNamespace(logits=z), lambda z: z[..., None, None],
    ],
    ids=["logits", "softmax", "log-softmax", "tuple", "dict", "object", "1×1 maps"],
)  # fmt: skip
def test_whatever_form_the_answer_has_the_loss_is_that_of_its_probabilities(how):
    scores = [[1.0, 2.0, 0.0], [0.5, 0.5, 3.0]]
    batch = batch_of([1, 0])
    task = task_of(Says(scores, how))
    wanted = nn.functional.cross_entropy(torch.tensor(scores), torch.tensor([1, 0]))
    step = task.training_step(batch, 0)
    assert float(step["loss"].detach()) == pytest.approx(float(wanted), rel=1e-4)
    assert int(step["sums"]["accuracy"]) == 1
    step["loss"].backward()
    assert task.model.scores.grad.abs().sum() > 0
    found = task.measure(batch)
    torch.testing.assert_close(found["probabilities"], torch.tensor(scores).softmax(1))


@pytest.mark.parametrize("how", [lambda z: z, lambda z: z[:, 0], lambda z: z[..., None, None]])
def test_a_single_logit_is_trained_as_the_second_of_two_classes(how):
    scores = [[math.log(3.0)], [-1.0], [0.5]]
    task, batch = task_of(Says(scores, how)), batch_of([1, 0, 0])
    wanted = nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(scores)[:, 0], torch.tensor([1.0, 0.0, 0.0])
    )
    step = task.training_step(batch, 0)
    assert float(step["loss"].detach()) == pytest.approx(float(wanted))
    found = task.measure(batch)
    assert found["predicted"].tolist() == [1, 0, 1]
    assert found["probabilities"][0].tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (lambda z: z.flatten(1)[:, :2], "gives scores of 2 classes, and there are 3 or more"),
        (lambda z: z.flatten(1).sum(), "must give class scores"),
        (lambda z: "cat", "must give class scores"),
    ],
)
def test_answers_that_do_not_fit_the_labels_are_refused(how, sentence):
    task = task_of(Says([[0.0, 1.0, 2.0]] * 2, how))
    with pytest.raises(ShapeError, match=sentence):
        task.training_step(batch_of([2, 1]), 0)


def classified(labels, right):
    """Return an outcome of two classes, of which so many images are right."""
    truth = torch.tensor(labels)
    scores = torch.zeros(len(labels), 2)
    said = torch.where(torch.tensor(right), truth, 1 - truth)
    scores[torch.arange(len(labels)), said] = 2.0
    task = task_of(Says(scores.tolist()))
    return task.test([batch_of(labels)])


def test_where_classes_are_uneven_the_mean_over_them_is_measured_too():
    """95 of one class, all right, and 5 of the other, one of which is."""
    found = classified([0] * 95 + [1] * 5, [True] * 96 + [False] * 4)
    value, (low, high) = found.estimates["balanced accuracy"]
    assert value == found.mean("balanced accuracy") == pytest.approx((1 + 0.2) / 2)
    # Exact bounds of 95 in 95: 0.9619 to 1; of 1 in 5: 0.0051 to 0.7164.
    assert low == pytest.approx(0.6 - math.hypot(1 - 0.9619, 0.2 - 0.0051) / 2, abs=1e-4)
    assert high == pytest.approx(0.6 + math.hypot(0, 0.7164 - 0.2) / 2, abs=1e-4)


@pytest.mark.parametrize("labels", [[0, 1] * 20, [0] * 22 + [1] * 18, [0] * 9])
def test_where_they_are_even_it_is_not(labels):
    found = classified(labels, [True] * len(labels))
    assert "balanced accuracy" not in found.estimates


def test_the_trivial_answer_is_the_largest_training_class_or_guessing():
    def table(train, test):
        values = np.array(train + test)
        splits = np.array([0] * len(train) + [2] * len(test), dtype=np.uint8)
        names = tuple("abc"[: values.max() + 1])
        return made(np.zeros((len(values), 5, 5, 3), np.uint8), values, splits, names)

    assert trivial_accuracy(table([0] * 9 + [1], [0] * 19 + [1])) == {
        "accuracy": 0.95, "balanced accuracy": 0.5
    }  # fmt: skip
    # What is largest in training is small in the test: guessing is right more often.
    assert trivial_accuracy(table([0, 1, 1], [0, 0, 0, 1]))["accuracy"] == 0.5
    assert trivial_accuracy(table([0, 1, 2], [0, 1, 2]))["accuracy"] == pytest.approx(1 / 3)
    assert trivial_accuracy(table([0, 1], []))["accuracy"] == 0.5
