"""How images must look to a network that was trained before: size and normalisation."""

from collections.abc import Iterable
from dataclasses import dataclass

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """What a network with pre-trained weights was shown."""

    size: int  # side of its images, in pixels
    mean: Three  # of each channel, in [0, 1]
    std: Three


def three(values: Iterable[float]) -> Three:
    """Return a value for each of three channels; a single one holds for all."""
    found = tuple(map(float, values))
    red, green, blue = found * 3 if len(found) == 1 else found
    return red, green, blue
