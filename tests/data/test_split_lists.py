"""Lists that state a split, and statements that contradict one another."""

import pytest

from tests.data.formats.sets import image
from vislab.data.split_lists import contradiction, folders_say, split_lists
from vislab.data.tree import Tree


def test_a_statement_with_one_split_alone_contradicts_nothing():
    assert contradiction({"a": 0, "b": 2}, {"a": 1, "b": 1}, "x", "y") is None


@pytest.mark.parametrize(("word", "other"), [(1, 2), (2, 1)])
def test_val_and_test_mean_the_same_where_there_is_one_of_them(word, other):
    assert contradiction({"a": 0, "b": word}, {"a": 0, "b": other}, "x", "y") is None
    three = {"a": 0, "b": 1, "c": 2}
    assert contradiction(three, {"a": 0, "b": word, "c": word}, "x", "y") is None
    told = contradiction(three, {"a": 0, "b": 2, "c": 1}, "x", "y")
    assert told is not None
    assert told.startswith("x and y disagree on the split of 2 images (first: b: val and test)")


def test_an_image_to_learn_from_and_to_test_on_is_a_contradiction():
    told = contradiction({"a": 0, "b": 2, "c": 0}, {"a": 2, "b": 0, "c": 0}, "x", "y")
    assert told is not None
    assert "2 images (first: a: train and test)" in told


def test_a_folder_called_trainval_does_not_say_which_of_the_two():
    told = [
        "VOC/trainval/a.jpg",
        "VOC/trainval2012/b.jpg",
        "train/c.jpg",
        "x/test_1/d.jpg",
        "e.jpg",
    ]
    assert folders_say(told) == {"train/c.jpg": 0, "x/test_1/d.jpg": 2}


def test_lists_with_more_in_their_names_count_and_labels_of_images_do_not(tmp_path):
    for stem in ("0", "1", "train_2"):
        image(tmp_path / f"{stem}.png")
    (tmp_path / "images_train.txt").write_text("0.png\n")
    (tmp_path / "val-list.lst").write_text("1.png\n")
    (tmp_path / "train_2.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    stated = split_lists(Tree(tmp_path))
    assert stated.splits == {"0.png": 0, "1.png": 1}
    assert stated.lists == ["images_train.txt", "val-list.lst"]
