"""YOLO: a text file an image, a line an object.

    images/train/1.jpg, labels/train/1.txt    splits below, above or not at all
    train/images/1.jpg, train/labels/1.txt
    data/1.jpg, data/1.txt                    beside each other, with a file of class names

A line is `class cx cy width height`, in shares of the image as it is seen, turned by its EXIF
note; or `class x1 y1 x2 y2 x3 y3 ...`, an outline. Class names come from `data.yaml`, `classes.txt`
or a `*.names`; where these say where the splits lie, the folders' names are believed instead.
Source: Redmon's darknet; https://docs.ultralytics.com/datasets/detect/
"""

from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from vislab.data.annotations import Annotated
from vislab.data.formats.class_names import LISTS, names_in_yaml, names_listed
from vislab.data.formats.copies import Copies
from vislab.data.formats.numbers import number, shown
from vislab.data.formats.reading import Reading
from vislab.data.listing import SPLITS
from vislab.data.splits import split_of
from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.progress import track
from vislab.runs.writing import write_text

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "pictures", "jpegimages")
LABEL_FOLDERS = ("labels", "label")
MOST_CLASSES = 10_000  # without names a number is all there is, and it may be any
FAR = 1.5  # shares of the image: beyond this they must be pixels

Line = tuple[int, tuple[float, ...]]


def recognises(root: Path) -> bool:
    """Say whether some text files under the folder, or in the zip, label images."""
    tree = Tree(root)
    labels = _labels(tree)
    in_folder = [file for file in labels.values() if _label_place(file) is not None]
    some = (in_folder or list(labels.values()))[:20]
    if not in_folder and not any(_is_class_list(member) for member in tree.members):
        return False  # texts beside images may be anything, such as captions
    lines = [line for file in some for line in _beginning(tree, file)]
    # Of texts in a folder of labels a broken one is still a label; elsewhere none may be.
    good = [isinstance(_parsed(line), tuple) for line in lines]
    return bool(some) and (any(good) or not lines if in_folder else bool(good) and all(good))


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read all labels of a folder; an image without a text file shows no object.

    Raises DataError when there is no text file for any image, or the class names are unreadable.
    """
    tree = Tree(root)
    reading = Reading(tree)
    labels = _labels(tree)
    if not labels:
        raise DataError(f"{root} has no text file with labels of an image")
    names = names_in_yaml(tree) or names_listed(tree)
    folders = {PurePosixPath(image).parent for image in labels}
    images = [p for p in tree.images if PurePosixPath(p).parent in folders]
    for image in images:
        reading.image(image, split_of(image), labels.get(image, image))
    without = len(images) - len(labels)
    if without:
        reading.notes.append(f"{without} images have no text file and are taken to show no object")
    used = set(labels.values())
    for file in tree.ending(".txt"):
        if _label_place(file) is not None and file not in used and not _is_class_list(file):
            reading.issue(file, "its image is missing", None)
    reading.measure()
    most = len(names) if names else MOST_CLASSES
    highest = -1
    with track(f"reading {reading.name}", total=len(labels), unit="labels") as advance:
        for image, file in labels.items():
            advance(1)
            row = reading.row_of(image)
            if row is None or row not in reading.seen:
                continue  # the image itself is an issue
            highest = max(highest, _read_instances(reading, row, file, most))
    if not names:
        names = tuple(f"class {label}" for label in range(highest + 1))
        reading.notes.append("no file names the classes; they are called by their numbers")
    return reading.finished("yolo", names, seed=seed)


def _label_place(file: str) -> int | None:
    """Return which folder of the path is the one of labels, the innermost, or None."""
    folders = PurePosixPath(file).parts[:-1]
    places = [place for place, name in enumerate(folders) if name.lower() in LABEL_FOLDERS]
    return places[-1] if places else None


def _is_class_list(file: str) -> bool:
    name = PurePosixPath(file).name.lower()
    return name in (*LISTS, "data.yaml", "readme.txt", "notes.txt") or name.endswith(".names")


def _labels(tree: Tree) -> dict[str, str]:
    """Return the text file of each image that has one, images sorted."""
    texts = {}
    for file in tree.ending(".txt"):
        path = PurePosixPath(file)
        place = _label_place(file)
        stem = path.stem.lower()
        if place is None:
            texts[("", path.parent.as_posix(), stem)] = file
        else:
            above, below = "/".join(path.parts[:place]), "/".join(path.parts[place + 1 : -1])
            texts[(above, below, stem)] = file
    found = {}
    for image in tree.images:
        path = PurePosixPath(image)
        folders = path.parts[:-1]
        keys = [
            ("/".join(folders[:place]), "/".join(folders[place + 1 :]), path.stem.lower())
            for place, name in reversed(list(enumerate(folders)))
            if name.lower() in IMAGE_FOLDERS
        ]
        keys.append(("", path.parent.as_posix(), path.stem.lower()))
        label = next((texts[key] for key in keys if key in texts), None)
        if label is not None:
            found[image] = label
    return found


def _beginning(tree: Tree, file: str) -> list[str]:
    try:
        return _lines(tree, file)[:5]
    except DataError:
        return []  # told when it is read


def _lines(tree: Tree, file: str) -> list[str]:
    return tree.text(file).splitlines()


def _parsed(line: str) -> Line | str | None:
    """Return the class and the numbers of a line, what is wrong with it, or None when empty."""
    words = line.split()
    if not words:
        return None
    values = [number(word) for word in words]
    if any(value is None for value in values):
        return f"it holds what is no number: {shown(line.strip())}"
    label, *numbers = (float(value or 0) for value in values)
    if not label.is_integer() or label < 0:
        return f"its class is no number from 0: {shown(words[0])}"
    if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
        return f"a class and 4 numbers are wanted, or an outline: {len(words)} stand there"
    if any(abs(value) > FAR for value in numbers):
        return f"its numbers are no shares of the image: {shown(line.strip())}"
    return int(label), tuple(numbers)


def _read_instances(reading: Reading, row: int, file: str, most: int) -> int:
    """Add the objects of an image and return the highest class, -1 without any."""
    width, height = reading.sizes[row]
    highest = -1
    try:
        lines = _lines(reading.tree, file)
    except DataError as error:
        reading.issue(file, f"it cannot be read: {error}", row)
        return highest
    for place, line in enumerate(lines, start=1):
        where, told = f"{file}, line {place}", _parsed(line)
        if told is None:
            continue
        if isinstance(told, str):
            reading.issue(where, told, row)
            continue
        label, numbers = told
        if label >= most:
            reading.issue(where, f"its class is unknown: {label}, of {most} classes", row)
            continue
        highest = max(highest, label)
        if len(numbers) == 4:
            x, y, wide, high = numbers
            corners = (
                (x - wide / 2) * width, (y - high / 2) * height,
                (x + wide / 2) * width, (y + high / 2) * height,
            )  # fmt: skip
            reading.instance(row, corners, label, where)
            continue
        sides = [width, height] * (len(numbers) // 2)
        points = [share * side for share, side in zip(numbers, sides, strict=True)]
        xs, ys = points[::2], points[1::2]
        cut = tuple(min(max(v, 0.0), float(s)) for v, s in zip(points, sides, strict=True))
        reading.instance(row, (min(xs), min(ys), max(xs), max(ys)), label, where, outline=(cut,))
    return highest


def write(annotated: Annotated, into: Path) -> None:
    """Write `images/SPLIT`, `labels/SPLIT` and `data.yaml`.

    Crowds are left out, since here they would be objects like others. Outlines are written where
    every object is one polygon that fills its box; otherwise all are boxes.
    """
    copies = Copies(annotated)
    instances = annotated.instances
    outlined = has_outlines(annotated)
    starts = instances.image.searchsorted(range(len(annotated) + 1)).tolist()
    for row in range(len(annotated)):
        split = SPLITS[annotated.splits[row]]
        copies.copy(row, into / "images" / split)
        lines = [
            _line(annotated, instance, outlined)
            for instance in range(starts[row], starts[row + 1])
            if not instances.crowd[instance]
        ]
        folder = into / "labels" / split
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{copies.stem(row)}.txt", "".join(f"{line}\n" for line in lines))
    splits = [split for split in SPLITS if len(annotated.rows(split))]
    told: dict[str, object] = {"path": ".", **{split: f"images/{split}" for split in splits}}
    told |= {"nc": len(annotated.classes), "names": list(annotated.classes)}
    text = yaml.safe_dump(told, allow_unicode=True, sort_keys=False)
    write_text(into / "data.yaml", text)


def has_outlines(annotated: Annotated) -> bool:
    """Say whether every object is one polygon that fills its box, as YOLO's outlines do."""
    instances = annotated.instances
    return bool(len(instances)) and all(
        _fills_its_box(annotated, row) for row in range(len(instances))
    )


def _fills_its_box(annotated: Annotated, instance: int) -> bool:
    outline = annotated.instances.outlines[instance]
    if not isinstance(outline, tuple) or len(outline) != 1:
        return False
    xs, ys = outline[0][::2], outline[0][1::2]
    box = annotated.instances.boxes[instance]
    return bool(np.allclose([min(xs), min(ys), max(xs), max(ys)], box, atol=0.01))


def _line(annotated: Annotated, instance: int, outlined: bool) -> str:
    instances = annotated.instances
    width, height = annotated.sizes[instances.image[instance]].tolist()
    outline = instances.outlines[instance]
    if outlined and isinstance(outline, tuple):
        shares = [
            value / (height if place % 2 else width) for place, value in enumerate(outline[0])
        ]
    else:
        left, top, right, bottom = instances.boxes[instance].tolist()
        shares = [
            (left + right) / 2 / width, (top + bottom) / 2 / height,
            (right - left) / width, (bottom - top) / height,
        ]  # fmt: skip
    return " ".join([str(instances.label[instance]), *(repr(share) for share in shares)])
