"""Numbers and names out of files that anybody may have written."""

import math
import reprlib
import unicodedata
from collections.abc import Sequence

_brief = reprlib.Repr()
_brief.maxstring = 80
FAR = 1e7  # pixels; nothing in an image lies as far, and squares of it stay exact
LONGEST = 10**1000  # beyond it Python takes its time to write a number
PLAIN = frozenset({int, float})


def whole(value: object) -> int | None:
    """Return a whole number from JSON, or None; `true` is none, `3.0` is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if abs(value) < 2**53 else None


def key(value: object) -> str | None:
    """Return a number or a text from JSON that names something, as text; None for other values.

    Whole numbers of any size; 3.0 is 3, and so is "3".
    """
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else None
    return str(value) if abs(value) < LONGEST else None


def finite(values: object, count: int | None = None) -> tuple[float, ...] | None:
    """Return a list of (so many) finite numbers from JSON as floats, or None."""
    if not isinstance(values, list | tuple) or (count is not None and len(values) != count):
        return None
    if not PLAIN.issuperset(map(type, values)):  # `true` is an int to isinstance
        return None
    try:
        out = tuple(map(float, values))
    except OverflowError:
        return None
    if not all(map(math.isfinite, out)):  # before min and max, which NaN leads astray
        return None
    return out if not out or (min(out) > -FAR and max(out) < FAR) else None


def number(text: str) -> float | None:
    """Return a finite number from text as people write it, or None."""
    if "_" in text:  # Python would read 1_0 as ten
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < FAR else None


def class_name(text: str) -> str:
    """Return a class's name on one line, its letters composed, with a mark for the unprintable."""
    words = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


def shown(value: object) -> str:
    """Return a value as an error shows it: short, whatever it is."""
    short = _brief.repr(value)
    return short if len(short) <= 90 else short[:87] + "..."


def covered(low: float, high: float, count: int) -> tuple[int, int]:
    """Return the first of the `count` pixels that a stretch covers and the first after it.

    Edges are rounded; of what is thinner than a pixel the one in its middle is kept.
    """
    first, end = round(low), round(high)
    if first < end:
        return first, end
    middle = min(int((low + high) / 2), count - 1)
    return middle, middle + 1


def sound_box(
    corners: Sequence[float], size: tuple[int, int]
) -> tuple[tuple[float, float, float, float] | None, str]:
    """Return a box, xyxy in pixels, and what is wrong with it; None where something is.

    What sticks out by at most one pixel is cut off: annotators count from 0 and from 1. A size of
    0 is one that is not known.
    """
    left, top, right, bottom = corners
    width, height = size
    if 0 <= left < right <= width and 0 <= top < bottom <= height:
        return (left + 0.0, top + 0.0, right, bottom), ""  # + 0.0 makes 0.0 of -0.0
    told = f"({left:.6g}, {top:.6g}) to ({right:.6g}, {bottom:.6g})"
    if not all(-FAR < value < FAR for value in corners):
        return None, f"its box holds what is no number of pixels: {told}"
    if right <= left or bottom <= top:
        return None, f"its box is empty or inverted: {told}"
    if not width or not height:
        return (left, top, right, bottom), ""
    told = f"{told} of {width}×{height} pixels"
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return None, f"its box lies outside the image: {told}"
    if left < -1 or top < -1 or right > width + 1 or bottom > height + 1:
        return None, f"its box sticks out of the image: {told}"
    return (
        max(left, 0.0) + 0.0, max(top, 0.0) + 0.0, min(right, float(width)),
        min(bottom, float(height)),
    ), ""  # fmt: skip
