"""The catalogue: what each known image set is, what to expect of it, and where it can be had.

A set is described by one file, `cards/NAME.toml`; nothing is downloaded or decoded here.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from vislab.data.bar import readable
from vislab.data.home import home
from vislab.errors import pick

CARDS = Path(__file__).parent / "cards"
MARKER = ".complete"


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a set.

    An archive with `unpack` is unpacked, and its one top folder becomes `gives`. Where `gives` is
    named, that path stands for the file: once it exists the archive itself may be deleted. With
    `gives` and no `unpack` it takes more than unpacking, which is left to the user.
    A file without any checksum is trusted when it first arrives (see `get.py`).
    """

    name: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None
    unpack: bool = False
    gives: str = ""

    def lies_in(self, folder: Path, *, checked: bool = False) -> bool:
        """Say whether the file, or what came out of it, is there.

        With `checked` a file whose size is not the known one does not count. Contents are not read.
        """
        if self.gives:
            return (folder / self.gives).exists()
        path = folder / self.name
        known = self.bytes if checked else None
        return path.is_file() and known in (None, path.stat().st_size)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known about one image set.

    `chance` and `majority` are accuracies in [0, 1]: guessing evenly, and always answering the
    largest class of the test images. `splits` maps "train", "val", "test" to image counts;
    `split_note` says what is unusual about them. `loader` is a key of `loaders.READERS`, or empty
    where a task brings its own reader. `manual` says what to do where nothing may be downloaded
    without an account, or where no download is left. `class_names` are given where the files hold
    only numbers.
    """

    name: str
    title: str
    what: str
    task: str
    classes: int
    size: str
    splits: Mapping[str, int]
    expect: str
    owner: str
    year: int
    terms: str
    homepage: str
    paper: str
    split_note: str = ""
    chance: float | None = None
    majority: float | None = None
    loader: str = ""
    offline: bool = False
    manual: str = ""
    note: str = ""
    checksum_note: str = ""
    class_names: tuple[str, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def download_bytes(self) -> int | None:
        """How much there is to fetch; None where the size of some file is not known."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@cache
def names() -> tuple[str, ...]:
    """Return every set's name, sorted."""
    return tuple(sorted(path.stem for path in CARDS.glob("*.toml")))


def card(name: str) -> Card:
    """Return one card. Raises UnknownName, with the nearest name, when there is none."""
    return parse(pick({known: CARDS / f"{known}.toml" for known in names()}, name, "image set"))


@cache
def parse(path: Path) -> Card:
    """Read one card; the file's stem is the set's name."""
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    told["files"] = tuple(File(**_frozen(File, entry)) for entry in told.get("files", ()))
    return Card(name=path.stem, **_frozen(Card, told))


def _frozen(kind: type[Card] | type[File], told: Mapping[str, Any]) -> dict[str, Any]:
    known = {entry.name for entry in fields(kind)}
    assert told.keys() <= known, f"{kind.__name__} has no field {sorted(told.keys() - known)}"
    return {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}


def folder(name: str) -> Path:
    """Return where the set's files lie, or would lie; the folder need not exist."""
    return home() / "data" / card(name).name


def is_here(name: str) -> bool:
    """Say whether the set can be read now. Looks at names and sizes only, so that it is cheap."""
    chosen, place = card(name), folder(name)
    if chosen.offline:
        return True
    marked = (place / MARKER).exists()
    return all(file.lies_in(place, checked=not marked) for file in chosen.files)


def missing_message(card: Card, folder: Path) -> str:
    """Say which files are missing, where each can be had and where to put it."""
    if card.offline:
        return f"{card.name} needs no download"
    told = [f"{card.name} is not complete in {folder}."]
    if card.manual:
        told.append(card.manual.strip().replace("FOLDER", str(folder)))
    else:
        told.append(f"`vislab data get {card.name}` downloads it, or do it by hand:")
    for file in card.files:
        if file.lies_in(folder, checked=True):
            continue
        size = f" ({readable(file.bytes)})" if file.bytes else ""
        source = "" if card.manual or not file.urls else f" from {' or '.join(file.urls)}"
        places = [f"to {folder / file.name}"] if file.unpack or not file.gives else []
        places += [f"unpacked to {folder / file.gives}"] if file.gives else []
        told.append(f"  {file.name}{size}{source} {', or '.join(places)}")
    return "\n".join(told)
