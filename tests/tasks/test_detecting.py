"""What all detectors share: norms held still, and what is found and there in batches."""

import pytest
import torch
from torch import nn

from tests.tasks.annotated import ignoring, scenes
from vislab.ops.nms import Found
from vislab.tasks.detecting import Detect, detections_of, freeze_norms


def average_precision_of(network, batches, classes):
    assert network.classes == classes
    return Detect(network).scores(batches)["map50"]


class Knows(nn.Module):
    """Finds just what it was told, by image of the four scenes."""

    def __init__(self, found):
        super().__init__()
        self.found, self.seen, self.classes = found, 0, 2

    def detect(self, images):
        rows = range(self.seen, self.seen + len(images))
        self.seen += len(images)
        mine = [(row - rows[0], *one) for row in rows for one in self.found.get(row, [])]
        return Found(
            torch.tensor([one[0] for one in mine], dtype=torch.int64),
            torch.tensor([one[1] for one in mine], dtype=torch.float32).view(-1, 4),
            torch.tensor([one[2] for one in mine], dtype=torch.int64),
            torch.tensor([one[3] for one in mine], dtype=torch.float32),
        )


ALL = {
    0: [((2, 3, 12, 13), 0, 0.9), ((17, 16, 29, 26), 1, 0.8)],
    1: [((18, 4, 30, 14), 0, 0.7)],
    2: [((4, 18, 15, 29), 1, 0.6)],
    3: [((16, 16, 26, 28), 1, 0.5), ((3, 4, 13, 12), 1, 0.4)],
}
WRONG = {**ALL, 1: [((18, 20, 30, 30), 0, 0.95)]}


def parts(*sizes):
    first, batches = 0, []
    for size in sizes:
        batches.append(scenes(range(first, first + size)))
        first += size
    return batches


@pytest.mark.parametrize("sizes", [(4,), (3, 1), (2, 2)])
def test_images_are_counted_through_the_batches(sizes):
    found, targets = detections_of(Knows(ALL), parts(*sizes))
    assert found.image.tolist() == targets.image.tolist() == [0, 0, 1, 2, 3, 3]
    assert found.label.tolist() == targets.label.tolist() == [0, 1, 0, 1, 1, 1]
    assert found.boxes.tolist() == targets.boxes.tolist()
    assert not targets.ignored.any()


@pytest.mark.parametrize("sizes", [(4,), (3, 1)])
def test_all_found_is_one_and_a_box_in_the_wrong_place_costs_its_class(sizes):
    """Of label 0, two objects: the surest box is wrong, the next is right. Half found at ½."""
    assert average_precision_of(Knows(ALL), parts(*sizes), 2) == 1
    assert average_precision_of(Knows(WRONG), parts(*sizes), 2) == pytest.approx((0.25 + 1) / 2)


def test_an_ignored_instance_need_not_be_found_and_may_be():
    batch = ignoring(scenes(), 1, 0)
    _, targets = detections_of(Knows(ALL), [batch])
    assert targets.label.tolist() == [0, 1, 0, 1, 1, 1]
    assert targets.ignored.tolist() == [False, False, True, False, False, False]
    without = {row: found for row, found in ALL.items() if row != 1}
    assert average_precision_of(Knows(ALL), [batch], 2) == 1
    assert average_precision_of(Knows(without), [batch], 2) == 1
    assert average_precision_of(Knows(without), [scenes()], 2) == pytest.approx((0.5 + 1) / 2)


def test_where_there_are_no_batches_nothing_is_found_and_nothing_is_there():
    found, targets = detections_of(Knows(ALL), [])
    assert len(found) == len(targets) == 0
    assert average_precision_of(Knows(ALL), [], 2) == 0


def test_where_nothing_is_found_the_precision_is_zero():
    assert average_precision_of(Knows({}), [scenes()], 2) == 0


def test_norms_held_still_keep_their_averages_and_others_do_not(rng):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4), nn.Dropout())
    )
    model.train()
    freeze_norms(model[2])
    assert [m.training for m in (model[1], *model[2])] == [True, False, True]
    model(torch.randn(4, 3, 5, 5, generator=rng))
    assert model[1].num_batches_tracked == 1
    assert model[2][0].num_batches_tracked == 0
