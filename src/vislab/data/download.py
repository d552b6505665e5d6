"""Download one file so that it is either whole and checked, or not there at all.

Bytes go to `NAME.part` beside the target; `NAME.part.json` remembers which version of which address
they came from, so that a later call goes on where an earlier one stopped (RFC 9110, sections 13.1.5
and 14.2: If-Range and Range). The last step is a rename.
"""

import errno
import hashlib
import http.client
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any

from vislab.data.bar import Advance, Progress, bar, readable
from vislab.errors import DataError

CHUNK = 1 << 20  # bytes
TIMEOUT = 30.0  # seconds without a single byte
ATTEMPTS = 3  # in a row without getting anywhere, per address
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Refused(Exception):
    """This address will not do; the next one may."""


class Stumbled(Exception):
    """The same address may do in a moment."""


@dataclass(frozen=True)
class Want:
    """What the finished file must be, as far as it is known."""

    sha256: str | None
    md5: str | None
    size: int | None


def download(
    urls: Sequence[str],
    to: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    progress: Progress = bar,
    pause: float = 0.5,
) -> str:
    """Fetch the first address that works to `to` and return the file's SHA-256.

    `size` is in bytes. `md5` counts only where no `sha256` is known. `pause` is the wait in seconds
    after a first failure; it doubles with each further one. Raises DataError naming every address
    with its reason, or when the disk is full; then `to` does not exist.
    """
    want = Want(sha256 and sha256.lower(), md5 and md5.lower(), size)
    part = to.with_name(to.name + ".part")
    reasons = []
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        for url in urls:
            try:
                digest = _from_one(url, part, want, f"downloading {to.name}", progress, pause)
            except Refused as reason:
                reasons.append(f"  {url}: {reason}")
                continue
            part.replace(to)
            _note(part).unlink(missing_ok=True)
            return digest
    except OSError as error:  # ours: those of the network are Stumbled or Refused by now
        if error.errno in NO_SPACE:
            raise _full(to, want.size) from error
        raise DataError(f"{to} cannot be written: {error.strerror or error}") from error
    told = "\n".join(reasons) if reasons else "  no address is known"
    raise DataError(
        f"{to.name} could not be downloaded:\n{told}\nFetch it by hand and put it at {to}"
    )


def _from_one(url: str, part: Path, want: Want, what: str, progress: Progress, pause: float) -> str:
    """Fill `part` from one address, going on after interruptions, and check it."""
    if not url.startswith(("http://", "https://")):
        raise Refused("not an http or https address")
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _once(url, part, want, what, progress)
        except Stumbled as reason:
            got = part.stat().st_size if part.exists() else 0
            failures = 1 if got >= before + CHUNK else failures + 1
            if failures == ATTEMPTS:
                raise Refused(str(reason)) from reason
            time.sleep(pause * 2 ** (failures - 1))


def _once(url: str, part: Path, want: Want, what: str, progress: Progress) -> str:
    start, validator = _resumable(url, part)
    headers = {"User-Agent": "vislab", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with _open_url(urllib.request.Request(url, headers=headers), part) as answer:
        have, total = _where_it_starts(answer, start, validator, part)
        if want.size is not None and total not in (None, want.size):
            raise Refused(f"has {total} bytes, the wanted file has {want.size}")
        total = want.size if total is None else total
        _make_room(part, total, have)
        sums = Sums()
        if not have:
            part.write_bytes(b"")
        with part.open("r+b") as out:
            sums.read(out, have)
            if not have:
                _remember(url, part, answer.headers)
            with progress(what, total) as advance:
                _receive(answer, out, sums, total, have, advance)
        got = part.stat().st_size
    if total is not None and got < total:
        raise Stumbled(f"the connection ended after {got} of {total} bytes")
    if wrong := _what_is_wrong(sums, want):
        _throw_away(part)
        raise (Stumbled if have else Refused)(wrong)  # what was there before may have been rotten
    return sums.sha256.hexdigest()


class Sums:
    """Both checksums of a growing file."""

    def __init__(self) -> None:
        self.sha256, self.md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def update(self, block: bytes) -> None:
        """Take in the next bytes."""
        self.sha256.update(block)
        self.md5.update(block)

    def read(self, file: BufferedRandom, count: int) -> None:
        """Take in the first `count` bytes of the file and leave it standing behind them."""
        while count and (block := file.read(min(CHUNK, count))):
            self.update(block)
            count -= len(block)


def _receive(
    answer: Any, out: BufferedRandom, sums: Sums, total: int | None, done: int, advance: Advance
) -> None:
    broken: Exception | None = None
    while broken is None:
        try:
            block = answer.read(CHUNK)
        except http.client.IncompleteRead as error:
            block, broken = error.partial, error
        except (OSError, http.client.HTTPException) as error:
            block, broken = b"", error
        if not block:
            break
        done += len(block)
        if total is not None and done > total:
            _throw_away(Path(out.name))
            raise Refused(f"sends more than the {total} bytes there should be")
        out.write(block)
        sums.update(block)
        advance(done)
    if broken is not None:
        raise Stumbled(f"the connection broke after {done} bytes: {broken}") from broken


def _what_is_wrong(sums: Sums, want: Want) -> str:
    if want.sha256 is not None:
        kind, digest, wanted = "SHA-256", sums.sha256.hexdigest(), want.sha256
    else:
        kind, digest, wanted = "MD5", sums.md5.hexdigest(), want.md5 or sums.md5.hexdigest()
    return "" if digest == wanted else f"its {kind} is {digest}, the wanted file has {wanted}"


def _open_url(request: urllib.request.Request, part: Path) -> Any:
    try:
        return _opener().open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what we have is longer than the file there: begin again
            _throw_away(part)
            raise Stumbled("416, cannot go on from where the last attempt stopped") from error
        kind = Stumbled if error.code in TRANSIENT else Refused
        raise kind(f"{error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        kind = Stumbled if isinstance(error.reason, OSError) else Refused
        raise kind(f"{error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Stumbled(f"{error or type(error).__name__}") from error
    except ValueError as error:
        raise Refused(f"not a usable address: {error}") from error


def _opener() -> urllib.request.OpenerDirector:
    """Like urllib's own, but a redirect cannot lead to a local file or to FTP."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        director.add_handler(handler())
    return director


def _where_it_starts(answer: Any, asked: int, validator: str, part: Path) -> tuple[int, int | None]:
    """Return how many bytes of ours stay, and how long the whole file is if the server says so."""
    length = answer.headers.get("Content-Length")
    if answer.status != 206:  # the server knows no ranges, or its file has changed
        return 0, int(length) if length and length.isdecimal() else None
    told = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", told)
    changed = _validator(answer.headers) not in ("", validator)  # it should not have sent 206 then
    if not match or not asked or int(match[1]) != asked or changed:
        _throw_away(part)
        raise Stumbled(f"asked for the bytes from {asked} on, was sent others ({told})")
    return asked, None if match[3] == "*" else int(match[3])


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """Return how many bytes there are to go on from, and the version they belong to."""
    try:
        told = json.loads(_note(part).read_text())
        if told["url"] == url and told["validator"]:
            return part.stat().st_size, str(told["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing there, or nothing that could be trusted
    return 0, ""


def _remember(url: str, part: Path, headers: http.client.HTTPMessage) -> None:
    _note(part).write_text(json.dumps({"url": url, "validator": _validator(headers)}))


def _validator(headers: http.client.HTTPMessage) -> str:
    """Return what names this version of the file: If-Range wants a strong ETag, or a date."""
    tag = headers.get("ETag") or ""
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("Last-Modified") or ""


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _throw_away(part: Path) -> None:
    for path in (part, _note(part)):
        with suppress(FileNotFoundError):
            path.unlink()


def _make_room(part: Path, total: int | None, have: int) -> None:
    if total is not None and shutil.disk_usage(part.parent).free < total - have:
        raise _full(part.with_suffix(""), total)


def _full(to: Path, size: int | None) -> DataError:
    free = readable(shutil.disk_usage(to.parent).free)
    needs = f"needs {readable(size)} and only {free} are" if size else f"does not fit: {free} are"
    return DataError(
        f"{to.name} {needs} free in {to.parent}; make room, or let VISLAB_HOME name another disk"
    )
