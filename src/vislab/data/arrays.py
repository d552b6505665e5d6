"""An image set that comes as raw pixels, whole in memory: CIFAR, MNIST, digits."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from vislab.data.listing import SPLITS


@dataclass(frozen=True, eq=False)
class Arrays:
    """Decoded images of one size, one row an image.

    `pixels` are 0–255; a grey image has its value in all three channels. `splits` holds indices
    into `listing.SPLITS`. `official` says whether the split came with the images; where it did
    not, every row says "train" and drawing a split is the caller's task.
    """

    name: str
    classes: tuple[str, ...]
    pixels: UInt8[np.ndarray, "n h w 3"]
    labels: Int64[np.ndarray, " n"]
    splits: UInt8[np.ndarray, " n"]
    official: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, split: str) -> Int64[np.ndarray, " m"]:
        """Return the row numbers of one split, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))
