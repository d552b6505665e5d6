"""Detection tested: where boxes lie in the file, and what a perfect detector scores."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.data.formats.sets import coco, image, instance
from tests.lab.undrawn import draw_nothing
from vislab import data
from vislab.data.batches import in_order
from vislab.evaluate import run_test
from vislab.lab.bench import Lab
from vislab.metrics.detection_errors import LABELS
from vislab.ops.nms import Found
from vislab.runs import figures
from vislab.runs.folder import RunFolder
from vislab.tasks.detecting import Detect, detections_of

CPU = torch.device("cpu")


def truth_of(images, split):
    """Return what is there, in pixels of the files."""
    batches = in_order(images, split)
    return detections_of(Knowing(images, split), batches)[1]


def run(lab, network, images, **options):
    return lab.test(Detect(network), images, **options)


class Knowing(nn.Module):
    """Says of each batch of a split, in their order, what it has been told."""

    def __init__(self, images, split="test", score=None, keep=None, empty=False):
        super().__init__()
        self.classes = len(images.classes)
        self.answers, self.at, self.options = [], 0, []
        for batch in in_order(images, split):
            image, place = torch.nonzero(batch.box_labels != -1, as_tuple=True)
            if empty:
                image, place = image[:0], place[:0]
            labels = batch.box_labels[image, place]
            labels = torch.where(labels < 0, -2 - labels, labels)
            scores = torch.full((len(labels),), 0.9) if score is None else score(len(labels))
            self.answers.append(Found(image, batch.boxes[image, place], labels, scores))

    def detect(self, images, **options):
        answer = self.answers[self.at % len(self.answers)]
        self.at += 1
        self.options.append(options)
        return answer


@pytest.fixture(scope="module")
def shapes():
    return data.annotated("shapes:easy", wanted="boxes", size=48, limit=40)


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Return images of four shapes, each with two objects, and the boxes as they were written."""
    root, listed, instances, boxes = tmp_path_factory.mktemp("uneven"), [], [], []
    for number, size in enumerate([(40, 30), (31, 47), (17, 90), (64, 64)]):
        image(root / "images" / f"{number}.png", size)
        listed.append({"id": number, "file_name": f"{number}.png"})
        for box in ((1, 2, 9, 13), (5.5, 3.25, size[0] - 5.5, size[1] - 3.25)):
            instances.append(instance(box, image=number))
            boxes.append((number, (box[0], box[1], box[0] + box[2], box[1] + box[3])))
    images = data.annotated(str(coco(root, instances, listed)), wanted="boxes", size=32)
    return images, boxes


def test_boxes_come_back_to_the_pixels_of_files_of_any_shape(uneven):
    images, boxes = uneven
    rows = np.repeat(np.arange(4), 2)
    back = images.placement.in_file(rows, images.boxes.xyxy.astype(np.float64))
    expected = [box for name in images.names for row, box in boxes if f"/{row}." in f"/{name}"]
    np.testing.assert_allclose(back, expected, atol=1e-4)
    assert images.placement.in_file(rows[:0], np.zeros((0, 4))).shape == (0, 4)


def test_the_truth_counts_images_within_the_split(uneven):
    images, boxes = uneven
    for split in ("train", "test"):
        targets, subset = truth_of(images, split), images.split(split)
        assert len(subset)
        assert targets.image.tolist() == np.repeat(np.arange(len(subset)), 2).tolist()
        written = [box for name in subset.names for row, box in boxes if f"/{row}." in f"/{name}"]
        np.testing.assert_allclose(targets.boxes, written, atol=1e-4)


def test_a_detector_that_says_the_truth_scores_one_by_every_count(shapes, lab, monkeypatch):
    draw_nothing(monkeypatch)
    run(lab, Knowing(shapes), shapes)
    found = lab.run.result.metrics
    for name in ("map50", "map50 (VOC 2007)", "map50 above 0.8", "COCO AP", "COCO AP75"):
        assert found[f"test/{name}"] == pytest.approx(1.0), name
    assert lab.run.result.intervals["test/map50"] == pytest.approx((1.0, 1.0))
    columns, rows = lab.run.table("classes")
    wrong = [columns.index(label) for label in (*LABELS[1:], "missed")]
    right, instances = columns.index("right"), columns.index("instances")
    assert {row[place] for row in rows for place in wrong} == {"0"}
    seen = (~truth_of(shapes, "test").difficult).sum()
    assert sum(int(row[right]) for row in rows) == seen
    assert sum(int(row[instances]) for row in rows) >= seen


def test_the_truth_in_uneven_files_scores_one(uneven, lab, monkeypatch):
    draw_nothing(monkeypatch)
    images, _ = uneven
    one = run(lab, Knowing(images), images)
    assert one.average_precision(iou=0.95).mean == 1.0


def test_a_detector_that_says_nothing_scores_zero_and_misses_all(shapes, lab, monkeypatch):
    draw_nothing(monkeypatch)
    run(lab, Knowing(shapes, empty=True), shapes)
    assert lab.run.result.metrics["test/map50"] == 0.0
    assert lab.run.result.metrics["test/map50 above 0.8"] == 0.0
    columns, rows = lab.run.table("classes")
    missed = sum(int(row[columns.index("missed")]) for row in rows)
    assert missed == (~truth_of(shapes, "test").difficult).sum()


def test_the_courses_cut_can_only_take_detections_away(shapes, lab, monkeypatch):
    draw_nothing(monkeypatch)
    chance = torch.Generator().manual_seed(3)
    network = Knowing(shapes, score=lambda count: torch.rand(count, generator=chance))
    one = run(lab, network, shapes)
    found = lab.run.result.metrics
    assert found["test/map50, NMS 0.3"] == pytest.approx(1.0)
    assert 0 < found["test/map50 above 0.8"] < 0.5
    # All boxes are right, so what is left is the share of each class that scores 0.8 and more.
    sure, seen = one.found.score >= 0.8, ~one.targets.difficult
    shares = [
        (sure & seen & (one.found.label == k)).sum() / (seen & (one.targets.label == k)).sum()
        for k in range(one.classes)
        if (seen & (one.targets.label == k)).any()
    ]
    assert found["test/map50 above 0.8"] == pytest.approx(np.mean(shares))
    assert [options.get("overlap") for options in network.options] == [None] * 2 + [0.3] * 2


def test_the_training_images_are_asked_once_and_get_no_interval(shapes, lab, monkeypatch):
    draw_nothing(monkeypatch)
    network = Knowing(shapes, split="train")
    run(lab, network, shapes, split="train", name="x")
    assert lab.run.result.metrics == {"x/train/map50": pytest.approx(1.0)}
    assert lab.run.result.intervals == {}
    assert network.at == len(network.answers)


def test_a_detector_is_asked_in_eval_mode_and_left_in_its_own(shapes, monkeypatch):
    network = Knowing(shapes)
    network.train()
    asked, detect = [], Knowing.detect
    monkeypatch.setattr(
        Knowing,
        "detect",
        lambda one, images, **_: asked.append(one.training) or detect(one, images),
    )
    run_test(Detect(network), shapes, "test", device=CPU, quiet=True)
    assert asked
    assert not any(asked)
    assert network.training


def test_the_figure_lays_found_and_missed_over_the_image_they_belong_to(uneven, lab, monkeypatch):
    images, _ = uneven
    drawn = []
    monkeypatch.setattr(
        figures, "boxes_over_images", lambda pixels, boxes, **_: drawn.append((pixels, boxes))
    )
    draw_nothing(monkeypatch)
    run(lab, Knowing(images), images)
    (pixels, boxes), split = drawn[0], images.split("test")
    assert len(pixels) == len(boxes) == len(split)
    for place, mine in enumerate(boxes):
        row = next(r for r in split.rows if (images.pixels[r] == pixels[place]).all())
        expected = images.boxes.xyxy[images.boxes.instances(int(row))]
        np.testing.assert_allclose([one.box for one in mine], expected, atol=1e-3)
        assert not any(one.dashed for one in mine)
