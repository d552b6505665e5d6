"""One explanation of one image: the image, and its map over it with a scale."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from vislab.runs.figures.overlays import overlaid
from vislab.runs.figures.style import HEADING, SMALL, house

if TYPE_CHECKING:
    import matplotlib.figure

OUTLIERS = 99.5  # per cent of the values are told apart; single larger pixels hide no others
SIDE = 2.9  # inches


def explanation(
    image: UInt8[np.ndarray, "h w 3"],
    found: Float[np.ndarray, "i j"],
    *,
    title: str,
    unit: str,
    signed: bool = False,
) -> "matplotlib.figure.Figure":
    """Draw the image and, beside it in grey, its map in colours with a bar of its values.

    A signed map is red above 0 and blue below; another runs from grey at 0 to yellow.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    top = limit(found)
    tall = SIDE * image.shape[0] / image.shape[1]
    with house():
        figure = Figure(figsize=(2 * SIDE + 1.0, tall + 0.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, shown in ((left, image), (right, over_image(image, found, signed=signed))):
            axes.imshow(shown, interpolation="antialiased")
            axes.set_axis_off()
        figure.suptitle(title, fontsize=HEADING, fontweight="bold", ha="left", x=0.015)
        scale = Normalize(-top if signed else 0.0, top)
        bar = figure.colorbar(
            ScalarMappable(scale, "RdBu_r" if signed else "inferno"), ax=right, shrink=0.9
        )
        bar.set_label(unit, fontsize=SMALL)
        bar.outline.set_visible(False)
        bar.ax.grid(False)
    return figure


def over_image(
    image: UInt8[np.ndarray, "h w 3"], found: Float[np.ndarray, "i j"], *, signed: bool = False
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the grey image coloured by a map in its own range."""
    top = limit(found)
    if not signed:
        return overlaid(image, np.clip(found, 0, top))
    import matplotlib
    from PIL import Image

    share = np.clip(found / top, -1, 1).astype(np.float32)
    size = (image.shape[1], image.shape[0])
    wide = np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BILINEAR))
    colour = matplotlib.colormaps["RdBu_r"](0.5 + 0.5 * wide)[..., :3]
    grey = 0.35 + 0.6 * image.mean(axis=2, keepdims=True) / 255
    strength = 0.85 * np.abs(wide[..., None]) ** 0.6
    shown: UInt8[np.ndarray, "h w 3"] = (
        (255 * ((1 - strength) * grey + strength * colour).clip(0, 1)).round().astype(np.uint8)
    )
    return shown


def limit(found: Float[np.ndarray, "i j"]) -> float:
    """Return the size of value that gets the strongest colour."""
    top = float(np.percentile(np.abs(found), OUTLIERS))
    return top or float(np.abs(found).max()) or 1.0
