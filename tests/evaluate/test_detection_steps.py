"""The steps of a detector on one image."""

import numpy as np
import pytest
from torch import nn

from vislab import data, models
from vislab.evaluate.detection_steps import show_steps
from vislab.lab.bench import Lab
from vislab.runs import figures
from vislab.runs.folder import RunFolder


@pytest.fixture(scope="module")
def shapes():
    return data.annotated("shapes:easy", wanted="boxes", size=32, limit=4)


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Return a bench, and what it is asked to draw."""
    drawn = []
    lab = Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)
    monkeypatch.setattr(
        figures, "boxes_over_images", lambda *given, **named: drawn.append((*given, named))
    )
    monkeypatch.setattr(Lab, "show", lambda *_args, **_named: None)
    return lab, drawn


@pytest.mark.parametrize(("name", "steps"), [("yolo", 4), ("faster-rcnn", 5)])
@pytest.mark.parametrize("place", [0, 2])
def test_the_steps_are_those_of_the_image_that_was_named(shapes, shown, name, steps, place):
    lab, drawn = shown
    network = models.create(
        name, classes=len(shapes.classes), backbone="convnet", stride=8, hidden=8
    )
    network.train()
    show_steps(lab, network, shapes, place=place)
    ((pixels, boxes, named),) = drawn
    row = int(shapes.split("test").rows[place])
    assert len(pixels) == len(boxes) == len(named["titles"]) == steps
    assert (pixels == shapes.pixels[row]).all()
    mine = shapes.boxes.instances(row)
    clear = ~shapes.boxes.difficult[mine]
    np.testing.assert_array_equal([one.box for one in boxes[0]], shapes.boxes.xyxy[mine][clear])
    assert [one.text for one in boxes[0]] == [
        shapes.classes[k] for k in shapes.boxes.labels[mine][clear]
    ]
    assert len(boxes[1]) > 0  # every object has an anchor that learns it
    assert str(len(boxes[1])) in named["titles"][1]
    assert network.training


def test_of_a_detector_that_is_not_ours_nothing_is_shown(shapes, shown):
    lab, drawn = shown
    show_steps(lab, nn.Linear(1, 1), shapes)
    assert drawn == []
