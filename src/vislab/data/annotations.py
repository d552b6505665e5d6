"""Annotated images: what objects each shows, where they are, and which pixels are theirs.

What was read from COCO, VOC, YOLO or a folder of masks comes to this one form. Nothing is decoded
here. What is wrong with single annotations does not stop the reading: it is gathered, so that all
of it can be told at once, before anything is trained. So is what is doubtful about the whole set.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vislab.data.listing import SPLITS
from vislab.data.mask_reading import MaskReading
from vislab.errors import DataError

VOID = 255  # in a mask: belongs to no class, is neither learned from nor scored
SHOWN = 3  # files that an error names


class RunLengths(TypedDict):
    """COCO's run-length code of one object's pixels, column by column."""

    size: list[int]  # height, width
    counts: list[int] | str


# Polygons of x and y in pixels, flat as COCO has them; a run-length code; or a box alone.
Outline = tuple[tuple[float, ...], ...] | RunLengths | None


@dataclass(frozen=True)
class AnnotationIssue:
    """One annotation, or one image's annotations, that cannot be learned from."""

    where: str  # the file and the place in it, as a person would look it up
    what: str  # "its box lies outside the image"
    row: int | None  # the image; None when it is not known


@dataclass(frozen=True, eq=False)
class Instances:
    """R objects in N images, in columns, ordered by image."""

    image: Int[np.ndarray, " r"]  # the row of the image
    boxes: Float[np.ndarray, "r 4"]  # xyxy, pixels of the file; right and lower edge lie outside
    label: Int[np.ndarray, " r"]  # a place in the classes
    crowd: Bool[np.ndarray, " r"]  # a group under one box: finding it is neither right nor wrong
    difficult: Bool[np.ndarray, " r"]  # VOC's mark; treated as a crowd when scoring
    outlines: tuple[Outline, ...]
    where: tuple[str, ...]  # file and place in it
    area: Float[
        np.ndarray, " r"
    ]  # pixels of the file, as the annotation says; NaN where it does not

    def __len__(self) -> int:
        return len(self.image)

    def take(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " r"]) -> "Instances":
        """Return these objects only, in this order."""
        rows = np.arange(len(self))[chosen]
        return Instances(
            self.image[rows],
            self.boxes[rows],
            self.label[rows],
            self.crowd[rows],
            self.difficult[rows],
            tuple(self.outlines[row] for row in rows),
            tuple(self.where[row] for row in rows),
            self.area[rows],
        )


@dataclass(frozen=True, eq=False)
class Annotated:
    """N images in a folder and what is in them.

    `masks` are files with a class for each pixel, in place of objects or beside them; where given,
    `classes` counts from the background, 0. `mask_reading` says what they
    hold for each class. `official` says whether the split came with them. `doubts` are sentences
    on the whole set, such as two lists of classes that disagree: while there is one, any label may
    be wrong. `notes` are harmless.
    """

    name: str
    form: str  # "coco", "voc", "yolo" or "masks"
    root: Path
    classes: tuple[str, ...]
    members: tuple[str, ...]  # paths inside the root, with forward slashes
    sizes: Int[np.ndarray, "n 2"]  # width, height: as the annotations count pixels
    splits: UInt8[np.ndarray, " n"]  # places in SPLITS
    instances: Instances
    masks: tuple[str | None, ...] | None = None
    mask_reading: MaskReading = MaskReading()
    official: bool = False
    issues: tuple[AnnotationIssue, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.members)

    def rows(self, split: str) -> Int[np.ndarray, " m"]:
        """Return the row numbers of one split, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def take(self, rows: Int[np.ndarray, " m"]) -> "Annotated":
        """Return these images, in this order, with their objects."""
        new_row = np.full(len(self), -1)
        new_row[rows] = np.arange(len(rows))
        kept = np.flatnonzero(new_row[self.instances.image] >= 0)
        kept = kept[np.argsort(new_row[self.instances.image[kept]], kind="stable")]
        instances = self.instances.take(kept)
        return replace(
            self,
            members=tuple(self.members[row] for row in rows),
            sizes=self.sizes[rows],
            splits=self.splits[rows],
            instances=replace(instances, image=new_row[instances.image]),
            masks=None if self.masks is None else tuple(self.masks[row] for row in rows),
            issues=(),
        )


def require_sound(annotated: Annotated, *, skip_bad: bool) -> Annotated:
    """Return the annotations if none is flawed; with `skip_bad` less the images that are.

    An image one of whose objects is flawed is left out whole: what it shows there would be learned
    as background. Raises DataError naming the first files otherwise, and for a doubt always.
    """
    if annotated.doubts:
        more = len(annotated.doubts) - 1
        raise DataError(
            f"{annotated.root}: {annotated.doubts[0]}"
            + (f" (and {more} more: `vislab data check {annotated.root}`)" if more else "")
        )
    if not annotated.issues:
        return annotated
    if not skip_bad:
        first = "; ".join(f"{issue.where}: {issue.what}" for issue in annotated.issues[:SHOWN])
        more = len(annotated.issues) - SHOWN
        raise DataError(
            f"{len(annotated.issues)} annotations of {annotated.root} cannot be used: {first}"
            + (f"; and {more} more" if more > 0 else "")
            + f". See all with `vislab data check {annotated.root}`, or leave these images out "
            "with --skip-bad"
        )
    bad = {issue.row for issue in annotated.issues}
    kept = np.array([row for row in range(len(annotated)) if row not in bad], dtype=np.int64)
    if not len(kept):
        raise DataError(
            f"every image of {annotated.root} has an annotation that cannot be used; "
            f"`vislab data check {annotated.root}` lists them"
        )
    left = annotated.take(kept)
    if left.masks is None and not (~left.instances.crowd).any():
        raise DataError(
            f"the images of {annotated.root} that --skip-bad does not leave out show no object; "
            f"mend what `vislab data check {annotated.root}` lists"
        )
    fewer = len(annotated) - len(kept)
    note = f"left out: {fewer} of {len(annotated)} images, whose annotations are flawed"
    return replace(left, notes=(*annotated.notes, note))


def no_instances() -> Instances:
    """Return an empty table of objects."""
    nothing = np.zeros(0, dtype=np.int64)
    return Instances(
        nothing, np.zeros((0, 4)), nothing, nothing.astype(bool), nothing.astype(bool), (), (),
        np.zeros(0),
    )  # fmt: skip


@dataclass
class InstancesTable:
    """Objects while they are read, a row at a time."""

    rows: list[
        tuple[int, tuple[float, float, float, float], int, bool, bool, Outline, str, float]
    ] = field(default_factory=list)

    def add(
        self,
        image: int,
        corners: tuple[float, float, float, float],
        label: int,
        *,
        where: str,
        crowd: bool = False,
        difficult: bool = False,
        outline: Outline = None,
        area: float = np.nan,
    ) -> None:
        """Add one object."""
        self.rows.append((image, corners, label, crowd, difficult, outline, where, area))

    def finished(self) -> Instances:
        """Return the columns, ordered by image."""
        if not self.rows:
            return no_instances()
        self.rows.sort(key=lambda row: row[0])
        image, corners, label, crowd, difficult, outlines, where, area = zip(
            *self.rows, strict=True
        )
        return Instances(
            np.array(image, dtype=np.int64),
            np.array(corners, dtype=np.float64),
            np.array(label, dtype=np.int64),
            np.array(crowd, dtype=bool),
            np.array(difficult, dtype=bool),
            tuple(outlines),
            tuple(where),
            np.array(area, dtype=np.float64),
        )
