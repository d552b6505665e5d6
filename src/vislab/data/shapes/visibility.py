"""Keep the main object in sight: at least 60 % of it, whatever its kind.

What covers it is found on a coarse lattice of points in the main object's own frame, one bit each.
"""

from functools import cache

import numpy as np

from vislab.data.shapes.counter import Counts
from vislab.data.shapes.kinds import CLASSES, REACH, STROKE, signed_distance
from vislab.data.shapes.scene import Columns, Facts, Numbers, Scenes

MOST_HIDDEN = 0.31  # of the lattice points inside the object; leaves room for what they miss
GRID = 16  # points along a side of the lattice


def uncover(scenes: Scenes) -> None:
    """Take occluders away, and send distractors behind, until the main object can be seen.

    Changes `occluders.present` and `depth` in place. One cover after another is taken, in slot
    order; one with which more than `MOST_HIDDEN` of the main object would be hidden is not. The
    question is asked for a main object of *every* kind: were it asked for the one that is there,
    what stands around an object would tell its class.
    """
    hidden = np.zeros((len(scenes), GRID * GRID // 64), dtype=np.uint64)
    strokes = scenes.occluders
    for place in range(strokes.present.shape[1]):
        seen = covers(
            scenes,
            hidden,
            strokes.present[:, place],
            kind=np.full(len(scenes), STROKE),
            centre=strokes.centre[:, place],
            radius=strokes.half_width[:, place],
            rotation=strokes.rotation[:, place],
            half_length=strokes.half_length[:, place] / strokes.half_width[:, place],
        )
        strokes.present[:, place] &= seen
    for slot in range(1, scenes.kind.shape[1]):
        in_front = scenes.present[:, slot] & (scenes.depth[:, slot] > scenes.depth[:, 0])
        seen = covers(
            scenes,
            hidden,
            in_front,
            kind=scenes.kind[:, slot],
            centre=scenes.centre[:, slot],
            radius=scenes.radius[:, slot],
            rotation=scenes.rotation[:, slot],
            half_length=np.zeros(len(scenes), dtype=np.float32),
        )
        rows = np.flatnonzero(~seen)
        scenes.depth[rows[:, None], [0, slot]] = scenes.depth[rows[:, None], [slot, 0]]


def covers(
    scenes: Scenes,
    hidden: Counts,
    asked: Facts,
    *,
    kind: Numbers,
    centre: Columns,
    radius: Columns,
    rotation: Columns,
    half_length: Columns,
) -> Facts:
    """Return whether the main object can still be seen behind one more shape a scene, (N,).

    The places the shape covers are added to `hidden`, (N, words), but only where it is `asked` for
    and where enough can be seen. A place is one bit, a point of a GRID × GRID lattice over the
    square around the main object, and turns with it.
    """
    seen = np.ones(len(scenes), dtype=np.bool_)
    apart = centre - scenes.centre[:, 0]
    touch = REACH * scenes.radius[:, 0] + (REACH + half_length) * radius
    near = apart[:, 0] * apart[:, 0] + apart[:, 1] * apart[:, 1] < touch * touch
    rows = np.flatnonzero(asked & near)
    if not rows.size:
        return seen
    x, y = lattice()
    # from the main object's frame to the image, and on to the other shape's frame
    scale = (scenes.radius[rows, 0] / radius[rows])[:, None, None]
    shift = (-apart[rows] / radius[rows, None]).T[:, :, None, None]
    a, b = scenes.rotation[rows, 0].T[:, :, None, None]
    c, d = rotation[rows].T[:, :, None, None]
    across, down = (a * x - b * y) * scale + shift[0], (b * x + a * y) * scale + shift[1]
    u, v = c * across + d * down, c * down - d * across
    covered = as_bits(signed_distance(kind[rows], half_length[rows], u, v) < 0)  # (rows, words)

    covered |= hidden[rows]
    whole = kinds_as_bits()  # (kinds, words)
    part = np.bitwise_count(covered[:, None] & whole).sum(axis=2, dtype=np.int64)
    part = part / np.bitwise_count(whole).sum(axis=1, dtype=np.int64)  # (rows, kinds)
    seen[rows] = (part <= MOST_HIDDEN).all(axis=1)
    hidden[rows] = np.where(seen[rows, None], covered, hidden[rows])
    return seen


def lattice() -> tuple[Columns, Columns]:
    """Return x and y of GRID × GRID points in [−1, 1]², (1, GRID, GRID) each."""
    ticks = (np.arange(GRID, dtype=np.float32) + 0.5) * (2 / GRID) - 1
    x, y = np.meshgrid(ticks, ticks)
    return x[None], y[None]


def as_bits(inside: Facts) -> Counts:
    """Return a lattice of facts (K, GRID, GRID) as 64-bit words, (K, words)."""
    return np.packbits(inside.reshape(len(inside), -1), axis=1).view(np.uint64)


@cache
def kinds_as_bits() -> Counts:
    """Return which points of the lattice lie inside each kind of object, (kinds, words)."""
    kind = np.arange(len(CLASSES))
    x, y = (np.repeat(plane, len(CLASSES), axis=0) for plane in lattice())
    return as_bits(signed_distance(kind, np.zeros(len(CLASSES), dtype=np.float32), x, y) < 0)
