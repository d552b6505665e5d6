"""What a mask file holds for each pixel, before anything is said about classes.

Nothing is scaled or converted on the way: samples of two and four bits, which Pillow spreads over
0 to 255, are made small again, and 16 bits a colour, of which Pillow keeps eight, are refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from vislab.data.decode import open_image, room_for
from vislab.errors import DataError

Kind = Literal["bits", "grey", "index", "colour", "smeared"]

SMEARING = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF", "HEIF"})
SPREAD = {"L;2": 85, "L;4": 17}  # by what Pillow multiplies samples of so many bits
DARK, BRIGHT = 24, 231  # as far as JPEG smears black and white
TINTED = 48  # between the channels of a grey that JPEG has smeared


@dataclass(frozen=True, eq=False)
class Pixels:
    """One mask. `values` are 0 and 1, greys, places in the palette, or colours as 0xRRGGBB.

    Of a file that smears they are 0 and 255, cut in the middle, and `flaw` says why they cannot be
    used, where they cannot. `hidden` are the transparent pixels, None where none is.
    """

    kind: Kind
    values: Int[np.ndarray, "..."]
    palette: Int[np.ndarray, " 256"] | None = None  # colours as 0xRRGGBB
    hidden: Bool[np.ndarray, "..."] | None = None
    flaw: str = ""


def pixels_of(path: Path) -> Pixels:
    """Read one mask. Raises DataError, with the reason alone."""
    try:
        with open_image(path) as image, room_for(image):
            tiles = getattr(image, "tile", ())  # which a file that is opened has
            packing = str(tiles[0].args) if tiles else ""
            pages = getattr(image, "n_frames", 1)
            if pages > 1 and image.format != "MPO":
                raise DataError(f"the mask holds {pages} pages: save the one that matters alone")
            image.load()
            if _smears(image, path):
                return _smeared(image)
            return _exact(image, packing)
    except DataError as error:
        reason = str(error)
        if not reason.startswith("the mask "):
            reason = f"the mask cannot be read: {path.name} {reason}"
        raise DataError(reason) from error


def _exact(image: Image.Image, packing: str) -> Pixels:
    mode = image.mode
    if any(deep in packing for deep in ("RGB;16", "RGBA;16", "RGBX;16", "LA;16")):
        raise DataError("the mask holds 16 bits a colour: save it with 8")
    if mode == "1":
        return Pixels("bits", np.asarray(image).astype(np.int32))
    hidden = _hidden(image)
    if mode in ("P", "PA"):
        values = np.asarray(image).astype(np.int32)
        values = values if values.ndim == 2 else values[..., 0]
        return Pixels("index", values, _palette(image), hidden)
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        raise DataError(f"the mask holds colours in the mode {mode}: save it as RGB")
    content = np.asarray(image)
    if content.ndim == 2:
        scale = next((by for bits, by in SPREAD.items() if bits in packing), 1)
        return Pixels("grey", _whole(content) // scale, hidden=hidden)
    content = content[..., : 1 if mode in ("LA", "La") else 3].astype(np.int32)
    if (content == content[..., :1]).all():
        return Pixels("grey", content[..., 0], hidden=hidden)
    return Pixels("colour", packed(content), hidden=hidden)


def packed(colours: Int[np.ndarray, "... 3"]) -> Int[np.ndarray, "..."]:
    """Return colours as one number each, 0xRRGGBB."""
    one: np.ndarray = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    return one


def _whole(content: np.ndarray) -> Int[np.ndarray, "h w"]:
    if not np.isfinite(content).all() or content.min() < 0 or content.max() > 65535:
        raise DataError("the mask holds numbers below 0 or beyond 65535")
    whole: np.ndarray = content.astype(np.int32)
    if (content != whole).any():
        raise DataError("the mask holds fractions")
    return whole


def _palette(image: Image.Image) -> Int[np.ndarray, " 256"]:
    told = np.array(image.getpalette("RGB") or [], dtype=np.int32).reshape(-1, 3)[:256]
    palette = np.zeros(256, dtype=np.int32)
    palette[: len(told)] = packed(told)
    return palette


def _hidden(image: Image.Image) -> Bool[np.ndarray, "h w"] | None:
    """Return which pixels are transparent; of an edge that fades, from the middle on."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and (
        "transparency" not in image.info or image.mode not in ("L", "P", "RGB")
    ):
        return None
    alpha: UInt8[np.ndarray, "h w"] = np.asarray(image.convert("RGBA"))[..., 3]
    fades = np.count_nonzero(np.bincount(alpha.reshape(-1), minlength=256)) > 2
    hidden: np.ndarray = alpha < (128 if fades else 1)
    return hidden if hidden.any() else None


def _smears(image: Image.Image, path: Path) -> bool:
    if image.format != "WEBP":
        return image.format in SMEARING
    with path.open("rb") as file:
        return b"VP8L" not in file.read(64)


def _smeared(image: Image.Image) -> Pixels:
    """Cut between black and white, if it is those that were smeared."""
    colours = np.asarray(image.convert("RGB")).astype(np.int16)
    grey = colours.mean(axis=-1)
    flaw = ""
    if ((colours.max(axis=-1) - colours.min(axis=-1)) > TINTED).mean() > 0.002:
        flaw = "the mask holds colours that JPEG has smeared: save it as PNG, from the original"
    elif _inner((grey > DARK) & (grey < BRIGHT)).mean() > 0.002:
        flaw = (
            "the mask holds more than black and white and JPEG has smeared it: save it as PNG, "
            "from the original"
        )
    elif 0 < grey.max() <= DARK:
        flaw = (
            "the mask holds nothing but dark greys and JPEG has smeared them: save it as PNG, "
            "from the original"
        )
    return Pixels("smeared", np.where(grey >= 128, 255, 0), flaw=flaw)


def looks_smeared_bilevel(image: Image.Image) -> bool:
    """Say whether a JPEG is black and white but for its smeared edges."""
    return not _smeared(image).flaw


def _inner(region: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels all of whose neighbours are in the region too: an edge has none."""
    wide = np.pad(region, 1)
    inner = region.copy()
    height, width = region.shape
    for down in range(3):
        for across in range(3):
            inner &= wide[down : down + height, across : across + width]
    return inner
