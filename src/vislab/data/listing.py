"""A listing: which images there are, what each is called, and in which split it is.

Nothing is decoded here. A listing of a million images is a few columns, not a million objects.
"""

import lzma
import threading
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vislab.data.zips import named_members, require_honest
from vislab.errors import DataError

# What Python's zipfile lets through when a member is damaged, locked or packed in a way of its own.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, NotImplementedError,
    UnicodeError,
    RuntimeError,
)  # fmt: skip
SPLITS = ("train", "val", "test")
LARGEST_FILE = 1 << 29  # bytes; a member of a hostile archive that claims more is refused


@dataclass(frozen=True, eq=False)
class Listing:
    """Columns of equal length, one row an image.

    `sources` are the folder or the archives the images lie in; image i is `members[i]`, a path
    with forward slashes inside `sources[source_of[i]]`. `splits` holds indices into `SPLITS`.
    `groups[i]` names what must not stand in two splits (a person, a patient).
    `official` says whether the split came with the images or was drawn by us.
    """

    name: str
    classes: tuple[str, ...]
    sources: tuple[Path, ...]
    source_of: UInt8[np.ndarray, " n"]
    members: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    splits: UInt8[np.ndarray, " n"]
    groups: tuple[str, ...] | None = None
    official: bool = False
    absent: tuple[str, ...] = ()  # the label file names them; they are not there
    unlabelled: tuple[str, ...] = ()  # they are there; no label names them
    empty_classes: tuple[str, ...] = ()  # a folder without an image
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()  # what must be settled before anything is learned

    def __len__(self) -> int:
        return len(self.members)

    def rows(self, split: str) -> Int[np.ndarray, " m"]:
        """Return the row numbers of one split, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def with_doubts(self, *doubts: str) -> "Listing":
        """Return the listing with these doubts too."""
        return replace(self, doubts=(*self.doubts, *doubts))

    def renamed(self, names: Mapping[str, str]) -> "Listing":
        """Return the listing with other names of classes; those that are alike then are one."""
        classes = tuple(sorted(set(names.values())))
        place = {name: index for index, name in enumerate(classes)}
        to = np.array([place[names[name]] for name in self.classes], dtype=self.labels.dtype)
        return replace(self, classes=classes, labels=to[self.labels])

    def where(self, row: int) -> str:
        """Name the image as a person would: `train.zip/cat/01.jpg` or `cat/01.jpg`."""
        source = self.sources[self.source_of[row]]
        return f"{source.name}/{self.members[row]}" if source.is_file() else self.members[row]

    def path(self, row: int) -> Path:
        """Return where the image lies on disk; inside an archive this path does not exist."""
        source: Path = self.sources[self.source_of[row]]
        return source / self.members[row]


class Reader:
    """Reads the encoded bytes of a listing's images; safe to call from several threads."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self._sources = tuple(sources)
        self._open = threading.local()

    def read(self, source: int, member: str) -> bytes:
        """Return the file's bytes. Raises DataError when it is missing, too large or damaged."""
        root = self._sources[source]
        try:
            if root.is_dir():
                path = root / member
                if path.stat().st_size > LARGEST_FILE:
                    raise DataError(f"{path} has over {LARGEST_FILE >> 20} MB; that is no image")
                return path.read_bytes()
            archive, infos = self._archive(source)
            require_honest(infos[member], f"{root.name}/{member}", LARGEST_FILE)
            return archive.read(infos[member])
        except (OSError, *DAMAGE) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            if isinstance(error, EOFError):  # says nothing itself
                reason = "it is cut off"
            raise DataError(f"{root / member} cannot be read: {reason}") from error

    def _archive(self, source: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        archives: dict[int, Any] = self._open.__dict__.setdefault("archives", {})
        if source not in archives:
            opened = zipfile.ZipFile(self._sources[source])
            archives[source] = (opened, named_members(opened, self._sources[source]))
        found: tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]] = archives[source]
        return found
