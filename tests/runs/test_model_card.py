"""What `model.json` says, also as an older vislab wrote it."""

import json

import pytest

from vislab.errors import RunError
from vislab.runs.model_card import ModelCard

CARD = ModelCard(
    {"name": "convnet", "classes": 2, "options": {}}, ("a", "b"), 32,
    mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 0.5), answers="numbers", outputs=("x", "y"),
)  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    CARD.write(tmp_path)
    assert ModelCard.read(tmp_path) == CARD
    assert json.loads((tmp_path / "model.json").read_text())["version"] == 2


def test_a_card_without_a_version_is_read_under_the_names_of_today(tmp_path):
    old = {"built_as": None, "classes": ["a"], "size": 8, "mean": [0, 0, 0],
           "deviation": [1, 1, 1], "crop": "face"}  # fmt: skip
    (tmp_path / "model.json").write_text(json.dumps(old))
    card = ModelCard.read(tmp_path)
    assert card.std == (1.0, 1.0, 1.0)
    assert (card.crop, card.answers, card.takes) == ("face", "classes", ("an image",))


def test_a_newer_card_and_a_damaged_one_are_told_in_a_sentence(tmp_path):
    (tmp_path / "model.json").write_text('{"version": 3}')
    with pytest.raises(RunError, match=r"written by a newer vislab"):
        ModelCard.read(tmp_path)
    for content in ("{", '{"size": "large"}', '{"size": 3}'):
        (tmp_path / "model.json").write_text(content)
        with pytest.raises(RunError, match=r"model\.json is damaged"):
            ModelCard.read(tmp_path)
