"""What images are normalised by: mean and std of each channel, measured on them."""

import math

import numpy as np
from jaxtyping import Int, UInt8

from vislab.errors import DataError

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std, in [0, 1]


def measured(
    pixels: UInt8[np.ndarray, "all s s 3"], rows: Int[np.ndarray, " n"], *, scaled: bool = True
) -> Normalisation:
    """Return mean and standard deviation of each channel in [0, 1], over these images.

    Of many or large images, evenly chosen images and pixels: about four million. The std
    is 1 where the images are only to be centred. Raises DataError when there are none.
    """
    if not len(rows):
        raise DataError("there are no images to train on; put some in the split called train")
    places = np.linspace(0, len(rows) - 1, min(len(rows), 4_000)).astype(np.int64)
    step = max(1, math.isqrt(len(places) * pixels.shape[1] ** 2 // 4_000_000))
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for start in range(0, len(places), 250):
        chosen = rows[places[start : start + 250]]
        values = pixels[chosen, ::step, ::step].reshape(-1, 3) / 255.0
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
        count += len(values)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
    if not scaled:
        std = np.ones(3)
    return tuple(map(float, mean)), tuple(map(float, std))
