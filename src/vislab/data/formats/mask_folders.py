"""Masks: an image file whose pixels are the classes of another's.

    images/1.jpg, masks/1.png                   other words for both, and train/, val/, test/ above
    images/train/1.jpg, masks/train/1.png       or below
    train/1.png, trainannot/1.png               or as one word, train_labels, train_masks
    1.jpg, 1_mask.png                           or side by side, also with both

In an indexed mask 0 is the background, 255 is void; in a binary one 0 is the background and 255, or
1, the foreground. Which it is, the masks of the whole set decide. Class names come from
`classes.txt` or a `*.names`, where a first name like "background" stands for 0.
"""

import os
import re
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int
from PIL import Image

from vislab.data.annotations import VOID, Annotated
from vislab.data.formats.class_names import names_listed
from vislab.data.formats.copies import Copies
from vislab.data.formats.mask_files import BINARY, MASK_FILES, is_binary, read_mask
from vislab.data.formats.reading import Reading
from vislab.data.formats.sizes import disagreement
from vislab.data.listing import SPLITS
from vislab.data.splits import split_of
from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.progress import track
from vislab.runs.writing import replacing, write_text

NOTHING = ("background", "_background_", "void", "unlabeled", "unlabelled", "none", "other")

IMAGE_WORDS = ("images", "image", "imgs", "img", "pictures", "picture", "photos", "input")
MASK_WORDS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "annot", "gt", "groundtruth",
    "ground_truth", "segmentations", "segmentation", "manual",
)  # fmt: skip
SUFFIX = re.compile(r"[_-](masks?|segmentation|seg|labels?|gt|groundtruth|annotation|manual)$")

Place = tuple[str, ...]  # where an image and its mask would both be, were it not for the words


def recognises(root: Path) -> bool:
    """Say whether most of what looks like a mask under the folder, or in the zip, has an image."""
    pairs, lone = _paired(Tree(root))
    return len(pairs) > len(lone)


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read images and masks; every mask is looked through once.

    Raises DataError when no image has one, or the class names are unreadable.
    """
    tree = Tree(root)
    reading = Reading(tree)
    pairs, lone = _paired(tree)
    if not pairs:
        raise DataError(f"{root} has no image with a mask of the same name")
    for mask in lone:
        reading.issue(mask, "its image is missing", None)
    all_masks = {*pairs.values(), *lone}
    folders = {PurePosixPath(image).parent for image in pairs}
    others = _companions(pairs, [p for p in tree.images if p not in all_masks])
    if others:
        reading.notes.append(
            f"{len(others)} files such as {min(others)} were not read: they belong to images "
            "that have a mask"
        )
    passed_over = all_masks | others
    masks: list[str | None] = []
    for image in tree.images:
        if PurePosixPath(image).parent not in folders or image in passed_over:
            continue
        row = reading.image(image, split_of(image), image)
        masks.append(pairs.get(image))
        if masks[-1] is None:
            reading.issue(image, "its mask is missing", row)
    reading.measure()
    names = names_listed(tree)
    if names and names[0].lower() not in NOTHING:
        names = (BINARY[0], *names)
    several = names is not None and len(names) > 2
    binary = not several and is_binary([root / mask for mask in pairs.values()])
    known = 2 if binary else len(names) if names else VOID
    highest = _look_through(reading, masks, known, binary)
    if binary and (not names or len(names) != 2):
        names = BINARY
    elif not names:
        names = (BINARY[0], *(f"class {kind}" for kind in range(1, highest + 1)))
        reading.notes.append("no file names the classes; they are called by their numbers")
    return reading.finished("masks", names, seed=seed, masks=tuple(masks), binary_masks=binary)


def _look_through(reading: Reading, masks: list[str | None], known: int, binary: bool) -> int:
    """Gather what is wrong with the masks and return the highest class."""
    rows = [row for row, mask in enumerate(masks) if mask is not None]
    root = reading.tree.root

    def look(row: int) -> tuple[tuple[int, int], Int[np.ndarray, " v"]] | str:
        try:
            values = read_mask(root / str(masks[row]), binary=binary)
        except DataError as error:
            return str(error)
        return (values.shape[1], values.shape[0]), np.flatnonzero(
            np.bincount(values.reshape(-1), minlength=256)
        )

    highest = 0
    with (
        track(f"reading {reading.name}", total=len(rows), unit="masks") as advance,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for row, seen in zip(rows, pool.map(look, rows), strict=True):
            advance(1)
            where = str(masks[row])
            if isinstance(seen, str):
                reading.issue(where, seen, row)
                continue
            size, values = seen
            if row in reading.seen and (what := disagreement(reading.seen[row], size, "the mask")):
                reading.issue(where, what, row)
            beyond = values[(values >= known) & (values != VOID)]
            if len(beyond):
                some = ", ".join(str(value) for value in beyond[:5])
                more = ", ..." if len(beyond) > 5 else ""
                what = f"the mask holds a class beyond the {known} that are known: {some}{more}"
                reading.issue(where, what, row)
            highest = max(highest, *values[values != VOID].tolist(), 0)
    return highest


def _companions(pairs: dict[str, str], images: list[str]) -> set[str]:
    """Return what lies beside images that have a mask, such as superpixels: 1.jpg, 1_name.png.

    That is so where at least half of a folder's images have a companion of that name.
    """
    have = {PurePosixPath(image).with_suffix("") for image in pairs}
    folders = Counter(place.parent for place in have)
    named = defaultdict(list)
    for image in images:
        place = PurePosixPath(image).with_suffix("")
        word = re.search(r"(?<=.)[_-][a-z]+$", place.name.lower())
        if word and image not in pairs and place.with_name(place.name[: word.start()]) in have:
            named[place.parent, word.group()].append(image)
    many = (them for (folder, _), them in named.items() if 2 * len(them) >= folders[folder])
    return {image for them in many for image in them}


def _paired(tree: Tree) -> tuple[dict[str, str], list[str]]:
    """Return the mask of each image that has one, and what lies among masks without an image."""
    masks: dict[Place, str] = {}
    for member in tree.images:
        if member.lower().endswith(MASK_FILES):
            for place in _mask_places(member):
                masks.setdefault(place, member)
    pairs: dict[str, str] = {}
    used: set[str] = set()
    for member in tree.images:
        for place in _image_places(member):
            mask = masks.get(place)
            if mask is not None and mask != member and mask not in used:
                pairs[member] = mask
                used.add(mask)
                break
    for mask in used & set(pairs):  # what is a mask is no image of its own
        used.discard(pairs.pop(mask))
    among = {PurePosixPath(mask).parent for mask in used}
    lone = [
        member
        for member in tree.images
        if PurePosixPath(member).parent in among
        and member not in used
        and member not in pairs
        and member.lower().endswith(MASK_FILES)
        and any(len(place) == 4 or SUFFIX.search(place[-1]) for place in _mask_places(member))
    ]
    return pairs, lone


def _mask_places(member: str) -> list[Place]:
    path = PurePosixPath(member)
    stem = path.stem.lower()
    short = SUFFIX.sub("", stem)
    folders = [folder.lower() for folder in path.parts[:-1]]
    places: list[Place] = []
    for index in range(len(folders) - 1, -1, -1):
        word = _word(folders[index], MASK_WORDS)
        if word is not None:
            above, below = "/".join(folders[:index]), "/".join(folders[index + 1 :])
            places += [(above, word, below, name) for name in dict.fromkeys((stem, short))]
    if short != stem:
        places.append(("/".join(folders), short))
    return places


def _image_places(member: str) -> list[Place]:
    path = PurePosixPath(member)
    stem = path.stem.lower()
    folders = [folder.lower() for folder in path.parts[:-1]]
    places: list[Place] = []
    for index in range(len(folders) - 1, -1, -1):
        above, below = "/".join(folders[:index]), "/".join(folders[index + 1 :])
        word = _word(folders[index], IMAGE_WORDS)
        if word is not None:
            places.append((above, word, below, stem))
        places.append((above, folders[index], below, stem))
    places.append(("/".join(folders), stem))
    return places


def _word(folder: str, words: tuple[str, ...]) -> str | None:
    """Return what stands before one of the words in a folder's name: "train" of "train_masks"."""
    for word in sorted(words, key=len, reverse=True):
        if folder == word:
            return ""
        if folder.endswith(word) and (folder[-len(word) - 1] in "_- " or word == "annot"):
            return folder[: -len(word)].rstrip("_- ")
    return None


def write(annotated: Annotated, into: Path) -> None:
    """Write `images/SPLIT`, `masks/SPLIT` and `classes.txt`, which begins with the background."""
    from vislab.data.mask_rendering import classes_of_masks, mask_of

    copies = Copies(annotated)
    for row in range(len(annotated)):
        split = SPLITS[annotated.splits[row]]
        copies.copy(row, into / "images" / split)
        folder = into / "masks" / split
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"{copies.stem(row)}.png") as file:
            Image.fromarray(mask_of(annotated, row)).save(file, format="PNG", optimize=True)
    names = classes_of_masks(annotated)
    write_text(into / "classes.txt", "".join(f"{name}\n" for name in names))
