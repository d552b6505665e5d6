"""Faces: by gender with groups, by person without labels."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.data.loaders.small_sets import put, rows
from vislab.data import catalogue
from vislab.data.listing import Reader
from vislab.data.loaders import lfw
from vislab.errors import DataError


def faces(folder, **people):
    names = [
        f"{name}/{name}_{n:04d}.jpg" for name, count in people.items() for n in range(1, count + 1)
    ]
    put(folder / "lfw", *names)


def test_faces_with_gender_labels_are_grouped_by_person(tmp_path):
    faces(tmp_path, Ann_Lee=2, Bob=1, Cy=1)
    (tmp_path / "labels.csv").write_text(
        "path,person,gender,split\n"
        "images/Ann_Lee/Ann_Lee_0001.jpg,Ann_Lee,female,test\n"
        "images/Ann_Lee/Ann_Lee_0002.jpg,Ann_Lee,female,test\n"
        "images/Bob/Bob_0001.jpg,Bob,male,train\n"
        "images/Gone/Gone_0001.jpg,Gone,male,train\n"
    )
    read = lfw.listing(tmp_path)
    assert rows(read) == {
        "Ann_Lee_0001.jpg": ("female", "test"),
        "Ann_Lee_0002.jpg": ("female", "test"),
        "Bob_0001.jpg": ("male", "train"),
    }
    assert read.groups == ("Ann_Lee", "Ann_Lee", "Bob")
    assert read.official
    assert read.absent == ("Gone_0001",)
    assert read.unlabelled == ("lfw/Cy/Cy_0001.jpg",)


def test_the_published_name_lists_serve_too_and_no_person_is_in_two_splits(tmp_path):
    people = {f"Person_{chr(97 + n)}": 1 + n % 5 for n in range(26)}
    faces(tmp_path, **people)
    stems = [f"{name}_{n:04d}" for name, count in people.items() for n in range(1, count + 1)]
    (tmp_path / "male_names.txt").write_text("\n".join(f"{stem}.jpg" for stem in stems[::3]) + "\n")
    named = [*stems[1::3], *stems[2::3], stems[0]]  # the first is on both lists
    (tmp_path / "female_names.txt").write_text("\n".join(named))
    read = lfw.listing(tmp_path)
    assert len(read) == len(stems) - 1
    assert not read.official
    splits = {}
    for group, split in zip(read.groups, read.splits, strict=True):
        splits.setdefault(group, set()).add(int(split))
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {0, 1, 2}
    assert rows(read)[f"{stems[3]}.jpg"][0] == "male"


def test_faces_without_labels_are_people_with_enough_images(tmp_path):
    faces(tmp_path, Ann_Lee=20, Bob=21, Cy=19)
    read = lfw.listing(tmp_path)
    assert read.classes == ("Ann Lee", "Bob")
    assert Counter(read.labels.tolist()) == {0: 20, 1: 21}
    assert read.groups is None
    assert not read.official
    assert len(set(read.splits.tolist())) == 3
    shutil.rmtree(tmp_path / "lfw/Bob")
    with pytest.raises(DataError, match=r"fewer than two people have 20 images; put labels\.csv"):
        lfw.listing(tmp_path)


def test_a_gender_file_that_makes_no_sense_is_named(tmp_path):
    faces(tmp_path, Bob=1)
    for held, why in (
        ("path,gender\nBob_0001.jpg,Male\n", "line 2: gender 'Male'"),
        ("file,sex\nBob_0001.jpg,male\n", "needs the columns path and gender"),
        ("path,gender\nZoe_0001.jpg,female\n", "name none of its 1 images"),
    ):
        (tmp_path / "labels.csv").write_text(held)
        with pytest.raises(DataError, match=why):
            lfw.listing(tmp_path)
    shutil.rmtree(tmp_path / "lfw")
    with pytest.raises(DataError, match="no images named like"):
        lfw.listing(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif("VISLAB_DATA" not in os.environ, reason="VISLAB_DATA is not set")
def test_the_real_faces_have_their_known_counts(tmp_path):
    given = Path(os.environ["VISLAB_DATA"])
    (tmp_path / "faces.zip").symlink_to(given / "lfw_90x90.zip")
    by_lists = lfw.listing(tmp_path)  # the zip holds the published lists
    (tmp_path / "labels.csv").symlink_to(given / "lfw/labels.csv")
    read = lfw.listing(tmp_path)
    assert len(read) == 13224
    assert len(set(read.groups)) > 5000
    assert read.absent == ()
    share = float((read.labels == read.classes.index("male")).mean())
    assert share == pytest.approx(catalogue.card("lfw").majority, abs=1e-3)
    assert Reader(read.sources).read(int(read.source_of[0]), read.members[0])[:2] == b"\xff\xd8"
    assert abs(len(by_lists) - len(read)) < 20
    assert by_lists.classes == read.classes
