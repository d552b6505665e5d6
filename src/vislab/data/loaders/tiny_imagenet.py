"""Tiny ImageNet (Stanford CS231n 2015): 200 classes, 64×64, read from its zip or unpacked.

`train/NUMBER/images/*.JPEG`, and `val/images/*.JPEG` with `val/val_annotations.txt`. The images
of `test/` have no labels; the official validation images are the test split here, so keep them out
of every choice and validate on a part of the training images.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from vislab.data.listing import SPLITS, Listing
from vislab.data.loaders.synsets import class_names
from vislab.data.loaders.tree import IMAGES, Tree
from vislab.errors import DataError

ARCHIVE = "tiny-imagenet-200.zip"
NOTE = "the official validation images are the test split: the official test has no labels"


def listing(folder: Path) -> Listing:
    """List both splits. Raises DataError when the lists and the images do not fit."""
    tree = Tree(_where(folder))
    tops = [name.removesuffix("wnids.txt") for name in tree.names if name.endswith("wnids.txt")]
    if not tops:
        raise DataError(f"{tree.source} holds no wnids.txt, the list of classes")
    top = tops[0]
    numbers = tree.text(f"{top}wnids.txt").split()
    code = {number: label for label, number in enumerate(numbers)}
    members: list[str] = []
    labels: list[int] = []
    for name in tree.names:
        parts = PurePosixPath(name.removeprefix(top)).parts
        if len(parts) == 4 and parts[0] == "train" and name.lower().endswith(IMAGES):
            if parts[1] not in code:
                raise DataError(f"{tree.source} trains on class {parts[1]}, not in wnids.txt")
            members.append(name)
            labels.append(code[parts[1]])
    trained = len(members)
    there = set(tree.names)
    for line in tree.text(f"{top}val/val_annotations.txt").splitlines():
        name, _, rest = line.partition("\t")
        number, path = rest.split("\t")[0], f"{top}val/images/{name}"
        if number not in code or path not in there:
            raise DataError(
                f"val_annotations.txt of {tree.source}: no such class or file: {line!r}"
            )
        members.append(path)
        labels.append(code[number])
    if not trained:
        raise DataError(f"{tree.source} holds no training images")
    return Listing(
        name="tiny-imagenet",
        classes=class_names(numbers, tree.text(f"{top}words.txt").splitlines()),
        sources=(tree.source,),
        source_of=np.zeros(len(members), np.uint8),
        members=tuple(members),
        labels=np.array(labels, np.int64),
        splits=np.repeat(
            np.array([SPLITS.index("train"), SPLITS.index("test")], np.uint8),
            [trained, len(members) - trained],
        ),
        official=True,
        notes=(NOTE,),
    )


def _where(folder: Path) -> Path:
    for path in (folder, folder / "tiny-imagenet-200"):
        if (path / "wnids.txt").is_file():
            return path
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    raise DataError(f"{folder} holds neither {ARCHIVE} nor what comes out of it")
