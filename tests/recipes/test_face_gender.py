import numpy as np
import pytest

from tests.recipes.people import people
from tests.recipes.smoke import smoked
from vislab import data
from vislab.errors import DataError, OptionError
from vislab.recipes.face_gender import by_class
from vislab.tasks.classify import Classified

SIZE = 16


def run(tmp_path, **changed):
    folder = people(tmp_path / "people")
    return smoked("face-gender", tmp_path / "run", data=str(folder), size=SIZE, **changed)


def test_the_numbers_that_an_accuracy_hides_stand_beside_it(tmp_path):
    found = run(tmp_path, networks=("compact",)).result.metrics
    for split in ("image", "person"):
        name = f"compact, by {split}"
        errors = [found[f"{name}: error, {who}"] for who in ("female", "male")]
        assert found[f"{name}: balanced accuracy"] == pytest.approx(1 - np.mean(errors))
        assert 0.5 <= found[f"{name}: majority level"] < 1
        assert found[f"{name}: parameters"] == 84_786
    lost = found["compact, by image/test/accuracy"] - found["compact, by person/test/accuracy"]
    assert found["compact: accuracy lost on people not met"] == pytest.approx(lost)


def test_no_person_is_in_two_splits_of_the_split_by_person_and_some_are_otherwise(tmp_path):
    folder = str(people(tmp_path / "people"))
    for split, shared in (("by group", False), ("by image", True)):
        images = data.images(folder, size=SIZE, split=split, validation=0.1)
        who = np.asarray(images.groups)
        splits = {
            subset: set(who[images.split(subset).rows]) for subset in ("train", "val", "test")
        }
        assert bool(splits["train"] & splits["test"]) is shared
        assert sum(len(images.split(subset)) for subset in splits) == 60
        if not shared:
            assert not splits["train"] & splits["val"]


def test_a_network_over_the_budget_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"84,786 parameters, over the budget of 80,000"):
        run(tmp_path, budget=80_000)


def test_without_people_the_split_by_image_is_still_measured(tmp_path):
    result = smoked("face-gender", tmp_path / "run", size=SIZE, networks=("compact",)).result
    assert "compact, by image/test/accuracy" in result.metrics
    assert any(note.startswith("Not split by person") for note in result.notes)
    assert any("do not use it on people" in note for note in result.notes)


def test_without_people_the_split_by_person_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match="no groups"):
        smoked("face-gender", tmp_path / "run", size=SIZE, splits=("person",))


def test_errors_by_class_by_hand():
    predicted, labels = np.array([0, 0, 1, 2, 2]), np.array([0, 0, 0, 2, 1])
    outcome = Classified("accuracy", {"accuracy": predicted == labels}, {"labels": labels}, count=5)
    assert by_class(outcome, 4).tolist() == pytest.approx([1 / 3, 1.0, 0.0, 0.0])
