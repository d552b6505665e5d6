"""Files that say which class a colour or a number in masks is.

classes.csv, class_dict.csv     name,r,g,b  or  label;#ff0000  or  name,value
label_colors.txt                64 128 64 Animal       as CamVid has it
labelmap.txt                    road:128,64,128::      as CVAT writes it
classes.json                    [{"name": "road", "color": "#804080"}], also within "classes"
classes.txt, *.names            a name a line: the numbers are the lines'
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from vislab.data.annotations import VOID
from vislab.data.formats.class_names import LISTS, numbered_list
from vislab.data.formats.numbers import class_name
from vislab.data.mask_reading import BINARY
from vislab.data.tree import Tree
from vislab.errors import DataError

NOTHING = ("background", "_background_", "void", "unlabeled", "unlabelled", "none", "other")
UNKNOWN = ("void", "ignore", "ignored", "unlabeled", "unlabelled")  # beside a 255: it is void
NAMES = ("name", "class", "label", "classes", "title", "class_name", "classname", "label_name",
         "category")  # fmt: skip
COLOURS = ("color", "colour", "hex", "rgb", "color_rgb", "hex_color", "html", "hexcode")
CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))
VALUES = ("value", "grey", "gray", "level", "pixel", "pixel_value", "id", "index", "class_id",
          "label_id", "number")  # fmt: skip
LISTING = re.compile(r"(class|colou?r|label|legend|palette|categor|map)[^/]*$")
LARGEST = 1 << 20  # bytes of a JSON that may be such a list


@dataclass(frozen=True)
class MaskClassList:
    """Names in the order of a file; with a colour (0xRRGGBB) or a number each, or with neither."""

    file: str
    names: tuple[str, ...]
    colours: tuple[int, ...] | None = None
    values: tuple[int, ...] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names, the background first, which is added where the file does not begin with it."""
        if self.names and self.names[0].lower() not in NOTHING:
            return (BINARY[0], *self.names)
        return self.names

    def table(self) -> tuple[dict[int, int], tuple[str, ...]]:
        """Return the class of each colour or number that is listed, and the classes.

        What is called background, or else is black or 0, comes first; where nothing is so, a
        background is added. A 255 that is called void stands for no class.
        """
        keys = self.colours or self.values
        assert keys is not None
        lower = [name.lower() for name in self.names]
        void = self.values.index(VOID) if self.values and VOID in self.values else None
        if void is not None and lower[void] in UNKNOWN:
            lower[void] = ""
        else:
            void = None
        first = next((lower.index(name) for name in NOTHING if name in lower), None)
        if first is None and 0 in keys:
            first = keys.index(0)
        order = [row for row in range(len(keys)) if row != first]
        classes = [self.names[first] if first is not None else BINARY[0]]
        table = {} if first is None else {keys[first]: 0}
        for row in order:
            if row == void:
                table[VOID] = VOID
                continue
            if self.names[row] in classes:  # one class in two colours
                table[keys[row]] = classes.index(self.names[row])
                continue
            table[keys[row]] = len(classes)
            classes.append(self.names[row])
        return table, tuple(classes)


def class_list(tree: Tree) -> MaskClassList | None:
    """Return the list that comes with the masks, or None.

    One with colours or numbers goes before one of names alone. Raises DataError where two of a
    kind say different things, which would give one class two numbers.
    """
    found = []
    for file in tree.members:
        try:
            one = _read(tree, file)
        except DataError:
            if LISTING.search(file.lower()):
                raise
            continue  # some other table, which nobody asked to be read
        if one is not None:
            found.append(one)
    for kind in (
        [one for one in found if one.colours],
        [one for one in found if one.values],
        [one for one in found if not one.colours and not one.values],
    ):
        if not kind:
            continue
        kind.sort(key=lambda one: (one.file.count("/"), one.file))
        for other in kind[1:]:
            _require_equal(tree, kind[0], other)
        return kind[0]
    return None


def _require_equal(tree: Tree, first: MaskClassList, other: MaskClassList) -> None:
    if first.colours or first.values:
        (mine, classes), (theirs, others) = first.table(), other.table()
        if {(key, classes[c]) for key, c in mine.items()} == {
            (key, others[c]) for key, c in theirs.items()
        }:
            return
        differs = "say different things"
    else:
        if first.classes == other.classes:
            return
        pairs = list(zip(first.classes, other.classes, strict=False))
        place = next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))
        mine_is, theirs_is = (
            repr(names[place]) if place < len(names) else "not named"
            for names in (first.classes, other.classes)
        )
        differs = f"disagree: class {place} is {mine_is} in one and {theirs_is} in the other"
    raise DataError(
        f"{tree.root / first.file} and {tree.root / other.file} {differs}; number the classes "
        "alike in all masks and keep one list"
    )


def _read(tree: Tree, file: str) -> MaskClassList | None:
    path = PurePosixPath(file)
    name, ending = path.name.lower(), path.suffix.lower()
    if ending == ".csv" or ending == ".tsv":
        return _of_table(tree, file)
    if ending == ".json" and (file.count("/") < 2 or LISTING.search(name)):
        return _of_json(tree, file)
    if name in LISTS or ending == ".names":
        return _of_lines(tree, file) or _named(tree, file)
    if ending == ".txt" and LISTING.search(path.stem.lower()):
        return _of_lines(tree, file)
    return None


def _named(tree: Tree, file: str) -> MaskClassList | None:
    names = numbered_list(tree, file).names
    return MaskClassList(file, names) if names else None


def _of_lines(tree: Tree, file: str) -> MaskClassList | None:
    """Read lines of a colour and a name, in either order; None where not all are such."""
    lines = [line.strip() for line in tree.text(file).split("\n") if line.strip()]
    lines = [line for line in lines if not line.startswith("#")]
    number = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"
    rows = []
    for line in lines:
        before = re.fullmatch(rf"\(?{number}\)?[\s,;:]+(.+)", line)
        after = re.fullmatch(rf"([^:]+?)[\s,;:]+\(?{number}\)?:?[^:]*:?.*", line)
        if before:
            rows.append((before[4], before.groups()[:3]))
        elif after:
            rows.append((after[1], after.groups()[1:4]))
        elif not rows and len(lines) > 1 and re.fullmatch(r"[a-z_,;\s]+", line.lower()):
            continue  # a header
        else:
            return None
    if not rows:
        return None
    colours = [_three(tree, file, told) for _, told in rows]
    return _coloured(tree, file, [name for name, _ in rows], colours)


def _of_table(tree: Tree, file: str) -> MaskClassList | None:
    if tree.root.is_dir() and (tree.root / file).stat().st_size > LARGEST:
        return None
    text = tree.text(file)
    header = text.split("\n", 1)[0]
    mark = max(",;\t", key=header.count)
    table = [row for row in csv.reader(io.StringIO(text), delimiter=mark) if any(row)]
    if len(table) < 2:
        return None
    columns = [column.strip().lower().replace(" ", "_") for column in table[0]]

    def place(words: tuple[str, ...]) -> int | None:
        return next((columns.index(word) for word in words if word in columns), None)

    named, colour, value = place(NAMES), place(COLOURS), place(VALUES)
    channels = [place(words) for words in CHANNELS]
    if named is None or any(len(row) < len(columns) for row in table[1:]):
        return None
    names = [row[named] for row in table[1:]]
    if None not in channels:
        told = [tuple(row[c] for c in channels if c is not None) for row in table[1:]]
        return _coloured(tree, file, names, [_three(tree, file, one) for one in told])
    if colour is not None:
        return _coloured(tree, file, names, [_colour(tree, file, r[colour]) for r in table[1:]])
    if value is not None and len(set(names)) == len(names) and LISTING.search(file.lower()):
        numbers = [row[value].strip() for row in table[1:]]
        if all(number.isdecimal() and int(number) <= 65535 for number in numbers):
            values = [int(number) for number in numbers]
            _require_distinct(tree, file, values, names)
            return MaskClassList(file, tuple(map(class_name, names)), values=tuple(values))
    return None


def _of_json(tree: Tree, file: str) -> MaskClassList | None:
    start = tree.start(file, LARGEST)
    if len(start) == LARGEST or not re.search(rb'"(colou?r|rgb|hex)"|\[\s*\d+\s*,', start):
        return None
    try:
        told = json.loads(tree.text(file))
    except (ValueError, RecursionError):
        return None
    for rows in _lists_in(told):
        pairs = []
        for row in rows:
            name = next((row[key] for key in NAMES if row.get(key)), None)
            colour = next((row[key] for key in COLOURS if row.get(key)), None)
            if not isinstance(name, str) or colour is None:
                break
            pairs.append((name, colour))
        else:
            if pairs:
                colours = [_colour(tree, file, colour) for _, colour in pairs]
                return _coloured(tree, file, [name for name, _ in pairs], colours)
    return None


def _lists_in(told: object) -> Iterator[list[dict[str, object]]]:
    inner = [told, *told.values()] if isinstance(told, dict) else [told]
    for one in inner:
        if isinstance(one, list) and one and all(isinstance(row, dict) for row in one):
            yield one
        elif (
            isinstance(one, dict)
            and one
            and all(isinstance(value, list) and len(value) == 3 for value in one.values())
        ):
            yield [{"name": name, "color": value} for name, value in one.items()]


def _colour(tree: Tree, file: str, told: object) -> int:
    if isinstance(told, list):
        return _three(tree, file, tuple(map(str, told[:3])))
    text = str(told).strip()
    if found := re.fullmatch(r"#?([0-9a-fA-F]{6})(?:[fF]{2})?", text):
        return int(found[1], 16)
    return _three(tree, file, tuple(re.findall(r"\d+", text)))


def _three(tree: Tree, file: str, told: tuple[str, ...]) -> int:
    numbers = [int(one) for one in told if one.strip().isdecimal()]
    if len(numbers) != 3 or len(told) != 3 or max(numbers) > VOID:
        raise DataError(
            f"{tree.root / file}: {', '.join(told) or 'nothing'} is no colour; write its red, "
            "green and blue, 0 to 255 each"
        )
    return numbers[0] << 16 | numbers[1] << 8 | numbers[2]


def _coloured(tree: Tree, file: str, names: list[str], colours: list[int]) -> MaskClassList:
    _require_distinct(tree, file, colours, names)
    return MaskClassList(file, tuple(map(class_name, names)), colours=tuple(colours))


def _require_distinct(tree: Tree, file: str, keys: list[int], names: list[str]) -> None:
    for place, key in enumerate(keys):
        first = keys.index(key)
        if names[first].strip() != names[place].strip():
            raise DataError(
                f"{tree.root / file} gives {names[first]!r} and {names[place]!r} one colour or "
                "number; mend it"
            )
