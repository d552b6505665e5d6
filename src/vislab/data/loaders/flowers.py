"""Oxford 102 Flowers (Nilsback, Zisserman 2008): images in `jpg/`, labels and split in MATLAB.

The official split trains on 10 images a class, validates on 10 and tests on all others
(1 020 / 1 020 / 6 149). Some papers swap train and test; such numbers are not comparable.
"""

from pathlib import Path

import numpy as np

from vislab.data.catalogue import card
from vislab.data.listing import SPLITS, Listing
from vislab.data.loaders.matlab import variable
from vislab.data.loaders.tree import locate
from vislab.errors import DataError

LISTS = {"train": "trnid", "val": "valid", "test": "tstid"}


def listing(folder: Path) -> Listing:
    """List the images in the order of the split files. Raises DataError."""
    place = locate(folder, "jpg", "imagelabels.mat", "setid.mat")
    classes = card("flowers102").class_names
    numbered = variable(place / "imagelabels.mat", "labels").astype(np.int64)  # from 1
    splits = {split: variable(place / "setid.mat", name) for split, name in LISTS.items()}
    rows = np.concatenate(list(splits.values())).astype(np.int64)  # image numbers, from 1
    if rows.min() < 1 or rows.max() > len(numbered) or len(set(rows.tolist())) < len(rows):
        raise DataError(f"{place / 'setid.mat'} does not fit the {len(numbered)} labels")
    labels = numbered[rows - 1] - 1
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataError(f"{place / 'imagelabels.mat'} has a label outside 1 to {len(classes)}")
    members = tuple(f"jpg/image_{number:05d}.jpg" for number in rows.tolist())
    there = {f"jpg/{path.name}" for path in (place / "jpg").iterdir()}
    missing = [member for member in members if member not in there]
    if missing:
        raise DataError(f"{place} lacks {len(missing)} images, the first is {missing[0]}")
    return Listing(
        name="flowers102",
        classes=classes,
        sources=(place,),
        source_of=np.zeros(len(rows), np.uint8),
        members=members,
        labels=labels,
        splits=np.repeat(
            np.array([SPLITS.index(split) for split in splits], np.uint8),
            [len(numbers) for numbers in splits.values()],
        ),
        official=True,
    )
