"""Which images are learned from, which are tuned on, and which are kept for the end.

A split that came with the images is kept. Otherwise it is drawn: stratified, so that every split
has each class in its share, or by group, so that no person, patient or scene is in two splits.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int, UInt8

from vislab.data.exchange import exchange_groups
from vislab.data.listing import SPLITS, Listing
from vislab.errors import DataError

TRAIN, VAL, TEST = range(3)
FEW_GROUPS, STARTS = 40, 10
SHARES = (0.8, 0.1, 0.1)  # as in the courses' EuroSAT experiments


def draw_split(
    labels: Int[np.ndarray, " n"],
    *,
    groups: Sequence[str] | None = None,
    shares: tuple[float, float, float] = SHARES,
    seed: int = 0,
) -> UInt8[np.ndarray, " n"]:
    """Return a split for each image, as indices into `SPLITS`.

    Stratified: of a class with n images, each split gets its share rounded; with two images one
    is for testing, with three one also for validation, and a single one is trained on.
    With groups: whole groups are dealt, largest first, to the split that lacks most of what the
    group holds, class by class, and then moved and exchanged as long as that brings the splits
    nearer to their shares. Raises DataError where a split would stay empty, or a class without an
    image to learn from.
    """
    rng = np.random.default_rng([seed, len(labels)])
    if groups is not None:
        return _deal_groups(labels, groups, shares, rng)
    splits = np.zeros(len(labels), dtype=np.uint8)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        n = len(rows)
        test = min(max(round(n * shares[TEST]), 1), n - 1) if shares[TEST] > 0 else 0
        val = min(max(round(n * shares[VAL]), 1), n - test - 1) if shares[VAL] > 0 else 0
        splits[rows[:test]] = TEST
        splits[rows[test : test + max(val, 0)]] = VAL
    return splits


def _deal_groups(
    labels: Int[np.ndarray, " n"],
    groups: Sequence[str],
    shares: tuple[float, float, float],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, " n"]:
    names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    holds = np.zeros((len(names), int(labels.max(initial=0)) + 1))
    np.add.at(holds, (group_of, labels), 1)
    asked = [split for split, share in enumerate(shares) if share > 0]
    if len(names) < len(asked):
        raise DataError(
            f"the images are of {len(names)} group{'s'[: len(names) != 1]}, too few for "
            f"{', '.join(SPLITS[split] for split in asked)} without one in two of them; state the "
            "split yourself, or leave the groups out"
        )
    wanted = np.outer(shares, holds.sum(axis=0))  # (split, class)
    # In the order in which ties are settled: two groups are one to learn from and one to test on.
    splits_by_need = [TRAIN, TEST, VAL]
    order = rng.permutation(len(names))
    order = order[np.argsort(-holds[order].sum(axis=1), kind="stable")]
    split_of = np.zeros(len(names), dtype=np.uint8)
    left = wanted.copy()
    for group in order:
        lacking = (left * holds[group]).sum(axis=1) / np.maximum(shares, 1e-9)
        lacking[np.asarray(shares) == 0] = -np.inf
        split = splits_by_need[int(np.argmax(lacking[splits_by_need]))]
        split_of[group] = split
        left[split] -= holds[group]
    found = exchange_groups(split_of, holds, wanted)
    if len(names) <= FEW_GROUPS:  # of few, an exchange of two is at times no way out
        for _ in range(STARTS):
            other = rng.choice(asked, len(names)).astype(np.uint8)
            if (worth := exchange_groups(other, holds, wanted)) < found - 1e-6:
                found, split_of = worth, other
    filled = all((split_of == split).any() for split in asked)
    if not filled or (~holds[split_of == TRAIN].any(axis=0) & holds.any(axis=0)).any():
        raise DataError(
            f"any split of the {len(names)} groups leaves one of "
            f"{', '.join(SPLITS[split] for split in asked)} empty, or a class without images to "
            "train on; state the split yourself, or leave the groups out"
        )
    splits: UInt8[np.ndarray, " n"] = split_of[group_of]
    return splits


def hold_out_validation(
    listing: Listing, share: float, *, by_group: bool = True, seed: int = 0
) -> Listing:
    """Return the listing with a share of its training images moved to validation.

    Where it knows groups, whole groups are moved, unless asked otherwise. One that has validation
    images already is returned as it is.
    """
    if (listing.splits == VAL).any():
        return listing
    rows = listing.rows("train")
    grouped = by_group and listing.groups is not None
    groups = [listing.groups[row] for row in rows] if grouped and listing.groups else None
    subsets = draw_split(
        listing.labels[rows], groups=groups, shares=(1 - share, share, 0.0), seed=seed
    )
    splits = listing.splits.copy()
    splits[rows] = subsets
    return replace(listing, splits=splits)


def drawn_anew(listing: Listing, *, by: str) -> Listing:
    """Return the listing with a split of its own in place of the one it came with: 80 / 0 / 20.

    By image, by group or by class: then the classes to test on are others than those to train on.
    Raises DataError when it is to be drawn by group and knows none.
    """
    if by == "group" and listing.groups is None:
        raise DataError(f"{listing.name} does not say who or what its images show: no groups")
    groups = listing.groups if by == "group" else None
    if by == "class":
        order = np.random.default_rng(len(listing.classes)).permutation(len(listing.classes))
        tested = order[: max(1, round(len(order) / 5))]
        splits = np.where(np.isin(listing.labels, tested), TEST, TRAIN).astype(np.uint8)
        return replace(listing, splits=splits, official=False)
    splits = draw_split(listing.labels, groups=groups, shares=(0.8, 0.0, 0.2))
    return replace(listing, splits=splits, official=False)


def at_most(
    labels: Int[np.ndarray, " n"], per_class: int, *, seed: int = 0
) -> Int[np.ndarray, " m"]:
    """Return the rows of up to `per_class` images of each class, ascending.

    The draw for a class does not depend on how many are asked for: 10 per class are among the
    100 per class.
    """
    chosen = [
        np.random.default_rng([seed, int(label)]).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *(c[:per_class] for c in chosen)]))


def splits_of(names: Sequence[str]) -> UInt8[np.ndarray, " n"]:
    """Return indices into `SPLITS` for words such as "train", "valid" and "testing"."""
    return np.array([_split(name) for name in names], dtype=np.uint8)


def split_called(name: str) -> int | None:
    """Return the split a folder or a cell of that name means, or None."""
    spellings = {
        "train": TRAIN, "training": TRAIN,
        "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL,
        "test": TEST, "testing": TEST,
    }  # fmt: skip
    return spellings.get(name.strip().lower())


def _split(name: str) -> int:
    split = split_called(name)
    if split is None:
        raise DataError(f"{name!r} names no split; write one of {', '.join(SPLITS)}")
    return split


def split_of(member: str) -> int | None:
    """Return the split that the folders of a path name, the innermost first, or None."""
    for part in reversed(PurePosixPath(member).parts[:-1]):
        split = split_in(part)
        if split is not None:
            return split
    return None


def split_in(name: str) -> int | None:
    """Return the split that a word of the name means, the last first: "instances_val2017"."""
    for word in reversed(re.findall("[a-z]+", name.lower())):
        split = TRAIN if word == "trainval" else split_called(word)
        if split is not None:
            return split
    return None
