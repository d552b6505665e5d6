"""The files in a zip by names that people can read; nothing is unpacked, and no bomb goes off.

A name may come with backslashes, or in the code page of the machine that wrote it. What a member
claims about itself is checked before a byte of it is read.
"""

import re
import unicodedata
import zipfile
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
    encoding = _encoding_of([info for info in infos if not info.flag_bits & UTF8], where)
    found = {}
    for info in infos:
        name = info.filename
        if not info.flag_bits & UTF8 and not name.isascii():
            name = name.encode(OLD).decode(encoding)
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


def _encoding_of(infos: list[zipfile.ZipInfo], where: Path) -> str:
    """Return what names without the mark of UTF-8 are written in: all of them in the same."""
    raw = [info.filename.encode(OLD) for info in infos if not info.filename.isascii()]
    for encoding, alphabet in (("utf-8", ""), (OLD, "LATIN"), ("cp866", "CYRILLIC")):
        try:
            letters = {c for name in raw for c in name.decode(encoding) if not c.isascii()}
        except UnicodeDecodeError:
            continue
        if all(unicodedata.name(letter, "").startswith(alphabet) for letter in letters):
            return encoding
    shown = raw[0].decode("ascii", errors="replace")
    raise DataError(
        f"{where} does not say in which alphabet its names are written (first: {shown!r}); unpack "
        "it and give the folder, or pack it with names in UTF-8 (7-Zip: the parameter cu=on)"
    )
