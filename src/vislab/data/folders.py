"""The user's own images: a folder, or a zip, of class folders or with tables of labels.

    photos/cat/1.jpg                       class folders
    photos/train/cat/1.jpg                 the same under train, val and test, or seg_train, ...
    photos/train.zip, photos/test.zip      the same, zipped
    photos/labels.csv                      path,label[,group][,split], or one a split

Nothing is unpacked: an image in a zip is read where it lies.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int, UInt8

from vislab.data.label_tables import FOLDERS, Labelled, labels_in_tables
from vislab.data.listing import Listing
from vislab.data.near_forms import what_it_nearly_is
from vislab.data.split_lists import split_lists
from vislab.data.splits import TEST, TRAIN, VAL, draw_split, split_called, split_in
from vislab.data.tree import Tree, folded, folders_of, visible
from vislab.errors import DataError

LAYOUT = (
    "expected class folders (cat/1.jpg, dog/7.jpg), the same under train/, val/ and test/, "
    "or a CSV with the columns path,label[,group][,split]"
)
SHOWN = 5  # names in a sentence


def list_folder(
    path: Path, *, seed: int = 0, disjoint: bool = False, labels: str | None = None
) -> Listing:
    """List the images of a folder or a zip.

    Where no split came with them one is drawn from `seed` (see splits.py). What does not fit
    (labels without images, images without labels, empty classes) is left out and named in the
    listing; `require_whole` refuses it. `labels` names the columns of a table that hold paths and
    labels, and perhaps split and group, or says "folders". With `disjoint` there may be classes to
    test on alone. Raises DataError with the layouts that would be understood when there is nothing
    to learn from, and with what it nearly is where it is of another form.
    """
    tree = Tree(path, archives=True)
    if not tree.images:
        raise DataError(f"{path} holds no images{_nearly(tree)}; {LAYOUT}")
    table, notes = labels_in_tables(tree, labels) if labels != FOLDERS else (None, ())
    if table is not None:
        listing = _from_table(tree, table, seed)
    else:
        near = what_it_nearly_is(tree) if labels != FOLDERS else None
        if near is not None:
            raise DataError(f"{path} {near}")
        listing = _from_folders(tree, seed, disjoint=disjoint)
    listing = replace(listing, notes=(*notes, *listing.notes))
    if tree.unopened:
        listing = listing.with_doubts(
            f"{len(tree.unopened)} photographs cannot be opened (first: {tree.unopened[0]}); save "
            "them as PNG or JPEG, or take them out"
        )
    return _with_one_spelling(listing)


def require_whole(listing: Listing, path: Path) -> None:
    """Raise DataError when a label has no image, a class folder is empty, or there is a doubt."""
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
    if listing.doubts:
        raise DataError(f"{path}: {listing.doubts[0]}")


def name_of(path: Path) -> str:
    """Name the set: a folder may have dots in its name, and `.` is a folder too."""
    whole = path.resolve()
    return whole.stem if whole.is_file() else whole.name


def _nearly(tree: Tree) -> str:
    zips = [member for member in tree.members if member.lower().endswith(".zip")]
    if zips:
        return f" but zips ({', '.join(zips[:3])}): unpack it once and give the folder"
    if tree.unopened:
        return f" that can be opened (first: {tree.unopened[0]}; save them as PNG or JPEG)"
    return ""


def _annotated(path: Path) -> str:
    from vislab.data.formats import FORMS, recognise  # which look into files

    form = recognise(path)
    if form not in FORMS:
        return ""
    return f" and annotations of the form {form}, which recipes that detect or segment read"


def _from_table(tree: Tree, table: Labelled, seed: int) -> Listing:
    classes = tuple(sorted(set(table.labels)))
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[label] for label in table.labels])
    notes = list(table.notes)
    if table.splits is not None:
        splits, official = _with_test(np.array(table.splits, dtype=np.uint8), notes), True
    else:
        splits, official = _split_of(tree, table.members, labels, table.groups, seed, notes)
    known = set(table.members)
    places = [tree.place(member) for member in table.members]
    return Listing(
        name=name_of(tree.root),
        classes=classes,
        sources=tree.sources,
        source_of=np.array([source for source, _ in places], dtype=np.uint8),
        members=tuple(member for _, member in places),
        labels=labels,
        splits=splits,
        groups=table.groups,
        official=official,
        absent=table.absent,
        unlabelled=tuple(member for member in tree.images if member not in known),
        notes=tuple(notes),
        doubts=table.doubts,
    )


def _with_test(splits: UInt8[np.ndarray, " n"], notes: list[str]) -> UInt8[np.ndarray, " n"]:
    """Return a split with images to test on: those to validate on, where no others came."""
    if TEST in splits or VAL not in splits:
        return splits
    notes.append("no test split came with the set; its val split is used to test on")
    return np.where(splits == VAL, np.uint8(TEST), splits)


def _split_of(
    tree: Tree,
    members: Sequence[str],
    labels: Int[np.ndarray, " n"],
    groups: tuple[str, ...] | None,
    seed: int,
    notes: list[str],
) -> tuple[UInt8[np.ndarray, " n"], bool]:
    """Return the split that lists beside the images state, or one that is drawn."""
    stated = split_lists(tree)
    if stated and all(member in stated.splits for member in members):
        notes += stated.notes()
        return np.array([stated.splits[member] for member in members], dtype=np.uint8), True
    if stated:
        missing = next(member for member in members if member not in stated.splits)
        raise DataError(
            f"{tree.root}: {', '.join(stated.lists)} state a split and leave out images such as "
            f"{missing}; name every image in one of them, or take the lists away"
        )
    return draw_split(labels, groups=groups, seed=seed), False


def _from_folders(tree: Tree, seed: int, *, disjoint: bool) -> Listing:
    path = tree.root
    places = {member: PurePosixPath(member).parts for member in tree.images}
    skip = _shared_depth(list(places.values()))
    split_at = _split_folders([parts[skip:] for parts in places.values()])
    beside = _without_classes([parts[skip:] for parts in places.values()], split_at)
    kept, subsets, names, loose = [], [], [], []
    for member, whole in places.items():
        parts = whole[skip:]
        split = split_at.get(parts[0]) if len(parts) > 1 else None
        if split is None and len(parts) > 1 and parts[0] in beside:
            loose.append(member)
            continue
        if split is not None:
            parts = parts[1:]
            # A zip or a folder often repeats its own name inside.
            again = split_in(parts[0]) == split and len(parts) > 2
            if again or (len(parts) > 1 and parts[0] == whole[skip]):
                parts = parts[1:]
        if len(parts) < 2:
            loose.append(member)
            continue
        kept.append(member)
        subsets.append(split)
        names.append(parts[0])
    if not kept:
        raise DataError(f"{path} holds images but no class folders{_annotated(path)}; {LAYOUT}")
    classes = tuple(sorted(set(names)))
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[name] for name in names])
    notes: list[str] = []
    official = any(split is not None for split in subsets)
    if official and None in subsets:
        first = kept[subsets.index(None)]
        raise DataError(
            f"{path} has train/val/test folders and other class folders beside them "
            f"(first: {first}); put every class under one of the three"
        )
    if official and TRAIN not in subsets:
        raise DataError(f"{path} has no train folder beside its val or test; {LAYOUT}")
    if official and {TEST, VAL} & set(subsets):
        splits = _with_test(np.array(subsets, dtype=np.uint8), notes)
        only = set(names) - {n for n, split in zip(names, subsets, strict=True) if split == TRAIN}
        if (
            only
            and not disjoint
            and not {folded(n) for n in only}
            <= {folded(n) for n, split in zip(names, subsets, strict=True) if split == TRAIN}
        ):
            raise DataError(
                f"{path} has classes to test on that are not under train: "
                f"{', '.join(sorted(only)[:SHOWN])}; add them to train or take them out"
            )
    else:
        if official:
            official = False
            notes.append("only train holds class folders; a split to test on was drawn from it")
        splits, official = _split_of(tree, kept, labels, None, seed, notes)
    found = [tree.place(member) for member in kept]
    return Listing(
        name=name_of(path),
        classes=classes,
        sources=tree.sources,
        source_of=np.array([source for source, _ in found], dtype=np.uint8),
        members=tuple(member for _, member in found),
        labels=labels,
        splits=splits,
        official=official,
        unlabelled=tuple(loose),
        empty_classes=_empty_folders(path, skip),
        notes=tuple(notes),
    )


def _split_folders(places: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Return which of the topmost folders are splits.

    By their names alone, train or valid; and by a word in them, seg_train, where folders of two
    splits or more hold the same folders: `fast_train` and `bus` are classes.
    """
    below: dict[str, set[str]] = defaultdict(set)
    for parts in places:
        if len(parts) > 1:
            inner = [part for part in parts[1:-1] if split_in(part) is None]
            below[parts[0]] |= set(inner[:1])
    named = {name: split for name in below if (split := split_called(name)) is not None}
    if named:
        return named
    worded = {name: split for name in below if (split := split_in(name)) is not None}
    if len(set(worded.values())) < 2 or TRAIN not in worded.values():
        return {}
    train = set().union(*(below[name] for name, split in worded.items() if split == TRAIN))
    others = set().union(*(below[name] for name, split in worded.items() if split != TRAIN))
    # A split to test on may have no classes at all; classes of its own alone are no split.
    return worded if train and (train & others or not others) else {}


def _without_classes(places: Sequence[tuple[str, ...]], split_at: dict[str, int]) -> set[str]:
    """Return folders beside seg_train and seg_test that hold images and no folders: seg_pred."""
    if not split_at or any(split_called(name) is not None for name in split_at):
        return set()  # beside train and test any folder may be a class that was misplaced
    heads = {parts[0] for parts in places if len(parts) > 1} - split_at.keys()
    with_folders = {parts[0] for parts in places if len(parts) > 2 and parts[1] != parts[0]}
    return heads - with_folders


def _with_one_spelling(listing: Listing) -> Listing:
    """Join classes whose names differ in how letters are composed; doubt those in letters' case."""
    import unicodedata

    form = {name: unicodedata.normalize("NFC", name).strip() for name in listing.classes}
    listing = listing.renamed(form) if any(a != b for a, b in form.items()) else listing
    by_case: dict[str, list[str]] = defaultdict(list)
    for name in listing.classes:
        by_case[folded(name)].append(name)
    twice = [names for names in by_case.values() if len(names) > 1]
    if not twice:
        return listing
    return listing.with_doubts(
        f"the classes {' and '.join(map(repr, twice[0]))} differ in the case of letters alone; "
        "give them one name"
    )


def _empty_folders(path: Path, skip: int) -> tuple[str, ...]:
    """Return the folders at the depth of a class that hold nothing at all."""
    if not path.is_dir():
        return ()
    empty = []
    for folder, inner, names in folders_of(path):
        place = Path(folder).relative_to(path)
        seen = [*inner, *(name for name in names if visible(name))]
        parts = place.parts[skip:]
        # Under train, val or test a class lies one folder deeper.
        deep = 1 + (len(parts) == 2 and split_called(parts[0]) is not None)
        if not seen and len(parts) == deep:
            empty.append(place.as_posix())
    return tuple(sorted(empty))


def _shared_depth(places: Sequence[tuple[str, ...]]) -> int:
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
