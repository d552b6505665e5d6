"""PASCAL VOC: one XML file an image.

    Annotations/1.xml, JPEGImages/1.jpg, ImageSets/Main/train.txt    as it is distributed
    VOCdevkit/VOC2007/Annotations/1.xml, ...                         one or several years of it
    train/1.xml, train/1.jpg                                         as labelling tools export it

A box is xmin, ymin, xmax, ymax, counted from 1, the last pixel inside: xmin and ymin lose one.
`classes.names` or another `*.names` gives the classes in order; without one they are sorted.
Source: Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge", development kit.
"""

from collections import defaultdict
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vislab.data.annotations import Annotated
from vislab.data.formats.class_names import names_listed
from vislab.data.formats.copies import Copies
from vislab.data.formats.numbers import class_name, covered, number, shown
from vislab.data.formats.reading import Reading
from vislab.data.formats.xml_tree import parse_xml
from vislab.data.listing import SPLITS
from vislab.data.splits import TEST, TRAIN, VAL, split_of
from vislab.data.tree import Tree, inside
from vislab.errors import DataError
from vislab.progress import track
from vislab.runs.writing import write_bytes, write_text

IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img", "pictures")
EDGES = ("xmin", "ymin", "xmax", "ymax")
LISTS = {"train": TRAIN, "val": VAL, "test": TEST, "trainval": TRAIN}


def recognises(root: Path) -> bool:
    """Say whether an XML under the folder, or in the zip, is an annotation."""
    return bool(_files(Tree(root)))


def read(root: Path, *, seed: int = 0) -> Annotated:
    """Read all annotations of a folder. Raises DataError only when there is none."""
    tree = Tree(root)
    reading = Reading(tree)
    files = _files(tree)
    if not files:
        raise DataError(f"{root} has no XML annotation of an image")
    splits = _listed_splits(reading, files)
    roots: dict[int, tuple[str, Element]] = {}
    unlisted = 0
    with track(f"reading {reading.name}", total=len(files), unit="annotations") as advance:
        for file in files:
            advance(1)
            listed = splits.get(_base(file))
            if listed is not None and PurePosixPath(file).stem not in listed:
                unlisted += 1
                continue
            split = split_of(file) if listed is None else listed[PurePosixPath(file).stem]
            try:
                element = parse_xml(tree.read(file))
            except DataError as error:
                found = _image_of(tree, file, None)
                row = None if found is None else reading.image(found, split, file)
                reading.issue(file, f"it cannot be read: {error}", row)
                continue
            row = _add_image(reading, file, split, element)
            if row is not None:
                roots[row] = (file, element)
    if unlisted:
        reading.notes.append(
            f"{unlisted} annotations that no list of ImageSets names were left out"
        )
    reading.measure()
    classes = names_listed(tree) or _names_found(roots)
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
        if any(b"<annotation" in tree.start(file) for file in files[:20]):
            chosen += files
    return sorted(chosen)


def _base(file: str) -> str:
    """Return the folder that holds Annotations and ImageSets."""
    folder = PurePosixPath(file).parent
    if folder.name.lower() == "xmls":
        folder = folder.parent
    return (folder.parent if folder.name.lower() == "annotations" else folder).as_posix()


def _listed_splits(reading: Reading, files: list[str]) -> dict[str, dict[str, int]]:
    """Return the split of each image by base folder and stem, as the lists of ImageSets say."""
    stems = {(_base(file), PurePosixPath(file).stem) for file in files}
    splits: dict[str, dict[str, int]] = {}
    for base in sorted({base for base, _ in stems}):
        for name, split in LISTS.items():
            member = (PurePosixPath(base) / "ImageSets" / "Main" / f"{name}.txt").as_posix()
            if member not in reading.tree:
                continue
            listed = splits.setdefault(base, {})
            text = reading.tree.text(member)
            for line, words in enumerate(map(str.split, text.splitlines()), start=1):
                if not words:
                    continue
                where, stem = f"{member}, line {line}", words[0]
                if (base, stem) not in stems:
                    reading.issue(where, f"its annotation is missing: {shown(stem)}", None)
                elif name == "trainval":
                    listed.setdefault(stem, split)
                elif listed.setdefault(stem, split) != split:
                    other = SPLITS[listed[stem]]
                    reading.issue(where, f"it is in two splits: {stem}, {other}", None)
    return splits


def _image_of(tree: Tree, file: str, named: str | None) -> str | None:
    """Return the image an annotation is about: the one it names, else the one called alike."""
    stem = PurePosixPath(file).stem
    base = PurePosixPath(_base(file))
    folders = [PurePosixPath(file).parent, base / "JPEGImages"]
    for folder in folders if named else ():
        exact = (folder / str(named)).as_posix()
        if exact in tree:
            return exact
    last = PurePosixPath(named).name if named else None
    alike = [*tree.called(last or stem), *tree.with_stem(stem)]
    if not alike:
        return None

    def distance(member: str) -> tuple[bool, bool, bool, str]:
        path = PurePosixPath(member)
        return (
            path.name != last,
            not path.is_relative_to(base),
            path.parent.name.lower() not in IMAGE_FOLDERS and path.parent not in folders,
            member,
        )

    return min(alike, key=distance)


def _add_image(reading: Reading, file: str, split: int | None, element: Element) -> int | None:
    told = (element.findtext("filename") or "").strip()
    named = inside(told) if told else None
    found = _image_of(reading.tree, file, named)
    stated, wrong = _stated(element)
    if told and named is None:
        row = None if found is None else reading.image(found, split, file, stated)
        reading.issue(file, f"its path leads out of the folder: {shown(told)}", row)
    else:
        missing = named or PurePosixPath(file).with_suffix(".jpg").name
        row = reading.image(found or missing, split, file, stated)
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


def _names_found(roots: dict[int, tuple[str, Element]]) -> tuple[str, ...]:
    found = {
        class_name(instance.findtext("name") or "")
        for _, element in roots.values()
        for instance in element.findall("object")
    }
    return tuple(sorted(found - {""}))


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
