"""The interval of a mean average precision."""

import numpy as np
import pytest

from vislab.metrics.detection import average_precision
from vislab.metrics.detection_interval import areas, mean_interval
from vislab.metrics.detection_matching import Detections, Targets


def scene(rng, images=30, classes=3):
    """Return detections of some objects and of nothing, one or two an image."""
    image = np.repeat(np.arange(images), 2)
    corners = np.tile([[10.0, 10.0, 20.0, 20.0], [40.0, 40.0, 60.0, 60.0]], (images, 1))
    label = rng.integers(0, classes, len(image))
    nobody = np.zeros(len(image), dtype=bool)
    targets = Targets(image, corners, label, nobody, nobody)
    moved = corners + rng.choice([0.0, 30.0], (len(image), 1))
    return Detections(image, moved, label, rng.random(len(image))), targets


def test_every_image_drawn_once_gives_the_average_precision_itself():
    rng = np.random.default_rng(0)
    found, targets = scene(rng, classes=1)
    order = np.argsort(-found.score)
    right = np.array([(found.boxes[d] == targets.boxes[d]).all() for d in order])
    once = np.ones((1, 30), dtype=np.int64)
    value = areas(once, found.image[order], right, np.array([len(targets)]))[0]
    assert value == pytest.approx(average_precision(found, targets, 1).mean)


def test_an_image_drawn_twice_counts_as_two_images():
    # Best first: wrong in image 0, right in image 1 drawn twice. Two right of three: 2/3.
    times = np.array([[1, 2]])
    value = areas(times, np.array([0, 1]), np.array([False, True]), np.array([2]))[0]
    assert value == pytest.approx(2 / 3)


def test_the_interval_holds_the_value_and_narrows_with_more_images():
    widths = []
    for images in (30, 480):
        found, targets = scene(np.random.default_rng(1), images)
        low, high = mean_interval(found, targets, 3, images, draws=300)
        assert low < average_precision(found, targets, 3).mean < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_a_perfect_detector_is_certain():
    rng = np.random.default_rng(2)
    _, targets = scene(rng)
    found = Detections(targets.image, targets.boxes, targets.label, rng.random(len(targets)))
    assert mean_interval(found, targets, 3, 30, draws=50) == (1.0, 1.0)


def test_where_nothing_is_to_be_found_there_is_no_interval():
    found, targets = scene(np.random.default_rng(3))
    nothing = Targets(*(column[:0] for column in vars(targets).values() if column is not None))
    assert np.isnan(mean_interval(found, nothing, 3, 30, draws=10)).all()
