"""Annotated images made by hand, without files."""

import numpy as np

from vislab.data.annotated_images import columns_of
from vislab.data.columns import Boxes, Placement
from vislab.data.table import Table

SIDE = 24


def made(count=11, *, side=SIDE, test=2, val=1, masks=True, crowd=(), empty=(), plain=False):
    """Return images of noise; image i holds i % 3 + 1 white rectangles of labels 0, 1, ...

    With `plain` they are black beside. Objects numbered in `crowd` are groups; images in `empty`
    hold nothing.
    """
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 200, (count, side, side, 3), dtype=np.uint8)
    if plain:
        pixels[:] = 0
    labels = np.zeros((count, side, side, 1), dtype=np.uint8)
    corners, of_objects, starts = [], [], [0]
    for row in range(count):
        for instance in range(0 if row in empty else row % 3 + 1):
            x, y = (8 * instance + chance.integers(0, 2), chance.integers(0, side - 9))
            width, height = chance.integers(4, 7), chance.integers(4, 9)
            pixels[row, y : y + height, x : x + width] = 255
            labels[row, y : y + height, x : x + width] = instance + 1
            corners.append([x, y, x + width, y + height])
            of_objects.append(instance)
        starts.append(len(of_objects))
    flags = np.zeros(len(of_objects), dtype=bool)
    flags[list(crowd)] = True
    splits = np.zeros(count, dtype=np.uint8)
    splits[count - test - val :] = 1
    splits[count - test :] = 2
    return Table(
        name="made",
        classes=("background", "one", "two", "three")[0 if masks else 1 :],
        size=side,
        pixels=pixels,
        splits=splits,
        names=tuple(f"{row}.png" for row in range(count)),
        columns=columns_of(
            Placement(side, np.ones(count), np.full((count, 2), side)),
            Boxes(
                starts=np.array(starts),
                xyxy=np.array(corners, dtype=np.float32).reshape(-1, 4),
                labels=np.array(of_objects, dtype=np.int64),
                crowd=flags,
                difficult=np.zeros(len(of_objects), dtype=bool),
                area=np.full(len(of_objects), np.nan),
            ),
            labels if masks else None,
        ),
        origin="own files",
        official=True,
    )
