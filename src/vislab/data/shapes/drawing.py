"""Draw scenes: scene i of the endless series that a seed names.

Scene i follows from (seed, i, difficulty) alone. The difficulty is not hashed in: scene i has the
same class, main colour and kind of background at every level, so that levels differ by difficulty.
Classes are balanced exactly: the ten scenes 10b … 10b + 9 show each class once, in hashed order.

The main object is the largest: a distractor's radius is at most half of its radius. What else
stands in the scene is drawn without a look at the main object's kind.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vislab.data.shapes.backgrounds import BACKGROUND_KINDS
from vislab.data.shapes.counter import Counts, Draws, draws
from vislab.data.shapes.difficulty import DIFFICULTIES, Difficulty
from vislab.data.shapes.kinds import CLASSES, REACH
from vislab.data.shapes.palette import BACKGROUND_RGB, COLOURS, DARK, OBJECT_COLOURS, far_apart
from vislab.data.shapes.scene import Columns, Facts, Numbers, Scenes, Strokes
from vislab.data.shapes.textures import TEXTURES
from vislab.data.shapes.visibility import uncover
from vislab.errors import OptionError, ShapeError, pick


def draw_scenes(indices: ArrayLike, *, seed: int = 0, difficulty: str = "medium") -> Scenes:
    """Return the scenes at `indices` (N,) of the endless series that `seed` names.

    An index gives the same scene in any company and order, and may be repeated.
    Raises UnknownName for a difficulty that is not in `DIFFICULTIES`, OptionError for a negative
    index or a seed outside [0, 2⁶⁴), ShapeError unless `indices` is one axis of whole numbers.
    """
    level = pick(DIFFICULTIES, difficulty, "difficulty")
    index = whole_numbers(np.asarray(indices))
    draw = draws(index, seed, "scene")
    slots = 1 + level.distractors[1]

    kind = draw.below("kind", len(CLASSES), slots)
    kind[:, 0] = balanced_classes(index, seed)
    radius = draw.uniform(
        "radius", slots, low=level.distractor_radius[0], high=level.distractor_radius[1]
    )
    radius[:, 0] = draw.uniform("main radius", low=level.radius[0], high=level.radius[1])
    radius[:, 1:] *= radius[:, :1]
    present = np.arange(slots) <= counts(draw, "distractors", level.distractors)[:, None]
    colour = draw.below("colour", OBJECT_COLOURS, slots)
    background = draw_backgrounds(draw, colour[:, 0], level.least_colour_distance)
    occluders = draw_occluders(draw, level, radius[:, 0])
    centre = draw_centres(draw, radius)
    occluders.centre[...] += centre[:, :1]
    scenes = Scenes(
        index=index,
        key=draw.bits("grain"),
        kind=kind,
        centre=centre,
        radius=radius,
        rotation=draw.direction("rotation", slots, reach=level.reach, turned=level.turned),
        colour=colour,
        texture=draw.below("texture", len(TEXTURES), slots),
        texture_colour=draw_texture_colours(draw, colour, DARK[background]),
        texture_frequency=draw.uniform("texture frequency", slots, low=1.5, high=2.3),
        depth=ranks(draw.bits("depth", slots)),
        present=present,
        background=background,
        background_kind=draw.below("background kind", len(BACKGROUND_KINDS)),
        background_direction=draw.direction("background direction"),
        background_frequency=draw.uniform("background frequency", low=3.0, high=6.0),
        clutter=draw_clutter(draw, level),
        occluders=occluders,
        light=draw.direction("light", reach=0.25, turned=False)[:, ::-1] * np.float32(-1),
        contrast=draw.uniform("contrast", low=level.contrast[0], high=level.contrast[1]),
        brightness=draw.uniform("brightness", low=level.brightness[0], high=level.brightness[1]),
        noise=draw.uniform("noise", low=level.noise[0], high=level.noise[1]),
    )
    uncover(scenes)
    return scenes


def whole_numbers(indices: NDArray[Any]) -> Numbers:
    """Return indices as 64-bit whole numbers, or refuse them."""
    if indices.shape == (0,):
        return indices.astype(np.int64)  # an empty list has no type of its own
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ShapeError(
            f"indices have shape {indices.shape} and type {indices.dtype}, want whole numbers "
            "along one axis; for a single image write [index]"
        )
    if int(indices.min()) < 0 or int(indices.max()) >= 2**63:
        worst = indices.min() if indices.min() < 0 else indices.max()
        raise OptionError(f"index {worst} is not in [0, 2⁶³); images are counted from 0")
    return indices.astype(np.int64)


def ranks(keys: Counts) -> Numbers:
    """Return the place of each key among the keys of its row, (N, M): a hashed permutation."""
    order = np.argsort(keys, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable").astype(np.int64)


def balanced_classes(index: Numbers, seed: int) -> Numbers:
    """Return one class each, (N,), every class once in a block of ten consecutive indices."""
    blocks = draws(index // len(CLASSES), seed, "classes")
    permutations = ranks(blocks.bits("class", len(CLASSES)))
    return permutations[np.arange(len(index)), index % len(CLASSES)]


def counts(draw: Draws, name: str, ends: tuple[int, int]) -> Numbers:
    """Return whole numbers in [low, high], (N,)."""
    low, high = ends
    return low + draw.below(f"{name}/count", high - low + 1)


def draw_centres(draw: Draws, radius: Columns) -> Columns:
    """Return places (N, M, 2); the main object lies wholly inside the image.

    Each distractor tries four places and takes the one with the widest gap to the objects before it
    (Mitchell 1991, best candidate).
    """
    n, slots = radius.shape
    tries = draw.uniform("centre", slots, 4, 2)  # (N, M, 4, 2) in [0, 1)
    centre = np.empty((n, slots, 2), dtype=np.float32)
    margin = (REACH * radius)[:, :, None]
    centre[:, 0] = margin[:, 0] + tries[:, 0, 0] * (1 - 2 * margin[:, 0])
    for slot in range(1, slots):
        margin = 0.8 * radius[:, slot, None, None]
        places = margin + tries[:, slot] * (1 - 2 * margin)  # (N, 4, 2)
        apart = places[:, :, None] - centre[:, None, :slot]  # (N, 4, slot, 2)
        gap = np.sqrt(apart[..., 0] * apart[..., 0] + apart[..., 1] * apart[..., 1])
        gap -= (radius[:, :slot] + radius[:, slot, None])[:, None]
        best = gap.min(axis=2).argmax(axis=1)
        centre[:, slot] = places[np.arange(n), best]
    return centre


def draw_texture_colours(draw: Draws, colour: Numbers, on_dark: Facts) -> Numbers:
    """Return cream for half of the objects, ink for a quarter, another colour for the rest.

    Ink would tear holes into an object on a dark ground; there it is cream, too.
    """
    shape = colour.shape[1:]
    other = (colour + 1 + draw.below("other colour", OBJECT_COLOURS - 1, *shape)) % OBJECT_COLOURS
    chance = draw.below("texture colour", 4, *shape)
    names = list(COLOURS)
    ink = (chance == 2) & ~on_dark[:, None]
    neutral = np.where(ink, names.index("ink"), names.index("cream"))
    return np.where(chance == 3, other, neutral)


def draw_backgrounds(draw: Draws, colour: Numbers, least: int) -> Numbers:
    """Return one background each, (N,), evenly among those `colour` stands out from."""
    allowed = far_apart(least)[colour]  # (N, backgrounds)
    keys = draw.bits("background", len(BACKGROUND_RGB)) >> np.uint64(1)
    keys[~allowed] += np.uint64(2**63)
    lowest: Numbers = keys.argmin(axis=1)
    return lowest


def draw_clutter(draw: Draws, level: Difficulty) -> Strokes:
    """Return short thin strokes anywhere."""
    s = level.clutter[1]
    return Strokes(
        centre=draw.uniform("clutter centre", s, 2),
        rotation=draw.direction("clutter rotation", s),
        half_length=draw.uniform("clutter length", s, low=0.02, high=0.09),
        half_width=draw.uniform("clutter width", s, low=0.008, high=0.02),
        colour=draw.below("clutter colour", len(COLOURS), s),
        present=np.arange(s) < counts(draw, "clutter", level.clutter)[:, None],
    )


def draw_occluders(draw: Draws, level: Difficulty, radius: Columns) -> Strokes:
    """Return bars, and blobs for a third, placed relative to the main object's centre."""
    s = level.occluders[1]
    blob = draw.below("occluder blob", 3, s) == 0
    bar_length = draw.uniform("bar length", s, low=1.3, high=2.2)
    blob_length = draw.uniform("blob length", s, low=0.1, high=0.35)
    bar_width = draw.uniform("bar width", s, low=0.1, high=0.17)
    blob_width = draw.uniform("blob width", s, low=0.26, high=0.4)
    offset = draw.uniform("occluder offset", s, 2, low=-0.65, high=0.65)
    return Strokes(
        centre=offset * radius[:, None, None],
        rotation=draw.direction("occluder rotation", s),
        half_length=np.where(blob, blob_length, bar_length) * radius[:, None],
        half_width=np.where(blob, blob_width, bar_width) * radius[:, None],
        colour=draw.below("occluder colour", len(COLOURS), s),
        present=np.arange(s) < counts(draw, "occluders", level.occluders)[:, None],
    )
