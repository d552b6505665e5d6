"""Average precision: how well a detector's scores tell right boxes from wrong ones.

The detections of a class over all images are taken from the highest score down. After each, with
tp right and fp wrong so far and r objects to find, recall is tp/r and precision tp/(tp + fp). The
precision at a recall is the best one there or at any larger recall; its mean over recalls is

    all-point   the area under it. VOC from 2010 on, and the course (EECS 498, assignment 5)
    voc07       the mean over recalls 0, 0.1, ..., 1. VOC until 2009
    coco-101    the mean over recalls 0, 0.01, ..., 1. pycocotools

(Everingham et al. 2010, doi:10.1007/s11263-009-0275-4, and VOC's development kits.) The first two
judge what is right by VOC's rule, the last by COCO's: see detection_matching.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vislab.errors import pick
from vislab.metrics.detection_matching import (
    Detections,
    Judged,
    Targets,
    judge_by_coco,
    judge_by_voc,
    require_labels,
)


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision against recall after each detection of one class, from the highest score down."""

    recall: Float[np.ndarray, " d"]
    precision: Float[np.ndarray, " d"]  # as it is, not the best at a larger recall
    score: Float[np.ndarray, " d"]


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """The average precision of each class, NaN where there is nothing to find, and their mean."""

    per_class: Float[np.ndarray, " k"]
    mean: float  # over the classes that have a value; NaN if none has
    curves: tuple[Curve, ...]  # one a class


class How(NamedTuple):
    """A rule of what is right, and how precision is averaged over recalls."""

    judge: Callable[[Detections, Targets, float], Judged]
    mean: Callable[[np.ndarray, np.ndarray, int], float]  # of tp, precision, objects to find


def average_precision(
    detections: Detections,
    targets: Targets,
    classes: int,
    *,
    iou: float = 0.5,
    how: str = "all-point",
    score_cut: float | None = None,
) -> AveragePrecision:
    """Return how precise the detections are where an overlap of `iou` is enough.

    Detections that score below `score_cut` are left out, as the course does at 0.8 before it
    averages. That alone lowers the value: the recalls they would have reached count as precision 0.
    """
    way = pick(HOW, how, "way to average precision")
    require_labels(detections, targets, classes)
    if score_cut is not None:
        detections = detections.take(detections.score >= score_cut)
    judged = way.judge(detections, targets, iou)
    # Equal scores: in the order of the images, as pycocotools reads them.
    order = np.lexsort((detections.image, -detections.score))
    order = order[~judged.ignored[order]]
    labels = detections.label[order]
    per_class, curves = np.full(classes, np.nan), []
    for label in range(classes):
        mine = order[labels == label]
        to_find = int((~targets.ignored & (targets.label == label)).sum())
        tp = np.cumsum(judged.instance[mine] >= 0)
        precision = tp / np.arange(1, len(mine) + 1)
        if to_find:
            per_class[label] = way.mean(tp, precision, to_find)
        recall = tp / to_find if to_find else np.full(len(mine), np.nan)
        curves.append(Curve(recall, precision, detections.score[mine].astype(np.float64)))
    known = per_class[~np.isnan(per_class)]
    return AveragePrecision(
        per_class, float(known.mean()) if len(known) else float("nan"), tuple(curves)
    )


def all_point(tp: np.ndarray, precision: np.ndarray, to_find: int) -> float:
    """Return the area under the best precision at each recall or a larger one."""
    return float((np.diff(tp, prepend=0) * _best(precision)).sum() / to_find)


def eleven_points(tp: np.ndarray, precision: np.ndarray, to_find: int) -> float:
    """Return the mean of the best precision at recalls of tenths, compared as whole numbers."""
    return _mean_at(np.searchsorted(10 * tp, to_find * np.arange(11)), precision)


def hundred_and_one_points(tp: np.ndarray, precision: np.ndarray, to_find: int) -> float:
    """Return the mean of the best precision at recalls of hundredths, rounded as pycocotools."""
    return _mean_at(np.searchsorted(tp / to_find, np.linspace(0, 1, 101)), precision)


def _mean_at(places: np.ndarray, precision: np.ndarray) -> float:
    # A recall that is not reached lies beyond the last detection: precision 0.
    return float(np.append(_best(precision), 0.0)[places].mean())


def _best(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]


HOW = {
    "all-point": How(judge_by_voc, all_point),
    "voc07": How(judge_by_voc, eleven_points),
    "coco-101": How(judge_by_coco, hundred_and_one_points),
}
