"""What data.yaml and obj.data state is believed: the split, and what the numbers mean."""

import numpy as np
import pytest

from tests.data.formats.sets import image, whats, yolo
from vislab.data.annotations import require_sound
from vislab.data.formats.yolo import read, recognises
from vislab.errors import DataError

BOX = "0 .5 .5 .5 .5"


def flat(root, count=6):
    for number in range(count):
        yolo(root, [BOX], f"{number}")
    return root


def splits(annotated):
    names = [member.rsplit("/", 1)[1].removesuffix(".png") for member in annotated.members]
    of = dict(zip(names, annotated.splits.tolist(), strict=True))
    return ["".join(sorted(name for name in names if of[name] == split)) for split in range(3)]


def told(root, text, file="data.yaml"):
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


@pytest.mark.parametrize(
    ("yaml", "prefix"),
    [
        ("path: .\ntrain: train.txt\nval: val.txt\n", "./images/"),
        ("train: [train.txt]\nval: [val.txt]\n", "images/"),
        ("path: ../datasets/own\ntrain: train.txt\nval: val.txt\n", "datasets/own/images/"),
        ("train: /home/me/own/train.txt\nval: /home/me/own/val.txt\n", "own/images/"),
        ("path: /home/me/own\ntrain: train.txt\nvalid: val.txt\n", ""),
    ],
)
def test_texts_that_list_images_state_the_split(tmp_path, yaml, prefix):
    flat(tmp_path, 7)
    told(tmp_path, yaml + "names: [a]\n")
    (tmp_path / "train.txt").write_text("".join(f"{prefix}{n}.png\n" for n in "0134"))
    (tmp_path / "val.txt").write_text("".join(f"{prefix}{n}.png\n" for n in "256"))
    annotated = read(tmp_path)
    assert annotated.doubts == annotated.issues == ()
    assert annotated.official
    assert splits(annotated) == ["0134", "", "256"]


def test_folders_may_have_any_names_and_be_several(tmp_path):
    for stem, folder in (("0", "north"), ("1", "south"), ("2", "east")):
        yolo(tmp_path, [BOX], stem, folder)
    told(tmp_path, "train: [images/north, images/south]\nval: images/east/\nnames: [a]\n")
    assert splits(read(tmp_path)) == ["01", "", "2"]


def test_darknets_keys_count_and_not_the_names_of_its_lists(tmp_path):
    for number in range(4):
        image(tmp_path / "data" / "obj" / f"{number}.png")
        (tmp_path / "data" / "obj" / f"{number}.txt").write_text("1 .5 .5 .5 .5\n")
    lines = "classes = 2\ntrain = data/a.txt\nvalid = data/test.txt\nnames = data/own_names.txt\n"
    told(tmp_path, lines, "data/obj.data")
    (tmp_path / "data" / "a.txt").write_text("data/obj/0.png\ndata/obj/2.png\n")
    (tmp_path / "data" / "test.txt").write_text("data/obj/1.png\ndata/obj/3.png\n")
    (tmp_path / "data" / "own_names.txt").write_text("cat\ndog\n")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    annotated = read(tmp_path)
    assert annotated.doubts == ()
    assert splits(annotated) == ["02", "", "13"]
    assert annotated.classes == ("cat", "dog")


def test_what_is_in_no_list_is_left_out_and_counted(tmp_path):
    flat(tmp_path)
    told(tmp_path, "train: train.txt\nval: val.txt\nnames: [a]\n")
    (tmp_path / "train.txt").write_text("images/0.png\nimages/1.png\nimages/nowhere.png\n")
    (tmp_path / "val.txt").write_text("images/2.png\n")
    annotated = read(tmp_path)
    assert splits(annotated) == ["01", "", "2"]
    note = "3 images that train.txt, val.txt put in no split were left out"
    assert note in annotated.notes
    assert [issue.where for issue in annotated.issues] == ["train.txt, line 3"]


def test_a_split_the_file_does_not_state_is_that_of_its_folder(tmp_path):
    for stem, side in (("0", "train"), ("1", "val"), ("2", "test")):
        yolo(tmp_path, [BOX], stem, side)
    told(tmp_path, "train: images/train\nval: images/val\nnames: [a]\n")
    assert splits(read(tmp_path)) == ["0", "1", "2"]


def test_places_that_are_not_there_leave_the_folders_names(tmp_path):
    for stem, side in (("0", "train"), ("1", "val")):
        yolo(tmp_path, [BOX], stem, side)
    told(tmp_path, "train: /other/a\nval: /other/b\nnames: [a]\n")
    annotated = read(tmp_path)
    assert splits(annotated) == ["0", "", "1"]
    assert any("named and not there: data.yaml, train: '/other/a'" in n for n in annotated.notes)


@pytest.mark.parametrize(
    ("yaml", "what"),
    [
        ("train: images/val\nval: images/train\n", "data.yaml and the names of folders disagree"),
        ("train: images\nval: images\n", "2 images are in two splits"),
        ("train: images/train\nval: [images/val, images/train]\n", "1 images are in two splits"),
    ],
)
def test_statements_that_cannot_be_are_doubts(tmp_path, yaml, what):
    for stem, side in (("0", "train"), ("1", "val")):
        yolo(tmp_path, [BOX], stem, side)
    told(tmp_path, yaml + "names: [a]\n")
    annotated = read(tmp_path)
    assert any(doubt.startswith(what) for doubt in annotated.doubts)
    for skip_bad in (True, False):
        with pytest.raises(DataError, match=str(tmp_path)):
            require_sound(annotated, skip_bad=skip_bad)


def test_val_may_be_called_test_where_there_is_one_of_them(tmp_path):
    for stem, side in (("0", "train"), ("1", "test")):
        yolo(tmp_path, [BOX], stem, side)
    told(tmp_path, "train: ../train/images\nval: images/test\nnames: [a]\n")
    annotated = read(tmp_path)
    assert annotated.doubts == ()
    assert splits(annotated) == ["0", "", "1"]


def test_lists_beside_the_images_count_where_nothing_else_does(tmp_path):
    flat(tmp_path, 3)
    (tmp_path / "train_list.txt").write_text("0.png\n1.png\n")
    (tmp_path / "val.txt").write_text("images/2\n")
    assert splits(read(tmp_path)) == ["01", "", "2"]


@pytest.mark.parametrize(
    "content",
    [
        "names: [weed, crop]\n".encode("utf-8-sig"),
        "names:\r\n- weed\r\n- crop\r\n".encode("utf-16"),
        "names:\n- weed\n- crop\n".encode("utf-16-le"),
        b"names : [weed, crop]\n",
        b"'names': [weed, crop]\n",
        b'{\n\t"nc": 2,\n\t"names": {"0": "weed", "1": "crop"}\n}\n',
        b"Names: {1: crop, 0: weed}\n",
    ],
)
def test_names_are_read_however_they_are_written(tmp_path, content):
    yolo(tmp_path, ["1 .5 .5 .5 .5"])
    (tmp_path / "own.yaml").write_bytes(content)
    annotated = read(tmp_path)
    assert annotated.doubts == annotated.issues == ()
    assert annotated.classes == ("weed", "crop")
    assert annotated.instances.label.tolist() == [1]


def test_names_in_another_encoding_are_refused_with_the_line(tmp_path):
    yolo(tmp_path, [BOX])
    (tmp_path / "data.yaml").write_bytes("names:\n- кошка\n".encode("cp1251"))
    with pytest.raises(DataError, match=r"data\.yaml, line 2: byte 0xea"):
        read(tmp_path)


def test_a_count_that_is_not_that_of_the_names_is_a_doubt(tmp_path):
    yolo(tmp_path, [BOX])
    told(tmp_path, "nc: 3\nnames: [a, b]\n")
    assert read(tmp_path).doubts == (
        "data.yaml says 3 classes and 2 are named; mend the one that is wrong",
    )


@pytest.mark.parametrize(("numbers", "doubtful"), [("123", True), ("12", False), ("023", False)])
def test_numbers_from_one_to_the_last_are_a_doubt_and_no_unknown_class(tmp_path, numbers, doubtful):
    for stem in numbers:
        yolo(tmp_path, [f"{stem} .5 .5 .5 .5"], stem)
    told(tmp_path, "names: [apple, pear, plum]\n")
    annotated = read(tmp_path)
    assert any("class numbers go from 1 to 3" in doubt for doubt in annotated.doubts) == doubtful
    if doubtful:
        assert annotated.issues == ()
        with pytest.raises(DataError, match="subtract 1 from each") as error:
            require_sound(annotated, skip_bad=True)
        assert "--skip-bad" not in str(error.value)
    assert any("written from 1" in note for note in annotated.notes) == (numbers == "12")


def test_tables_of_numbers_and_settings_of_programs_are_passed_over(tmp_path):
    yolo(tmp_path, [BOX])
    (tmp_path / "iris.data").write_bytes(b"5.1,3.5\xe9\n")
    (tmp_path / "model.yaml").write_text("nc: 80\nbackbone: [1, 2\n")
    assert recognises(tmp_path)
    assert read(tmp_path).classes == ("class 0",)


def test_forty_thousand_names_are_read_in_a_moment(tmp_path):
    yolo(tmp_path, [f"{number} .5 .5 .5 .{number}" for number in (1, 39999)])
    told(tmp_path, "names:\n" + "".join(f"  {n}: class {n}\n" for n in range(40_000)))
    annotated = read(tmp_path)
    assert len(annotated.classes) == 40_000
    np.testing.assert_array_equal(annotated.instances.label, [1, 39999])
    assert whats(annotated) == []


def test_two_sets_in_one_folder_are_each_read_by_their_own_file(tmp_path):
    for kind, name in enumerate(("one", "two")):
        for side in ("train", "valid"):
            place = tmp_path / name / side
            image(place / "images" / f"{kind}{side}.png")
            (place / "labels").mkdir()
            (place / "labels" / f"{kind}{side}.txt").write_text(BOX + "\n")
        text = f"train: ../train/images\nval: ../valid/images\nnames: [{name}]\n"
        told(tmp_path, text, f"{name}/data.yaml")
    annotated = read(tmp_path)
    assert annotated.doubts == annotated.issues == ()
    assert annotated.classes == ("one", "two")
    found = sorted(zip(annotated.members, annotated.splits.tolist(), strict=True))
    assert [split for _, split in found] == [0, 2, 0, 2]
    assert annotated.instances.label[annotated.instances.image.argsort()].tolist() == [0, 0, 1, 1]
