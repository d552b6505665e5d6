"""Annotations in forms that are not read, told by name with the way out."""

import csv
from collections.abc import Iterator
from pathlib import PurePosixPath

from vislab.data.formats.numbers import number
from vislab.data.splits import split_in
from vislab.data.tree import Tree
from vislab.errors import DataError

LOOKED_AT = 20  # files that tell a form
BEGINNING = 1 << 16  # bytes of a file that are looked at
# The words that a JSON of each form has, all of them; the form, and the way out.
JSONS = (
    (("shapes", "imagePath"), "labelme", "convert them to COCO, as labelme2coco does"),
    (("_via_img_metadata",), "the VGG Image Annotator", "export them there as COCO"),
    (("regions", "shape_attributes"), "the VGG Image Annotator", "export them there as COCO"),
    (("annotations", "coordinates", "image"), "Create ML", "convert them to COCO"),
    (("objects", "imgWidth", "polygon"), "Cityscapes", "give its masks, *_labelIds.png, instead"),
    (("objects", "classTitle"), "Supervisely", "export them there as COCO or VOC"),
    (("result", "original_width"), "Label Studio", "export them there as COCO, VOC or YOLO"),
    (("labels", "box2d"), "BDD100K", "convert them to COCO with its own bdd2coco"),
    (("images", "annotations", "caption"), "captions", "only boxes, outlines and masks are read"),
    (
        ("images", "annotations", "keypoints"),
        "keypoints",
        "write a bbox and categories beside them",
    ),
)
NAMES = ("filename", "file_name", "image", "image_id", "imageid", "image_name", "path", "img")
EDGES = (
    ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("x", "y", "width", "height"),
    ("x", "y", "w", "h"), ("left", "top", "right", "bottom"), ("bbox_x", "bbox_y", "bbox_width",
    "bbox_height"), ("bbox",), ("region_shape_attributes",),
)  # fmt: skip


def foreign_form(tree: Tree) -> str | None:
    """Return a sentence's end: which form that is not read a folder holds, and what to do."""
    for form in (_json, _csv, _texts):
        if tree.images and (told := form(tree)) is not None:
            return told
    return None


def without_classes(tree: Tree) -> bool:
    """Say whether the images lie in no folders that could be classes."""
    plain = {"images", "image", "imgs", "img", "pictures", "photos", "data", "jpegimages"}
    folders = {PurePosixPath(image).parent.name for image in tree.images}
    kinds = {name for name in folders if name.lower() not in plain and split_in(name) is None}
    return len(kinds) < 2


def _json(tree: Tree) -> str | None:
    for file in tree.ending(".json")[:LOOKED_AT]:
        start = _start(tree, file)
        for words, form, advice in JSONS:
            if all(f'"{word}"'.encode() in start for word in words):
                return f"holds annotations of {form} (first: {file}), which are not read; {advice}"
    return None


def _csv(tree: Tree) -> str | None:
    for file in tree.ending(".csv", ".tsv")[:LOOKED_AT]:
        try:
            line = tree.text(file).split("\n", 1)[0]
        except DataError:
            continue
        mark = max(",;\t", key=line.count)
        columns = {
            cell.strip().lower() for row in csv.reader([line], delimiter=mark) for cell in row
        }
        boxed = any(columns.issuperset(edges) for edges in EDGES)
        if boxed and not columns.isdisjoint(NAMES):
            return (
                f"holds boxes in a table ({file}), which is not read; convert it to COCO, or "
                "write an XML an image as VOC has it"
            )
    return None


def _texts(tree: Tree) -> str | None:
    """Recognise KITTI's and DOTA's lines, a text an image."""
    for file in _label_texts(tree):
        words = _start(tree, file).decode("utf-8", errors="replace").split("\n")[0].split()
        if len(words) in (15, 16) and not _all_numbers(words[:1]) and _all_numbers(words[1:15]):
            return (
                f"holds labels of KITTI (first: {file}), which are not read; convert them to COCO"
            )
        if len(words) in (9, 10) and _all_numbers(words[:8]) and not _all_numbers(words[8:9]):
            return (
                f"holds labels of DOTA (first: {file}), which are not read; convert them to YOLO's "
                "turned boxes"
            )
    return None


def _label_texts(tree: Tree) -> Iterator[str]:
    named = {PurePosixPath(image).stem for image in tree.images}
    yield from [f for f in tree.ending(".txt") if PurePosixPath(f).stem in named][:LOOKED_AT]


def _all_numbers(words: list[str]) -> bool:
    return all(number(word) is not None for word in words)


def _start(tree: Tree, file: str) -> bytes:
    try:
        return tree.start(file, BEGINNING).replace(b"\0", b"")  # of UTF-16
    except DataError:
        return b""
