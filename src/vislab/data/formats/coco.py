"""COCO: one JSON file with `images`, `annotations` and `categories`.

    annotations/instances_train2017.json, train2017/1.jpg    as it is distributed
    annotations.json, images/1.jpg                           any name, beside or above the images
    train/_annotations.coco.json, train/1.jpg                as labelling tools export it

The split is a word in the file's name or its folder's, or else in the images' folders, or stands in
lists. A box is x, y, width, height in pixels, counted from 0; one that is missing is that around
the outline. `iscrowd` marks a group. `ignore`, which COCO itself does not have but others write, is
read and written as "difficult". Several files over the same images are one set, as long as they do
not contradict one another. Source: https://cocodataset.org/#format-data
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vislab.data.annotations import Annotated
from vislab.data.formats.box_kinds import look_like_corners, overlaps
from vislab.data.formats.coco_outlines import Corners, box_around, outline_of
from vislab.data.formats.copies import Copies
from vislab.data.formats.image_names import ImageNames
from vislab.data.formats.numbers import class_name, finite, key, shown, whole
from vislab.data.formats.reading import Reading
from vislab.data.listing import SPLITS
from vislab.data.run_lengths import counts_of, polygon_area
from vislab.data.split_lists import contradiction, folders_say, split_lists
from vislab.data.splits import split_in, split_of
from vislab.data.tree import LARGEST as LARGEST_FILE
from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.progress import track
from vislab.runs.writing import write_text

KEYS = ("images", "annotations", "categories")
LARGEST = 1_000_000  # pixels of a side
ALIKE = 0.5  # overlap of a box and its outline, below which they are not of one object
# What annotations hold that are of another task, and where that is told.
OTHERS = {
    "segments_info": "COCO's panoptic segments, which are not read; take the instances_*.json of "
    "the same images, or convert them with panopticapi's panoptic2detection_coco_format.py",
    "caption": "captions, which are not read; take the instances_*.json of the same images",
    "keypoints": "keypoints without boxes, which are not read; add a bbox to each annotation",
}


def recognises(root: Path) -> bool:
    """Say whether a JSON under the folder, or in the zip, has COCO's three keys."""
    tree = Tree(root)
    return any(_has_keys(tree, member) for member in tree.ending(".json"))


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read all such files of a folder.

    Raises DataError, naming file and place, when one is no valid JSON, lacks a key or is of another
    task: panoptic segments, captions, keypoints alone.
    """
    tree = Tree(root)
    reading = Reading(tree)
    files = _files(tree, reading)
    if not files:
        raise DataError(f"{root} has no JSON with images, annotations and categories")
    told = {file: _parsed(tree, file) for file in files}
    for file in files:
        _refuse_other_tasks(tree, file, told[file]["annotations"])
    classes: dict[str, int] = {}  # by name, over all files
    labels = {file: _labels(reading, file, told[file]["categories"], classes) for file in files}
    rows = {file: _images(reading, file, told[file]["images"]) for file in files}
    _state_splits(reading)
    reading.measure()
    total = sum(len(told[file]["annotations"]) for file in files)
    objects = _Objects(reading)
    with track(f"reading {reading.name}", total=total, unit="annotations") as advance:
        for file in files:
            for place, entry in enumerate(told[file]["annotations"]):
                objects.read(file, place, entry, rows[file], labels[file])
                advance(1)
    objects.judge_boxes()
    objects.add(tuple(classes))
    _note_unused(reading)
    return reading.finished("coco", tuple(classes), seed=seed)


def _has_keys(tree: Tree, member: str) -> bool:
    """Look for the three words without parsing: the largest file has 450 MB."""
    missing = {f'"{word}"'.encode() for word in KEYS}
    rest = b""
    for part in tree.parts(member):
        text = rest + part.replace(b"\0", b"")  # of UTF-16
        missing = {word for word in missing if word not in text}
        if not missing:
            return True
        rest = text[-16:]
    return False


def _files(tree: Tree, reading: Reading) -> list[str]:
    files = [member for member in tree.ending(".json") if _has_keys(tree, member)]
    # COCO's own folder also has captions and keypoints of the same images.
    boxes = [file for file in files if PurePosixPath(file).name.startswith("instances")]
    chosen = boxes or files
    with_split = [file for file in chosen if _split(file) is not None]
    if with_split and len(with_split) < len(chosen):
        chosen = with_split
    left_out = [file for file in files if file not in chosen]
    if left_out:
        reading.notes.append(
            f"{', '.join(left_out[:3])} was not read, because {chosen[0]} was taken for the one "
            "that counts"
        )
    return sorted(chosen, key=lambda file: (SPLIT_ORDER[_split(file)], file))


SPLIT_ORDER = {0: 0, 1: 1, 2: 2, None: 3}


def _split(file: str) -> int | None:
    split = split_in(PurePosixPath(file).stem)
    return split if split is not None else split_of(file)


def _parsed(tree: Tree, file: str) -> dict[str, list[Any]]:
    where = tree.root / file
    text = tree.text(file, LARGEST_FILE)
    try:
        told = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}, line {error.lineno}, column {error.colno}: no valid JSON ({error.msg}); "
            "mend it or write it anew"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no valid JSON ({error}); write it anew") from error
    if not isinstance(told, dict):
        raise DataError(f"{where} should hold an object with {', '.join(KEYS)}; write it anew")
    for word in KEYS:
        if not isinstance(told.get(word), list):
            raise DataError(f"{where} lacks {word!r}, which should be a list; write it anew")
    return {word: told[word] for word in KEYS}


def _refuse_other_tasks(tree: Tree, file: str, annotations: list[Any]) -> None:
    """Raise DataError where all annotations are of another task: such a set has no box at all."""
    entries = [entry for entry in annotations if isinstance(entry, dict)]
    if not entries or any(entry.get("bbox") or entry.get("segmentation") for entry in entries):
        return
    for word, what in OTHERS.items():
        if all(word in entry for entry in entries):
            raise DataError(f"{tree.root / file} holds {what}")


def _labels(
    reading: Reading, file: str, categories: list[Any], classes: dict[str, int]
) -> dict[str, int]:
    """Return the class of each category's id, and add its name to `classes`."""
    labels: dict[str, int] = {}
    here: set[str] = set()
    for place, entry in enumerate(categories):
        where = f"{file}, category {place + 1} of the list"
        if not isinstance(entry, dict):
            reading.issue(where, f"it is no object: {shown(entry)}", None)
            continue
        number, name = key(entry.get("id")), entry.get("name")
        if number is None:
            reading.issue(where, f"its id is no whole number: {shown(entry.get('id'))}", None)
        elif number in labels:
            reading.issue(where, f"its id stands there twice: {shown(entry.get('id'))}", None)
        elif not isinstance(name, str) or not class_name(name):
            reading.issue(where, f"its name is no text: {shown(name)}", None)
        else:
            name = class_name(name)
            if name in here:
                reading.notes.append(f"two categories of {file} are called {name!r}: one class")
            here.add(name)
            labels[number] = classes.setdefault(name, len(classes))
    return labels


def _images(reading: Reading, file: str, images: list[Any]) -> dict[str, int | None]:
    """Return the row of each image's id; None for an image that cannot have one."""
    rows: dict[str, int | None] = {}
    told = [entry.get("file_name") for entry in images if isinstance(entry, dict)]
    names = ImageNames.of(reading.tree, file, [name for name in told if isinstance(name, str)])
    here: set[int] = set()
    for place, entry in enumerate(images):
        where = f"{file}, image {place + 1} of the list"
        if not isinstance(entry, dict):
            reading.issue(where, f"it is no object: {shown(entry)}", None)
            continue
        number = key(entry.get("id"))
        row = _image(reading, names, where, entry, here)
        if number is None:
            what = f"its id is no whole number: {shown(entry.get('id'))}"
            reading.issue(where, what, row)
        elif number in rows:
            what = f"its id stands there twice: {shown(entry.get('id'))}"
            reading.issue(where, what, row)
            reading.issue(where, what, rows[number])
        else:
            rows[number] = row
    return rows


def _image(
    reading: Reading, names: ImageNames, where: str, entry: dict[str, Any], here: set[int]
) -> int | None:
    """Add an image, unless another file has, and return its row."""
    name = entry.get("file_name")
    if not isinstance(name, str) or not name.strip():
        reading.issue(where, f"its file_name is no text: {shown(name)}", None)
        return None
    split = _split(names.file)
    found = names.meant(name, split)
    if not found and names.leads_out(name):
        reading.issue(where, f"its path leads out of the folder: {shown(name)}", None)
        return None
    stated = _stated(entry)
    member = found[0] if found else name
    row = reading.row_of(member)
    if row is None or row in here:
        row = reading.image(member, split, where, stated)
    else:
        reading.again(row, split, where, stated)
    here.add(row)
    if len(found) > 1:
        reading.issue(where, f"several images fit its file_name: {', '.join(found[:3])}", row)
    if stated is None and (entry.get("width") or entry.get("height")):
        size = f"{shown(entry.get('width'))}×{shown(entry.get('height'))}"
        reading.issue(where, f"its size is none: {size}", row)
    return row


def _stated(entry: dict[str, Any]) -> tuple[int, int] | None:
    width, height = whole(entry.get("width")), whole(entry.get("height"))
    if width is None or height is None:
        return None
    return (width, height) if 0 < width < LARGEST and 0 < height < LARGEST else None


def _state_splits(reading: Reading) -> None:
    """Take the split of the images' folders, or of lists, where the files' names say none."""
    by_folder = {m: split for m in reading.members if (split := split_of(m)) is not None}
    if None not in reading.splits:
        by_file = {
            m: s for m, s in zip(reading.members, reading.splits, strict=True) if s is not None
        }
        by_folder = folders_say(reading.members)
        what = contradiction(by_file, by_folder, "the names of the JSONs", "the images' folders")
        if what is not None:
            reading.doubt(what)
        return
    if any(split is not None for split in reading.splits):
        return
    if len(set(by_folder.values())) > 1:
        reading.splits = [by_folder.get(member) for member in reading.members]
    elif stated := split_lists(reading.tree):
        reading.splits = [stated.splits.get(member) for member in reading.members]
        reading.lists(stated)


@dataclass
class _Object:
    row: int
    label: int
    box: tuple[float, float, float, float] | None  # as it is written
    around: Corners | None  # the box around the outline
    area: float | None
    where: str
    file: str
    options: dict[str, Any]


@dataclass
class _Objects:
    """The annotations of all files, until it is clear what their boxes are."""

    reading: Reading
    found: list[_Object] = field(default_factory=list)

    def read(
        self,
        file: str,
        place: int,
        entry: object,
        rows: dict[str, int | None],
        labels: dict[str, int],
    ) -> None:
        """Read one annotation, or take note of what is wrong with it."""
        issue = self.reading.issue
        where = f"{file}, annotation {place + 1} of the list"
        if not isinstance(entry, dict):
            issue(where, f"it is no object: {shown(entry)}", None)
            return
        told = entry.get("id")
        if key(told) is not None:
            where = f"{file}, annotation {told if isinstance(told, int) else shown(told)}"
        image, category = key(entry.get("image_id")), key(entry.get("category_id"))
        if image is None or image not in rows:
            issue(where, f"its image is not in the list: {shown(entry.get('image_id'))}", None)
            return
        row = rows[image]
        if row is None:
            return  # the image itself is an issue
        if category is None or category not in labels:
            issue(where, f"its class is unknown: {shown(entry.get('category_id'))}", row)
            return
        marks = [entry.get(word, 0) for word in ("iscrowd", "ignore")]
        if not all(mark in (0, 1) for mark in marks):
            issue(where, f"iscrowd or ignore is not 0 or 1: {shown(marks)}", row)
            return
        written = entry.get("bbox")
        box = finite(written, 4)
        if box is None and written not in (None, []):
            issue(where, f"its box is not four numbers: {shown(written)}", row)
            return
        try:
            outline = outline_of(entry.get("segmentation"), self.reading.sizes[row])
        except DataError as error:
            issue(where, f"its outline cannot be read: {error}", row)
            return
        around = box_around(outline)
        if box is None and around is None:
            issue(where, f"its box is not four numbers: {shown(written)}", row)
            return
        options = {"crowd": marks[0] == 1, "difficult": marks[1] == 1, "outline": outline}
        area = finite([entry.get("area")], 1)
        if area is not None and area[0] >= 0:
            options["area"] = area[0]
        written_box = None if box is None else (box[0], box[1], box[2], box[3])
        self.found.append(
            _Object(
                row, labels[category], written_box, around,
                None if area is None else area[0], where, file, options,
            )
        )  # fmt: skip

    def judge_boxes(self) -> None:
        """Hold all boxes against outlines, areas and images: as sizes, and as corners."""
        boxed = [one for one in self.found if one.box is not None]
        if not boxed:
            return
        boxes = np.array([one.box for one in boxed])
        as_sizes = np.column_stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
        sizes = np.array([self.reading.sizes[one.row] for one in boxed], dtype=float)
        most = np.where(sizes > 0, sizes + 1, np.inf)
        leaving = (as_sizes[:, 2:] - most).max(axis=1) > 0
        corners = look_like_corners(boxes, leaving, (boxes[:, 2:] - most).max(axis=1) <= 0)
        outlined = np.array([one.around is not None for one in boxed])
        if outlined.any():
            around = np.array([one.around for one in boxed if one.around is not None])
            right, wrong = overlaps(as_sizes[outlined], around), overlaps(boxes[outlined], around)
            corners |= bool((wrong > np.maximum(right, ALIKE)).mean() > ALIKE)
            apart = (right < ALIKE) & (wrong < ALIKE)
            if apart.mean() > ALIKE:
                first = next(one for one in boxed if one.around is not None)
                self.reading.doubt(
                    f"{apart.sum()} of {len(apart)} boxes lie elsewhere than their outlines (first "
                    f"of these looked at: {first.where}); write them as x, y, width, height"
                )
        area = np.array([np.nan if one.area is None else one.area for one in boxed])
        of_sizes, of_corners = boxes[:, 2:].prod(axis=1), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        close = np.isclose(area, of_corners, rtol=0.01) & ~np.isclose(area, of_sizes, rtol=0.01)
        if corners or close.mean() > 0.9:
            self.reading.doubt(
                "the boxes look like corners (xmin, ymin, xmax, ymax) where x, y, width and height "
                f"are wanted (first: {boxed[0].where}); write them so"
            )

    def add(self, classes: tuple[str, ...]) -> None:
        """Add all objects; of files that say the same of an image, once."""
        by_file: dict[tuple[int, int], dict[str, set[Corners]]] = defaultdict(dict)
        for one in self.found:
            of = by_file[one.row, one.label].setdefault(one.file, set())
            of.add(self._corners(one))
        said: dict[tuple[int, int], str] = {}
        repeated = 0
        for (row, label), files in by_file.items():
            file, *others = files
            said[row, label] = file
            other = next((other for other in others if files[other] != files[file]), None)
            if other is not None:
                self.reading.doubt(
                    f"{file} and {other} have different boxes of {classes[label]!r} in the same "
                    f"images (first: {self.reading.members[row]}); keep the file that is right"
                )
                break
        for one in self.found:
            if said.get((one.row, one.label), one.file) != one.file:
                repeated += 1
                continue
            self.reading.instance(one.row, self._corners(one), one.label, one.where, **one.options)
        if repeated:
            self.reading.notes.append(
                f"{repeated} annotations stand in several files and were read once"
            )

    def _corners(self, one: _Object) -> Corners:
        if one.box is None:
            assert one.around is not None
            return one.around
        x, y, width, height = one.box
        return x, y, x + width, y + height


def _note_unused(reading: Reading) -> None:
    named = set(reading.members)
    unused = sum(member not in named for member in reading.tree.images)
    if unused:
        reading.notes.append(f"{unused} images that no annotation file names were left out")


def write(annotated: Annotated, into: Path) -> None:
    """Write `annotations/instances_SPLIT.json` and the images under `SPLIT/`."""
    copies = Copies(annotated)
    instances = annotated.instances
    categories = [{"id": n, "name": name} for n, name in enumerate(annotated.classes, start=1)]
    for number, split in enumerate(SPLITS):
        rows = annotated.rows(split).tolist()
        if not rows:
            continue
        images = []
        for row in rows:
            width, height = annotated.sizes[row].tolist()
            images.append(
                {"id": row + 1, "file_name": copies.name(row), "width": width, "height": height}
            )
            copies.copy(row, into / split)
        told = {
            "info": {"description": f"{annotated.name}, written by vislab"},
            "images": images,
            "annotations": [
                _entry(annotated, instance)
                for instance in range(len(instances))
                if annotated.splits[instances.image[instance]] == number
            ],
            "categories": categories,
        }
        folder = into / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"instances_{split}.json", json.dumps(told, ensure_ascii=False) + "\n")


def _entry(annotated: Annotated, instance: int) -> dict[str, Any]:
    instances = annotated.instances
    left, top, right, bottom = instances.boxes[instance].tolist()
    outline = instances.outlines[instance]
    area = (right - left) * (bottom - top)
    if isinstance(outline, tuple):
        area = polygon_area(outline)
    elif outline is not None:
        area = float(sum(counts_of(outline)[1::2]))
    if np.isfinite(instances.area[instance]):
        area = float(instances.area[instance])
    entry = {
        "id": instance + 1,
        "image_id": int(instances.image[instance]) + 1,
        "category_id": int(instances.label[instance]) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": area,
        "iscrowd": int(instances.crowd[instance]),
        "segmentation": [list(p) for p in outline] if isinstance(outline, tuple) else outline or [],
    }
    if instances.difficult[instance]:
        entry["ignore"] = 1
    return entry
