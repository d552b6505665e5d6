"""CIFAR-10 and CIFAR-100, binary version (Krizhevsky 2009, www.cs.toronto.edu/~kriz/cifar.html).

A record is the label (CIFAR-10), or the coarse and then the fine label (CIFAR-100), one byte each,
and 3 × 32 × 32 bytes: red, green, blue planes, row by row. Nothing is unpickled, unlike the more
common Python version. CIFAR-100's coarse label is not read.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vislab.data.arrays import Arrays
from vislab.data.listing import SPLITS
from vislab.data.loaders.tree import locate, text
from vislab.errors import DataError

SIDE = 32
PIXELS = 3 * SIDE * SIDE


def arrays(folder: Path) -> Arrays:
    """Read either set; which one shows in its files. The test batch is the test split.

    There is no validation split. Raises DataError for a file that is missing or cut short.
    """
    try:
        place, names, labels = locate(folder, "batches.meta.txt"), "batches.meta.txt", 1
        train = [f"data_batch_{number}.bin" for number in range(1, 6)]
        test = "test_batch.bin"
    except DataError:
        place, names, labels = locate(folder, "fine_label_names.txt"), "fine_label_names.txt", 2
        train, test = ["train.bin"], "test.bin"
    classes = tuple(text(place / names).split())
    splits = [(name, "train") for name in train] + [(test, "test")]
    records = [_batch(place / name, labels, len(classes)) for name, _ in splits]
    everything = np.concatenate(records)
    return Arrays(
        name="cifar10" if labels == 1 else "cifar100",
        classes=classes,
        pixels=np.ascontiguousarray(
            everything[:, labels:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        ),  # (N, H, W, 3)
        labels=everything[:, labels - 1].astype(np.int64),
        splits=np.concatenate(
            [
                np.full(len(rows), SPLITS.index(split), np.uint8)
                for rows, (_, split) in zip(records, splits, strict=True)
            ]
        ),
        official=True,
    )


def _batch(path: Path, labels: int, classes: int) -> UInt8[np.ndarray, "n bytes"]:
    try:
        flat = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if not flat.size or flat.size % (labels + PIXELS):
        raise DataError(
            f"{path} has {flat.size} bytes, not a multiple of an image's {labels + PIXELS}; "
            "it was cut short, unpack the archive again"
        )
    records: UInt8[np.ndarray, "n bytes"] = flat.reshape(-1, labels + PIXELS)
    highest = int(records[:, labels - 1].max())
    if highest >= classes:
        raise DataError(f"{path} has a label {highest}, there are only {classes} classes")
    return records
