import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.sets import image, mask, whats
from vislab.data.formats import read_annotated
from vislab.data.formats.mask_folders import nearly_masks, read, recognises
from vislab.data.mask_rendering import mask_of
from vislab.data.tree import Tree
from vislab.errors import DataError

HEIGHT, WIDTH = 30, 40


def spot(left, value=255):
    content = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    content[5:15, left : left + 8] = value
    return content


def pairs_of(annotated):
    return dict(zip(annotated.members, annotated.masks, strict=True))


@pytest.mark.parametrize(
    ("picture", "truth"),
    [
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("leftImg8bit/train/a/{}_leftImg8bit.png", "gtFine/train/a/{}_gtFine_labelIds.png"),
        ("CameraRGB/{}.png", "CameraSeg/{}.png"),
        ("imagesTr/{}.tif", "labelsTr/{}.png"),
        ("training/image_2/{}.png", "training/semantic/{}.png"),
        ("Original/{}.jpg", "Ground_Truth/{}.png"),
        ("images/{}.tif", "manual1/{}.gif"),
        ("images/{}_training.tif", "1st_manual/{}_manual1.gif"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("images/img_{}.jpg", "masks/mask_{}.png"),
        ("images/image{}.jpg", "labels/label{}.png"),
        ("images/{}.png", "labels/{}_L.png"),
        ("img_dir/train/{}.jpg", "ann_dir/train/{}.png"),
        ("images/{}.jpg", "masks/{}.jpg"),
        ("images/{}.jpg", "masks/{}.bmp"),
    ],
)
def test_names_that_sets_come_with_are_paired(tmp_path, picture, truth):
    for number in ("07", "11", "12"):
        image(tmp_path / picture.format(number))
        mask(tmp_path / truth.format(number), spot(int(number)))
    assert recognises(tmp_path)
    annotated = read(tmp_path)
    assert whats(annotated) == []
    assert pairs_of(annotated) == {picture.format(n): truth.format(n) for n in ("07", "11", "12")}
    np.testing.assert_array_equal(mask_of(annotated, 1), spot(11) // 255)


@pytest.mark.parametrize(
    ("picture", "truth"),
    [
        ("x/{}.png", "y/{}.png"),
        ("RawFrames/{}.jpg", "Colormaps/{}.png"),
        ("x_train/{}.png", "y_train/{}.png"),
        ("scans/a/{}.png", "outlines/a/{}.jpg"),
    ],
)
def test_folders_of_unknown_words_are_paired_by_their_looks(tmp_path, picture, truth):
    for number in range(4):
        image(tmp_path / picture.format(number))
        path = tmp_path / truth.format(number)
        mask(path, spot(5 * number))
    annotated = read(tmp_path)
    assert pairs_of(annotated) == {picture.format(n): truth.format(n) for n in range(4)}
    np.testing.assert_array_equal(mask_of(annotated, 3), spot(15) // 255)
    with zipfile.ZipFile(tmp_path.parent / f"{tmp_path.name}.zip", "w") as archive:
        for file in tmp_path.rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path))
    assert recognises(tmp_path.parent / f"{tmp_path.name}.zip")


@pytest.mark.parametrize("drawn", [(False, False), (True, True)])
@pytest.mark.parametrize("names", [("x", "y"), ("cat", "dog"), ("a", "b", "c")])
def test_class_folders_of_equal_names_are_not_paired_by_looks(tmp_path, names, drawn):
    for place, name in enumerate(names):
        for number in range(4):
            path = tmp_path / name / f"{number}.png"
            if drawn[place % 2]:
                mask(path, spot(number))
            else:
                image(path)
    assert not recognises(tmp_path)
    assert nearly_masks(Tree(tmp_path)) is None


def test_masks_of_another_size_than_their_images_are_not_paired_by_looks(tmp_path):
    for number in range(4):
        image(tmp_path / f"x/{number}.png", (20, 20))
        mask(tmp_path / f"y/{number}.png", spot(number))
    assert not recognises(tmp_path)


def test_one_kind_of_mask_is_read_and_the_others_are_told(tmp_path):
    for number in range(3):
        stem = f"town_{number}_gtFine"
        image(tmp_path / f"leftImg8bit/val/town/town_{number}_leftImg8bit.png")
        folder = tmp_path / "gtFine/val/town"
        mask(folder / f"{stem}_labelIds.png", spot(3, 7))
        mask(folder / f"{stem}_labelTrainIds.png", spot(3, 1))
        mask(folder / f"{stem}_instanceIds.png", spot(3, 2))
        mask(folder / f"{stem}_color.png", np.stack([spot(3, 9)] * 3, axis=-1))
    annotated = read(tmp_path)
    assert {file.rsplit("_", 1)[-1] for file in annotated.masks} == {"labelIds.png"}
    assert len(annotated) == 3
    (note,) = [note for note in annotated.notes if "were not read" in note]
    assert note.startswith("9 files such as gtFine/val/town/town_0_gtFine_color.png")


def test_objects_of_voc_are_left_for_its_classes(tmp_path):
    for number in range(3):
        image(tmp_path / f"JPEGImages/{number}.jpg")
        mask(tmp_path / f"SegmentationClass/{number}.png", spot(number, 15))
        mask(tmp_path / f"SegmentationObject/{number}.png", spot(number, 1))
    assert {file.split("/")[0] for file in read(tmp_path).masks} == {"SegmentationClass"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("mask/{}_training_mask.gif", "1st_manual/{}_manual1.gif"),
        ("masks/{}.png", "labels/{}.png"),
        ("masks/{}_manual1.png", "masks/{}_manual2.png"),
    ],
)
def test_two_kinds_of_which_none_comes_first_are_refused(tmp_path, first, second):
    for number in (21, 22, 23):
        image(tmp_path / f"images/{number}_training.tif")
        for truth in (first, second):
            mask(tmp_path / truth.format(number), spot(number))
    with pytest.raises(DataError, match=r"images/21_training\.tif has two masks of different kind"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("picture", "truth"),
    [
        ("train/{0}/images/{0}.png", "train/{0}/masks/{1}f{0}.png"),
        ("images/{0}.jpg", "masks/{0}_{1}.png"),
        ("images/{0}.jpg", "masks/{0}/{1}.png"),
        ("images/{0}.jpg", "masks/{0}_mask_{1}.png"),
        ("a ({0}).png", "a ({0})_mask_{1}.png"),
    ],
)
def test_a_file_for_each_object_is_put_together(tmp_path, picture, truth):
    for name in ("08", "1b"):
        image(tmp_path / picture.format(name))
        for thing in range(3):
            content = spot(9 * thing)
            mask(tmp_path / truth.format(name, thing), content)
    annotated = read(tmp_path)
    assert len(annotated) == 2
    assert whats(annotated) == []
    expected = (spot(0) | spot(9) | spot(18)) // 255
    for row in range(2):
        np.testing.assert_array_equal(mask_of(annotated, row), expected)
    assert "2 images have several masks each" in " ".join(annotated.notes)
    assert len(annotated.mask_reading.files(annotated.masks[0])) == 3


def test_some_images_may_have_one_object_and_some_have_more(tmp_path):
    for number in range(4):
        image(tmp_path / f"a ({number}).png")
        mask(tmp_path / f"a ({number})_mask.png", spot(0))
    mask(tmp_path / "a (2)_mask_1.png", spot(20))
    annotated = read(tmp_path)
    np.testing.assert_array_equal(mask_of(annotated, 2), (spot(0) | spot(20)) // 255)
    np.testing.assert_array_equal(mask_of(annotated, 1), spot(0) // 255)


def test_objects_with_classes_are_refused(tmp_path):
    for number in range(2):
        image(tmp_path / f"images/{number}.jpg")
        for thing in range(3):
            mask(tmp_path / f"masks/{number}_{thing}.png", spot(9 * thing, thing + 1))
    with pytest.raises(DataError, match="a file for each object, and they hold more than"):
        read(tmp_path)


def test_a_numbered_mask_beside_one_of_the_images_name_stays_lone(tmp_path):
    for stem in ("a", "b", "c"):
        image(tmp_path / f"images/{stem}.jpg")
        mask(tmp_path / f"masks/{stem}.png", spot(3))
    mask(tmp_path / "masks/a_1.png", spot(3))
    assert whats(read(tmp_path)) == ["its image is missing"]


def test_objects_of_different_sizes_are_flaws(tmp_path):
    for number in range(2):
        image(tmp_path / f"images/{number}.jpg")
        mask(tmp_path / f"masks/{number}_0.png", spot(0))
        mask(tmp_path / f"masks/{number}_1.png", spot(9)[:20])
    assert len(whats(read(tmp_path))) == 2


# Splits that lists state


def test_lists_of_stems_are_the_split_and_what_is_in_none_is_left_out(tmp_path):
    for number in range(7):
        image(tmp_path / f"images/{number}.jpg")
        mask(tmp_path / f"masks/{number}.png", spot(number))
    for name, stems in {"train": "015", "val": "2", "test": "34"}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(stems))
    annotated = read(tmp_path)
    assert {m[7]: s for m, s in zip(annotated.members, annotated.splits.tolist(), strict=True)} == {
        "0": 0, "1": 0, "5": 0, "2": 1, "3": 2, "4": 2
    }  # fmt: skip
    assert annotated.official
    assert "1 images are in none of the lists and are left out (first: images/6.jpg)" in (
        annotated.notes
    )


def test_vocs_lists_for_segmentation_go_before_those_for_detection(tmp_path):
    for number in range(6):
        image(tmp_path / f"JPEGImages/{number}.jpg")
        if number < 4:
            mask(tmp_path / f"SegmentationClass/{number}.png", spot(number, 15))
    for folder, lists in {
        "Segmentation": {"train": "01", "val": "23", "trainval": "0123"},
        "Main": {"train": "035", "val": "124", "cat_train": "0135"},
    }.items():
        for name, stems in lists.items():
            path = tmp_path / f"ImageSets/{folder}/{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(stems))
    annotated = read(tmp_path)
    assert whats(annotated) == []
    assert annotated.splits.tolist() == [0, 0, 2, 2]  # val is used to test on


# What is nearly a set of masks


def test_what_is_nearly_a_set_of_masks_is_told(tmp_path):
    for number in range(4):
        image(tmp_path / f"images/{number}.jpg")
        mask(tmp_path / f"masks/scan{number}x.png", spot(number))
    assert not recognises(tmp_path)
    told = nearly_masks(Tree(tmp_path))
    assert told.startswith("has images/ and masks/, which look like images and their masks, and 0")


def test_what_is_a_set_of_masks_is_told_too(tmp_path):
    for number in range(3):
        image(tmp_path / f"images/{number}.jpg")
        Image.fromarray(spot(4)).save(tmp_path / f"images/{number}_mask.jpg")
    assert nearly_masks(Tree(tmp_path)) == (
        "holds images and their masks (images/0.jpg, images/0_mask.jpg), for recipes that segment"
    )


@pytest.mark.parametrize("truth", ["masks/{}_{}.png", "masks/{1}/{0}.png"])
def test_a_mask_for_each_class_is_told_by_the_name_of_one(tmp_path, truth):
    for number in range(4):
        image(tmp_path / f"images/{number}.jpg")
        for name in ("crop", "weed"):
            mask(tmp_path / truth.format(number, name), spot(number))
    with pytest.raises(DataError, match=r"masks/.*crop.* belongs to none.*one mask of its name"):
        read_annotated(tmp_path)
