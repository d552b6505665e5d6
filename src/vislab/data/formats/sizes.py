"""How large an image is, from the head of its file: as stored, and as it is seen.

`data.decode.upright` turns images as their EXIF note says, so everything that counts pixels in
vislab counts those of the turned image.
"""

from dataclasses import dataclass
from pathlib import Path

from vislab.data.decode import open_image

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
    with open_image(path) as header:
        has_note = header.format != "PNG" or "exif" in header.info
        orientation = header.getexif().get(0x0112, 1) if has_note else 1
        width, height = header.size
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
