"""What is wrong with a set of pictures, found before anything is learned from it.

Every picture is read and decoded once, a few at a time; some 350 bytes of each stay in memory.

Copies have equal digests of their decoded pixels. Near duplicates (saved again, resized, lit a
little otherwise) are found by a 64-bit perceptual hash, h_k = [c_k > 0], where c are the 64 lowest
frequencies, without the mean, of the 2-D cosine transform of the picture in 32×32 greys. Zauner
2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1, has an
8×8 block cut at its median instead. Two pictures count when their hashes differ in at most
`DISTANCE` bits *and* their 16×16 greys correlate: the hash alone takes any two upright strokes for
the same digit. Cropped, mirrored or turned copies are not found.
"""

import hashlib
import io
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import index
from typing import Any, SupportsIndex

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float32, Int, UInt8, UInt64
from PIL import Image
from rich.cells import cell_len

from vislab.data.arrays import Arrays
from vislab.data.decode import decode, hushed
from vislab.data.listing import SPLITS, Listing, Reader
from vislab.data.splits import TEST, TRAIN, VAL, draw_split
from vislab.errors import DataError
from vislab.progress import track

CHUNK = 32  # pictures a thread reads before it hands over what it saw
STRIP = 1 << 20  # pixels hashed at a time, so that a large picture is not in memory twice
DISTANCE = 6  # bits of 64
LIKENESS = 0.95  # correlation of 16×16 greys; on CIFAR-10 every pair looked at was the same photo
FLAT = 2.0  # grey levels of standard deviation; below it a hash is made of noise
MOST_PAIRS = 50_000
SHOWN = 5  # examples under a problem, on the terminal
FEW = 3  # pictures of a class: fewer cannot be on every side of a split
UNEVEN = 10  # the largest class to the smallest
LONG = 2  # one side to the other: the middle square keeps less than half of the picture
KINDS = ("grey", "CMYK", "16-bit", "animated", "turned by EXIF")


@dataclass(frozen=True)
class Problem:
    """What is wrong and what to do about it, in a sentence, and each place where it is so."""

    sentence: str
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What a check found. With anything in `spoils`, a score on these pictures means little."""

    name: str
    facts: dict[str, Any]
    spoiling: tuple[Problem, ...]
    doubtful: tuple[Problem, ...]

    @property
    def spoils(self) -> tuple[str, ...]:
        """What would spoil a result: one sentence each."""
        return tuple(problem.sentence for problem in self.spoiling)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at: one sentence each."""
        return tuple(problem.sentence for problem in self.doubtful)

    def as_json(self) -> dict[str, Any]:
        """Return everything that was found, every place included."""

        def plain(problems: tuple[Problem, ...]) -> list[dict[str, Any]]:
            return [{"sentence": p.sentence, "places": list(p.places)} for p in problems]

        return {
            "name": self.name,
            "facts": self.facts,
            "spoils": plain(self.spoiling),
            "warnings": plain(self.doubtful),
        }

    def lines(self) -> list[str]:
        """Return a page for the terminal: the counts, the facts, then the problems."""
        out = [
            *_heading(self.name, self.facts),
            "",
            *_table(self.facts),
            "",
            *_measures(self.facts),
        ]
        for title, problems in (("spoils", self.spoiling), ("warning", self.doubtful)):
            for problem in problems:
                out += ["", f"{title}: {problem.sentence}"]
                out += [f"    {place}" for place in problem.places[:SHOWN]]
                if len(problem.places) > SHOWN:
                    out.append(f"    … and {len(problem.places) - SHOWN} more")
        if not self.spoiling:
            out += ["", "nothing found that would spoil a result"]
        return out


def check(pictures: Listing | Arrays, *, progress: bool = True) -> Findings:
    """Read every picture and return what is wrong with the set.

    Raises no DataError for a picture that cannot be read: that is one of the findings.
    """
    if isinstance(pictures, Arrays) and not pictures.official:
        pictures = replace(pictures, splits=draw_split(pictures.labels))
    seen = _look_at_all(pictures, progress)
    spoiling: list[Problem] = []
    doubtful: list[Problem] = []
    _add(
        spoiling,
        _cleaned(tuple(seen.unreadable.values())),
        ("picture", "pictures"),
        "cannot be read; mend or delete what is named here",
    )
    _judge_listing(pictures, spoiling, doubtful)
    _judge_classes(pictures, spoiling, doubtful)
    _judge_copies(pictures, seen, spoiling, doubtful)
    _judge_near(pictures, seen, doubtful)
    _judge_shapes(pictures, seen, doubtful)
    return Findings(_clean(pictures.name), _facts(pictures, seen), tuple(spoiling), tuple(doubtful))


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is kept of the pictures: columns, one row each, zero where one cannot be read."""

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


def _look_at_all(pictures: Listing | Arrays, progress: bool) -> _Seen:
    n = len(pictures)
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
    fetch = _fetcher(pictures)

    def look(rows: range) -> tuple[range, Counter[str], dict[int, str]]:
        """Fill these rows of the columns; no other thread writes them."""
        formats: Counter[str] = Counter()
        unreadable = {}
        small = np.zeros((len(rows), 32, 32, 3), dtype=np.uint8)
        for place, row in enumerate(rows):
            try:
                content, picture = fetch(row)
            except DataError as error:
                unreadable[row] = str(error)
                continue
            if content is not None:
                seen.files[row] = _digest([content])
                name, seen.kinds[row] = _kinds(content)
                formats[name] += 1
            seen.readable[row] = True
            seen.sizes[row] = picture.size
            seen.pixels[row] = _digest(_strips(picture))
            stamp = picture.resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0)
            small[place] = np.asarray(stamp)
        part = slice(rows.start, rows.stop)
        seen.hashes[part], seen.greys[part], seen.contrast[part] = perceptual_hashes(small)
        return rows, formats, unreadable

    chunks = [range(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
    with (
        track(f"checking {pictures.name}", total=n, unit="pictures", quiet=not progress) as advance,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for rows, formats, unreadable in pool.map(look, chunks):
            seen.formats.update(formats)
            seen.unreadable.update(unreadable)
            advance(len(rows))
    return seen


def _fetcher(pictures: Listing | Arrays) -> Callable[[int], tuple[bytes | None, Image.Image]]:
    """Return a function that gives the bytes of a picture, if it has any, and the picture."""
    if isinstance(pictures, Arrays):
        pixels = pictures.pixels
        return lambda row: (None, Image.fromarray(pixels[row]))
    listing, reader = pictures, Reader(pictures.sources)

    def fetch(row: int) -> tuple[bytes, Image.Image]:
        content = reader.read(int(listing.source_of[row]), listing.members[row])
        return content, decode(content, listing.where(row))

    return fetch


def _digest(parts: Sequence[bytes] | Iterator[bytes]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def _strips(picture: Image.Image) -> Iterator[bytes]:
    """Yield the size of an RGB picture and then its bytes, strip by strip."""
    width, height = picture.size
    yield f"{width}×{height}".encode()
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        yield picture.crop((0, top, width, min(top + step, height))).tobytes()


def _kinds(content: bytes) -> tuple[str, list[bool]]:
    """Return the file format and which of `KINDS` hold, from a file that decodes."""
    with hushed(), Image.open(io.BytesIO(content)) as header:
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


def perceptual_hashes(
    small: UInt8[np.ndarray, "m 32 32 3"],
) -> tuple[UInt64[np.ndarray, " m"], UInt8[np.ndarray, "m 256"], Float32[np.ndarray, " m"]]:
    """Return the hash, the 16×16 greys and the contrast (standard deviation) of RGB pictures."""
    grey = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    squares = np.arange(32) ** 2
    lowest = np.argsort(np.add.outer(squares, squares), axis=None, kind="stable")[1:65]
    waves = scipy.fft.dctn(grey, axes=(1, 2), norm="ortho").reshape(-1, 1024)  # (M, 1024)
    bits = np.ascontiguousarray(np.packbits(waves[:, lowest] > 0, axis=1))  # (M, 8)
    greys = np.round(grey.reshape(-1, 16, 2, 16, 2).mean(axis=(2, 4))).astype(np.uint8)
    return bits.view(np.uint64)[:, 0], greys.reshape(-1, 256), grey.std(axis=(1, 2))


def near_pairs(
    hashes: UInt64[np.ndarray, " n"], greys: UInt8[np.ndarray, "n 256"], *, most: int = MOST_PAIRS
) -> tuple[Int[np.ndarray, "m 2"], bool]:
    """Return pairs of rows that look alike, likest first, and whether these are all.

    The 64 bits are cut into `DISTANCE` + 1 bands: two hashes that differ in at most `DISTANCE` bits
    agree in one band at least, so only rows that agree in a band, neighbours once sorted by it, are
    compared. Memory grows with n and `most`, never with n²; the search stops after `most` pairs.
    """
    cuts = np.linspace(0, 64, DISTANCE + 2).round().astype(int)
    bands = [np.uint64(sum(1 << int(bit) for bit in range(a, b))) for a, b in pairwise(cuts)]
    found: list[tuple[np.ndarray, np.ndarray]] = []
    total = compared = 0
    for number, band in enumerate(bands):
        keys = hashes & band
        order = np.argsort(keys, kind="stable")
        keys, ordered = keys[order], hashes[order]
        left, step = np.arange(len(order)), 0
        while len(left):
            step += 1
            left = left[: np.searchsorted(left, len(order) - step)]
            left = left[keys[left] == keys[left + step]]
            apart = ordered[left] ^ ordered[left + step]
            match = np.bitwise_count(apart) <= DISTANCE
            for earlier in bands[:number]:  # a pair that agrees there was compared there
                match &= (apart & earlier) != 0
            pairs = np.stack([order[left[match]], order[left[match] + step]], axis=1)
            likeness = _likeness(greys, pairs)
            alike = likeness >= LIKENESS
            found.append((pairs[alike], likeness[alike]))
            total += int(alike.sum())
            compared += len(pairs)
            if total > most or compared > 100 * most:
                return _likest_first(found)[:most], False
    return _likest_first(found), True


def _likest_first(
    found: list[tuple[np.ndarray, np.ndarray]],
) -> Int[np.ndarray, "m 2"]:
    pairs = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(pairs for pairs, _ in found)])
    likeness = np.concatenate([np.zeros(0, dtype=np.float32), *(likeness for _, likeness in found)])
    pairs.sort(axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], -likeness))]


def _likeness(
    greys: UInt8[np.ndarray, "n 256"], pairs: Int[np.ndarray, "m 2"]
) -> Float32[np.ndarray, " m"]:
    """Return the correlation of the greys of each pair: 1 for the same picture or a lighter one."""
    out = np.zeros(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), 4096):
        both = greys[pairs[start : start + 4096]].astype(np.float32)  # (m, 2, 256)
        both -= both.mean(axis=2, keepdims=True)
        lengths = np.linalg.norm(both, axis=2).prod(axis=1)
        out[start : start + 4096] = (both[:, 0] * both[:, 1]).sum(axis=1) / (lengths + 1e-6)
    return out


def _judge_listing(
    pictures: Listing | Arrays, spoiling: list[Problem], doubtful: list[Problem]
) -> None:
    """Judge what the listing knows without opening a picture."""
    if isinstance(pictures, Arrays):
        return
    _add(
        spoiling,
        _cleaned(pictures.absent),
        ("picture that the label file names is", "pictures that the label file names are"),
        "not to be found; mend the paths, which count from the label file's own folder, or delete "
        "the rows",
    )
    _add(
        spoiling,
        _cleaned(pictures.empty_classes),
        ("class folder holds", "class folders hold"),
        "no picture; add some, or delete what is empty",
    )
    _add(
        spoiling,
        _groups_astray(pictures),
        ("group stands", "groups stand"),
        "on two sides of the split, so that the test is not on anything new; keep each group on "
        "one side, or delete the column `split` and let vislab draw it",
    )
    _add(
        doubtful,
        _cleaned(pictures.unlabelled),
        ("picture has", "pictures have"),
        "no label and would be left out; put each into its class folder or name it in the label "
        "file",
    )
    doubtful.extend(Problem(_clean(note)) for note in pictures.notes)


def _groups_astray(listing: Listing) -> list[str]:
    if listing.groups is None:
        return []
    names, group_of = np.unique(np.asarray(listing.groups, dtype=str), return_inverse=True)
    on = np.zeros((len(names), len(SPLITS)), dtype=bool)
    on[group_of, listing.splits] = True
    return [
        f"{_clean(names[group])}: {', '.join(np.asarray(SPLITS)[on[group]])}"
        for group in np.flatnonzero(on.sum(axis=1) > 1)
    ]


def _judge_classes(
    pictures: Listing | Arrays, spoiling: list[Problem], doubtful: list[Problem]
) -> None:
    counts = _counts(pictures)  # (K, 3)
    total = counts.sum(axis=1)
    names = np.array([_clean(name) for name in pictures.classes], dtype=object)
    has = ("class has", "classes have")
    _add(
        spoiling,
        names[total == 0].tolist(),
        has,
        "no picture at all; add some or take the name out",
    )
    _add(
        spoiling,
        names[(counts[:, TRAIN] == 0) & (total > 0)].tolist(),
        has,
        "no picture to train on; put some into train or take the class out",
    )
    if counts[:, TEST].any():
        _add(
            doubtful,
            names[(counts[:, TEST] == 0) & (total > 0)].tolist(),
            has,
            "no picture to test on, so that no score will say how well it is told apart; add some "
            "to test",
        )
    else:
        doubtful.append(Problem("no picture is there to test on; add a test side to the split"))
    _add(
        doubtful,
        [
            f"{names[label]}: {total[label]}"
            for label in np.flatnonzero((total > 0) & (total < FEW))
        ],
        has,
        f"fewer than {FEW} pictures, too few for every side of a split; add some or join classes",
    )
    largest, smallest = int(total.argmax()), int(total.argmin())
    if total[largest] >= UNEVEN * max(total[smallest], 1):
        doubtful.append(
            Problem(
                f"the classes are uneven: {total[largest]} pictures of {names[largest]!r}, "
                f"{total[smallest]} of {names[smallest]!r}; read the accuracy of each class, not "
                "only the mean"
            )
        )


def _judge_copies(
    pictures: Listing | Arrays, seen: _Seen, spoiling: list[Problem], doubtful: list[Problem]
) -> None:
    """Judge pictures that are equal pixel for pixel."""
    splits, labels = pictures.splits, pictures.labels
    leaked: list[str] = []
    tuned_on: list[str] = []
    relabelled: list[str] = []
    repeated: list[str] = []
    same_file = 0
    for rows in _copies(seen):
        sides = splits[rows]
        train, seen_before = rows[sides == TRAIN], rows[sides != TEST]
        for row in rows[sides == TEST] if len(seen_before) else ():
            leaked.append(_pair(pictures, row, seen_before[0], "="))
            same_file += bool((seen.files[seen_before] == seen.files[row]).any())
        for row in rows[sides == VAL] if len(train) else ():
            tuned_on.append(_pair(pictures, row, train[0], "="))
        for row in rows[labels[rows] != labels[rows[0]]][:1]:
            relabelled.append(_pair(pictures, rows[0], row, "="))
        for place, row in enumerate(rows):
            earlier = rows[:place]
            earlier = earlier[(splits[earlier] == splits[row]) & (labels[earlier] == labels[row])]
            if len(earlier):
                repeated.append(_pair(pictures, row, earlier[0], "="))
    files = f" ({same_file} byte for byte)" if isinstance(pictures, Listing) else ""
    _add(
        spoiling,
        leaked,
        ("test picture is", "test pictures are"),
        f"also in train or val, equal in every pixel{files}: a score on such is memory; "
        f"{_apart(pictures)}",
    )
    _add(
        spoiling,
        relabelled,
        ("picture stands", "pictures stand"),
        "under two labels, equal in every pixel; keep the right one and delete the other",
    )
    _add(
        doubtful,
        tuned_on,
        ("val picture is", "val pictures are"),
        f"also in train, equal in every pixel: what is tuned on such overfits; {_apart(pictures)}",
    )
    _add(
        doubtful,
        repeated,
        ("picture is", "pictures are"),
        "a copy of another on the same side and would count double; delete the copies",
    )


def _copies(seen: _Seen) -> Iterator[Int[np.ndarray, " k"]]:
    """Yield the rows of each set of two or more equal pictures, ascending."""
    rows = np.flatnonzero(seen.readable)
    rows = rows[np.argsort(seen.pixels[rows], kind="stable")]
    for group in np.split(rows, np.flatnonzero(np.diff(seen.pixels[rows])) + 1):
        if len(group) > 1:
            yield group


def _judge_near(pictures: Listing | Arrays, seen: _Seen, doubtful: list[Problem]) -> None:
    """Judge pictures that look alike without being equal."""
    first = np.zeros(len(pictures), dtype=bool)
    first[np.unique(seen.pixels, return_index=True)[1]] = True  # copies were judged already
    rows = np.flatnonzero(first & seen.readable & (seen.contrast >= FLAT))
    pairs, complete = near_pairs(seen.hashes[rows], seen.greys[rows])
    pairs = rows[pairs]  # (M, 2)
    across = pictures.splits[pairs[:, 0]] != pictures.splits[pairs[:, 1]]
    differ = pictures.labels[pairs[:, 0]] != pictures.labels[pairs[:, 1]]
    more = "" if complete else " (there are more; the search ended here)"
    for chosen, what in (
        (across, f"on two sides of the split: look at some, and {_apart(pictures)}"),
        (differ, "under two labels: look which label is right"),
        (~across & ~differ, "on the same side: look at some; simple drawings are alike by chance"),
    ):
        _add(
            doubtful,
            [_pair(pictures, a, b, "≈") for a, b in pairs[chosen].tolist()],
            ("pair of near duplicates stands", "pairs of near duplicates stand"),
            what + more,
        )


def _judge_shapes(pictures: Listing | Arrays, seen: _Seen, doubtful: list[Problem]) -> None:
    short, long = seen.sizes.min(axis=1), seen.sizes.max(axis=1)
    _add(
        doubtful,
        [
            f"{_where(pictures, row)} ({seen.sizes[row, 0]}×{seen.sizes[row, 1]})"
            for row in np.flatnonzero(seen.readable & (long > LONG * short)).tolist()
        ],
        ("picture is", "pictures are"),
        f"over {LONG} times as long as wide: vislab keeps the middle square, less than half; crop "
        "to what matters",
    )


def _add(
    problems: list[Problem], places: Sequence[str], subject: tuple[str, str], rest: str
) -> None:
    """Add a problem with as many places, if any; `subject` is for one place and for more."""
    if places:
        some = f"{len(places)} {subject[len(places) > 1]}"
        problems.append(Problem(f"{some} {rest}", tuple(places)))


def _apart(pictures: Listing | Arrays) -> str:
    if isinstance(pictures, Arrays):
        return "say so beside the score"
    if pictures.official:
        return "delete them on one side"
    return "delete the copies, or give them one name in the column `group` of a label file"


def _where(pictures: Listing | Arrays, row: int) -> str:
    return f"picture {row}" if isinstance(pictures, Arrays) else _clean(pictures.where(row))


def _pair(pictures: Listing | Arrays, a: SupportsIndex, b: SupportsIndex, sign: str) -> str:
    def named(row: int) -> str:
        label = _clean(pictures.classes[pictures.labels[row]])
        return f"{_where(pictures, row)} ({label}, {SPLITS[pictures.splits[row]]})"

    return f"{named(index(a))} {sign} {named(index(b))}"


def _clean(text: str) -> str:
    """Replace what a terminal would act on, or what no encoding can write, by a mark."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _cleaned(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(_clean(text) for text in texts)


def _counts(pictures: Listing | Arrays) -> Int[np.ndarray, "k 3"]:
    counts = np.zeros((len(pictures.classes), len(SPLITS)), dtype=np.int64)
    np.add.at(counts, (pictures.labels, pictures.splits), 1)
    return counts


def _facts(pictures: Listing | Arrays, seen: _Seen) -> dict[str, Any]:
    counts = _counts(pictures)
    total = counts.sum(axis=1)
    names = [_clean(name) for name in pictures.classes]
    largest, smallest = int(total.argmax()), int(total.argmin())
    sizes = seen.sizes[seen.readable]
    facts: dict[str, Any] = {
        "pictures": len(pictures),
        "readable": int(seen.readable.sum()),
        "official_split": pictures.official,
        "sides": dict(zip(SPLITS, counts.sum(axis=0).tolist(), strict=True)),
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
    if isinstance(pictures, Listing):
        facts["formats"] = dict(seen.formats.most_common())
        facts["kinds"] = dict(zip(KINDS, seen.kinds.sum(axis=0).tolist(), strict=True))
        if pictures.groups is not None:
            facts["groups"] = len(set(pictures.groups))
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


def _heading(name: str, facts: dict[str, Any]) -> list[str]:
    split = "came with the pictures" if facts["official_split"] else "was drawn by vislab"
    k = len(facts["classes"])
    classes = f"{k} class" if k == 1 else f"{k} classes"
    return [f"{name}: {facts['pictures']} pictures, {classes}; the split {split}"]


def _table(facts: dict[str, Any]) -> list[str]:
    """Count pictures by class and side; of over 30 classes only the largest and smallest."""
    rows = [(name, *counts.values()) for name, counts in facts["classes"].items()]
    ranked = sorted(rows, key=lambda row: -sum(row[1:]))
    left_out = len(rows) - 20 if len(rows) > 30 else 0
    shown = [*ranked[:10], *ranked[-10:]] if left_out else rows
    shown += [("all", *facts["sides"].values())]
    wide = max(cell_len(str(row[0])) for row in [("class",), *shown])
    out = [f"{'class':<{wide}}" + "".join(f"{side:>8}" for side in SPLITS)]
    for name, *counts in shown:
        padding = " " * (wide - cell_len(str(name)))
        out.append(f"{name}{padding}" + "".join(f"{count:>8}" for count in counts))
    if left_out:
        out.insert(11, f"… {left_out} classes between these …")
    return out


def _measures(facts: dict[str, Any]) -> list[str]:
    balance = "the classes are of one size"
    if facts["largest_to_smallest"] > 1:
        balance = (
            f"{facts['largest_to_smallest']:.3g} : 1, largest {facts['largest_class']!r}, smallest "
            f"{facts['smallest_class']!r}"
        )
    guess = f"always saying the same class is right for {100 * facts['majority_share']:.1f} %"
    rows = [("balance", f"{balance}; {guess}")]
    for key in ("width", "height", "width_to_height"):
        if key in facts:
            low, middle, high = (f"{value:.4g}" for value in facts[key].values())
            rows.append((key.replace("_", " "), f"{low} to {high}, median {middle}"))
    if facts.get("formats"):
        rows.append(("formats", ", ".join(f"{n} {name}" for name, n in facts["formats"].items())))
    kinds = [f"{n} {name}" for name, n in facts.get("kinds", {}).items() if n]
    if facts["flat"]:
        kinds.append(f"{facts['flat']} of nearly one colour (not compared with others)")
    if kinds:
        rows.append(("of these", ", ".join(kinds)))
    if "groups" in facts:
        rows.append(("groups", str(facts["groups"])))
    return [f"{name:<16}{text}" for name, text in rows]
