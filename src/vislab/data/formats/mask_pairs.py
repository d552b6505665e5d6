"""Which files are masks, and of which images: by the names of folders and files.

A mask has places where its image may be, the likeliest first. Several masks of one image are
objects of it where they differ by a number alone; otherwise they are kinds, of which one is read.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from vislab.data.tree import Tree

IMAGE_WORDS = (
    "images", "image", "imgs", "img", "pictures", "picture", "photos", "photo", "input", "inputs",
    "original", "originals", "jpegimages", "leftimg8bit", "camerargb", "rgb", "imagestr",
    "imagests", "img_dir", "image_dir",
)  # fmt: skip
MASK_WORDS = (
    "masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot", "gt", "gts",
    "groundtruth", "ground_truth", "groundtruths", "ground_truths", "ground truth",
    "segmentations", "segmentation", "seg", "segs", "manual", "gtfine", "gtcoarse", "camseg",
    "cameraseg", "segmentationclass", "segmentationobject", "semantic", "semantic_rgb", "instance",
    "labelstr", "labelsts", "ann_dir", "mask_dir",
)  # fmt: skip
KINDS = (  # of the masks of one image, the first is read
    ("labelids",), ("labeltrainids", "trainids"),
    ("", "segmentationclass", "semantic", "mask", "gtfine"),
    ("gtcoarse",), ("color", "colour", "rgb", "semantic_rgb"),
    ("instanceids", "instancetrainids", "instance", "segmentationobject"),
)  # fmt: skip
ENDING = re.compile(
    r"[_-](?:(?:gtfine|gtcoarse)[_-])?(?P<kind>labelids|labeltrainids|trainids|instanceids"
    r"|instancetrainids|colou?r|masks?|segmentation|seg|labels?|gt|groundtruth|ground[_-]truth"
    r"|annotation|annot|manual\d?|1stho|2ndho|l|p|lesion)(?P<number>[_-]?\(?\d+\)?)?$"
)  # fmt: skip
LETTERS = ("l", "p", "color", "colour", "lesion")  # say too little outside a folder of masks
STARTING = re.compile(r"^(?:mask|label|gt|seg|segmentation|annotation)[_-]?(?=.)")
IMAGE_ENDING = re.compile(
    r"[_-](?:leftimg8bit|image|img|sat|rgb|orig|original|input|training|test|photo)$"
)
IMAGE_STARTING = re.compile(r"^(?:image|img|photo|picture)[_-]?(?=.)")
NUMBERED = re.compile(r"[_-]\(?\d+\)?$")

Place = tuple[str, ...]  # where an image and its mask would both be, were it not for the words


@dataclass
class Pairs:
    """The masks of each image that has some, and what was found beside them."""

    masks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lone: list[str] = field(default_factory=list)  # among masks, without an image
    left: list[str] = field(default_factory=list)  # masks of a kind that is not read
    refusal: str = ""  # why one of several kinds cannot be chosen

    @property
    def most(self) -> bool:
        """Whether most of what looks like a mask has an image."""
        return len(self.masks) > len(self.lone)


@dataclass(frozen=True)
class Found:
    """A mask of an image: the file, its folder, and what its name says it is."""

    file: str
    folder: str
    kind: str

    def rank(self) -> int:
        """Return how far behind the kind to read this one is."""
        words = {self.kind, PurePosixPath(self.folder).name.lower()}
        words |= {part.lower() for part in PurePosixPath(self.folder).parts}
        named = next((n for n, kinds in enumerate(KINDS) if self.kind and self.kind in kinds), None)
        if named is not None and named != 2:
            return named
        return next((n for n, kinds in enumerate(KINDS) if n != 2 and words & set(kinds)), 2)


def paired(tree: Tree) -> Pairs:
    """Pair images with masks by their names."""
    places: dict[Place, list[str]] = defaultdict(list)
    for reduced in (False, True):
        for member in tree.images:
            for place in image_places(member, reduced=reduced):
                if member not in places[place]:
                    places[place].append(member)
    found: dict[str, list[Found]] = defaultdict(list)
    image_of: dict[str, str] = {}
    for member in tree.images:
        for place, kind in mask_places(member):
            images = [image for image in places.get(place, ()) if image != member]
            if images:
                image_of[member] = images[0]
                found[images[0]].append(Found(member, _folder(member, kind), kind))
                break
    for mask in [mask for mask in image_of if mask in found]:  # no image of its own
        for other in found.pop(mask):
            image_of.pop(other.file, None)
    pairs = Pairs()
    _add_objects(tree, found, image_of, places)
    for image, masks in found.items():
        _choose(pairs, image, masks)
    used = {mask for masks in pairs.masks.values() for mask in masks}
    among = {PurePosixPath(mask).parent for mask in used}
    known = used | set(pairs.left) | set(pairs.masks)
    pairs.lone = [
        member
        for member in tree.images
        if PurePosixPath(member).parent in among
        and member not in known
        and any(len(place) == 4 or kind for place, kind in mask_places(member))
    ]
    return pairs


def _choose(pairs: Pairs, image: str, masks: list[Found]) -> None:
    """Take the masks of the kind that comes first; of two that come first, say so."""
    best = min(mask.rank() for mask in masks)
    first = [mask for mask in masks if mask.rank() == best]
    families = {(mask.folder, mask.kind): mask.file for mask in reversed(first)}
    if len(families) > 1:
        one, other, *_ = sorted(families.values())
        pairs.refusal = pairs.refusal or (
            f"{image} has two masks of different kinds, {one} and {other}; keep the kind that is "
            "to be learned and move the other out of the folder"
        )
    pairs.masks[image] = tuple(mask.file for mask in first)
    pairs.left += [mask.file for mask in masks if mask.rank() != best]


def _folder(member: str, kind: str) -> str:
    """Return the folder that a mask's kind lies in; the one of an image's objects is no kind."""
    path = PurePosixPath(member).parent
    return str(path.parent if kind == "each" else path)


def _add_objects(
    tree: Tree,
    found: dict[str, list[Found]],
    image_of: dict[str, str],
    places: dict[Place, list[str]],
) -> None:
    """Add masks with one object each: `masks/1_2.png`, or all in the folder of one image."""
    free = [m for m in tree.images if m not in image_of and m not in found]
    numbered: dict[str, list[Found]] = defaultdict(list)
    for member in free:
        stem = PurePosixPath(member).stem.lower()
        if not NUMBERED.search(stem):
            continue
        for place, _ in mask_places(member):
            short = (*place[:-1], NUMBERED.sub("", place[-1]))
            images = [i for i in places.get(short, ()) if i != member and i not in image_of]
            if len(place) == 4 and images and images[0] not in found:
                numbered[images[0]].append(Found(member, _folder(member, ""), ""))
                break
    if any(len(masks) > 1 for masks in numbered.values()):
        _add(found, image_of, numbered)
    alone: dict[str, list[str]] = defaultdict(list)  # above, then the image or images
    theirs: dict[str, list[str]] = defaultdict(list)
    for member in tree.images:
        if member in image_of:
            continue
        path = PurePosixPath(member)
        above, name = str(path.parent.parent), path.parent.name.lower()
        if word_before(name, IMAGE_WORDS) == "":
            alone[above].append(member)
        elif word_before(name, MASK_WORDS) == "":
            theirs[above].append(member)
    single = {
        images[0]: [Found(mask, _folder(mask, ""), "") for mask in theirs[above]]
        for above, images in alone.items()
        if len(images) == 1 and theirs.get(above) and images[0] not in found
    }
    if len(single) > 1:
        _add(found, image_of, single)


def _add(
    found: dict[str, list[Found]], image_of: dict[str, str], more: dict[str, list[Found]]
) -> None:
    for image, masks in more.items():
        found[image] = masks
        image_of.update((mask.file, image) for mask in masks)


def mask_places(member: str) -> Iterator[tuple[Place, str]]:
    """Yield where the image of a mask may be, and what the mask's name says it is."""
    path = PurePosixPath(member)
    stem = path.stem.lower()
    stems = {stem: ""}
    if ending := ENDING.search(stem):
        stems.setdefault(stem[: ending.start()], ending["kind"])
    if starting := STARTING.search(stem):
        stems.setdefault(stem[starting.end() :], "mask")
    folders = [folder.lower() for folder in path.parts[:-1]]
    for index in range(len(folders) - 1, -1, -1):
        word = word_before(folders[index], MASK_WORDS)
        if word is None:
            continue
        above, below = "/".join(folders[:index]), folders[index + 1 :]
        for short, kind in stems.items():
            yield (above, word, "/".join(below), short), kind
        if below:
            yield (above, word, "/".join(below[:-1]), below[-1]), "each"
    for short, kind in stems.items():
        if kind and kind not in LETTERS:
            yield ("/".join(folders), short), kind


def image_places(member: str, *, reduced: bool) -> Iterator[Place]:
    """Yield the places of an image, by its name as it is, or without "image" and the like."""
    path = PurePosixPath(member)
    stems = [path.stem.lower()]
    if reduced:
        short = IMAGE_ENDING.sub("", stems[0])
        stems = [one for one in (short, IMAGE_STARTING.sub("", short)) if one != stems[0]]
    folders = [folder.lower() for folder in path.parts[:-1]]
    for stem in stems:
        for index in range(len(folders) - 1, -1, -1):
            above, below = "/".join(folders[:index]), "/".join(folders[index + 1 :])
            word = word_before(folders[index], IMAGE_WORDS)
            if word is not None:
                yield (above, word, below, stem)
            yield (above, folders[index], below, stem)
        yield ("/".join(folders), stem)


def word_before(folder: str, words: Sequence[str]) -> str | None:
    """Return what stands before one of the words in a folder's name: "train" of "train_masks".

    A number is no part of the name: "image_2", "manual1", "1st_manual".
    """
    folder = re.sub(r"^(?:1st|2nd)[_ -]", "", folder)
    for name in dict.fromkeys((folder, re.sub(r"[_ -]?\d$", "", folder))):
        for word in sorted(words, key=len, reverse=True):
            if name == word:
                return ""
            if name.endswith(word) and (name[-len(word) - 1] in "_- " or word == "annot"):
                return name[: -len(word)].rstrip("_- ")
    return None


def companions(images: Sequence[str], others: Sequence[str]) -> set[str]:
    """Return what lies beside images that have a mask, such as superpixels: 1.jpg, 1_name.png.

    That is so where at least half of a folder's images have a companion of that name.
    """
    have = {PurePosixPath(image).with_suffix("") for image in images}
    paired_images = set(images)
    folders = Counter(place.parent for place in have)
    named = defaultdict(list)
    for image in others:
        place = PurePosixPath(image).with_suffix("")
        word = re.search(r"(?<=.)[_-][a-z]+$", place.name.lower())
        if image in paired_images or word is None:
            continue
        if place.with_name(place.name[: word.start()]) in have:
            named[place.parent, word.group()].append(image)
    many = (them for (folder, _), them in named.items() if 2 * len(them) >= folders[folder])
    return {image for them in many for image in them}
