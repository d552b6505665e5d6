"""PNGs that are known again as vislab's, so that answers go beside a user's files and over none."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin

KEY, OURS = "Software", "vislab"  # in every PNG written here: only these may be written over


def free_stem(folder: Path, stem: str, suffixes: Sequence[str], taken: set[Path]) -> str:
    """Return the stem, numbered if need be, under which no picture is lost.

    Kept are the files of `taken`, resolved, and every file that was not written here:
    `photo-mask.png` beside a photo may be drawn by hand.
    """
    candidates = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(
        name
        for name in candidates
        if not any(
            target.resolve() in taken or (target.exists() and not is_ours(target))
            for target in (folder / f"{name}{suffix}.png" for suffix in suffixes)
        )
    )


def marked() -> PngImagePlugin.PngInfo:
    """Return what tells our PNGs from others."""
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, OURS)
    return info


def is_ours(path: Path) -> bool:
    """Return whether a file is a PNG that was written here."""
    try:
        with Image.open(path) as picture:
            return bool(picture.info.get(KEY) == OURS)
    except Exception:  # Pillow raises nearly anything; what cannot be read is not ours
        return False
