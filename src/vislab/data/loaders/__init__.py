"""Readers of the catalogue's sets, one file a layout.

A module here has `listing(folder)` where the set is made of image files, or `arrays(folder)`
where it is made of raw pixels. `read` finds the one a card names.
"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

from vislab.data.arrays import Arrays
from vislab.data.catalogue import Card
from vislab.data.listing import Listing
from vislab.errors import DataError, pick

READERS = {  # a card's `loader` and its module
    "cars": "cars",
    "cifar-binary": "cifar_binary",
    "class-folders": "class_folders",
    "digits": "digits",
    "flowers": "flowers",
    "idx": "idx",
    "imagenet-folders": "imagenet_folders",
    "lfw": "lfw",
    "pets": "pets",
    "tiny-imagenet": "tiny_imagenet",
}
GENERATED = ("shapes",)  # drawn by vislab.data.shapes, not read


def read(card: Card, folder: Path) -> Listing | Arrays:
    """Read a set that lies in `folder`, under the card's name and, if it gives them, class names.

    Not for the loaders in `GENERATED`. Raises DataError when files are missing or damaged.
    """
    module = import_module(f"{__name__}.{pick(READERS, card.loader, 'reader of image sets')}")
    reader = module.arrays if hasattr(module, "arrays") else module.listing
    found: Listing | Arrays = reader(folder)
    classes = card.class_names or found.classes
    if len(classes) != len(found.classes):
        raise DataError(
            f"{folder} holds {len(found.classes)} classes, {card.name} has {len(classes)}"
        )
    return replace(found, name=card.name, classes=classes)
