"""A page of images, one row a class: what a person looks at before believing a label."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from vislab.data.arrays import Arrays
from vislab.data.decode import decode, fit_square
from vislab.data.listing import Listing, Reader
from vislab.errors import DataError

INK, FAINT, PAPER = (30, 30, 34), (125, 125, 132), (255, 255, 255)
LONGEST = 270  # pixels of a class name
NARROWEST = 520  # pixels of the sheet, so that its heading fits
GAP, MARGIN, TOP = 4, 18, 56
NEVER_DRAWN = "\U0010ffff"  # a code point without a sign: a font shows its empty box


def contact_sheet(
    images: Listing | Arrays, *, per_class: int = 8, side: int = 96, classes: int = 12
) -> Image.Image:
    """Draw up to `per_class` images of up to `classes` classes, each evenly spaced over all.

    Each is the middle square of `side` pixels, as a network gets it. One that cannot be read is a
    crossed box. A class name in signs that the font lacks is shown as the number of the class.
    """
    shown = _spaced(np.arange(len(images.classes)), classes)
    square = _squares(images, side)
    title, plain, small = (ImageFont.load_default(size) for size in (17, 14, 12))
    names = [_fitting(images.classes[n], plain, LONGEST, f"class {n}") for n in shown]
    left = MARGIN + 14 + max(90, *(math.ceil(plain.getlength(name)) for name in names))
    width = max(left + per_class * (side + GAP) - GAP + MARGIN, NARROWEST)
    sheet = Image.new("RGB", (width, TOP + len(shown) * (side + GAP) - GAP + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    heading = _fitting(images.name, title, width // 2 - MARGIN, "images")
    draw.text((MARGIN, TOP - 20), heading, INK, title, anchor="ls")
    after = max(left, MARGIN + 14 + math.ceil(title.getlength(heading)))
    draw.text((after, TOP - 20), _about(images, len(shown)), FAINT, small, anchor="ls")
    for place, (label, name) in enumerate(zip(shown, names, strict=True)):
        y = TOP + place * (side + GAP)
        rows = np.flatnonzero(images.labels == label)
        draw.text((MARGIN, y + side // 2), name, INK, plain, anchor="ls")
        draw.text((MARGIN, y + side // 2 + 17), _counted(len(rows)), FAINT, small, anchor="ls")
        for column, row in enumerate(_spaced(rows, per_class)):
            x = left + column * (side + GAP)
            pixels = square(int(row))
            if pixels is None:
                _cross(draw, x, y, side)
            else:
                sheet.paste(Image.fromarray(pixels), (x, y))
    return sheet


def _squares(
    images: Listing | Arrays, side: int
) -> Callable[[int], UInt8[np.ndarray, "s s 3"] | None]:
    """Return a function that gives the middle square of an image, or None where it is damaged."""
    if isinstance(images, Arrays):
        pixels = images.pixels
        return lambda row: fit_square(Image.fromarray(pixels[row]), side)
    listing, reader = images, Reader(images.sources)

    def square(row: int) -> UInt8[np.ndarray, "s s 3"] | None:
        try:
            content = reader.read(int(listing.source_of[row]), listing.members[row])
            return fit_square(decode(content, listing.where(row), at_least=side), side)
        except DataError:
            return None  # drawn as a crossed box

    return square


def _spaced(rows: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " m"]:
    """Return at most `most` of the rows, from the first to the last in equal steps."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _about(images: Listing | Arrays, shown: int) -> str:
    total = len(images.classes)
    classes = f"{total} classes" if shown == total else f"{shown} of {total} classes"
    return f"{_counted(len(images))}, {classes}; the middle square of each"


def _counted(n: int) -> str:
    return f"{n} image" if n == 1 else f"{n} images"


def _fitting(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, otherwise: str
) -> str:
    """Return the text, shortened to `width` pixels; `otherwise` where the font lacks its signs."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    missing = bytes(font.getmask(NEVER_DRAWN))
    if any(letter.strip() and bytes(font.getmask(letter)) == missing for letter in set(text)):
        return otherwise
    if font.getlength(text) <= width:
        return text
    keep = math.floor(len(text) * width / font.getlength(text))
    while keep and font.getlength(text[:keep] + "…") > width:
        keep -= 1
    return text[:keep].rstrip() + "…"


def _cross(draw: ImageDraw.ImageDraw, x: int, y: int, side: int) -> None:
    far = side - 1
    draw.rectangle((x, y, x + far, y + far), outline=FAINT)
    draw.line((x, y, x + far, y + far), fill=FAINT)
    draw.line((x, y + far, x + far, y), fill=FAINT)
