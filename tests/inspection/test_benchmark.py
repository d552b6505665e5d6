"""Methods ranked where the cause is known, and what each depth knows."""

import numpy as np
import pytest
import torch
from torch import nn

from vislab import data
from vislab.data import shapes
from vislab.data.world import scenes_of
from vislab.evaluate.linear_probe import linear_probe
from vislab.inspection.benchmark import Ranked, ranked

PLACES = [0, 7, 30, 31]


@pytest.fixture(scope="module")
def images():
    return data.images("shapes:easy", size=32, per_class=20)


class SeesRed(nn.Module):
    """Class 1 is red in the masked pixels; a convolution, so that there are places."""

    def __init__(self):
        super().__init__()
        self.see = nn.Conv2d(3, 2, 3, padding=1, bias=False)
        with torch.no_grad():
            self.see.weight.zero_()
            self.see.weight[1, 0, 1, 1] = 9.0

    def forward(self, x):
        return self.see(x).relu().mean(dim=(2, 3))


def test_the_scenes_are_those_of_the_images(images):
    pixels = images.split("test").take(np.array(PLACES))
    scenes = scenes_of(images, PLACES)
    assert np.array_equal(shapes.render(scenes, 32), pixels)
    assert np.array_equal(shapes.labels(scenes), images.split("test").labels[PLACES])


def test_who_marks_the_cause_is_ranked_above_who_does_not():
    """A red square on black: its gradient times nothing, its occlusion is the square itself."""
    images = torch.zeros(3, 3, 16, 16)
    masks = torch.zeros(3, 16, 16, dtype=torch.bool)
    for k, (top, left) in enumerate(((0, 0), (2, 9), (9, 3))):
        masks[k, top : top + 5, left : left + 5] = True
        images[k, 0][masks[k]] = 1.0
    found, without = ranked(
        SeesRed(), images, masks, [1, 1, 1], ["occlusion", "deconvnet", "rollout"], quiet=True
    )
    order = list(found)
    assert set(order[:2]) == {"the object itself", "occlusion"}
    assert order.index("occlusion") < order.index("a random map")
    assert found["the object itself"].mean_iou()[0] == 1.0
    assert found["the object itself"].pointing()[0] == 1.0
    assert found["occlusion"].pointing()[0] == 1.0
    assert len(found["occlusion"].worths) == 3
    assert "attention" in without["rollout"]
    alone, _ = ranked(SeesRed(), images, None, [1, 1, 1], ["occlusion"], quiet=True)
    assert "the object itself" not in alone
    assert alone["occlusion"].iou == []
    assert alone["occlusion"].worths == found["occlusion"].worths


def test_an_overlap_is_of_the_images_where_the_object_is_seen():
    value, (low, high) = Ranked(iou=[0.2, float("nan"), 0.4, 0.6]).mean_iou()
    assert value == pytest.approx(0.4)
    assert low < 0.4 < high
    nowhere, interval = Ranked(iou=[float("nan")]).mean_iou()
    assert np.isnan(nowhere)
    assert interval is None


class TwoDepths(nn.Module):
    """The first layer forgets everything; the second keeps the colours."""

    def __init__(self):
        super().__init__()
        self.blind, self.seeing = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 12, 5, stride=3)
        with torch.no_grad():
            self.blind.weight.zero_()
        self.head = nn.Linear(12, 10)

    def forward(self, x):
        self.blind(x)
        return self.head(self.seeing(x).relu().mean(dim=(2, 3)))


def test_a_probe_of_features_that_know_nothing_is_at_chance():
    digits = data.images("digits", size=8)
    torch.manual_seed(0)
    found = linear_probe(
        TwoDepths(), digits, ["blind", "seeing"], device=torch.device("cpu"), quiet=True
    )
    share, (low, high) = found["blind"]
    assert low < 0.1 < high
    assert found["seeing"][1][0] > high
    assert share < found["seeing"][0]
