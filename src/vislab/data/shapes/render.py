"""Turn scenes into images, the same on every machine.

Anti-aliased by signed distances: a pixel's share of a shape is read off its distance to the
outline. Nothing but + − × ÷, square root, minimum, maximum, comparison and rounding touches a
pixel, in float32, one operation at a time; IEEE 754 defines each to the last bit. Grain comes from
a hash of (seed, index, pixel), so an image does not depend on its batch.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vislab.data.shapes.backgrounds import background_mix
from vislab.data.shapes.counter import Counts
from vislab.data.shapes.kinds import Plane, signed_distance
from vislab.data.shapes.palette import BACKGROUND_RGB
from vislab.data.shapes.scene import Scenes
from vislab.data.shapes.stamps import Patch, back_to_front, patches, stamps
from vislab.data.shapes.textures import PLAIN, ramp, texture_mix
from vislab.errors import OptionError

SMALLEST, LARGEST = 8, 1024
CHUNK_PIXELS = 128 * 64 * 64  # images worked on together: long enough arrays, small enough memory
OUTLINE_WIDTH = 0.09  # in radii

Images = NDArray[np.uint8]


def render(scenes: Scenes, size: int = 64) -> Images:
    """Return the images, (N, size, size, 3), red, green, blue.

    A scene looks the same at every size, except that grain is one pixel wide at each.
    Raises OptionError for a size outside 8 … 1024.
    """
    check_size(size)
    out = np.empty((len(scenes), size, size, 3), dtype=np.uint8)
    step = max(1, CHUNK_PIXELS // (size * size))
    chunks = [slice(start, start + step) for start in range(0, len(scenes), step)]

    def work(chunk: slice) -> None:
        finish(scenes[chunk], paint(scenes[chunk], size), out[chunk])

    threads = min(len(chunks), os.cpu_count() or 1)
    if threads <= 1:
        for chunk in chunks:
            work(chunk)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, chunks))  # a list, so that an error in a thread is raised here
    return out


def check_size(size: int) -> None:
    """Refuse an image side that cannot be drawn."""
    if not SMALLEST <= size <= LARGEST:
        raise OptionError(
            f"size={size} is not in {SMALLEST} … {LARGEST} pixels; draw at the nearest and resize"
        )


def paint(scenes: Scenes, size: int) -> Plane:
    """Return the colours before light and grain, (N, 3, size, size), in [0, 255]."""
    canvas = paint_background(scenes, size)
    groups = patches(stamps(scenes), size)
    layers = [paint_patch(patch, scenes.light) for patch in groups]
    for place, run in back_to_front(groups):
        patch, (through, light, mix) = groups[place], layers[place]
        # every window row is one run of `width` floats of the canvas; no two rows overlap, since
        # a layer holds one stamp a scene
        lines = sliding_window_view(canvas.reshape(-1), patch.width, writeable=True)
        rows = patch.rows(3)[run]  # (k, 3, w)
        colour = patch.stamps.colour[run, :, None, None]
        under = lines[rows]  # (k, 3, w, w)
        under *= through[run, None]
        if mix is None:
            under += colour * light[run, None]
        else:
            over = (patch.stamps.texture_colour[run, :, None, None] - colour) * mix[run, None]
            over += colour
            over *= light[run, None]
            under += over
        lines[rows] = under
    return canvas


def paint_background(scenes: Scenes, size: int) -> Plane:
    """Return the empty canvas, (N, 3, size, size)."""
    mix = background_mix(
        scenes.background_kind,
        scenes.background_direction,
        scenes.background_frequency,
        scenes.key,
        size,
    )
    first, second = BACKGROUND_RGB[scenes.background].transpose(1, 0, 2)[..., None, None]
    canvas: Plane = (second - first) * mix[:, None]
    canvas += first
    return canvas


def paint_patch(patch: Patch, light: Plane) -> tuple[Plane, Plane, Plane | None]:
    """Return how much shines through, coverage times light, and texture mix, (K, w, w) each.

    `light` (N, 2) is that of the scenes. The mix is None where no stamp has a texture.
    """
    shape = (len(patch.stamps), patch.width, patch.width)
    through, lit = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    textured = (patch.stamps.texture != PLAIN).any()
    mix = np.empty(shape, dtype=np.float32) if textured else None
    for batch in patch.batches():
        few = patch[batch]
        s = few.stamps
        x, y = few.local()
        distance = signed_distance(s.kind, s.half_length, x, y)
        covered = few.coverage(distance)
        open_part = 1 - covered
        if s.shadow.any():  # not clutter, which is flat
            open_part *= shadow(few, x, y)
            distance += OUTLINE_WIDTH
            inner = few.coverage(distance)  # 0 on the outline, 1 within
            if mix is not None:  # an outline in one colour holds a torn texture together
                mix[batch] = inner * texture_mix(
                    s.texture, s.texture_frequency, s.radius * few.size, x, y
                )
            covered *= shading(few, light[s.row], x, y, inner)
        through[batch] = open_part
        lit[batch] = covered
    return through, lit, mix


def shadow(patch: Patch, x: Plane, y: Plane) -> Plane:
    """Return what the stamps' shadows leave of the light on what lies behind, (K, w, w)."""
    s = patch.stamps
    a, b = s.rotation.T[:, :, None, None]
    c, d = s.shadow_shift.T[:, :, None, None]
    left = signed_distance(s.kind, s.half_length, x - (a * c + b * d), y - (a * d - b * c))
    left *= (-0.5 / s.shadow_softness)[:, None, None]
    left += 0.5
    ramp(left)
    left *= left
    left *= -s.shadow[:, None, None]
    left += 1
    return left


def shading(patch: Patch, light: Plane, x: Plane, y: Plane, inner: Plane) -> Plane:
    """Return the factor on the stamps' colours, (K, w, w): lit from one side, outlined darker.

    `light` is (K, 2). `inner` is 0 on the outline and 1 within, and is overwritten.
    """
    s = patch.stamps
    inner *= s.outline[:, None, None]
    inner += 1 - s.outline[:, None, None]
    a, b = s.rotation.T[:, :, None, None]
    e, f = (light * s.shading[:, None]).T[:, :, None, None]
    slope = (a * e + b * f) * x
    slope += (a * f - b * e) * y
    slope += 1
    inner *= slope
    return inner


def finish(scenes: Scenes, canvas: Plane, out: Images) -> None:
    """Apply brightness and grain to `canvas`, which is changed, and round it into `out`."""
    canvas *= scenes.brightness[:, None, None, None]
    bits = grain_bits(scenes.key, canvas.shape[-1])
    # two bytes added have a mean of 255 and a standard deviation of √(2 · (256² − 1) / 12); one of
    # them is shared by the colours, so that grain is mostly grey
    scale = (scenes.noise * np.float32(1 / 104.51))[:, None, None]
    shared = (bits & np.uint32(255)).astype(np.float32)
    shared -= 255
    for colour in range(3):
        grain = (bits >> np.uint32(8 * colour + 8) & np.uint32(255)).astype(np.float32)
        grain += shared
        grain *= scale
        grain += canvas[:, colour]
        np.maximum(grain, 0, out=grain)
        np.minimum(grain, 255, out=grain)
        grain += 0.5
        out[..., colour] = grain  # cut to whole numbers: rounds half up


def grain_bits(key: Counts, size: int) -> NDArray[np.uint32]:
    """Return 32 random bits a pixel, (n, size, size), from the scene's key and its place."""
    lines = np.arange(size, dtype=np.uint32)
    places = scramble(lines[:, None] * np.uint32(65536) + lines + np.uint32(1))
    return scramble((key >> np.uint64(32)).astype(np.uint32)[:, None, None] ^ places)


def scramble(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return Wellons' two-round 32-bit hash of each number ("lowbias32"; nullprogram.com, 2018)."""
    z = bits ^ (bits >> np.uint32(16))
    z *= np.uint32(0x7FEB352D)
    z ^= z >> np.uint32(15)
    z *= np.uint32(0x846CA68B)
    z ^= z >> np.uint32(16)
    return z
