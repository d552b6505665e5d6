"""YOLO: a text file an image, a line an object.

    images/train/1.jpg, labels/train/1.txt    splits below, above or not at all
    train/images/1.jpg, train/labels/1.txt
    data/1.jpg, data/1.txt                    beside each other, with a file of class names

What the lines are stands in `yolo_lines`, which text belongs to which image in `yolo_pairs`. Shares
are of the image as it is seen, turned by its EXIF note. Class names come from `data.yaml`,
`classes.txt` or a `*.names`; the split from `data.yaml` or `obj.data` where they name what is
there, then from the folders' names, then from lists (train.txt).
Source: Redmon's darknet; https://docs.ultralytics.com/datasets/detect/
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from vislab.data.annotations import Annotated
from vislab.data.formats.class_names import LISTS, Numbering, numbering
from vislab.data.formats.copies import Copies
from vislab.data.formats.reading import Reading
from vislab.data.formats.yolo_lines import Kind, Line, doubts_of, kind_of, parsed
from vislab.data.formats.yolo_pairs import label_place, paired
from vislab.data.formats.yolo_settings import (
    Places,
    Settings,
    class_lists,
    settings_of,
    wrong_counts,
)
from vislab.data.listing import SPLITS
from vislab.data.split_lists import Stated, contradiction, folders_say, lists_images, split_lists
from vislab.data.splits import split_of
from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.progress import track
from vislab.runs.writing import write_text

MOST_CLASSES = 10_000  # without names a number is all there is, and it may be any
LOOKED_AT = 20  # texts that tell whether they are labels


def recognises(root: Path) -> bool:
    """Say whether some text files under the folder, or in the zip, label images."""
    tree = Tree(root)
    pairs = paired(tree, partial(_is_class_list, tree))
    labels = [*pairs.label_of.values(), *pairs.lone]
    in_folder = [file for file in labels if label_place(file) is not None]
    some = (in_folder or labels)[:LOOKED_AT]
    if not in_folder and not any(_is_class_list(tree, member) for member in tree.members):
        return False  # texts beside images may be anything, such as captions
    lines = [line for file in some for line in _beginning(tree, file)]
    # Of texts in a folder of labels a broken one is still a label; elsewhere none may be.
    good = [isinstance(parsed(line), tuple) for line in lines]
    if in_folder and not pairs.label_of:
        return any(good) and bool(tree.images)
    return bool(some) and (any(good) or not lines if in_folder else bool(good) and all(good))


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read all labels of a folder; an image without a text file shows no object.

    Raises DataError when there is no text file for any image, or the class names are unreadable.
    """
    tree = Tree(root)
    reading = Reading(tree)
    pairs = paired(tree, partial(_is_class_list, tree))
    labels = pairs.label_of
    if not labels:
        first = f" ({len(pairs.lone)} label files fit none, first: {pairs.lone[0]})"
        raise DataError(
            f"{root} has no text file with labels of an image{first if pairs.lone else ''}; an "
            "image and its text have one name, and lie in images/ and labels/ or side by side"
        )
    for sentence in pairs.doubts():
        reading.doubt(sentence)
    told = settings_of(tree)
    lists = class_lists(tree, told, frozenset(labels.values()))
    for sentence in wrong_counts(told, lists):
        reading.doubt(sentence)
    _add_images(reading, labels, told)
    unopened = {PurePosixPath(member).stem: member for member in tree.unopened}
    for file in pairs.lone:
        closed = unopened.get(PurePosixPath(file).stem)
        if closed is not None:
            reading.issue(file, f"its image cannot be opened: {closed}", None)
        elif not lists_images(tree, file):
            reading.issue(file, "its image is missing", None)
    reading.measure()
    lines = _read_lines(reading, labels)
    kind = kind_of(lines, told)
    names = numbering(lists, list(labels.values()))
    for doubt in (kind.doubt, names.doubt, *doubts_of(lines, kind)):
        if doubt is not None:
            reading.doubt(doubt)
    if names.note is not None:
        reading.notes.append(names.note)
    if kind.keypoints is not None and kind.doubt is None:
        many, each = kind.keypoints
        reading.notes.append(
            f"{many} keypoints of {each} numbers behind each box were left out; boxes are read"
        )
    classes = _add_objects(reading, lines, kind, names, told)
    return reading.finished("yolo", classes, seed=seed)


def _is_class_list(tree: Tree, file: str) -> bool:
    path = PurePosixPath(file)
    name = path.name.lower()
    if name.endswith(".names"):
        return True
    if name not in (*LISTS, "data.yaml", "readme.txt", "notes.txt"):
        return False
    if not tree.with_stem(path.stem):
        return True
    lines = _beginning(tree, file)  # of an image that is called classes.jpg?
    return not lines or not all(isinstance(parsed(line), tuple) for line in lines)


def _beginning(tree: Tree, file: str) -> list[str]:
    try:
        start = tree.start(file, 4096)
        text = start.decode("utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (DataError, UnicodeDecodeError):
        return []  # told when it is read
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[:5] if len(start) < 4096 else lines[:-1][:5]  # the last may be cut off


def _add_images(reading: Reading, labels: dict[str, str], told: Sequence[Settings]) -> None:
    """Add the images that a statement of the split names, or all in folders with labels."""
    tree = reading.tree
    folders = {PurePosixPath(image).parent for image in labels}
    here = [image for image in tree.images if PurePosixPath(image).parent in folders]
    by_folder = {image: split_of(image) for image in here}
    stated = _stated(reading, told, by_folder)
    named = set(stated.splits.values())
    images = []
    for image, split in by_folder.items():
        if image in stated.splits:
            split = stated.splits[image]
        elif named and (split is None or split in named):
            continue
        images.append(image)
        reading.image(image, split, labels.get(image, image))
    without = sum(image not in labels for image in images)
    elsewhere = [image for image in tree.images if PurePosixPath(image).parent not in folders]
    who = ", ".join(stated.lists)
    for count, what in (
        (len(here) - len(images), f"images that {who} put in no split were left out"),
        (without, "images have no text file and are taken to show no object"),
        (len(elsewhere), "images in folders without any labels were left out"),
    ):
        if count:
            reading.notes.append(f"{count} {what}")


def _stated(reading: Reading, told: Sequence[Settings], by_folder: dict[str, int | None]) -> Stated:
    """Return the split that files state, held against one another and against the folders."""
    places = Places(reading.tree)
    statements = [(one.file, places.stated(one)) for one in told if one.places]
    statements = [(file, stated) for file, stated in statements if stated.splits]
    if places.absent:
        reading.notes.append(f"named and not there: {'; '.join(places.absent[:3])}")
    lists = split_lists(reading.tree)
    if not statements:
        if len(set(by_folder.values()) - {None}) > 1 or not lists:
            return Stated()
        statements = [(", ".join(lists.lists), lists)]
    whole = Stated()
    for _, stated in statements:
        whole.include(stated)
    said = [(file, stated.splits) for file, stated in statements[1:]]
    if lists and not set(lists.lists) & set(whole.lists):
        said.append((", ".join(lists.lists), lists.splits))
    for other, splits in (*said, ("the names of folders", folders_say(by_folder))):
        what = contradiction(whole.splits, splits, statements[0][0], other)
        if what is not None:
            reading.doubt(what)
    reading.lists(whole)
    return whole


def _read_lines(reading: Reading, labels: dict[str, str]) -> list[Line]:
    """Return all lines that can be read."""
    lines = []
    with track(f"reading {reading.name}", total=len(labels), unit="labels") as advance:
        for image, file in labels.items():
            advance(1)
            row = reading.row_of(image)
            if row is None or row not in reading.seen:
                continue  # the image itself is an issue, or in no split
            try:
                texts = reading.tree.text(file).split("\n")
            except DataError as error:
                reading.issue(file, f"it cannot be read: {error}", row)
                continue
            for place, text in enumerate(texts, start=1):
                told = parsed(text)
                if isinstance(told, str):
                    reading.issue(f"{file}, line {place}", told, row)
                elif told is not None:
                    lines.append(Line(row, file, place, *told))
    return lines


def _add_objects(
    reading: Reading, lines: list[Line], kind: Kind, names: Numbering, told: Sequence[Settings]
) -> tuple[str, ...]:
    """Add the objects of all lines and return the classes."""
    counted = next((one.count for one in told if one.count), None)
    known = [len(meaning) for meaning in names.meanings]
    if not names.classes:
        known = [counted or MOST_CLASSES]
    from_one = _numbers_from_one(reading, lines, names, known)
    highest = -1
    for line in lines:
        place = names.list_of.get(line.file, 0)
        if line.label >= known[place]:
            if place not in from_one:
                what = f"its class is unknown: {line.label}, of {known[place]} classes"
                reading.issue(line.where, what, line.row)
            continue
        wrong = kind.wrong(line)
        if wrong is not None:
            reading.issue(line.where, wrong, line.row)
            continue
        label = names.meanings[place][line.label] if names.classes else line.label
        highest = max(highest, line.label)
        _add_object(reading, line, kind, label)
    if names.classes:
        return names.classes
    reading.notes.append("no file names the classes; they are called by their numbers")
    return tuple(f"class {label}" for label in range(counted or highest + 1))


def _numbers_from_one(
    reading: Reading, lines: list[Line], names: Numbering, known: list[int]
) -> set[int]:
    """Return the lists of classes whose numbers are written from 1, and say so."""
    used: dict[int, set[int]] = defaultdict(set)
    first: dict[int, str] = {}
    for line in lines:
        place = names.list_of.get(line.file, 0)
        used[place].add(line.label)
        first.setdefault(place, line.where)
    found = set()
    for place, numbers in used.items():
        if 0 in numbers or (not names.classes and known[place] == MOST_CLASSES):
            continue
        if max(numbers) == known[place]:
            found.add(place)
            reading.doubt(
                f"class numbers go from 1 to {known[place]} (first: {first[place]}), where "
                f"{known[place]} classes are numbered from 0; subtract 1 from each, or write a "
                "name for 0 in front of the names"
            )
        elif known[place] > 2 and len(numbers) == known[place] - 1:
            reading.notes.append(
                "no object is of class 0, and all other classes occur: look whether the numbers "
                "are written from 1"
            )
    return found


def _add_object(reading: Reading, line: Line, kind: Kind, label: int) -> None:
    width, height = reading.sizes[line.row]
    numbers = kind.shares(line)
    if len(numbers) == 4:
        x, y, wide, high = numbers
        corners = (
            (x - wide / 2) * width, (y - high / 2) * height,
            (x + wide / 2) * width, (y + high / 2) * height,
        )  # fmt: skip
        reading.instance(line.row, corners, label, line.where)
        return
    sides = [width, height] * (len(numbers) // 2)
    points = [share * side for share, side in zip(numbers, sides, strict=True)]
    xs, ys = points[::2], points[1::2]
    cut = tuple(min(max(v, 0.0), float(s)) for v, s in zip(points, sides, strict=True))
    box = (min(xs), min(ys), max(xs), max(ys))
    reading.instance(line.row, box, label, line.where, outline=(cut,))


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
    if outlined:
        told["task"] = "segment"  # without it equally long lines could be keypoints
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
