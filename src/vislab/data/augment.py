"""Which augmentation a training batch goes through. The steps themselves are in augment_batch.py.

Importing this file does not import torch: recipes name their augmentation with it.
"""

from dataclasses import dataclass, fields

from vislab.errors import OptionError


@dataclass(frozen=True)
class Augment:
    """What is done to a training batch. Zero or False leaves a step out."""

    crop: float = 0.0
    """Pad by this share of the side with black, then cut the old size out (0.125 is usual)."""
    shift: float = 0.0
    """Move by up to this share of the side; the border is repeated."""
    resized_crop: float = 0.0
    """Cut a window of at least this share of the area and enlarge it (0.25 is usual)."""
    flip: bool = False
    """Mirror half of the images left to right."""
    rotation: bool = False
    """Turn by none, one, two or three quarters of a circle, where up and down mean nothing."""
    colour: float = 0.0
    """Change brightness, contrast and saturation by up to this share (0.3 is usual)."""
    randaugment: int = 0
    """How many operations of RandAugment each image goes through (2 is usual)."""
    magnitude: int = 9
    """How strong they are, of 30."""
    cutout: float = 0.0
    """Cover a square whose side is this share of the image's (0.5 is usual at 32 pixels)."""
    mixup: float = 0.0
    """Mix pairs of images and their labels; the alpha of the Beta distribution (0.2 is usual)."""
    cutmix: float = 0.0
    """Paste a window of another image; the alpha of the Beta distribution (1 is usual)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0:
                flag = field.name.replace("_", "-")
                raise OptionError(f"--augment.{flag} {value} must not be negative")
        for name in ("crop", "shift", "resized_crop", "colour", "cutout"):
            if getattr(self, name) > 1:
                flag = name.replace("_", "-")
                raise OptionError(
                    f"--augment.{flag} {getattr(self, name)} is a share and must not be above 1"
                )
        if self.magnitude > 30:
            raise OptionError(f"--augment.magnitude {self.magnitude} is above 30, the strongest")

    def describe(self) -> str:
        """Name what is on, for tables and protocol cards: "crop 0.125, flip", or "none"."""
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if not value or field.name == "magnitude":
                continue
            parts.append(field.name if value is True else f"{field.name} {value:g}")
            if field.name == "randaugment":
                parts[-1] += f" of strength {self.magnitude}"
        return ", ".join(parts) or "none"

    @property
    def mixes(self) -> bool:
        """Whether labels are mixed as well."""
        return self.mixup > 0 or self.cutmix > 0
