import json

import pytest

from vislab.data.formats.mask_class_lists import class_list
from vislab.data.tree import Tree
from vislab.errors import DataError

SKY, ROAD = 0x8080FF, 0x804080


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("classes.csv", "name,r,g,b\nsky,128,128,255\nroad,128,64,128\n"),
        ("class_dict.csv", "name, r, g, b\nsky, 128, 128, 255\nroad, 128, 64, 128\n"),
        ("palette.csv", "Label;Red;Green;Blue\nsky;128;128;255\nroad;128;64;128\n"),
        ("colors.tsv", "r\tg\tb\tclass\n128\t128\t255\tsky\n128\t64\t128\troad\n"),
        ("legend.csv", "class,hex\nsky,#8080ff\nroad,804080\n"),
        ("legend.csv", 'class,color\nsky,"(128, 128, 255)"\nroad,"128 64 128"\n'),
        ("label_colors.txt", "128 128 255\tsky\n128 64 128\t\troad\n"),
        ("classes.txt", "sky 128 128 255\nroad 128 64 128\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:128,128,255::\nroad:128,64,128::\n"),
        ("classes.json", '[{"name": "sky", "color": [128, 128, 255]}, {"name": "road", "color": '
         '"#804080"}]'),
        ("classes.json", '{"classes": [{"title": "sky", "color": "#8080FF"}, {"title": "road", '
         '"color": "#804080"}]}'),
        ("colors.json", '{"sky": [128, 128, 255], "road": [128, 64, 128]}'),
    ],
)  # fmt: skip
def test_lists_of_colours_are_read_as_people_write_them(tmp_path, file, content):
    (tmp_path / file).write_text(content)
    found = class_list(Tree(tmp_path))
    assert found.names == ("sky", "road")
    assert found.colours == (SKY, ROAD)
    assert found.table() == ({SKY: 1, ROAD: 2}, ("background", "sky", "road"))


@pytest.mark.parametrize("background", ["background", "Void"])
def test_the_background_comes_first_wherever_it_is_listed(tmp_path, background):
    (tmp_path / "classes.csv").write_text(f"name,r,g,b\nsky,0,0,0\n{background},9,9,9\n")
    assert class_list(Tree(tmp_path)).table() == ({0x090909: 0, 0: 1}, (background, "sky"))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("labels.csv", "id,label\n1,cat\n2,dog\n3,cat\n"),
        ("people.csv", "name,id\nann,3\nbob,4\n"),
        ("meta.json", json.dumps({"images": [{"name": "a", "width": 3}]})),
        ("notes.txt", "taken at 3 4 5 o'clock"),
        ("train.txt", "1\n2\n"),
    ],
)
def test_other_tables_are_no_lists_of_classes(tmp_path, file, content):
    (tmp_path / file).write_text(content)
    assert class_list(Tree(tmp_path)) is None


def test_lists_that_disagree_are_refused_naming_both(tmp_path):
    for folder, names in (("test", "weed\ncrop\n"), ("train", "crop\nweed\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "classes.txt").write_text(f"background\n{names}")
    with pytest.raises(
        DataError, match=r"test/classes\.txt and .*train/classes\.txt disagree: class 1 is 'weed'"
    ):
        class_list(Tree(tmp_path))


def test_lists_that_agree_are_one(tmp_path):
    for folder, head in (("test", "background\n"), ("train", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "classes.txt").write_text(f"{head}crop\nweed\n")
    assert class_list(Tree(tmp_path)).classes == ("background", "crop", "weed")


def test_two_tables_of_colours_that_disagree_are_refused(tmp_path):
    (tmp_path / "a_classes.csv").write_text("name,r,g,b\ncrop,1,2,3\n")
    (tmp_path / "b_classes.csv").write_text("name,r,g,b\ncrop,1,2,4\n")
    with pytest.raises(DataError, match=r"a_classes\.csv and .*b_classes\.csv say differ"):
        class_list(Tree(tmp_path))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("name,r,g,b\nsky,1,2,300\n", "1, 2, 300 is no colour"),
        ("name,r,g,b\nsky,1,2,x\n", "1, 2, x is no colour"),
        ("name,r,g,b\nsky,1,2,3\nsea,1,2,3\n", "gives 'sky' and 'sea' one colour"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path, content, what):
    (tmp_path / "classes.csv").write_text(content)
    with pytest.raises(DataError, match=what):
        class_list(Tree(tmp_path))
