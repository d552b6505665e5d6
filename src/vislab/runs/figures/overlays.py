"""Images with a map of evidence laid over them."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from vislab.runs.figures.sheets import image_grid
from vislab.runs.figures.style import shorten

if TYPE_CHECKING:
    import matplotlib.figure

LETTERS = 15  # that fit above an image when four stand side by side


def heatmaps_over_images(
    images: UInt8[np.ndarray, "n h w 3"],
    maps: Float[np.ndarray, "n i j"],
    *,
    titles: list[str],
    columns: int = 4,
) -> "matplotlib.figure.Figure":
    """Draw each image and, beside it, the same with its map: yellow is most, grey is none.

    Each map is shown in its own range, from zero up, and widened smoothly to the image.
    """
    covered = overlaid_all(images, maps)
    pairs = np.stack([shown for pair in zip(images, covered, strict=True) for shown in pair])
    names = []
    for title in titles:
        lines = (shorten(line, LETTERS) for line in title.split("\n"))
        names += ["\n".join(lines), "where it looked"]
    return image_grid(pairs, titles=names, columns=2 * (columns // 2))


def overlaid(
    image: UInt8[np.ndarray, "h w 3"], found: Float[np.ndarray, "i j"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a grey image coloured by a map: the more evidence, the stronger the colour."""
    import matplotlib
    from PIL import Image

    top = float(found.max())
    share = np.clip(found / top if top > 0 else np.zeros_like(found), 0, 1).astype(np.float32)
    size = (image.shape[1], image.shape[0])
    wide = np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    colour = matplotlib.colormaps["inferno"](0.15 + 0.8 * wide)[..., :3]
    grey = image.mean(axis=2, keepdims=True) / 255
    strength = 0.75 * wide[..., None] ** 0.7
    mixed = (1 - strength) * (0.75 * grey) + strength * (0.35 * grey + 0.75 * colour)
    shown: UInt8[np.ndarray, "h w 3"] = (255 * mixed.clip(0, 1)).round().astype(np.uint8)
    return shown


def overlaid_all(
    images: UInt8[np.ndarray, "n h w 3"], maps: Float[np.ndarray, "n i j"]
) -> UInt8[np.ndarray, "n h w 3"]:
    """Return each image with its own map laid over it."""
    return np.stack([overlaid(one, found) for one, found in zip(images, maps, strict=True)])
