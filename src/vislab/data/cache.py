"""Images decoded once, kept as one memory-mapped array of bytes beside a fingerprint.

`cache/KEY.npy` holds (N, S, S, 3) uint8, or (N, S, S, 1) for masks; `cache/KEY.json` says what it
was made from. The key covers the files' places, sizes and times, the size S and the version of the
decoder, so a changed image gives another key. A memory map is read page by page: memory does not
grow with N.
"""

import glob
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.lib.format import open_memmap

from vislab.data import decode
from vislab.data.home import home
from vislab.data.listing import Listing, Reader
from vislab.data.making import alone_with
from vislab.errors import DataError
from vislab.progress import track

CHUNK = 64  # images a worker decodes before it hands them over


def decoded(
    listing: Listing, size: int, *, fit: decode.Fit = "crop", depth: int | None = None
) -> UInt8[np.ndarray, "n s s 3"]:
    """Return the images of a listing as squares of `size` pixels; `depth` as in `decode`.

    Decodes on the first call and maps the file on later ones. Raises DataError naming the first
    unreadable image and how many there are; none is left out in silence.
    """
    reader = Reader(listing.sources)
    damaged: list[str] = []

    def chunk(rows: range) -> UInt8[np.ndarray, "m s s 3"]:
        out = np.zeros((len(rows), size, size, 3), dtype=np.uint8)
        for place, row in enumerate(rows):
            try:
                content = reader.read(int(listing.source_of[row]), listing.members[row])
                image = decode.decode(content, listing.where(row), at_least=size, depth=depth)
                out[place] = decode.square(image, size, fit)
            except DataError as error:
                damaged.append(str(error))
        return out

    def produce() -> Iterator[UInt8[np.ndarray, "m s s 3"]]:
        yield from in_threads(chunk, len(listing))
        if damaged:
            raise DataError(
                f"{len(damaged)} of {len(listing)} images cannot be used (first: "
                f"{min(damaged)}); take them out, `vislab data check` lists all of them"
            )

    about = {
        "decoder": decode.VERSION, "size": size, "fit": fit, "depth": depth,
        "files": _files_digest(listing),
    }  # fmt: skip
    return kept(listing.name, about, (len(listing), size, size, 3), produce)


@dataclass(frozen=True)
class Memory:
    """Names that were found out about some files, kept until the files change."""

    path: Path

    def recall(self) -> list[str]:
        """Return what was kept, or nothing."""
        try:
            return [str(name) for name in json.loads(self.path.read_text(encoding="utf-8"))]
        except (OSError, ValueError):
            return []

    def keep(self, names: Sequence[str]) -> None:
        """Keep these; where that cannot be they are found out again."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.part")
            partial.write_text(json.dumps(list(names)) + "\n", encoding="utf-8")
            partial.replace(self.path)


def memory(name: str, about: dict[str, Any]) -> Memory:
    """Return what is remembered about the files that `about` describes."""
    text = json.dumps({"decoder": decode.VERSION, **about}, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Memory(home() / "cache" / f"{name[:40]}-{key}.json")


def in_threads(
    chunk: Callable[[range], UInt8[np.ndarray, "m s s c"]], count: int
) -> Iterator[UInt8[np.ndarray, "m s s c"]]:
    """Return what `chunk` makes of the rows up to `count`, in order, some chunks at a time."""
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Few chunks are under way at once: a map over all would hold all pixels in memory.
        waiting = [pool.submit(chunk, rows) for rows in chunks[: 2 * (os.cpu_count() or 1)]]
        for rows in chunks[len(waiting) :]:
            yield waiting.pop(0).result()
            waiting.append(pool.submit(chunk, rows))
        for future in waiting:
            yield future.result()


def kept(
    name: str,
    about: dict[str, Any],
    shape: tuple[int, int, int, int],
    produce: Callable[[], Iterator[UInt8[np.ndarray, "m s s c"]]],
) -> UInt8[np.ndarray, "n s s c"]:
    """Return the array that `about` describes, made by `produce` chunk by chunk if it is not there.

    It appears under its name only when it is whole. Raises DataError when the disk is too small.
    """
    about = {"name": name, "shape": list(shape), **about}
    text = json.dumps(about, sort_keys=True)
    folder = home() / "cache"
    key = f"{name[:40]}-{shape[1]}px-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = folder / f"{key}.npy"
    if not path.exists():
        with alone_with(path, f"the images of {name}"):
            if not path.exists():  # another process may have made it meanwhile
                _make(path, text, shape, produce, name)
    try:
        pixels: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise ValueError("its shape is wrong")
    except (ValueError, EOFError) as error:  # an empty file gives the latter
        raise DataError(f"{path} is damaged ({error}); delete it, it will be made anew") from error
    return pixels


def _make(
    path: Path,
    text: str,
    shape: tuple[int, int, int, int],
    produce: Callable[[], Iterator[UInt8[np.ndarray, "m s s c"]]],
    name: str,
) -> None:
    needed = int(np.prod(shape))
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
            left.unlink(missing_ok=True)  # one process at a time makes this: that one was killed
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise DataError(
                f"{name} needs {needed / 1e9:.1f} GB in {path.parent}, where {free / 1e9:.1f} GB "
                "are free; free some space, use a smaller --size or fewer images, or point "
                "VISLAB_HOME at a larger disk"
            )
        pixels = open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        reserve(partial)
        done = 0
        with track(f"decoding {name}", total=shape[0], unit="images") as advance:
            for chunk in produce():
                pixels[done : done + len(chunk)] = chunk
                done += len(chunk)
                advance(len(chunk))
        pixels.flush()
        del pixels
        path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise DataError(
            f"the decoded images of {name} could not be kept in {path.parent}: "
            f"{error.strerror}; free some space or point VISLAB_HOME at another folder"
        ) from error
    finally:
        with suppress(OSError):  # its folder may be missing too, and that was said already
            partial.unlink()


def reserve(path: Path) -> None:
    """Take the file's whole room on the disk: a map over a hole dies when the disk fills up."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half made more than a day ago."""
    for left in folder.glob("*.part"):
        if time.time() - left.stat().st_mtime > 86_400:
            left.unlink(missing_ok=True)


def _files_digest(listing: Listing) -> str:
    """Return a digest of names, sizes and times. A zip counts once, not member by member."""
    digest = hashlib.sha256()
    for source in listing.sources:
        status = source.stat()
        digest.update(f"{source.resolve()}\n".encode())
        if source.is_file():
            digest.update(f"{source.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    for row, member in enumerate(listing.members):
        source = listing.sources[listing.source_of[row]]
        line = f"{listing.source_of[row]} {member}"
        if source.is_dir():
            line += _stamp(source / member)
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def stamps(root: Path, members: Sequence[str]) -> str:
    """Return a digest of the names, sizes and times of files in a folder."""
    lines = (f"{member}{_stamp(root / member)}\n" for member in members)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return " absent"  # decoding says so in a sentence
    return f" {status.st_size} {status.st_mtime_ns}"


def digest(array: np.ndarray) -> str:
    """Return a short digest of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()[:16]


def resized(
    pixels: UInt8[np.ndarray, "n h w 3"], size: int, rows: Sequence[int] | np.ndarray
) -> Iterator[UInt8[np.ndarray, "m s s 3"]]:
    """Yield the chosen images of an array at `size`, a chunk at a time."""
    from PIL import Image

    for start in range(0, len(rows), CHUNK):
        chunk = pixels[np.asarray(rows[start : start + CHUNK], dtype=np.int64)]
        if chunk.shape[1:3] == (size, size):
            yield chunk
        else:
            yield np.stack([decode.fit_square(Image.fromarray(one), size) for one in chunk])
