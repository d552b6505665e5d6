"""What is true of an image, read off the scene it was drawn from.

A pixel belongs to the nearest shape that covers at least half of it. Masks therefore never
overlap, and an object behind another, or behind an occluder, loses the pixels it is hidden at.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vislab.data.shapes.backgrounds import BACKGROUND_KINDS
from vislab.data.shapes.kinds import CLASSES, Plane, signed_distance
from vislab.data.shapes.palette import BACKGROUNDS, COLOURS
from vislab.data.shapes.render import check_size
from vislab.data.shapes.scene import Scenes
from vislab.data.shapes.stamps import NO_SLOT, back_to_front, patches, stamps
from vislab.data.shapes.textures import TEXTURES

Masks = NDArray[np.bool_]
Names = NDArray[Any]  # of strings; beartype takes "<U6" for no kind of np.str_

CHUNK_PIXELS = 128 * 64 * 64


class Attributes(NamedTuple):
    """Words for the main object and its scene, (N,) each."""

    kind: Names  # a name in `CLASSES`
    colour: Names  # a name in `palette.COLOURS`, as are all colours here
    texture: Names  # a name in `textures.TEXTURES`
    texture_colour: Names  # not seen where the texture is plain
    size: Names  # "small", "medium" or "large": radius below 0.21, below 0.29, or above
    column: Names  # "left", "centre" or "right": the third of the image its centre is in
    row: Names  # "top", "middle" or "bottom"
    background: Names  # a name in `palette.BACKGROUNDS`
    background_kind: Names  # a name in `backgrounds.BACKGROUND_KINDS`


class Boxes(NamedTuple):
    """Tight boxes around what can be seen of R objects."""

    xyxy: NDArray[np.int64]  # (R, 4), pixels; the right and lower edges lie outside
    kind: NDArray[np.int64]  # (R,) places in `CLASSES`
    scene: NDArray[np.int64]  # (R,) row of the scene in the batch
    slot: NDArray[np.int64]  # (R,) which object of the scene; 0 is the main object


def labels(scenes: Scenes) -> NDArray[np.int64]:
    """Return the class of each scene, (N,), places in `CLASSES`.

    It is the kind of the main object, and stays so when `without_cause` has removed that.
    """
    return scenes.kind[:, 0].copy()


def attributes(scenes: Scenes) -> Attributes:
    """Return words for the main objects and their backgrounds."""
    x, y = scenes.centre[:, 0].T
    return Attributes(
        kind=np.array(CLASSES)[scenes.kind[:, 0]],
        colour=np.array(list(COLOURS))[scenes.colour[:, 0]],
        texture=np.array(list(TEXTURES))[scenes.texture[:, 0]],
        texture_colour=np.array(list(COLOURS))[scenes.texture_colour[:, 0]],
        size=one_of_three(("small", "medium", "large"), scenes.radius[:, 0], 0.21, 0.29),
        column=one_of_three(("left", "centre", "right"), x, 1 / 3, 2 / 3),
        row=one_of_three(("top", "middle", "bottom"), y, 1 / 3, 2 / 3),
        background=np.array(list(BACKGROUNDS))[scenes.background],
        background_kind=np.array(list(BACKGROUND_KINDS))[scenes.background_kind],
    )


def one_of_three(words: tuple[str, str, str], value: Plane, first: float, second: float) -> Names:
    """Return the word for values below `first`, below `second`, and the others."""
    return np.array(words)[(value >= first).astype(np.int64) + (value >= second)]


def owners(scenes: Scenes, size: int) -> NDArray[np.int8]:
    """Return which object each pixel belongs to, (N, size, size).

    A slot of the scene, or −1 where background, clutter or an occluder is seen.
    Raises OptionError for a size `render` would refuse.
    """
    check_size(size)
    owner = np.full((len(scenes), size, size), NO_SLOT, dtype=np.int8)
    step = max(1, CHUNK_PIXELS // (size * size))
    for start in range(0, len(scenes), step):
        paint_owners(scenes[start : start + step], owner[start : start + step])
    return owner


def paint_owners(scenes: Scenes, owner: NDArray[np.int8]) -> None:
    """Write the slot of every shape, back to front, into `owner` (n, size, size)."""
    groups = patches(stamps(scenes), owner.shape[-1])
    inside = []
    for patch in groups:
        s = patch.stamps
        distance = signed_distance(s.kind, s.half_length, *patch.local())
        inside.append(patch.coverage(distance) >= 0.5)
    for place, run in back_to_front(groups):
        stamp, row, column = np.nonzero(inside[place][run])
        s = groups[place].stamps
        row += groups[place].top[run][stamp]
        column += groups[place].left[run][stamp]
        owner[s.row[run][stamp], row, column] = s.slot[run][stamp]


def masks(scenes: Scenes, size: int) -> Masks:
    """Return the visible pixels of each object, (N, M, size, size), none where absent."""
    slots = np.arange(scenes.kind.shape[1], dtype=np.int8)
    mine: Masks = owners(scenes, size)[:, None] == slots[:, None, None]
    return mine


def causal_mask(scenes: Scenes, size: int) -> Masks:
    """Return the visible pixels of the main object, the cause of the class, (N, size, size)."""
    mine: Masks = owners(scenes, size) == 0
    return mine


def boxes(scenes: Scenes, size: int) -> Boxes:
    """Return a box around the visible pixels of each object, by scene and then slot.

    An object of which no pixel is seen has no box.
    """
    seen = masks(scenes, size)
    columns, rows = np.any(seen, axis=2), np.any(seen, axis=3)  # (N, M, size) each
    scene, slot = np.nonzero(rows.any(axis=2))
    columns, rows = columns[scene, slot], rows[scene, slot]  # (R, size)
    corners = np.stack(
        [
            columns.argmax(axis=1),
            rows.argmax(axis=1),
            size - columns[:, ::-1].argmax(axis=1),
            size - rows[:, ::-1].argmax(axis=1),
        ],
        axis=1,
    )
    return Boxes(corners, scenes.kind[scene, slot], scene, slot)


def without_cause(scenes: Scenes) -> Scenes:
    """Return the same scenes less their main objects and the shadows these cast.

    Everything else, down to the grain, is drawn as before.
    """
    present = scenes.present.copy()
    present[:, 0] = False
    return replace(scenes, present=present)
