"""The layouts that docs/images.md lists: how each is written, and what must become of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.formats import sets

Write = Callable[[Path], None]


@dataclass(frozen=True)
class Layout:
    """One row of the table, and the folder it is about."""

    kind: str  # classes, boxes, masks
    shown: str  # as a person would describe the folder
    becomes: str  # in the table
    write: Write
    classes: tuple[str, ...] = ()
    counts: tuple[int, int, int] = (0, 0, 0)  # of train, val, test; none where a split is drawn
    refused: str = ""  # what the refusal says


def photos(*members: str) -> Write:
    """Return what draws images under these names."""

    def write(root: Path) -> None:
        for member in members:
            sets.image(root / member)

    return write


def and_text(first: Write, **files: str) -> Write:
    """Return what also writes texts; `__` in a name is a slash, `_` before an ending a dot."""

    def write(root: Path) -> None:
        first(root)
        for name, text in files.items():
            path = root / f"{name.rpartition('_')[0].replace('__', '/')}.{name.rpartition('_')[2]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def masks(names: tuple[str, ...], high: int) -> Write:
    """Return what draws images and a mask each, 0 and `high`."""

    def write(root: Path) -> None:
        for name in names:
            sets.image(root / "images" / f"{name}.png")
            values = np.zeros((30, 40), dtype=np.uint8)
            values[5:20, 5:20] = high
            (root / "masks").mkdir(exist_ok=True)
            Image.fromarray(values).save(root / "masks" / f"{name}.png")

    return write


def pairs(*folders: str) -> tuple[str, ...]:
    """Return four images of cats and dogs in each folder."""
    return tuple(f"{f}{name}/{n}.png" for f in folders for name in ("cat", "dog") for n in range(4))


TEN = tuple(f"{n}.png" for n in range(10))
LINES = [f"{n}.png,{('cat', 'dog')[n % 2]}\n" for n in range(10)]
ROWS = "".join(LINES)
LABELME = '{"shapes": [], "imagePath": ""}'
CAT_DOG = ("cat", "dog")

LAYOUTS = (
    Layout("classes", "`cat/1.jpg`, `dog/2.jpg`", "class folders; a split is drawn",
           photos(*pairs("")), CAT_DOG),
    Layout("classes", "`train/cat/1.jpg`, `test/cat/2.jpg`", "class folders with their split",
           photos(*pairs("train/", "val/", "test/")), CAT_DOG, (8, 8, 8)),
    Layout("classes", "`seg_train/seg_train/cat/1.jpg`, `seg_test/…`", "the same",
           photos(*pairs("seg_train/seg_train/", "seg_test/seg_test/")), CAT_DOG, (8, 0, 8)),
    Layout("classes", "`train/cat/1.jpg`, `val/cat/2.jpg`", "val is used to test on, and said",
           photos(*pairs("train/", "val/")), CAT_DOG, (8, 0, 8)),
    Layout("classes", "class folders and `meta/train.txt`, `meta/test.txt`",
           "the split that the lists state",
           and_text(photos(*pairs("images/")),
                    meta__train_txt="cat/0\ncat/1\ndog/0\ndog/1\n",
                    meta__test_txt="cat/2\ncat/3\ndog/2\ndog/3\n"),
           CAT_DOG, (4, 0, 4)),
    Layout("classes", "`labels.csv` with path,label[,group][,split]",
           "its labels; commas, semicolons, tabs or bars, UTF-8 or UTF-16",
           and_text(photos(*TEN), labels_csv="path;label\n" + ROWS.replace(",", ";")), CAT_DOG),
    Layout("classes", "`train.csv` and `test.csv`", "both, and the split of their names",
           and_text(photos(*TEN), train_csv="path,label\n" + "".join(LINES[:7]),
                    test_csv="path,label\n" + "".join(LINES[7:])), CAT_DOG, (7, 0, 3)),
    Layout("classes", "`metadata.csv` with image_id,dx", "refused with `--labels image_id,dx`",
           and_text(photos(*TEN), metadata_csv="image_id,dx\n" + ROWS),
           refused="`--labels image_id,dx`"),
    Layout("classes", "a table with several labels an image", "refused by name",
           and_text(photos(*TEN), labels_csv="path,label\n" + ROWS + "0.png,owl\n"),
           refused="several labels an image"),
    Layout("classes", "boxes in a CSV", "refused by name",
           and_text(photos(*TEN), boxes_csv="filename,xmin,ymin,xmax,ymax,class\n" + "".join(
               f"{n}.png,1,1,9,9,cat\n" for n in range(10))), refused="holds boxes"),
    Layout("classes", "class folders `Cat` and `cat`", "refused until they are one",
           photos(*(f"{name}/{n}.png" for name in ("Cat", "cat") for n in range(4))),
           refused="differ in the case of letters alone"),
    Layout("classes", "`1.jpg`, `1.json` of labelme", "refused by name",
           and_text(photos("1.png", "2.png"), **{"1_json": LABELME, "2_json": LABELME}),
           refused="labelme"),
    Layout("boxes", "COCO: a JSON with images, annotations, categories", "boxes and outlines",
           lambda root: sets.coco(root, [sets.instance()]) and None, ("cat", "dog")),
    Layout("boxes", "VOC: `Annotations/1.xml`, `JPEGImages/1.jpg`", "boxes",
           lambda root: [sets.voc(root, str(n), sets.voc_object()) for n in range(4)] and None,
           ("cat",)),
    Layout("boxes", "YOLO: `images/1.jpg`, `labels/1.txt`, `data.yaml`", "boxes and outlines",
           and_text(lambda root: [sets.yolo(root, ["0 0.5 0.5 0.2 0.2"], str(n))
                                  for n in range(4)] and None, data_yaml="names: [cat, dog]\n"),
           ("cat", "dog")),
    Layout("masks", "`images/1.png`, `masks/1.png` of 0 and 255", "two classes",
           masks(tuple("0123"), 255), ("background", "foreground")),
    Layout("masks", "the same of 0, 1, 2, … and `classes.txt`", "a class for each number",
           and_text(masks(tuple("0123"), 2), classes_txt="background\ncrop\nweed\n"),
           ("background", "crop", "weed")),
)  # fmt: skip


def table() -> str:
    """Return the rows as docs/images.md shows them."""
    rows = ["| | the folder | what becomes of it |", "|---|---|---|"]
    rows += [f"| {one.kind} | {one.shown} | {one.becomes} |" for one in LAYOUTS]
    return "\n".join(rows) + "\n"
