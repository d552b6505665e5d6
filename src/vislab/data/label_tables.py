"""Tables of labels beside images: path,label[,group][,split], whatever program wrote them.

Separated by commas, semicolons, tabs or bars, in any encoding that `text_of` reads. A table that
names the images under other columns is not guessed at: the columns are proposed.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vislab.data.listing import SPLITS
from vislab.data.splits import split_called, split_in
from vislab.data.tree import Tree, folded
from vislab.errors import DataError, OptionError

FOLDERS = "folders"  # in place of columns: labels are the folders' names
TABLES = (".csv", ".tsv")
LARGEST = 1 << 28  # bytes of a table
DELIMITERS = ",;\t|"
LOOKED_AT = 200  # rows that tell what a column holds
SHOWN = 3
# Columns of boxes, as converters write them.
BOXES = {"xmin", "ymin", "xmax", "ymax"}, {"x1", "y1", "x2", "y2"}, {"bbox"}, {"bbox_x", "bbox_y"}
PATHS = ("path", "filepath", "file_path", "image_path", "filename", "file_name", "file", "image")
LABELS = ("label", "class", "category", "target", "label_name", "class_name", "labels")


@dataclass(frozen=True)
class Labelled:
    """Images and their labels, a row each, as tables state them."""

    members: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[int, ...] | None
    groups: tuple[str, ...] | None
    absent: tuple[str, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One file: its columns in small letters, and its rows as texts."""

    file: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]  # on which each row ends

    def cells(self, column: str) -> list[str]:
        """Return the cells of a column, stripped."""
        place = self.columns.index(column)
        return [row[place].strip() if place < len(row) else "" for row in self.rows]


@dataclass(frozen=True)
class Columns:
    """Which columns hold what."""

    path: str
    label: str
    split: str | None = None
    group: str | None = None


def labels_in_tables(tree: Tree, wanted: str | None) -> tuple[Labelled | None, tuple[str, ...]]:
    """Return what the tables of a set say, or None, and notes on those that were not used.

    `wanted` names the columns of path and label, and perhaps of split and group. Raises DataError
    for a table that is about the images and cannot be read for certain, with the columns that it
    has, and OptionError for columns that no table has.
    """
    tables = [found for file in tree.ending(*TABLES) if (found := _read(tree, file)) is not None]
    if wanted is not None:
        columns = _asked_for(wanted)
        needed = [name for name in vars(columns).values() if name]
        chosen = [table for table in tables if set(needed) <= set(table.columns)]
        if not chosen:
            known = "; ".join(f"{t.file}: {', '.join(t.columns)}" for t in tables[:SHOWN])
            raise OptionError(
                f"--labels {wanted}: no table of {tree.root} has the columns {', '.join(needed)}"
                + (f" ({known})" if known else "; there is no CSV file")
            )
        return _joined(tree, chosen, columns), ()
    plain = [table for table in tables if {"path", "label"} <= set(table.columns)]
    others = tuple(
        f"{table.file} was not used: it lacks the columns path and label"
        for table in tables
        if table not in plain
    )
    if plain:
        return _joined(tree, plain, None), others
    for table in tables:
        if PurePosixPath(table.file).stem.lower().endswith("submission"):
            continue  # a contest's form to fill in
        _propose(tree, table)
    return None, others


def _asked_for(wanted: str) -> Columns:
    names = [name.strip().lower() for name in wanted.split(",")]
    if not 2 <= len(names) <= 4 or not all(names[:2]):
        raise OptionError(
            f"--labels {wanted}: name the columns of path and label, and perhaps of split and "
            f"group, as in `--labels image_id,dx`; or say `--labels {FOLDERS}`"
        )
    path, label, split, group = [*names, *[""] * (4 - len(names))]
    return Columns(path, label, split or None, group or None)


def _read(tree: Tree, file: str) -> Table | None:
    """Return a table; None for one without a header and two columns."""
    text = tree.text(file, LARGEST)
    head = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=head.count)
    if not head.count(delimiter):
        return None
    csv.field_size_limit(1 << 20)
    reader = csv.reader(text.split("\n"), delimiter=delimiter, skipinitialspace=True)
    rows, lines = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(
            f"{tree.root / file}, line {reader.line_num}: no valid CSV ({error}); mend it"
        ) from error
    columns = tuple(column.strip().strip('"').lower() for column in rows[0]) if rows else ()
    if len(columns) < 2:
        return None
    return Table(file, columns, rows[1:], lines[1:])


def _joined(tree: Tree, tables: Sequence[Table], asked: Columns | None) -> Labelled:
    """Return the rows of all tables; of several the files' names may state the split."""
    with_rows = [table for table in tables if table.rows]
    if not with_rows:
        raise DataError(f"{tree.root / tables[0].file} has a header and no rows; write it anew")
    splits_by_name = [split_in(PurePosixPath(table.file).stem) for table in with_rows]
    by_name = len(with_rows) > 1 and None not in splits_by_name and len(set(splits_by_name)) > 1
    label_of: dict[str, tuple[str, str]] = {}  # by image: the label and where it stands
    split_of: dict[str, int] = {}
    group_of: dict[str, str] = {}
    absent: list[str] = []
    again = 0
    grouped = official = False
    for table, split_by_name in zip(with_rows, splits_by_name, strict=True):
        columns = asked or Columns(
            "path", "label",
            "split" if "split" in table.columns else None,
            "group" if "group" in table.columns else None,
        )  # fmt: skip
        grouped |= columns.group is not None
        official |= by_name or columns.split is not None
        paths, labels = table.cells(columns.path), table.cells(columns.label)
        splits = table.cells(columns.split) if columns.split else [""] * len(paths)
        groups = table.cells(columns.group) if columns.group else [""] * len(paths)
        beside = PurePosixPath(table.file).parent.as_posix()
        cut = tree.cut_of(paths, beside=beside)
        for row, line in enumerate(table.lines):
            where = f"{tree.root / table.file}, line {line}"
            path, label = paths[row], " ".join(labels[row].split())
            if not path or not label:
                raise DataError(f"{where}: {columns.path} or {columns.label} is empty; fill it in")
            found = tree.meant(path, beside=beside, cut=cut)
            if not found:
                absent.append(path)
                continue
            if len(found) > 1:
                raise DataError(
                    f"{where}: {path} may mean {found[0]} or {found[1]}; write the folder too"
                )
            (member,) = found
            if member in label_of:
                _refuse_another(label_of[member], label, where, path)
                again += 1
                continue
            label_of[member] = (label, where)
            if columns.split:
                split = split_called(splits[row])
                if split is None:
                    raise DataError(
                        f"the label file of {tree.root} puts {path} in the split "
                        f"{splits[row]!r}; write one of {', '.join(SPLITS)}"
                    )
                split_of[member] = split
            elif by_name and split_by_name is not None:
                split_of[member] = split_by_name
            group_of[member] = groups[row] or member  # an empty cell is a group of its own
    if not label_of:
        raise DataError(
            f"none of the images that the label file of {tree.root} names is there (first: "
            f"{absent[0]}); its paths count from the folder the label file lies in"
        )
    members = tuple(label_of)
    notes = [f"labels are those of {', '.join(table.file for table in with_rows)}"]
    if again:
        notes.append(f"{again} rows say again what another row said of the same image")
    if official and len(split_of) < len(members):
        raise DataError(
            f"{tree.root}: some tables state a split and others do not; give each a column split"
        )
    return Labelled(
        members=members,
        labels=tuple(label for label, _ in label_of.values()),
        splits=tuple(split_of[member] for member in members) if official else None,
        groups=tuple(group_of[member] for member in members) if grouped else None,
        absent=tuple(absent),
        notes=tuple(notes) if len(with_rows) > 1 or again else (),
    )


def _refuse_another(before: tuple[str, str], label: str, where: str, path: str) -> None:
    if before[0] == label:
        return
    raise DataError(
        f"{where}: {path} is {label!r} here and {before[0]!r} at {before[1]}; an image has one "
        "label (sets with several labels an image are not read yet): mend the table"
    )


def _propose(tree: Tree, table: Table) -> None:
    """Raise DataError where a table names the images in a column of another name."""
    beside = PurePosixPath(table.file).parent.as_posix()
    named: dict[str, list[list[str]]] = {}
    for column in table.columns:
        cells = table.cells(column)[:LOOKED_AT]
        if not cells or len(set(cells)) < 0.5 * len(cells) or not any(map(str.strip, cells)):
            continue
        cut = tree.cut_of(cells, beside=beside)
        found = [tree.meant(cell, beside=beside, cut=cut) if cell else [] for cell in cells]
        images = {one for some in found for one in some}
        known = sum(map(bool, found))
        # Prices and counts are names of images by chance, but not of most of them.
        whole = len(tree.images)
        enough = whole if all(cell.isdecimal() for cell in cells) else min(whole, len(cells))
        if 2 * known > len(cells) and 2 * len(images) >= enough:
            named[column] = found
    if not named:
        return
    first, *others = named.values()
    if any(first != other for other in others):
        return  # it is about pairs of images
    path = max(named, key=lambda c: (sum(map(bool, named[c])), c in PATHS))
    where = tree.root / table.file
    for boxes in BOXES:
        if boxes <= set(table.columns):
            raise DataError(
                f"{where} holds boxes ({', '.join(sorted(boxes))}), which are not read from "
                "tables: write them as COCO, VOC or YOLO"
            )
    rest = [column for column in table.columns if column != path]
    labels = [c for c in rest if 1 < len(set(table.cells(c)[:LOOKED_AT])) <= _most(table)]
    if any(_are_folders(table.cells(column), named[path]) for column in rest):
        return  # the folders say the same
    labels.sort(key=lambda c: (c not in LABELS, len(set(table.cells(c)))))
    best = labels or rest
    raise DataError(
        f"{where} names the images in its column {path!r}; say which column holds the labels: "
        f"`--labels {path},{best[0]}` (columns: {', '.join(table.columns)}), or "
        f"`--labels {FOLDERS}` to take the folders' names"
    )


def _most(table: Table) -> int:
    """Return how many different cells a column of labels may have among those looked at."""
    return max(2, min(len(table.rows), LOOKED_AT) // 2)


def _are_folders(cells: Sequence[str], found: Sequence[Sequence[str]]) -> bool:
    """Say whether cells are the names of the folders that the images lie in, signs aside."""

    def plain(name: str) -> str:
        return "".join(letter for letter in folded(name) if letter.isalnum())

    pairs = [(plain(cell), one) for cell, one in zip(cells, found, strict=False) if one]
    right = sum(
        any(cell in map(plain, PurePosixPath(m).parts[:-1]) for m in one) for cell, one in pairs
    )
    return bool(pairs) and right == len(pairs)
