"""Lists of classes that disagree, that leave gaps, and that each folder has of its own."""

import unicodedata

import pytest

from tests.data.formats.sets import coco, image, instance, voc, voc_object, yolo
from vislab.data.formats.coco import read as read_coco
from vislab.data.formats.voc import read as read_voc
from vislab.data.formats.yolo import read
from vislab.errors import DataError


def beside(root, folder, lines, names, inner=""):
    """Write labels of images, one a class's number, with a list in the folder."""
    for stem, number in lines.items():
        image(root / folder / inner / f"{stem}.png")
        (root / folder / inner / f"{stem}.txt").write_text(f"{number} .5 .5 .5 .5\n")
    (root / folder / "classes.txt").write_text("".join(f"{name}\n" for name in names))


def named(annotated):
    instances = annotated.instances
    return {
        annotated.members[row].rsplit("/", 1)[1][0]: annotated.classes[label]
        for row, label in zip(instances.image.tolist(), instances.label.tolist(), strict=True)
    }


@pytest.mark.parametrize("inner", ["", "labels"])
def test_each_folder_is_read_by_a_list_of_its_own(tmp_path, inner):
    beside(tmp_path, "train", {"a": 0, "b": 1}, ["red", "blue"], inner)
    beside(tmp_path, "valid", {"c": 0, "d": 1, "e": 2}, ["blue", "red", "green"], inner)
    annotated = read(tmp_path)
    assert annotated.doubts == ()
    assert annotated.classes == ("red", "blue", "green")
    assert named(annotated) == {"a": "red", "b": "blue", "c": "blue", "d": "red", "e": "green"}


def test_the_numbers_of_a_list_do_not_reach_into_another(tmp_path):
    beside(tmp_path, "train", {"a": 0, "b": 2}, ["red", "blue"])
    beside(tmp_path, "valid", {"c": 2}, ["blue", "red", "green"])
    annotated = read(tmp_path)
    assert named(annotated) == {"a": "red", "c": "green"}
    assert [issue.where for issue in annotated.issues] == ["train/b.txt, line 1"]


@pytest.mark.parametrize("file", ["classes.txt", "data.yaml", "labels/obj.names", "tool/x.names"])
def test_a_list_that_is_not_a_folders_own_is_a_doubt_that_names_both(tmp_path, file):
    yolo(tmp_path, ["1 .5 .5 .5 .5"])
    (tmp_path / "labels" / "classes.txt").write_text("crop\nweed\n")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("names: [weed, crop]\n" if "yaml" in file else "weed\ncrop\n")
    (doubt,) = read(tmp_path).doubts
    assert file in doubt
    assert "labels/classes.txt" in doubt
    assert "number 0 is " in doubt


def test_a_list_that_another_goes_on_from_agrees_with_it(tmp_path):
    yolo(tmp_path, ["2 .5 .5 .5 .5"])
    (tmp_path / "labels" / "classes.txt").write_text("Crop\nweed\n")
    (tmp_path / "data.yaml").write_text("names: [crop, weed, stone]\n")
    annotated = read(tmp_path)
    assert annotated.doubts == ()
    assert named(annotated) == {"1": "stone"}


def test_an_empty_line_between_names_is_refused_for_numbers_and_passed_over_for_voc(tmp_path):
    yolo(tmp_path, ["1 .5 .5 .5 .5"])
    (tmp_path / "classes.txt").write_text("cat\n\ndog\n\n")
    with pytest.raises(DataError, match=r"classes\.txt, line 2 is empty"):
        read(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ncow\n\n\n")
    assert named(read(tmp_path)) == {"1": "cow"}


def test_letters_composed_in_two_ways_are_one_name(tmp_path):
    other = unicodedata.normalize("NFD", "Käfer")
    beside(tmp_path / "y", "train", {"a": 0}, ["Käfer", "Bär"])
    beside(tmp_path / "y", "valid", {"c": 1}, ["Ameise", other])
    assert named(read(tmp_path / "y")) == {"a": "Käfer", "c": "Käfer"}
    root = voc(tmp_path / "v", instances=voc_object("Käfer") + voc_object(other, (2, 2, 9, 9)))
    assert read_voc(root).classes == ("Käfer",)
    annotated = read_coco(coco(tmp_path / "c", [instance()], categories=("Käfer", other)))
    assert (annotated.classes, annotated.doubts) == (("Käfer",), ())


def test_names_that_differ_in_case_alone_are_a_doubt_in_every_form(tmp_path):
    beside(tmp_path / "y", "data", {"a": 0}, ["Cat", "cat"])
    voc(tmp_path / "v", instances=voc_object("Cat") + voc_object("cat", (2, 2, 9, 9)))
    coco(tmp_path / "c", [instance()], categories=("Cat", "dog", "cat"))
    for annotated in (read(tmp_path / "y"), read_voc(tmp_path / "v"), read_coco(tmp_path / "c")):
        (doubt,) = annotated.doubts
        assert "'Cat' and 'cat' differ in the case of letters only" in doubt
