"""Overlaps against cases by hand, laws, and torchvision."""

import math

import pytest
import torch
import torchvision.ops
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.ops import boxes as b

PAIRED = {"iou": b.iou, "giou": b.giou, "diou": b.diou, "ciou": b.ciou}
# 2×2 at the origin against itself, half over it, touching, 2 apart, a point, two inside out.
ONE = torch.tensor([0.0, 0.0, 2.0, 2.0])
OTHERS = torch.tensor(
    [
        [0.0, 0.0, 2.0, 2.0],
        [1.0, 0.0, 3.0, 2.0],
        [2.0, 0.0, 4.0, 2.0],
        [4.0, 0.0, 6.0, 2.0],
        [1.0, 1.0, 1.0, 1.0],
        [2.0, 0.0, 0.0, 2.0],
        [0.0, 2.0, 2.0, 0.0],
    ]
)


def random_boxes(generator, *size, sharp=False):
    corner = torch.rand(*size, 2, generator=generator, dtype=torch.float64) * 90
    side = torch.rand(*size, 2, generator=generator, dtype=torch.float64) * 60 + 0.5
    found = torch.cat((corner, corner + side), dim=-1)
    return found.round() + torch.tensor([0, 0, 1, 1]) if sharp else found


def test_cases_by_hand():
    one = ONE.expand(7, 4)
    assert b.area(OTHERS).tolist() == [4, 4, 4, 4, 0, 0, 0]
    torch.testing.assert_close(b.iou(one, OTHERS), torch.tensor([1, 1 / 3, 0, 0, 0, 0, 0]))
    # The hull of the fourth is 6×2, and 4 of its 12 pixels belong to neither.
    torch.testing.assert_close(b.giou(one, OTHERS)[:5], torch.tensor([1, 1 / 3, 0, -1 / 3, 0]))
    # Centres 0, 1, 2, 4, 0 apart; hulls' diagonals² 8, 13, 20, 40, 8.
    expected = torch.tensor([1, 1 / 3 - 1 / 13, -4 / 20, -16 / 40, 0])
    torch.testing.assert_close(b.diou(one, OTHERS)[:5], expected)
    torch.testing.assert_close(b.ciou(one, OTHERS)[:4], expected[:4])  # squares all


def test_ciou_takes_away_for_another_shape_by_hand():
    """A square of 2 and a 4×1 with the same centre: IoU 2/6, angles π/4 and arctan 4."""
    wide = torch.tensor([-1.0, 0.5, 3.0, 1.5])
    v = 4 / math.pi**2 * (math.atan(4) - math.pi / 4) ** 2
    expected = 1 / 3 - v * v / (1 - 1 / 3 + v)
    assert b.ciou(ONE, wide).item() == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 9999), st.integers(1, 7), st.integers(1, 5), st.booleans())
@settings(max_examples=30, deadline=None)
def test_all_agree_with_torchvision(seed, r, s, sharp):
    generator = torch.Generator().manual_seed(seed)
    one, two = (
        random_boxes(generator, r, sharp=sharp),
        random_boxes(generator, s, sharp=sharp),
    )
    wanted = torchvision.ops.box_iou(one, two)
    torch.testing.assert_close(b.pairwise_iou(one, two), wanted, rtol=0, atol=1e-6)
    left, right = one[:, None].expand(r, s, 4), two.expand(r, s, 4)
    theirs = {
        "iou": torchvision.ops.box_iou,
        "giou": torchvision.ops.generalized_box_iou,
        "diou": torchvision.ops.distance_box_iou,
        "ciou": torchvision.ops.complete_box_iou,
    }
    for name, ours in PAIRED.items():
        torch.testing.assert_close(
            ours(left, right), theirs[name](one, two), rtol=0, atol=1e-6, msg=name
        )
    torch.testing.assert_close(b.area(one), torchvision.ops.box_area(one))


def test_the_weight_of_the_shape_has_no_gradient(rng):
    one, two = random_boxes(rng, 9).requires_grad_(), random_boxes(rng, 9)
    (ours,) = torch.autograd.grad(b.ciou(one, two).sum(), one)
    (theirs,) = torch.autograd.grad(torchvision.ops.complete_box_iou_loss(one, two).sum(), one)
    torch.testing.assert_close(ours, -theirs, rtol=1e-4, atol=1e-7)


@given(st.integers(0, 9999), st.floats(0.1, 9), st.floats(-50, 50))
@settings(max_examples=20, deadline=None)
def test_all_are_symmetric_and_do_not_change_when_boxes_move_grow_or_are_mirrored(
    seed, scale, shift
):
    generator = torch.Generator().manual_seed(seed)
    one, two = random_boxes(generator, 2, 5, 4)[..., :4], random_boxes(generator, 2, 5, 4)
    for name, overlap in PAIRED.items():
        found = overlap(one, two)
        for again in (
            overlap(two, one),
            overlap(one * scale + shift, two * scale + shift),
            overlap(b.mirror(one, width=99), b.mirror(two, width=99)),
        ):
            torch.testing.assert_close(again, found, rtol=0, atol=1e-9, msg=name)
    assert bool((b.giou(one, two) <= b.iou(one, two) + 1e-12).all())
    assert bool((b.ciou(one, two) <= b.diou(one, two) + 1e-12).all())


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 5.0]), min_size=8, max_size=8), min_size=1))
@settings(max_examples=30, deadline=None)
def test_no_box_however_degenerate_gives_nan_or_an_endless_gradient(rows):
    both = torch.tensor(rows).view(-1, 2, 4).requires_grad_()
    one, two = both.unbind(dim=1)
    for name, overlap in PAIRED.items():
        found = overlap(one, two)
        assert bool(found.isfinite().all()), name
        (gradient,) = torch.autograd.grad(found.sum(), both, retain_graph=True)
        assert bool(gradient.isfinite().all()), name
    empty = (b.area(one) == 0) | (b.area(two) == 0)
    assert not bool(b.iou(one, two)[empty].any())


def test_one_set_of_anchors_serves_all_images():
    generator = torch.Generator().manual_seed(0)
    anchors, things = random_boxes(generator, 6), random_boxes(generator, 3, 2)
    found = b.pairwise_iou(anchors, things)
    assert found.shape == (3, 6, 2)
    for image in range(3):
        torch.testing.assert_close(found[image], b.pairwise_iou(anchors, things[image]))
    assert b.pairwise_iou(anchors, things[:, :0]).shape == (3, 6, 0)


def test_large_boxes_in_half_precision_do_not_overflow():
    box = torch.tensor([[0, 0, 800, 600]], dtype=torch.float16)
    assert b.pairwise_iou(box, box).tolist() == [[1.0]]
    assert b.area(box).tolist() == [480_000]


def test_clipping_and_mirroring_by_hand():
    box = torch.tensor([[[-3.0, 2.0, 4.0, 30.0]], [[12.0, -5.0, 14.0, -1.0]]])
    assert b.clip(box, height=20, width=10).tolist() == [[[0, 2, 4, 20]], [[10, 0, 10, 0]]]
    assert b.mirror(box, width=10).tolist() == [[[6, 2, 13, 30]], [[-4, -5, -2, -1]]]


def test_centres_by_hand_and_back(rng):
    assert b.to_centres(torch.tensor([1.0, 2.0, 5.0, 12.0])).tolist() == [3, 7, 4, 10]
    found = random_boxes(rng, 3, 4)
    torch.testing.assert_close(b.to_corners(b.to_centres(found)), found)
