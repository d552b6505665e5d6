"""The files in a zip by names that people can read; nothing is unpacked, and no bomb goes off.

A name may come with backslashes, or in the code page of the machine that wrote it. What a member
claims about itself is checked before a byte of it is read.
"""

import re
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

from vislab.errors import DataError

RATIO = 200  # times its own size; photographs stay near 1, drawn masks near 50
HARMLESS = 10**8  # bytes; below this no ratio is suspicious
UTF8 = 0x800  # the flag of a member whose name is in UTF-8
OLD = "cp437"  # what a name without the flag is in, says the standard, and `zipfile` reads it so


def named_members(opened: zipfile.ZipFile, where: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an open zip by name, with forward slashes, in the archive's order.

    Raises DataError for members that overlap, which no honest program writes, and for names in an
    alphabet that cannot be told.
    """
    infos = [info for info in opened.infolist() if not info.filename.endswith(("/", "\\"))]
    _refuse_overlaps(infos, where)
    meant = {
        **_readable([info for info in infos if not info.flag_bits & UTF8], where),
        **_repaired([info.filename for info in infos if info.flag_bits & UTF8]),
    }
    found = {}
    for info in infos:
        name = meant.get(info.filename, info.filename)
        found["/".join(part for part in re.split(r"[/\\]", name) if part not in ("", "."))] = info
    return found


def require_honest(info: zipfile.ZipInfo, where: str, most: int) -> None:
    """Raise DataError for a member that claims more than `most` bytes, or out of nearly nothing."""
    if info.file_size > most:
        raise DataError(
            f"{where} unpacks to {info.file_size / 1e6:,.0f} MB, over the {most / 1e6:,.0f} MB "
            "that such a file may have"
        )
    if info.file_size > HARMLESS and info.file_size > RATIO * max(info.compress_size, 1):
        raise DataError(
            f"{where} unpacks to {info.file_size / max(info.compress_size, 1):,.0f} times its "
            "size: a bomb, which is refused"
        )


def _refuse_overlaps(infos: list[zipfile.ZipInfo], where: Path) -> None:
    end, before = 0, ""
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise DataError(
                f"{where} is refused: its members {before!r} and {info.filename!r} overlap, as in "
                "a bomb; pack it anew"
            )
        end, before = info.header_offset + 30 + info.compress_size, info.filename


def _readable(infos: list[zipfile.ZipInfo], where: Path) -> dict[str, str]:
    """Return what each name without the mark of UTF-8 means: all are written in the same way."""
    raw = {i.filename: i.filename.encode(OLD) for i in infos if not i.filename.isascii()}
    ways: tuple[tuple[str, Callable[[bytes], str]], ...] = (
        ("", lambda name: name.decode("utf-8")),
        ("LATIN", lambda name: name.decode(OLD)),
        ("CYRILLIC", lambda name: name.decode("cp866")),
    )
    for alphabet, way in ways:
        try:
            read = {name: way(content) for name, content in raw.items()}
        except UnicodeError:
            continue
        letters = {c for name in read.values() for c in name if not c.isascii()}
        if all(unicodedata.name(letter, "").startswith(alphabet) for letter in letters):
            again = _repaired(list(read.values()))
            return {name: again.get(told, told) for name, told in read.items()}
    shown = next(iter(raw.values())).decode("ascii", errors="replace")
    raise DataError(
        f"{where} does not say in which alphabet its names are written (first: {shown!r}); unpack "
        "it and give the folder, or pack it with names in UTF-8 (7-Zip: the parameter cu=on)"
    )


def _repaired(names: list[str]) -> dict[str, str]:
    """Return names as they were before a program took the code page of DOS for another one.

    So it is where mathematical signs stand for letters and every one becomes a Cyrillic letter.
    """
    odd = [name for name in names if not name.isascii()]
    if not any(unicodedata.category(letter).startswith("S") for name in odd for letter in name):
        return {}
    try:
        read = {name: name.encode(OLD).decode("cp866") for name in odd}
    except UnicodeError:
        return {}
    letters = {letter for name in read.values() for letter in name if not letter.isascii()}
    cyrillic = all(unicodedata.name(letter, "").startswith("CYRILLIC") for letter in letters)
    return read if cyrillic else {}
