"""The losses of the two stages, worked out by hand."""

import math

import pytest
import torch
from torchvision.models.detection.roi_heads import fastrcnn_loss

from vislab.losses.faster_rcnn import box_loss, proposal_loss

DRAWN = torch.tensor([[True, True, False], [True, False, True]])
HAS = torch.tensor([[True, False, True], [False, True, True]])


def test_the_first_stage_by_hand():
    """Drawn are four: two with an object, which say 3/4 and 1/2, and two without: 1/4 and 1/2."""
    objectness = torch.tensor(
        [[math.log(3), -math.log(3), 44.0], [0.0, -44.0, 0.0]], dtype=torch.float64
    )
    offsets = torch.zeros(2, 3, 4, dtype=torch.float64)
    offsets[1, 2] = torch.tensor([0.05, 0.0, 1.0, -2.0])
    target = torch.zeros(2, 4, dtype=torch.float64)
    target[0] = torch.tensor([0.1, 0.0, 0.0, 0.0])
    loss = proposal_loss(objectness, offsets, drawn=DRAWN, has=HAS, target=target)
    label = 2 * math.log(4 / 3) + 2 * math.log(2)
    assert loss.classification.item() == pytest.approx(label / 4)
    # Below 1/9 it is 9/2 x², above |x| − 1/18.
    place = 4.5 * 0.1**2 + 4.5 * 0.05**2 + (1 - 1 / 18) + (2 - 1 / 18)
    assert loss.place.item() == pytest.approx(place / 4)


def drawn(rng):
    objectness = torch.randn(2, 3, dtype=torch.float64, generator=rng)
    offsets = torch.randn(2, 3, 4, dtype=torch.float64, generator=rng)
    return objectness, offsets, torch.randn(2, 4, dtype=torch.float64, generator=rng)


def test_anchors_that_are_not_drawn_change_nothing_and_are_taught_nothing(rng):
    objectness, offsets, target = drawn(rng)
    other = objectness.where(DRAWN, 50.0)
    moved = offsets.where((DRAWN & HAS)[..., None], 50.0).requires_grad_()
    before = proposal_loss(objectness, offsets, drawn=DRAWN, has=HAS, target=target)
    after = proposal_loss(other.requires_grad_(), moved, drawn=DRAWN, has=HAS, target=target)
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one, two)
    sum(after).backward()
    assert torch.equal(other.grad != 0, DRAWN)
    assert torch.equal((moved.grad != 0).any(dim=2), DRAWN & HAS)


def test_where_none_is_drawn_the_first_stage_costs_nothing():
    none = torch.zeros(2, 3, dtype=torch.bool)
    loss = proposal_loss(
        torch.ones(2, 3), torch.ones(2, 3, 4), drawn=none, has=HAS, target=torch.zeros(0, 4)
    )
    assert loss.classification == loss.place == 0


def test_the_first_stages_slopes_are_those_of_finite_differences(rng):
    objectness, offsets, target = drawn(rng)
    points = objectness.requires_grad_(), offsets.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda o, m: tuple(proposal_loss(o, m, drawn=DRAWN, has=HAS, target=target)), points
    )


def test_the_second_stage_by_hand():
    """Two classes and "nothing". The first box is of class 1, the second of none."""
    labels = torch.tensor([[0.0, math.log(2), 0.0], [0.0, 0.0, math.log(6)]])
    offsets = torch.zeros(2, 2, 4)
    offsets[0, 0], offsets[1] = 99.0, 77.0  # of another class, and of a box with none
    offsets[0, 1] = torch.tensor([0.5, 0.0, 3.0, 0.0])
    loss = box_loss(
        labels, offsets, labels=torch.tensor([1, 2]),
        target=torch.tensor([[0.0, 0.0, 0.0, 1.0], [5.0, 5.0, 5.0, 5.0]]),
    )  # fmt: skip
    assert loss.classification.item() == pytest.approx((math.log(2) + math.log(8 / 6)) / 2)
    assert loss.place.item() == pytest.approx((0.5**2 / 2 + 2.5 + 0.5) / 2)


def test_the_second_stages_label_is_torchvisions_with_the_classes_in_another_order(rng):
    """There "nothing" comes first; its bend is at 1/9."""
    logits = torch.randn(7, 4, generator=rng)
    labels = torch.tensor([0, 1, 2, 3, 3, 1, 3])
    loss = box_loss(logits, torch.zeros(7, 3, 4), labels=labels, target=torch.zeros(7, 4))
    theirs, place = fastrcnn_loss(
        logits.roll(1, dims=1), torch.zeros(7, 16), [(labels + 1) % 4], [torch.zeros(7, 4)]
    )
    torch.testing.assert_close(loss.classification, theirs)
    assert loss.place == place == 0


def test_without_offsets_there_is_nothing_to_place(rng):
    logits = torch.randn(3, 3, generator=rng)
    labels = torch.tensor([0, 2, 1])
    loss = box_loss(logits, None, labels=labels, target=torch.ones(3, 4))
    assert loss.place == 0
    other = box_loss(logits, torch.zeros(3, 2, 4), labels=labels, target=torch.ones(3, 4))
    assert loss.classification == other.classification
    assert other.place > 0


def test_no_boxes_at_all_cost_nothing():
    loss = box_loss(
        torch.zeros(0, 3), torch.zeros(0, 2, 4), labels=torch.zeros(0, dtype=torch.int64),
        target=torch.zeros(0, 4),
    )  # fmt: skip
    assert loss.classification == loss.place == 0


def test_the_second_stages_slopes_are_those_of_finite_differences(rng):
    logits = torch.randn(5, 3, dtype=torch.float64, generator=rng).requires_grad_()
    offsets = torch.randn(5, 2, 4, dtype=torch.float64, generator=rng).requires_grad_()
    labels = torch.tensor([0, 2, 1, 1, 2])
    target = torch.randn(5, 4, dtype=torch.float64, generator=rng)
    assert torch.autograd.gradcheck(
        lambda k, o: tuple(box_loss(k, o, labels=labels, target=target)), (logits, offsets)
    )
