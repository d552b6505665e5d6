"""One annotated set while it is read: first its images, then their sizes, then the objects.

What is wrong is gathered here, with single annotations and with the whole set; nothing of it is
raised.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int, UInt8

from vislab.data.annotations import Annotated, AnnotationIssue, Instances, InstancesTable, Outline
from vislab.data.formats.numbers import shown, sound_box
from vislab.data.formats.sizes import Size, disagreement, size_of
from vislab.data.listing import SPLITS
from vislab.data.split_lists import Stated
from vislab.data.splits import TEST, TRAIN, VAL, draw_split, split_of
from vislab.data.tree import Tree, folded
from vislab.errors import DataError
from vislab.progress import track

IN_ONE_PIXEL = 1.5  # the largest edge of a box that is written in shares


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
        self.doubts: list[str] = []
        self._row_of: dict[str, int] = {}
        self._stated: dict[int, tuple[str, tuple[int, int]]] = {}

    def issue(self, where: str, what: str, row: int | None) -> None:
        """Take note of something wrong."""
        self.issues.append(AnnotationIssue(where, what, row))

    def doubt(self, sentence: str) -> None:
        """Take note of what makes every label of the set doubtful; the way out stands in it."""
        if sentence not in self.doubts:
            self.doubts.append(sentence)

    def lists(self, stated: Stated) -> None:
        """Take note of where the split stands, if not in folders too, and of what is wrong."""
        if any(split_of(image) != split for image, split in stated.splits.items()):
            self.notes.append(stated.source())
        for where, name in stated.missing:
            self.issue(where, f"it names no image, or several: {shown(name)}", None)
        if stated.twice:
            self.doubt(f"{stated.overlap()}; name each image in one of them")

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

    def again(
        self, row: int, split: int | None, where: str, stated: tuple[int, int] | None
    ) -> None:
        """Take note that another file names an image too; it must say the same of it."""
        if split is not None and self.splits[row] not in (None, split):
            self.doubt(
                f"{where} and others: images are in two splits (first: {self.members[row]}, in "
                f"{SPLITS[self.splits[row] or 0]} and {SPLITS[split]}); name each in one file"
            )
            return
        if self.splits[row] is None:
            self.splits[row] = split
        if stated is not None and (0, 0) != self.sizes[row] != stated:
            self.issue(where, "other files state another size of its image", row)

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
        area: float = np.nan,
    ) -> None:
        """Add an object, its box in xyxy and pixels, or take note of what is wrong with the box."""
        box, what = sound_box(corners, self.sizes[row])
        if box is None:
            self.issue(where, what, row)
            return
        self.table.add(
            row, box, label, where=where, crowd=crowd, difficult=difficult, outline=outline,
            area=area,
        )  # fmt: skip

    def finished(
        self,
        form: str,
        classes: tuple[str, ...],
        *,
        seed: int,
        masks: tuple[str | None, ...] | None = None,
    ) -> Annotated:
        """Return what was read, with the split that came or one that is drawn."""
        if not self.members:
            raise DataError(f"{self.tree.root} has no image with annotations in the form {form}")
        instances = self._once(self.table.finished())
        splits, official = self._split(seed)
        self._judge_names(classes)
        if masks is None:
            self._judge_boxes(instances)
            self._judge_splits(instances, splits, official)
        if self.tree.unopened:
            self.notes.append(
                f"{len(self.tree.unopened)} photographs cannot be opened and were left out (first: "
                f"{self.tree.unopened[0]}); save them as PNG or JPEG"
            )
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
            official=official,
            issues=tuple(self.issues),
            notes=tuple(self.notes),
            doubts=tuple(self.doubts),
        )

    def _judge_names(self, classes: tuple[str, ...]) -> None:
        """Judge names that differ in the case of letters only: one class, or two?"""
        spelled: dict[str, str] = {}
        for name in classes:
            other = spelled.setdefault(folded(name), name)
            if other != name:
                self.doubt(
                    f"the classes {shown(other)} and {shown(name)} differ in the case of letters "
                    "only; write both alike, or call one of them otherwise"
                )

    def _judge_boxes(self, instances: Instances) -> None:
        """Judge boxes that all lie in the first pixel: they are shares of the image."""
        sizes = self.table_sizes(instances)
        if len(instances) and (sizes > 4).all() and (instances.boxes <= IN_ONE_PIXEL).all():
            self.doubt(
                f"all boxes lie within one pixel (first: {instances.where[0]}): they seem to be "
                "shares of the image; multiply them by its width and height"
            )

    def table_sizes(self, instances: Instances) -> Int[np.ndarray, "r 2"]:
        """Return width and height of the image of each object; 0 where they are not known."""
        sizes = np.array(self.sizes, dtype=np.int64).reshape(-1, 2)
        return sizes.take(instances.image, axis=0)

    def _judge_splits(
        self, instances: Instances, splits: UInt8[np.ndarray, " n"], official: bool
    ) -> None:
        """Judge a set, or a split that came with it, that shows nothing to learn or to find.

        Where annotations are flawed these are told, and not what is missing for their sake.
        """
        if self.issues:
            return
        found = ~instances.crowd
        if not found.any():
            what = "every object is a crowd" if len(instances) else "no image shows an object"
            self.doubt(f"{what}: there is nothing to learn; annotate single objects")
        elif official:
            for split, kind in ((TRAIN, found), (TEST, found & ~instances.difficult)):
                if (splits == split).any() and not (splits[instances.image[kind]] == split).any():
                    self.doubt(
                        f"no {SPLITS[split]} image shows an object: there is nothing to "
                        + ("learn" if split == TRAIN else "score")
                        + "; annotate some, or take these images out"
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
