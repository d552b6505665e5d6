"""One annotated set while it is read: first its images, then their sizes, then the objects.

What is wrong is gathered here; nothing of it is raised.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from vislab.data.annotations import Annotated, AnnotationIssue, Instances, InstancesTable, Outline
from vislab.data.formats.numbers import shown, sound_box
from vislab.data.formats.sizes import Size, disagreement, size_of
from vislab.data.splits import TEST, TRAIN, VAL, draw_split
from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.progress import track


class Reading:
    """Rows of images, the objects in them, and what is wrong."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.members: list[str] = []
        self.splits: list[int | None] = []
        self.sizes: list[tuple[int, int]] = []
        self.seen: dict[int, Size] = {}
        self.table = InstancesTable()
        self.issues: list[AnnotationIssue] = []
        self.notes: list[str] = []
        self._row_of: dict[str, int] = {}
        self._stated: dict[int, tuple[str, tuple[int, int]]] = {}

    def issue(self, where: str, what: str, row: int | None) -> None:
        """Take note of something wrong."""
        self.issues.append(AnnotationIssue(where, what, row))

    def row_of(self, member: str) -> int | None:
        """Return the row of an image that was added, or None."""
        return self._row_of.get(member)

    def image(
        self, member: str, split: int | None, where: str, stated: tuple[int, int] | None = None
    ) -> int:
        """Add an image and return its row; `stated` is the size that the annotation gives.

        One that is not there, and one that was added before, get a row and an issue.
        """
        row = len(self.members)
        self.members.append(member)
        self.splits.append(split)
        self.sizes.append(stated or (0, 0))
        if stated is not None:
            self._stated[row] = (where, stated)
        if member not in self.tree:
            self.issue(where, f"its image is missing: {shown(member)}", row)
        elif member in self._row_of:
            self.issue(where, f"its image is named twice: {shown(member)}", row)
            self.issue(where, f"its image is named twice: {shown(member)}", self._row_of[member])
        else:
            self._row_of[member] = row
        return row

    def measure(self) -> None:
        """Read the size of every image and hold what the annotations state against it."""
        rows = [row for row, member in enumerate(self.members) if member in self.tree]

        def look(row: int) -> Size | str:
            try:
                return size_of(self.tree.root / self.members[row])
            except DataError as error:
                return str(error)

        with (
            track(f"measuring {self.name}", total=len(rows), unit="images") as advance,
            ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
        ):
            for row, size in zip(rows, pool.map(look, rows, chunksize=32), strict=True):
                advance(1)
                if isinstance(size, str):
                    self.issue(self.members[row], f"the image {size}", row)
                    continue
                self.seen[row] = size
                if row not in self._stated:
                    self.sizes[row] = size.seen
                    continue
                where, stated = self._stated[row]
                if what := disagreement(size, stated):
                    self.issue(where, what, row)
        turned = sum(size.turned for size in self.seen.values())
        if turned:
            self.notes.append(
                f"{turned} images are turned by their EXIF note; their annotations are taken to "
                "count the turned image"
            )

    @property
    def name(self) -> str:
        """The name of the set: its folder's."""
        return self.tree.root.resolve().name

    def instance(
        self,
        row: int,
        corners: tuple[float, float, float, float],
        label: int,
        where: str,
        *,
        crowd: bool = False,
        difficult: bool = False,
        outline: Outline = None,
    ) -> None:
        """Add an object, its box in xyxy and pixels, or take note of what is wrong with the box."""
        box, what = sound_box(corners, self.sizes[row])
        if box is None:
            self.issue(where, what, row)
            return
        self.table.add(
            row, box, label, where=where, crowd=crowd, difficult=difficult, outline=outline
        )

    def finished(
        self,
        form: str,
        classes: tuple[str, ...],
        *,
        seed: int,
        masks: tuple[str | None, ...] | None = None,
        binary_masks: bool = False,
    ) -> Annotated:
        """Return what was read, with the split that came or one that is drawn."""
        if not self.members:
            raise DataError(f"{self.tree.root} has no image with annotations in the form {form}")
        instances = self._once(self.table.finished())
        splits, official = self._split(seed)
        return Annotated(
            name=self.name,
            form=form,
            root=self.tree.root,
            classes=classes,
            members=tuple(self.members),
            sizes=np.array(self.sizes, dtype=np.int64),
            splits=splits,
            instances=instances,
            masks=masks,
            binary_masks=binary_masks,
            official=official,
            issues=tuple(self.issues),
            notes=tuple(self.notes),
        )

    def _once(self, instances: Instances) -> Instances:
        """Return the objects less those that stand there twice, each of which is an issue."""
        if not len(instances):
            return instances
        keys = np.column_stack([instances.image, instances.label, instances.boxes])
        _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        which = which.reshape(-1)  # numpy 2.0 alone gives it a second axis
        again = np.flatnonzero(first[which] != np.arange(len(instances)))
        for row in again:
            self.issue(
                instances.where[row],
                f"it stands there twice: {instances.where[first[which[row]]]}",
                int(instances.image[row]),
            )
        kept = np.ones(len(instances), dtype=bool)
        kept[again] = False
        return instances.take(kept) if len(again) else instances

    def _split(self, seed: int) -> tuple[UInt8[np.ndarray, " n"], bool]:
        known = {split for split in self.splits if split is not None}
        whole = len(known) > 1 and None not in self.splits
        if whole:
            splits = np.array(self.splits, dtype=np.uint8)
            if known == {TRAIN, VAL}:
                splits[splits == VAL] = TEST
                self.notes.append(
                    "no test split came with the set; its val split is used to test on"
                )
            return splits, True
        if len(known) > 1:
            loose = self.splits.count(None)
            self.notes.append(
                f"{loose} images belong to no split that came with the set, so that "
                "one was drawn instead: 20 % to test on"
            )
        else:
            self.notes.append("no split came with the set; one was drawn: 20 % to test on")
        # In the order of the names, which does not depend on the order in an annotation file.
        order = np.array(sorted(range(len(self.members)), key=self.members.__getitem__))
        drawn = np.zeros(len(order), dtype=np.uint8)
        labels = np.zeros(len(order), dtype=np.int64)
        drawn[order] = draw_split(labels, shares=(0.8, 0.0, 0.2), seed=seed)
        return drawn, False
