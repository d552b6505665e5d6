"""Which text file labels which image, by their places and names.

Exactly equal names come first, so that A1.txt and a1.txt keep apart. Then names that differ in the
case or the form of letters, folders that mean the same (images/train, labels/train_labels), and
labels of images that lie in folders of a split though they themselves do not; each where nothing
else fits.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from vislab.data.splits import split_in
from vislab.data.tree import Tree, folded

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "pictures", "jpegimages")
LABEL_FOLDERS = ("labels", "label")
FILLING = frozenset({*IMAGE_FOLDERS, *LABEL_FOLDERS, "annotations", "annotation", "txt", "yolo"})

Keys = Callable[[str], Iterable[Hashable]]


@dataclass
class Pairs:
    """The label file of each image that has one."""

    label_of: dict[str, str] = field(default_factory=dict)
    shared: list[tuple[str, str, str]] = field(default_factory=list)  # a label; two images
    double: list[tuple[str, str, str]] = field(default_factory=list)  # an image; two labels
    lone: list[str] = field(default_factory=list)  # labels without an image

    def doubts(self) -> list[str]:
        """Return sentences on what fits twice."""
        told = []
        if self.shared:
            label, one, other = self.shared[0]
            told.append(
                f"{len(self.shared)} label files fit two images each (first: {label} fits {one} "
                f"and {other}); move the image that it is not about elsewhere, or rename it"
            )
        if self.double:
            image, one, other = self.double[0]
            told.append(
                f"{len(self.double)} images have two label files that differ (first: {image} has "
                f"{one} and {other}); delete the one that is wrong"
            )
        return told


def paired(tree: Tree, is_list: Callable[[str], bool]) -> Pairs:
    """Return the pairs among a tree's images and texts; what `is_list` says is no label."""
    texts = [file for file in tree.ending(".txt") if not is_list(file)]
    pairs = Pairs()
    in_folder = [file for file in texts if label_place(file) is not None]
    beside = [file for file in texts if label_place(file) is None]
    exact = [file for file in in_folder if _exact_place(file) is not None]
    _match(tree, pairs, exact, _image_places, _label_places)
    _match(tree, pairs, beside, _own_place, _own_place)
    _match(tree, pairs, exact, _folded(_image_places), _folded(_label_places))
    _match(tree, pairs, beside, _folded(_own_place), _folded(_own_place))
    _match(tree, pairs, in_folder, _meanings, _meanings)
    used = set(pairs.label_of.values())
    flat = [file for file in in_folder if not _meaning(file)]
    if not used:
        _match(tree, pairs, flat, _stems, _stems)
    used = set(pairs.label_of.values())
    folders = {PurePosixPath(file).parent for file in used}
    pairs.lone = [
        file
        for file in in_folder
        if file not in used
        and (_exact_place(file) is not None or PurePosixPath(file).parent in folders)
    ]  # fmt: skip
    return pairs


def label_place(file: str) -> int | None:
    """Return which folder of the path is one of labels, such as "train_labels", or None."""
    folders = PurePosixPath(file).parts[:-1]
    places = [n for n, name in enumerate(folders) if not _words(name).isdisjoint(LABEL_FOLDERS)]
    return places[-1] if places else None


def _exact_place(file: str) -> int | None:
    folders = PurePosixPath(file).parts[:-1]
    places = [place for place, name in enumerate(folders) if name.lower() in LABEL_FOLDERS]
    return places[-1] if places else None


def _match(tree: Tree, pairs: Pairs, files: Sequence[str], of_image: Keys, of_label: Keys) -> None:
    """Pair images and files that have none yet, where a key of the image is that of one file."""
    used = set(pairs.label_of.values())
    labels: dict[Hashable, list[str]] = defaultdict(list)
    for file in files:
        if file not in used:
            for key in of_label(file):
                labels[key].append(file)
    if not labels:
        return
    users: dict[str, str] = {}
    for image in tree.images:
        if image in pairs.label_of:
            continue
        key = next((key for key in of_image(image) if key in labels), None)
        if key is None:
            continue
        label, *others = labels[key]
        if others and of_image is not _image_places:
            continue  # which of them is unclear; they are told as labels without an image
        differing = (o for o in others if tree.read(o) != tree.read(label))
        if (other := next(differing, None)) is not None:
            pairs.double.append((image, label, other))
        if label in users:
            pairs.shared.append((label, users[label], image))
        users.setdefault(label, image)
        pairs.label_of[image] = label


def _image_places(image: str) -> list[Hashable]:
    """Return what stands above and below each folder of images, and the name."""
    path = PurePosixPath(image)
    folders = path.parts[:-1]
    keys: list[Hashable] = [
        ("/".join(folders[:place]), "/".join(folders[place + 1 :]), path.stem)
        for place, name in reversed(list(enumerate(folders)))
        if name.lower() in IMAGE_FOLDERS
    ]
    return [*keys, ("", "/".join(folders), path.stem)]


def _label_places(file: str) -> list[Hashable]:
    path = PurePosixPath(file)
    place = _exact_place(file)
    assert place is not None
    return [("/".join(path.parts[:place]), "/".join(path.parts[place + 1 : -1]), path.stem)]


def _own_place(file: str) -> list[Hashable]:
    path = PurePosixPath(file)
    return [(path.parent.as_posix(), path.stem)]


def _folded(keys: Callable[[str], Sequence[Hashable]]) -> Keys:
    def of(file: str) -> list[Hashable]:
        return [(*key[:-1], folded(key[-1])) for key in keys(file) if isinstance(key, tuple)]

    return of


def _meanings(file: str) -> list[Hashable]:
    """Return what the folders mean, less what only says that here are images or labels."""
    return [(_meaning(file), _stem(file))]


def _meaning(file: str) -> tuple[Hashable, ...]:
    found: list[Hashable] = []
    for name in PurePosixPath(file).parts[:-1]:
        split = split_in(name)
        rest = " ".join(sorted(_words(name) - FILLING))
        if split is not None or rest:
            found.append(rest if split is None else split)
    return tuple(found)


def _stems(file: str) -> list[Hashable]:
    return [_stem(file)]


def _stem(file: str) -> str:
    return PurePosixPath(file).stem


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+|\d+", name.lower()))
