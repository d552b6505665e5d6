"""Annotated images ready to learn from: decoded to one size, their boxes and masks with them.

An image is shown whole: its longer side is made `size` pixels and the rest of the square is
filled, so that nothing that was annotated is cut off. Where that square lies is kept, to bring
boxes back to the pixels of the file.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vislab.data import cache, catalogue, decode, shapes
from vislab.data.annotations import VOID, Annotated, require_sound
from vislab.data.columns import Boxes, Column, Masks, Placement
from vislab.data.decode import fit_whole, within
from vislab.data.formats import read_annotated
from vislab.data.get import get
from vislab.data.images import SHAPES_COUNTS
from vislab.data.listing import SPLITS
from vislab.data.mask_rendering import mask_of, require_few_classes
from vislab.data.table import Table
from vislab.errors import DataError, OptionError

Wanted = Literal["boxes", "masks"]
HIDDEN = 0.5  # squared radii; of an object of which fewer pixels are seen a box tells too little


def annotated(
    where: str,
    *,
    wanted: Wanted,
    size: int = 128,
    limit: int | None = None,
    validation: float = 0.0,
    skip_bad: bool = False,
) -> Table:
    """Open annotated images: a name of the catalogue, or a folder or zip of the user's.

    `limit` takes the first so many training images, and as many of the others at most.
    `validation` moves that share of the training images to validation when the set has none.
    Raises DataError, with the files named, for annotations that cannot be learned from; with
    `skip_bad` their images are left out instead.
    """
    if not 16 <= size <= 2048:
        raise OptionError(f"--size {size} is out of range; images may be 16 to 2048 pixels wide")
    if limit is not None and limit < 1:
        raise OptionError(f"--limit {limit} leaves nothing to train on; use 1 or more")
    name, _, level = where.partition(":")
    if name == "shapes":
        return _shapes(level or "medium", size, wanted, limit)
    path, origin = Path(where).expanduser(), "own files"
    if where in catalogue.names():
        path, origin = get(where), "official files"
    read = read_annotated(path, validation=validation)
    read = require_sound(read, skip_bad=skip_bad)
    if wanted == "boxes" and not len(read.instances):
        raise DataError(
            f"{path} has masks and no boxes; `vislab data convert` draws boxes around masks, or "
            "take a recipe that segments"
        )
    read = _first(read, limit)
    if not skip_bad:
        return _decoded(read, origin, size, wanted, limit)
    # What is known to be broken is remembered: otherwise every run would decode all to find it.
    files = {**_made_from(read), "masks": _mask_stamps(read) if wanted == "masks" else ""}
    memory = cache.memory(f"{read.name}-broken", files)
    broken = set(memory.recall())
    while True:
        left = _without(read, broken)
        try:
            return _decoded(left, origin, size, wanted, limit)
        except _CannotBeRead as error:
            if len(error.rows) == len(left):
                raise
            broken |= {left.members[row] for row in error.rows}
            memory.keep(sorted(broken))


def columns_of(
    placement: Placement, boxes: Boxes, masks: UInt8[np.ndarray, "n s s 1"] | None
) -> dict[str, Column]:
    """Return the columns of a table of annotated images."""
    found: dict[str, Column] = {"placement": placement, "boxes": boxes}
    return found if masks is None else {**found, "masks": Masks(masks)}


def fit_mask(mask: UInt8[np.ndarray, "h w"], side: int) -> UInt8[np.ndarray, "s s 1"]:
    """Do the same with a mask: nearest neighbours, and `VOID` around."""
    width, height = within((mask.shape[1], mask.shape[0]), side)
    small = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    square = np.full((side, side, 1), VOID, dtype=np.uint8)
    left, top = (side - width) // 2, (side - height) // 2
    square[top : top + height, left : left + width, 0] = small
    return square


def _first(read: Annotated, limit: int | None) -> Annotated:
    if limit is None:
        return read
    return read.take(np.sort(np.concatenate([read.rows(split)[:limit] for split in SPLITS])))


def _truth_digest(read: Annotated) -> str:
    """Return a digest of all that masks are painted from, or read by."""
    instances = read.instances
    columns = (instances.image, instances.boxes, instances.label, instances.crowd)
    outlines = np.frombuffer(json.dumps(instances.outlines).encode(), dtype=np.uint8)
    parts = [cache.digest(column) for column in (*columns, outlines)]
    reading = np.frombuffer(str(read.mask_reading).encode(), dtype=np.uint8)
    return " ".join([*parts, cache.digest(reading)])


class _CannotBeRead(DataError):
    """Images, or their masks, whose files break off: `rows`."""

    def __init__(self, text: str, rows: list[int]) -> None:
        super().__init__(text)
        self.rows = rows


def _all_of(
    one: Callable[[int], UInt8[np.ndarray, "s s c"]], read: Annotated
) -> Callable[[], Iterator[UInt8[np.ndarray, "m s s c"]]]:
    """Return what makes `one` of every row; it raises _CannotBeRead after the last of them."""
    damaged: dict[int, str] = {}

    def attempt(row: int) -> UInt8[np.ndarray, "s s c"] | None:
        try:
            return one(row)
        except (DataError, OSError) as error:
            damaged[row] = str(error)
            return None

    def chunk(rows: range) -> UInt8[np.ndarray, "m s s c"]:
        found = [attempt(row) for row in rows]
        sound = next((image for image in found if image is not None), None)
        if sound is None:
            return np.zeros((0, 1, 1, 1), dtype=np.uint8)
        return np.stack([np.zeros_like(sound) if one is None else one for one in found])

    def produce() -> Iterator[UInt8[np.ndarray, "m s s c"]]:
        for made in cache.in_threads(chunk, len(read)):
            if not damaged:  # nothing is kept then, so that nothing need be written
                yield made
        if damaged:
            raise _CannotBeRead(
                f"{len(damaged)} of {len(read)} images cannot be used (first: "
                f"{damaged[min(damaged)]}); `vislab data check {read.root}` lists all of them"
                + ("" if len(damaged) == len(read) else ", --skip-bad leaves them out"),
                sorted(damaged),
            )

    return produce


def _without(read: Annotated, broken: set[str]) -> Annotated:
    rows = np.array([row for row, name in enumerate(read.members) if name not in broken], dtype=int)
    if len(rows) == len(read):
        return read
    note = f"left out: {len(read) - len(rows)} of {len(read)} images, which cannot be read"
    left = read.take(rows)
    return replace(left, notes=(*left.notes, note))


def _made_from(read: Annotated) -> dict[str, str]:
    return {"root": str(read.root.resolve()), "files": cache.stamps(read.root, read.members)}


def _mask_stamps(read: Annotated) -> str:
    files = [read.mask_reading.files(mask) for mask in read.masks or () if mask is not None]
    return cache.stamps(read.root, [file for one in files for file in one])


def _decoded(read: Annotated, origin: str, size: int, wanted: Wanted, limit: int | None) -> Table:
    def image(row: int) -> UInt8[np.ndarray, "s s 3"]:
        content = decode.contents(read.root / read.members[row])
        decoded = decode.decode(content, read.members[row], at_least=size)
        return fit_whole(decoded, size, tuple(read.sizes[row].tolist()))

    def mask(row: int) -> UInt8[np.ndarray, "s s 1"]:
        return fit_mask(mask_of(read, row), size)

    about = {"decoder": decode.VERSION, "fit": "whole, shaped as the file", **_made_from(read)}
    shape = (len(read), size, size)
    scales = size / read.sizes.max(axis=1)
    shifts = np.array(
        [(size - np.array(within(tuple(one.tolist()), size))) // 2 for one in read.sizes]
    ).reshape(len(read), 2)
    instances = read.instances
    corners = instances.boxes * scales[instances.image, None]
    corners = corners + np.tile(shifts[instances.image], (1, 2))
    classes = read.classes
    kept_masks = None
    if wanted == "masks":
        truth = {**about, "truth": _truth_digest(read), "box_labels": list(classes)}
        if read.masks is not None:
            truth["masks"] = _mask_stamps(read)
        else:
            require_few_classes(read)
            classes = ("background", *classes)
        kept_masks = cache.kept(f"{read.name}-masks", truth, (*shape, 1), _all_of(mask, read))
    return Table(
        name=read.name,
        classes=classes,
        size=size,
        pixels=cache.kept(read.name, about, (*shape, 3), _all_of(image, read)),
        splits=read.splits,
        names=read.members,
        columns=columns_of(
            Placement(size, scales, read.sizes),
            Boxes(
                starts=np.searchsorted(instances.image, np.arange(len(read) + 1)),
                xyxy=np.clip(corners, 0, size).astype(np.float32),
                labels=instances.label,
                crowd=instances.crowd,
                difficult=instances.difficult,
                area=instances.area,
            ),
            kept_masks,
        ),
        origin=origin,
        official=read.official,
        subset="all" if limit is None else f"the first {limit}",
        notes=read.notes,
    )


def _shapes(difficulty: str, size: int, wanted: Wanted, limit: int | None) -> Table:
    """Draw the offline world with its boxes, and its masks if they are wanted."""
    starts = np.cumsum([0, *SHAPES_COUNTS.values()])
    numbers = np.concatenate(
        [
            np.arange(first, first + min(limit or count, count))
            for first, count in zip(starts, SHAPES_COUNTS.values(), strict=False)
        ]
    )
    splits = (np.searchsorted(starts, numbers, side="right") - 1).astype(np.uint8)

    def scenes() -> Iterator[shapes.Scenes]:
        for begin in range(0, len(numbers), 250):
            yield shapes.draw_scenes(numbers[begin : begin + 250], difficulty=difficulty)

    about = {
        "generator": shapes.GENERATOR_VERSION,
        "difficulty": difficulty,
        "rows": cache.digest(numbers),
    }
    shape = (len(numbers), size, size)
    owners = cache.kept(
        "shapes-owners",
        {**about, "owners": 1},
        (*shape, 1),
        lambda: ((shapes.owners(part, size) + 1).astype(np.uint8)[..., None] for part in scenes()),
    )
    pixels = cache.kept(
        "shapes", about, (*shape, 3), lambda: (shapes.render(part, size=size) for part in scenes())
    )
    tables = [_boxes_of(part, owners, begin * 250) for begin, part in enumerate(scenes())]
    image, corners, labels, hidden = map(np.concatenate, zip(*tables, strict=True))
    masks = None
    if wanted == "masks":
        masks = cache.kept(
            "shapes-masks",
            {**about, "masks": 1},
            (*shape, 1),
            lambda: (_labels_of(part, owners, n * 250) for n, part in enumerate(scenes())),
        )
    return Table(
        name="shapes" if difficulty == "medium" else f"shapes:{difficulty}",
        classes=(("background",) if wanted == "masks" else ()) + tuple(shapes.CLASSES),
        size=size,
        pixels=pixels,
        splits=splits,
        names=tuple(map(str, numbers)),
        columns=columns_of(
            Placement(size, np.ones(len(numbers)), np.full((len(numbers), 2), size)),
            Boxes(
                starts=np.searchsorted(image, np.arange(len(numbers) + 1)),
                xyxy=corners.astype(np.float32),
                labels=labels,
                crowd=np.zeros(len(labels), dtype=bool),
                difficult=hidden,
                area=np.full(len(labels), np.nan),
            ),
            masks,
        ),
        origin="generated",
        official=True,
        subset="all" if limit is None else f"the first {limit}",
    )


def _boxes_of(
    scenes: shapes.Scenes, owners: UInt8[np.ndarray, "n s s 1"], begin: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return image, corners, label and whether it is mostly hidden, of each object in sight."""
    mine = owners[begin : begin + len(scenes), :, :, 0]
    size = mine.shape[1]
    slots = np.arange(1, scenes.kind.shape[1] + 1, dtype=np.uint8)
    seen = mine[:, None] == slots[:, None, None]  # (n, M, S, S)
    columns, rows = seen.any(axis=2), seen.any(axis=3)
    scene, slot = np.nonzero(rows.any(axis=2))
    columns, rows = columns[scene, slot], rows[scene, slot]
    corners = np.stack(
        [
            columns.argmax(axis=1),
            rows.argmax(axis=1),
            size - columns[:, ::-1].argmax(axis=1),
            size - rows[:, ::-1].argmax(axis=1),
        ],
        axis=1,
    )
    visible = seen.sum(axis=(2, 3))[scene, slot]
    hidden = visible < HIDDEN * (scenes.radius[scene, slot] * size) ** 2
    return scene + begin, corners, scenes.kind[scene, slot], hidden


def _labels_of(
    scenes: shapes.Scenes, owners: UInt8[np.ndarray, "n s s 1"], begin: int
) -> UInt8[np.ndarray, "m s s 1"]:
    """Return the class of each pixel: 0 where no object is seen, else its label and one."""
    mine = owners[begin : begin + len(scenes)].astype(np.int64)
    labels = np.pad(scenes.kind + 1, ((0, 0), (1, 0)))  # slot 0 is nobody
    return labels[np.arange(len(scenes))[:, None, None, None], mine].astype(np.uint8)
