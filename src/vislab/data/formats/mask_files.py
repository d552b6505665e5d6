"""One mask: an image file whose pixels are classes, indexed or binary."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vislab.data.annotations import VOID
from vislab.data.decode import open_image, require_room
from vislab.errors import DataError

BINARY = ("background", "foreground")
SAMPLE = 50  # masks that decide whether a set is binary
SMEARED = 0.1  # the share of pixels between black and white that smoothing may leave
MASK_FILES = (".png", ".bmp", ".gif", ".tif", ".tiff")  # what keeps every pixel as it was


def read_mask(path: Path, *, binary: bool | None = None) -> UInt8[np.ndarray, "h w"]:
    """Return the class of every pixel, and VOID where there is none.

    `binary` says that 255 is the foreground and becomes 1 (`Annotated.binary_masks`); without it
    the other masks in the file's folder are looked at, which takes a while. Raises DataError for a
    file that cannot be read, and for colours that are no indexes.
    """
    if binary is None:
        found = [p for p in path.parent.iterdir() if p.suffix.lower() in MASK_FILES]
        binary = is_binary(sorted(found))
    values = _values(path)
    return np.where(values == VOID, np.uint8(1), values) if binary else values


def is_binary(masks: list[Path]) -> bool:
    """Say whether 255 is the foreground in these masks: of 50 of them, evenly spaced.

    It is when, next to nothing else, they hold 0 and 255. A few values between, left by smoothing,
    do not make classes of them.
    """
    places = np.linspace(0, len(masks) - 1, min(len(masks), SAMPLE)).round().astype(int)
    counts = np.zeros(256, dtype=np.int64)
    for place in places:
        try:
            counts += np.bincount(_values(masks[place]).reshape(-1), minlength=256)
        except DataError:
            continue  # told as an issue of that file
    between = counts[1:VOID]
    if not counts[VOID]:
        return False  # 0 and 1 are indexes
    if not between.any():
        return True
    smooth = np.count_nonzero(between) > 20 and between[200:].any()  # few sets have 200 classes
    return bool(smooth and between.sum() < SMEARED * counts.sum())


def _values(path: Path) -> UInt8[np.ndarray, "h w"]:
    """Return what the file holds for each pixel. Raises DataError, with the reason alone."""
    try:
        with open_image(path) as image:
            require_room(image)
            image.load()
            mode = image.mode
            values = np.asarray(image.convert("L") if mode == "1" else image)
    except DataError as error:
        raise DataError(f"the mask cannot be read: {path.name} {error}") from error
    if values.ndim == 3:
        colours = values[..., : 1 if mode in ("LA", "PA", "La") else 3]
        if (colours != colours[..., :1]).any():
            raise DataError(f"the mask holds colours, not the numbers of classes: {path.name}")
        values = colours[..., 0]
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > VOID:
        raise DataError(f"the mask holds numbers beyond 0 to 255: {path.name}")
    if (values != values.astype(np.uint8)).any():
        raise DataError(f"the mask holds fractions: {path.name}")
    return values.astype(np.uint8)
