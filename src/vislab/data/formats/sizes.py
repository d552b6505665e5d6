"""How large an image is, from the head of its file: as stored, and as it is seen.

`data.decode.upright` turns images as their EXIF note says, so everything that counts pixels in
vislab counts those of the turned image.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from vislab.data.decode import hushed
from vislab.errors import DataError

SWAPPING = (5, 6, 7, 8)  # EXIF orientations after which width is height


@dataclass(frozen=True)
class Size:
    """Width and height in pixels."""

    stored: tuple[int, int]
    seen: tuple[int, int]  # after the EXIF note has turned it
    turned: bool


def size_of(path: Path) -> Size:
    """Return the size of an image file, which is not decoded.

    Raises DataError, with the reason alone, when it is no image. An EXIF note that stands behind
    the pixels of a PNG, where hardly any program writes it, is not seen.
    """
    try:
        with hushed(), Image.open(path) as header:
            has_note = header.format != "PNG" or "exif" in header.info
            orientation = header.getexif().get(0x0112, 1) if has_note else 1
            width, height = header.size
    except (
        Image.DecompressionBombError,
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        MemoryError,
        IndexError,
        KeyError,
        TypeError,
        struct.error,
    ) as error:
        if isinstance(error, UnidentifiedImageError):
            raise DataError("it is no image that can be read") from error
        if isinstance(error, Image.DecompressionBombError):
            raise DataError("it has too many pixels for an image to learn from") from error
        raise DataError(str(error) or "it is damaged") from error
    seen = (height, width) if orientation in SWAPPING else (width, height)
    return Size((width, height), seen, orientation in range(2, 9))


def disagreement(size: Size, stated: tuple[int, int], who: str = "the annotation") -> str | None:
    """Say how what `who` states differs from what is seen, or None where it does not."""
    if stated == size.seen:
        return None
    if stated == size.stored:
        return (
            f"{who} counts the image as it is stored and its EXIF note turns it: "
            f"{_written(size.stored)} to {_written(size.seen)}; save the image turned"
        )
    return f"{who} is of another size: {_written(stated)}, its image {_written(size.seen)}"


def _written(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
