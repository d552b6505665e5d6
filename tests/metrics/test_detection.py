"""Average precision, worked out by hand and against pycocotools."""

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vislab.errors import UnknownName
from vislab.metrics import COCO_NUMBERS, Detections, Targets, average_precision, coco_map


def random_split(seed, *, images=6, classes=3, marks=0.15):
    """Objects, and detections near some of them, with crowds, ties of score, and empty images."""
    generator = np.random.default_rng(seed)
    instances, found = generator.integers(1, 30), generator.integers(0, 80)
    corner = generator.integers(0, 200, size=(instances, 2)) / 2
    side = generator.integers(40, 300, size=(instances, 2)) / 2
    corners = np.concatenate((corner, corner + side), axis=1)
    targets = Targets(
        generator.integers(images, size=instances),
        corners,
        generator.integers(classes, size=instances),
        generator.random(instances) < marks,
        generator.random(instances) < marks,
        side.prod(axis=1) * generator.uniform(0.3, 1, size=instances),
    )
    near = generator.integers(instances, size=found)
    shift = generator.normal(size=(found, 4)).clip(-2, 2) * generator.choice([1, 4], (found, 1))
    astray = generator.random(found) < 0.2
    detections = Detections(
        np.where(astray, generator.integers(images, size=found), targets.image[near]),
        corners[near] + shift,
        np.where(astray, generator.integers(classes, size=found), targets.label[near]),
        generator.integers(0, 30, size=found) / 30,
    )
    return detections, targets


def by_pycocotools(detections, targets, classes):
    images = sorted({*detections.image.tolist(), *targets.image.tolist()})
    sides = []
    for columns in (targets, detections):
        held = COCO()
        held.dataset = {
            "images": [{"id": image} for image in images],
            "categories": [{"id": label} for label in range(classes)],
            "annotations": [
                {
                    "id": row + 1,
                    "image_id": int(columns.image[row]),
                    "category_id": int(columns.label[row]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
                for row, (x1, y1, x2, y2) in enumerate(columns.boxes.tolist())
            ],
        }
        for row, annotation in enumerate(held.dataset["annotations"]):
            if columns is targets:
                annotation["iscrowd"] = int(targets.crowd[row] or targets.difficult[row])
                annotation["area"] = float(targets.area[row])
            else:
                annotation["score"] = float(detections.score[row])
        held.createIndex()
        sides.append(held)
    evaluation = COCOeval(*sides, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


@given(st.integers(0, 99_999))
@settings(max_examples=30, deadline=None)
def test_coco_101_and_the_twelve_numbers_are_pycocotools(seed):
    detections, targets = random_split(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = by_pycocotools(detections, targets, 3)
    for place, iou in ((0, 0.5), (5, 0.75)):
        ours = average_precision(detections, targets, 3, iou=iou, how="coco-101")
        wanted = theirs.eval["precision"][place, :, :, 0, 2].mean(axis=0)
        wanted[wanted < 0] = np.nan
        np.testing.assert_allclose(ours.per_class, wanted, rtol=0, atol=1e-6)
    twelve = coco_map(detections, targets, 3)
    assert tuple(twelve) == COCO_NUMBERS
    wanted = np.where(theirs.stats < 0, np.nan, theirs.stats)
    np.testing.assert_allclose([*twelve.values()], wanted, rtol=0, atol=1e-6)


def test_the_twelve_numbers_are_quiet_and_know_emptiness(capfd):
    detections, targets = random_split(1)
    nothing = detections.take(np.zeros(0, dtype=np.int64))
    assert coco_map(nothing, targets, 3)["AP"] == 0.0
    no_truth = Targets(
        *(column[:0] for column in (targets.image, targets.boxes, targets.label)),
        targets.crowd[:0],
        targets.difficult[:0],
    )
    assert all(math.isnan(value) for value in coco_map(detections, no_truth, 3).values())
    assert capfd.readouterr() == ("", "")


def line(verdicts, instances):
    """Detections of falling score, each in an image of its own, right or wrong as told."""
    count = len(verdicts)
    spot = np.array([[0.0, 0.0, 8.0, 8.0]])
    wrong = np.array([[20.0, 20.0, 28.0, 28.0]])
    corners = np.where(np.array(verdicts)[:, None], spot, wrong)
    image = np.where(verdicts, np.cumsum(verdicts) - 1, instances + np.arange(count))
    zeros = np.zeros(instances, dtype=np.int64)
    detections = Detections(
        image, corners, np.zeros(count, dtype=np.int64), 1 - np.arange(count) / 10
    )
    targets = Targets(
        np.arange(instances),
        spot.repeat(instances, 0),
        zeros,
        zeros.astype(bool),
        zeros.astype(bool),
    )
    return detections, targets


# Right, wrong, right, wrong, right of 5 objects: recalls 1/5, 2/5, 3/5 at precisions 1, 2/3, 3/5.
MIXED = [True, False, True, False, True]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("all-point", (1 + 2 / 3 + 3 / 5) / 5),
        ("voc07", (3 * 1 + 2 * 2 / 3 + 2 * 3 / 5) / 11),  # 0, .1, .2; .3, .4; .5, .6
        ("coco-101", (21 * 1 + 20 * 2 / 3 + 20 * 3 / 5) / 101),
    ],
)
def test_a_case_by_hand(how, expected):
    found = average_precision(*line(MIXED, 5), 1, how=how)
    assert found.mean == pytest.approx(expected, abs=1e-12)
    curve = found.curves[0]
    np.testing.assert_allclose(curve.recall, [0.2, 0.2, 0.4, 0.4, 0.6])
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3, 1 / 2, 3 / 5])
    np.testing.assert_allclose(curve.score, [1, 0.9, 0.8, 0.7, 0.6])


def test_a_precision_that_rises_later_counts_for_earlier_recalls():
    """Wrong, right, right of 2: precisions 1/2 and 2/3, so that 2/3 is the best at any recall."""
    for how in ("all-point", "voc07", "coco-101"):
        found = average_precision(*line([False, True, True], 2), 1, how=how)
        assert found.mean == pytest.approx(2 / 3)


def test_three_of_ten_reach_the_recall_of_three_tenths():
    """As floating numbers 3 · 0.1 > 3 / 10, and the fourth of the eleven points would be lost."""
    found = average_precision(*line([True] * 3, 10), 1, how="voc07")
    assert found.mean == pytest.approx(4 / 11)


@pytest.mark.parametrize("how", ["all-point", "voc07", "coco-101"])
def test_a_perfect_detector_has_one_and_a_blind_one_nothing(how):
    assert average_precision(*line([True] * 7, 7), 1, how=how).mean == pytest.approx(1.0)
    detections, targets = line([True] * 7, 7)
    none = average_precision(detections.take(detections.score > 2), targets, 1, how=how)
    assert none.mean == 0.0
    assert len(none.curves[0].recall) == 0


def test_a_cut_of_the_scores_lowers_the_value():
    """Scores 1, 0.9, 0.8, 0.7, 0.6: at 0.8 the last right one is lost, and its recall with it."""
    cut = average_precision(*line(MIXED, 5), 1, score_cut=0.8)
    assert cut.mean == pytest.approx((1 + 2 / 3) / 5)
    assert len(cut.curves[0].score) == 3


def test_a_class_with_nothing_to_find_has_no_value_and_does_not_count_in_the_mean():
    detections, targets = line(MIXED, 5)
    found = average_precision(detections, targets, 3)
    assert np.isnan(found.per_class).tolist() == [False, True, True]
    assert found.mean == found.per_class[0]
    nothing = average_precision(
        detections,
        Targets(targets.image, targets.boxes, targets.label, ~targets.crowd, targets.crowd),
        1,
    )
    assert math.isnan(nothing.mean)


def test_what_is_difficult_is_neither_to_find_nor_wrong():
    detections, targets = line([True, True, False], 2)
    hard = np.array([True, False])
    targets = Targets(targets.image, targets.boxes, targets.label, targets.crowd, hard)
    # One to find; the first detection is not there; right, wrong.
    found = average_precision(detections, targets, 1)
    assert found.mean == 1.0
    np.testing.assert_allclose(found.curves[0].precision, [1, 1 / 2])


@given(st.integers(0, 99_999), st.sampled_from(["all-point", "voc07", "coco-101"]))
@settings(max_examples=25, deadline=None)
def test_neither_the_order_of_rows_nor_the_scale_of_scores_matters(seed, how):
    detections, targets = random_split(seed)
    detections = Detections(
        detections.image,
        detections.boxes,
        detections.label,
        detections.score + np.arange(len(detections)) * 1e-6,
    )  # no ties
    first = average_precision(detections, targets, 3, how=how)
    mixed = detections.take(np.random.default_rng(seed).permutation(len(detections)))
    mixed = Detections(mixed.image, mixed.boxes, mixed.label, 5 * mixed.score - 2)
    again = average_precision(mixed, targets, 3, how=how)
    np.testing.assert_allclose(again.per_class, first.per_class)


def test_an_unknown_way_names_the_known_ones():
    with pytest.raises(UnknownName, match="all-point, coco-101, voc07"):
        average_precision(*line(MIXED, 5), 1, how="voc08")
