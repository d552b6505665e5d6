"""Bytes of any usual image file to RGB pixels, as a person would see them.

Turned as the camera's EXIF note says; CMYK and palettes converted; 16-bit and float greys scaled
to 8 bits; transparency laid over white; of an animation the first frame.
"""

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from vislab.errors import DataError

# fmt: off
EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pnm", ".tga",
})
# fmt: on
# fmt: off
TURNS = {  # what each EXIF orientation but 1 asks for
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}
# fmt: on
VERSION = 1  # part of a cache's fingerprint: raise it when the same bytes give other pixels


def decode(content: bytes, where: str, *, at_least: int | None = None) -> Image.Image:
    """Return the image in RGB.

    `at_least` allows a JPEG to be decoded at a fraction of its size, as long as its short side
    stays above that many pixels: a photo of 12 megapixels for a 64-pixel network need not be
    unpacked whole. Raises DataError naming `where` when the bytes are no image.
    """
    try:
        with hushed():
            image: Image.Image = Image.open(io.BytesIO(content))
            width, height = image.size
            if at_least is not None and image.format == "JPEG":
                # Twice the wanted side, so that the resize after it still averages.
                scale = 2 * at_least / min(width, height)
                image.draft("RGB", (max(1, round(width * scale)), max(1, round(height * scale))))
            image.load()
            return to_rgb(upright(image))
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{where} has over {2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000} megapixels, "
            "too many for an image to learn from; make it smaller"
        ) from error
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        MemoryError,
        IndexError,
        TypeError,
        struct.error,
    ) as error:
        if isinstance(error, UnidentifiedImageError):
            raise DataError(f"{where} is no image that can be read") from error
        raise DataError(f"{where} is damaged or of an unusual kind ({error})") from error


_lock = threading.Lock()
_inside = 0
_filters = warnings.catch_warnings()


@contextmanager
def hushed() -> Iterator[None]:
    """Keep Pillow from warning, which it does at half the size that it refuses.

    `warnings.catch_warnings` alone puts back what it found on entering: of two threads that
    overlap, the later one puts back the silence of the earlier, for good. Here the first thread in
    silences and the last one out restores.
    """
    global _inside, _filters
    with _lock:
        if _inside == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _filters.__exit__(None, None, None)


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF note says.

    Pillow's own `exif_transpose` also writes the note anew, and fails on a phone's odd entries.
    """
    turn = TURNS.get(image.getexif().get(0x0112, 1))
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow mode to RGB without losing range."""
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I;16") or mode in ("I", "F"):
        return Image.fromarray(to_eight_bits(np.asarray(image))).convert("RGB")
    if mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layers = image.convert("RGBA")
        paper = Image.new("RGBA", layers.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, layers).convert("RGB")
    return image.convert("RGB")


def to_eight_bits(grey: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """Scale greys to 0..255: 16-bit by its full range, anything else by its own extremes."""
    values = grey.astype(np.float64)
    values[~np.isfinite(values)] = 0  # how a microscope marks a pixel that it did not measure
    low, high = (0.0, 65535.0)
    real = np.issubdtype(grey.dtype, np.floating)
    if real or values.min() < low or values.max() > high or values.max() <= 1:
        low, high = float(values.min()), float(values.max())
    scaled = (values - low) / max(high - low, 1e-12) * 255
    return np.round(scaled).astype(np.uint8)


def fit_square(image: Image.Image, size: int) -> UInt8[np.ndarray, "s s 3"]:
    """Resize the short side to `size` pixels and keep the square in the middle.

    Bicubic with antialiasing, as the evaluation of ImageNet networks does it.
    """
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


FILL = (124, 116, 104)  # around an image that is not square: the mean of ImageNet's


def within(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return width and height of an image whose longer side is made `side`."""
    width, height = int(size[0]), int(size[1])
    longer = max(width, height)
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))


def fit_whole(
    image: Image.Image, side: int, size: tuple[int, ...] | None = None
) -> UInt8[np.ndarray, "s s 3"]:
    """Make the longer side `side` pixels, bicubic, and put the image in the middle of a square.

    What is left of the square is filled with one colour, the mean of ImageNet's images. `size` is
    the file's, where the image was decoded at a fraction of it: its shape is rounded by that.
    """
    width, height = within(size or image.size, side)
    square = Image.new("RGB", (side, side), FILL)
    small = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    square.paste(small, ((side - width) // 2, (side - height) // 2))
    return np.asarray(square)


def opened(path: Path) -> Image.Image:
    """Return an image upright and in RGB."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return decode(content, str(path))
