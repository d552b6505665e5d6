"""Lists that state a split: train.txt, val.txt and test.txt, an image a line."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from vislab.data.listing import SPLITS
from vislab.data.splits import TRAIN, split_called
from vislab.data.tree import Tree

LOOKED_AT = 50  # lines that tell whether a text lists images


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
            elif kept:
                self.splits.setdefault(found[0], split)
            elif self.splits.setdefault(found[0], split) != split:
                self.twice.append((where, found[0]))

    def notes(self) -> list[str]:
        """Return sentences on what was read and what the lists say that cannot be."""
        told = [f"the split is that of {', '.join(self.lists)}"]
        if self.missing:
            where, name = self.missing[0]
            told.append(f"{len(self.missing)} lines name no image (first: {where}: {name})")
        if self.twice:
            where, image = self.twice[0]
            told.append(
                f"{len(self.twice)} images are in two splits by the lists (first: {where}: "
                f"{image}, which is in {SPLITS[self.splits[image]]} already)"
            )
        return told


def split_lists(tree: Tree) -> Stated:
    """Return the split that lists beside the images state; a false one where there are none."""
    stated = Stated()
    files = [file for file in tree.ending(".txt", ".lst") if _split_of(file) is not None]
    files = [file for file in files if _lists_images(tree, file)]
    for file in sorted(files, key=_is_both):
        split = _split_of(file)
        assert split is not None
        stated.add(tree, file, split, kept=_is_both(file))
    return stated


def entries(tree: Tree, file: str) -> list[tuple[int, str]]:
    """Return the lines of a list that hold something, with their numbers."""
    lines = tree.text(file).split("\n")
    return [(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]


def _split_of(file: str) -> int | None:
    stem = PurePosixPath(file).stem
    return TRAIN if _is_both(file) else split_called(stem)


def _is_both(file: str) -> bool:
    return PurePosixPath(file).stem.lower() == "trainval"


def _lists_images(tree: Tree, file: str) -> bool:
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
