"""Whether a resumed run is shown the images that it was begun with.

A digest covers names, splits and all that is known of each image, and the pixels: all of them up to
`READ`, of larger sets every k-th image, so that opening one stays quick.
"""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from vislab.data.table import Table
from vislab.errors import RunError
from vislab.runs.folder import RunFolder
from vislab.runs.writing import finite

READ = 512 << 20  # bytes


def digest_of(table: Table, *, read: int = READ) -> str:
    """Return what tells the images of a table, and what is known of them, from others."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update("\0".join(table.names).encode(errors="surrogateescape"))
    _add(digest, table.splits)
    for name, column in sorted(table.columns.items()):
        digest.update(f"{name} {type(column).__name__}".encode())
        _add(digest, column)
    images = len(table.pixels)
    each = max(1, -(-table.pixels.nbytes // read))
    for start in range(0, images, 64 * each):
        _add(digest, table.pixels[start : min(start + 64 * each, images) : each])
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            digest.update(field.name.encode())
            _add(digest, getattr(value, field.name))
    elif isinstance(value, list | tuple | np.ndarray):
        for inner in value:
            _add(digest, inner)
    else:
        digest.update(repr(value).encode(errors="surrogateescape"))


class SameData:
    """Compares what is opened with what the run had opened before, in the same order."""

    def __init__(self, run: RunFolder, *, may_change: bool) -> None:
        self.run, self.may_change = run, may_change
        self.before = list(run.result.data)
        self.opened: list[dict[str, Any]] = []

    def note(self, about: dict[str, Any]) -> None:
        """Write down in the run what was opened. Raises RunError where it is not as before."""
        about = finite(about)
        if about in self.opened:
            return
        place = len(self.opened)
        self.opened.append(about)
        if place >= len(self.before):
            self.run.result.data.append(about)
            return
        known = self.before[place]
        shared = known.keys() & about.keys()  # another version may say more, or less
        differing = [key for key in about if key in shared and about[key] != known[key]]
        if differing and not self.may_change:
            raise RunError(
                f"the images of {about['name']} are not those that the run in {self.run.path} was "
                f"begun with ({', '.join(differing)}: {_short(known[differing[0]])} before, "
                f"{_short(about[differing[0]])} now); begin a new run, or resume it with "
                "--data-changed, which its report will say"
            )
        self.run.result.data[place] = about
        if differing:
            text = (
                f"The images of {about['name']} changed while the run was interrupted "
                f"({', '.join(differing)}): what was learned before was learned from others."
            )
            if text not in self.run.result.notes:
                self.run.result.notes.append(text)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
