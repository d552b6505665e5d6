"""COCO's run-length code of a mask: how many pixels are off, on, off, ..., column by column.

The letters of the compressed form hold five bits and a mark that more follow, least first; from the
fourth number on, each is the difference to the last but one (`rleToString` in COCO's maskApi.c).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from vislab.data.annotations import RunLengths
from vislab.errors import DataError

LETTERS = 6  # of one number at most: 30 bits, more than the pixels of any image


def counts_of(code: RunLengths) -> list[int]:
    """Return the lengths of the runs, written out. Raises DataError unless they fill the size."""
    height, width = code["size"]
    counts = code["counts"]
    lengths = _unpacked(counts) if isinstance(counts, str) else counts
    if any(length < 0 for length in lengths) or sum(lengths) != height * width:
        raise DataError(f"run lengths that do not fill {width}×{height} pixels")
    return lengths


def decoded(code: RunLengths) -> UInt8[np.ndarray, "h w"]:
    """Return the mask, 0 and 1. Raises DataError where the code is no mask of its size."""
    height, width = code["size"]
    counts = counts_of(code)
    values = np.arange(len(counts), dtype=np.uint8) % 2
    return np.ascontiguousarray(np.repeat(values, counts).reshape(width, height).T)


def encoded(mask: UInt8[np.ndarray, "h w"]) -> RunLengths:
    """Return the code of a mask of 0 and 1, written out as numbers."""
    height, width = mask.shape
    flat = mask.T.reshape(-1) != 0
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *ends.tolist(), flat.size]).tolist() if flat.size else []
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": [height, width], "counts": counts}


def _unpacked(text: str) -> list[int]:
    counts: list[int] = []
    value, letters = 0, 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or letters >= LETTERS:
            raise DataError("run lengths with letters that stand for no number")
        value |= (bits & 31) << (5 * letters)
        letters += 1
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << (5 * letters)
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, letters = 0, 0
    if letters:
        raise DataError("run lengths that end in the middle of a number")
    return counts


def polygon_area(polygons: Sequence[Sequence[float]]) -> float:
    """Return the area that polygons of x and y enclose, in pixels; overlaps count twice."""
    total = 0.0
    for polygon in polygons:
        x, y = np.asarray(polygon[::2]), np.asarray(polygon[1::2])
        total += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return total
