"""A table of images: its columns stay aligned, and it says what it has not."""

import numpy as np
import pytest
from PIL import Image

from tests.data.annotated_sets import made
from vislab import data
from vislab.data.augment import Augment
from vislab.data.batches import Batches
from vislab.errors import DataError, OptionError


def labelled(count=12, size=8, classes=3):
    """Return images flat in a grey of their own, labelled in turn."""
    shades = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return data.Table(
        name="made",
        classes=tuple("abc"[:classes]),
        size=size,
        pixels=np.broadcast_to(shades, (count, size, size, 3)),
        splits=np.repeat([0, 1, 2], [count - 4, 2, 2]).astype(np.uint8),
        names=tuple(f"{row}.png" for row in range(count)),
        origin="generated",
        official=True,
        columns={
            "label": data.Labels(np.arange(count) % classes, classes),
            "age": data.Values("age", np.arange(count) / 10),
            "group": data.Names(tuple(f"person {row // 2}" for row in range(count))),
        },
    )


def test_rows_that_are_taken_take_all_that_is_known_of_them_along():
    few = labelled().take(np.array([7, 2, 11]))
    assert few.pixels[:, 0, 0, 0].tolist() == [7, 2, 11]
    assert few.labels.tolist() == [1, 2, 2]
    assert few.columns["age"].values.tolist() == [0.7, 0.2, 1.1]
    assert few.groups == ("person 3", "person 1", "person 5")
    assert few.names == ("7.png", "2.png", "11.png")
    assert len(few.split("train")) == 2


def test_boxes_and_masks_are_taken_along_too():
    whole = made(9, empty=(4,))
    few = whole.take(np.array([5, 4, 2]))
    for here, there in ((0, 5), (1, 4), (2, 2)):
        mine, theirs = few.boxes.instances(here), whole.boxes.instances(there)
        assert few.boxes.xyxy[mine].tolist() == whole.boxes.xyxy[theirs].tolist()
        assert few.boxes.labels[mine].tolist() == whole.boxes.labels[theirs].tolist()
    assert np.array_equal(few.masks.pixels, whole.masks.pixels[[5, 4, 2]])
    assert few.placement.sizes.tolist() == whole.placement.sizes[[5, 4, 2]].tolist()


def test_a_column_of_another_length_is_refused():
    with pytest.raises(DataError, match=r"'age' of made has 3 entries for 12 images"):
        labelled().with_columns(age=data.Values("age", np.arange(3.0)))


def test_what_is_not_known_is_told_with_what_is():
    with pytest.raises(DataError, match=r"made has no boxes; .*: label, age, group"):
        _ = labelled().boxes


def test_a_batch_holds_every_column_under_its_name():
    (batch,) = Batches(labelled(), 8, seed=0, augment=Augment())
    shades = (batch.rows.double() / 10).tolist()
    assert batch.age.tolist() == pytest.approx(shades)
    assert batch.labels.tolist() == (batch.rows % 3).tolist()
    with pytest.raises(AttributeError, match=r"holds no masks, but labels, targets, age"):
        _ = batch.masks


def test_a_number_cannot_be_mixed_and_a_label_alone_can():
    table = labelled()
    with pytest.raises(OptionError, match=r"--augment\.cutmix mixes pairs"):
        Batches(table, 4, seed=0, augment=Augment(cutmix=1.0))
    alone = data.Table(**{**vars(table), "columns": {"label": table.columns["label"]}})
    (batch, *_) = Batches(alone, 4, seed=0, augment=Augment(cutmix=1.0))
    assert batch.targets.shape == (4, 3)
    assert batch.targets.sum(dim=1).tolist() == pytest.approx([1.0] * 4)


def test_what_is_drawn_of_an_image_is_all_that_is_known_of_it():
    images, words = labelled().drawn(np.array([4]))
    assert words == ["b, age 0.4"]
    assert images.shape == (1, 8, 8, 3)
    table = made(3, test=0, val=0)
    drawn, (text,) = table.drawn(np.array([2]))
    assert text.startswith("background, one, two")
    assert (drawn[0] != table.pixels[2]).any()


def test_about_counts_what_each_column_counts():
    about = labelled().about()
    assert about["counts"] == {"train": 8, "val": 2, "test": 2}
    assert about["chance"] == pytest.approx(1 / 3)
    assert "instances" not in about
    assert made(9).about()["instances"] == {"train": 12, "val": 1, "test": 5}


@pytest.fixture
def new_classes(tmp_path):
    """Return a folder whose classes to test on are others than those to train on."""
    for split, names in (("train", "abc"), ("test", "xy")):
        for name in names:
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    return str(tmp_path)


def test_classes_of_one_split_only_are_allowed_where_they_are_asked_for(new_classes):
    with pytest.raises(DataError, match=r"not under train: x, y"):
        data.images(new_classes, size=8)
    table = data.images(new_classes, size=8, disjoint=True, per_class=2)
    assert table.classes == ("a", "b", "c", "x", "y")
    assert np.bincount(table.split("train").labels).tolist() == [2, 2, 2]
    assert np.bincount(table.split("test").labels).tolist() == [0, 0, 0, 3, 3]


def test_disjoint_classes_still_need_two_to_train_on(tmp_path):
    for split, name in (("train", "a"), ("test", "x")):
        (tmp_path / split / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / split / name / "0.png")
    with pytest.raises(DataError, match=r"fewer than two classes to train on"):
        data.images(str(tmp_path), size=8, disjoint=True)
