"""What a `preprocessor_config.json` of Hugging Face says of the images that a network was shown.

Of values X from 0 to 255 an image processor of transformers computes, each step left out if the
file says so,

    ((X · factor − offset) − mean) / std        offset 1 with `rescale_offset`, else 0

and vislab computes (x − m) / s of x = X / 255. They are the same for

    m = (mean + offset) / (255 · factor)        s = std / (255 · factor)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vislab.errors import DataError
from vislab.models.preprocessing import Preprocessing, three

USUAL_SIDE = 224  # pixels
HALF = (0.5, 0.5, 0.5)
LARGEST_SIDE = 16_384  # pixels
ROUNDING = 1e-6  # of 255 · factor, where a file has few digits of 1/255
# What a size can name, and which square fits.
SIZES = (("height", "width"), ("shortest_edge", "longest_edge"), ("max_height", "max_width"))
KEYS = (
    "size", "crop_size", "crop_pct", "do_resize", "do_center_crop", "do_rescale", "rescale_factor",
    "rescale_offset", "do_normalize", "image_mean", "image_std", "include_top",
    "do_flip_channel_order",
)  # fmt: skip


@dataclass(frozen=True)
class ImageProcessor:
    """What images are like when the network sees them."""

    preprocessing: Preprocessing
    flipped: bool  # blue before green before red


def read(
    content: Any, where: str, *, usual: Mapping[str, Any] | None, own_side: int | None
) -> ImageProcessor:
    """Return what a file's content says.

    What it leaves out, or sets to null, is as `usual` has it, the class of processor that the file
    names; without one pixels are rescaled by 1/255 and normalised by a half. `own_side` is the side
    in pixels that the network itself names. Raises DataError naming the file and what in it cannot
    be, also where images are not square.
    """
    if not isinstance(content, Mapping):
        raise DataError(f"{where} is damaged: it holds no settings by name")
    given = {key: value for key, value in (usual or {}).items() if value is not None}
    given.update({key: content[key] for key in KEYS if content.get(key) is not None})
    said = _Said(given, where, unknown=usual is None)
    # A Perceiver's processor crops before it resizes.
    crops_first = str(content.get("image_processor_type")).startswith("Perceiver")
    side = said.side(own_side, cropped_last=not crops_first)
    mean, std = said.normalisation()
    return ImageProcessor(
        Preprocessing(side, mean, std), said.flag("do_flip_channel_order", usual=False)
    )


@dataclass(frozen=True)
class _Said:
    given: Mapping[str, Any]
    where: str
    unknown: bool  # which class of processor it is

    def side(self, own: int | None, *, cropped_last: bool) -> int:
        given = self.given
        self.number("crop_pct", 1.0)  # of a resize before a crop, of whose side it tells nothing
        crops = self.flag("do_center_crop", usual=False)
        if crops and cropped_last and "crop_size" in given:
            return side_of(given["crop_size"], "crop_size", self.where)
        resizes = self.flag("do_resize", usual=True)
        if "size" in given and (resizes or crops or own is None):
            return side_of(given["size"], "size", self.where)
        return own or USUAL_SIDE

    def normalisation(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        normalises = self.flag("do_normalize", usual=self.unknown)
        # EfficientNet's divides by std once more, whether it has normalised or not.
        times = normalises + self.flag("include_top", usual=False)
        mean = self.channels("image_mean") if normalises else [0.0]
        std = self.channels("image_std") if times else [1.0]
        if min(std) <= 0:
            raise self.wrong("image_std", "numbers above 0")
        std = [value**times for value in std]
        factor, offset = self.number("rescale_factor", 1 / 255), 0.0
        if self.flag("do_rescale", usual=True):
            offset = float(self.flag("rescale_offset", usual=False))
        else:
            factor = 1.0
        scale = 255 * factor
        if abs(scale - 1) < ROUNDING:
            scale = 1.0
        return three((m + offset) / scale for m in mean), three(s / scale for s in std)

    def flag(self, key: str, *, usual: bool) -> bool:
        value = self.given.get(key, usual)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(self, key: str, usual: float) -> float:
        value = self.given.get(key, usual)
        if not _is_number(value) or value <= 0:
            raise self.wrong(key, "a number above 0")
        return float(value)

    def channels(self, key: str) -> list[float]:
        value = self.given.get(key, HALF)
        found = [value] if _is_number(value) else value
        numbers = isinstance(found, list | tuple) and all(map(_is_number, found))
        if not numbers or len(found) not in (1, 3):
            raise self.wrong(key, "a number, or one for each of three channels")
        return [float(one) for one in found]

    def wrong(self, key: str, wanted: str) -> DataError:
        return DataError(f"{self.where}: {key} is {self.given.get(key)!r}; it must be {wanted}")


def side_of(value: Any, key: str, where: str) -> int:
    """Return the side in pixels of the square images that a size asks for.

    A size is a number, two of them, or names of sides; where only bounds are named, the square that
    fits. Raises DataError naming `where` and `key` for any other, and for images that are not
    square.
    """
    exact = True
    if isinstance(value, Mapping):
        told = {name: side for name, side in value.items() if side is not None}
        names = next((names for names in SIZES if told.keys() & set(names)), ())
        sides: list[Any] = [told[name] for name in names if name in told]
        exact = "height" in names
    else:
        sides = list(value) if isinstance(value, list | tuple) else [value]
    found = [_pixels(side) for side in sides]
    if not 1 <= len(found) <= 2 or None in found:
        raise DataError(
            f"{where}: {key} is {value!r}; it must be pixels from 1 to {LARGEST_SIDE}: a number, "
            "[height, width], or a table of height and width, shortest_edge, longest_edge or "
            "max_height and max_width"
        )
    pixels = [side for side in found if side is not None]
    if exact and len(set(pixels)) > 1:
        raise DataError(
            f"{where}: {key} is {value!r}, and vislab shows networks square images alone; this "
            "network would see them out of proportion"
        )
    return min(pixels)


def _pixels(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(LARGEST_SIDE)):
        value = int(value)
    if not _is_number(value) or value != int(value) or not 1 <= value <= LARGEST_SIDE:
        return None
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
