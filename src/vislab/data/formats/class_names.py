"""Class names that stand in a file of their own beside annotations."""

from pathlib import PurePosixPath

import yaml

from vislab.data.formats.numbers import class_name
from vislab.data.tree import Tree
from vislab.errors import DataError

LISTS = ("classes.txt", "class_names.txt", "obj.names")


def names_listed(tree: Tree) -> tuple[str, ...] | None:
    """Return the lines of `classes.txt` or of a `*.names`, the topmost; None without one."""
    files = [
        member
        for member in tree.members
        if PurePosixPath(member).name.lower() in LISTS or member.lower().endswith(".names")
    ]
    if not files:
        return None
    file = min(files, key=lambda member: (member.count("/"), member))
    text = tree.text(file)
    lines = [class_name(line) for line in text.splitlines()]
    return _distinct(tuple(line for line in lines if line), tree, file)


def names_in_yaml(tree: Tree) -> tuple[str, ...] | None:
    """Return `names` of `data.yaml`, a list or a table by number; None without one."""
    files = [m for m in tree.ending(".yaml", ".yml") if _may_name(tree, m)]
    if not files:
        return None
    file = min(files, key=lambda member: (member.count("/"), member))
    where = tree.root / file
    try:
        # BaseLoader: `no` is a word and 1 a name; nothing but text, lists and tables is built
        told = yaml.load(tree.read(file), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        raise DataError(f"{where}{line} is no YAML that can be read; mend it") from error
    names = told.get("names") if isinstance(told, dict) else None
    if isinstance(names, dict):
        wanted = [str(number) for number in range(len(names))]
        if set(names) != set(wanted):
            raise DataError(f"{where}: names should be numbered from 0 without a gap; mend them")
        names = [names[number] for number in wanted]
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise DataError(f"{where}: names should be a list of class names; mend it")
    return _distinct(tuple(class_name(name) for name in names), tree, file)


def _may_name(tree: Tree, member: str) -> bool:
    content = tree.start(member, 1 << 20)
    return content.startswith(b"names:") or b"\nnames:" in content


def _distinct(names: tuple[str, ...], tree: Tree, file: str) -> tuple[str, ...]:
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise DataError(f"{tree.root / file} names class {twice[0]!r} twice; rename one of them")
    return names
