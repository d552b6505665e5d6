"""The door to all readers: the one a card names, under the card's names."""

import pytest

from tests.data.loaders.small_sets import put, zipped
from vislab.data import catalogue, loaders
from vislab.errors import DataError, UnknownName


def test_a_set_with_other_classes_than_its_card_is_refused(tmp_path):
    put(tmp_path / "set", "cat/1.jpg", "dog/1.jpg")
    zipped(tmp_path / "set", tmp_path / "set.zip")
    card = catalogue.card("eurosat")
    assert loaders.read(card, tmp_path).name == "eurosat"
    named = catalogue.Card(**{**vars(card), "class_names": ("a", "b", "c")})
    with pytest.raises(DataError, match="holds 2 classes, eurosat has 3"):
        loaders.read(named, tmp_path)


def test_a_set_without_a_reader_is_an_unknown_name(tmp_path):
    with pytest.raises(UnknownName, match="no reader of image sets is named ''"):
        loaders.read(catalogue.card("coco"), tmp_path)
