"""Images ready to learn from: decoded, split, with class names and normalisation."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt8

from vislab.data import cache, catalogue, decode, shapes
from vislab.data.arrays import Arrays
from vislab.data.columns import Column, Labels, Names
from vislab.data.decode import Fit
from vislab.data.depths import depth_in
from vislab.data.folders import require_whole
from vislab.data.listing import Listing, Reader
from vislab.data.sources import open_source
from vislab.data.splits import (
    TEST,
    TRAIN,
    VAL,
    at_most,
    draw_split,
    drawn_anew,
    hold_out_validation,
)
from vislab.data.table import Table
from vislab.data.unlabelled import list_unlabelled
from vislab.errors import DataError, OptionError

HowToSplit = Literal["given", "by image", "by group", "by class"]

SHAPES_COUNTS = {"train": 10_000, "val": 1_000, "test": 2_000}


def images(
    where: str,
    *,
    size: int = 64,
    per_class: int | None = None,
    validation: float = 0.0,
    split: HowToSplit = "given",
    labelled: bool = True,
    disjoint: bool = False,
    labels: str | None = None,
    fit: Fit = "crop",
) -> Table:
    """Open a data set: a name of the catalogue, or a folder or zip of the user's.

    `shapes` takes a difficulty after a colon: `shapes:hard`. `per_class` takes that many training
    images of each class, or as many as the smallest class has, and at most as many for
    validation; those to test on stay all.
    `validation` moves that share of the training images to validation when the set has none.
    `split` keeps the split that came with the images, or draws 80 % to train on and 20 % to test
    on: by image, by group, so that no person is in two splits, or by class, so that the classes to
    test on are new. Where a task asks for no labels,
    `labelled=False` takes every image of a folder or a zip, whatever its folder is called, and
    all are of one class. With `disjoint` a class may be in one split only, as where new classes are
    to be recognised by what was learned of others. `labels` names the columns of the user's table
    (see `folders.list_folder`), and `fit` says what becomes of an image that is not square.
    Splits and subsets never depend on the seed of a run, so that two runs are tested on the same
    images.
    """
    if not 8 <= size <= 2048:
        raise OptionError(f"--size {size} is out of range; images may be 8 to 2048 pixels wide")
    if not 0 <= validation < 1:
        raise OptionError(f"--validation {validation} is a share: at least 0 and below 1")
    if per_class is not None and per_class < 1:
        raise OptionError(f"--per-class {per_class} leaves nothing to train on; use 1 or more")
    name, _, level = where.partition(":")
    if name == "shapes":
        if split == "by group":
            raise DataError("shapes are drawn one by one: there are no groups to split by")
        if not labelled and per_class is not None:
            per_class = max(1, per_class // len(shapes.CLASSES))
        return _shapes(level or "medium", size, per_class)
    path = Path(where).expanduser()
    if not labelled and where not in catalogue.names() and path.exists():
        listing = list_unlabelled(path)
        if validation > 0:
            listing = hold_out_validation(listing, validation)
        return _from_listing(listing, "own files", size, per_class, labelled=False, fit=fit)
    disjoint = disjoint or split == "by class"
    source, origin = open_source(where, disjoint=disjoint, labels=labels)
    if not labelled:
        source = replace(source, classes=("image",), labels=np.zeros(len(source), dtype=np.int64))
    if isinstance(source, Arrays):
        if split == "by group":
            raise DataError(f"{where} does not say who or what its images show: no groups")
        return _from_arrays(source, origin, size, per_class, _splits(source, validation, split))
    require_whole(source, Path(where))
    if split != "given":
        source = drawn_anew(source, by=split.removeprefix("by "))
    if validation > 0:
        source = hold_out_validation(source, validation, by_group=split != "by image")
    return _from_listing(
        source, origin, size, per_class, labelled=labelled, disjoint=disjoint, fit=fit
    )


def columns_of(
    labels: Int[np.ndarray, " n"], classes: tuple[str, ...], groups: tuple[str, ...] | None = None
) -> dict[str, Column]:
    """Return the columns of a table of labelled images."""
    found: dict[str, Column] = {"label": Labels(np.asarray(labels), len(classes))}
    return found if groups is None else {**found, "group": Names(groups)}


@dataclass(frozen=True)
class Survey:
    """How many images there are in each split, before any is decoded."""

    classes: int
    train: int
    val: int
    test: int


def survey(
    where: str,
    *,
    per_class: int | None = None,
    validation: float = 0.0,
    labels: str | None = None,
) -> Survey:
    """Count what `images` would open with the same arguments."""
    name, _, _level = where.partition(":")
    if name == "shapes":
        counts = dict(SHAPES_COUNTS)
        if per_class is not None:
            most = per_class * len(shapes.CLASSES)
            counts |= {split: min(counts[split], most) for split in ("train", "val")}
        return Survey(len(shapes.CLASSES), **counts)
    source, _origin = open_source(where, labels=labels)
    if isinstance(source, Arrays):
        splits = _splits(source, validation)
    else:
        splits = hold_out_validation(source, validation).splits if validation else source.splits
    per_class, _ = _afforded(source.labels[splits == TRAIN], source.classes, per_class)
    rows = _chosen(source.labels, splits, per_class)
    train, val, test = np.bincount(splits[rows], minlength=3).tolist()
    return Survey(len(source.classes), train, val, test)


def _chosen(
    labels: Int[np.ndarray, " n"],
    splits: UInt8[np.ndarray, " n"],
    per_class: int | None,
) -> Int[np.ndarray, " m"]:
    if per_class is None:
        return np.arange(len(labels))
    train, val = np.flatnonzero(splits == TRAIN), np.flatnonzero(splits == VAL)
    subset = train[at_most(labels[train], per_class)]
    # Validating on far more images than are trained on would take most of the time.
    val = val[at_most(labels[val], per_class)]
    return np.sort(np.concatenate([subset, val, np.flatnonzero(splits == TEST)]))


def _afforded(
    train_labels: Int[np.ndarray, " n"], classes: tuple[str, ...], per_class: int | None
) -> tuple[int | None, tuple[str, ...]]:
    """Return how many of each class there are to take, at most `per_class`, and a note if fewer."""
    if per_class is None:
        return None, ()
    counts = np.bincount(train_labels, minlength=len(classes))
    there = np.flatnonzero(counts)  # where classes are disjoint some are not to train on
    rarest = int(there[counts[there].argmin()]) if len(there) else 0
    count = int(counts[rarest])
    if count >= per_class:
        return per_class, ()
    note = (
        f"class {classes[rarest]!r} has {count} images to train on, so {count} of each class are "
        f"taken, not {per_class}; --per-class None takes all"
    )
    return count, (note,)


def _subset_name(per_class: int | None) -> str:
    return "all" if per_class is None else f"{per_class} per class, drawn"


def _require_train(
    name: str, classes: tuple[str, ...], train_labels: np.ndarray, *, disjoint: bool
) -> None:
    if len(classes) < 2:
        raise DataError(f"{name} has one class only, {classes[0]!r}; two or more are needed")
    if disjoint:
        if len(np.unique(train_labels)) < 2:
            raise DataError(f"{name} has fewer than two classes to train on; add some to train")
        return
    missing = set(range(len(classes))) - set(np.unique(train_labels).tolist())
    if missing:
        raise DataError(f"class {classes[min(missing)]!r} of {name} has no image to train on")


def _from_listing(
    listing: Listing,
    origin: str,
    size: int,
    per_class: int | None,
    *,
    labelled: bool = True,
    disjoint: bool = False,
    fit: Fit = "crop",
) -> Table:
    known = listing.labels[listing.splits == TRAIN]
    if labelled:
        _require_train(listing.name, listing.classes, known, disjoint=disjoint)
    per_class, fewer = _afforded(known, listing.classes, per_class)
    rows = _chosen(listing.labels, listing.splits, per_class)
    listing = replace(
        listing,
        source_of=listing.source_of[rows],
        members=tuple(listing.members[row] for row in rows),
        labels=listing.labels[rows],
        splits=listing.splits[rows],
        groups=None if listing.groups is None else tuple(listing.groups[row] for row in rows),
    )
    reader = Reader(listing.sources)
    depth = depth_in(
        lambda row: reader.read(int(listing.source_of[row]), listing.members[row]), len(listing)
    )
    notes = listing.notes + (fewer if labelled else ())
    if listing.unlabelled:
        notes += (f"{len(listing.unlabelled)} images have no label and are left out",)
    return Table(
        name=listing.name,
        classes=listing.classes,
        size=size,
        pixels=cache.decoded(listing, size, fit=fit, depth=depth),
        fit=fit,
        depth=depth,
        columns=columns_of(listing.labels, listing.classes, listing.groups),
        splits=listing.splits,
        names=tuple(listing.where(row) for row in range(len(listing))),
        origin=origin,
        official=listing.official,
        subset=_subset_name(per_class) if labelled or per_class is None else f"{per_class} drawn",
        notes=notes,
    )


def _splits(
    arrays: Arrays, validation: float, split: HowToSplit = "given"
) -> UInt8[np.ndarray, " n"]:
    """Return the split of each image: as it came, or drawn, and some held out for validation."""
    splits = arrays.splits
    if split == "by image":
        splits = draw_split(arrays.labels, shares=(0.8, 0.0, 0.2))
    elif not arrays.official:
        splits = draw_split(arrays.labels)
    if validation > 0 and not (splits == VAL).any():
        train = np.flatnonzero(splits == TRAIN)
        splits = splits.copy()
        splits[train] = draw_split(arrays.labels[train], shares=(1 - validation, validation, 0.0))
    return splits


def _from_arrays(
    arrays: Arrays,
    origin: str,
    size: int,
    per_class: int | None,
    splits: UInt8[np.ndarray, " n"],
) -> Table:
    per_class, fewer = _afforded(arrays.labels[splits == TRAIN], arrays.classes, per_class)
    rows = _chosen(arrays.labels, splits, per_class)
    about = {
        "decoder": decode.VERSION,
        "rows": cache.digest(rows),
        "source": cache.digest(arrays.pixels),
    }
    pixels = cache.kept(
        arrays.name,
        about,
        (len(rows), size, size, 3),
        lambda: cache.resized(arrays.pixels, size, rows),
    )
    return Table(
        name=arrays.name,
        classes=arrays.classes,
        size=size,
        pixels=pixels,
        columns=columns_of(arrays.labels[rows], arrays.classes),
        splits=splits[rows],
        names=tuple(str(row) for row in rows),
        origin=origin,
        official=arrays.official and bool((splits == arrays.splits)[splits != VAL].all()),
        subset=_subset_name(per_class),
        notes=fewer,
    )


def _shapes(difficulty: str, size: int, per_class: int | None) -> Table:
    """Draw the offline world: `SHAPES_COUNTS` images, their numbers counted through the splits."""
    numbers = np.arange(sum(SHAPES_COUNTS.values()))
    splits = np.repeat(np.arange(3, dtype=np.uint8), list(SHAPES_COUNTS.values()))
    scenes = shapes.draw_scenes(numbers, difficulty=difficulty)
    labels = shapes.labels(scenes)
    per_class, fewer = _afforded(labels[splits == TRAIN], shapes.CLASSES, per_class)
    rows = _chosen(labels, splits, per_class)

    def produce() -> Iterator[UInt8[np.ndarray, "m s s 3"]]:
        for start in range(0, len(rows), 500):
            chosen = shapes.draw_scenes(rows[start : start + 500], difficulty=difficulty)
            yield shapes.render(chosen, size=size)

    about = {
        "generator": shapes.GENERATOR_VERSION,
        "difficulty": difficulty,
        "rows": cache.digest(rows),
    }
    return Table(
        name="shapes" if difficulty == "medium" else f"shapes:{difficulty}",
        classes=tuple(shapes.CLASSES),
        size=size,
        pixels=cache.kept("shapes", about, (len(rows), size, size, 3), produce),
        columns=columns_of(labels[rows], tuple(shapes.CLASSES)),
        splits=splits[rows],
        names=tuple(str(number) for number in rows),
        origin="generated",
        official=True,
        subset=_subset_name(per_class),
        notes=fewer,
    )
