"""Class names that stand in a file of their own beside annotations, and what their numbers are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vislab.data.formats.numbers import class_name, shown
from vislab.data.tree import Tree, folded
from vislab.errors import DataError

LISTS = ("classes.txt", "class_names.txt", "obj.names")


@dataclass(frozen=True)
class ClassList:
    """Names in the order of their numbers, and the file they stand in."""

    file: str
    names: tuple[str, ...]

    @property
    def folder(self) -> PurePosixPath:
        """The folder the file lies in."""
        return PurePosixPath(self.file).parent


@dataclass(frozen=True)
class Numbering:
    """What class a number means, for each file of labels."""

    classes: tuple[str, ...]
    meanings: tuple[tuple[int, ...], ...]  # the class of each number, for each list
    list_of: dict[str, int]  # by file of labels; the first list where it is not in here
    doubt: str | None = None
    note: str | None = None


def list_files(tree: Tree) -> list[str]:
    """Return the files that list classes, by their names."""
    return [
        member
        for member in tree.members
        if PurePosixPath(member).name.lower() in LISTS or member.lower().endswith(".names")
    ]


def listed_names(tree: Tree, file: str) -> tuple[str, ...]:
    """Return what stands in a list of classes, past empty lines."""
    lines = map(class_name, tree.text(file).split("\n"))
    return tuple(dict.fromkeys(line for line in lines if line))


def numbered_list(tree: Tree, file: str) -> ClassList:
    """Return the names of a list, where a line's number is the class's.

    Raises DataError where a line between two names is empty, or one stands there twice.
    """
    names = [class_name(line) for line in tree.text(file).split("\n")]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        line = names.index("") + 1
        raise DataError(
            f"{tree.root / file}, line {line} is empty, and it is unclear whether the classes "
            "behind it count it; write a name there, or take the line out"
        )
    return ClassList(file, distinct(names, tree, file))


def distinct(names: Sequence[str], tree: Tree, file: str) -> tuple[str, ...]:
    """Return the names. Raises DataError where one stands there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{tree.root / file} names class {name!r} twice; rename one of them")
        seen.add(name)
    return tuple(names)


def numbering(lists: Sequence[ClassList], files: Sequence[str]) -> Numbering:
    """Return what the numbers in files of labels mean by lists that may disagree.

    Lists agree where one begins with the other. Where each folder has its own, as labelImg writes
    them, its labels are read by it and the classes are those of one name. Otherwise there is a
    doubt, and the first list is taken.
    """
    if not lists:
        return Numbering((), ((),), {})
    longest = max(lists, key=lambda one: len(one.names))
    keys = [folded(name) for name in longest.names]
    other = next((one for one in lists if not _begins(keys, one)), None)
    if other is None:
        shorter = [one.file for one in lists if len(one.names) < len(longest.names)]
        note = f"{', '.join(shorter)} names fewer classes than {longest.file}" if shorter else None
        return _by_one_list(longest, note=note)
    own = _own_lists(lists, files)
    if own is not None:
        merged = tuple(dict.fromkeys(name for one in lists for name in one.names))
        note = f"labels are read by their folder's own list: {', '.join(o.file for o in lists)}"
        place = {name: number for number, name in enumerate(merged)}
        meanings = tuple(tuple(place[name] for name in one.names) for one in lists)
        return Numbering(merged, meanings, own, note=note)
    doubt = (
        f"{longest.file} and {other.file} disagree on the classes ({_difference(longest, other)}); "
        "keep the one that the labels were made with"
    )
    return _by_one_list(lists[0], doubt=doubt)


def _by_one_list(one: ClassList, *, doubt: str | None = None, note: str | None = None) -> Numbering:
    return Numbering(one.names, (tuple(range(len(one.names))),), {}, doubt, note)


def _begins(keys: Sequence[str], other: ClassList) -> bool:
    return all(key == folded(name) for key, name in zip(keys, other.names, strict=False))


def _difference(one: ClassList, other: ClassList) -> str:
    for number, (name, called) in enumerate(zip(one.names, other.names, strict=False)):
        if folded(name) != folded(called):
            return f"number {number} is {shown(name)} and {shown(called)}"
    raise AssertionError("lists that agree")


def _own_lists(lists: Sequence[ClassList], files: Sequence[str]) -> dict[str, int] | None:
    """Return which list each file of labels is below; None unless each is below just one."""
    place_of = {one.folder: place for place, one in enumerate(lists)}
    if len(place_of) < len(lists) or len(lists) < 2:
        return None
    found: dict[PurePosixPath, list[int]] = {}
    list_of = {}
    for file in files:
        folder = PurePosixPath(file).parent
        if folder not in found:
            above = (folder, *folder.parents)
            found[folder] = [place_of[one] for one in above if one in place_of]
        if len(found[folder]) != 1:
            return None
        list_of[file] = found[folder][0]
    return list_of if set(list_of.values()) == set(place_of.values()) else None
