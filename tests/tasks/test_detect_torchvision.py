"""torchvision's detector as a task."""

import pytest
import torch
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

from tests.tasks.annotated import fit, ignoring, ready, same_state, scenes, state_of
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.tasks import DetectTorchvision, Optim


def task_of(optim=None, **options):
    torch.manual_seed(0)
    model = TorchvisionFasterRCNN(classes=2, size=32, backbone="convnet", stride=8, scales=(1, 1.5))
    # The layers of the second stage, a thousand wide, are made narrow: they take all the time.
    model.detector.roi_heads.box_head = TwoMLPHead(64 * 7**2, 64)
    model.detector.roi_heads.box_predictor = FastRCNNPredictor(64, 3)
    return ready(DetectTorchvision(model, optim, **options))


def test_it_is_told_the_instances_and_not_the_padding_nor_what_is_ignored():
    task, told = task_of(), []
    own = task.model.losses
    task.model.losses = lambda images, boxes, labels: (
        told.append((boxes, labels)) or own(images, boxes, labels)
    )
    task.training_step(ignoring(scenes(), 0, 1), 0)
    ((boxes, labels),) = told
    assert [one.tolist() for one in labels] == [[0], [0], [1], [1, 1]]
    assert boxes[0].tolist() == [[2, 3, 12, 13]]
    assert boxes[3].tolist() == [[16, 16, 26, 28], [3, 4, 13, 12]]


def test_the_loss_is_the_sum_of_torchvisions_four():
    task = task_of()
    task.model.losses = lambda *_: {"a": torch.tensor(0.5), "b": torch.tensor(0.25)}
    out = task.training_step(scenes(), 0)
    assert out["loss"] == 0.75
    assert out["sums"]["loss"] == 3.0


def test_a_batch_without_instances_can_be_learned_from():
    batch = scenes().replaced(boxes=torch.zeros(4, 1, 4), box_labels=torch.full((4, 1), -1))
    task_of().training_step(batch, 0)["loss"].backward()


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_norms_keep_their_averages(frozen):
    task = task_of(Optim(lr=1e-3), frozen_norm=frozen)
    before = {name: tensor.clone() for name, tensor in task.model.backbone.state_dict().items()}
    fit(task, scenes(), 2)
    after = task.model.backbone.state_dict()
    averages = [name for name in before if "running" in name or "tracked" in name]
    assert averages
    assert all(torch.equal(before[name], after[name]) is frozen for name in averages)
    assert all(not torch.equal(before[n], after[n]) for n in before if n not in averages)


def test_it_learns_two_images_by_heart_and_scores_leave_it_as_it_was():
    task = task_of(Optim(lr=3e-3))
    before, after = fit(task, scenes([1, 2]), 50)
    assert after < before / 3
    state = state_of(task)
    assert task.scores([scenes([1]), scenes([2])])["map50"] > 0.9
    assert same_state(state, state_of(task))
