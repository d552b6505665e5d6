"""What is wrong with the detections that are wrong, and what was missed.

The types of TIDE, Bolya et al. 2020, arXiv:2008.08115, section 2.2; Hoiem et al. 2012,
doi:10.1007/978-3-642-33712-3_25, had told apart place, class and background before. What is right
is judged by COCO's rule, see detection_matching. A wrong detection is of the first type that fits,
by its largest overlaps s with a thing of its own class and o with one of another (crowds and
difficult things aside):

    localisation   0.1 ≤ s < 0.5
    class          o ≥ 0.5
    duplicate      s ≥ 0.5: another detection had found it
    both           0.1 ≤ o < 0.5: neither place nor class
    background     less than 0.1 with everything

A thing is missed if no detection is right about it and none of the first two types lies nearest to
it. TIDE goes on to ask how much AP each type costs; here they are counted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from vislab.metrics.detection_matching import (
    Detections,
    Truth,
    best_of,
    judge_by_coco,
    overlapping,
    require_kinds,
)

LABELS = ("right", "localisation", "class", "duplicate", "both", "background")
MISSED = "missed"
UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class Errors:
    """What became of each detection and thing."""

    label: Int[np.ndarray, " d"]  # a place in LABELS; -1 where ignored or scored too low
    missed: Bool[np.ndarray, " r"]
    counts: dict[str, Int[np.ndarray, " k"]]  # LABELS by kind of detection; missed by thing's


def errors_of(
    detections: Detections,
    truth: Truth,
    classes: int,
    *,
    score: float = 0.5,
    iou: float = 0.5,
    least: float = 0.1,
) -> Errors:
    """Return the type of each detection that scores `score` or more, and which things are missed.

    `iou` and `least` stand for the 0.5 and 0.1 of the table above.
    """
    require_kinds(detections, truth, classes)
    rows = np.flatnonzero(detections.score >= score)
    counted = detections.take(rows)
    judged = judge_by_coco(counted, truth, iou, most=None)
    pairs = overlapping(
        counted, truth, least=least, crowd=np.zeros(len(truth), dtype=bool), any_kind=True
    )
    pairs = pairs.take(~truth.ignored[pairs.thing])
    alike = counted.kind[pairs.detection] == truth.kind[pairs.thing]
    (s, s_thing), (o, o_thing) = (
        _nearest(len(counted), best_of(pairs.take(which))) for which in (alike, ~alike)
    )
    types = np.select(
        [judged.thing >= 0, (s >= least) & (s < iou), o >= iou, s >= iou, o >= least],
        [LABELS.index(name) for name in ("right", "localisation", "class", "duplicate", "both")],
        LABELS.index("background"),
    )
    label = np.full(len(detections), UNLABELLED)
    label[rows] = np.where(judged.ignored, UNLABELLED, types)

    missed = ~truth.ignored
    missed[judged.thing[judged.thing >= 0]] = False
    for name, nearest in (("localisation", s_thing), ("class", o_thing)):
        missed[nearest[label[rows] == LABELS.index(name)]] = False
    counts = {
        name: np.bincount(detections.kind[label == place], minlength=classes)
        for place, name in enumerate(LABELS)
    }
    return Errors(
        label, missed, {**counts, MISSED: np.bincount(truth.kind[missed], minlength=classes)}
    )


def _nearest(
    count: int, best: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    detection, thing, overlap = best
    overlaps, things = np.zeros(count), np.full(count, -1)
    overlaps[detection], things[detection] = overlap, thing
    return overlaps, things
