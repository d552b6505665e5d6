"""What a set's masks are read by is part of what its kept masks are made from."""

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.sets import image, mask
from vislab.data.annotated_images import annotated
from vislab.data.mask_reading import MaskReading


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path / "home"))


def square(left, value=255):
    content = np.zeros((32, 32), dtype=np.uint8)
    content[8:24, left : left + 8] = value
    return content


def kept(root):
    table = annotated(str(root), wanted="masks", size=32)
    return np.array(table.columns["masks"].pixels)[..., 0], table.classes


def test_a_change_in_the_second_file_of_an_object_changes_the_kept_masks(tmp_path):
    root = tmp_path / "cells"
    for number in range(4):
        image(root / f"images/{number}.png", (32, 32))
        for part in range(2):
            mask(root / f"masks/{number}_{part}.png", square(16 * part))
    before, _ = kept(root)
    np.testing.assert_array_equal(before[2], (square(0) | square(16)) // 255)
    Image.fromarray(square(20)).save(root / "masks/2_1.png", compress_level=0)
    after, _ = kept(root)
    np.testing.assert_array_equal(after[2], (square(0) | square(20)) // 255)
    np.testing.assert_array_equal(after[1], before[1])


def test_another_list_of_colours_changes_the_kept_masks(tmp_path):
    root = tmp_path / "fields"
    for number in range(4):
        image(root / f"images/{number}.png", (32, 32))
        colours = np.stack([square(4, 90), square(4, 20), square(20, 70)], axis=-1)
        mask(root / f"masks/{number}.png", colours)
    list_file = root / "classes.csv"
    list_file.write_text("name,r,g,b\nsoil,0,0,0\ncrop,90,20,0\nweed,0,0,70\n")
    before, classes = kept(root)
    assert classes == ("soil", "crop", "weed")
    np.testing.assert_array_equal(before[0], square(4, 1) + square(20, 2))
    list_file.write_text("name,r,g,b\nsoil,0,0,0\ncrop,0,0,70\nweed,90,20,0\n")
    after, classes = kept(root)
    assert classes == ("soil", "crop", "weed")
    np.testing.assert_array_equal(after[0], square(4, 2) + square(20, 1))


def test_a_mask_without_further_objects_is_one_file():
    reading = MaskReading(parts={"a.png": ("b.png", "c.png")})
    assert reading.files("a.png") == ("a.png", "b.png", "c.png")
    assert reading.files("d.png") == ("d.png",)
