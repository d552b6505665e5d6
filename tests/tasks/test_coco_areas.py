"""Sizes of objects go by the area that COCO's annotations state, as pycocotools has it."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vislab import data
from vislab.data.batches import in_order
from vislab.metrics import COCO_NUMBERS, Detections, coco_map
from vislab.ops.nms import Found
from vislab.tasks.detecting import detections_of

SIDES = (20, 40, 60, 110, 140)  # of boxes; their outlines fill from a fifth to all


class Nothing:
    """A detector that finds nothing."""

    def detect(self, images):
        import torch

        none = torch.zeros(0, dtype=torch.int64)
        return Found(none, torch.zeros(0, 4), none, torch.zeros(0))


@pytest.fixture
def coco(tmp_path):
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for row in range(12):
        Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(
            tmp_path / f"{row}.jpg"
        )
        images.append({"id": row + 1, "file_name": f"{row}.jpg", "width": 400, "height": 300})
        for _ in range(4):
            side = float(rng.choice(SIDES))
            left, top = float(rng.integers(0, 250)), float(rng.integers(0, 150))
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": row + 1, "iscrowd": 0,
                    "category_id": int(rng.integers(1, 3)), "bbox": [left, top, side, side],
                    "area": side * side * float(rng.uniform(0.2, 1)),
                }
            )  # fmt: skip
    told = {
        "images": images, "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }  # fmt: skip
    Image.new("RGB", (400, 300)).save(tmp_path / "learned.jpg")
    one = {**images[0], "file_name": "learned.jpg"}
    (tmp_path / "annotations").mkdir()
    for split, held in (
        ("test", told), ("train", {**told, "images": [one], "annotations": annotations[:1]})
    ):  # fmt: skip
        path = tmp_path / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(held))
    return tmp_path


def test_the_numbers_by_size_are_pycocotools(coco):
    table = data.annotated(str(coco), wanted="boxes", size=128)
    _, targets = detections_of(Nothing(), in_order(table, "test", batch=5))
    told = json.loads((coco / "annotations" / "instances_test.json").read_text())
    assert sorted(targets.area) == pytest.approx(sorted(a["area"] for a in told["annotations"]))
    rng = np.random.default_rng(1)
    seen = rng.random(len(targets)) < 0.8
    sides = targets.boxes[:, 2:] - targets.boxes[:, :2]
    boxes = targets.boxes[seen] + rng.normal(0, 0.08, (seen.sum(), 4)) * np.tile(sides[seen], 2)
    found = Detections(targets.image[seen], boxes, targets.label[seen], rng.random(seen.sum()))
    ours = coco_map(found, targets, 2)
    rows = [name.rsplit("/", 1)[-1] for name in table.split("test").names]
    numbers = {image["file_name"]: image["id"] for image in told["images"]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(coco / "annotations" / "instances_test.json"))
        theirs = truth.loadRes(
            [
                {
                    "image_id": numbers[rows[image]],
                    "category_id": int(label) + 1,
                    "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
                    "score": float(score),
                }
                for image, box, label, score in zip(
                    found.image, found.boxes, found.label, found.score, strict=True
                )
            ]
        )
        evaluation = COCOeval(truth, theirs, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    for name, value in zip(COCO_NUMBERS, evaluation.stats, strict=True):
        assert ours[name] == pytest.approx(value, abs=1e-3), name
    by_boxes = coco_map(found, type(targets)(**{**vars(targets), "area": None}), 2)
    assert abs(by_boxes["AP small"] - ours["AP small"]) > 0.01, "it makes a difference here"
