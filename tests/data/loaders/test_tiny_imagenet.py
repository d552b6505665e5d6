"""Tiny ImageNet, unpacked and from its zip."""

import pytest

from tests.data.loaders.small_sets import put, rows, zipped
from vislab.data.loaders import tiny_imagenet
from vislab.errors import DataError


def stanford_tiny(
    folder, *, annotations="val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n"
):
    top = folder / "tiny-imagenet-200"
    put(
        top,
        "train/n02/images/n02_0.JPEG",
        "train/n01/images/n01_0.JPEG",
        "train/n01/images/n01_1.JPEG",
        "val/images/val_0.JPEG",
        "val/images/val_1.JPEG",
        "test/images/test_0.JPEG",
        "mine/n01/images/n01_2.JPEG",  # not of the set
    )
    (top / "train/n01/n01_boxes.txt").write_text("n01_0.JPEG\t0\t0\t9\t9\n")
    (top / "val/val_annotations.txt").write_text(annotations)
    (top / "wnids.txt").write_text("n02\nn01\n")
    (top / "words.txt").write_text("n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\tlabrador\n")
    return top


@pytest.mark.parametrize("packed", [False, True])
def test_tiny_imagenet_tests_on_the_official_validation_images(tmp_path, packed):
    top = stanford_tiny(tmp_path)
    if packed:
        zipped(top, tmp_path / "tiny-imagenet-200.zip")
    read = tiny_imagenet.listing(tmp_path)
    assert rows(read) == {
        "n01_0.JPEG": ("goldfish", "train"),
        "n01_1.JPEG": ("goldfish", "train"),
        "n02_0.JPEG": ("labrador", "train"),
        "val_0.JPEG": ("labrador", "test"),
        "val_1.JPEG": ("goldfish", "test"),
    }
    assert read.classes == ("labrador", "goldfish")  # in the order of wnids.txt
    assert "official validation images are the test split" in read.notes[0]


@pytest.mark.parametrize("line", ["val_9.JPEG\tn01\t0", "val_0.JPEG\tn09\t0", "nonsense"])
def test_a_tiny_imagenet_annotation_of_nothing_is_refused(tmp_path, line):
    stanford_tiny(tmp_path, annotations=line + "\n")
    with pytest.raises(DataError, match=r"val_annotations\.txt"):
        tiny_imagenet.listing(tmp_path)


def test_tiny_imagenet_that_is_absent_or_no_zip_is_said(tmp_path):
    with pytest.raises(DataError, match=r"holds neither tiny-imagenet-200\.zip"):
        tiny_imagenet.listing(tmp_path)
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(b"PK cut short")
    with pytest.raises(DataError, match="cannot be read"):
        tiny_imagenet.listing(tmp_path)
