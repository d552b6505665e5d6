"""Masks: an image file whose pixels are the classes of another's.

    images/1.jpg, masks/1.png                   other words for both, and train/, val/, test/ above
    images/train/1.jpg, masks/train/1.png       or below
    train/1.png, trainannot/1.png               or as one word, train_labels, train_masks
    1.jpg, 1_mask.png                           or side by side, also with both
    masks/1_0.png, masks/1_1.png                a file for each object, put together

What the pixels mean the masks of the whole set decide, with a list of classes where one came (see
mask_class_lists.py): numbers of classes with 255 for void, black and white, or colours.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from vislab.data.annotations import VOID, Annotated
from vislab.data.formats.copies import Copies
from vislab.data.formats.mask_class_lists import class_list
from vislab.data.formats.mask_looks import paired_by_looks
from vislab.data.formats.mask_meaning import Meaning, meaning_of
from vislab.data.formats.mask_pairs import (
    IMAGE_WORDS,
    MASK_WORDS,
    Pairs,
    companions,
    paired,
    word_before,
)
from vislab.data.formats.mask_survey import Seen, survey
from vislab.data.formats.reading import Reading
from vislab.data.formats.sizes import disagreement
from vislab.data.listing import SPLITS
from vislab.data.split_lists import Stated, contradiction, split_lists
from vislab.data.splits import TRAIN, split_called, split_of
from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.runs.writing import replacing, write_text


def recognises(root: Path) -> bool:
    """Say whether most of what looks like a mask under the folder, or in the zip, has an image."""
    return _pairs(Tree(root)).most


def nearly_masks(tree: Tree) -> str | None:
    """Return what images and masks there are, as the end of a sentence; None where that is nothing.

    For a reader of class folders: neither what is read here nor what nearly is holds classes.
    """
    pairs = _pairs(tree)
    if pairs.most:
        image, masks = next(iter(pairs.masks.items()))
        return f"holds images and their masks ({image}, {masks[0]}), for recipes that segment"
    used = {mask for masks in pairs.masks.values() for mask in masks}
    folders = {PurePosixPath(member).parent for member in tree.images}
    folders |= {above for folder in folders for above in folder.parents}
    for folder in sorted(folders):
        before = word_before(folder.name.lower(), IMAGE_WORDS)
        for other in sorted(folders):
            if before is None or other.parent != folder.parent or other == folder:
                continue
            if word_before(other.name.lower(), MASK_WORDS) == before:
                free = [m for m in tree.images if m.startswith(f"{other}/") and m not in used]
                some = f" ({free[0]} belongs to none)" if free else ""
                return (
                    f"has {folder}/ and {other}/, which look like images and their masks, and "
                    f"{len(pairs.masks)} images have a mask of their name{some}; give each image "
                    "one mask of its name"
                )
    return None


def _pairs(tree: Tree) -> Pairs:
    pairs = paired(tree)
    if pairs.most:
        return pairs
    by_looks = paired_by_looks(tree)
    return by_looks if by_looks.most else pairs


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read images and masks; every mask is looked through once.

    Raises DataError when no image has one, when the class names are unreadable, and when the masks
    do not tell what their pixels mean.
    """
    tree = Tree(root)
    reading = Reading(tree)
    pairs = _pairs(tree)
    if pairs.refusal:
        raise DataError(f"{root}: {pairs.refusal}")
    if not pairs.masks:
        raise DataError(f"{root} has no image with a mask of the same name")
    for mask in pairs.lone:
        reading.issue(mask, "its image is missing", None)
    masks = _rows(reading, pairs)
    reading.measure()
    files = [file for one in masks for file in one]
    seen = survey(tree, files, reading.name)
    sound = {file: one for file, one in seen.items() if isinstance(one, Seen)}
    if not sound:
        raise DataError(f"{root}: none of its masks can be read; {files[0]}: {seen[files[0]]}")
    parts = {one[0]: one[1:] for one in masks if len(one) > 1}
    try:
        meaning = meaning_of(sound, class_list(tree), parts)
    except DataError as error:
        message = str(error)
        raise DataError(
            message if message.startswith(str(root)) else f"{root}: {message}"
        ) from error
    reading.notes += meaning.notes
    _tell_flaws(reading, masks, seen, meaning)
    return _finished(reading, meaning, masks, seed)


def _finished(
    reading: Reading, meaning: Meaning, masks: Sequence[tuple[str, ...]], seed: int
) -> Annotated:
    first = tuple(one[0] if one else None for one in masks)
    annotated = reading.finished("masks", meaning.classes, seed=seed, masks=first)
    return replace(annotated, mask_reading=meaning.reading)


def _rows(reading: Reading, pairs: Pairs) -> list[tuple[str, ...]]:
    """Add the images, of the splits that lists state where they do, and return their masks."""
    tree = reading.tree
    used = {mask for masks in pairs.masks.values() for mask in masks}
    not_images = used | set(pairs.lone) | set(pairs.left)
    folders = {PurePosixPath(image).parent for image in pairs.masks}
    images = [image for image in tree.images if image not in not_images]
    beside = companions(list(pairs.masks), images)
    if beside:
        reading.notes.append(
            f"{len(beside)} files such as {min(beside)} were not read: they belong to images "
            "that have a mask"
        )
    if pairs.left:
        taken = min(used)
        reading.notes.append(
            f"{len(pairs.left)} files such as {min(pairs.left)} were not read: masks such as "
            f"{taken} are"
        )
    images = [image for image in images if image not in beside]
    elsewhere = [image for image in images if PurePosixPath(image).parent not in folders]
    if elsewhere:
        reading.notes.append(
            f"{len(elsewhere)} images in folders without masks were not read (first: "
            f"{elsewhere[0]})"
        )
    images = [image for image in images if PurePosixPath(image).parent in folders]
    stated = _stated(tree, images)
    if stated:
        reading.lists(stated)
        said = {image: split for image in images if (split := split_of(image)) is not None}
        if what := contradiction(stated.splits, said, stated.lists[0], "the folders"):
            reading.doubt(what)
        outside = [image for image in images if image not in stated.splits]
        if outside:
            reading.notes.append(
                f"{len(outside)} images are in none of the lists and are left out (first: "
                f"{outside[0]})"
            )
        images = [image for image in images if image in stated.splits]
    masks = []
    for image in images:
        split = stated.splits[image] if stated else split_of(image)
        row = reading.image(image, split, image)
        masks.append(pairs.masks.get(image, ()))
        if not masks[-1]:
            reading.issue(image, "its mask is missing", row)
    return masks


class _Photographs(Tree):
    """A tree that knows these images alone, so that a list's stem means no mask."""

    def __init__(self, root: Path, only: Sequence[str]) -> None:
        super().__init__(root)
        self._only = tuple(only)

    @cached_property
    def images(self) -> tuple[str, ...]:
        return self._only


def _stated(tree: Tree, images: Sequence[str]) -> Stated:
    """Return the split that lists state; VOC's own for segmentation before those for detection."""
    photographs = _Photographs(tree.root, images)
    own = Stated()
    for file in sorted(tree.ending(".txt"), key=lambda file: "trainval" in file.lower()):
        path = PurePosixPath(file)
        split = TRAIN if path.stem.lower() == "trainval" else split_called(path.stem)
        if path.parent.name.lower() == "segmentation" and split is not None:
            own.add(photographs, file, split, kept=path.stem.lower() == "trainval")
    return own if own else split_lists(photographs)


def _tell_flaws(
    reading: Reading,
    masks: Sequence[tuple[str, ...]],
    seen: dict[str, Seen | str],
    meaning: Meaning,
) -> None:
    """Take note of what is wrong with single masks."""
    for row, files in enumerate(masks):
        for file in files:
            one = seen[file]
            if isinstance(one, str):
                reading.issue(file, one, row)
                continue
            size = reading.seen.get(row)
            if size is not None and (what := disagreement(size, one.size, "the mask")):
                reading.issue(file, what, row)
            try:
                classes = one.classes(meaning.reading).tolist()
            except DataError as error:
                reading.issue(file, str(error), row)
                continue
            beyond = [kind for kind in classes if meaning.known <= kind != VOID]
            if beyond:
                some = ", ".join(map(str, beyond[:5])) + (", ..." if len(beyond) > 5 else "")
                what = f"the mask holds a class beyond the {meaning.known} that are known: {some}"
                reading.issue(file, what, row)


def write(annotated: Annotated, into: Path) -> None:
    """Write `images/SPLIT`, `masks/SPLIT` and `classes.txt`, which begins with the background.

    Where a mask holds 255, `classes.csv` says that it is void.
    """
    from vislab.data.mask_rendering import classes_of_masks, mask_of

    copies = Copies(annotated)
    void = False
    for row in range(len(annotated)):
        split = SPLITS[annotated.splits[row]]
        copies.copy(row, into / "images" / split)
        folder = into / "masks" / split
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"{copies.stem(row)}.png") as file:
            mask = mask_of(annotated, row)
            void |= bool((mask == VOID).any())
            Image.fromarray(mask).save(file, format="PNG", optimize=True)
    names = classes_of_masks(annotated)
    write_text(into / "classes.txt", "".join(f"{name}\n" for name in names))
    if void:
        rows = [("name", "value"), *zip(names, range(len(names)), strict=True), ("void", VOID)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_text(into / "classes.csv", text.getvalue())
