"""How far a mean average precision can be believed: its interval over drawing the images again.

What is right is judged once; an image that is drawn twice counts each of its detections and
objects twice. (Efron and Tibshirani 1993, section 13.3, with images as the units that are drawn.)
"""

import numpy as np
from jaxtyping import Float, Int

from vislab.metrics.detection_matching import Detections, Targets, judge_by_voc, require_labels

AT_ONCE = 4_000_000  # numbers held at a time


def mean_interval(
    detections: Detections,
    targets: Targets,
    classes: int,
    images: int,
    *,
    iou: float = 0.5,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval of the mean average precision (all points) of N `images`.

    Classes of which a draw holds nothing are left out of its mean. NaN where nothing is to find.
    """
    require_labels(detections, targets, classes)
    judged = judge_by_voc(detections, targets, iou)
    times = np.random.default_rng(seed).multinomial(
        images, np.full(images, 1 / max(images, 1)), size=draws
    )  # (B, N): how often each image is drawn
    order = np.lexsort((detections.image, -detections.score))
    order = order[~judged.ignored[order]]
    totals, counted = np.zeros(draws), np.zeros(draws, dtype=np.int64)
    for label in range(classes):
        mine = order[detections.label[order] == label]
        wanted = targets.image[~targets.ignored & (targets.label == label)]
        there = times @ np.bincount(wanted, minlength=images)  # (B,)
        values = areas(times, detections.image[mine], judged.instance[mine] >= 0, there)
        totals += np.where(there > 0, values, 0.0)
        counted += there > 0
    known = totals[counted > 0] / counted[counted > 0]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return float(low), float(high)


def areas(
    times: Int[np.ndarray, "b n"],
    image: Int[np.ndarray, " d"],
    right: np.ndarray,
    there: Int[np.ndarray, " b"],
) -> Float[np.ndarray, " b"]:
    """Return one class's average precision of each draw; detections come best first."""
    found = np.zeros(len(times))
    if not len(image):
        return found
    step = max(1, AT_ONCE // len(image))
    for start in range(0, len(times), step):
        weights = times[start : start + step, image].astype(np.float64)  # (b, D)
        hits = weights * right
        precision = hits.cumsum(axis=1) / np.maximum(weights.cumsum(axis=1), 1e-9)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        found[start : start + step] = (hits * best).sum(axis=1)
    value: Float[np.ndarray, " b"] = found / np.maximum(there, 1)
    return value
