"""From a name or a path to images that can be learned from."""

import io
import random
import zipfile
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image

from tests.lab.small_recipe import few_images
from vislab.data import shapes
from vislab.data.arrays import Arrays
from vislab.data.batches import in_order
from vislab.data.folders import list_folder
from vislab.data.images import Survey, columns_of, images, survey
from vislab.data.sources import open_source
from vislab.data.table import Table
from vislab.errors import DataError, OptionError, UnknownName

module = import_module("vislab.data.images")  # `vislab.data.images` is the function in it


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path / "home"))


def write(folder, counts, side=8):
    """Fill class folders; every image is another grey. Returns the folder."""
    shade = 0
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shade += 1
            Image.new("RGB", (side, side), (shade, shade, shade)).save(
                folder / name / f"{number:02}.png"
            )
    return folder


def contents(opened):
    """What each split holds: (split, name of the image, class, its bytes)."""
    rows = []
    for subset in ("train", "val", "test"):
        split = opened.split(subset)
        pixels = split.take(np.arange(len(split)))
        for name, label, image in zip(split.names, split.labels, pixels, strict=True):
            rows.append((subset, name, opened.classes[label], image.tobytes()))
    return rows


def test_the_digits_are_scikit_learns_split_eight_to_one_to_one():
    from sklearn.datasets import load_digits

    opened, held = images("digits", size=8), load_digits()
    about = opened.about()
    assert opened.classes == tuple("0123456789")
    assert sum(about["counts"].values()) == 1797
    assert about["counts"]["test"] == pytest.approx(179.7, abs=5)
    assert about["counts"]["val"] == pytest.approx(179.7, abs=5)
    assert about["split"] == "drawn, stratified, seed 0"
    test = opened.split("test")
    for place in (0, 77, len(test) - 1):
        row = int(test.names[place])
        shown = test.take(np.array([place]))[0]
        assert np.abs(shown / 255 - held.images[row][..., None] / 16).max() <= 0.5 / 255
        assert test.labels[place] == held.target[row]


def test_digits_enlarged_are_the_same_digits():
    small, large = (images("digits", size=size, per_class=4) for size in (8, 24))
    assert small.names == large.names
    assert large.pixels.shape[1:] == (24, 24, 3)
    for split in ("train", "test"):
        one, other = (p.split(split).take(slice(0, 30)).astype(float) for p in (small, large))
        shrunk = other.reshape(len(other), 8, 3, 8, 3, 3).mean(axis=(2, 4))
        per_image = [
            np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, shrunk, strict=True)
        ]
        assert min(per_image) > 0.97


def test_shapes_come_drawn_in_three_splits():
    opened = images("shapes", size=8, per_class=3)
    assert opened.name == "shapes"
    assert opened.classes == tuple(shapes.CLASSES)
    assert opened.about()["counts"] == {"train": 30, "val": 30, "test": 2000}
    assert opened.about()["origin"] == "generated"
    assert opened.about()["split"] == "came with the images"
    assert np.bincount(opened.split("train").labels).tolist() == [3] * 10
    chosen = [int(name) for name in opened.split("train").names]
    assert max(chosen) < 10_000
    assert [int(name) for name in opened.split("test").names] == list(range(11_000, 13_000))
    scenes = shapes.draw_scenes(np.array([*chosen, 12_999]))
    kept = opened.pixels[[*range(30), -1]]
    assert np.array_equal(kept, shapes.render(scenes, size=8))
    assert np.array_equal(opened.labels[[*range(30), -1]], shapes.labels(scenes))


@pytest.fixture
def few_shapes(monkeypatch):
    monkeypatch.setattr(module, "SHAPES_COUNTS", {"train": 70, "val": 20, "test": 30})


def test_each_difficulty_of_shapes_is_another_set(few_shapes):
    opened = [images(name, size=8) for name in ("shapes", "shapes:easy", "shapes:hard")]
    assert [one.name for one in opened] == ["shapes", "shapes:easy", "shapes:hard"]
    assert len({one.pixels.tobytes() for one in opened}) == 3
    medium = images("shapes:medium", size=8)
    assert medium.name == "shapes"
    assert np.array_equal(medium.pixels, opened[0].pixels)


def test_shapes_keep_their_own_validation_images(few_shapes):
    assert images("shapes", size=8, validation=0.5).about()["counts"]["val"] == 20


def test_an_unknown_difficulty_lists_those_there_are():
    with pytest.raises(UnknownName, match=r"hrad.*Did you mean 'hard'\? Known: easy, hard, medium"):
        images("shapes:hrad", size=8)


def test_an_own_folder_is_opened_image_by_image(tmp_path):
    folder = write(tmp_path / "fruit.2024", {"pear": 10, "apple": 11})
    opened = images(str(folder), size=8)
    assert opened.name == "fruit.2024"
    assert opened.classes == ("apple", "pear")
    assert opened.about()["origin"] == "own files"
    rows = contents(opened)
    assert len(rows) == 21
    for _, name, label, content in rows:
        assert label == name.split("/")[0]
        assert content == np.asarray(Image.open(folder / name)).tobytes()


def test_a_zip_holds_what_its_folder_holds(tmp_path):
    folder = write(tmp_path / "fruit", {"pear": 10, "apple": 11})
    archive = tmp_path / "fruit.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.rglob("*.png"):
            opened.write(path, path.relative_to(folder))
    one, other = images(str(folder), size=8), images(str(archive), size=8)
    named = [(split, f"fruit.zip/{name}", *rest) for split, name, *rest in contents(one)]
    assert contents(other) == named


def test_a_split_that_came_with_the_images_is_kept(tmp_path):
    opened = images(str(few_images(tmp_path / "set")), size=16)
    assert opened.official
    assert opened.about()["counts"] == {"train": 36, "val": 9, "test": 15}
    assert all(name.startswith(split) for split, name, *_ in contents(opened))


def test_splits_and_subsets_depend_on_the_data_alone(tmp_path, monkeypatch):
    folder = write(tmp_path / "set", {"a": 23, "b": 17, "c": 20})
    seen = []
    for seed in (0, 1):
        monkeypatch.setenv("VISLAB_HOME", str(tmp_path / f"home {seed}"))
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        seen.append(contents(images(str(folder), size=8, per_class=4, validation=0.2)))
    assert seen[0] == seen[1]
    larger = images(str(folder), size=11, per_class=4, validation=0.2)
    assert [row[:3] for row in contents(larger)] == [row[:3] for row in seen[0]]


def test_the_images_to_test_on_stay_whatever_is_trained_on(tmp_path):
    folder = str(write(tmp_path / "set", {"a": 23, "b": 17}))

    def held(**options):
        rows = contents(images(folder, size=8, **options))
        return {split: [row[1:] for row in rows if row[0] == split] for split in ("train", "test")}

    everything = held()
    three, five, validated = held(per_class=3), held(per_class=5), held(validation=0.3)
    assert everything["test"] == three["test"] == five["test"] == validated["test"]
    assert set(three["train"]) < set(five["train"]) < set(everything["train"])
    assert [label for _, label, _ in three["train"]] == ["a"] * 3 + ["b"] * 3


def test_no_more_images_of_a_class_are_validated_on_than_trained_on(tmp_path):
    folder = str(write(tmp_path / "set", {"a": 60, "b": 21}))  # of them 6 and 2 for validation
    kept = [images(folder, size=8, per_class=n).split("val") for n in (1, 4, 16)]
    assert [np.bincount(val.labels).tolist() for val in kept] == [[1, 1], [4, 2], [6, 2]]
    assert set(kept[0].names) < set(kept[1].names) < set(kept[2].names)


def test_validation_images_are_held_out_of_training_class_by_class(tmp_path):
    folder = tmp_path / "set"
    write(folder / "train", {"a": 20, "b": 40})
    write(folder / "test", {"a": 2, "b": 2})
    plain, validated = (images(str(folder), size=8, validation=v) for v in (0.0, 0.25))
    assert plain.about()["counts"] == {"train": 60, "val": 0, "test": 4}
    assert validated.about()["counts"] == {"train": 45, "val": 15, "test": 4}
    assert np.bincount(validated.split("val").labels).tolist() == [5, 10]
    assert {row[1:] for row in contents(plain)} == {row[1:] for row in contents(validated)}


def arrays_of(labels, splits):
    """A set that came with a test split: image i is all i."""
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    return Arrays(
        name="raw",
        classes=("a", "b"),
        pixels=np.broadcast_to(pixels, (len(labels), 8, 8, 3)).copy(),
        labels=np.array(labels),
        splits=np.array(splits, dtype=np.uint8),
        official=True,
    )


def test_validation_is_held_out_of_a_set_of_raw_pixels_too(monkeypatch):
    raw = arrays_of([0, 1] * 20 + [0, 1, 1], [0] * 40 + [2] * 3)
    monkeypatch.setattr(module, "open_source", lambda where, **_: (raw, "official files"))
    opened = images("raw", size=8, validation=0.25)
    assert opened.about()["counts"] == {"train": 30, "val": 10, "test": 3}
    assert np.bincount(opened.split("val").labels).tolist() == [5, 5]
    for row, name in enumerate(opened.names):
        assert (opened.pixels[row] == int(name)).all()
        assert opened.labels[row] == raw.labels[int(name)]
    assert (raw.splits == [0] * 40 + [2] * 3).all()  # the set itself was not written on
    subset = images("raw", size=8, validation=0.25, per_class=3)
    assert subset.about()["counts"] == {"train": 6, "val": 6, "test": 3}
    assert subset.about()["subset"] == "3 per class, drawn"


def test_more_images_of_a_class_than_there_are_names_the_class_and_the_count(tmp_path):
    folder = write(tmp_path / "set", {"a": 30, "b": 20})
    asked = images(str(folder), size=8, per_class=17)
    assert "class 'b' has 16 images to train on, so 16 of each class are taken" in asked.notes[-1]
    assert asked.subset == "16 per class, drawn"
    assert len(asked.split("train")) == 32
    exact = images(str(folder), size=8, per_class=16)
    assert exact.names == asked.names
    assert not exact.notes


@pytest.mark.parametrize("per_class", [0, -3])
def test_no_images_per_class_are_refused(per_class):
    with pytest.raises(OptionError, match=rf"--per-class {per_class} leaves nothing to train on"):
        images("digits", size=8, per_class=per_class)


@pytest.mark.parametrize("size", [7, 0, -1, 2049])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(OptionError, match=rf"--size {size} is out of range; .* 8 to 2048"):
        images("digits", size=size)


def test_one_class_alone_is_nothing_to_tell_apart(tmp_path):
    folder = write(tmp_path / "set", {"cat": 9})
    with pytest.raises(DataError, match="set has one class only, 'cat'; two or more are needed"):
        images(str(folder), size=8)


def test_a_class_without_training_images_is_named(tmp_path):
    folder = write(tmp_path / "set", {"a": 3, "b": 3, "c": 2})
    splits = ["train", "train", "test"] * 2 + ["val", "test"]
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    rows = [f"{p},{p.parent},{split}" for p, split in zip(paths, splits, strict=True)]
    (folder / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    with pytest.raises(DataError, match="class 'c' of set has no image to train on"):
        images(str(folder), size=8)


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(UnknownName, match=r"'digit'\. Did you mean 'digits'\?.*no folder or zip"):
        images("digit", size=8)


def test_a_colon_after_another_name_is_no_difficulty():
    with pytest.raises(UnknownName, match="digits:hard"):
        images("digits:hard", size=8)


@pytest.mark.parametrize("where", ["./nothing", "my/images", "images.zip"])
def test_a_path_that_leads_nowhere_is_not_taken_for_a_name(where):
    with pytest.raises(DataError, match=rf"there is no folder or zip at {where}"):
        images(where, size=8)


def test_an_own_folder_may_have_any_name_but_those_of_the_catalogue(tmp_path, monkeypatch):
    write(tmp_path / "fruit", {"a": 4, "b": 4})
    monkeypatch.chdir(tmp_path)
    assert images("fruit", size=8).name == "fruit"


def test_a_set_for_another_task_says_so():
    with pytest.raises(DataError, match="coco is in the catalogue for tasks other than"):
        open_source("coco")


def test_the_shapes_to_look_at_are_the_first_thousand():
    found, origin = open_source("shapes")
    assert origin == "generated"
    assert len(found) == 1000
    scenes = shapes.draw_scenes(np.array([0, 999]))
    assert np.array_equal(found.pixels[[0, -1]], shapes.render(scenes, size=64))
    assert np.array_equal(found.labels[[0, -1]], shapes.labels(scenes))


def test_labels_without_images_are_refused_by_name(tmp_path):
    folder = write(tmp_path / "set", {"a": 4, "b": 4})
    rows = [f"{p.relative_to(folder)},{p.parent.name}" for p in folder.rglob("*.png")]
    (folder / "labels.csv").write_text("\n".join(["path,label", *rows, "a/99.png,a"]))
    with pytest.raises(DataError, match=r"names 1 images that are not there \(first: a/99\.png"):
        images(str(folder), size=8)


def test_images_without_labels_are_left_out_and_told(tmp_path):
    folder = write(tmp_path / "set", {"a": 10, "b": 10})
    Image.new("RGB", (8, 8)).save(folder / "loose.png")
    assert images(str(folder), size=8).about()["notes"] == [
        "1 images have no label and are left out"
    ]


def made(pixels, labels, splits, classes=("a", "b", "c")):
    count = len(pixels)
    return Table(
        name="made",
        classes=classes,
        size=pixels.shape[1],
        pixels=pixels,
        columns=columns_of(np.asarray(labels), classes),
        splits=np.asarray(splits, dtype=np.uint8),
        names=tuple(f"{row}.png" for row in range(count)),
        origin="own files",
        official=False,
    )


def test_normalisation_is_mean_and_deviation_of_the_training_images():
    chance = np.random.default_rng(0)
    wide = np.array([60, 120, 250])
    pixels = (chance.random((613, 5, 5, 3)) * wide).astype(np.uint8)
    splits = chance.integers(0, 3, 613)
    pixels[splits != 0] = 255  # what is tested on must not be looked at
    opened = made(pixels, chance.integers(0, 3, 613), splits)
    train = pixels[splits == 0].astype(np.float64) / 255
    mean, std = opened.normalisation
    np.testing.assert_allclose(mean, train.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, train.std(axis=(0, 1, 2)), rtol=1e-9)


def test_normalisation_of_many_images_looks_at_all_of_them_while_they_are_small():
    rows = np.arange(20_003)
    shades = (rows * 256 // 20_003).astype(np.uint8)[:, None, None, None]  # 0 up to 255
    seen = []

    class Watched(np.ndarray):
        def __getitem__(self, key):
            found = super().__getitem__(key)
            seen.append(len(found))
            return found

    pixels = shades.repeat(3, axis=3).view(Watched)
    mean, std = made(pixels, np.zeros_like(rows), np.zeros_like(rows)).normalisation
    assert sum(seen) == 20_003
    assert mean[0] == pytest.approx(0.5, abs=0.002)
    assert std[0] == pytest.approx(1 / 12**0.5, abs=0.002)


def test_images_of_one_colour_do_not_divide_by_zero():
    opened = made(np.full((4, 5, 5, 3), 51, np.uint8), [0, 1, 2, 0], [0] * 4)
    mean, std = opened.normalisation
    assert mean == pytest.approx((0.2, 0.2, 0.2))
    assert std == (1e-3, 1e-3, 1e-3)


def test_majority_is_the_share_of_the_largest_class_of_a_split():
    opened = made(np.zeros((9, 5, 5, 3), np.uint8), [0, 1, 2, 2, 2, 1, 1, 1, 0], [0] * 4 + [2] * 5)
    assert opened.majority() == 3 / 5  # 2, 1, 1, 1, 0
    assert opened.majority("train") == 2 / 4
    assert opened.majority("val") == 0.0


def test_a_split_holds_its_own_images_in_order():
    pixels = (
        np.arange(9, dtype=np.uint8)[:, None, None, None].repeat(5, 1).repeat(5, 2).repeat(3, 3)
    )
    opened = made(pixels, [0, 1, 2] * 3, [0, 1, 2, 0, 0, 2, 1, 0, 0])
    train = opened.split("train")
    assert len(train) == 5
    assert train.names == ("0.png", "3.png", "4.png", "7.png", "8.png")
    assert train.labels.tolist() == [0, 0, 1, 1, 2]
    taken = train.take(np.array([4, 1]))
    assert taken[:, 0, 0, 0].tolist() == [8, 3]
    taken[:] = 0  # a copy
    assert train.take(slice(3, 5))[:, 0, 0, 0].tolist() == [7, 8]


def test_a_report_says_this_of_the_data(tmp_path):
    folder = few_images(tmp_path / "colours")
    assert images(str(folder), size=16, per_class=5).about() == {
        "name": "colours",
        "classes": ["blue", "green", "red"],
        "size": 16,
        "counts": {"train": 15, "val": 9, "test": 15},
        "origin": "own files",
        "subset": "5 per class, drawn",
        "split": "came with the images",
        "chance": 1 / 3,
        "majority": 1 / 3,
        "notes": [],
    }


def counted(where, **options):
    """What `images` opens, counted side by side."""
    opened = images(where, size=8, **options)
    counts = [len(opened.split(split)) for split in ("train", "val", "test")]
    return Survey(len(opened.classes), *counts)


ASKED = [
    {}, {"per_class": 1}, {"per_class": 3}, {"per_class": 10_000}, {"validation": 0.25},
    {"per_class": 3, "validation": 0.25}, {"per_class": 10_000, "validation": 0.25},
]  # fmt: skip


@pytest.mark.parametrize("options", ASKED, ids=str)
@pytest.mark.parametrize("level", ["", ":easy"])
def test_shapes_are_surveyed_as_they_are_opened(few_shapes, level, options):
    assert survey(f"shapes{level}", **options) == counted(f"shapes{level}", **options)


@pytest.mark.parametrize("options", ASKED, ids=str)
def test_an_own_folder_is_surveyed_as_it_is_opened(tmp_path, options):
    folder = str(write(tmp_path / "set", {"a": 20, "b": 20, "c": 20}))
    assert survey(folder, **options) == counted(folder, **options)


@pytest.mark.parametrize("options", ASKED, ids=str)
def test_a_split_that_came_with_the_images_is_surveyed_as_it_is_opened(tmp_path, options):
    whole = str(few_images(tmp_path / "set"))
    assert survey(whole, **options) == counted(whole, **options)
    folder = tmp_path / "other"
    write(folder / "train", {"a": 20, "b": 41})
    write(folder / "test", {"a": 2, "b": 3})
    assert survey(str(folder), **options) == counted(str(folder), **options)


@pytest.mark.parametrize("options", ASKED, ids=str)
def test_digits_are_surveyed_as_they_are_opened(options):
    assert survey("digits", **options) == counted("digits", **options)


@pytest.mark.parametrize("options", ASKED, ids=str)
def test_raw_pixels_with_a_split_are_surveyed_as_they_are_opened(monkeypatch, options):
    raw = arrays_of([0, 1] * 20 + [0, 1, 1], [0] * 40 + [2] * 3)
    monkeypatch.setattr(module, "open_source", lambda where, **_: (raw, "official files"))
    assert survey("raw", **options) == counted("raw", **options)


def test_a_survey_by_hand(tmp_path):
    """Of 20 images of each class 2 are for testing and 2 for validation."""
    folder = str(write(tmp_path / "set", {"a": 20, "b": 20, "c": 20}))
    assert survey(folder) == Survey(classes=3, train=48, val=6, test=6)
    assert survey(folder, per_class=1) == Survey(classes=3, train=3, val=3, test=6)
    assert survey(folder, per_class=99) == Survey(classes=3, train=48, val=6, test=6)


def test_classes_of_few_images_to_validate_on_are_surveyed_as_they_are_opened(tmp_path):
    folder = str(write(tmp_path / "set", {"a": 60, "b": 21}))  # for validation 6 and 2
    assert counted(folder, per_class=4) == Survey(classes=2, train=8, val=4 + 2, test=8)
    assert survey(folder, per_class=4) == counted(folder, per_class=4)


@pytest.mark.parametrize("options", [{}, {"per_class": 10}], ids=str)
def test_raw_pixels_are_held_out_class_by_class_in_a_survey_too(monkeypatch, options):
    raw = arrays_of([0] * 10 + [1] * 34 + [0, 1], [0] * 44 + [2] * 2)
    monkeypatch.setattr(module, "open_source", lambda where, **_: (raw, "official files"))
    assert survey("raw", validation=0.25, **options) == counted("raw", validation=0.25, **options)


@pytest.mark.parametrize("options", ASKED, ids=str)
def test_a_survey_decodes_nothing_and_keeps_nothing(tmp_path, monkeypatch, options):
    folder = write(tmp_path / "set", {"a": 20, "b": 20})
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image any more")

    def refuse(*_args, **_named):
        raise AssertionError("asked for pixels")

    for name in ("decoded", "kept", "resized"):
        monkeypatch.setattr(module.cache, name, refuse)
    for name in ("draw_scenes", "render"):
        monkeypatch.setattr(module.shapes, name, refuse)
    assert survey(str(folder), **options).classes == 2
    assert survey("shapes", **options).classes == 10
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("where", ["digit", "./nothing"])
def test_a_survey_of_nothing_says_so(where):
    with pytest.raises((UnknownName, DataError), match=where):
        survey(where)


def test_images_can_be_normalised_as_a_network_was_shown_them():
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (9, 5, 5, 3), dtype=np.uint8)
    plain = made(pixels, [0, 1, 2] * 3, [0, 1, 2, 0, 0, 2, 1, 0, 0])
    own = plain.normalisation
    asked = (0.5, 0.25, 0.125), (2.0, 1.0, 0.5)
    other = plain.normalised_by(*asked)
    assert other.normalisation == asked
    assert plain.normalisation == own != asked
    assert other.pixels is plain.pixels
    assert other.names == plain.names
    assert other.normalised_by(*own).normalisation == own
    first = next(iter(in_order(other, "test"))).images[0]
    values = pixels[2].transpose(2, 0, 1) / 255
    by_hand = (values - np.array(asked[0])[:, None, None]) / np.array(asked[1])[:, None, None]
    np.testing.assert_allclose(first.numpy(), by_hand, atol=1e-6)


def as_seen(archive, member):
    return np.asarray(Image.open(io.BytesIO(archive.read(member))).convert("RGB"))


@pytest.mark.realdata
def test_cifar10_in_two_zips_is_listed_as_it_was_split(real_data):
    listing = list_folder(real_data / "cifar10")
    counts = np.bincount(listing.splits * 10 + listing.labels.astype(int), minlength=30)
    assert counts.tolist() == [5000] * 10 + [0] * 10 + [1000] * 10


@pytest.mark.realdata
def test_cifar10_is_opened_under_the_right_names(real_data, tmp_path):
    """All of train.zip and, of the 10 000 to test on, two of each class."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    (folder / "train.zip").symlink_to(real_data / "cifar10" / "train.zip")
    with (
        zipfile.ZipFile(real_data / "cifar10" / "test.zip") as whole,
        zipfile.ZipFile(folder / "test.zip", "w") as part,
    ):
        for member in whole.namelist()[::1000] + whole.namelist()[5::1000]:
            part.writestr(member, whole.read(member))
    opened = images(str(folder), size=32, per_class=5)
    assert opened.about()["counts"] == {"train": 50, "val": 0, "test": 20}
    for subset in ("train", "test"):
        split = opened.split(subset)
        archive = zipfile.ZipFile(folder / f"{subset}.zip")
        for place, name in enumerate(split.names):
            member = name.removeprefix(f"{subset}.zip/")
            assert opened.classes[split.labels[place]] == member.split("/")[0]
            assert np.array_equal(split.take(np.array([place]))[0], as_seen(archive, member))
        archive.close()


@pytest.mark.realdata
def test_eurosat_in_a_zip_is_split_by_us(real_data):
    path = real_data / "eurosat_250_per_class.zip"
    opened = images(str(path), size=64, per_class=3)
    assert opened.about()["counts"] == {"train": 30, "val": 30, "test": 250}
    assert opened.majority() == 0.1
    train, archive = opened.split("train"), zipfile.ZipFile(path)
    for place, name in enumerate(train.names):
        member = name.removeprefix(f"{path.name}/")
        assert opened.classes[train.labels[place]] == member.split("/")[0]
        assert np.array_equal(train.take(np.array([place]))[0], as_seen(archive, member))
    archive.close()


@pytest.mark.parametrize("fit", ["crop", "whole", "squash"])
def test_what_is_not_square_is_cropped_shown_whole_or_squashed(tmp_path, fit):
    """Left half red, right half blue, twice as wide as high."""
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:, :16], pixels[:, 16:] = (250, 0, 0), (0, 0, 250)
    for name in "ab":
        for number in range(3):
            (tmp_path / name).mkdir(exist_ok=True)
            pixels[0, 0] = (number, 0, 9 * (name == "b"))
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    opened = images(str(tmp_path), size=16, fit=fit)
    first = opened.pixels[0]
    assert opened.fit == fit
    assert first[8, 2].tolist() == [250, 0, 0]
    assert first[8, 13].tolist() == [0, 0, 250]
    filled = first[1, 8].tolist() == [124, 116, 104]
    assert filled == (fit == "whole")
    assert opened.about().get("fit", "crop") == fit


def test_a_set_split_by_class_is_tested_on_classes_of_its_own(tmp_path):
    write(tmp_path, dict.fromkeys("abcdefghij", 4))
    opened = images(str(tmp_path), size=8, split="by class")
    train, test = (set(opened.split(name).labels.tolist()) for name in ("train", "test"))
    assert (len(train), len(test)) == (8, 2)
    assert not train & test
    again = images(str(tmp_path), size=8, split="by class")
    assert np.array_equal(opened.splits, again.splits)


def test_twelve_bits_keep_their_contrast_and_one_depth_holds_for_the_set(tmp_path):
    """X-rays of up to 4 095; one that is dark stays darker than the others."""
    for name, top in (("sick", 4000), ("sound", 3000)):
        (tmp_path / name).mkdir()
        for number in range(4):
            grey = np.linspace(0, top - number, 64).reshape(8, 8).astype(np.uint16)
            Image.fromarray(grey).save(tmp_path / name / f"{number}.png")
    dark = np.linspace(0, 400, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(dark).save(tmp_path / "sick" / "dark.png")
    opened = images(str(tmp_path), size=8)
    assert opened.depth == 12
    tops = {name: int(opened.pixels[row].max()) for row, name in enumerate(opened.names)}
    assert tops["sick/0.png"] == round(4000 * 255 / 4095)
    assert tops["sound/0.png"] == round(3000 * 255 / 4095)
    assert tops["sick/dark.png"] == round(400 * 255 / 4095)


def test_columns_of_a_table_may_be_named(tmp_path):
    write(tmp_path, {"part": 8})
    rows = "".join(f"{n:02},{'ok' if n % 2 else 'broken'}\n" for n in range(8))
    (tmp_path / "meta.csv").write_text(f"image,state\n{rows}")
    opened = images(str(tmp_path), size=8, labels="image,state")
    assert opened.classes == ("broken", "ok")
    assert survey(str(tmp_path), labels="image,state").classes == 2
