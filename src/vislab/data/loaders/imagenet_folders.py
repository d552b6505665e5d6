"""ImageNet 2012 as class folders: `train/NUMBER/*.JPEG` and `val/NUMBER/*.JPEG`.

The labels of the official test images were never published; the official validation images are
the test split here, as in nearly every paper. Class names are read from `LOC_synset_mapping.txt`
(Kaggle) or `words.txt` (devkit) if one is there, else the WordNet numbers stand for them.
"""

import os
from pathlib import Path

import numpy as np

from vislab.data.listing import SPLITS, Listing
from vislab.data.loaders.synsets import class_names
from vislab.data.loaders.tree import IMAGES, text
from vislab.errors import DataError

PLACES = (".", "ILSVRC/Data/CLS-LOC")  # the second is Kaggle's
NAMES = ("LOC_synset_mapping.txt", "words.txt")
NOTE = "the official validation images are the test split: the official test has no labels"


def listing(folder: Path) -> Listing:
    """List both splits; some classes may lack. Raises DataError with the layout wanted."""
    place = next((folder / p for p in PLACES if (folder / p / "train").is_dir()), None)
    if place is None:
        raise DataError(f"{folder} should hold train/n01440764/*.JPEG and so on, and does not")
    train, val = _images(place / "train"), _images(place / "val")
    classes = sorted(train)
    if not classes or not val:
        raise DataError(
            f"{place} needs images in train/n01440764/ and val/n01440764/, one folder a class; "
            "images that lie directly in val/ must be sorted into such folders first"
        )
    if extra := sorted(val.keys() - train.keys()):
        raise DataError(f"{place / 'val'} has {len(extra)} classes not in train: {extra[0]}")
    code = {number: label for label, number in enumerate(classes)}
    rows = [
        (f"{split}/{number}/{name}", code[number], SPLITS.index(called))
        for split, called, held in (("train", "train", train), ("val", "test", val))
        for number, names in sorted(held.items())
        for name in names
    ]
    named = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    return Listing(
        name="imagenet",
        classes=class_names(classes, text(named).splitlines()) if named else tuple(classes),
        sources=(place,),
        source_of=np.zeros(len(rows), np.uint8),
        members=tuple(member for member, _, _ in rows),
        labels=np.array([label for _, label, _ in rows], np.int64),
        splits=np.array([split for _, _, split in rows], np.uint8),
        official=True,
        notes=(NOTE,),
    )


def _images(split: Path) -> dict[str, list[str]]:
    """Return the image names of each class folder, sorted."""
    if not split.is_dir():
        return {}
    held: dict[str, list[str]] = {}
    for folder in split.iterdir():
        if folder.is_dir():
            with os.scandir(folder) as found:  # iterdir would make 1.3 million paths of the names
                names = [entry.name for entry in found]
            if files := sorted(name for name in names if name.lower().endswith(IMAGES)):
                held[folder.name] = files
    return held
