"""Who learns what, worked out by hand, and against torchvision's matcher."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import Matcher

from vislab.errors import OptionError
from vislab.ops.anchors import anchor_grid
from vislab.ops.boxes import pairwise_iou
from vislab.ops.matching import IGNORED, NEGATIVE, match, sample_balanced, yolo_assignment

# Anchors down, objects across. Object 1 is best overlapped, but by little, by anchors 3 and 4;
# anchor 4 overlaps object 0 more. No anchor touches object 2.
IOU = torch.tensor(
    [
        [0.8, 0.1, 0.0],  # belongs to 0
        [0.7, 0.0, 0.0],  # belongs to 0: the limit counts
        [0.5, 0.2, 0.0],  # between the limits
        [0.1, 0.25, 0.0],  # claimed by 1
        [0.29, 0.25, 0.0],  # claimed by 1, and yet 0's
        [0.0, 0.0, 0.0],
    ]
)
LIMITS = {"positive": 0.7, "negative": 0.3}


def test_a_case_by_hand():
    strict = match(IOU, **LIMITS, allow_low_quality=False)
    assert strict.tolist() == [0, 0, IGNORED, NEGATIVE, NEGATIVE, NEGATIVE]
    label = match(IOU, **LIMITS, allow_low_quality=True)
    assert label.tolist() == [0, 0, IGNORED, 1, 0, NEGATIVE]


def test_padding_is_given_to_no_one_and_images_do_not_mix():
    both = torch.stack((IOU, IOU.flip(1), IOU))
    real = torch.tensor([[True, True, True], [True, True, True], [False, True, True]])
    found = match(both, **LIMITS, allow_low_quality=True, real=real)
    assert found[0].tolist() == [0, 0, IGNORED, 1, 0, NEGATIVE]
    assert found[1].tolist() == [2, 2, IGNORED, 1, 2, NEGATIVE]
    assert found[2].tolist() == [NEGATIVE, NEGATIVE, NEGATIVE, 1, 1, NEGATIVE]
    none = torch.zeros_like(real)
    assert bool((match(both, **LIMITS, allow_low_quality=True, real=none) == NEGATIVE).all())


@pytest.mark.parametrize("allow_low_quality", [True, False])
def test_an_image_with_nothing_in_it_is_negative_and_no_anchors_are_no_answers(allow_low_quality):
    found = match(torch.zeros(2, 5, 0), **LIMITS, allow_low_quality=allow_low_quality)
    assert found.tolist() == [[NEGATIVE] * 5] * 2
    found = match(torch.zeros(2, 0, 3), **LIMITS, allow_low_quality=allow_low_quality)
    assert found.shape == (2, 0)


@given(st.integers(0, 9999), st.integers(1, 40), st.integers(1, 6), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_it_is_torchvisions_matcher(seed, anchors, instances, low, ties):
    iou = torch.rand(anchors, instances, generator=torch.Generator().manual_seed(seed))
    # Never 0: of an object that nothing touches torchvision gives it all the anchors, and we none.
    iou = (iou * 5).ceil() / 5 if ties else iou + 0.01
    ours = match(iou, **LIMITS, allow_low_quality=low)
    assert torch.equal(ours, Matcher(0.7, 0.3, allow_low_quality_matches=low)(iou.T))


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(OptionError, match=r"negative=0\.8"):
        match(IOU, positive=0.7, negative=0.8, allow_low_quality=False)


MATCHED = torch.tensor(
    [
        [0, 1, 2, 0, -1, -1, -1, -1, -1, -2],  # plenty of both
        [3, -2, -1, -1, -1, -1, -1, -1, -1, -2],  # one positive: negatives fill up
        [0, 1, 2, 0, 0, 0, 0, 0, -1, -2],  # one negative: nothing fills up
        [-2] * 10,
    ]
)


def test_samples_have_the_share_and_negatives_fill_the_rest(rng):
    for _ in range(20):
        drawn = sample_balanced(MATCHED, 4, 0.5, rng)
        assert ((MATCHED >= 0) & drawn).sum(dim=1).tolist() == [2, 1, 2, 0]
        assert ((MATCHED == NEGATIVE) & drawn).sum(dim=1).tolist() == [2, 3, 1, 0]
        assert not bool(drawn[MATCHED == IGNORED].any())
    assert sample_balanced(MATCHED, 99, 0.9, rng).sum(dim=1).tolist() == [9, 8, 9, 0]


def test_samples_are_even_and_seeded(rng):
    times = sum(sample_balanced(MATCHED[0], 4, 0.5, rng).int() for _ in range(3000))
    # Two of four and two of five: the std of the count is below 28.
    assert (times[:4] - 1500).abs().max() < 120
    assert (times[4:9] - 1200).abs().max() < 120
    same = [sample_balanced(MATCHED, 4, 0.5, torch.Generator().manual_seed(1)) for _ in "ab"]
    assert torch.equal(*same)


# 2×3 cells of 10 pixels with two anchors each: a square of 10, and one 20 wide and 10 high.
GRID = anchor_grid(2, 3, 10, torch.tensor([[10.0, 10.0], [20.0, 10.0]]))


def test_yolo_by_hand():
    """One object of 18×8 around (14, 6): cell 0, 1. Its square covers 80 of 164, the wide one 144
    of 200; the squares beside overlap it by 40 of 204 and 24 of 220, the wide ones by more."""
    instances = torch.tensor([[[5.0, 2.0, 23.0, 10.0]]])
    found = yolo_assignment(instances, torch.tensor([[True]]), GRID, stride=10)[0]
    assert found[0, 1].tolist() == [IGNORED, 0]
    assert found[0, 0].tolist() == [NEGATIVE, IGNORED]
    assert found[0, 2].tolist() == [NEGATIVE, IGNORED]
    assert found[1].tolist() == [[NEGATIVE, NEGATIVE]] * 3
    lenient = yolo_assignment(instances, torch.tensor([[True]]), GRID, stride=10, negative=0.19)[0]
    assert lenient[0, 0].tolist() == [IGNORED, IGNORED]


def test_a_yolo_instance_however_small_or_far_out_has_one_anchor_of_its_cell():
    instances = torch.tensor([[[11.0, 11.0, 12.0, 12.0], [28.0, -20.0, 40.0, -10.0]]])
    found = yolo_assignment(instances, torch.ones(1, 2, dtype=torch.bool), GRID, stride=10)[0]
    assert found[1, 1].tolist() == [0, NEGATIVE]  # 1 of 100 pixels, 1 of 200
    assert sorted(found[0, 2].tolist()) == [NEGATIVE, 1]
    assert int((found >= 0).sum()) == 2


def test_of_two_yolo_instances_for_one_anchor_the_better_has_it_and_of_equals_the_first():
    small, large = [12.0, 2.0, 18.0, 8.0], [10.0, 0.0, 20.0, 9.0]
    for instances, winner in (([small, large], 1), ([large, small], 0), ([small, small], 0)):
        found = yolo_assignment(
            torch.tensor([instances]), torch.ones(1, 2, dtype=torch.bool), GRID, stride=10
        )
        assert found[0, 0, 1, 0] == winner
        assert int((found >= 0).sum()) == 1
    # A padded row takes nothing away, whatever stands in it.
    found = yolo_assignment(
        torch.tensor([[large, small]]), torch.tensor([[False, True]]), GRID, stride=10
    )
    assert found[0, 0, 1, 0] == 1


@given(st.integers(0, 9999), st.integers(0, 6))
@settings(max_examples=20, deadline=None)
def test_yolo_is_what_loops_over_images_and_instances_find(seed, instances):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(3, instances, 2, generator=generator) * torch.tensor([25.0, 15.0])
    boxes = torch.cat(
        (corner, corner + 2 + torch.rand(3, instances, 2, generator=generator) * 15), 2
    )
    real = torch.rand(3, instances, generator=generator) < 0.7
    found = yolo_assignment(boxes, real, GRID, stride=10)
    for image in range(3):
        wanted = torch.full((2, 3, 2), NEGATIVE)
        best = torch.zeros(2, 3, 2)
        held = {}
        for instance in real[image].nonzero()[:, 0].tolist():
            iou = pairwise_iou(GRID.view(-1, 4), boxes[image, instance][None]).view(2, 3, 2)
            best = torch.maximum(best, iou)
            x1, y1, x2, y2 = boxes[image, instance].tolist()
            i, j = min(int((y1 + y2) / 20), 1), min(int((x1 + x2) / 20), 2)
            place = (i, j, int(iou[i, j].argmax()))
            if place not in held or iou[place] > held[place][0]:
                held[place] = (iou[place], instance)
        wanted[best >= 0.2] = IGNORED
        for place, (_, instance) in held.items():
            wanted[place] = instance
        assert torch.equal(found[image], wanted)
