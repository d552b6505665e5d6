"""PASCAL VOC: one XML file an image.

    Annotations/1.xml, JPEGImages/1.jpg, ImageSets/Main/train.txt    as it is distributed
    VOCdevkit/VOC2007/Annotations/1.xml, ...                         one or several years of it
    train/1.xml, train/1.jpg                                         as labelling tools export it

A box is xmin, ymin, xmax, ymax, counted from 1, the last pixel inside: xmin and ymin lose one.
`classes.names` or another `*.names` gives the classes in order; without one they are sorted.
Source: Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge", development kit.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vislab.data.annotations import Annotated
from vislab.data.formats.class_names import list_files, listed_names
from vislab.data.formats.copies import Copies
from vislab.data.formats.image_names import IMAGE_FOLDERS
from vislab.data.formats.numbers import class_name, covered, number, shown
from vislab.data.formats.reading import Reading
from vislab.data.formats.xml_tree import parse_xml
from vislab.data.listing import SPLITS
from vislab.data.split_lists import contradiction, folders_say, split_lists
from vislab.data.splits import TEST, TRAIN, VAL, split_of
from vislab.data.tree import Tree, folded, inside, is_image
from vislab.errors import DataError
from vislab.progress import track
from vislab.runs.writing import write_bytes, write_text

EDGES = ("xmin", "ymin", "xmax", "ymax")
LISTS = {"train": TRAIN, "val": VAL, "test": TEST, "trainval": TRAIN}
MARKS = ("-1", "0", "1")  # in a second column: whether the image shows what the list is about


def recognises(root: Path) -> bool:
    """Say whether an XML under the folder, or in the zip, is an annotation."""
    return bool(_files(Tree(root)))


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read all annotations of a folder; an image beside others without one shows no object.

    Raises DataError only when there is no annotation.
    """
    tree = Tree(root)
    reading = Reading(tree)
    files = _files(tree)
    if not files:
        raise DataError(f"{root} has no XML annotation of an image")
    places = _Places(tree, files)
    lists = _Lists(reading, files)
    roots: dict[int, tuple[str, Element]] = {}
    unlisted = 0
    with track(f"reading {reading.name}", total=len(files), unit="annotations") as advance:
        for file in files:
            advance(1)
            if lists.leave_out(_base(file), PurePosixPath(file).stem):
                unlisted += 1
                continue
            split = lists.split(file)
            try:
                element = parse_xml(tree.read(file))
            except DataError as error:
                found = places.image(file, None)
                row = reading.image(found[0], split, file) if len(found) == 1 else None
                reading.issue(file, f"it cannot be read: {error}", row)
                continue
            row = _add_image(reading, places, file, split, element)
            if row is not None:
                roots[row] = (file, element)
    if places.doubt:
        reading.doubt(places.doubt)
    unlisted += _add_negatives(reading, places, lists)
    if unlisted:
        reading.notes.append(
            f"{unlisted} annotations that no list of ImageSets names were left out"
        )
    _state_splits(reading, lists)
    reading.measure()
    classes = _classes(reading, roots)
    labels = {name: label for label, name in enumerate(classes)}
    for row, (file, element) in roots.items():
        for place, instance in enumerate(element.findall("object"), start=1):
            _instance(reading, row, f"{file}, object {place}", instance, labels)
    return reading.finished("voc", classes, seed=seed)


def _files(tree: Tree) -> list[str]:
    """Return the XML files, if any of them is an annotation; a broken one is still one of them."""
    folders: dict[str, list[str]] = defaultdict(list)
    for file in tree.ending(".xml"):
        folders[PurePosixPath(file).parent.as_posix()].append(file)
    chosen = []
    for files in folders.values():
        if any(b"<annotation" in tree.start(file).replace(b"\0", b"") for file in files[:20]):
            chosen += files
    return sorted(chosen)


def _base(file: str) -> str:
    """Return the folder that holds Annotations and ImageSets."""
    folder = PurePosixPath(file).parent
    if folder.name.lower() == "xmls":
        folder = folder.parent
    return (folder.parent if folder.name.lower() == "annotations" else folder).as_posix()


class _Lists:
    """The split of each image by base folder and stem, as the lists of ImageSets say."""

    def __init__(self, reading: Reading, files: Sequence[str]) -> None:
        self.splits: dict[str, dict[str, int]] = {}
        self.files: list[str] = []
        self.twice: list[str] = []
        stems: dict[str, set[str]] = defaultdict(set)
        for file in files:
            stems[_base(file)].add(PurePosixPath(file).stem)
        for base, known in sorted(stems.items()):
            for member, split in _lists_of(reading.tree, base):
                self.files.append(member)
                self._read(reading, base, member, split, known)

    def _read(self, reading: Reading, base: str, member: str, split: int, known: set[str]) -> None:
        listed = self.splits.setdefault(base, {})
        both = PurePosixPath(member).stem.lower() == "trainval"
        for line, text in enumerate(reading.tree.text(member).split("\n"), start=1):
            if not text.strip():
                continue
            names = list(_stems(text.strip()))
            stem = next((name for name in names if name in known), None)
            if stem is None:
                stem = next((name for name in names if reading.tree.with_stem(name)), None)
            where = f"{member}, line {line}"
            if stem is None:
                reading.issue(where, f"its annotation is missing: {shown(names[-1])}", None)
            elif both:
                listed.setdefault(stem, split)
            elif listed.setdefault(stem, split) != split:
                other = SPLITS[listed[stem]]
                reading.issue(where, f"it is in two splits: {stem}, {other}", None)
                self.twice.append(where)

    def leave_out(self, base: str, stem: str) -> bool:
        """Say whether there are lists and none names it."""
        return base in self.splits and stem not in self.splits[base]

    def split(self, file: str) -> int | None:
        """Return the split of a file: of an annotation, or of an image in its place."""
        listed = self.splits.get(_base(file))
        return split_of(file) if listed is None else listed.get(PurePosixPath(file).stem)


def _lists_of(tree: Tree, base: str) -> Iterator[tuple[str, int]]:
    """Yield the lists of one folder of ImageSets, those of Main first, and their splits."""
    sets = f"{'' if base == '.' else base + '/'}imagesets/"
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for member in tree.ending(".txt"):
        path = PurePosixPath(member)
        if member.lower().startswith(sets.lower()) and path.stem.lower() in LISTS:
            found[path.parent.name][path.stem.lower()] = member
    if found:
        folder = min(found, key=lambda name: (name.lower() != "main", -len(found[name]), name))
        for name, split in LISTS.items():
            if name in found[folder]:
                yield found[folder][name], split


def _stems(line: str) -> Iterator[str]:
    """Yield what a line may mean: all of it, or what stands before a second column."""
    words = line.split()
    texts = [line]
    if len(words) > 1:
        texts += [line[: line.rindex(words[-1])].strip()] if words[-1] in MARKS else []
        texts.append(words[0])
    for text in texts:
        name = text.replace("\\", "/").rsplit("/", 1)[-1]
        yield name
        if is_image(name) or name.lower().endswith(".xml"):
            yield PurePosixPath(name).stem


@dataclass
class _Places:
    """Which image each annotation is about."""

    tree: Tree
    files: Sequence[str]
    doubt: str | None = None
    used: dict[str, str] = field(default_factory=dict)  # by image, the annotation

    def image(self, file: str, named: str | None) -> list[str]:
        """Return the image an annotation is about: the one it names, else the one called alike.

        Several where it cannot be told. Where both are there and differ there is a doubt.
        """
        path = PurePosixPath(file)
        own = self._nearest(file, self.tree.with_stem(path.stem) or self.tree.meant(path.stem))
        if named is None:
            return own
        for folder in (path.parent, PurePosixPath(_base(file)) / "JPEGImages"):
            exact = (folder / named).as_posix()
            if exact in self.tree:
                found = [exact]
                break
        else:
            last = PurePosixPath(named).name
            found = self._nearest(file, self.tree.called(last) or self.tree.meant(last))
        if found and own and folded(PurePosixPath(found[0]).stem) != folded(path.stem):
            self.doubt = self.doubt or (
                f"{file} says that it is about {PurePosixPath(named).name}, and {own[0]} is called "
                "as it is: both images are there, so either pairing may be wrong; write into each "
                "XML the filename of the image that its boxes are about"
            )
        return found or own

    def _nearest(self, file: str, alike: Sequence[str]) -> list[str]:
        """Return those of some images that lie nearest to an annotation."""
        base, split = PurePosixPath(_base(file)), split_of(file)
        folders = (PurePosixPath(file).parent, base / "JPEGImages")

        def distance(member: str) -> tuple[bool, bool, bool]:
            path = PurePosixPath(member)
            return (
                split is not None and split_of(member) != split,
                not path.is_relative_to(base),
                path.parent.name.lower() not in IMAGE_FOLDERS and path.parent not in folders,
            )

        least = min(map(distance, alike), default=None)
        return [member for member in alike if distance(member) == least]


def _add_negatives(reading: Reading, places: _Places, lists: _Lists) -> int:
    """Add images without an annotation that lie among others; return how many lists leave out."""
    tree = reading.tree
    folders = {PurePosixPath(image).parent: file for image, file in places.used.items()}
    stems = {str(PurePosixPath(image).with_suffix("")) for image in places.used}
    stems |= {str(PurePosixPath(file).with_suffix("")) for file in places.files}
    found, beside, elsewhere, unlisted = [], [], [], 0
    for image in tree.images:
        path = PurePosixPath(image)
        if reading.row_of(image) is not None:
            continue
        if path.parent not in folders:
            elsewhere.append(image)
            continue
        near = folders[path.parent]
        base = _base(near)
        annotated = (PurePosixPath(near).parent / path.stem).as_posix() in stems
        if annotated or str(path.with_suffix("")) in stems:
            beside.append(image)
        elif not lists.leave_out(base, path.stem):
            split = lists.splits[base][path.stem] if base in lists.splits else split_of(image)
            found.append((image, split))
    known = {split for split in reading.splits if split is not None}
    negatives = 0
    for image, split in found:
        if known and split is not None and split not in known:
            # Of a whole split without any annotation nothing says that it shows no object.
            row = reading.image(image, split, image)
            reading.issue(image, "its annotation is missing, as those of its whole split are", row)
        else:
            reading.image(image, split, image)
            negatives += 1
    for count, what in (
        (negatives, "images have no XML file and are taken to show no object"),
        (len(beside), "images that share the name of an annotated one were left out"),
        (len(elsewhere), "images in folders without annotated ones were left out"),
    ):
        if count:
            reading.notes.append(f"{count} {what}")
    return unlisted


def _state_splits(reading: Reading, lists: _Lists) -> None:
    """Hold the lists against the folders' names; take lists beside where neither says a split."""
    if lists.twice:
        reading.doubt(
            f"{len(lists.twice)} lines of ImageSets put an image in a second split (first: "
            f"{lists.twice[0]}); name each image in one list"
        )
    if lists.files:
        said = {
            member: split
            for member, split in zip(reading.members, reading.splits, strict=True)
            if split is not None
        }
        by_folder, who = folders_say(reading.members), ", ".join(lists.files)
        what = contradiction(said, by_folder, who, "the names of folders")
        if what is not None:
            reading.doubt(what)
    elif not any(split is not None for split in reading.splits):
        stated = split_lists(reading.tree)
        if stated:
            reading.splits = [stated.splits.get(member) for member in reading.members]
            reading.lists(stated)


def _add_image(
    reading: Reading, places: _Places, file: str, split: int | None, element: Element
) -> int | None:
    told = (element.findtext("filename") or "").strip()
    named = inside(told) if told else None
    last = told.replace("\\", "/").rsplit("/", 1)[-1]
    if named is None and folded(PurePosixPath(last).stem) == folded(PurePosixPath(file).stem):
        named = inside(last)  # as on another machine, and called as the XML is
    found = places.image(file, named)
    stated, wrong = _stated(element)
    member = found[0] if found else named or PurePosixPath(file).with_suffix(".jpg").name
    row: int | None = None
    if found or not told or named is not None:
        row = reading.image(member, split, file, stated)
        places.used.setdefault(member, file)
    if told and named is None:
        reading.issue(file, f"its path leads out of the folder: {shown(told)}", row)
    if len(found) > 1:
        reading.issue(file, f"several images fit it: {', '.join(found[:3])}", row)
    if wrong:
        reading.issue(file, wrong, row)
    return row


def _stated(element: Element) -> tuple[tuple[int, int] | None, str]:
    """Return the size it states, if it does, and what is wrong with it."""
    texts = [(element.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    values = [number(text) if text else 0.0 for text in texts]
    if values == [0.0, 0.0]:
        return None, ""  # tools that do not look at the image write 0
    if any(value is None or value < 1 or value != int(value) for value in values):
        return None, f"its size is none: {shown('×'.join(texts))}"
    return (int(values[0] or 0), int(values[1] or 0)), ""


def _classes(reading: Reading, roots: dict[int, tuple[str, Element]]) -> tuple[str, ...]:
    """Return the classes that the objects name, in the order of a list that names all of them.

    A list that does not is another program's.
    """
    found = {
        class_name(instance.findtext("name") or "")
        for _, element in roots.values()
        for instance in element.findall("object")
    } - {""}
    spelled = {folded(name): name for name in found}
    for file in sorted(list_files(reading.tree), key=lambda file: (file.count("/"), file)):
        names = listed_names(reading.tree, file)
        keys = dict.fromkeys(map(folded, names))
        if len(spelled) == len(found) and len(keys) == len(names) and set(spelled) <= set(keys):
            return tuple(spelled.get(key, name) for key, name in zip(keys, names, strict=True))
        missing = sorted(name for name in found if folded(name) not in keys)
        if missing:
            reading.notes.append(f"{file} was not used: it does not name {shown(missing[0])}")
    return tuple(sorted(found))


def _instance(
    reading: Reading, row: int, where: str, instance: Element, labels: dict[str, int]
) -> None:
    name = class_name(instance.findtext("name") or "")
    if name not in labels:
        reading.issue(where, f"its class is unknown: {shown(name)}", row)
        return
    texts = [(instance.findtext(f"bndbox/{edge}") or "").strip() for edge in EDGES]
    values = [number(text) for text in texts]
    if any(value is None for value in values):
        reading.issue(where, f"its box is not four numbers: {shown(', '.join(texts))}", row)
        return
    left, top, right, bottom = (float(value or 0) for value in values)
    mark = (instance.findtext("difficult") or "0").strip().lower()
    if mark not in ("0", "1", "false", "true"):
        reading.issue(where, f"difficult is not 0 or 1: {shown(mark)}", row)
        return
    reading.instance(
        row,
        (left - 1, top - 1, right, bottom),
        labels[name],
        where,
        difficult=mark in ("1", "true"),
    )


def write(annotated: Annotated, into: Path) -> None:
    """Write the folders as VOC has them and `classes.names`; boxes are rounded to whole pixels.

    A crowd becomes difficult, which is scored alike. Outlines have no place here.
    """
    copies = Copies(annotated)
    instances = annotated.instances
    for folder in ("Annotations", "ImageSets/Main"):
        (into / folder).mkdir(parents=True, exist_ok=True)
    starts = instances.image.searchsorted(range(len(annotated) + 1)).tolist()
    for row in range(len(annotated)):
        copies.copy(row, into / "JPEGImages")
        element = _described(annotated, row, copies.name(row))
        for instance in range(starts[row], starts[row + 1]):
            _append_instance(element, annotated, instance)
        indent(element, "\t")
        file = into / "Annotations" / f"{copies.stem(row)}.xml"
        write_bytes(file, tostring(element, encoding="utf-8") + b"\n")
    for split in SPLITS:
        rows = annotated.rows(split).tolist()
        if rows:
            lines = "".join(f"{copies.stem(row)}\n" for row in rows)
            write_text(into / "ImageSets" / "Main" / f"{split}.txt", lines)
    write_text(into / "classes.names", "".join(f"{name}\n" for name in annotated.classes))


def _described(annotated: Annotated, row: int, name: str) -> Element:
    element = Element("annotation")
    SubElement(element, "folder").text = "JPEGImages"
    SubElement(element, "filename").text = name
    size = SubElement(element, "size")
    for key, value in zip(("width", "height"), annotated.sizes[row].tolist(), strict=True):
        SubElement(size, key).text = str(value)
    SubElement(size, "depth").text = "3"
    return element


def _append_instance(element: Element, annotated: Annotated, instance: int) -> None:
    instances = annotated.instances
    width, height = annotated.sizes[instances.image[instance]].tolist()
    left, top, right, bottom = instances.boxes[instance].tolist()
    across, down = covered(left, right, width), covered(top, bottom, height)
    edges = (across[0] + 1, down[0] + 1, across[1], down[1])
    entry = SubElement(element, "object")
    SubElement(entry, "name").text = annotated.classes[instances.label[instance]]
    SubElement(entry, "difficult").text = str(
        int(instances.difficult[instance] or instances.crowd[instance])
    )
    box = SubElement(entry, "bndbox")
    for edge, value in zip(EDGES, edges, strict=True):
        SubElement(box, edge).text = str(value)
