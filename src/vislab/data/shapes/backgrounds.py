"""Backgrounds: how far each point of the image is from the first colour to the second.

Every function returns (n, size, size) in [0, 1], or (n, 1, 1) where all points are alike. Lengths
are in image sides, so that a background looks the same at every size.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vislab.data.shapes.counter import Counts, Draws
from vislab.data.shapes.kinds import Plane
from vislab.data.shapes.textures import ramp, triangle_wave


def smooth(t: Plane) -> Plane:
    """Return 3t² − 2t³: from 0 to 1 without a kink at either end."""
    return t * t * (3 - 2 * t)


def ticks(size: int) -> Plane:
    """Return the middles of `size` pixels, in image sides."""
    return (np.arange(size, dtype=np.float32) + 0.5) / size


def along(direction: Plane, size: int) -> Plane:
    """Return how far each pixel lies from the middle along a unit vector, (n, size, size)."""
    from_middle = ticks(size) - 0.5
    across = direction[:, 0, None, None] * from_middle
    down = direction[:, 1, None, None] * from_middle[:, None]
    return across + down


def flat(direction: Plane, frequency: Plane, key: Counts, size: int) -> Plane:
    """One colour, halfway."""
    return np.full((len(direction), 1, 1), 0.5, dtype=np.float32)


def slope(direction: Plane, frequency: Plane, key: Counts, size: int) -> Plane:
    """From one side of the image to the other."""
    t = along(direction, size)
    t *= 0.85
    t += 0.5
    return ramp(t)


def spot(direction: Plane, frequency: Plane, key: Counts, size: int) -> Plane:
    """A middle, off the centre, in the first colour; the second in the corners."""
    x = ticks(size) - 0.5 - 0.2 * direction[:, 0, None]  # (n, size)
    y = ticks(size) - 0.5 - 0.2 * direction[:, 1, None]
    return ramp((1.6 * x * x)[:, None, :] + (1.6 * y * y)[:, :, None])


def bars(direction: Plane, frequency: Plane, key: Counts, size: int) -> Plane:
    """Soft stripes."""
    phase = along(direction, size)
    phase *= frequency[:, None, None]
    t = smooth(triangle_wave(phase))
    t *= 0.6
    t += 0.2
    return t


def clouds(direction: Plane, frequency: Plane, key: Counts, size: int) -> Plane:
    """Two octaves of value noise: random heights on a lattice, smoothly joined."""
    draw = Draws(key)
    t = 1.1 * heights(draw.uniform("coarse clouds", 4, 4), size)
    t += 0.5 * heights(draw.uniform("fine clouds", 8, 8), size)
    t -= 0.3  # the sum lies in [0, 1.6], mostly near 0.8
    return ramp(t)


def heights(lattice: Plane, size: int) -> Plane:
    """Return lattice heights (n, g, g) joined smoothly over an image, (n, size, size)."""
    place = ticks(size) * (lattice.shape[1] - 1)
    left = place.astype(np.int64)
    t = smooth(place - left)
    rows = lattice[:, :, left] * (1 - t) + lattice[:, :, left + 1] * t  # (n, g, size)
    t = t[:, None]
    return rows[:, left] * (1 - t) + rows[:, left + 1] * t


BACKGROUND_KINDS: dict[str, Callable[[Plane, Plane, Counts, int], Plane]] = {
    "flat": flat,
    "slope": slope,
    "spot": spot,
    "bars": bars,
    "clouds": clouds,
}


def background_mix(
    kind: NDArray[np.int64], direction: Plane, frequency: Plane, key: Counts, size: int
) -> Plane:
    """Return how much of its second colour each pixel of each image shows, (n, size, size).

    `kind` (n,) holds places in `BACKGROUND_KINDS`, `direction` (n, 2) unit vectors, `frequency`
    (n,) periods per image side.
    """
    mix = np.empty((len(kind), size, size), dtype=np.float32)
    for number in np.unique(kind):
        chosen = np.flatnonzero(kind == number)
        paint = list(BACKGROUND_KINDS.values())[number]
        mix[chosen] = paint(direction[chosen], frequency[chosen], key[chosen], size)
    return mix
