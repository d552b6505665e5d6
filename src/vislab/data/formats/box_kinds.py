"""What four numbers of a box are: corners are often written where a width and a height belong."""

import numpy as np
from jaxtyping import Bool, Float

LEAVING = 0.1  # share of boxes that leave their images, where corners are taken for sizes


def look_like_corners(
    boxes: Float[np.ndarray, "r 4"],
    leaving: Bool[np.ndarray, " r"],
    inside: Bool[np.ndarray, " r"],
) -> bool:
    """Say whether boxes seem to be corners: as sizes some leave the image, as corners none would.

    `leaving` says which leave it as they are read, `inside` which do not if they are corners.
    """
    ordered = (boxes[:, 2:] > boxes[:, :2]).all() and inside.all()
    return bool(ordered and len(boxes) and leaving.mean() >= LEAVING)


def overlaps(
    one: Float[np.ndarray, "r 4"], other: Float[np.ndarray, "r 4"]
) -> Float[np.ndarray, " r"]:
    """Return the intersection over union of each box, xyxy, with the one in its place."""
    least, most = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    shared = (most - least).clip(min=0).prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2]).clip(min=0).prod(axis=1) for box in (one, other)]
    found: Float[np.ndarray, " r"] = shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)
    return found
