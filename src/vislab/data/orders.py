"""In which order the images of an epoch come, and into how many batches they are cut."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Generator

from vislab.errors import OptionError


def steps_an_epoch(count: int, batch: int, world: int) -> int:
    """Return into how many batches an epoch of so many images is cut."""
    if batch < 1:
        raise OptionError(f"--batch {batch} holds no image; use 1 or more")
    steps = max(1, -(-count // batch))
    if count // steps < world:
        raise OptionError(
            f"{count} images in batches of {batch} cannot be shared by {world} processes; "
            "use a larger --batch or fewer processes"
        )
    return steps


def parts_of_epoch(count: int, steps: int, draws: Generator) -> list[Int[np.ndarray, " n"]]:
    """Return the places of an epoch, shuffled and cut into batches that differ by one at most."""
    return np.array_split(torch.randperm(count, generator=draws).numpy(), steps)
