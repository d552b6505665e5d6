"""COCO's `segmentation`: polygons or a run-length code, and the box around either."""

import numpy as np

from vislab.data.annotations import Outline, RunLengths
from vislab.data.formats.numbers import finite, shown
from vislab.data.run_lengths import counts_of
from vislab.errors import DataError

NOTHING: tuple[object, ...] = (None, [], {}, "")

Corners = tuple[float, float, float, float]


def outline_of(told: object, size: tuple[int, int]) -> Outline:
    """Return polygons or run lengths. Raises DataError when they are none of this image's.

    Empty polygons, as tools write them beside a box, are none.
    """
    if told in NOTHING:
        return None
    width, height = size
    if isinstance(told, dict):
        counts = told.get("counts")
        if finite(told.get("size"), 2) != (float(height), float(width)):
            raise DataError(f"a mask of size {shown(told.get('size'))}, not {[height, width]}")
        numbers = isinstance(counts, list) and all(type(count) is int for count in counts)
        if not isinstance(counts, list | str) or not (numbers or isinstance(counts, str)):
            raise DataError(f"run lengths that are no whole numbers: {shown(counts)}")
        code: RunLengths = {"size": [height, width], "counts": counts}
        counts_of(code)
        return code
    if not isinstance(told, list):
        raise DataError(f"neither polygons nor run lengths: {shown(told)}")
    if len(told) >= 6 and finite(told) is not None:
        told = [told]  # one polygon that is not in a list of its own
    polygons = []
    for entry in told:
        if entry == []:
            continue
        points = finite(entry)
        if points is None or len(points) < 6 or len(points) % 2:
            raise DataError(f"a polygon is not three points or more: {shown(entry)}")
        xs, ys = points[::2], points[1::2]
        if width and (min(xs) < -1 or max(xs) > width + 1 or min(ys) < -1 or max(ys) > height + 1):
            raise DataError(f"a polygon leaves the image of {width}×{height} pixels")
        polygons.append(points)
    return tuple(polygons) or None


def box_around(outline: Outline) -> Corners | None:
    """Return the box around an outline, xyxy in pixels; None where it holds nothing."""
    if isinstance(outline, tuple):
        xs = [x for polygon in outline for x in polygon[::2]]
        ys = [y for polygon in outline for y in polygon[1::2]]
        return min(xs), min(ys), max(xs), max(ys)
    if outline is None:
        return None
    height, _ = outline["size"]
    ends = np.cumsum(counts_of(outline))
    first, last = ends[:-1:2], ends[1::2] - 1  # pixels of each run that is on, column by column
    first = first[: len(last)]
    first, last = first[first <= last], last[first <= last]
    if not len(first):
        return None
    whole = (first // height != last // height).any()  # a run that goes on in the next column
    low, high = (0, height - 1) if whole else ((first % height).min(), (last % height).max())
    return (
        float(first[0] // height), float(low), float(last[-1] // height + 1), float(high + 1),
    )  # fmt: skip
