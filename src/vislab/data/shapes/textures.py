"""Textures: how far each point of an object is from its colour to its texture colour.

Every function returns numbers in [0, 1]; 0 is the object's colour, 1 the texture's. Textures live
in the object's frame, in radii, and turn with it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vislab.data.shapes.kinds import Plane


def ramp(value: Plane) -> Plane:
    """Clip to [0, 1] in place."""
    np.maximum(value, 0, out=value)
    return np.minimum(value, 1, out=value)


def smooth(t: Plane) -> Plane:
    """Return 3t² − 2t³: from 0 to 1 without a kink at either end."""
    return t * t * (3 - 2 * t)


def triangle_wave(phase: Plane) -> Plane:
    """Return 0 at whole numbers, 1 halfway between them, and straight lines in between."""
    wave: Plane = phase - np.floor(phase)
    wave -= 0.5
    np.abs(wave, out=wave)
    wave *= -2
    wave += 1
    return wave


def bands(phase: Plane, sharpness: Plane) -> Plane:
    """Return 0 and 1 in turn, half a period each; an edge is 1 / `sharpness` periods wide."""
    wave = triangle_wave(phase)
    wave -= 0.5
    wave *= sharpness * 0.5
    wave += 0.5
    return ramp(wave)


def plain(x: Plane, y: Plane, frequency: Plane, sharpness: Plane) -> Plane:
    """One colour."""
    return np.zeros_like(x)


def stripes(x: Plane, y: Plane, frequency: Plane, sharpness: Plane) -> Plane:
    """Straight bands."""
    return bands(y * frequency + 0.25, sharpness)


def checker(x: Plane, y: Plane, frequency: Plane, sharpness: Plane) -> Plane:
    """Squares in two colours."""
    across = bands(x * frequency * 0.75, sharpness * (4 / 3))
    down = bands(y * frequency * 0.75, sharpness * (4 / 3))
    return across + down - 2 * across * down


def dots(x: Plane, y: Plane, frequency: Plane, sharpness: Plane) -> Plane:
    """Round dots on a square lattice, four of them around the centre."""
    across = triangle_wave(x * frequency + 0.5) * 0.5  # distance to the nearest column, in periods
    down = triangle_wave(y * frequency + 0.5) * 0.5
    distance: Plane = np.sqrt(across * across + down * down)
    np.subtract(0.3, distance, out=distance)
    distance *= sharpness
    distance += 0.5
    return ramp(distance)


def gradient(x: Plane, y: Plane, frequency: Plane, sharpness: Plane) -> Plane:
    """From the first colour at the top to mostly the second at the bottom."""
    return ramp(y * 0.4 + 0.4)


# (x, y, frequency, sharpness): points in radii, periods per radius, pixels per period
TEXTURES: dict[str, Callable[[Plane, Plane, Plane, Plane], Plane]] = {
    "plain": plain,
    "stripes": stripes,
    "checker": checker,
    "dots": dots,
    "gradient": gradient,
}
PLAIN = list(TEXTURES).index("plain")


def texture_mix(
    texture: NDArray[np.int64], frequency: Plane, pixels: Plane, x: Plane, y: Plane
) -> Plane:
    """Return how much of its texture colour each point shows.

    `texture` (K,) holds places in `TEXTURES`, `frequency` (K,) periods per radius, `pixels` (K,)
    pixels per radius; `x` and `y` are (K, …) in radii.
    """
    mix = np.empty_like(x)
    for number in np.unique(texture):
        chosen = np.flatnonzero(texture == number)
        periods = frequency[chosen].reshape(-1, *(1,) * (x.ndim - 1))
        sharpness = pixels[chosen].reshape(periods.shape) / periods
        pattern = list(TEXTURES.values())[number]
        mix[chosen] = pattern(x[chosen], y[chosen], periods, sharpness)
    return mix
