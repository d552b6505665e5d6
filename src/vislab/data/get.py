"""Fetch an image set of the catalogue: download what is missing, check it, unpack it.

A file without a published checksum is trusted when it first arrives: its SHA-256 is written to
`NAME.sha256` beside it, and from then on the file must match.
"""

import hashlib
from pathlib import Path

from vislab.data import catalogue
from vislab.data.archives import unpack
from vislab.data.bar import Progress, bar
from vislab.data.catalogue import MARKER, Card, File
from vislab.data.download import download
from vislab.data.making import alone_with, put_in_place, work_folder
from vislab.errors import DataError


def get(name: str, *, progress: Progress = bar) -> Path:
    """Return the set's folder, complete; a second call does nothing, one beside it waits.

    Files that somebody put into the folder are checked and used. Raises DataError with full
    instructions when the set needs an account, or when a source cannot be reached.
    """
    card, folder = catalogue.card(name), catalogue.folder(name)
    if card.offline or ((folder / MARKER).exists() and catalogue.is_here(name)):
        return folder
    with alone_with(folder, name):  # what another process has got meanwhile is not fetched again
        folder.mkdir(parents=True, exist_ok=True)
        for file in card.files:
            _obtain(card, file, folder, progress)
        (folder / MARKER).write_text("".join(f"{file.name}\n" for file in card.files))
    return folder


def _obtain(card: Card, file: File, folder: Path, progress: Progress) -> None:
    if file.gives and file.lies_in(folder):
        return
    if file.gives and not file.unpack:
        raise DataError(catalogue.missing_message(card, folder))
    path = folder / file.name
    if path.exists():
        digest = _check(file, path)
    elif card.manual:
        raise DataError(catalogue.missing_message(card, folder))
    else:
        digest = download(
            file.urls,
            path,
            sha256=file.sha256 or _remembered(path),
            md5=file.md5,
            size=file.bytes,
            progress=progress,
        )
    if not file.sha256 and not file.md5:
        _record(path).write_text(f"{digest}  {file.name}\n")
    if file.unpack:
        _unpack_top(path, folder / file.gives, progress)


def _check(file: File, path: Path) -> str:
    """Compare a file that is already there with the card and return its SHA-256."""
    if file.bytes is not None and path.stat().st_size != file.bytes:
        raise DataError(
            f"{path} has {path.stat().st_size} bytes and should have {file.bytes}; it is damaged "
            "or another file. Move it away and try again"
        )
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        opened.seek(0)
        md5 = hashlib.file_digest(opened, "md5").hexdigest() if file.md5 else None
    wanted = file.sha256 or _remembered(path)
    if (wanted and digest != wanted) or (not wanted and md5 != file.md5):
        got, want = (digest, wanted) if wanted else (md5, file.md5)
        raise DataError(
            f"{path} has checksum {got} and should have {want}; it is damaged or another file. "
            "Move it away and try again"
        )
    return digest


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _remembered(path: Path) -> str | None:
    return _record(path).read_text().split()[0] if _record(path).exists() else None


def _unpack_top(archive: Path, to: Path, progress: Progress) -> None:
    """Unpack an archive that holds one folder, and put that folder at `to` in one step."""
    with work_folder(to, "whole") as work:
        whole = work / "whole"
        unpack(archive, whole, progress=progress)
        tops = [path for path in whole.iterdir() if path.is_dir() and path.name != "__MACOSX"]
        if len(tops) != 1:
            raise DataError(f"{archive.name} should hold one folder and holds {len(tops)}")
        put_in_place(tops[0], to)
