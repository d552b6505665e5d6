"""Images of a set copied into another folder, each under a name that no other has."""

import hashlib
import re
import shutil
from pathlib import Path, PurePosixPath

from vislab.data.annotations import Annotated
from vislab.data.tree import folded, visible

# Bytes of a stem: 255 are a name's, less the longest ending and what is added while it is written.
LONGEST = 255 - len(".jpeg") - len("..01234567.part")
# What file systems, lists of names and addresses in annotations keep for themselves.
SPECIAL = re.compile(r'[\\/:*?"<>|%\x00-\x1f\x7f]|\s(?=\s)|^[\s.]+|[\s.]+$')
RESERVED = frozenset({
    "classes", "class_names", "data", "notes", "readme", "train", "val", "valid", "test",
    "trainval",
})  # fmt: skip


class Copies:
    """Names and copies; two images that were called alike in two folders keep apart.

    Not even their stems are alike, in any case or form of letters: VOC, YOLO and masks pair files
    by stem. Names that are too long for a file, or are those of lists, become others.
    """

    def __init__(self, annotated: Annotated) -> None:
        self._annotated = annotated
        self._stems: list[str] = []
        taken: set[str] = set()
        for member in annotated.members:
            path = PurePosixPath(member)
            longer = "_".join(path.with_suffix("").parts)
            wanted = [path.stem, longer, f"{longer}_{path.suffix[1:]}"]
            stems = [_allowed(name, member) for name in wanted]
            stems.append(_shortened(_tidy(longer), member))
            number = 1
            while folded(stem := stems.pop(0)) in taken or folded(stem) in RESERVED:
                if not stems:
                    number += 1
                    stems.append(_shortened(f"{_tidy(longer)}_{number}", f"{member} {number}"))
            taken.add(folded(stem))
            self._stems.append(stem)

    def stem(self, row: int) -> str:
        """Return the new name of an image without its extension."""
        return self._stems[row]

    def name(self, row: int) -> str:
        """Return the new name of an image; its bytes and its extension stay as they are."""
        return self._stems[row] + PurePosixPath(self._annotated.members[row]).suffix

    def copy(self, row: int, into: Path) -> None:
        """Copy an image into a folder."""
        into.mkdir(parents=True, exist_ok=True)
        source = self._annotated.root / self._annotated.members[row]
        shutil.copyfile(source, into / self.name(row))


def _allowed(name: str, member: str) -> str:
    tidy = _tidy(name)
    return tidy if len(tidy.encode(errors="replace")) <= LONGEST else _shortened(tidy, member)


def _tidy(name: str) -> str:
    tidy = SPECIAL.sub("_", name)
    return tidy if visible(tidy) else f"_{tidy}"


def _shortened(name: str, member: str) -> str:
    """Return the beginning of a name and a digest of the whole."""
    digest = hashlib.sha256(member.encode(errors="backslashreplace")).hexdigest()[:8]
    room = LONGEST - len(digest) - 1
    start = name.encode(errors="replace")[:room].decode(errors="ignore")
    return f"{start}_{digest}"
