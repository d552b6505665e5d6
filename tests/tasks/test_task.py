"""What every task says of itself, which the bench and `vislab predict` go by."""

import pytest
import torch
from torch import nn

from tests.tasks.annotated import fit, plain, ready, scenes
from vislab.errors import NonFiniteLoss, VislabError
from vislab.models.autoencoder import ConvAutoencoder
from vislab.models.colorizer import Colorizer
from vislab.models.convnet import ConvNet
from vislab.models.faster_rcnn import FasterRCNN
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.models.unet import UNet
from vislab.models.yolo import Yolo
from vislab.tasks import (
    Classify,
    Colorize,
    DetectFasterRCNN,
    DetectTorchvision,
    DetectYolo,
    Optim,
    Reconstruct,
    Segment,
    Task,
)

DETECTOR = {"classes": 2, "backbone": "convnet", "stride": 8}
GREY = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
TASKS = {
    "classify": lambda o: Classify(ConvNet(classes=2), o),
    "segment": lambda o: Segment(UNet(classes=3, width=4, depth=1), o),
    "yolo": lambda o: DetectYolo(Yolo(**DETECTOR, hidden=8), o),
    "faster-rcnn": lambda o: DetectFasterRCNN(FasterRCNN(**DETECTOR, scales=(1, 2), hidden=8), o),
    "torchvision": lambda o: DetectTorchvision(
        TorchvisionFasterRCNN(**DETECTOR, size=32, scales=(1, 2)), o
    ),
    "reconstruct": lambda o: Reconstruct(
        ConvAutoencoder(width=4, depth=2), o, mean=(0.0,) * 3, std=(1.0,) * 3
    ),
    "colorize": lambda o: Colorize(Colorizer(width=4), o, **GREY),
}


def batch_for(name):
    detects = name in ("segment", "yolo", "faster-rcnn", "torchvision")
    return scenes() if detects else plain(scenes().images)


@pytest.mark.parametrize("name", TASKS)
def test_the_score_it_is_chosen_by_is_among_its_scores(name):
    task = TASKS[name](None)
    scores = task.scores([batch_for(name)])
    assert task.score in scores
    assert all(isinstance(value, float) for value in scores.values())


@pytest.mark.parametrize("name", TASKS)
def test_the_averaged_network_is_the_one_that_is_tested_and_the_other_is_trained(name):
    """With a decay of 0.9, after the weights were set to nothing, it still has most of them."""
    task = TASKS[name](Optim(ema=0.9))
    fit(task, batch_for(name), 1)
    assert task.network is not task.model
    kept = {key: value.clone() for key, value in task.network.state_dict().items()}
    for p in task.model.parameters():
        p.data.zero_()
    first = task.scores([batch_for(name)])
    assert all(torch.equal(kept[key], value) for key, value in task.network.state_dict().items())
    assert task.scores([batch_for(name)]) == first
    task.after_step()
    for key, p in task.network.named_parameters():
        torch.testing.assert_close(p, 0.9 * kept[key])


def test_the_averaged_network_counts_its_batches():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(2, 3, 8, 8))
    task = Classify(model, Optim(ema=0.999))
    for _ in range(5):
        task.model(torch.randn(2, 3, 8, 8))
        task.after_step()
    assert int(task.network[1].num_batches_tracked) == int(task.model[1].num_batches_tracked) == 6
    assert not torch.equal(task.network[1].running_mean, task.model[1].running_mean)


@pytest.mark.parametrize("name", TASKS)
def test_the_same_weights_and_draws_are_the_same_step(name):
    losses = []
    for _ in range(2):
        torch.manual_seed(3)
        task = ready(TASKS[name](None))
        losses.append(float(task.training_step(batch_for(name), 0)["loss"].detach()))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", TASKS)
def test_a_part_of_a_batch_weighs_as_much_as_it_holds(name):
    """All four images, as one of two processes that share a batch of five."""
    shared = []
    for world, whole in ((1, 4), (2, 5)):
        torch.manual_seed(3)
        task = ready(TASKS[name](None), world=world)
        out = task.training_step(batch_for(name).replaced(whole=whole), 0)
        shared.append((float(out["loss"].detach()), float(out["sums"]["loss"])))
    assert shared[1][0] == pytest.approx(shared[0][0] * 4 * 2 / 5)
    assert shared[1][1] == pytest.approx(shared[0][1])


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(NonFiniteLoss, match="the loss became nan"):
        ready(Task(nn.Linear(2, 2))).step(torch.tensor(float("nan")), 3, 3)


def test_what_a_network_answers_with_is_known():
    answers = {name: TASKS[name](None).answers for name in TASKS}
    boxes = dict.fromkeys(("yolo", "faster-rcnn", "torchvision"), "boxes")
    others = {"reconstruct": "images", "colorize": "colours"}
    assert answers == {"classify": "classes", "segment": "masks", **others, **boxes}


def test_a_task_of_ones_own_without_a_measure_is_told_what_it_needs():
    class Mine(Task):
        pass

    with pytest.raises(VislabError, match=r"Mine needs `measure\(self, batch\)`"):
        Mine(nn.Linear(1, 1)).measure(None)
