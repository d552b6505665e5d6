"""Boxes and regions explained: which ones, measured on what, filed where."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.lab.undrawn import draw_nothing
from vislab import data
from vislab.data.columns import Placement
from vislab.inspection.dense import (
    boxes_to_explain,
    depth,
    explain_detection,
    explain_segmentation,
    here,
    inside,
    largest_region,
    outlined,
)
from vislab.lab.bench import Lab
from vislab.metrics.detection_matching import Detections, Targets
from vislab.runs.folder import RunFolder
from vislab.tasks.detecting import Detected
from vislab.tasks.segment import Segmented

SIDE = 32


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


@pytest.fixture(scope="module")
def images():
    opened = data.annotated("shapes:easy", wanted="boxes", size=SIDE, limit=12)
    return opened.normalised_by((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def painted(images, corner=(0, 0)):
    """Grey noise everywhere, with a bright square of 16 pixels."""
    pixels = np.random.default_rng(0).integers(60, 90, images.pixels.shape).astype(np.uint8)
    pixels[:, corner[0] : corner[0] + 16, corner[1] : corner[1] + 16] = 250
    return replace(images, pixels=pixels)


class Bright(nn.Module):
    """A box is of class 0 when it is bright, and nothing outside it matters."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.AvgPool2d(4))
        nn.init.constant_(self.backbone[0].weight, 1 / 3)
        self.slope = nn.Parameter(torch.tensor([16.0, -16.0]))

    def origin_of(self, image, box, label):
        return (box / 4).round().long()

    def scores_from(self, images, origin):
        left, top, right, bottom = origin.tolist()
        seen = self.backbone(images)[:, 0, top:bottom, left:right].mean(dim=(1, 2))
        return (seen[:, None] - 0.65) * self.slope


def found_in(places, corners, scores, labels=None):
    count = len(places)
    return Detections(
        np.array(places, int), np.array(corners, float).reshape(count, 4),
        np.zeros(count, int) if labels is None else np.array(labels), np.array(scores, float),
    )  # fmt: skip


def detected_in(images, found):
    rows = images.split("test").rows
    there = images.boxes.take(rows)
    image = np.repeat(np.arange(len(rows)), np.diff(there.starts))
    corners = images.placement.in_file(rows[image], there.xyxy.astype(float))
    targets = Targets(image, corners, there.labels, there.crowd, there.difficult)
    return detected(found, targets, len(images.classes))


def detected(found, targets, classes):
    return Detected("map50", count=12, found=found, targets=targets, classes=classes)


def segmented(said, targets):
    both, either = ((said & targets).sum((1, 2)), (said + targets).sum((1, 2)))
    dice = np.where(either > 0, 2 * both / either.clip(min=1), 1.0)
    return Segmented(
        "dice", {"dice": dice}, {"predictions": said, "targets": targets}, count=len(said)
    )


def test_what_a_score_comes_from_is_found_and_trusted_and_a_blob_elsewhere_is_not(
    images, lab, monkeypatch
):
    draw_nothing(monkeypatch)
    bright = painted(images)
    one = detected_in(bright, found_in([3], [(0, 0, 16, 16)], [0.9]))
    (answer,) = explain_detection(lab, Bright(), bright, one)
    (reason,) = answer.reasons
    assert reason.worth.probability > 0.95
    assert reason.worth.margin > max(*reason.worth.random, reason.worth.centre) + 0.1
    assert reason.itself.margin > max(reason.worth.random)
    inner, outer = reason.found[:4, :4], reason.found.clone()
    outer[:4, :4] = 0
    assert inner.min() > 2 * outer.max()
    columns, rows = lab.run.table("why these boxes, measured")
    assert len(rows) == 1
    row = dict(zip(columns, rows[0], strict=True))
    assert float(row["deletion"]) < float(row["insertion"]) - 0.3
    assert float(row["margin"]) == reason.worth.margin
    assert float(row["the box itself"]) == reason.itself.margin
    assert row["faithfulness"] == reason.worth.level


def test_the_figure_and_the_table_are_filed_with_what_is_believed(images, lab):
    bright = painted(images)
    found = found_in([0, 4], [(0, 0, 16, 16), (16, 16, 32, 32)], [0.9, 0.8])
    explain_detection(lab, Bright(), bright, detected_in(bright, found), count=3)
    (figure,) = lab.run.result.figures
    assert (lab.run.path / figure["file"]).exists()
    assert "of 2 at the last maps" in figure["caption"]
    assert len(lab.run.table("why these boxes, measured")[1]) == 2


def test_a_detector_without_origins_and_one_that_finds_nothing_are_noted(images, lab):
    one = detected_in(images, found_in([3], [(0, 0, 16, 16)], [0.9]))
    assert explain_detection(lab, nn.Conv2d(3, 3, 1), images, one) == []
    empty = detected_in(images, found_in([], [], []))
    assert explain_detection(lab, Bright(), images, empty) == []
    first, second = lab.run.result.notes
    assert "Conv2d does not tell" in first
    assert "none was" in second
    assert lab.run.result.figures == []


def test_half_of_the_boxes_are_sure_mistakes_each_of_another_image():
    """Images 0 to 3 have one object each, at 0 to 10; detection 2 lies far from it, 4 is unsure,
    5 finds image 0's object again, 6 has the wrong class."""
    instance, far = (0, 0, 10, 10), (20, 20, 30, 30)
    targets = Targets(
        np.arange(4), np.array([instance] * 4, float), np.zeros(4, int), np.zeros(4, bool),
        np.zeros(4, bool),
    )  # fmt: skip
    found = found_in(
        [0, 1, 1, 2, 3, 0, 2], [instance, instance, far, instance, instance, instance, instance],
        [0.9, 0.8, 0.95, 0.7, 0.4, 0.85, 0.6], [0, 0, 0, 0, 0, 0, 1],
    )  # fmt: skip
    one = detected(found, targets, 2)
    assert [box for box, _ in boxes_to_explain(one, 2)] == [2, 0]
    assert [box for box, _ in boxes_to_explain(one, 4)] == [2, 6, 0, 4]
    assert [label for _, label in boxes_to_explain(one, 4)] == [5, 2, 0, -1]
    assert len(boxes_to_explain(one, 9)) == 4


def test_a_box_goes_to_the_file_and_back(images):
    whole = np.tile([64, 40], (len(images), 1))
    other = images.with_columns(placement=Placement(SIDE, np.full(len(images), 0.5), whole))
    corners = np.array([[3.0, 7.5, 20.0, 25.0]])
    back = other.placement.in_file(np.array([5]), corners)[0]
    assert here(other, 5, back) == tuple(corners[0])
    assert here(other, 5, np.array([0.0, 0.0, 64.0, 40.0])) == (0.0, 6.0, 32.0, 26.0)


def test_a_box_has_the_pixels_it_touches_and_never_none():
    assert np.argwhere(inside((1.5, 0.0, 3.0, 1.2), 5)).tolist() == [
        [0, 1], [0, 2], [1, 1], [1, 2]
    ]  # fmt: skip
    assert np.argwhere(inside((5.0, 2.0, 5.0, 2.0), 5)).tolist() == [[2, 4]]


def test_depth_counts_from_the_border_inwards_and_outwards():
    region = np.zeros((5, 7), dtype=bool)
    region[1:4, 2:5] = True
    found = depth(region)
    assert found[2].tolist() == [-2, -1, 1, 2, 1, -1, -2]
    assert found[2, 3] == found.max()
    assert found[0, 1] == pytest.approx(-(2**0.5))
    assert depth(np.ones((3, 3), dtype=bool)).tolist() == [[1, 1, 1], [1, 2, 1], [1, 1, 1]]


def test_the_largest_region_is_connected_and_no_background():
    said = np.zeros((6, 8), dtype=np.uint8)
    said[0:2, 0:3] = 2  # 6 pixels
    said[3:5, 0:2] = 2  # 4
    said[2:6, 5:7] = 1  # 8
    assert np.array_equal(largest_region(said), said == 1)
    said[4, 5:7] = 0  # of 8, 4 and 2 are left
    expected = np.zeros((6, 8), dtype=bool)
    expected[0:2, 0:3] = True
    assert np.array_equal(largest_region(said), expected)
    assert largest_region(np.zeros((3, 3), dtype=np.uint8)) is None


def test_an_outline_follows_the_border_and_leaves_the_rest():
    region = np.zeros((256, 256), dtype=bool)
    region[100:150, 100:150] = True
    drawn = outlined(np.full((256, 256, 3), 90, np.uint8), region)
    assert drawn.shape == (256, 256, 3)
    white, black, grey = (set(map(tuple, np.argwhere((drawn == v).all(2)))) for v in (255, 0, 90))
    assert {(100, 120), (101, 120), (149, 149)} <= white
    assert {(99, 120), (102, 120)} <= black
    assert {(125, 125), (90, 120)} <= grey
    small = outlined(np.zeros((64, 64, 3), np.uint8), region[::4, ::4])
    assert small.shape == (256, 256, 3)


class Lit(nn.Module):
    """Class 1 is where it is bright, told over two halvings and back."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AvgPool2d(4))
        self.wide = nn.Upsample(scale_factor=4)
        self.head = nn.Conv2d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.maps[0].weight.copy_(torch.tensor([[1 / 3] * 3, [-1 / 3] * 3])[..., None, None])
            self.maps[0].bias.copy_(torch.tensor([-0.5, 0.5]))
            self.head.weight.copy_(torch.tensor([[0.0, 9.0], [9.0, 0.0]])[..., None, None])

    def forward(self, x):
        return self.head(self.wide(self.maps(x)))


def test_regions_of_the_worst_and_the_best_images_are_explained(lab):
    images = data.annotated("shapes:easy", wanted="masks", size=SIDE, limit=12).merged()
    bright = painted(images.normalised_by((0.0,) * 3, (1.0,) * 3), corner=(8, 4))
    said = np.zeros((12, SIDE, SIDE), dtype=np.uint8)
    said[1:, 8:24, 4:20] = 1
    targets = said.copy()
    for place in range(1, 12):  # the fewer columns are true, the worse
        targets[place, :, 4 + place :] = 0
    found = explain_segmentation(lab, Lit(), bright, segmented(said, targets))
    rows = bright.split("test").rows
    assert [one.asked.row for one in found] == [rows[place] for place in (1, 2, 10, 11)]
    for one in found:
        assert [reason.layer for reason in one.reasons] == ["coarsest maps", "last maps"]
        assert one.reasons[0].found.shape == (8, 8)
        assert one.reasons[0].worth.margin > max(one.reasons[0].worth.random)
    (figure,) = lab.run.result.figures
    assert (lab.run.path / figure["file"]).exists()
    assert "of 4 at the coarsest maps and" in figure["caption"]
    assert len(lab.run.table("why these regions, measured")[1]) == 8


def test_a_network_that_sees_nothing_and_one_without_maps_are_noted(lab):
    images = data.annotated("shapes:easy", wanted="masks", size=SIDE, limit=12).merged()
    said = np.zeros((12, SIDE, SIDE), dtype=np.uint8)
    nothing = segmented(said, said)
    assert explain_segmentation(lab, Lit(), images, nothing) == []
    something = segmented(said + np.uint8(1), said)
    assert explain_segmentation(lab, nn.Conv2d(3, 2, 1), images, something) == []
    first, second = lab.run.result.notes
    assert "only background" in first
    assert "no maps before its scores" in second
