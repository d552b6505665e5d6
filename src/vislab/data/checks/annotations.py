"""What is wrong with annotated images, found before anything is learned from them.

The issues that reading found are told by kind and file. Beyond them every image is decoded once,
and what is merely odd is named for a person to look at.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float, Int, UInt8

from vislab.data.annotations import VOID, Annotated
from vislab.data.checks.issues import Issue, Issues, printable
from vislab.data.decode import contents, decode
from vislab.data.listing import SPLITS
from vislab.data.mask_rendering import mask_of
from vislab.data.splits import TEST, TRAIN
from vislab.errors import DataError
from vislab.progress import track

SMALL, MEDIUM = 32**2, 96**2  # pixels of a box, as COCO draws the lines
WHOLE = 0.95  # of the image under one box
ALIKE = 0.9  # intersection over union of two boxes that may be one object


def check_annotated(annotated: Annotated, *, progress: bool = True) -> Issues:
    """Return what is wrong with the set; every image is decoded, every mask read."""
    spoiling = [Issue(printable(doubt)) for doubt in annotated.doubts]
    doubtful = [Issue(printable(note)) for note in annotated.notes]
    _add_issues(annotated, spoiling)
    flawed = {issue.row for issue in annotated.issues}
    unreadable, digests = _decoded(annotated, flawed, progress)
    _add(
        spoiling,
        unreadable,
        ("image", "images"),
        "cannot be read to the end; mend or delete what is named here",
    )
    _judge_copies(annotated, digests, spoiling)
    facts = _facts(annotated)
    if annotated.masks is None:
        facts |= _instance_facts(annotated)
        _judge_boxes(annotated, doubtful)
    else:
        facts |= _mask_facts(annotated, flawed, progress)
    _judge_classes(facts, spoiling, doubtful)
    return Issues(printable(annotated.name), facts, tuple(spoiling), tuple(doubtful))


def _add_issues(annotated: Annotated, spoiling: list[Issue]) -> None:
    """Add one for each kind of issue: what its text says before the colon."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for issue in annotated.issues:
        kind, _, rest = issue.what.partition(": ")
        by_kind[printable(kind)].append(
            printable(f"{issue.where}: {rest}" if rest else issue.where)
        )
    for kind, places in sorted(by_kind.items(), key=lambda one: -len(one[1])):
        _add(
            spoiling,
            sorted(places),
            ("annotation cannot be used", "annotations cannot be used"),
            f"({kind}); mend what is named here, or leave these images out with --skip-bad",
        )


def _decoded(
    annotated: Annotated, flawed: set[int | None], progress: bool
) -> tuple[list[str], dict[int, bytes]]:
    """Return what cannot be decoded, and a digest of the pixels of each image that can."""
    rows = [row for row in range(len(annotated)) if row not in flawed]

    def look(row: int) -> str | bytes:
        member = annotated.members[row]
        try:
            image = decode(contents(annotated.root / member), member)
        except DataError as error:
            return str(error)
        except OSError as error:
            return f"{member}: {error.strerror}"
        pixels = hashlib.blake2b(str(image.size).encode(), digest_size=8)
        pixels.update(image.tobytes())
        return pixels.digest()

    unreadable, digests = [], {}
    with (
        track(
            f"checking {annotated.name}", total=len(rows), unit="images", quiet=not progress
        ) as advance,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for row, seen in zip(rows, pool.map(look, rows), strict=True):
            advance(1)
            if isinstance(seen, str):
                unreadable.append(printable(seen))
            else:
                digests[row] = seen
    return unreadable, digests


def _judge_copies(annotated: Annotated, digests: dict[int, bytes], spoiling: list[Issue]) -> None:
    """Judge test images that are equal, pixel for pixel, to others."""
    elsewhere = {digest: row for row, digest in digests.items() if annotated.splits[row] != TEST}
    leaked = [
        printable(f"{annotated.members[row]} = {annotated.members[elsewhere[digest]]}")
        for row, digest in digests.items()
        if annotated.splits[row] == TEST and digest in elsewhere
    ]
    _add(
        spoiling,
        leaked,
        ("test image is", "test images are"),
        "also in train or val, equal in every pixel: a score on such is memory; delete them on one "
        "split",
    )


def _judge_boxes(annotated: Annotated, doubtful: list[Issue]) -> None:
    instances = annotated.instances
    corners = instances.boxes
    area = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    images = annotated.sizes[instances.image].prod(axis=1)
    _add(
        doubtful,
        [_instance(annotated, row) for row in np.flatnonzero(area > WHOLE * np.maximum(images, 1))],
        ("box covers", "boxes cover"),
        f"over {100 * WHOLE:.0f} % of the image: look whether each is an object",
    )
    pairs = [
        f"{_instance(annotated, first)} ≈ {printable(instances.where[second])}"
        for rows in _groups(annotated)
        for first, second in _alike(corners, rows)
    ]
    _add(
        doubtful,
        pairs,
        ("pair of boxes is", "pairs of boxes are"),
        f"of one class and nearly equal (IoU over {ALIKE}): look whether they are one object",
    )


def _groups(annotated: Annotated) -> list[Int[np.ndarray, " m"]]:
    """Return the rows of objects of one class in one image, where there are several."""
    instances = annotated.instances
    order = np.lexsort([instances.label, instances.image])
    changes = np.flatnonzero(
        (np.diff(instances.image[order]) != 0) | (np.diff(instances.label[order]) != 0)
    )
    return [rows for rows in np.split(order, changes + 1) if len(rows) > 1]


def _alike(
    corners: Float[np.ndarray, "r 4"], rows: Int[np.ndarray, " m"]
) -> Iterator[tuple[int, int]]:
    """Yield for each box, xyxy, that is nearly equal to earlier ones the first of these.

    In the order of their left edges a box can be alike only to some of those next to it.
    """
    boxes = corners[rows]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.argsort(boxes[:, 0], kind="stable")
    boxes, area, rows = boxes[order], area[order], rows[order]
    reach = boxes[:, 0] + (1 - ALIKE) * (boxes[:, 2] - boxes[:, 0])
    ends = np.searchsorted(boxes[:, 0], reach, side="right")
    paired = np.zeros(len(rows), dtype=bool)
    for place in np.flatnonzero(ends > np.arange(1, len(rows) + 1)).tolist():
        near = slice(place + 1, ends[place])
        least = np.maximum(boxes[near, :2], boxes[place, :2])
        most = np.minimum(boxes[near, 2:], boxes[place, 2:])
        shared = (most - least).clip(min=0).prod(axis=1)
        overlap = shared / (area[near] + area[place] - shared)
        for other in (place + 1 + np.flatnonzero((overlap > ALIKE) & ~paired[near])).tolist():
            paired[other] = True
            first, second = sorted((int(rows[place]), int(rows[other])))
            yield first, second


def _judge_classes(facts: dict[str, Any], spoiling: list[Issue], doubtful: list[Issue]) -> None:
    """Judge which classes there is something of to learn from and to test on."""
    on = {name: [splits[split]["images"] for split in SPLITS] for name, splits in
          facts["classes"].items()}  # fmt: skip
    for place, split, purpose in ((TRAIN, "train", "train on"), (TEST, "test", "test on")):
        if not facts["splits"][split]:
            (spoiling if place == TRAIN else doubtful).append(
                Issue(f"no image is there to {purpose}; add a {split} split")
            )
            continue
        _add(
            doubtful,
            [name for name, counts in on.items() if any(counts) and not counts[place]],
            ("class is", "classes are"),
            f"in no image to {purpose}; add some, or take the class out",
        )
    nowhere = [name for name, counts in on.items() if not any(counts)]
    _add(doubtful, nowhere, ("class is", "classes are"), "named and in no image at all")
    if nowhere and len(nowhere) == len(on):
        spoiling.append(Issue("no image shows anything: there is nothing to learn"))


def _facts(annotated: Annotated) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "form": annotated.form,
        "images": len(annotated),
        "official_split": annotated.official,
        "splits": {split: len(annotated.rows(split)) for split in SPLITS},
        "issues": len(annotated.issues),
    }
    known = annotated.sizes[annotated.sizes.min(axis=1) > 0]
    if len(known):
        for name, values in (("width", known[:, 0]), ("height", known[:, 1])):
            facts[name] = _spread(values)
    return facts


def _instance_facts(annotated: Annotated) -> dict[str, Any]:
    instances = annotated.instances
    area = (instances.boxes[:, 2:] - instances.boxes[:, :2]).prod(axis=1)
    splits = annotated.splits[instances.image]
    per_image = np.bincount(instances.image, minlength=len(annotated))
    count = len(annotated.classes)
    objects = _by_split(splits, instances.label, count)
    pairs = np.unique(np.column_stack([instances.label, instances.image]), axis=0)
    images = _by_split(annotated.splits[pairs[:, 1]], pairs[:, 0], count)
    classes = {
        printable(name): {
            split: {"instances": objects[number][label], "images": images[number][label]}
            for number, split in enumerate(SPLITS)
        }
        for label, name in enumerate(annotated.classes)
    }
    return {
        "instances": len(instances),
        "classes": classes,
        "box_sizes": {
            "small": int((area < SMALL).sum()),
            "medium": int(((area >= SMALL) & (area < MEDIUM)).sum()),
            "large": int((area >= MEDIUM).sum()),
        },
        "instances_per_image": _spread(per_image),
        "without_instances": int((per_image == 0).sum()),
        "crowds": int(instances.crowd.sum()),
        "difficult": int(instances.difficult.sum()),
        "outlined": sum(outline is not None for outline in instances.outlines),
    }


def _by_split(
    splits: UInt8[np.ndarray, " r"], labels: Int[np.ndarray, " r"], count: int
) -> list[list[int]]:
    """Return how often each label occurs in each split."""
    places = splits.astype(np.int64) * count + labels
    counts = np.bincount(places, minlength=len(SPLITS) * count).reshape(len(SPLITS), count)
    return [row.tolist() for row in counts]


def _mask_facts(annotated: Annotated, flawed: set[int | None], progress: bool) -> dict[str, Any]:
    """Count pixels and images of each class; a flawed mask is not looked at."""

    def count(row: int) -> Int[np.ndarray, " v"]:
        return np.bincount(mask_of(annotated, row).reshape(-1), minlength=256)

    pixels = np.zeros((len(SPLITS), 256), dtype=np.int64)
    shown = np.zeros((len(SPLITS), 256), dtype=np.int64)
    rows = [row for row in range(len(annotated)) if row not in flawed]
    with (
        track(
            f"counting {annotated.name}", total=len(rows), unit="masks", quiet=not progress
        ) as advance,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        for row, counts in zip(rows, pool.map(count, rows), strict=True):
            pixels[annotated.splits[row]] += counts
            shown[annotated.splits[row]] += counts > 0
            advance(1)
    whole = np.maximum(pixels.sum(axis=1) - pixels[:, VOID], 1)
    return {
        "classes": {
            printable(name): {
                split: {
                    "images": int(shown[number, label]),
                    "share": float(pixels[number, label] / whole[number]),
                }
                for number, split in enumerate(SPLITS)
            }
            for label, name in enumerate(annotated.classes)
        },
        "void_share": float(pixels[:, VOID].sum() / max(pixels.sum(), 1)),
    }


def _spread(values: Int[np.ndarray, " n"]) -> dict[str, Any]:
    return {
        "min": values.min().item(),
        "median": float(np.median(values)),
        "max": values.max().item(),
    }


def _instance(annotated: Annotated, row: SupportsIndex) -> str:
    instances = annotated.instances
    name = annotated.classes[instances.label[row]]
    return printable(f"{annotated.members[instances.image[row]]}: {instances.where[row]} ({name})")


def _add(issues: list[Issue], places: Sequence[str], subject: tuple[str, str], rest: str) -> None:
    """Add an issue with as many places, if any; `subject` is for one place and for more."""
    if places:
        some = f"{len(places)} {subject[len(places) > 1]}"
        issues.append(Issue(f"{some} {rest}", tuple(places)))
