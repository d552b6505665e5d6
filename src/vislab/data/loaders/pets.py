"""Oxford-IIIT Pets (Parkhi et al. 2012): `images/` and the lists in `annotations/`.

A line of a list is the image's name, the breed (1–37), the species (1 cat, 2 dog) and the breed
within the species. The breed is the class here; an image's name begins with it.
"""

from pathlib import Path

import numpy as np

from vislab.data.listing import SPLITS, Listing
from vislab.data.loaders.tree import locate, text
from vislab.errors import DataError

LISTS = {"train": "trainval.txt", "test": "test.txt"}


def listing(folder: Path) -> Listing:
    """List the images; the official train and validation list is one, and is "train" here."""
    place = locate(folder, "images", "annotations")
    names: dict[int, str] = {}
    members: list[str] = []
    labels: list[int] = []
    splits: list[int] = []
    for split, file in LISTS.items():
        for line in text(place / "annotations" / file).splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            try:
                name, number, *_ = line.split()
                label = int(number) - 1
            except ValueError as error:
                raise DataError(f"{place / 'annotations' / file}: cannot read {line!r}") from error
            breed = name.rpartition("_")[0].replace("_", " ")
            if names.setdefault(label, breed) != breed:
                raise DataError(f"{file} calls breed {number} both {names[label]} and {breed}")
            members.append(f"images/{name}.jpg")
            labels.append(label)
            splits.append(SPLITS.index(split))
    if sorted(names) != list(range(len(names))) or not names:
        raise DataError(f"the lists in {place / 'annotations'} skip a breed or are empty")
    there = {f"images/{path.name}" for path in (place / "images").iterdir()}
    missing = [member for member in members if member not in there]
    if missing:
        raise DataError(f"{place} lacks {len(missing)} images, the first is {missing[0]}")
    return Listing(
        name="pets",
        classes=tuple(names[label] for label in sorted(names)),
        sources=(place,),
        source_of=np.zeros(len(members), np.uint8),
        members=tuple(members),
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        official=True,
    )
