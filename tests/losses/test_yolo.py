"""The loss of the single-stage detector, worked out by hand."""

import math

import pytest
import torch

from vislab.losses.yolo import yolo_loss
from vislab.ops.matching import IGNORED, NEGATIVE

STRIDE = 10
# One row of two cells, two anchors each: one of 10×10 and one of 20×10.
ANCHORS = torch.tensor(
    [[[[0.0, 0, 10, 10], [-5, 0, 15, 10]], [[10, 0, 20, 10], [5, 0, 25, 10]]]],
    dtype=torch.float64,
)
# Image 0 has two objects, image 1 one, and a row of padding.
BOXES = torch.tensor(
    [[[2.0, 1, 12, 11], [5, -5, 25, 15]], [[0, 0, 10, 10], [7, 7, 7, 7]]], dtype=torch.float64
)
TRUTH = torch.tensor([[1, 0], [2, 0]])
ASSIGNED = torch.tensor([[[[0, NEGATIVE], [IGNORED, 1]]], [[[NEGATIVE, IGNORED], [NEGATIVE, 0]]]])


def said(rng):
    shapes = ((2, 1, 2, 2), (2, 1, 2, 2, 4), (2, 1, 2, 3))
    return [torch.randn(shape, dtype=torch.float64, generator=rng) for shape in shapes]


def loss_of(confidence, offsets, logits, assigned=ASSIGNED, boxes=BOXES, labels=TRUTH):
    return yolo_loss(
        confidence, offsets, logits, assigned=assigned, boxes=boxes, labels=labels,
        anchors=ANCHORS, stride=STRIDE,
    )  # fmt: skip


def test_a_case_by_hand():
    """Three objects have an anchor, three anchors have none, two are not learned."""
    confidence = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    confidence[0, 0, 0] = torch.tensor([math.log(3), -math.log(3)])  # sigmoids 3/4, 1/4
    confidence[0, 0, 1] = torch.tensor([77.0, math.log(4)])  # ignored, 4/5
    confidence[1, 0, 0] = torch.tensor([math.log(4), -55.0])  # 4/5, ignored
    offsets = torch.zeros(2, 1, 2, 2, 4, dtype=torch.float64)
    offsets[0, 0, 1, 1] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    labels = torch.zeros(2, 1, 2, 3, dtype=torch.float64)
    labels[0, 0, 0] = torch.tensor([0.0, math.log(2), 0.0])
    loss = loss_of(confidence, offsets, labels)
    right = math.log(4 / 3) + math.log(5 / 4) + math.log(2)  # the last says ½
    wrong = math.log(4 / 3) + math.log(5) + math.log(2)
    assert loss.confidence.item() == pytest.approx((right + 0.5 * wrong) / 3)
    # Object 0 of image 0: centre (7, 6) against (5, 5). Object 1: (15, 5) on (15, 5), 20×20 on
    # 20×10. Image 1: (5, 5) against (15, 5), 10 wide against 20.
    first = 0.2**2 + 0.1**2
    second = 0.5**2 * 3 + (0.5 - math.log(2)) ** 2
    third = 1**2 + math.log(2) ** 2
    assert loss.place.item() == pytest.approx(5 * (first + second + third) / 3)
    assert loss.classification.item() == pytest.approx((math.log(2) + 2 * math.log(3)) / 3)


def test_ignored_anchors_and_what_belongs_to_none_change_nothing(rng):
    answer = said(rng)
    before = loss_of(*answer)
    confidence, offsets, logits = (part.clone() for part in answer)
    confidence[ASSIGNED == IGNORED] = 50.0
    offsets[ASSIGNED < 0] = 50.0
    logits[1, 0, 0] = 50.0  # neither of its anchors has an object
    boxes, labels = BOXES.clone(), TRUTH.clone()
    boxes[1, 1], labels[1, 1] = 1e6, 7  # nothing is assigned to the padding
    after = loss_of(confidence, offsets, logits, boxes=boxes, labels=labels)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_negative_anchors_do_count(rng):
    confidence, offsets, labels = said(rng)
    before = loss_of(confidence, offsets, labels)
    confidence[0, 0, 0, 1] += 1
    after = loss_of(confidence, offsets, labels)
    assert after.confidence > before.confidence
    assert after.place == before.place


def test_images_with_nothing_in_them_teach_that_nothing_is_there(rng):
    answer = [part.requires_grad_() for part in said(rng)]
    none = torch.full_like(ASSIGNED, NEGATIVE)
    for boxes, labels in ((BOXES, TRUTH), (BOXES[:, :0], TRUTH[:, :0])):
        loss = loss_of(*answer, assigned=none, boxes=boxes, labels=labels)
        wanted = 0.5 * torch.nn.functional.softplus(answer[0]).sum()
        torch.testing.assert_close(loss.confidence, wanted)
        assert loss.place == loss.classification == 0
    sum(loss).backward()
    assert bool((answer[0].grad > 0).all())


def test_slopes_are_those_of_finite_differences(rng):
    answer = [part.requires_grad_() for part in said(rng)]
    assert torch.autograd.gradcheck(lambda *parts: tuple(loss_of(*parts)), answer)


def test_going_down_its_slope_finds_boxes_and_labels(rng):
    confidence, offsets, labels = (part.requires_grad_() for part in said(rng))
    optimiser = torch.optim.Adam([confidence, offsets, labels], lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        sum(loss_of(confidence, offsets, labels)).backward()
        optimiser.step()
    learned = ASSIGNED != IGNORED
    assert torch.equal((confidence > 0)[learned], (ASSIGNED >= 0)[learned])
    assert labels.argmax(dim=3)[0, 0].tolist() == [1, 0]
    wanted = torch.tensor([0.2, 0.1, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(offsets[0, 0, 0, 0], wanted, atol=0.01, rtol=0)
