"""Who found what, by VOC's rule and by COCO's, on boxes with overlaps that can be counted."""

import numpy as np
import pytest

from vislab.errors import DataError
from vislab.metrics import detection_matching as matching
from vislab.metrics.detection_matching import (
    Detections,
    Targets,
    judge_by_coco,
    judge_by_voc,
    overlapping,
    ranks,
    require_labels,
)

BOTH = pytest.mark.parametrize("judge", [judge_by_voc, judge_by_coco])


def bar(begin, end):
    """A box 1 high: overlaps are those of intervals."""
    return [begin, 0, end, 1]


def found(*rows):
    """Each row an image, a bar, a score and, if not 0, a label."""
    return Detections(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([bar(*row[1]) for row in rows], dtype=np.float64).reshape(-1, 4),
        np.array([row[3] if len(row) > 3 else 0 for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
    )


def there(*rows):
    """Each row an image and a bar, then "crowd", "difficult" or a label."""
    marks = [row[2] if len(row) > 2 else 0 for row in rows]
    return Targets(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([bar(*row[1]) for row in rows], dtype=np.float64).reshape(-1, 4),
        np.array([0 if isinstance(mark, str) else mark for mark in marks], dtype=np.int64),
        np.array([mark == "crowd" for mark in marks], dtype=bool),
        np.array([mark == "difficult" for mark in marks], dtype=bool),
    )


@BOTH
def test_the_highest_score_has_the_instance_and_the_next_is_wrong(judge):
    targets = there((0, (0, 10)), (1, (0, 10)))
    detections = found((0, (0, 9), 0.3), (0, (0, 6), 0.8), (1, (0, 10), 0.1), (1, (0, 4), 0.9))
    judged = judge(detections, targets, 0.5)
    assert judged.instance.tolist() == [-1, 0, 1, -1]
    assert not judged.ignored.any()


@BOTH
def test_an_overlap_of_exactly_the_limit_counts(judge):
    targets = there((0, (0, 10)))
    assert judge(found((0, (0, 5), 0.3)), targets, 0.5).instance.tolist() == [0]
    assert judge(found((0, (0, 4.9), 0.3)), targets, 0.5).instance.tolist() == [-1]


@BOTH
def test_images_and_labels_do_not_mix(judge):
    targets = there((0, (0, 10), 1), (1, (0, 10), 0))
    detections = found((0, (0, 10), 0.9, 0), (0, (0, 10), 0.8, 1), (1, (0, 10), 0.7, 1))
    assert judge(detections, targets, 0.5).instance.tolist() == [-1, 0, -1]


def test_the_rules_part_where_the_best_instance_is_taken():
    """Objects at 0-10 and 2-12. Both detections overlap the first best, and the second by half."""
    targets = there((0, (0, 10)), (0, (2, 12)))
    detections = found((0, (0, 10), 0.9), (0, (0.5, 10.5), 0.8))
    assert judge_by_voc(detections, targets, 0.5).instance.tolist() == [0, -1]
    assert judge_by_coco(detections, targets, 0.5).instance.tolist() == [0, 1]


def test_of_two_instances_overlapped_alike_voc_takes_the_first_and_coco_the_last():
    """The detection reaches over half of each: 5 of 15."""
    targets, detections = there((0, (0, 10)), (0, (10, 20))), found((0, (5, 15), 0.9))
    assert judge_by_voc(detections, targets, 0.3).instance.tolist() == [0]
    assert judge_by_coco(detections, targets, 0.3).instance.tolist() == [1]


@BOTH
def test_what_lies_in_a_crowd_is_neither_right_nor_wrong_and_any_number_may(judge):
    """A crowd over 100: by IoU no detection would reach it. A real object in it is still found."""
    targets = there((0, (0, 100), "crowd"), (0, (40, 50)))
    detections = found(
        (0, (0, 10), 0.9), (0, (20, 30), 0.8), (0, (95, 115), 0.7), (0, (41, 50), 0.6)
    )
    judged = judge(detections, targets, 0.5)
    assert judged.instance.tolist() == [-1, -1, -1, 1]
    assert judged.ignored.tolist() == [True, True, False, False]


def test_a_second_finding_in_a_crowd_is_forgiven_by_both():
    targets = there((0, (0, 100), "crowd"), (0, (40, 50)))
    detections = found((0, (40, 50), 0.9), (0, (41, 50), 0.6))
    for judge in (judge_by_voc, judge_by_coco):
        judged = judge(detections, targets, 0.5)
        assert judged.instance.tolist() == [1, -1]
        assert judged.ignored.tolist() == [False, True]


def test_a_difficult_instance_is_met_by_iou_for_voc_and_as_a_crowd_for_coco():
    targets = there((0, (0, 10), "difficult"))
    detections = found((0, (0, 9), 0.9), (0, (0, 10), 0.8), (0, (0, 2), 0.7))
    assert judge_by_voc(detections, targets, 0.5).ignored.tolist() == [True, True, False]
    assert judge_by_coco(detections, targets, 0.5).ignored.tolist() == [True, True, True]


def test_coco_looks_at_a_hundred_of_a_class_in_an_image():
    detections = found(*((0, (0, 10 - i / 100), 1 - i / 200) for i in range(101)), (0, (5, 9), 1.0))
    judged = judge_by_coco(detections, there((0, (0, 10))), 0.5)
    assert judged.ignored.tolist() == [False] * 99 + [True] * 2 + [False]
    assert not judge_by_coco(detections, there((0, (0, 10))), 0.5, most=None).ignored.any()


@BOTH
def test_nothing_found_and_nothing_there_are_no_trouble(judge):
    judged = judge(found(), there((0, (0, 10))), 0.5)
    assert (len(judged.instance), len(judged.ignored)) == (0, 0)
    judged = judge(found((0, (0, 10), 0.5)), there(), 0.5)
    assert (judged.instance.tolist(), judged.ignored.tolist()) == ([-1], [False])


def test_a_box_inside_out_overlaps_nothing():
    detections = found((0, (10, 0), 0.9), (0, (3, 3), 0.8))
    pairs = overlapping(detections, there((0, (0, 10))), least=1e-9, crowd=np.array([False]))
    assert len(pairs.detection) == 0


def test_pairs_taken_in_parts_are_the_same(monkeypatch):
    generator = np.random.default_rng(0)
    begin = generator.random((2, 60)) * 20
    detections = found(*((i % 4, (b, b + 5), 0.5) for i, b in enumerate(begin[0])))
    targets = there(*((i % 5, (b, b + 5)) for i, b in enumerate(begin[1])))
    crowd = np.zeros(60, dtype=bool)
    whole = overlapping(detections, targets, least=0.1, crowd=crowd)
    monkeypatch.setattr(matching, "PAIRS_AT_ONCE", 7)
    parts = overlapping(detections, targets, least=0.1, crowd=crowd)
    assert len(whole.detection) > 100
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, two)


def test_ranks_are_by_score_in_each_image_and_label_and_ties_stay():
    detections = found(
        (1, (0, 1), 0.2), (0, (0, 1), 0.5), (1, (0, 1), 0.9), (1, (0, 1), 0.2), (1, (0, 1), 0.1, 1)
    )
    assert ranks(detections).tolist() == [1, 0, 0, 2, 0]


def test_a_label_without_a_class_is_refused():
    with pytest.raises(DataError, match="a detection has the label 3, but there are 2 classes"):
        require_labels(found((0, (0, 1), 0.5, 3)), there(), 2)
    with pytest.raises(DataError, match="an object has the label 2"):
        require_labels(found(), there((0, (0, 1), 2)), 2)
