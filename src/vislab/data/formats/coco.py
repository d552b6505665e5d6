"""COCO: one JSON file with `images`, `annotations` and `categories`.

    annotations/instances_train2017.json, train2017/1.jpg    as it is distributed
    annotations.json, images/1.jpg                           any name, beside or above the images
    train/_annotations.coco.json, train/1.jpg                as labelling tools export it

The split is a word in the file's name or its folder's. A box is x, y, width, height in pixels,
counted from 0; `iscrowd` marks a group. `ignore`, which COCO itself does not have but others write,
is read and written as "difficult". Source: https://cocodataset.org/#format-data
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from vislab.data.annotations import Annotated, Outline, RunLengths
from vislab.data.formats.copies import Copies
from vislab.data.formats.numbers import class_name, finite, shown, whole
from vislab.data.formats.reading import Reading
from vislab.data.listing import SPLITS
from vislab.data.run_lengths import counts_of, polygon_area
from vislab.data.splits import split_in, split_of
from vislab.data.tree import Tree, inside
from vislab.errors import DataError
from vislab.progress import track
from vislab.runs.writing import write_text

KEYS = ("images", "annotations", "categories")
LARGEST = 1_000_000  # pixels of a side


def recognises(root: Path) -> bool:
    """Say whether a JSON under the folder, or in the zip, has COCO's three keys."""
    tree = Tree(root)
    return any(_has_keys(tree, member) for member in tree.ending(".json"))


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read all such files of a folder.

    Raises DataError, naming file and place, when one is no valid JSON or lacks a key.
    """
    tree = Tree(root)
    reading = Reading(tree)
    files = _files(tree, reading)
    if not files:
        raise DataError(f"{root} has no JSON with images, annotations and categories")
    told = {file: _parsed(tree, file) for file in files}
    classes: dict[str, int] = {}  # by name, over all files
    labels = {file: _labels(reading, file, told[file]["categories"], classes) for file in files}
    rows = {file: _images(reading, file, told[file]["images"]) for file in files}
    reading.measure()
    total = sum(len(told[file]["annotations"]) for file in files)
    with track(f"reading {reading.name}", total=total, unit="annotations") as advance:
        for file in files:
            for place, entry in enumerate(told[file]["annotations"]):
                _instance(reading, file, place, entry, rows[file], labels[file])
                advance(1)
    _note_unused(reading)
    return reading.finished("coco", tuple(classes), seed=seed)


def _has_keys(tree: Tree, member: str) -> bool:
    """Look for the three words without parsing: the largest file has 450 MB."""
    missing = {f'"{key}"'.encode() for key in KEYS}
    rest = b""
    for part in tree.parts(member):
        text = rest + part
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
    try:
        told = json.loads(tree.read(file).decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}, line {error.lineno}, column {error.colno}: no valid JSON ({error.msg}); "
            "mend it or write it anew"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no valid JSON ({error}); write it anew") from error
    if not isinstance(told, dict):
        raise DataError(f"{where} should hold an object with {', '.join(KEYS)}; write it anew")
    for key in KEYS:
        if not isinstance(told.get(key), list):
            raise DataError(f"{where} lacks {key!r}, which should be a list; write it anew")
    return {key: told[key] for key in KEYS}


def _labels(
    reading: Reading, file: str, categories: list[Any], classes: dict[str, int]
) -> dict[int, int]:
    """Return the class of each category number, and add its name to `classes`."""
    labels: dict[int, int] = {}
    here: set[str] = set()
    for place, entry in enumerate(categories):
        where = f"{file}, category {place + 1} of the list"
        if not isinstance(entry, dict):
            reading.issue(where, f"it is no object: {shown(entry)}", None)
            continue
        number, name = whole(entry.get("id")), entry.get("name")
        if number is None:
            reading.issue(where, f"its id is no whole number: {shown(entry.get('id'))}", None)
        elif number in labels:
            reading.issue(where, f"its id stands there twice: {number}", None)
        elif not isinstance(name, str) or not class_name(name):
            reading.issue(where, f"its name is no text: {shown(name)}", None)
        else:
            name = class_name(name)
            if name in here:
                reading.notes.append(f"two categories of {file} are called {name!r}: one class")
            here.add(name)
            labels[number] = classes.setdefault(name, len(classes))
    return labels


def _images(reading: Reading, file: str, images: list[Any]) -> dict[int, int | None]:
    """Return the row of each image number; None for an image that cannot have one."""
    rows: dict[int, int | None] = {}
    for place, entry in enumerate(images):
        where = f"{file}, image {place + 1} of the list"
        if not isinstance(entry, dict):
            reading.issue(where, f"it is no object: {shown(entry)}", None)
            continue
        name, number = entry.get("file_name"), whole(entry.get("id"))
        row = _image(reading, file, where, name, entry)
        if number is None:
            what = f"its id is no whole number: {shown(entry.get('id'))}"
            reading.issue(where, what, row)
        elif number in rows:
            reading.issue(where, f"its id stands there twice: {number}", row)
            reading.issue(where, f"its id stands there twice: {number}", rows[number])
        else:
            rows[number] = row
    return rows


def _image(
    reading: Reading, file: str, where: str, name: object, entry: dict[str, Any]
) -> int | None:
    if not isinstance(name, str) or not name.strip():
        reading.issue(where, f"its file_name is no text: {shown(name)}", None)
        return None
    path = inside(name)
    if path is None:
        reading.issue(where, f"its path leads out of the folder: {shown(name)}", None)
        return None
    split = _split(file)
    row = reading.image(
        _found(reading.tree, file, path, split), split, where, stated := _stated(entry)
    )
    if stated is None and (entry.get("width") or entry.get("height")):
        told = f"{shown(entry.get('width'))}×{shown(entry.get('height'))}"
        reading.issue(where, f"its size is none: {told}", row)
    return row


def _stated(entry: dict[str, Any]) -> tuple[int, int] | None:
    width, height = whole(entry.get("width")), whole(entry.get("height"))
    if width is None or height is None:
        return None
    return (width, height) if 0 < width < LARGEST and 0 < height < LARGEST else None


def _found(tree: Tree, file: str, name: str, split: int | None) -> str:
    """Return the image of that name nearest to the file; the name itself when there is none."""
    beside = (PurePosixPath(file).parent / name).as_posix()
    for exact in (beside, name):
        if exact in tree:
            return exact
    tails = tree.called(name)
    if not tails:
        return name
    ours = [tail for tail in tails if split_of(tail) == split]
    return min(ours or tails, key=lambda tail: (tail.count("/"), tail))


def _instance(
    reading: Reading,
    file: str,
    place: int,
    entry: object,
    rows: dict[int, int | None],
    labels: dict[int, int],
) -> None:
    if not isinstance(entry, dict):
        what = f"it is no object: {shown(entry)}"
        reading.issue(f"{file}, annotation {place + 1} of the list", what, None)
        return
    number = whole(entry.get("id"))
    where = f"{file}, annotation {place + 1} of the list"
    if number is not None:
        where = f"{file}, annotation {number}"
    image = whole(entry.get("image_id"))
    if image is None or image not in rows:
        reading.issue(where, f"its image is not in the list: {shown(entry.get('image_id'))}", None)
        return
    row = rows[image]
    if row is None:
        return  # the image itself is an issue
    category = whole(entry.get("category_id"))
    if category is None or category not in labels:
        reading.issue(where, f"its class is unknown: {shown(entry.get('category_id'))}", row)
        return
    box = finite(entry.get("bbox"), 4)
    if box is None:
        reading.issue(where, f"its box is not four numbers: {shown(entry.get('bbox'))}", row)
        return
    marks = [entry.get(key, 0) for key in ("iscrowd", "ignore")]
    if not all(mark in (0, 1) for mark in marks):
        reading.issue(where, f"iscrowd or ignore is not 0 or 1: {shown(marks)}", row)
        return
    try:
        outline = _outline(entry.get("segmentation"), reading.sizes[row])
    except DataError as error:
        reading.issue(where, f"its outline cannot be read: {error}", row)
        return
    x, y, width, height = box
    reading.instance(
        row,
        (x, y, x + width, y + height),
        labels[category],
        where,
        crowd=marks[0] == 1,
        difficult=marks[1] == 1,
        outline=outline,
    )


def _outline(told: object, size: tuple[int, int]) -> Outline:
    """Return polygons or run lengths. Raises DataError when they are none of this image's."""
    if told is None or told == []:
        return None
    width, height = size
    if isinstance(told, dict):
        counts = told.get("counts")
        if finite(told.get("size"), 2) != (float(height), float(width)):
            raise DataError(f"a mask of size {shown(told.get('size'))}, not {[height, width]}")
        numbers = isinstance(counts, list) and all(type(count) is int for count in counts)
        if not isinstance(counts, list | str) or not (numbers or isinstance(counts, str)):
            raise DataError(f"run lengths that are no whole numbers: {shown(counts)}")
        code: RunLengths = {"size": [height, width], "counts": counts}
        counts_of(code)
        return code
    if not isinstance(told, list):
        raise DataError(f"neither polygons nor run lengths: {shown(told)}")
    polygons = []
    for entry in told:
        points = finite(entry)
        if points is None or len(points) < 6 or len(points) % 2:
            raise DataError(f"a polygon is not three points or more: {shown(entry)}")
        xs, ys = points[::2], points[1::2]
        if width and (min(xs) < -1 or max(xs) > width + 1 or min(ys) < -1 or max(ys) > height + 1):
            raise DataError(f"a polygon leaves the image of {width}×{height} pixels")
        polygons.append(points)
    return tuple(polygons)


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
