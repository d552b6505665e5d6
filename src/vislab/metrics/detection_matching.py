"""What was found, what is there, and which finding is right: the rules of VOC and of COCO.

Both go through the detections of one class in one picture from the highest score down; a thing can
be found once. They differ in what a detection may look at:

    voc    only the thing that it overlaps most. If that was found already, it is wrong.
           Everingham et al. 2010, doi:10.1007/s11263-009-0275-4
    coco   the thing it overlaps most of those not found yet; of equals the last.
           As pycocotools evaluates, with at most 100 detections of a class in a picture.

A detection that only a crowd or something difficult can account for is neither right nor wrong.
It lies in a crowd by the share of itself that does. By VOC's rule a difficult thing is overlapped
like any other; by COCO's, which knows none, it is a crowd.

Boxes are xyxy in pixels, the right and lower edge outside: VOC's own numbers, counted from 1 with
the edge inside, are to be brought to this first.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vislab.errors import DataError

MOST = 100  # detections of one class in one picture that COCO looks at
PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Detections:
    """D boxes that were found in a whole split, in columns, in any order."""

    picture: Int[np.ndarray, " d"]
    corners: Float[np.ndarray, "d 4"]
    kind: Int[np.ndarray, " d"]  # a place in the classes
    score: Float[np.ndarray, " d"]

    def __len__(self) -> int:
        return len(self.picture)

    def take(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " d"]) -> "Detections":
        """Return these only, in this order."""
        return Detections(
            self.picture[chosen], self.corners[chosen], self.kind[chosen], self.score[chosen]
        )


@dataclass(frozen=True, eq=False)
class Truth:
    """R things that are there in a whole split, in columns, in any order."""

    picture: Int[np.ndarray, " r"]
    corners: Float[np.ndarray, "r 4"]
    kind: Int[np.ndarray, " r"]
    crowd: Bool[np.ndarray, " r"]
    difficult: Bool[np.ndarray, " r"]
    area: Float[np.ndarray, " r"] | None = None  # pixels of the outline; of the box if None

    def __len__(self) -> int:
        return len(self.picture)

    @property
    def ignored(self) -> Bool[np.ndarray, " r"]:
        """What need not be found."""
        ignored: np.ndarray = self.crowd | self.difficult
        return ignored


class Judged(NamedTuple):
    """What became of D detections."""

    thing: Int[np.ndarray, " d"]  # what each was the first to find; -1 where it is not right
    ignored: Bool[np.ndarray, " d"]  # neither right nor wrong


class Pairs(NamedTuple):
    """Detections and things that overlap."""

    detection: Int[np.ndarray, " p"]
    thing: Int[np.ndarray, " p"]
    overlap: Float[np.ndarray, " p"]

    def take(self, chosen: np.ndarray) -> "Pairs":
        """Return these only, in this order."""
        return Pairs(*(column[chosen] for column in self))


def judge_by_voc(detections: Detections, truth: Truth, iou: float) -> Judged:
    """Return which detections are right where an overlap of `iou` is enough."""
    pairs = overlapping(detections, truth, least=iou, crowd=truth.crowd)
    inside = np.zeros(len(detections), dtype=bool)
    inside[pairs.detection[truth.crowd[pairs.thing]]] = True
    best = best_of(pairs.take(~truth.crowd[pairs.thing]))
    spared = truth.difficult[best.thing]
    ignored = np.zeros(len(detections), dtype=bool)
    ignored[best.detection[spared]] = True

    best = best.take(~spared)
    best = best.take(np.argsort(-detections.score[best.detection], kind="stable"))
    things, first = np.unique(best.thing, return_index=True)
    thing = np.full(len(detections), -1)
    thing[best.detection[first]] = things
    return Judged(thing, ignored | (inside & (thing < 0)))


def judge_by_coco(
    detections: Detections, truth: Truth, iou: float, *, most: int | None = MOST
) -> Judged:
    """Return which detections are right where an overlap of `iou` is enough.

    Of one class in one picture those after the first `most` are ignored.
    """
    rank = ranks(detections)
    spared = truth.ignored
    pairs = overlapping(detections, truth, least=min(iou, 1 - 1e-10), crowd=spared)
    if most is not None:
        pairs = pairs.take(rank[pairs.detection] < most)
    # A detection's pairs in the order of its liking: things that count, then by overlap.
    liking = np.lexsort(
        (-pairs.thing, -pairs.overlap, spared[pairs.thing], pairs.detection, rank[pairs.detection])
    )
    pairs = pairs.take(liking)
    thing = np.full(len(detections), -1)
    found = np.zeros(len(truth), dtype=bool)
    # One turn serves all pictures and classes: in each, the next detection by score chooses.
    turns = np.unique(rank[pairs.detection], return_index=True)[1]
    for turn in np.split(np.arange(len(pairs.thing)), turns[1:]):
        mine = pairs.take(turn)
        mine = mine.take(spared[mine.thing] | ~found[mine.thing])
        _, first = np.unique(mine.detection, return_index=True)
        thing[mine.detection[first]] = mine.thing[first]
        found[mine.thing[first]] = True
    ignored = (thing >= 0) & spared[thing] if len(truth) else np.zeros(len(detections), dtype=bool)
    if most is not None:
        ignored |= rank >= most
    return Judged(np.where(ignored, -1, thing), ignored)


def overlapping(
    detections: Detections,
    truth: Truth,
    *,
    least: float,
    crowd: Bool[np.ndarray, " r"],
    any_kind: bool = False,
) -> Pairs:
    """Return the pairs in one picture and of one kind with an overlap of `least` or more.

    The overlap is the IoU; with a crowd, the share of the detection that lies in it.
    """
    theirs, ours = _groups(truth, detections, any_kind=any_kind)
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
        thing = order[begin[detection] + step]
        overlap = _overlap(detections.corners[detection], truth.corners[thing], crowd[thing])
        parts.append(Pairs(detection, thing, overlap).take(overlap >= least))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def best_of(pairs: Pairs) -> Pairs:
    """Return of each detection the pair with the largest overlap; of equals the first thing."""
    pairs = pairs.take(np.lexsort((pairs.thing, -pairs.overlap, pairs.detection)))
    return pairs.take(np.unique(pairs.detection, return_index=True)[1])


def ranks(detections: Detections) -> Int[np.ndarray, " d"]:
    """Return each detection's place by score among those of its kind in its picture, from 0."""
    group = _groups(detections, any_kind=False)[0]
    order = np.lexsort((-detections.score, group))
    starts = np.searchsorted(group[order], group[order], side="left")
    rank = np.empty(len(detections), dtype=np.int64)
    rank[order] = np.arange(len(detections)) - starts
    return rank


def require_kinds(detections: Detections, truth: Truth, classes: int) -> None:
    """Raise DataError where a kind is not a place in the classes."""
    for what, columns in (("detection", detections), ("thing", truth)):
        kind = columns.kind
        if len(kind) and not 0 <= kind.min() <= kind.max() < classes:
            wrong = kind.min() if kind.min() < 0 else kind.max()
            raise DataError(
                f"a {what} is of kind {wrong}, but there are {classes} classes, counted from 0"
            )


def _groups(*columns: Detections | Truth, any_kind: bool) -> list[Int[np.ndarray, " m"]]:
    if any_kind:
        return [each.picture.astype(np.int64) for each in columns]
    kinds = 1 + max((int(each.kind.max()) for each in columns if len(each)), default=0)
    return [each.picture.astype(np.int64) * kinds + each.kind for each in columns]


def _overlap(found: np.ndarray, there: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    found, there = found.astype(np.float64), there.astype(np.float64)
    first, last = np.maximum(found[:, :2], there[:, :2]), np.minimum(found[:, 2:], there[:, 2:])
    shared = (last - first).clip(min=0).prod(axis=1)
    own = (found[:, 2:] - found[:, :2]).clip(min=0).prod(axis=1)
    other = (there[:, 2:] - there[:, :2]).clip(min=0).prod(axis=1)
    whole = np.where(crowd, own, own + other - shared)
    overlap: np.ndarray = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlap
