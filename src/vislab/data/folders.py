"""The user's own images: a folder, or a zip, of class folders or with a label file.

    images/cat/1.jpg                       class folders
    images/train/cat/1.jpg                 the same under train, val, test
    images/train.zip, images/test.zip    the same, zipped
    images/labels.csv                      path,label[,group][,split]

Nothing is unpacked: an image in a zip is read where it lies.
"""

import csv
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from vislab.data.decode import EXTENSIONS
from vislab.data.listing import SPLITS, Listing, Reader
from vislab.data.splits import draw_split, split_called, splits_of
from vislab.errors import DataError

LAYOUT = (
    "expected class folders (cat/1.jpg, dog/7.jpg), the same under train/, val/ and test/, "
    "or a CSV with the columns path,label[,group][,split]"
)


def list_folder(path: Path, *, seed: int = 0, disjoint: bool = False) -> Listing:
    """List the images of a folder or a zip.

    Where no split came with them one is drawn from `seed` (see splits.py). What does not fit
    (labels without images, images without labels, empty classes) is left out and named in the
    listing; `require_whole` refuses it. With `disjoint` there may be classes to test on alone.
    Raises DataError with the layouts that would be understood when there is nothing to learn from.
    """
    if not path.exists():
        raise DataError(f"there is no folder or zip at {path}")
    sources, files = files_of(path)
    if not any(is_image(member) for _, member in files):
        raise DataError(f"{path} holds no images; {LAYOUT}")
    table, notes = _label_file(path, sources, files)
    if table is not None:
        return _from_table(path, sources, files, table, notes, seed)
    return _from_folders(path, sources, files, notes, seed, disjoint=disjoint)


def require_whole(listing: Listing, path: Path) -> None:
    """Raise DataError when a label has no image or a class folder is empty."""
    advice = f"see all with `vislab data check {path}`"
    if listing.absent:
        raise DataError(
            f"the label file of {path} names {len(listing.absent)} images that are not there "
            f"(first: {listing.absent[0]}); mend the paths, which count from the label file's own "
            f"folder, or {advice}"
        )
    if listing.empty_classes:
        raise DataError(
            f"{path / listing.empty_classes[0]} holds no images; add some or take the folder out "
            f"({len(listing.empty_classes)} such; {advice})"
        )


def name_of(path: Path) -> str:
    """Name the set: a folder may have dots in its name, and `.` is a folder too."""
    whole = path.resolve()
    return whole.stem if whole.is_file() else whole.name


def is_image(member: str) -> bool:
    """Return whether a file is called as images are."""
    return PurePosixPath(member).suffix.lower() in EXTENSIONS


def files_of(path: Path) -> tuple[tuple[Path, ...], list[tuple[int, str]]]:
    """Return the sources and every visible file as (source, path inside it), sorted."""
    if path.is_file():
        return (path,), [(0, member) for member in _members(path)]
    archives = (p for p in sorted(path.iterdir()) if p.suffix.lower() == ".zip")
    sources = (path, *(p for p in archives if split_called(p.stem) is not None))
    files = [(0, member) for member in _walk(path)]
    for number, archive in enumerate(sources[1:], start=1):
        files += [(number, member) for member in _members(archive)]
    return sources, files


def _walk(root: Path) -> Iterator[str]:
    for folder, _, names in _folders(root):
        inside = Path(folder).relative_to(root)
        for name in sorted(names):
            if not _hidden(name):
                yield (inside / name).as_posix()


def _folders(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk as `os.walk` does, past what is hidden and past links that lead back up."""
    for folder, inner, names in os.walk(root, followlinks=True):
        inner[:] = sorted(
            name for name in inner if not _hidden(name) and not _leads_up(Path(folder, name))
        )
        yield folder, inner, names


def _leads_up(folder: Path) -> bool:
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _members(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [info.filename for info in opened.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise DataError(
            f"{archive} is no zip that can be opened ({error}); fetch it again"
        ) from error
    return sorted(
        name for name in names if not any(_hidden(part) for part in PurePosixPath(name).parts)
    )


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _label_file(
    path: Path, sources: tuple[Path, ...], files: list[tuple[int, str]]
) -> tuple[list[dict[str, str]] | None, list[str]]:
    """Return the rows of the first CSV with path and label, and notes on those that lack them."""
    notes = []
    reader = Reader(sources)
    for source, member in files:
        if not member.lower().endswith(".csv"):
            continue
        text = reader.read(source, member).decode("utf-8-sig", errors="replace")
        rows = csv.DictReader(io.StringIO(text))
        columns = [column.strip().lower() for column in rows.fieldnames or []]
        if "path" not in columns or "label" not in columns:
            notes.append(f"{member} was not used: it lacks the columns path and label")
            continue
        rows.fieldnames = columns
        folder = PurePosixPath(member).parent
        table = []
        for line, row in enumerate(rows, start=2):
            if not row["path"] or not (row["label"] or "").strip():
                raise DataError(f"{path / member}, line {line}: path or label is empty; fill it in")
            place = (folder / row["path"].strip().replace("\\", "/")).as_posix()
            table.append({**{k: (v or "").strip() for k, v in row.items() if k}, "path": place})
        if not table:
            raise DataError(f"{path / member} has a header and no rows; {LAYOUT}")
        return table, notes
    return None, notes


def _from_table(
    path: Path,
    sources: tuple[Path, ...],
    files: list[tuple[int, str]],
    table: list[dict[str, str]],
    notes: list[str],
    seed: int,
) -> Listing:
    source_of = {member: source for source, member in reversed(files)}
    named = {row["path"] for row in table}
    absent = tuple(row["path"] for row in table if row["path"] not in source_of)
    unlabelled = tuple(m for _, m in files if is_image(m) and m not in named)
    table = [row for row in table if row["path"] in source_of]
    if not table:
        raise DataError(
            f"none of the images that the label file of {path} names is there (first: "
            f"{absent[0]}); its paths count from the folder the label file lies in"
        )
    classes = tuple(sorted({row["label"] for row in table}))
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[row["label"]] for row in table])
    groups = None
    if "group" in table[0]:  # an image whose cell is empty is a group of its own
        groups = tuple(row["group"] or row["path"] for row in table)
    official = "split" in table[0]
    if official:
        wrong = next((row for row in table if split_called(row["split"]) is None), None)
        if wrong is not None:
            raise DataError(
                f"the label file of {path} puts {wrong['path']} in the split {wrong['split']!r}; "
                f"write one of {', '.join(SPLITS)}"
            )
        splits = splits_of([row["split"] for row in table])
    else:
        splits = draw_split(labels, groups=groups, seed=seed)
    return Listing(
        name=name_of(path),
        classes=classes,
        sources=sources,
        source_of=np.array([source_of[row["path"]] for row in table], dtype=np.uint8),
        members=tuple(row["path"] for row in table),
        labels=labels,
        splits=splits,
        groups=groups,
        official=official,
        absent=absent,
        unlabelled=unlabelled,
        notes=tuple(notes),
    )


def _from_folders(
    path: Path,
    sources: tuple[Path, ...],
    files: list[tuple[int, str]],
    notes: list[str],
    seed: int,
    *,
    disjoint: bool,
) -> Listing:
    # The parts of each image's place, with the split's name in front where the zip's name is one.
    rows = []
    for source, member in files:
        if is_image(member):
            above = () if sources[source].is_dir() else (sources[source].stem,)
            prefix = above if len(sources) > 1 else ()
            rows.append((source, member, prefix + PurePosixPath(member).parts))
    skip = _shared_depth([parts for _, _, parts in rows])
    kept, subsets, names = [], [], []
    loose = []
    for source, member, parts in rows:
        parts = parts[skip:]
        split = split_called(parts[0]) if len(parts) > 1 else None
        if split is not None:
            parts = parts[1:]
            # A zip of class folders often repeats its own name inside.
            if len(parts) > 2 and split_called(parts[0]) == split:
                parts = parts[1:]
        if len(parts) < 2:
            loose.append(member)
            continue
        kept.append((source, member))
        subsets.append(split)
        names.append(parts[0])
    if not kept:
        raise DataError(f"{path} holds images but no class folders; {LAYOUT}")
    official = any(split is not None for split in subsets)
    if official and any(split is None for split in subsets):
        first = next(kept[i][1] for i, split in enumerate(subsets) if split is None)
        raise DataError(
            f"{path} has train/val/test folders and other class folders beside them "
            f"(first: {first}); put every class under one of the three"
        )
    if official and 0 not in subsets:
        raise DataError(f"{path} has no train folder beside its val or test; {LAYOUT}")
    classes = tuple(sorted(set(names)))
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[name] for name in names])
    if official:
        splits = np.array(subsets, dtype=np.uint8)
        only = set(names) - {name for name, split in zip(names, subsets, strict=True) if split == 0}
        if only and not disjoint:
            raise DataError(
                f"{path} has classes to test on that are not under train: "
                f"{', '.join(sorted(only)[:5])}; add them to train or take them out"
            )
    else:
        splits = draw_split(labels, seed=seed)
    return Listing(
        name=name_of(path),
        classes=classes,
        sources=sources,
        source_of=np.array([source for source, _ in kept], dtype=np.uint8),
        members=tuple(member for _, member in kept),
        labels=labels,
        splits=splits,
        official=official,
        unlabelled=tuple(loose),
        empty_classes=_empty_folders(path, skip),
        notes=tuple(notes),
    )


def _empty_folders(path: Path, skip: int) -> tuple[str, ...]:
    """Return the folders at the depth of a class that hold nothing at all."""
    if not path.is_dir():
        return ()
    empty = []
    for folder, inner, names in _folders(path):
        place = Path(folder).relative_to(path)
        visible = [*inner, *(name for name in names if not _hidden(name))]
        parts = place.parts[skip:]
        # Under train, val or test a class lies one folder deeper.
        deep = 1 + (len(parts) == 2 and split_called(parts[0]) is not None)
        if not visible and len(parts) == deep:
            empty.append(place.as_posix())
    return tuple(sorted(empty))


def _shared_depth(places: list[tuple[str, ...]]) -> int:
    """Return how many leading folders all images share; a lone class folder is kept.

    A loose image beside the class folders, or above them, does not change what they are.
    """
    depth = 0
    while True:
        inside = [parts for parts in places if len(parts) > depth + 1]
        heads = {parts[depth] for parts in inside}
        deeper = any(len(parts) > depth + 2 for parts in inside)
        if len(heads) != 1 or not deeper or split_called(heads.pop()) is not None:
            return depth
        depth += 1
