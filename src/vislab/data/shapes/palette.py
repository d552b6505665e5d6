"""The colours of the drawn world, each with the name a person would give it.

Red, green, blue in [0, 255]. The first `OBJECT_COLOURS` may fill an object; the others only appear
in textures and on strokes.
"""

import numpy as np

COLOURS = {
    "red": (222, 72, 74),
    "orange": (241, 138, 58),
    "yellow": (247, 203, 78),
    "green": (98, 172, 94),
    "teal": (38, 150, 146),
    "blue": (70, 132, 214),
    "navy": (48, 70, 132),
    "purple": (140, 98, 190),
    "pink": (238, 128, 168),
    "brown": (146, 100, 72),
    "cream": (251, 244, 228),
    "ink": (42, 45, 60),
}
OBJECT_COLOURS = 10

# A background runs from the first colour to the second.
BACKGROUNDS = {
    "sand": ((246, 236, 216), (230, 210, 180)),
    "mist": ((228, 235, 242), (196, 209, 224)),
    "mint": ((220, 239, 228), (184, 216, 200)),
    "blush": ((250, 228, 222), (236, 198, 194)),
    "lilac": ((232, 226, 244), (204, 194, 226)),
    "sky": ((208, 231, 247), (162, 202, 233)),
    "lemon": ((251, 243, 208), (240, 222, 158)),
    "stone": ((226, 223, 216), (194, 191, 183)),
    "clay": ((206, 162, 138), (176, 128, 106)),
    "steel": ((140, 158, 176), (104, 122, 144)),
    "dusk": ((84, 92, 128), (48, 53, 82)),
    "forest": ((60, 94, 88), (34, 58, 58)),
    "plum": ((98, 70, 106), (60, 42, 70)),
    "night": ((52, 62, 82), (28, 34, 48)),
}

RGB = np.array(list(COLOURS.values()), dtype=np.float32)  # (colours, 3)
BACKGROUND_RGB = np.array(list(BACKGROUNDS.values()), dtype=np.float32)  # (backgrounds, 2, 3)

DARK = BACKGROUND_RGB.mean(axis=(1, 2)) < 110  # (backgrounds,)


def far_apart(least: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Return, (colours, backgrounds), whether a colour stands out from a background.

    Distances are √(2ΔR² + 4ΔG² + 3ΔB²), the usual cheap stand-in for a perceived difference, and
    must be `least` or more from the background's middle.
    """
    middles = BACKGROUND_RGB.mean(axis=1)
    apart = RGB[:, None, :].astype(np.int64) - middles[None].astype(np.int64)
    weighted: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    weighted = (apart * apart * np.array([2, 4, 3])).sum(axis=-1)
    return weighted >= least * least
