"""scikit-learn's 1 797 handwritten digits, 8×8, which come with the package.

They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin, Kaynak 1998, UCI).
Values 0–16 count dark cells; here they are stretched to 0–255.
"""

from pathlib import Path

import numpy as np

from vislab.data.arrays import Arrays
from vislab.data.listing import SPLITS

WHITEST = 16


def arrays(folder: Path | None = None) -> Arrays:
    """Return all of them as "train": no split came with them. `folder` is not looked at."""
    from sklearn.datasets import load_digits

    held = load_digits()
    grey = np.rint(held.images * (255 / WHITEST)).astype(np.uint8)  # (N, 8, 8)
    return Arrays(
        name="digits",
        classes=tuple(str(name) for name in held.target_names),
        pixels=grey[..., None].repeat(3, axis=-1),
        labels=held.target.astype(np.int64),
        splits=np.full(len(grey), SPLITS.index("train"), np.uint8),
    )
