"""ImageNet in class folders."""

import pytest

from tests.data.loaders.small_sets import put, rows
from vislab.data.loaders import imagenet_folders
from vislab.errors import DataError


@pytest.mark.parametrize("place", [".", "ILSVRC/Data/CLS-LOC"])
def test_imagenet_folders_with_and_without_readable_names(tmp_path, place):
    put(
        tmp_path / place,
        "train/n02/n02_5.JPEG",
        "train/n01/n01_9.JPEG",
        "train/n01/n01_1.JPEG",
        "train/n01/.DS_Store",
        "val/n02/ILSVRC2012_val_00000001.JPEG",
    )
    read = imagenet_folders.listing(tmp_path)
    assert list(rows(read).items()) == [
        ("n01_1.JPEG", ("n01", "train")),
        ("n01_9.JPEG", ("n01", "train")),
        ("n02_5.JPEG", ("n02", "train")),
        ("ILSVRC2012_val_00000001.JPEG", ("n02", "test")),
    ]
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca tinca\nn02 goldfish\n")
    assert imagenet_folders.listing(tmp_path).classes == ("tench", "goldfish")


def test_imagenet_unsorted_or_absent_says_which_layout_is_wanted(tmp_path):
    with pytest.raises(DataError, match="should hold train/n01440764"):
        imagenet_folders.listing(tmp_path)
    put(tmp_path, "train/n01/a.JPEG", "val/ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(DataError, match="must be sorted into such folders first"):
        imagenet_folders.listing(tmp_path)
    put(tmp_path, "val/n07/b.JPEG")
    with pytest.raises(DataError, match="has 1 classes not in train: n07"):
        imagenet_folders.listing(tmp_path)
