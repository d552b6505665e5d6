"""What images are normalised by: mean and std of each channel, measured on them."""

import numpy as np
from jaxtyping import Int, UInt8

from vislab.errors import DataError

MOST_BYTES, MOST_PIXELS = 500_000_000, 4_000_000
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std, in [0, 1]


def measured(
    pixels: UInt8[np.ndarray, "all s s 3"], rows: Int[np.ndarray, " n"], *, scaled: bool = True
) -> Normalisation:
    """Return mean and standard deviation of each channel in [0, 1], over these images.

    Of many or large images about four million pixels, drawn at random from half a gigabyte of them:
    of a regular pattern, every second row would be one and the same stripe. The std is 1 where the
    images are only to be centred. Raises DataError when there are none.
    """
    if not len(rows):
        raise DataError("there are no images to train on; put some in the split called train")
    rng = np.random.default_rng([len(rows), pixels.shape[1]])
    side = pixels.shape[1] * pixels.shape[2]
    chosen = np.sort(rng.permutation(len(rows))[: max(1, MOST_BYTES // (3 * side))])
    each = max(1, min(side, MOST_PIXELS // len(chosen)))
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for start in range(0, len(chosen), 50):
        part = pixels[rows[chosen[start : start + 50]]].reshape(-1, side, 3)
        if each < side:  # the same places of fifty images, others of the next
            part = part[:, rng.choice(side, each, replace=False)]
        values = part.reshape(-1, 3) / 255.0
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
        count += len(values)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
    if not scaled:
        std = np.ones(3)
    return tuple(map(float, mean)), tuple(map(float, std))
