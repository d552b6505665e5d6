"""Pets: two lists, and the breed in the name."""

import pytest

from tests.data.loaders.small_sets import put, rows
from vislab.data.loaders import pets
from vislab.errors import DataError


def oxford_pets(folder, trainval="Abyssinian_100 1 1 1\nwheaten_terrier_7 2 2 1\n"):
    put(
        folder,
        "images/Abyssinian_100.jpg",
        "images/Abyssinian_2.jpg",
        "images/wheaten_terrier_7.jpg",
        "images/Abyssinian_34.mat",
    )
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations/trainval.txt").write_text(
        "#Image CLASS-ID SPECIES BREED ID\n" + trainval
    )
    (folder / "annotations/test.txt").write_text("Abyssinian_2 1 1 1\n")


@pytest.mark.parametrize("deeper", ["", "oxford-iiit-pet"])
def test_pets_are_named_by_breed(tmp_path, deeper):
    oxford_pets(tmp_path / deeper)
    assert rows(pets.listing(tmp_path)) == {
        "Abyssinian_100.jpg": ("Abyssinian", "train"),
        "wheaten_terrier_7.jpg": ("wheaten terrier", "train"),
        "Abyssinian_2.jpg": ("Abyssinian", "test"),
    }


@pytest.mark.parametrize(
    ("trainval", "why"),
    [
        ("Abyssinian_100 one 1 1\n", "cannot read 'Abyssinian_100 one 1 1'"),
        ("Abyssinian_100\n", "cannot read"),
        ("Abyssinian_100 1 1 1\nwheaten_terrier_7 1 2 1\n", "calls breed 1 both"),
        ("Abyssinian_100 1 1 1\nwheaten_terrier_7 3 2 1\n", "skip a breed"),
        ("Abyssinian_9 1 1 1\n", r"lacks 1 images, the first is images/Abyssinian_9\.jpg"),
    ],
)
def test_pet_lists_that_make_no_sense_are_refused(tmp_path, trainval, why):
    oxford_pets(tmp_path, trainval)
    with pytest.raises(DataError, match=why):
        pets.listing(tmp_path)
