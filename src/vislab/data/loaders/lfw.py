"""Labeled Faces in the Wild (Huang et al. 2007): images named `Person_Name_0001.jpg`.

With gender labels beside the images the class is the gender and the group is the person, who must
not stand in two splits. Without, the class is the person. Labels are a `labels.csv` with
the columns path, gender and perhaps split, or the lists `male_names.txt` and `female_names.txt`
(Afifi, Abdelhamed 2017, arXiv:1706.04277).
"""

import csv
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from vislab.data.listing import SPLITS, Listing
from vislab.data.loaders.tree import IMAGES, Tree, text
from vislab.data.splits import draw_split
from vislab.errors import DataError

ENOUGH = 20  # images of a person, to be a class; 62 people have them
GENDERS = ("female", "male")


def listing(folder: Path) -> Listing:
    """List the faces in the folder, or in a zip in it. Raises DataError when there are none.

    Where no split came with the labels one is drawn, by person where the class is the gender.
    """
    zips = sorted(folder.glob("*.zip"))
    trees = [Tree(folder), *(Tree(path) for path in zips)]
    faces = {  # "Person_Name_0001": (tree, path in it)
        PurePosixPath(name).stem: (number, name)
        for number, tree in enumerate(trees)
        for name in tree.names
        if name.lower().endswith(IMAGES) and re.search(r"_\d{4}\.\w+$", name)
    }
    if not faces:
        raise DataError(f"{folder} holds no images named like Person_Name_0001.jpg")
    labelled = _table(folder) or _lists(trees)
    if labelled:
        return _by_gender(folder, trees, faces, labelled)
    return _by_person(trees, faces)


def _person(stem: str) -> str:
    return stem.rpartition("_")[0]


def _by_gender(
    folder: Path,
    trees: list[Tree],
    faces: dict[str, tuple[int, str]],
    labelled: dict[str, tuple[str, str]],
) -> Listing:
    stems = sorted(faces.keys() & labelled.keys())
    if not stems:
        raise DataError(f"the gender labels of {folder} name none of its {len(faces)} images")
    labels = np.array([GENDERS.index(labelled[stem][0]) for stem in stems], np.int64)
    groups = tuple(_person(stem) for stem in stems)
    splits = [labelled[stem][1] for stem in stems]
    official = all(split in SPLITS for split in splits)
    return Listing(
        name="lfw",
        classes=GENDERS,
        sources=tuple(tree.source for tree in trees),
        source_of=np.array([faces[stem][0] for stem in stems], np.uint8),
        members=tuple(faces[stem][1] for stem in stems),
        labels=labels,
        splits=np.array([SPLITS.index(split) for split in splits], np.uint8)
        if official
        else draw_split(labels, groups=groups),
        groups=groups,
        official=official,
        absent=tuple(sorted(labelled.keys() - faces.keys())),
        unlabelled=tuple(faces[stem][1] for stem in sorted(faces.keys() - labelled.keys())),
    )


def _by_person(trees: list[Tree], faces: dict[str, tuple[int, str]]) -> Listing:
    often = Counter(_person(stem) for stem in faces)
    people = sorted(name for name, count in often.items() if count >= ENOUGH)
    if len(people) < 2:
        raise DataError(
            f"{trees[0].source} has no gender labels, and fewer than two people have {ENOUGH} "
            "images; put labels.csv or male_names.txt and female_names.txt there"
        )
    code = {name: label for label, name in enumerate(people)}
    stems = sorted(stem for stem in faces if _person(stem) in code)
    labels = np.array([code[_person(stem)] for stem in stems], np.int64)
    return Listing(
        name="lfw",
        classes=tuple(name.replace("_", " ") for name in people),
        sources=tuple(tree.source for tree in trees),
        source_of=np.array([faces[stem][0] for stem in stems], np.uint8),
        members=tuple(faces[stem][1] for stem in stems),
        labels=labels,
        splits=draw_split(labels),
        notes=(f"only the {len(people)} people with {ENOUGH} or more images",),
    )


def _table(folder: Path) -> dict[str, tuple[str, str]]:
    """Read labels.csv into {stem: (gender, split or "")}; empty when there is none."""
    path = next((p for p in (folder / "labels.csv", folder / "lfw/labels.csv") if p.exists()), None)
    if path is None:
        return {}
    rows = csv.DictReader(text(path).splitlines())
    if not {"path", "gender"} <= set(rows.fieldnames or ()):
        raise DataError(f"{path} needs the columns path and gender, has {rows.fieldnames}")
    told = {}
    for row in rows:
        if row["gender"] not in GENDERS:
            raise DataError(
                f"{path} line {rows.line_num}: gender {row['gender']!r}, not in {GENDERS}"
            )
        told[PurePosixPath(row["path"]).stem] = (row["gender"], row.get("split") or "")
    return told


def _lists(trees: list[Tree]) -> dict[str, tuple[str, str]]:
    """Read the two lists into {stem: (gender, "")}; a name on both is left out."""
    held: dict[str, set[str]] = {}
    for gender in GENDERS:
        for tree in trees:
            for name in tree.names:
                if PurePosixPath(name).name == f"{gender}_names.txt":
                    held.setdefault(gender, set()).update(
                        line.strip().removesuffix(".jpg") for line in tree.text(name).splitlines()
                    )
    if len(held) < len(GENDERS):
        return {}
    both = held["female"] & held["male"]
    return {stem: (gender, "") for gender in GENDERS for stem in held[gender] - both - {""}}
