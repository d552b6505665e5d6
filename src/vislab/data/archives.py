"""Unpack an archive of unknown origin: nothing outside the target, no bombs, never half-done.

Every member is written by this file, name by name and byte by byte; permissions, owners and times
are not taken over. Links of any kind are refused, also those that stay inside: image sets need
none, and following links is where unpackers that check more have been broken into (CVE-2025-4517
in `tarfile`'s own filter).
"""

import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from vislab.data.bar import Progress, bar, readable
from vislab.data.making import put_in_place, work_folder
from vislab.errors import DataError

CHUNK = 1 << 20  # bytes
LARGEST = 400 * 10**9  # bytes; ImageNet, the largest set of the catalogue, takes 155
RATIO = 200  # times its own size; photographs stay near 1, drawn masks near 50
HARMLESS = 10**8  # bytes; below this no ratio is suspicious
TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")


@runtime_checkable
class Source(Protocol):
    """What a member's bytes come out of."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""
        ...


Member = tuple[str, Source | None, int]  # name, contents or None for a folder, bytes read so far


def unpack(
    archive: Path,
    into: Path,
    *,
    largest: int = LARGEST,
    ratio: int = RATIO,
    progress: Progress = bar,
) -> None:
    """Unpack a zip, tar (plain, gz, xz, bz2) or gz into the folder `into`, which must be new.

    A gz holds one file, named like the archive without `.gz`. Members go to a hidden folder beside
    `into` first, of this process alone, which takes its name only when all are there. `largest`
    limits the unpacked bytes, `ratio` what they may be as a multiple of the archive's. Raises
    DataError, naming the member, for a path or a link that could lead outside, for a bomb, and for
    a damaged archive.
    """
    if into.exists():
        raise _there(archive, into)
    reader = _reader_of(archive)
    try:
        with work_folder(into, "unpacking") as work:
            with progress(f"unpacking {archive.name}", archive.stat().st_size) as advance:
                meter = Meter(archive, work, largest, ratio)
                for name, contents, read in reader(archive):
                    _write(name, contents, work, meter, archive)
                    advance(read)
            if not put_in_place(work, into):
                raise _there(archive, into)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        gzip.BadGzipFile,
        NotImplementedError,
        RuntimeError,
        UnicodeError,
    ) as error:
        raise DataError(f"{archive} is damaged or not what its name says: {error}") from error
    except OSError as error:
        raise DataError(f"{archive.name} cannot be unpacked to {into}: {error}") from error


def _there(archive: Path, into: Path) -> DataError:
    return DataError(f"{into} is there already; move it away before unpacking {archive.name}")


def _reader_of(archive: Path) -> Callable[[Path], Iterator[Member]]:
    name = archive.name.lower()
    if name.endswith(".zip"):
        return _zip_members
    if name.endswith(TARS):
        return _tar_members
    if name.endswith(".gz"):
        return _gz_member
    raise DataError(f"{archive.name} is no archive known here; zip, gz and {', '.join(TARS)} are")


def _zip_members(archive: Path) -> Iterator[Member]:
    read = 0
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16 if info.create_system == 3 else 0  # 3: made on Unix
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, info.filename, "is a link or a device")
            read += info.compress_size
            if info.filename.endswith("/"):  # is_dir() stumbles over an empty name
                yield info.filename, None, read
            else:
                with opened.open(info) as contents:
                    yield info.filename, contents, read


def _tar_members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|*") as opened:
        for info in opened:
            if not (info.isreg() or info.isdir()):
                raise _unsafe(archive, info.name, "is a link or a device")
            yield info.name, opened.extractfile(info) if info.isreg() else None, raw.tell()


def _gz_member(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as raw, gzip.open(raw) as contents:
        yield archive.name[: -len(".gz")], contents, raw.tell()


def _write(name: str, contents: Source | None, work: Path, meter: "Meter", of: Path) -> None:
    path = work.joinpath(*_safe_parts(name, of))
    if contents is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        while block := contents.read(CHUNK):
            meter.count(len(block), name)
            out.write(block)


def _safe_parts(name: str, archive: Path) -> list[str]:
    """Split a member's name at both kinds of slash. Raises DataError where it could lead out."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    if name[:1] in ("/", "\\"):
        raise _unsafe(archive, name, "has an absolute path")
    if ".." in parts:
        raise _unsafe(archive, name, "leads out of the folder")
    if any(":" in part or "\0" in part for part in parts):  # C:, and streams of NTFS
        raise _unsafe(archive, name, "has a drive letter or a zero byte in its name")
    return parts


class Meter:
    """Counts what is really written; what an archive claims about itself proves nothing."""

    def __init__(self, archive: Path, work: Path, largest: int, ratio: int) -> None:
        self.archive, self.work, self.largest = archive, work, largest
        self.suspicious = max(HARMLESS, ratio * archive.stat().st_size)
        self.written = 0

    def count(self, size: int, name: str) -> None:
        """Take note of bytes about to be written."""
        self.written += size
        if self.written > self.largest:
            raise _unsafe(
                self.archive, name, f"makes it unpack to over {readable(self.largest)}, the limit"
            )
        if self.written > self.suspicious:
            raise _unsafe(
                self.archive, name, f"makes it unpack to over {readable(self.suspicious)}: a bomb"
            )
        if shutil.disk_usage(self.work).free < size:
            raise DataError(
                f"{self.archive.name} does not fit: the disk of {self.work.parent} is full after "
                f"{readable(self.written)}; make room, or let VISLAB_HOME name another disk"
            )


def _unsafe(archive: Path, name: str, why: str) -> DataError:
    return DataError(f"{archive.name} is refused: its member {name!r} {why}")
