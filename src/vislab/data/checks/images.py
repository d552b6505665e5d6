"""What is wrong with a set of images, found before anything is learned from it.

Every image is read and decoded once, a few at a time; some 350 bytes of each stay in memory.

Copies have equal digests of their decoded pixels; near_duplicates.py finds what only looks alike.
"""

import hashlib
import io
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8, UInt64
from PIL import Image

from vislab.data.arrays import Arrays
from vislab.data.checks.issues import Issue, Issues, printable
from vislab.data.checks.near_duplicates import near_pairs, perceptual_hashes
from vislab.data.decode import decode, open_image
from vislab.data.listing import SPLITS, Listing, Reader
from vislab.data.splits import TEST, TRAIN, VAL, draw_split
from vislab.errors import DataError
from vislab.progress import track

CHUNK = 32  # images a thread reads before it hands over what it saw
STRIP = 1 << 20  # pixels hashed at a time, so that a large image is not in memory twice
FLAT = 2.0  # grey levels of standard deviation; below it a hash is made of noise
FEW = 3  # images of a class: fewer cannot be in every split
UNEVEN = 10  # the largest class to the smallest
LONG = 2  # one side to the other: the middle square keeps less than half of the image
KINDS = ("grey", "CMYK", "16-bit", "several pages", "turned by EXIF")


def check(images: Listing | Arrays, *, progress: bool = True) -> Issues:
    """Read every image and return what is wrong with the set.

    Raises no DataError for an image that cannot be read: that is one of the issues.
    """
    if isinstance(images, Arrays) and not images.official:
        images = replace(images, splits=draw_split(images.labels))
    seen = _look_at_all(images, progress)
    spoiling: list[Issue] = []
    doubtful: list[Issue] = []
    _add(
        spoiling,
        tuple(map(printable, seen.unreadable.values())),
        ("image", "images"),
        "cannot be read; mend or delete what is named here",
    )
    _judge_listing(images, spoiling, doubtful)
    _judge_classes(images, spoiling, doubtful)
    _judge_copies(images, seen, spoiling, doubtful)
    _judge_near(images, seen, doubtful)
    _judge_shapes(images, seen, doubtful)
    return Issues(printable(images.name), _facts(images, seen), tuple(spoiling), tuple(doubtful))


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is kept of the images: columns, one row each, zero where one cannot be read."""

    readable: Bool[np.ndarray, " n"]
    sizes: Int[np.ndarray, "n 2"]  # width, height as a person sees it
    files: UInt64[np.ndarray, " n"]  # digest of the bytes
    pixels: UInt64[np.ndarray, " n"]  # digest of the decoded pixels and their size
    hashes: UInt64[np.ndarray, " n"]
    greys: UInt8[np.ndarray, "n 256"]
    contrast: Float32[np.ndarray, " n"]  # standard deviation of the greys, 0..127.5
    kinds: Bool[np.ndarray, "n 5"]  # as `KINDS`
    formats: Counter[str]
    unreadable: dict[int, str]


def _look_at_all(images: Listing | Arrays, progress: bool) -> _Seen:
    n = len(images)
    seen = _Seen(
        readable=np.zeros(n, dtype=bool),
        sizes=np.zeros((n, 2), dtype=np.int64),
        files=np.zeros(n, dtype=np.uint64),
        pixels=np.zeros(n, dtype=np.uint64),
        hashes=np.zeros(n, dtype=np.uint64),
        greys=np.zeros((n, 256), dtype=np.uint8),
        contrast=np.zeros(n, dtype=np.float32),
        kinds=np.zeros((n, len(KINDS)), dtype=bool),
        formats=Counter(),
        unreadable={},
    )
    fetch = _fetcher(images)

    def look(rows: range) -> tuple[range, Counter[str], dict[int, str]]:
        """Fill these rows of the columns; no other thread writes them."""
        formats: Counter[str] = Counter()
        unreadable = {}
        small = np.zeros((len(rows), 32, 32, 3), dtype=np.uint8)
        for place, row in enumerate(rows):
            try:
                content, image = fetch(row)
            except DataError as error:
                unreadable[row] = str(error)
                continue
            if content is not None:
                seen.files[row] = _digest([content])
                name, seen.kinds[row] = _kinds(content)
                formats[name] += 1
            seen.readable[row] = True
            seen.sizes[row] = image.size
            seen.pixels[row] = _digest(_strips(image))
            stamp = image.resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0)
            small[place] = np.asarray(stamp)
        part = slice(rows.start, rows.stop)
        seen.hashes[part], seen.greys[part], seen.contrast[part] = perceptual_hashes(small)
        return rows, formats, unreadable

    chunks = [range(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
    with (
        track(f"checking {images.name}", total=n, unit="images", quiet=not progress) as advance,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for rows, formats, unreadable in pool.map(look, chunks):
            seen.formats.update(formats)
            seen.unreadable.update(unreadable)
            advance(len(rows))
    return seen


def _fetcher(images: Listing | Arrays) -> Callable[[int], tuple[bytes | None, Image.Image]]:
    """Return a function that gives the bytes of an image, if it has any, and the image."""
    if isinstance(images, Arrays):
        pixels = images.pixels
        return lambda row: (None, Image.fromarray(pixels[row]))
    listing, reader = images, Reader(images.sources)

    def fetch(row: int) -> tuple[bytes, Image.Image]:
        content = reader.read(int(listing.source_of[row]), listing.members[row])
        return content, decode(content, listing.where(row))

    return fetch


def _digest(parts: Sequence[bytes] | Iterator[bytes]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def _strips(image: Image.Image) -> Iterator[bytes]:
    """Yield the size of an RGB image and then its bytes, strip by strip."""
    width, height = image.size
    yield f"{width}×{height}".encode()
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        yield image.crop((0, top, width, min(top + step, height))).tobytes()


def _kinds(content: bytes) -> tuple[str, list[bool]]:
    """Return the file format and which of `KINDS` hold, from a file that decodes."""
    with open_image(io.BytesIO(content)) as header:
        # Pillow unpacks a whole PNG to look for a note behind the pixels; one in front will do.
        has_note = header.format != "PNG" or "exif" in header.info
        turned = has_note and header.getexif().get(0x0112, 1) not in (0, 1)
        kinds = [
            header.mode in ("1", "L", "LA", "La", "I", "F") or header.mode.startswith("I;16"),
            header.mode == "CMYK",
            header.mode in ("I", "F") or header.mode.startswith("I;16"),
            _moves(header),
            turned,
        ]
        return header.format or "unknown", kinds


def _moves(header: Image.Image) -> bool:
    try:
        return bool(getattr(header, "is_animated", False))
    except (OSError, EOFError, IndexError, SyntaxError, ValueError, struct.error):
        return False  # damaged behind the first frame, which is the one that counts


def _judge_listing(images: Listing | Arrays, spoiling: list[Issue], doubtful: list[Issue]) -> None:
    """Judge what the listing knows without opening an image."""
    if isinstance(images, Arrays):
        return
    _add(
        spoiling,
        tuple(map(printable, images.absent)),
        ("image that the label file names is", "images that the label file names are"),
        "not to be found; mend the paths, which count from the label file's own folder, or delete "
        "the rows",
    )
    _add(
        spoiling,
        tuple(map(printable, images.empty_classes)),
        ("class folder holds", "class folders hold"),
        "no image; add some, or delete what is empty",
    )
    _add(
        spoiling,
        _groups_astray(images),
        ("group stands", "groups stand"),
        "in two splits, so that the test is not on anything new; keep each group in "
        "one split, or delete the column `split` and let vislab draw it",
    )
    _add(
        doubtful,
        tuple(map(printable, images.unlabelled)),
        ("image has", "images have"),
        "no label and would be left out; put each into its class folder or name it in the label "
        "file",
    )
    spoiling.extend(Issue(printable(doubt)) for doubt in images.doubts)
    doubtful.extend(Issue(printable(note)) for note in images.notes)


def _groups_astray(listing: Listing) -> list[str]:
    if listing.groups is None:
        return []
    names, group_of = np.unique(np.asarray(listing.groups, dtype=str), return_inverse=True)
    on = np.zeros((len(names), len(SPLITS)), dtype=bool)
    on[group_of, listing.splits] = True
    return [
        f"{printable(names[group])}: {', '.join(np.asarray(SPLITS)[on[group]])}"
        for group in np.flatnonzero(on.sum(axis=1) > 1)
    ]


def _judge_classes(images: Listing | Arrays, spoiling: list[Issue], doubtful: list[Issue]) -> None:
    counts = _counts(images)  # (K, 3)
    total = counts.sum(axis=1)
    names = np.array([printable(name) for name in images.classes], dtype=object)
    has = ("class has", "classes have")
    _add(
        spoiling,
        names[total == 0].tolist(),
        has,
        "no image at all; add some or take the name out",
    )
    _add(
        spoiling,
        names[(counts[:, TRAIN] == 0) & (total > 0)].tolist(),
        has,
        "no image to train on; put some into train or take the class out",
    )
    if counts[:, TEST].any():
        _add(
            doubtful,
            names[(counts[:, TEST] == 0) & (total > 0)].tolist(),
            has,
            "no image to test on, so that no score will say how well it is told apart; add some "
            "to test",
        )
    else:
        spoiling.append(Issue("no image is there to test on; add a test split"))
    _add(
        doubtful,
        [
            f"{names[label]}: {total[label]}"
            for label in np.flatnonzero((total > 0) & (total < FEW))
        ],
        has,
        f"fewer than {FEW} images, too few for every split; add some or join classes",
    )
    largest, smallest = int(total.argmax()), int(total.argmin())
    if total[largest] >= UNEVEN * max(total[smallest], 1):
        doubtful.append(
            Issue(
                f"the classes are uneven: {total[largest]} images of {names[largest]!r}, "
                f"{total[smallest]} of {names[smallest]!r}; read the accuracy of each class, not "
                "only the mean"
            )
        )


def _judge_copies(
    images: Listing | Arrays, seen: _Seen, spoiling: list[Issue], doubtful: list[Issue]
) -> None:
    """Judge images that are equal pixel for pixel."""
    splits, labels = images.splits, images.labels
    leaked: list[str] = []
    tuned_on: list[str] = []
    relabelled: list[str] = []
    repeated: list[str] = []
    same_file = 0
    for rows in _copies(seen):
        subsets = splits[rows]
        train, seen_before = rows[subsets == TRAIN], rows[subsets != TEST]
        for row in rows[subsets == TEST] if len(seen_before) else ():
            leaked.append(_pair(images, row, seen_before[0], "="))
            same_file += bool((seen.files[seen_before] == seen.files[row]).any())
        for row in rows[subsets == VAL] if len(train) else ():
            tuned_on.append(_pair(images, row, train[0], "="))
        for row in rows[labels[rows] != labels[rows[0]]][:1]:
            relabelled.append(_pair(images, rows[0], row, "="))
        for place, row in enumerate(rows):
            earlier = rows[:place]
            earlier = earlier[(splits[earlier] == splits[row]) & (labels[earlier] == labels[row])]
            if len(earlier):
                repeated.append(_pair(images, row, earlier[0], "="))
    files = f" ({same_file} byte for byte)" if isinstance(images, Listing) else ""
    _add(
        spoiling,
        leaked,
        ("test image is", "test images are"),
        f"also in train or val, equal in every pixel{files}: a score on such is memory; "
        f"{_apart(images)}",
    )
    _add(
        spoiling,
        relabelled,
        ("image stands", "images stand"),
        "under two labels, equal in every pixel; keep the right one and delete the other",
    )
    _add(
        doubtful,
        tuned_on,
        ("val image is", "val images are"),
        f"also in train, equal in every pixel: what is tuned on such overfits; {_apart(images)}",
    )
    _add(
        doubtful,
        repeated,
        ("image is", "images are"),
        "a copy of another in the same split and would count double; delete the copies",
    )


def _copies(seen: _Seen) -> Iterator[Int[np.ndarray, " k"]]:
    """Yield the rows of each set of two or more equal images, ascending."""
    rows = np.flatnonzero(seen.readable)
    rows = rows[np.argsort(seen.pixels[rows], kind="stable")]
    for group in np.split(rows, np.flatnonzero(np.diff(seen.pixels[rows])) + 1):
        if len(group) > 1:
            yield group


def _judge_near(images: Listing | Arrays, seen: _Seen, doubtful: list[Issue]) -> None:
    """Judge images that look alike without being equal."""
    first = np.zeros(len(images), dtype=bool)
    first[np.unique(seen.pixels, return_index=True)[1]] = True  # copies were judged already
    rows = np.flatnonzero(first & seen.readable & (seen.contrast >= FLAT))
    pairs, complete = near_pairs(seen.hashes[rows], seen.greys[rows])
    pairs = rows[pairs]  # (M, 2)
    across = images.splits[pairs[:, 0]] != images.splits[pairs[:, 1]]
    differ = images.labels[pairs[:, 0]] != images.labels[pairs[:, 1]]
    more = "" if complete else " (there are more; the search ended here)"
    for chosen, what in (
        (across, f"in two splits: look at some, and {_apart(images)}"),
        (differ, "under two labels: look which label is right"),
        (~across & ~differ, "in the same split: look at some; simple drawings are alike by chance"),
    ):
        _add(
            doubtful,
            [_pair(images, a, b, "≈") for a, b in pairs[chosen].tolist()],
            ("pair of near duplicates stands", "pairs of near duplicates stand"),
            what + more,
        )


def _judge_shapes(images: Listing | Arrays, seen: _Seen, doubtful: list[Issue]) -> None:
    short, long = seen.sizes.min(axis=1), seen.sizes.max(axis=1)
    _add(
        doubtful,
        [
            f"{_where(images, row)} ({seen.sizes[row, 0]}×{seen.sizes[row, 1]})"
            for row in np.flatnonzero(seen.readable & (long > LONG * short)).tolist()
        ],
        ("image is", "images are"),
        f"over {LONG} times as long as wide: the middle square that is kept is less than half; "
        "show all of each with --fit whole, or crop to what matters",
    )
    paged = seen.readable & seen.kinds[:, KINDS.index("several pages")]
    _add(
        doubtful,
        [_where(images, row) for row in np.flatnonzero(paged).tolist()],
        ("file holds", "files hold"),
        "several pages or frames, of which the first is read; save the one that matters alone",
    )


def _add(issues: list[Issue], places: Sequence[str], subject: tuple[str, str], rest: str) -> None:
    """Add an issue with as many places, if any; `subject` is for one place and for more."""
    if places:
        some = f"{len(places)} {subject[len(places) > 1]}"
        issues.append(Issue(f"{some} {rest}", tuple(places)))


def _apart(images: Listing | Arrays) -> str:
    if isinstance(images, Arrays):
        return "say so beside the score"
    if images.official:
        return "delete them from one split"
    return "delete the copies, or give them one name in the column `group` of a label file"


def _where(images: Listing | Arrays, row: int) -> str:
    return f"image {row}" if isinstance(images, Arrays) else printable(images.where(row))


def _pair(images: Listing | Arrays, a: SupportsIndex, b: SupportsIndex, sign: str) -> str:
    def named(row: int) -> str:
        label = printable(images.classes[images.labels[row]])
        return f"{_where(images, row)} ({label}, {SPLITS[images.splits[row]]})"

    return f"{named(index(a))} {sign} {named(index(b))}"


def _counts(images: Listing | Arrays) -> Int[np.ndarray, "k 3"]:
    counts = np.zeros((len(images.classes), len(SPLITS)), dtype=np.int64)
    np.add.at(counts, (images.labels, images.splits), 1)
    return counts


def _facts(images: Listing | Arrays, seen: _Seen) -> dict[str, Any]:
    counts = _counts(images)
    total = counts.sum(axis=1)
    names = [printable(name) for name in images.classes]
    largest, smallest = int(total.argmax()), int(total.argmin())
    sizes = seen.sizes[seen.readable]
    facts: dict[str, Any] = {
        "images": len(images),
        "readable": int(seen.readable.sum()),
        "official_split": images.official,
        "splits": dict(zip(SPLITS, counts.sum(axis=0).tolist(), strict=True)),
        "classes": {
            name: dict(zip(SPLITS, row, strict=True))
            for name, row in zip(names, counts.tolist(), strict=True)
        },
        "largest_class": names[largest],
        "smallest_class": names[smallest],
        "largest_to_smallest": float(total[largest] / max(total[smallest], 1)),
        "majority_share": float(total[largest] / max(total.sum(), 1)),
        "flat": int((seen.readable & (seen.contrast < FLAT)).sum()),
    }
    if isinstance(images, Listing):
        facts["formats"] = dict(seen.formats.most_common())
        facts["kinds"] = dict(zip(KINDS, seen.kinds.sum(axis=0).tolist(), strict=True))
        if images.groups is not None:
            facts["groups"] = len(set(images.groups))
    if len(sizes):
        for name, values in (
            ("width", sizes[:, 0]),
            ("height", sizes[:, 1]),
            ("width_to_height", sizes[:, 0] / sizes[:, 1]),
        ):
            facts[name] = {
                "min": values.min().item(),
                "median": float(np.median(values)),
                "max": values.max().item(),
            }
    return facts
