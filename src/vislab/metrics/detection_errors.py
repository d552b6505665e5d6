"""What is wrong with the detections that are wrong, and what was missed.

The types of TIDE, Bolya et al. 2020, arXiv:2008.08115, section 2.2; Hoiem et al. 2012,
doi:10.1007/978-3-642-33712-3_25, had told apart place, class and background before. What is right
is judged by COCO's rule, see detection_matching. A wrong detection is of the first type that fits,
by its largest overlaps s with an object of its own class and o with one of another (crowds and
difficult objects aside):

    localisation   0.1 ≤ s < 0.5
    class          o ≥ 0.5
    duplicate      s ≥ 0.5: another detection had found it
    both           0.1 ≤ o < 0.5: neither place nor class
    background     less than 0.1 with everything

An object is missed if no detection is right about it and none of the first two types lies nearest
to it. TIDE goes on to ask how much AP each type costs; here they are counted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from vislab.metrics.detection_matching import (
    Detections,
    Targets,
    best_of,
    judge_by_coco,
    overlapping,
    require_labels,
)

LABELS = ("right", "localisation", "class", "duplicate", "both", "background")
MISSED = "missed"
UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class Errors:
    """What became of each detection and object."""

    label: Int[np.ndarray, " d"]  # a place in LABELS; -1 where ignored or scored too low
    missed: Bool[np.ndarray, " r"]
    counts: dict[str, Int[np.ndarray, " k"]]  # LABELS by label of detection; missed by object's


def errors_of(
    detections: Detections,
    targets: Targets,
    classes: int,
    *,
    score: float = 0.5,
    iou: float = 0.5,
    least: float = 0.1,
) -> Errors:
    """Return the type of each detection that scores `score` or more, and which objects are missed.

    `iou` and `least` stand for the 0.5 and 0.1 of the table above.
    """
    require_labels(detections, targets, classes)
    rows = np.flatnonzero(detections.score >= score)
    counted = detections.take(rows)
    judged = judge_by_coco(counted, targets, iou, most=None)
    pairs = overlapping(
        counted, targets, least=least, crowd=np.zeros(len(targets), dtype=bool), any_label=True
    )
    pairs = pairs.take(~targets.ignored[pairs.instance])
    alike = counted.label[pairs.detection] == targets.label[pairs.instance]
    (s, s_instance), (o, o_instance) = (
        _nearest(len(counted), best_of(pairs.take(which))) for which in (alike, ~alike)
    )
    types = np.select(
        [judged.instance >= 0, (s >= least) & (s < iou), o >= iou, s >= iou, o >= least],
        [LABELS.index(name) for name in ("right", "localisation", "class", "duplicate", "both")],
        LABELS.index("background"),
    )
    label = np.full(len(detections), UNLABELLED)
    label[rows] = np.where(judged.ignored, UNLABELLED, types)

    missed = ~targets.ignored
    missed[judged.instance[judged.instance >= 0]] = False
    for name, nearest in (("localisation", s_instance), ("class", o_instance)):
        missed[nearest[label[rows] == LABELS.index(name)]] = False
    counts = {
        name: np.bincount(detections.label[label == place], minlength=classes)
        for place, name in enumerate(LABELS)
    }
    return Errors(
        label, missed, {**counts, MISSED: np.bincount(targets.label[missed], minlength=classes)}
    )


def _nearest(
    count: int, best: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    detection, instance, overlap = best
    overlaps, instances = np.zeros(count), np.full(count, -1)
    overlaps[detection], instances[detection] = overlap, instance
    return overlaps, instances
