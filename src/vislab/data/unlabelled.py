"""Images for tasks that ask for no labels: all of a folder or a zip, wherever they lie."""

from pathlib import Path, PurePosixPath

import numpy as np

from vislab.data.folders import name_of
from vislab.data.listing import Listing
from vislab.data.split_lists import split_lists
from vislab.data.splits import draw_split, split_called
from vislab.data.tree import Tree
from vislab.errors import DataError


def list_unlabelled(path: Path, *, seed: int = 0) -> Listing:
    """List all images as of one class.

    Folders called train, val and test split them, and then what lies beside those is left out and
    said; otherwise a split is drawn. Raises DataError when there are no images.
    """
    tree = Tree(path, archives=True)
    rows = list(tree.images)
    if not rows:
        raise DataError(f"{path} holds no images")
    subsets = [_split(path, member) for member in rows]
    notes: tuple[str, ...] = ()
    stated = split_lists(tree)
    official = {0, 2} <= set(subsets)
    if stated:
        rows = [member for member in rows if member in stated.splits]
        splits = np.array([stated.splits[member] for member in rows], dtype=np.uint8)
        notes, official = tuple(stated.notes()), True
    elif official:
        kept = [place for place, split in enumerate(subsets) if split is not None]
        if len(kept) < len(rows):
            notes = (f"{len(rows) - len(kept)} images lie outside train, val and test",)
        rows, splits = [rows[p] for p in kept], np.array([subsets[p] for p in kept], dtype=np.uint8)
    else:
        splits = draw_split(np.zeros(len(rows), dtype=np.int64), seed=seed)
    places = [tree.place(member) for member in rows]
    return Listing(
        name=name_of(path),
        classes=("image",),
        sources=tree.sources,
        source_of=np.array([source for source, _ in places], dtype=np.uint8),
        members=tuple(member for _, member in places),
        labels=np.zeros(len(rows), dtype=np.int64),
        splits=splits,
        official=official,
        notes=notes,
    )


def _split(root: Path, member: str) -> int | None:
    """Return the split that the first folder, or the archive, is named after."""
    names = [*([root.stem] if root.is_file() else []), *PurePosixPath(member).parts[:-1]]
    found = (split_called(name) for name in names)
    return next((split for split in found if split is not None), None)
