"""MNIST's own file format, also used by Fashion-MNIST (LeCun, Cortes, Burges 1998).

Big-endian: two zero bytes, 8 for "unsigned byte", the number of axes, the length of each axis as
32-bit numbers, then the values, last axis fastest.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vislab.data.arrays import Arrays
from vislab.data.listing import SPLITS
from vislab.errors import DataError

PLACES = (".", "raw", "MNIST/raw", "FashionMNIST/raw")  # the last two are torchvision's
PREFIXES = {"train": "train", "t10k": "test"}  # the files' prefix, our split


def arrays(folder: Path) -> Arrays:
    """Read the four files, zipped with gzip or not. Classes are called by their numbers.

    There is no validation split. Raises DataError for a file that is missing, damaged or cut short.
    """
    pixels, labels, splits = [], [], []
    for prefix, split in PREFIXES.items():
        images = values(_find(folder, f"{prefix}-images-idx3-ubyte"), axes=3)
        named = values(_find(folder, f"{prefix}-labels-idx1-ubyte"), axes=1)
        if len(images) != len(named):
            raise DataError(f"{folder} has {len(images)} {split} images and {len(named)} labels")
        pixels.append(images)
        labels.append(named)
        splits.append(np.full(len(named), SPLITS.index(split), np.uint8))
    if pixels[0].shape[1:] != pixels[1].shape[1:]:
        raise DataError(f"{folder} has train and test images of different sizes")
    numbers = np.concatenate(labels).astype(np.int64)
    return Arrays(
        name="mnist",
        classes=tuple(str(number) for number in range(numbers.max(initial=9) + 1)),
        pixels=np.concatenate(pixels)[..., None].repeat(3, axis=-1),  # (N, H, W, 3)
        labels=numbers,
        splits=np.concatenate(splits),
        official=True,
    )


def _find(folder: Path, name: str) -> Path:
    for place in PLACES:
        for path in (folder / place / f"{name}.gz", folder / place / name):
            if path.is_file():
                return path
    raise DataError(f"{folder} should hold {name}.gz and does not")


def values(path: Path, *, axes: int) -> UInt8[np.ndarray, " ..."]:
    """Return the array in an idx file of unsigned bytes with so many axes."""
    try:
        held = path.read_bytes()
        if path.suffix == ".gz":
            held = gzip.decompress(held)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    head = 4 + 4 * axes
    if len(held) < head or held[:4] != bytes([0, 0, 8, axes]):
        raise DataError(f"{path} is no idx file of unsigned bytes with {axes} axes")
    shape = tuple(np.frombuffer(held, ">u4", axes, offset=4).tolist())
    if len(held) - head != math.prod(shape):
        raise DataError(
            f"{path} should hold {math.prod(shape)} values and holds {len(held) - head}; "
            "it was cut short, fetch it again"
        )
    return np.frombuffer(held, np.uint8, offset=head).reshape(shape)
