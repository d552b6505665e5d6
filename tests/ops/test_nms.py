"""Non-maximum suppression of a batch: by hand, by a naive loop, and image by image."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.ops.boxes import iou
from vislab.ops.nms import Found, padded, suppress

INFINITY = float("inf")


def naive(boxes, scores, labels, *, least, overlap, most):
    """Return (image, place) of what stays: one box after another, against all kept before."""
    answer = []
    for image in range(len(scores)):
        kept = []
        for place in scores[image].argsort(descending=True, stable=True).tolist():
            if not scores[image, place] >= least or not scores[image, place].isfinite():
                continue
            mine, label = boxes[image, place], labels[image, place]
            rivals = [other for other in kept if labels[image, other] == label]
            if all(iou(mine[None], boxes[image, o][None]) <= overlap for o in rivals):
                kept.append(place)
        answer += [(image, place) for place in kept[:most]]
    return answer


def test_a_case_by_hand():
    """Of label 0: 10×10, the same moved by 3 (IoU 70/130) and by 4 (60/140). Of label 1: as 0."""
    boxes = torch.tensor(
        [[[0.0, 0, 10, 10], [3, 0, 13, 10], [4, 0, 14, 10], [0, 0, 10, 10], [20, 20, 24, 30]]]
    )
    scores = torch.tensor([[0.8, 0.9, 0.7, 0.3, 0.05]])
    labels = torch.tensor([[0, 0, 0, 1, 0]])
    found = suppress(boxes, scores, labels, least=0.05, overlap=0.5, most=9)
    assert found.image.tolist() == [0, 0, 0]
    assert found.boxes.tolist() == [[3, 0, 13, 10], [0, 0, 10, 10], [20, 20, 24, 30]]
    assert found.labels.tolist() == [0, 1, 0]
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.3, 0.05]))
    wider = suppress(boxes, scores, labels, least=0.06, overlap=0.6, most=9)
    torch.testing.assert_close(wider.scores, torch.tensor([0.9, 0.8, 0.3]))
    few = suppress(boxes, scores, labels, least=0.0, overlap=1.0, most=2)
    torch.testing.assert_close(few.scores, torch.tensor([0.9, 0.8]))


def test_what_is_covered_by_a_box_that_goes_itself_stays():
    """A covers B, B covers C, A does not cover C."""
    boxes = torch.tensor([[[0.0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]]])
    scores = torch.tensor([[0.9, 0.8, 0.7]])
    found = suppress(boxes, scores, torch.zeros(1, 3).long(), least=0.0, overlap=0.5, most=9)
    assert found.boxes[:, 0].tolist() == [0, 6]


def drawn(seed, n, p, classes, side=64.0):
    chance = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, p, 2, generator=chance) * side
    sides = 4 + torch.rand(n, p, 2, generator=chance) * side / 2
    boxes = torch.cat([corner, corner + sides], dim=2)
    labels = torch.randint(0, classes, (n, p), generator=chance)
    scores = torch.rand(n, p, generator=chance)
    scores[torch.rand(n, p, generator=chance) < 0.1] = -INFINITY
    return boxes, scores, labels


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 9999), st.integers(1, 4), st.integers(0, 15), st.integers(1, 3),
    st.floats(0.1, 0.8), st.integers(1, 9),
)  # fmt: skip
def test_it_does_what_a_naive_loop_does(seed, n, p, classes, overlap, most):
    boxes, scores, labels = drawn(seed, n, p, classes)
    limits = {"least": 0.2, "overlap": overlap, "most": most}
    found = suppress(boxes, scores, labels, **limits)
    rows = naive(boxes, scores, labels, **limits)
    assert found.image.tolist() == [image for image, _ in rows]
    for name, column in (("boxes", boxes), ("labels", labels), ("scores", scores)):
        wanted = [column[row].tolist() for row in rows]
        assert getattr(found, name).tolist() == wanted, name


@pytest.mark.parametrize("classes", [1, 80])
def test_a_batch_is_its_images_one_by_one(classes):
    """However many images and classes: with 2560 groups, their places must stay exact."""
    boxes, scores, labels = drawn(3, 32, 30, classes, side=500.0)
    # Partners a hair above and below the limit: 100 wide, moved by a third, IoU one half.
    corner = boxes[:, :10, :2].round()
    for place, moved in ((10, 33.33), (20, 33.34)):
        boxes[:, place : place + 10, :2] = corner + torch.tensor([moved, 0.0])
        boxes[:, place : place + 10, 2:] = boxes[:, place : place + 10, :2] + 100
        labels[:, place : place + 10] = labels[:, :10]
    boxes[:, :10, :2], boxes[:, :10, 2:] = corner, corner + 100
    limits = {"least": 0.0, "overlap": 0.5, "most": 50}
    together = suppress(boxes, scores, labels, **limits)
    for image in range(32):
        one = slice(image, image + 1)
        alone = suppress(boxes[one], scores[one], labels[one], **limits)
        mine = together.of(image)
        assert bool((mine.image == image).all())
        assert torch.equal(mine.boxes, alone.boxes)
        assert torch.equal(mine.labels, alone.labels)
        assert torch.equal(mine.scores, alone.scores)


def test_boxes_that_reach_out_of_the_image_do_not_meet_those_of_another():
    boxes = torch.tensor([[[-50.0, -50, 10, 10]], [[-50.0, -50, 10, 10]], [[-50.0, -50, 12, 12]]])
    found = suppress(
        boxes, torch.ones(3, 1), torch.zeros(3, 1).long(), least=0.5, overlap=0.05, most=5
    )
    assert found.image.tolist() == [0, 1, 2]


def test_nothing_is_found_where_nothing_scores():
    boxes, scores, labels = drawn(0, 2, 5, 3)
    for nothing in (torch.full_like(scores, -INFINITY), torch.zeros_like(scores)):
        found = suppress(boxes, nothing, labels, least=0.1, overlap=0.5, most=5)
        assert [len(column) for column in found] == [0, 0, 0, 0]
        assert found.boxes.shape == (0, 4)


def test_scores_that_are_no_numbers_are_not_found():
    boxes = torch.tensor([[[0.0, 0, 5, 5], [9, 9, 12, 12], [20, 20, 25, 25]]])
    scores = torch.tensor([[float("nan"), -INFINITY, 0.2]])
    found = suppress(boxes, scores, torch.zeros(1, 3).long(), least=-INFINITY, overlap=0.5, most=5)
    assert found.boxes.tolist() == [[20, 20, 25, 25]]


def test_padding_by_hand():
    found = Found(
        image=torch.tensor([0, 2, 2]),
        boxes=torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]),
        labels=torch.tensor([0, 1, 0]),
        scores=torch.tensor([0.5, 0.75, 0.25]),
    )
    boxes, scores = padded(found, 4)
    assert boxes.shape == (4, 2, 4)
    assert boxes[0, 0].tolist() == [1, 2, 3, 4]
    assert boxes[2].tolist() == [[5, 6, 7, 8], [9, 10, 11, 12]]
    assert scores.tolist() == [
        [0.5, -INFINITY], [-INFINITY, -INFINITY], [0.75, 0.25], [-INFINITY, -INFINITY],
    ]  # fmt: skip
    assert bool(boxes[scores == -INFINITY].isfinite().all())


def test_padding_of_nothing_is_one_row_an_image():
    nothing = suppress(
        torch.zeros(3, 2, 4), torch.zeros(3, 2), torch.zeros(3, 2).long(),
        least=0.5, overlap=0.5, most=5,
    )  # fmt: skip
    boxes, scores = padded(nothing, 3)
    assert boxes.shape == (3, 1, 4)
    assert scores.tolist() == [[-INFINITY]] * 3


def test_padding_keeps_what_is_found(rng):
    boxes, scores, labels = drawn(5, 3, 12, 1)
    found = suppress(boxes, scores, labels, least=0.3, overlap=0.4, most=5)
    wide, marks = padded(found, 3)
    assert torch.equal(wide[marks > -INFINITY], found.boxes)
    assert torch.equal(marks[marks > -INFINITY], found.scores)
