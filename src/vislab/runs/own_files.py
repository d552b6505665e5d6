"""Files known again as vislab's, so that answers go beside a user's files and over none."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin

KEY, OURS = "Software", "vislab"  # in every PNG written here: only these may be written over
JSON_KEY = "written by"  # in every answer written as JSON, which lists the files beside it


def free_stem(folder: Path, stem: str, endings: Sequence[str], taken: set[Path]) -> str:
    """Return the stem, numbered if need be, under which no file is lost.

    `endings` are what files are called after it, as "-mask.png". Kept are the files of `taken`,
    resolved, and every file that was not written here: `photo-mask.png` beside a photo may be drawn
    by hand.
    """
    candidates = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(
        name
        for name in candidates
        if not any(
            target.resolve() in taken or (target.exists() and not is_ours(target, name))
            for target in (folder / f"{name}{ending}" for ending in endings)
        )
    )


def marked() -> PngImagePlugin.PngInfo:
    """Return what tells our PNGs from others."""
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, OURS)
    return info


def is_ours(path: Path, stem: str | None = None) -> bool:
    """Return whether a file was written here: by its mark, or because an answer lists it.

    `stem` names the answer; without it, the file's own.
    """
    if path.suffix.lower() == ".png":
        try:
            with Image.open(path) as image:
                return bool(image.info.get(KEY) == OURS)
        except Exception:  # Pillow raises nearly anything; what cannot be read is not ours
            return False
    answer = path if path.suffix == ".json" else path.with_name(f"{stem or path.stem}.json")
    try:
        content = json.loads(answer.read_text(encoding="utf-8"))
        ours = content.get(JSON_KEY) == OURS
        listed = {Path(file).name for file in content.get("files", [])}
    except (OSError, ValueError, AttributeError, TypeError):
        return False
    return ours and (path == answer or path.name in listed)
