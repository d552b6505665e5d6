"""How the masks of a set are read: what all of its files together say that their pixels mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

BINARY = ("background", "foreground")

# Which number of a pixel tells its class: the grey or the place in a palette; the colour, as
# 0xRRGGBB; one channel of the colour; or how opaque it is.
By = Literal["number", "colour", "red", "green", "blue", "alpha"]


@dataclass(frozen=True)
class MaskReading:
    """What `formats.mask_files.read_mask` needs beside the file; equal ones read alike.

    `table` pairs what a pixel holds with its class; without it that is the class, and 255 is void.
    `white` is the class of the white pixels of a file of one bit, None where that is not known.
    `smeared` says that JPEG files are read as black and white, cut in the middle. `hides` says
    that a transparent pixel is background, whatever colour lies under it. `parts` has, by the first
    file of an image, the others, where each holds one object.
    """

    by: By = "number"
    table: tuple[tuple[int, int], ...] | None = None
    white: int | None = 1
    smeared: bool = False
    hides: bool = False
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def files(self, mask: str) -> tuple[str, ...]:
        """Return all files of the image whose first mask is this one."""
        return (mask, *self.parts.get(mask, ()))
