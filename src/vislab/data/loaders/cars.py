"""Stanford Cars (Krause et al. 2013): `cars_train/`, `cars_test/`, labels in the MATLAB devkit.

The devkit's own test list has no labels; `cars_test_annos_withlabels.mat` has them.
"""

from pathlib import Path

import numpy as np

from vislab.data.listing import SPLITS, Listing
from vislab.data.loaders.matlab import variable
from vislab.data.loaders.tree import locate
from vislab.errors import DataError

LABELLED_TEST = "cars_test_annos_withlabels.mat"


def listing(folder: Path) -> Listing:
    """List train and test images, whole: the boxes of the devkit are not applied.

    A copy with one folder too many (`cars_train/cars_train`, as on Kaggle) is understood.
    """
    place = locate(folder, "devkit", "cars_train", "cars_test")
    classes = tuple(str(name) for name in variable(place / "devkit/cars_meta.mat", "class_names"))
    test = next(
        (
            path
            for path in (place / LABELLED_TEST, place / "devkit" / LABELLED_TEST)
            if path.exists()
        ),
        None,
    )
    if test is None:
        raise DataError(f"{place} lacks {LABELLED_TEST}; without it the test cars have no labels")
    members: list[str] = []
    labels: list[int] = []
    splits: list[int] = []
    for split, table in (("train", place / "devkit/cars_train_annos.mat"), ("test", test)):
        images = place / f"cars_{split}"
        images = images / images.name if (images / images.name).is_dir() else images
        rows = variable(table, "annotations")
        if not {"fname", "class"} <= set(rows.dtype.names or ()):
            raise DataError(f"{table} has no columns fname and class")
        files = [str(name) for name in rows["fname"]]
        there = {path.name for path in images.iterdir()}
        missing = [name for name in files if name not in there]
        if missing:
            raise DataError(f"{images} lacks {len(missing)} images, the first is {missing[0]}")
        members += [(images / name).relative_to(place).as_posix() for name in files]
        labels += [int(number) - 1 for number in rows["class"]]
        splits += [SPLITS.index(split)] * len(files)
    if min(labels) < 0 or max(labels) >= len(classes):
        raise DataError(f"the tables of {place} have a class outside 1 to {len(classes)}")
    return Listing(
        name="stanford-cars",
        classes=classes,
        sources=(place,),
        source_of=np.zeros(len(members), np.uint8),
        members=tuple(members),
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        official=True,
    )
