"""The single-stage detector's task: who learns what, and four images by heart."""

import pytest
import torch

from tests.tasks.annotated import fit, ignoring, ready, same_state, scenes, state_of
from vislab.data.batches import Batch
from vislab.models.yolo import ANCHORS, Yolo
from vislab.ops.boxes import pairwise_iou
from vislab.ops.matching import IGNORED, NEGATIVE
from vislab.tasks import DetectYolo, Optim
from vislab.tasks.detect_yolo import assign


def task_of(optim=None, **options):
    torch.manual_seed(0)
    model = Yolo(classes=2, backbone="convnet", stride=8, hidden=32, dropout=0.0)
    return ready(DetectYolo(model, optim, **options))


def anchors_of(task, batch):
    with torch.no_grad():
        return task.model.anchors(task.model(batch.images))


def instances(boxes, labels):
    """Return a batch of one image of 32×32 with these."""
    known = {"boxes": torch.tensor([boxes]), "box_labels": torch.tensor([labels])}
    return Batch(torch.zeros(1, 3, 32, 32), torch.tensor([0]), 1, **known)


def test_who_learns_what_by_hand():
    """One object is as the anchor of 2×2 cells (16 pixels) in the cell (1, 1) of four by four; one
    that is ignored is as that of one cell in (3, 3); a row holds nothing."""
    batch = instances([[4.0, 4, 20, 20], [24, 24, 32, 32], [0, 0, 0, 0]], [1, -2, -1])
    anchors = anchors_of(task_of(), batch)
    assigned = assign(batch, anchors, 8, ignore=0.5)[0]
    assert (assigned >= 0).nonzero().tolist() == [[1, 1, ANCHORS.index((2, 2))]]
    assert assigned[1, 1, ANCHORS.index((2, 2))] == 0
    assert assigned[3, 3, ANCHORS.index((1, 1))] == IGNORED
    overlap = pairwise_iou(anchors.flatten(0, 2), batch.boxes[0]).view(4, 4, 9, 3)
    wanted = torch.where((overlap[..., 0] >= 0.5) | (overlap[..., 1] > 0.2), IGNORED, NEGATIVE)
    wanted[1, 1, ANCHORS.index((2, 2))] = 0
    assert torch.equal(assigned, wanted)
    assert {IGNORED, NEGATIVE} < set(assigned.unique().tolist())


def test_without_ignored_instances_the_anchors_on_them_are_negative():
    boxes = [[4.0, 4, 20, 20], [24, 24, 32, 32]]
    task = task_of()
    batch = instances(boxes, [1, -2])
    anchors = anchors_of(task, batch)
    assigned = assign(instances(boxes, [1, -1]), anchors, 8, ignore=0.5)[0]
    assert assigned[3, 3, 0] == NEGATIVE
    assert assign(instances(boxes, [1, 0]), anchors, 8, ignore=0.5)[0, 3, 3, 0] == 1


def test_an_anchor_with_a_instance_keeps_it_also_where_it_sees_an_ignored_one():
    batch = instances([[4.0, 4, 20, 20], [4, 4, 20, 20]], [1, -3])
    assigned = assign(batch, anchors_of(task_of(), batch), 8, ignore=0.5)[0]
    assert assigned[1, 1, ANCHORS.index((2, 2))] == 0


def parts_of(task, batch):
    with torch.no_grad():
        return task.training_step(batch, 0)["sums"]


def test_what_is_said_of_an_ignored_instance_costs_nothing():
    task, batch = task_of().eval(), scenes()
    ready(task).eval()
    left_out = ignoring(batch, 1, 0)
    before = parts_of(task, left_out)
    model, own = task.model, task.model.forward
    overlap = pairwise_iou(anchors_of(task, batch).flatten(0, 2), batch.boxes[1, :1])[:, 0]

    def sure(images):
        answer = own(images)
        answer.confidence[1][(overlap > 0.2).view(4, 4, 9)] = 50.0
        return answer

    model.forward = sure
    assert int((overlap > 0.2).sum()) > 3
    after = parts_of(task, left_out)
    for name in before:
        torch.testing.assert_close(after[name], before[name])
    gone = batch.replaced(
        box_labels=batch.box_labels.masked_fill(batch.box_labels != left_out.box_labels, -1)
    )
    assert parts_of(task, gone)["confidence loss"] > before["confidence loss"] + 10


def test_the_loss_is_the_sum_of_its_parts():
    task, batch = task_of(), scenes()
    out = task.training_step(batch, 0)
    assert set(out["sums"]) == {"loss", "confidence loss", "place loss", "classification loss"}
    named = sum(out["sums"][f"{part} loss"] for part in ("confidence", "place", "classification"))
    torch.testing.assert_close(named, out["sums"]["loss"])
    torch.testing.assert_close(out["loss"] * 4, named)


def test_a_batch_without_instances_can_be_learned_from():
    task = task_of()
    batch = scenes().replaced(boxes=torch.zeros(4, 1, 4), box_labels=torch.full((4, 1), -1))
    out = task.training_step(batch, 0)
    out["loss"].backward()
    assert out["sums"]["place loss"] == out["sums"]["classification loss"] == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_norms_keep_their_averages_and_still_learn(frozen):
    task = task_of(Optim(lr=1e-3), frozen_norm=frozen)
    before = {name: tensor.clone() for name, tensor in task.model.backbone.state_dict().items()}
    fit(task, scenes(), 2)
    after = task.model.backbone.state_dict()
    averages = [name for name in before if "running" in name or "tracked" in name]
    assert averages
    assert all(torch.equal(before[name], after[name]) is frozen for name in averages)
    learned = [name for name in before if name not in averages]
    assert all(not torch.equal(before[name], after[name]) for name in learned)
    assert task.model.head.training
    assert not any(module.training for module in task.eval().model.modules())


def test_it_learns_four_images_by_heart_and_scores_leave_it_as_it_was():
    task = task_of(Optim(lr=5e-3, ema=0.8))
    before, after = fit(task, scenes(), 60)
    assert after < before / 10
    state = state_of(task)
    assert task.scores([scenes([0, 1]), scenes([2, 3])])["map50"] > 0.95
    assert same_state(state, state_of(task))
