"""Lists that state a split: train.txt, val.txt and test.txt, an image a line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from vislab.data.listing import SPLITS
from vislab.data.splits import TEST, TRAIN, VAL, split_called, split_in, split_of
from vislab.data.tree import Tree

LOOKED_AT = 50  # lines that tell whether a text lists images
BOTH = re.compile(r"(^|[^a-z])trainval([^a-z]|$)")


@dataclass
class Stated:
    """Which split each image is in, by the lists; and where they name what is not there."""

    splits: dict[str, int] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)  # the list's line; what it names
    twice: list[tuple[str, str]] = field(default_factory=list)  # the list's line; the image

    def __bool__(self) -> bool:
        return len(set(self.splits.values())) > 1

    def add(self, tree: Tree, file: str, split: int, *, kept: bool = False) -> None:
        """Read one list; with `kept` it does not change what another has said."""
        self.lists.append(file)
        beside = PurePosixPath(file).parent.as_posix()
        lines = entries(tree, file)
        cut = tree.cut_of([name for _, name in lines], beside=beside)
        for line, name in lines:
            found = _meant(tree, name, beside, cut)
            where = f"{file}, line {line}"
            if len(found) != 1:
                self.missing.append((where, name))
            else:
                self.put(found[0], split, where, kept=kept)

    def put(self, image: str, split: int, where: str, *, kept: bool = False) -> None:
        """Take note of one image's split, as `where` states it."""
        if self.splits.setdefault(image, split) != split and not kept:
            self.twice.append((where, image))

    def include(self, other: "Stated") -> None:
        """Add what another statement says of other images."""
        self.splits = other.splits | self.splits
        self.lists += other.lists
        self.missing += other.missing
        self.twice += other.twice

    def notes(self) -> list[str]:
        """Return sentences on what was read and what the lists say that cannot be."""
        told = [self.source()]
        if self.missing:
            where, name = self.missing[0]
            told.append(f"{len(self.missing)} lines name no image (first: {where}: {name})")
        if self.twice:
            told.append(self.overlap())
        return told

    def source(self) -> str:
        """Say where the split stands."""
        return f"the split is that of {', '.join(self.lists)}"

    def overlap(self) -> str:
        """Say which images are in two splits; there must be one."""
        where, image = self.twice[0]
        return (
            f"{len(self.twice)} images are in two splits by the lists (first: {where}: "
            f"{image}, which is in {SPLITS[self.splits[image]]} already)"
        )


def split_lists(tree: Tree) -> Stated:
    """Return the split that lists beside the images state; a false one where there are none."""
    stated = Stated()
    files = [file for file in tree.ending(".txt", ".lst") if _split_of(tree, file) is not None]
    files = [file for file in files if lists_images(tree, file)]
    for file in sorted(files, key=_is_both):
        split = _split_of(tree, file)
        assert split is not None
        stated.add(tree, file, split, kept=_is_both(file))
    return stated


def folders_say(images: Iterable[str]) -> dict[str, int]:
    """Return the splits that folders' names state; one called trainval leaves it open which."""
    said = {image: split_of(image) for image in images if not BOTH.search(image.lower())}
    return {image: split for image, split in said.items() if split is not None}


def contradiction(
    stated: Mapping[str, int], said: Mapping[str, int], who: str, other: str
) -> str | None:
    """Say in which split an image is by each of two statements that disagree, or return None.

    The words val and test mean the same where a statement knows only one of the two. A statement
    that has all images in one split is none.
    """
    both = [image for image in stated if image in said]
    if len({said[image] for image in both}) < 2 or len({stated[image] for image in both}) < 2:
        return None
    for one in (stated, said):
        if not {VAL, TEST} <= set(one.values()):
            stated, said = _without_val(stated), _without_val(said)
            break
    wrong = [image for image in both if stated[image] != said[image]]
    if not wrong:
        return None
    first = wrong[0]
    return (
        f"{who} and {other} disagree on the split of {len(wrong)} images (first: {first}: "
        f"{SPLITS[stated[first]]} and {SPLITS[said[first]]}); make them say the same"
    )


def _without_val(said: Mapping[str, int]) -> dict[str, int]:
    return {image: TEST if split == VAL else split for image, split in said.items()}


def entries(tree: Tree, file: str) -> list[tuple[int, str]]:
    """Return the lines of a list that hold something, with their numbers."""
    lines = tree.text(file).split("\n")
    return [(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]


def _split_of(tree: Tree, file: str) -> int | None:
    stem = PurePosixPath(file).stem
    if _is_both(file):
        return TRAIN
    if (split := split_called(stem)) is not None:
        return split
    split = split_in(stem)  # train_list.txt, and no labels of train_1.jpg
    return None if split is None or tree.with_stem(stem) else split


def _is_both(file: str) -> bool:
    return PurePosixPath(file).stem.lower() == "trainval"


def lists_images(tree: Tree, file: str) -> bool:
    """Say whether most lines of a text name images."""
    if tree.with_stem(PurePosixPath(file).stem) and "label" in file.lower():
        return False  # the labels of an image that is called train.jpg
    lines = entries(tree, file)[:LOOKED_AT]
    beside = PurePosixPath(file).parent.as_posix()
    cut = tree.cut_of([name for _, name in lines], beside=beside)
    found = sum(len(_meant(tree, name, beside, cut)) == 1 for _, name in lines)
    return bool(lines) and 2 * found >= len(lines)


def _meant(tree: Tree, name: str, beside: str, cut: int) -> list[str]:
    """Return the images of a line: of all of it, or of its first word, as VOC's lists have it."""
    return tree.meant(name, beside=beside, cut=cut) or tree.meant(
        name.split()[0], beside=beside, cut=cut
    )
