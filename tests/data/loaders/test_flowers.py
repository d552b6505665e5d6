"""Flowers: labels and split in MATLAB files, both counting from one."""

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.loaders.small_sets import put, rows
from vislab.data.loaders import flowers
from vislab.errors import DataError


def oxford_flowers(folder, *, ids=((3, 1), (5,), (2, 4))):
    put(folder, *(f"jpg/image_{number:05d}.jpg" for number in range(1, 6)))
    savemat(folder / "imagelabels.mat", {"labels": np.array([[77, 1, 102, 1, 51]], np.uint8)})
    train, val, test = (np.array([numbers], np.uint16) for numbers in ids)
    savemat(folder / "setid.mat", {"trnid": train, "valid": val, "tstid": test})


@pytest.mark.parametrize("deeper", ["", "flowers-102"])
def test_flowers_follow_the_official_split_and_count_from_one(tmp_path, deeper):
    oxford_flowers(tmp_path / deeper)
    read = flowers.listing(tmp_path)
    assert rows(read) == {
        "image_00003.jpg": ("blackberry lily", "train"),
        "image_00001.jpg": ("passion flower", "train"),
        "image_00005.jpg": ("petunia", "val"),
        "image_00002.jpg": ("pink primrose", "test"),
        "image_00004.jpg": ("pink primrose", "test"),
    }
    assert read.official


def test_flowers_that_do_not_fit_their_lists_are_refused(tmp_path):
    oxford_flowers(tmp_path, ids=((3, 1), (6,), (2, 4)))
    with pytest.raises(DataError, match=r"setid\.mat does not fit the 5 labels"):
        flowers.listing(tmp_path)
    oxford_flowers(tmp_path, ids=((3, 1), (1,), (2, 4)))  # one image in two splits
    with pytest.raises(DataError, match=r"setid\.mat does not fit"):
        flowers.listing(tmp_path)
    oxford_flowers(tmp_path)
    (tmp_path / "jpg/image_00004.jpg").unlink()
    with pytest.raises(DataError, match=r"lacks 1 images, the first is jpg/image_00004\.jpg"):
        flowers.listing(tmp_path)
    savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[77, 1, 103, 1, 51]], np.uint8)})
    with pytest.raises(DataError, match="a label outside 1 to 102"):
        flowers.listing(tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 60, 150])
def test_a_damaged_matlab_file_is_named(tmp_path, keep):
    oxford_flowers(tmp_path)
    held = (tmp_path / "setid.mat").read_bytes()
    (tmp_path / "setid.mat").write_bytes(held[:keep])
    with pytest.raises(DataError, match=r"setid\.mat (is damaged|should hold)"):
        flowers.listing(tmp_path)
