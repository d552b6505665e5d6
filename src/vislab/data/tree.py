"""The files of a folder or of a zip, by name, and how a name in an annotation finds one of them.

An annotation may name any path at all. What is opened is always one of the files that were found
by walking, so that a name can lead nowhere else.
"""

import os
import posixpath
import unicodedata
import urllib.parse
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from vislab.data.decode import EXTENSIONS, cannot_open, signature
from vislab.data.listing import DAMAGE
from vislab.data.splits import split_called
from vislab.data.text import text_of
from vislab.data.zips import named_members, require_honest
from vislab.errors import DataError

LARGEST = 1 << 31  # bytes of a file of annotations; the largest of COCO has 0.45 GB
LARGEST_TEXT = 1 << 26  # bytes of a list, a table or one image's labels
LOOKED_AT = 50  # names that tell how all are written
FEWEST = 3  # names of which it can be told
JUNK = frozenset({
    "__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information",
    "lost+found", "thumbs.db", "desktop.ini",
})  # fmt: skip
# What needs no look inside to be known as no image.
OTHERS = frozenset({
    ".txt", ".json", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".md", ".py", ".ipynb", ".html",
    ".zip", ".tar", ".gz", ".npy", ".npz", ".mat", ".pkl", ".pt", ".pth", ".h5", ".parquet",
    ".names", ".data", ".cfg", ".weights", ".log", ".doc", ".docx", ".xls", ".xlsx", ".pdf",
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".wav", ".mp3", ".lst", ".cache", ".lock", ".db",
})  # fmt: skip


class Tree:
    """The visible files under a folder, or in a zip, as paths with forward slashes, sorted.

    With `archives`, zips in the folder that are named after a split are folders too.
    """

    def __init__(self, root: Path, *, archives: bool = False) -> None:
        if not root.exists():
            raise DataError(f"there is no folder or zip at {root}")
        self.root = root
        found = list(walked(root) if root.is_dir() else zipped(root))
        beside: list[Path] = []
        if archives and root.is_dir():
            zips = (path for path in sorted(root.iterdir()) if path.suffix.lower() == ".zip")
            beside = [path for path in zips if split_called(path.stem) is not None]
        self.sources = (root, *beside)
        self._zipped: dict[str, tuple[int, str]] = {}
        for source, archive in enumerate(beside, start=1):
            taken = any(member.startswith(f"{archive.stem}/") for member in found)
            above = archive.name if taken else archive.stem
            for member in zipped(archive):
                self._zipped[f"{above}/{member}"] = (source, member)
        self.members = tuple(sorted([*found, *self._zipped]))
        self._known = frozenset(self.members)
        self._opened: dict[int, tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]] = {}

    def place(self, member: str) -> tuple[int, str]:
        """Return which of the sources a file is in, and its path in there."""
        return self._zipped.get(member, (0, member))

    def __contains__(self, member: str) -> bool:
        return member in self._known

    def _archive(self, source: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        """Return a zip, opened once: its table of contents is long."""
        if source not in self._opened:
            opened = zipfile.ZipFile(self.sources[source])
            self._opened[source] = (opened, named_members(opened, self.sources[source]))
        return self._opened[source]

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The images: by their endings, and where an ending says nothing by their first bytes."""
        return tuple(member for member in self.members if self._is_image(member))

    @cached_property
    def unopened(self) -> tuple[str, ...]:
        """Photographs in formats that cannot be opened here, such as raw ones."""
        return tuple(member for member in self.members if cannot_open(member))

    def _is_image(self, member: str) -> bool:
        if is_image(member):
            return True
        ending = PurePosixPath(member).suffix.lower()
        if ending in OTHERS or cannot_open(member):
            return False
        try:
            return signature(self.start(member, 32)) is not None
        except DataError:
            return False

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return self._sorted_by(lambda path: path.name)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return self._sorted_by(lambda path: path.stem)

    @cached_property
    def _by_folded(self) -> dict[str, list[str]]:
        return self._sorted_by(lambda path: folded(path.name))

    @cached_property
    def _by_folded_stem(self) -> dict[str, list[str]]:
        return self._sorted_by(lambda path: folded(path.stem))

    def _sorted_by(self, key: "Callable[[PurePosixPath], str]") -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for member in self.images:
            found[key(PurePosixPath(member))].append(member)
        return found

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

    def meant(self, name: str, *, beside: str = "", cut: int = 0) -> list[str]:
        """Return the images that a name in a table, a list or an annotation may mean.

        The strictest reading that finds any counts: the very path, from the folder `beside` or from
        the top; the end of one; the same with letters composed otherwise or in another case, and
        without an extension; as a web tool escapes it; of an address its last part. `cut` leading
        folders are not looked at (see `cut_of`). More than one is a doubt, which is the caller's
        to tell.
        """
        text = name.strip().replace("\\", "/")
        top = f"{self.root.resolve().as_posix()}/"
        if ".." in text.split("/"):  # from the list's own folder, and to nowhere else
            led = inside(posixpath.normpath(f"{beside or '.'}/{text}"))
            return [led] if led in self._images else []
        for written in dict.fromkeys((text.removeprefix(top), unescaped(text))):
            tidy = inside(written)
            if tidy is None:
                continue
            tidy = "/".join(tidy.split("/")[cut:]) if "://" not in text else tidy.split("/")[-1]
            for exact in ((PurePosixPath(beside) / tidy).as_posix(), tidy):
                if exact in self._images:
                    return [exact]
            if found := self.called(tidy) or self._ending_in(tidy):
                return found
        return []

    def cut_of(self, names: Sequence[str], *, beside: str = "") -> int:
        """Return how many leading folders the names have too many, as those from higher up have.

        It must be the same number for all that are looked at: a single name that is found only by
        its last part is more likely another image's.
        """
        some = [name for name in names[:LOOKED_AT] if "://" not in name]
        if len(some) < FEWEST or any(self.meant(name, beside=beside) for name in some):
            return 0
        folders = [name.replace("\\", "/").split("/")[:-1] for name in some]
        shared = sum(len(set(level)) == 1 for level in zip(*folders, strict=False))
        for cut in range(1, shared + 1):
            if all(len(self.meant(name, beside=beside, cut=cut)) == 1 for name in some):
                return cut
        return 0

    @cached_property
    def _images(self) -> frozenset[str]:
        return frozenset(self.images)

    def _ending_in(self, tail: str) -> list[str]:
        """Return images whose path ends so, letters' case, form and the extension aside."""
        wanted = folded(tail)
        last = PurePosixPath(wanted).name
        found = [m for m in self._by_folded.get(last, ()) if f"/{folded(m)}".endswith(f"/{wanted}")]
        return found or [
            member
            for member in self._by_folded_stem.get(last, ())
            if f"/{folded(str(PurePosixPath(member).with_suffix('')))}".endswith(f"/{wanted}")
        ]

    def parts(self, member: str, size: int = 1 << 20, most: int = LARGEST) -> Iterator[bytes]:
        """Yield the bytes of a file in parts.

        Raises DataError when it cannot be read, or has over `most` bytes.
        """
        assert member in self._known
        where = f"{self.root / member}"
        try:
            source, inner = self.place(member)
            if self.sources[source].is_dir():
                path = self.root / member
                if (size_now := path.stat().st_size) > most:
                    raise DataError(
                        f"{where} has {size_now / 1e6:,.0f} MB, over the {most / 1e6:,.0f} MB that "
                        "such a file may have"
                    )
                with path.open("rb") as file:
                    while part := file.read(size):
                        yield part
            else:
                archive, infos = self._archive(source)
                require_honest(infos[inner], where, most)
                with archive.open(infos[inner]) as packed:
                    while part := packed.read(size):
                        yield part
        except (OSError, *DAMAGE) as error:
            raise DataError(f"{where} cannot be read: {error}") from error

    def read(self, member: str, most: int = LARGEST) -> bytes:
        """Return a file whole."""
        return b"".join(self.parts(member, most=most))

    def text(self, member: str, most: int = LARGEST_TEXT) -> str:
        """Return a text file whole, each line ended by a newline (see text.py)."""
        return text_of(self.read(member, most), f"{self.root / member}")

    def start(self, member: str, size: int = 4096) -> bytes:
        """Return the first bytes of a file."""
        return next(self.parts(member, size), b"")


def is_image(member: str) -> bool:
    """Say whether a file is called as images are."""
    return PurePosixPath(member).suffix.lower() in EXTENSIONS


def visible(name: str) -> bool:
    """Say whether a file or a folder is one that people mean, and no machine left there."""
    return not name.startswith(".") and name.casefold() not in JUNK


def folded(name: str) -> str:
    """Return a name such that equal ones differ in letters' case and form at most."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def inside(name: str) -> str | None:
    """Return a path as an annotation writes it, tidied; None where it is absolute or leads up."""
    text = name.strip().replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or ".." in parts or not parts or ":" in parts[0] or "\0" in text:
        return None
    return "/".join(parts)


def unescaped(name: str) -> str:
    """Return a name as it was before a web tool escaped it, without the address in front."""
    address = urllib.parse.urlsplit(name) if "://" in name else None
    path = address.path.lstrip("/") if address is not None else name
    return urllib.parse.unquote(path)


def walked(root: Path) -> Iterator[str]:
    """Yield the visible files below a folder, past links that lead to where one has been."""
    for folder, _, names in folders_of(root):
        place = Path(folder).relative_to(root)
        for name in names:
            if visible(name):
                yield (place / name).as_posix()


def folders_of(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk as `os.walk` does, past what is hidden and past links that lead where one has been."""
    seen = {root.resolve()}
    for folder, inner, names in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(inner):
            path = Path(folder, name)
            if not visible(name):
                continue
            if path.is_symlink():
                if path.resolve() in seen or root.resolve().is_relative_to(path.resolve()):
                    continue
                seen.add(path.resolve())
            kept.append(name)
        inner[:] = kept
        yield folder, inner, names


def zipped(archive: Path) -> Iterator[str]:
    """Yield the visible files in a zip. Raises DataError when it cannot be opened."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = list(named_members(opened, archive))
    except (OSError, *DAMAGE) as error:
        raise DataError(
            f"{archive} is no zip that can be opened ({error}); fetch it again"
        ) from error
    for name in names:
        if all(visible(part) for part in PurePosixPath(name).parts):
            yield name
