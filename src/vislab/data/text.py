"""Text as people's programs write it: UTF-8, or UTF-16 with or without its mark; never guessed."""

import codecs

from vislab.errors import DataError

MARKS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip
LOOKED_AT = 2000  # bytes that tell UTF-16 without a mark


def text_of(content: bytes, where: str) -> str:
    """Return the text, its lines ended by one newline each, whatever ended them.

    Raises DataError with the line where the bytes are in another encoding: letters that are
    guessed make classes of one word two, or of two one.
    """
    encoding, start = _encoding_of(content)
    try:
        text = content[start:].decode(encoding)
    except UnicodeDecodeError as error:
        before = content[start : start + error.start].decode(encoding, errors="replace")
        line = len(before.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        wrong = content[start + error.start]
        raise DataError(
            f"{where}, line {line}: byte {wrong:#04x} is no {encoding[:6].upper().rstrip('-')}; "
            "save the file in UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding_of(content: bytes) -> tuple[str, int]:
    """Return the encoding and how many bytes its mark has."""
    for mark in sorted(MARKS, key=len, reverse=True):
        if content.startswith(mark):
            return MARKS[mark], len(mark)
    some = content[:LOOKED_AT]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        high, low = some[first::2], some[1 - first :: 2]
        if len(high) > 3 and high.count(0) > 0.4 * len(high) and low.count(0) < 0.1 * len(low):
            return encoding, 0
    return "utf-8", 0
