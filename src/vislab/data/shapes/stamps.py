"""Everything solid in a batch of scenes as one list of stamps, and the pixels each can touch.

A stamp is one shape in one image. It is worked out only inside a square window around it;
stamps of like windows form a `Patch`, whose arrays are (K, w, w). Layers go from back to front:
clutter, then objects by depth, then occluders.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vislab.data.shapes.kinds import REACH, STROKE, Plane
from vislab.data.shapes.palette import BACKGROUND_RGB, RGB
from vislab.data.shapes.scene import Scenes, Strokes
from vislab.data.shapes.textures import PLAIN, ramp

Numbers = NDArray[np.int64]

BATCH_PIXELS = 128 * 256  # worked on at once: a plane of them, 128 KiB, stays in the cache
NO_SLOT = -1  # of a stroke
LADDER = np.array([8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024])


@dataclass(frozen=True, eq=False, kw_only=True)
class Stamps:
    """K shapes; lengths in image sides unless they say radii."""

    row: Numbers  # (K,) which scene
    layer: Numbers  # (K,) 0 is farthest
    slot: Numbers  # (K,) which object of the scene, or NO_SLOT
    kind: Numbers  # (K,) places in `CLASSES`, or STROKE
    centre: Plane  # (K, 2)
    radius: Plane  # (K,) of a stroke: half its thickness
    rotation: Plane  # (K, 2)
    half_length: Plane  # (K,) in radii
    colour: Plane  # (K, 3) in [0, 255]
    texture: Numbers  # (K,)
    texture_colour: Plane  # (K, 3)
    texture_frequency: Plane  # (K,)
    shading: Plane  # (K,) how much brighter the lit edge is than the middle
    outline: Plane  # (K,) how much darker the outline is
    shadow: Plane  # (K,) how dark the shadow is
    shadow_shift: Plane  # (K, 2) in radii
    shadow_softness: Plane  # (K,) half the width of the shadow's edge, in radii

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, chosen: Numbers) -> "Stamps":
        return Stamps(**{name: column[chosen] for name, column in vars(self).items()})


def stamps(scenes: Scenes) -> Stamps:
    """Return every present shape of the scenes."""
    slots, behind = scenes.kind.shape[1], scenes.clutter.present.shape[1]
    parts = [
        strokes_as_stamps(scenes, scenes.clutter, layer=0, faded=0.5, shadow=0.0),
        objects_as_stamps(scenes, layer=behind),
        strokes_as_stamps(scenes, scenes.occluders, layer=behind + slots, faded=0.1, shadow=0.35),
    ]
    names = vars(parts[0])
    return Stamps(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in names})


def towards_background(scenes: Scenes, row: Numbers, colour: Plane, strength: Plane) -> Plane:
    """Return colours (K, 3), of strength 1 as they are, of strength 0 as their background."""
    ends = BACKGROUND_RGB[scenes.background[row]]
    middle = (ends[:, 0] + ends[:, 1]) * np.float32(0.5)
    return middle + (colour - middle) * strength[:, None]


def objects_as_stamps(scenes: Scenes, layer: int) -> Stamps:
    """Return the present objects, in layers from `layer` on."""
    row, slot = np.nonzero(scenes.present)
    contrast = scenes.contrast[row]
    colour = towards_background(scenes, row, RGB[scenes.colour[row, slot]], contrast)
    other = towards_background(scenes, row, RGB[scenes.texture_colour[row, slot]], contrast)
    like_all = np.ones(len(row), dtype=np.float32)
    return Stamps(
        row=row,
        layer=layer + scenes.depth[row, slot],
        slot=slot,
        kind=scenes.kind[row, slot],
        centre=scenes.centre[row, slot],
        radius=scenes.radius[row, slot],
        rotation=scenes.rotation[row, slot],
        half_length=0 * like_all,
        colour=colour,
        texture=scenes.texture[row, slot],
        texture_colour=colour + (other - colour) * np.float32(0.85),
        texture_frequency=scenes.texture_frequency[row, slot],
        shading=0.14 * like_all,
        outline=0.3 * like_all,
        shadow=0.4 * like_all,
        shadow_shift=-0.13 * scenes.light[row],
        shadow_softness=0.2 * like_all,
    )


def strokes_as_stamps(
    scenes: Scenes, strokes: Strokes, *, layer: int, faded: float, shadow: float
) -> Stamps:
    """Return the present strokes, in layers from `layer` on, `faded` towards the background."""
    row, place = np.nonzero(strokes.present)
    like_all = np.ones(len(row), dtype=np.float32)
    strength = np.float32(1 - faded) * scenes.contrast[row]
    colour = towards_background(scenes, row, RGB[strokes.colour[row, place]], strength)
    return Stamps(
        row=row,
        layer=layer + place,
        slot=np.full(len(row), NO_SLOT),
        kind=np.full(len(row), STROKE),
        centre=strokes.centre[row, place],
        radius=strokes.half_width[row, place],
        rotation=strokes.rotation[row, place],
        half_length=strokes.half_length[row, place] / strokes.half_width[row, place],
        colour=colour,
        texture=np.full(len(row), PLAIN),
        texture_colour=colour,
        texture_frequency=like_all,
        shading=0 * like_all,
        outline=0 * like_all,
        shadow=shadow * like_all,
        shadow_shift=-0.4 * scenes.light[row],
        shadow_softness=0.6 * like_all,
    )


@dataclass(frozen=True, eq=False)
class Patch:
    """Stamps whose windows are equally wide, sorted by layer."""

    stamps: Stamps
    left: Numbers  # (K,) first column of each window
    top: Numbers  # (K,)
    width: int  # of the windows, in pixels
    size: int  # of the images

    def __getitem__(self, chosen: Numbers) -> "Patch":
        left, top = self.left[chosen], self.top[chosen]
        return Patch(self.stamps[chosen], left, top, self.width, self.size)

    def batches(self) -> Iterator[Numbers]:
        """Yield the places of a few stamps at a time, like kinds and textures together."""
        alike = np.lexsort((self.stamps.texture, self.stamps.kind))
        step = max(1, BATCH_PIXELS // self.width**2)
        for start in range(0, len(alike), step):
            yield alike[start : start + step]

    def local(self) -> tuple[Plane, Plane]:
        """Return every pixel's middle in its stamp's frame, in radii, (K, w, w) each."""
        s = self.stamps
        middles = np.arange(self.width, dtype=np.float32) + 0.5
        x = (self.left[:, None] + middles).astype(np.float32) / self.size - s.centre[:, :1]
        y = (self.top[:, None] + middles).astype(np.float32) / self.size - s.centre[:, 1:]
        a, b = (s.rotation / s.radius[:, None]).T[:, :, None]
        u = (a * x)[:, None, :] + (b * y)[:, :, None]
        v = (a * y)[:, :, None] - (b * x)[:, None, :]
        return u, v

    def coverage(self, distance: Plane) -> Plane:
        """Return how much of each pixel lies inside, [0, 1], from distances in radii.

        The edge is a straight ramp one pixel wide, which is exact for an edge along the pixels.
        """
        scale = -self.stamps.radius * self.size
        covered: Plane = distance * scale[:, None, None]
        covered += 0.5
        return ramp(covered)

    def rows(self, planes: int) -> Numbers:
        """Return where each window's rows begin in images of shape (n, planes, size, size).

        The result is (K, planes, w), counted in pixels from the very first.
        """
        plane = self.stamps.row[:, None] * planes + np.arange(planes)  # (K, planes)
        line = self.top[:, None] + np.arange(self.width)  # (K, w)
        start = (plane[:, :, None] * self.size + line[:, None]) * self.size
        return start + self.left[:, None, None]

    def by_layer(self) -> Iterator[tuple[int, slice]]:
        """Yield each layer that occurs with runs of its stamps, farthest first."""
        layers, starts = np.unique(self.stamps.layer, return_index=True)
        ends = [*starts[1:], len(self.stamps)]
        step = max(1, BATCH_PIXELS // self.width**2)
        for layer, start, end in zip(layers, starts, ends, strict=True):
            for first in range(int(start), int(end), step):
                yield int(layer), slice(first, min(first + step, int(end)))


def patches(all_stamps: Stamps, size: int) -> list[Patch]:
    """Return the stamps in groups of like windows, those with and without a shadow apart."""
    s = all_stamps
    half = np.where(
        (s.kind == STROKE)[:, None], np.abs(s.rotation) * s.half_length[:, None] + 1, REACH
    ).astype(np.float32)
    casts = (s.shadow > 0)[:, None]
    shadow_half = half + s.shadow_softness[:, None]
    low = np.where(casts, np.minimum(-half, s.shadow_shift - shadow_half), -half)
    high = np.where(casts, np.maximum(half, s.shadow_shift + shadow_half), half)
    first = np.floor((s.centre + low * s.radius[:, None]) * size - 0.5).astype(np.int64)  # (K, 2)
    last = np.ceil((s.centre + high * s.radius[:, None]) * size + 0.5).astype(np.int64)
    need = (last - first).max(axis=1)
    ladder = np.append(LADDER[size > LADDER], size)
    width = ladder[np.minimum(np.searchsorted(ladder, need), len(ladder) - 1)]
    start = first - (width[:, None] - (last - first)) // 2
    start = np.minimum(np.maximum(start, 0), size - width[:, None])
    out = []
    for group in np.unique(width * 2 + casts[:, 0]):
        chosen = np.flatnonzero(width * 2 + casts[:, 0] == group)
        chosen = chosen[np.argsort(s.layer[chosen], kind="stable")]
        left, top = start[chosen].T
        out.append(Patch(s[chosen], left, top, int(group // 2), size))
    return out


def back_to_front(groups: list[Patch]) -> Iterator[tuple[int, slice]]:
    """Yield (place in `groups`, run of its stamps) so that nearer layers come later."""
    runs = [
        (layer, place, run) for place, patch in enumerate(groups) for layer, run in patch.by_layer()
    ]
    for _, place, run in sorted(runs, key=lambda item: item[:2]):
        yield place, run
