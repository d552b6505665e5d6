"""What files beside YOLO's labels state: data.yaml of Ultralytics, obj.data of darknet.

path: ../sets/cars              both: a folder, a text that lists images, or several of them
train: images/train             from `path`, from the file's own folder or from the top
val: [val.txt, images/extra]
names: {0: car, 1: bus}         or a list; `nc` is their number
kpt_shape: [17, 3]              keypoints behind each box, of two or three numbers
task: segment                   or obb, pose, detect: which kind the lines are of

classes = 2                     of darknet
train = data/train.txt
valid = data/test.txt
names = data/obj.names
"""

import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import yaml

from vislab.data.formats.class_names import ClassList, distinct, list_files, numbered_list
from vislab.data.formats.numbers import class_name, shown
from vislab.data.split_lists import Stated
from vislab.data.splits import split_called, split_of
from vislab.data.tree import Tree
from vislab.errors import DataError

LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # ten times as fast, where it is there
LISTS = (".txt", ".lst")
OUTLINES = ("segment", "obb")


@dataclass(frozen=True)
class Settings:
    """One such file."""

    file: str
    names: tuple[str, ...] = ()
    names_file: str | None = None
    count: int | None = None
    keypoints: tuple[int, int] | None = None  # how many, and numbers of each
    task: str = ""
    path: str = ""
    places: tuple[tuple[str, str], ...] = ()  # a word such as "train", and what is named under it


def settings_of(tree: Tree) -> list[Settings]:
    """Return what such files state, the topmost first.

    Raises DataError for one that cannot be read, or whose names make no sense.
    """
    files = sorted(tree.ending(".yaml", ".yml", ".data"), key=lambda file: (file.count("/"), file))
    read = (_of_darknet if file.lower().endswith(".data") else _of_yaml for file in files)
    told = (one(tree, file) for one, file in zip(read, files, strict=True))
    return [one for one in told if one is not None]


def class_lists(tree: Tree, told: Sequence[Settings], labels: frozenset[str]) -> list[ClassList]:
    """Return all lists of classes, data.yaml's first; `labels` are no lists, whatever their name.

    Raises DataError for one that makes no sense.
    """
    files = [file for file in list_files(tree) if file not in labels]
    named = [one.names_file for one in told if one.names_file is not None]
    files = list(dict.fromkeys([*named, *sorted(files, key=lambda f: (f.count("/"), f))]))
    lists = [ClassList(one.file, one.names) for one in told if one.names]
    return [*lists, *(one for file in files if (one := numbered_list(tree, file)).names)]


def wrong_counts(told: Sequence[Settings], lists: Sequence[ClassList]) -> Iterator[str]:
    """Yield a sentence for each file whose number of classes is not that of its names."""
    by_file = {one.file: one.names for one in lists}
    for one in told:
        names = by_file.get(one.names_file or one.file, ())
        if names and one.count is not None and one.count != len(names):
            where = f" in {one.names_file}" if one.names_file else ""
            yield (
                f"{one.file} says {one.count} classes and {len(names)} are named{where}; mend the "
                "one that is wrong"
            )


def _of_yaml(tree: Tree, file: str) -> Settings | None:
    content = tree.read(file, 1 << 26).replace(b"\0", b"")  # of UTF-16
    if b"names" not in content.lower() and b"train" not in content:
        return None
    where = tree.root / file
    text = tree.text(file)
    try:
        # The loader leaves all as text: `no` is a word and 1 a name; nothing else is built
        told = _json(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if b"names" not in content.lower():
            return None
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        raise DataError(f"{where}{line} is no YAML that can be read; mend it") from error
    if not isinstance(told, dict):
        return None
    told = {str(key).strip().lower(): value for key, value in told.items()}
    places = [
        (key, value)
        for key, values in told.items()
        if split_called(key) is not None
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, str) and value.strip()
    ]
    names = distinct(_names(told.get("names"), str(where)), tree, file)
    if not names and not places:
        return None
    return Settings(
        file,
        names,
        count=_count(told.get("nc")),
        keypoints=_keypoints(told.get("kpt_shape")),
        task=str(told.get("task") or "").strip().lower(),
        path=path if isinstance(path := told.get("path"), str) else "",
        places=tuple(places),
    )


def _json(text: str) -> Any:
    """Return JSON, which YAML reads unless it is indented by tabs, with all its values as text."""
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except ValueError:
        return yaml.load(text, Loader=LOADER)


def _names(told: object, where: str) -> list[str]:
    if told is None:
        return []
    if isinstance(told, dict):
        wanted = [str(number) for number in range(len(told))]
        if set(told) != set(wanted):
            raise DataError(f"{where}: names should be numbered from 0 without a gap; mend them")
        told = [told[number] for number in wanted]
    if not isinstance(told, list) or not all(isinstance(n, str) and n.strip() for n in told):
        raise DataError(f"{where}: names should be a list of class names; mend it")
    return [class_name(name) for name in told]


def _count(told: object) -> int | None:
    return int(told) if isinstance(told, str) and told.isdecimal() and len(told) < 7 else None


def _keypoints(told: object) -> tuple[int, int] | None:
    if not isinstance(told, list) or len(told) != 2 or None in (counts := list(map(_count, told))):
        return None
    many, each = (int(count or 0) for count in counts)
    return (many, each) if many > 0 and each in (2, 3) else None


def _of_darknet(tree: Tree, file: str) -> Settings | None:
    beginning = tree.start(file).replace(b"\0", b"").lower()
    if b"=" not in beginning or not any(word in beginning for word in (b"train", b"names")):
        return None  # a table of numbers may be called so too
    told: dict[str, str] = {}
    for line in tree.text(file).split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            told[name.strip().lower()] = value.strip()
    places = tuple((key, value) for key, value in told.items() if split_called(key) is not None)
    if not places and "names" not in told:
        return None
    return Settings(
        file,
        names_file=Places(tree).file(told["names"], Settings(file)) if "names" in told else None,
        count=_count(told.get("classes")),
        places=places,
    )


@dataclass
class Places:
    """Folders of images and lists of them, by what a file of settings calls them."""

    tree: Tree
    absent: list[str] = field(default_factory=list)

    def stated(self, told: Settings) -> Stated:
        """Return the split that one file states; what it names and is not there is in `absent`."""
        stated = Stated()
        for key, value in told.places:
            split = split_called(key)
            assert split is not None
            where = f"{told.file}, {key}"
            listing = self.file(value, told) if value.lower().endswith(LISTS) else None
            folder = None if listing else self._folder(value, told)
            if listing is not None:
                stated.add(self.tree, listing, split)
            elif folder is not None:
                stated.lists += [] if told.file in stated.lists else [told.file]
                for image in self.tree.images:
                    if not folder or image.startswith(f"{folder}/"):
                        stated.put(image, split, where)
            else:
                self.absent.append(f"{where}: {shown(value)}")
        return stated

    def file(self, value: str, told: Settings) -> str | None:
        """Return the file that is meant, or None."""
        places = _candidates(self.tree, value, told)
        return next((place for place in places if place in self.tree), None)

    def _folder(self, value: str, told: Settings) -> str | None:
        places = _candidates(self.tree, value.split("*")[0], told)  # a pattern's folder
        return next((place for place in places if place in self._folders), None)

    @cached_property
    def _folders(self) -> frozenset[str]:
        folders = {PurePosixPath(image).parent for image in self.tree.images}
        above = {parent for folder in folders for parent in folder.parents}
        return frozenset("" if str(one) == "." else one.as_posix() for one in folders | above)


def _candidates(tree: Tree, value: str, told: Settings) -> Iterator[str]:
    """Yield the paths that may be meant, the likeliest first; "" is the top."""
    value, path = (text.strip().replace("\\", "/") for text in (value, told.path))
    top = tree.root.resolve().as_posix()
    beside = PurePosixPath(told.file).parent.as_posix()
    places = ((beside, path, value), (beside, value), (beside, re.sub(r"^(\.\./)+", "", value)),
              (path, value), (value,))  # fmt: skip
    whole = [posixpath.join(*parts) for parts in places]
    seen = set()
    for place in whole:
        tidy = posixpath.normpath(place.removeprefix(f"{top}/"))
        parts = [part for part in tidy.split("/") if part not in ("", ".", "..")]
        if "/".join(parts) not in seen:
            seen.add("/".join(parts))
            yield "/".join(parts)
    parts = [part for part in posixpath.normpath(value).split("/") if part not in ("", ".", "..")]
    for cut in range(1, len(parts)):  # as one writes it from higher up
        tail = "/".join(parts[cut:])
        if split_of(f"{tail}/") == split_of(f"{value}/"):  # the word that says which is kept
            yield tail
