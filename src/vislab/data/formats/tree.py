"""The files of a folder or of a zip, by name, and how a name in an annotation finds one of them.

An annotation may name any path at all. What is opened is always one of the files that were found
by walking, so that a name can lead nowhere else.
"""

import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vislab.data.decode import EXTENSIONS
from vislab.data.listing import DAMAGE
from vislab.data.splits import TRAIN, split_called
from vislab.errors import DataError


class Tree:
    """The visible files under a folder, or in a zip, as paths with forward slashes, sorted."""

    def __init__(self, root: Path) -> None:
        if not root.exists():
            raise DataError(f"there is no folder or zip at {root}")
        self.root = root
        found = _in_folder(root) if root.is_dir() else _in_zip(root)
        self.members = tuple(sorted(found))
        self.images = tuple(member for member in self.members if is_image(member))
        self._known = frozenset(self.members)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for member in self.images:
            path = PurePosixPath(member)
            self._by_name[path.name].append(member)
            self._by_stem[path.stem].append(member)

    def __contains__(self, member: str) -> bool:
        return member in self._known

    def ending(self, *suffixes: str) -> list[str]:
        """Return the files whose name ends in one of these, in any case of letters."""
        return [member for member in self.members if member.lower().endswith(suffixes)]

    def called(self, name: str) -> list[str]:
        """Return the images whose path is this one or ends in it."""
        last = PurePosixPath(name).name
        tail = "/" + name
        return [m for m in self._by_name.get(last, ()) if m == name or m.endswith(tail)]

    def with_stem(self, stem: str) -> list[str]:
        """Return the images whose name is this one, their extension aside."""
        return list(self._by_stem.get(stem, ()))

    def parts(self, member: str, size: int = 1 << 20) -> Iterator[bytes]:
        """Yield the bytes of a file in parts. Raises DataError when it cannot be read."""
        assert member in self._known
        try:
            if self.root.is_dir():
                with (self.root / member).open("rb") as file:
                    while part := file.read(size):
                        yield part
            else:
                with zipfile.ZipFile(self.root) as archive, archive.open(member) as packed:
                    while part := packed.read(size):
                        yield part
        except (OSError, *DAMAGE) as error:
            raise DataError(f"{self.root / member} cannot be read: {error}") from error

    def read(self, member: str) -> bytes:
        """Return a file whole."""
        return b"".join(self.parts(member))

    def start(self, member: str, size: int = 4096) -> bytes:
        """Return the first bytes of a file."""
        return next(self.parts(member, size), b"")


def is_image(member: str) -> bool:
    """Say whether the name is one of an image."""
    return PurePosixPath(member).suffix.lower() in EXTENSIONS


def inside(name: str) -> str | None:
    """Return a path as an annotation writes it, tidied; None where it is absolute or leads up."""
    text = name.strip().replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or not parts or ":" in parts[0] or "\0" in text:
        return None
    return "/".join(parts)


def split_of(member: str) -> int | None:
    """Return the split that the folders of a path name, the innermost first, or None."""
    for part in reversed(PurePosixPath(member).parts[:-1]):
        split = split_in(part)
        if split is not None:
            return split
    return None


def split_in(name: str) -> int | None:
    """Return the split that a word of the name means, the last first: "instances_val2017"."""
    for word in reversed(re.findall("[a-z]+", name.lower())):
        split = TRAIN if word == "trainval" else split_called(word)
        if split is not None:
            return split
    return None


def _in_folder(root: Path) -> Iterator[str]:
    seen = {root.resolve()}
    for folder, inner, names in os.walk(root, followlinks=True):
        kept = []
        for name in inner:
            path = Path(folder, name)
            if _hidden(name) or (path.is_symlink() and path.resolve() in seen):
                continue  # a link that leads to where we have been would be walked for ever
            if path.is_symlink():
                seen.add(path.resolve())
            kept.append(name)
        inner[:] = kept
        place = Path(folder).relative_to(root)
        for name in names:
            if not _hidden(name):
                yield (place / name).as_posix()


def _in_zip(archive: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [info.filename for info in opened.infolist() if not info.is_dir()]
    except (OSError, *DAMAGE) as error:
        raise DataError(
            f"{archive} is no zip that can be opened ({error}); fetch it again"
        ) from error
    for name in names:
        if not any(_hidden(part) for part in PurePosixPath(name).parts):
            yield name


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
