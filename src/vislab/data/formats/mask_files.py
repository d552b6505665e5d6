"""One image's mask: a file, or one for each object, read as the whole set says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from vislab.data.annotations import VOID
from vislab.data.formats.mask_pixels import Pixels, pixels_of
from vislab.data.mask_reading import MaskReading
from vislab.errors import DataError

STRAY = 0.001  # the share of pixels whose colour no class has that are void and no flaw
SHIFTS = {"red": 16, "green": 8, "blue": 0}


def read_mask(root: Path, files: Sequence[str], reading: MaskReading) -> UInt8[np.ndarray, "h w"]:
    """Return the class of every pixel, and VOID where there is none.

    Of several files, each of which holds an object, the objects together. Raises DataError, with
    the reason alone, for a file that cannot be read and for one that holds what has no class.
    """
    whole: UInt8[np.ndarray, "h w"] | None = None
    for file in files:
        try:
            held = codes(pixels_of(root / file), reading)
            kinds, place = np.unique(held, return_inverse=True)
            counts = np.bincount(place.reshape(-1))
            classes = classes_of(kinds, counts, reading)[place].reshape(held.shape)
        except DataError as error:
            raise DataError(f"{error} ({file})" if file != files[0] else str(error)) from error
        if whole is None:
            whole = classes
            continue
        if whole.shape != classes.shape:
            raise DataError(f"the masks of its objects are of different sizes: {file}")
        whole = np.maximum(whole, classes)
    assert whole is not None
    return whole


def codes(pixels: Pixels, reading: MaskReading) -> Int[np.ndarray, "h w"]:
    """Return what tells the class in each pixel, a key of the reading's table."""
    held = codes_of_values(pixels, pixels.values, reading)
    if reading.by == "alpha":
        return np.ones_like(held) if pixels.hidden is None else (~pixels.hidden).astype(np.int32)
    if reading.hides and pixels.hidden is not None:
        held = np.where(pixels.hidden, 0, held)
    return held


def codes_of_values(
    pixels: Pixels, values: Int[np.ndarray, "..."], reading: MaskReading
) -> Int[np.ndarray, "..."]:
    """Return the same for values that such a file holds; what is transparent is not looked at."""
    if reading.by == "alpha":
        return values
    kind = pixels.kind
    if kind == "smeared":
        if pixels.flaw:
            raise DataError(pixels.flaw)
        if not reading.smeared:
            raise DataError(
                "the mask is saved as JPEG, which smears the numbers of classes: save it as PNG, "
                "from the original"
            )
        return values if reading.by == "number" else values * 0x010101
    if reading.by == "number":
        if kind == "colour":
            raise DataError("the mask holds colours, not the numbers of classes")
        if kind == "bits":
            if reading.white is None:
                raise DataError(
                    "the mask is black and white and the others hold numbers of classes; save it "
                    "with the number of its class"
                )
            return values * reading.white
        return values
    colours = colours_of(pixels, values)
    return colours if reading.by == "colour" else (colours >> SHIFTS[reading.by]) & 255


def colours_of(pixels: Pixels, values: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """Return the colours that such a file shows for its values, as 0xRRGGBB."""
    if pixels.kind == "index":
        assert pixels.palette is not None
        colours: np.ndarray = pixels.palette[values]
        return colours
    if pixels.kind == "colour":
        return values
    if pixels.kind == "bits":
        return values * 0xFFFFFF
    if values.size and values.max() > 255:
        raise DataError("the mask holds numbers beyond 0 to 255, and the others colours")
    return values * 0x010101


def classes_of(
    kinds: Int[np.ndarray, " k"], counts: Int[np.ndarray, " k"], reading: MaskReading
) -> UInt8[np.ndarray, " k"]:
    """Return the class of each thing that a mask holds; `counts` says of how many pixels."""
    if reading.table is None:
        if kinds.max() > VOID:
            raise DataError(f"the mask holds numbers beyond 0 to 255: up to {kinds.max()}")
        return kinds.astype(np.uint8)
    table = dict(reading.table)
    classes = np.array([table.get(kind, -1) for kind in kinds.tolist()])
    stray = classes < 0
    allowed = STRAY * counts.sum() if reading.by == "colour" else 0
    if counts[stray].sum() > allowed:
        order = np.argsort(-counts[stray], kind="stable")
        first = kinds[stray] if reading.by != "colour" else kinds[stray][order]
        told = [
            written(kind) if reading.by == "colour" else str(kind) for kind in first[:5].tolist()
        ]
        some = "; ".join(told) if reading.by == "colour" else ", ".join(told)
        more = ", ..." if stray.sum() > 5 else ""
        if reading.table is not None and set(table.values()) == {0, 1} and VOID in table:
            more += " (where edges are smoothed, cut them at 128)"
        known = len(set(table.values()) - {VOID})
        if reading.by == "colour":
            raise DataError(
                f"the mask holds colours of no class in over {100 * STRAY} % of its pixels: "
                f"{some}{more}"
            )
        raise DataError(f"the mask holds a class beyond the {known} that are known: {some}{more}")
    return np.where(stray, VOID, classes).astype(np.uint8)


def written(colour: int) -> str:
    """Return a colour as a person would write it in a table: red,green,blue."""
    return f"{colour >> 16},{colour >> 8 & 255},{colour & 255}"
