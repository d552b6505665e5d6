"""Bytes of any usual image file to RGB pixels, as a person would see them.

Turned as the camera's EXIF note says; CMYK and palettes converted; 16-bit and float greys scaled
to 8 bits; transparency laid over white; of an animation the first frame.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from vislab.data.listing import LARGEST_FILE
from vislab.errors import DataError

Fit = Literal["crop", "whole", "squash"]  # how an image that is not square becomes one

# fmt: off
EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pnm", ".tga", ".avif", ".jp2", ".j2k", ".jpx", ".heic", ".heif", ".hif",
})
# By content; PostScript is not among them: Pillow hands it to an interpreter, which runs it.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "TGA", "AVIF", "JPEG2000")
HEIF = "HEIF"  # where pillow-heif is installed
# Photographs and drawings that need a program of their own.
CLOSED = frozenset({
    ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".raw", ".jxl", ".psd", ".dcm",
})
TURNS = {  # what each EXIF orientation but 1 asks for
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}
# Bytes of a pixel while an image is decoded and made RGB, which Pillow keeps in four.
COSTS = {"RGB": 4, "1": 5, "L": 5, "P": 5, "LA": 16, "PA": 16, "RGBA": 13, "CMYK": 8, "I;16": 8}
# fmt: on
COST = 13  # of any other mode
LARGEST = 800_000_000  # bytes that one image may take while it is decoded
DEPTHS = (1, 8, 10, 12, 14, 16)  # bits of a grey as cameras and scanners have them
_room, _taken = threading.Condition(), 0
VERSION = 2  # part of a cache's fingerprint: raise it when the same bytes give other pixels


def decode(
    content: bytes, where: str, *, at_least: int | None = None, depth: int | None = None
) -> Image.Image:
    """Return the image in RGB.

    `at_least` allows a JPEG to be decoded at a fraction of its size, as long as its short side
    stays above that many pixels: a photo of 12 megapixels for a 64-pixel network need not be
    unpacked whole. `depth` is how many bits the greys of a 16-bit file hold; without it they are
    taken to hold as few of `DEPTHS` as this image's need. Raises DataError naming `where` when the
    bytes are no image.
    """
    try:
        with open_image(io.BytesIO(content)) as image:
            width, height = image.size
            if at_least is not None and image.format == "JPEG":
                # Twice the wanted side, so that the resize after it still averages.
                scale = 2 * at_least / min(width, height)
                image.draft("RGB", (max(1, round(width * scale)), max(1, round(height * scale))))
            with room_for(image):
                image.load()
                return to_rgb(upright(image), depth)
    except DataError as error:
        raise DataError(f"{where} {error}") from error


@contextmanager
def open_image(file: io.BytesIO | Path) -> Iterator[Image.Image]:
    """Open an image of one of `FORMATS`, recognised by its content; the only place that does.

    Raises DataError, with the reason alone, whatever a decoder raises in the body or before.
    """
    try:
        with hushed(), Image.open(file, formats=_formats()) as image:
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"has over {2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000} megapixels, "
            "too many for an image to learn from; make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(_unidentified(file)) from error
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        reason = error or type(error).__name__
        raise DataError(f"is damaged or of an unusual kind ({reason})") from error


@contextmanager
def room_for(image: Image.Image) -> Iterator[None]:
    """Wait until decoding an image leaves room for what other threads decode, and take that room.

    So that a few large images at once take no more memory than the largest alone may. Raises
    DataError, with the reason alone, where the image would take too much by itself.
    """
    global _taken
    width, height = image.size
    cost = width * height * COSTS.get(image.mode.split(";B")[0], COST)
    if cost > LARGEST:
        raise DataError(
            f"has {width * height / 1e6:.0f} megapixels of the mode {image.mode}, which take "
            f"{cost / 1e9:.1f} GB to decode; make it smaller"
        )
    with _room:
        _room.wait_for(lambda: _taken + cost <= LARGEST)
        _taken += cost
    try:
        yield
    finally:
        with _room:
            _taken -= cost
            _room.notify_all()


@cache
def has_heif() -> bool:
    """Say whether HEIC can be opened, as iPhones write it: with `pip install pillow-heif`."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _formats() -> tuple[str, ...]:
    return (*FORMATS, HEIF) if has_heif() else FORMATS


def signature(head: bytes) -> str | None:
    """Return the format that the first 32 bytes of a file are those of, or None."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        return HEIF if brand in (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1") else None
    if head[:4] == b"RIFF":
        return "WEBP" if head[8:12] == b"WEBP" else None
    starts = {
        b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF",
        b"II*\0": "TIFF", b"MM\0*": "TIFF", b"\0\0\0\x0cjP  \r\n": "JPEG2000",
        b"\xff\x4f\xff\x51": "JPEG2000",
    }  # fmt: skip
    return next((name for start, name in starts.items() if head.startswith(start)), None)


def cannot_open(name: str) -> bool:
    """Say whether a file is called as photographs are that need a program of their own."""
    return PurePosixPath(name).suffix.lower() in CLOSED


def _unidentified(file: io.BytesIO | Path) -> str:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            head = opened.read(32)
    else:
        file.seek(0)
        head = file.read(32)
    if signature(head) == HEIF:
        return "is HEIC, which needs a plug-in: `pip install pillow-heif`"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "is a PostScript program, which is not run; save it as PNG or JPEG"
    return "is no image that can be read"


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


def to_rgb(image: Image.Image, depth: int | None = None) -> Image.Image:
    """Convert any Pillow mode to RGB without losing range; `depth` as in `decode`."""
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I;16") or mode in ("I", "F"):
        return Image.fromarray(to_eight_bits(np.asarray(image), depth)).convert("RGB")
    if mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layers = image.convert("RGBA")
        paper = Image.new("RGB", layers.size, (255, 255, 255))
        paper.paste(layers, mask=layers)
        return paper
    return image.convert("RGB")


def to_eight_bits(grey: np.ndarray, depth: int | None = None) -> UInt8[np.ndarray, "h w"]:
    """Scale greys to 0..255: whole numbers by their depth, anything else by its own extremes.

    Cameras and scanners keep 10, 12 or 14 bits in 16: by the full range these would be black.
    """
    whole = np.issubdtype(grey.dtype, np.integer)
    if whole and grey.min() >= 0 and grey.max() <= 65535:
        white = 2 ** (depth or depth_of(int(grey.max()))) - 1
        table = np.round(np.minimum(np.arange(65536), white) * (255 / white)).astype(np.uint8)
        eight: np.ndarray = table[grey]
        return eight
    values = grey.astype(np.float32)
    values[~np.isfinite(values)] = 0  # how a microscope marks a pixel that it did not measure
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)


def depth_of(highest: int) -> int:
    """Return how many bits greys hold of which this is the highest: the fewest of `DEPTHS`."""
    return next(depth for depth in DEPTHS if highest < 2**depth)


def square(image: Image.Image, size: int, fit: Fit = "crop") -> UInt8[np.ndarray, "s s 3"]:
    """Return an image as a square of `size` pixels.

    Its middle (`crop`), all of it with the rest filled (`whole`), or all of it out of shape
    (`squash`).
    """
    if fit == "whole":
        return fit_whole(image, size)
    if fit == "squash":
        return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))
    return fit_square(image, size)


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
    return decode(contents(path), str(path))


def contents(path: Path) -> bytes:
    """Return the bytes of an image file. Raises DataError when there are none to be had."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} has over {LARGEST_FILE >> 20} MB; that is no image")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
