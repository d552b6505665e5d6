"""What was found, what is there, and which finding is right: the rules of VOC and of COCO.

Both go through the detections of one class in one image from the highest score down; an object
can be found once. They differ in what a detection may look at:

    voc    only the object that it overlaps most. If that was found already, it is wrong.
           Everingham et al. 2010, doi:10.1007/s11263-009-0275-4
    coco   the object it overlaps most of those not found yet; of equals the last.
           As pycocotools evaluates, with at most 100 detections of a class in an image.

A detection that only a crowd or something difficult can account for is neither right nor wrong.
It lies in a crowd by the share of itself that does. By VOC's rule a difficult object is overlapped
like any other; by COCO's, which knows none, it is a crowd.

Boxes are xyxy in pixels, the right and lower edge outside: VOC's own numbers, counted from 1 with
the edge inside, are to be brought to this first.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vislab.errors import DataError

MOST = 100  # detections of one class in one image that COCO looks at
PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Detections:
    """D boxes that were found in a whole split, in columns, in any order."""

    image: Int[np.ndarray, " d"]
    boxes: Float[np.ndarray, "d 4"]
    label: Int[np.ndarray, " d"]  # a place in the classes
    score: Float[np.ndarray, " d"]

    def __len__(self) -> int:
        return len(self.image)

    def take(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " d"]) -> "Detections":
        """Return these only, in this order."""
        return Detections(
            self.image[chosen], self.boxes[chosen], self.label[chosen], self.score[chosen]
        )


@dataclass(frozen=True, eq=False)
class Targets:
    """R objects that are there in a whole split, in columns, in any order."""

    image: Int[np.ndarray, " r"]
    boxes: Float[np.ndarray, "r 4"]
    label: Int[np.ndarray, " r"]
    crowd: Bool[np.ndarray, " r"]
    difficult: Bool[np.ndarray, " r"]
    area: Float[np.ndarray, " r"] | None = None  # pixels of the outline; of the box if None

    def __len__(self) -> int:
        return len(self.image)

    @property
    def ignored(self) -> Bool[np.ndarray, " r"]:
        """What need not be found."""
        ignored: np.ndarray = self.crowd | self.difficult
        return ignored


class Judged(NamedTuple):
    """What became of D detections."""

    instance: Int[np.ndarray, " d"]  # what each was the first to find; -1 where it is not right
    ignored: Bool[np.ndarray, " d"]  # neither right nor wrong


class Pairs(NamedTuple):
    """Detections and objects that overlap."""

    detection: Int[np.ndarray, " p"]
    instance: Int[np.ndarray, " p"]
    overlap: Float[np.ndarray, " p"]

    def take(self, chosen: np.ndarray) -> "Pairs":
        """Return these only, in this order."""
        return Pairs(*(column[chosen] for column in self))


def judge_by_voc(detections: Detections, targets: Targets, iou: float) -> Judged:
    """Return which detections are right where an overlap of `iou` is enough."""
    pairs = overlapping(detections, targets, least=iou, crowd=targets.crowd)
    inside = np.zeros(len(detections), dtype=bool)
    inside[pairs.detection[targets.crowd[pairs.instance]]] = True
    best = best_of(pairs.take(~targets.crowd[pairs.instance]))
    spared = targets.difficult[best.instance]
    ignored = np.zeros(len(detections), dtype=bool)
    ignored[best.detection[spared]] = True

    best = best.take(~spared)
    best = best.take(np.argsort(-detections.score[best.detection], kind="stable"))
    instances, first = np.unique(best.instance, return_index=True)
    instance = np.full(len(detections), -1)
    instance[best.detection[first]] = instances
    return Judged(instance, ignored | (inside & (instance < 0)))


def judge_by_coco(
    detections: Detections, targets: Targets, iou: float, *, most: int | None = MOST
) -> Judged:
    """Return which detections are right where an overlap of `iou` is enough.

    Of one class in one image those after the first `most` are ignored.
    """
    rank = ranks(detections)
    spared = targets.ignored
    pairs = overlapping(detections, targets, least=min(iou, 1 - 1e-10), crowd=spared)
    if most is not None:
        pairs = pairs.take(rank[pairs.detection] < most)
    # A detection's pairs in the order of its liking: objects that count, then by overlap.
    liking = np.lexsort(
        (
            -pairs.instance,
            -pairs.overlap,
            spared[pairs.instance],
            pairs.detection,
            rank[pairs.detection],
        )
    )
    pairs = pairs.take(liking)
    instance = np.full(len(detections), -1)
    found = np.zeros(len(targets), dtype=bool)
    # One turn serves all images and classes: in each, the next detection by score chooses.
    turns = np.unique(rank[pairs.detection], return_index=True)[1]
    for turn in np.split(np.arange(len(pairs.instance)), turns[1:]):
        mine = pairs.take(turn)
        mine = mine.take(spared[mine.instance] | ~found[mine.instance])
        _, first = np.unique(mine.detection, return_index=True)
        instance[mine.detection[first]] = mine.instance[first]
        found[mine.instance[first]] = True
    ignored = (
        (instance >= 0) & spared[instance]
        if len(targets)
        else np.zeros(len(detections), dtype=bool)
    )
    if most is not None:
        ignored |= rank >= most
    return Judged(np.where(ignored, -1, instance), ignored)


def overlapping(
    detections: Detections,
    targets: Targets,
    *,
    least: float,
    crowd: Bool[np.ndarray, " r"],
    any_label: bool = False,
) -> Pairs:
    """Return the pairs in one image and of one label with an overlap of `least` or more.

    The overlap is the IoU; with a crowd, the share of the detection that lies in it.
    """
    theirs, ours = _groups(targets, detections, any_label=any_label)
    order = np.argsort(theirs, kind="stable")
    begin = np.searchsorted(theirs[order], ours, side="left")
    count = np.searchsorted(theirs[order], ours, side="right") - begin
    rows = np.flatnonzero(count)
    parts = []
    so_far = np.cumsum(count[rows])
    for some in np.split(rows, np.flatnonzero(np.diff(so_far // PAIRS_AT_ONCE)) + 1):
        detection = np.repeat(some, count[some])
        step = np.arange(len(detection)) - np.repeat(
            np.cumsum(count[some]) - count[some], count[some]
        )
        instance = order[begin[detection] + step]
        overlap = _overlap(detections.boxes[detection], targets.boxes[instance], crowd[instance])
        parts.append(Pairs(detection, instance, overlap).take(overlap >= least))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def best_of(pairs: Pairs) -> Pairs:
    """Return of each detection the pair with the largest overlap; of equals the first object."""
    pairs = pairs.take(np.lexsort((pairs.instance, -pairs.overlap, pairs.detection)))
    return pairs.take(np.unique(pairs.detection, return_index=True)[1])


def ranks(detections: Detections) -> Int[np.ndarray, " d"]:
    """Return each detection's place by score among those of its label in its image, from 0."""
    group = _groups(detections, any_label=False)[0]
    order = np.lexsort((-detections.score, group))
    starts = np.searchsorted(group[order], group[order], side="left")
    rank = np.empty(len(detections), dtype=np.int64)
    rank[order] = np.arange(len(detections)) - starts
    return rank


def require_labels(detections: Detections, targets: Targets, classes: int) -> None:
    """Raise DataError where a label is not a place in the classes."""
    for what, columns in (("a detection", detections), ("an object", targets)):
        label = columns.label
        if len(label) and not 0 <= label.min() <= label.max() < classes:
            wrong = label.min() if label.min() < 0 else label.max()
            raise DataError(
                f"{what} has the label {wrong}, but there are {classes} classes, counted from 0"
            )


def _groups(*columns: Detections | Targets, any_label: bool) -> list[Int[np.ndarray, " m"]]:
    if any_label:
        return [each.image.astype(np.int64) for each in columns]
    labels = 1 + max((int(each.label.max()) for each in columns if len(each)), default=0)
    return [each.image.astype(np.int64) * labels + each.label for each in columns]


def _overlap(found: np.ndarray, there: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    found, there = found.astype(np.float64), there.astype(np.float64)
    first, last = np.maximum(found[:, :2], there[:, :2]), np.minimum(found[:, 2:], there[:, 2:])
    shared = (last - first).clip(min=0).prod(axis=1)
    own = (found[:, 2:] - found[:, :2]).clip(min=0).prod(axis=1)
    other = (there[:, 2:] - there[:, :2]).clip(min=0).prod(axis=1)
    whole = np.where(crowd, own, own + other - shared)
    overlap: np.ndarray = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlap
