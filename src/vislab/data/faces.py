"""Faces in a photo, and the square around one, cut as the faces of LFW are.

The detector is scikit-image's cascade of local binary patterns (Liao et al. 2007) with the weights
that come with it. It finds faces seen from the front; it was tuned on photos that show few people
of dark skin, and misses more of them.
"""

import numpy as np
from PIL import Image

LONGEST = 640  # pixels: larger photos are searched at this size
SMALLEST = 0.08  # of the photo's short side
INSIDE = 90 / 105  # LFW's 90 pixels are the middle of what the detector marks as 105

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels of the photo


def faces(photo: Image.Image) -> list[Box]:
    """Return the faces' squares, the largest first; they may reach over the photo's edge."""
    from skimage import data
    from skimage.feature import Cascade

    scale = min(1.0, LONGEST / max(photo.size))
    width, height = (max(1, round(side * scale)) for side in photo.size)
    small = np.asarray(photo.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    least, edge = max(24, round(SMALLEST * min(width, height))), min(width, height) // 4
    # A photo that is cut to the face shows less than the detector wants to see around it.
    padded = np.pad(small, ((edge, edge), (edge, edge), (0, 0)), mode="edge")
    most = min(padded.shape[:2])
    if most <= least:
        return []
    weights: str = data.lbp_frontal_face_cascade_filename()  # type: ignore[no-untyped-call]
    found = Cascade(weights).detect_multi_scale(
        img=padded,
        scale_factor=1.1,
        step_ratio=1,
        min_size=(least, least),
        max_size=(most, most),
    )
    squares: list[Box] = []
    for box in sorted(found, key=lambda box: -int(box["width"])):
        left, top, side = box["c"] - edge, box["r"] - edge, box["width"]
        corners = [round(at / scale) for at in (left, top, left + side, top + side)]
        squares.append((corners[0], corners[1], corners[2], corners[3]))
    return squares


def largest_face(photo: Image.Image) -> Image.Image | None:
    """Return the largest face, cut as those of LFW are; None where there is none."""
    found = faces(photo)
    if not found:
        return None
    left, top, right, bottom = found[0]
    side = round((right - left) * INSIDE)
    x, y = (left + right - side) // 2, (top + bottom - side) // 2
    return photo.crop((x, y, x + side, y + side))
