"""Annotations in the forms people have them in: recognised by looking, read, and written.

One file a form, each with `recognises`, `read` and `write`. `read_annotated` is for the user's own
path, which may be a zip: that one is unpacked once, under vislab's home.
"""

import hashlib
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from vislab.data.annotations import Annotated
from vislab.data.archives import unpack
from vislab.data.formats.foreign import foreign_form, without_classes
from vislab.data.home import home
from vislab.data.making import alone_with, put_in_place, sweep, work_folder
from vislab.data.splits import TRAIN, VAL, draw_split
from vislab.data.tree import Tree
from vislab.errors import DataError, OptionError, pick

FORMS = {"coco": "coco", "voc": "voc", "yolo": "yolo", "masks": "mask_folders"}
LAYOUT = (
    "expected COCO (a JSON with images, annotations and categories), VOC (Annotations/*.xml and "
    "JPEGImages/), YOLO (images/ and labels/*.txt) or masks (images/ and masks/*.png)"
)


def recognise(path: Path) -> str | None:
    """Return the form of the annotations in a folder or a zip, or None. Nothing is unpacked.

    "another" is one that `read_annotated` refuses by its name; images in folders that could be
    classes are taken for these instead.
    """
    if path.is_file() and path.suffix.lower() != ".zip":
        return None
    form = next((form for form in FORMS if _module(form).recognises(path)), None)
    if form is None:
        tree = Tree(path)
        return "another" if without_classes(tree) and foreign_form(tree) is not None else None
    return form


def read_annotated(path: Path, *, validation: float = 0.0, seed: int = 0) -> Annotated:
    """Read a folder or a zip of annotated images, whatever their form.

    Where no split came with them 20 % are drawn from `seed` to test on; `validation` is the share
    of the training images to tune on, where no such split came. What is wrong with single
    annotations is in `issues`. Raises DataError with the forms that would be understood.
    """
    if not 0 <= validation < 1:
        raise OptionError(f"validation={validation} is no share of the training images: 0 to 1")
    form = recognise(path)
    if form not in FORMS:
        told = foreign_form(Tree(path)) if path.is_dir() or form is not None else None
        if told is None and path.is_dir():
            told = _module("masks").nearly_masks(Tree(path))
        raise DataError(
            f"{path} {told}"
            if told
            else f"{path} holds no annotations that are recognised; {LAYOUT}"
        )
    root = path if path.is_dir() else _unpacked(path)
    annotated: Annotated = _module(form).read(root, seed=seed)
    if path.is_file():
        annotated = replace(annotated, name=path.stem)
    return _with_validation(annotated, validation, seed)


def write_annotated(annotated: Annotated, into: Path, form: str) -> tuple[str, ...]:
    """Write the images and their annotations into a new folder.

    Returns sentences on what the form has no place for. The folder appears when all is written.
    Raises DataError when it is there already. A set with issues goes through
    `annotations.require_sound` first.
    """
    from vislab.data.mask_regions import with_instances

    module = _module(form)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise DataError(f"{into} is there already; name a folder that is new")
    assert not annotated.issues
    if annotated.masks is not None and form != "masks":
        annotated = with_instances(annotated)
    try:
        with work_folder(into, "writing") as work:
            module.write(annotated, work)
            if not put_in_place(work, into):
                raise DataError(f"{into} is there already; name a folder that is new")
    except OSError as error:
        raise DataError(f"{into} cannot be written: {error}") from error
    return _given_up(annotated, form)


def _module(form: str) -> ModuleType:
    return import_module(f"{__name__}.{pick(FORMS, form, 'form of annotations')}")


def _unpacked(archive: Path) -> Path:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    folder = home() / "unpacked" / digest
    if not folder.exists():
        with alone_with(folder, archive.name):
            sweep(folder.parent, "unpacking")
            if not folder.exists():  # another process may have unpacked it meanwhile
                unpack(archive, folder)
    return folder


def _with_validation(annotated: Annotated, share: float, seed: int) -> Annotated:
    if share == 0 or (annotated.splits == VAL).any():
        return annotated
    rows = annotated.rows("train")
    names = np.array([annotated.members[row] for row in rows], dtype=object)
    rows = rows[np.argsort(names, kind="stable")]  # not as a file happened to list them
    splits = annotated.splits.copy()
    labels = np.zeros(len(rows), dtype=np.int64)
    splits[rows] = draw_split(labels, shares=(1 - share, share, 0.0), seed=seed)
    note = f"{(splits == VAL).sum()} of {(annotated.splits == TRAIN).sum()} training images"
    notes = (*annotated.notes, f"{note} were held out to tune on")
    return replace(annotated, splits=splits, notes=notes)


def _given_up(annotated: Annotated, form: str) -> tuple[str, ...]:
    from vislab.data.mask_rendering import rendering_notes

    instances = annotated.instances
    crowds, difficult = int(instances.crowd.sum()), int(instances.difficult.sum())
    outlines = sum(outline is not None for outline in instances.outlines)
    told: list[tuple[bool, str]] = []
    if form == "voc":
        told = [
            (outlines > 0, f"{outlines} outlines are left out: VOC has boxes only"),
            (crowds > 0, f"{crowds} crowds are marked as difficult: VOC has no mark for crowds"),
            (
                bool((instances.boxes % 1).any()),
                "boxes are rounded to whole pixels",
            ),
        ]
    elif form == "yolo":
        kept = import_module(f"{__name__}.yolo").has_outlines(annotated)
        told = [
            (
                outlines > 0 and not kept,
                f"{outlines} outlines are left out: not every object is one polygon",
            ),
            (crowds > 0, f"{crowds} crowds are left out: YOLO has no mark for them"),
            (difficult > 0, f"{difficult} difficult objects are now like others"),
        ]
    elif form == "masks" and annotated.masks is None:
        told = [(len(instances) > 0, "objects of one class that touch are one in a mask")]
        return (*(text for lost, text in told if lost), *rendering_notes(annotated))
    return tuple(text for lost, text in told if lost)
