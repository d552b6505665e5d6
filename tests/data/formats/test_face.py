import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.data.formats.sets import coco, image, instance, mask, voc, voc_object, yolo
from vislab.data.annotations import require_sound
from vislab.data.formats import read_annotated, recognise
from vislab.data.tree import Tree, inside
from vislab.errors import DataError, OptionError

HOLES = np.pad(np.full((10, 10), 255), ((10, 10), (10, 20)))


def in_form(root, form):
    for stem in "abcdefghij":
        if form == "coco":
            break
        if form == "voc":
            voc(root, stem, voc_object())
        elif form == "yolo":
            yolo(root, ["0 .5 .5 .5 .5"], stem)
        else:
            image(root / "images" / f"{stem}.png")
            mask(root / "labels" / f"{stem}.png", HOLES)
    if form == "coco":
        images = [{"id": n, "file_name": f"{s}.png"} for n, s in enumerate("abcdefghij")]
        for entry in images:
            image(root / "images" / entry["file_name"])
        coco(root, [instance(image=n) for n in range(10)], images)
    return root


def zipped(root, archive, top=""):
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(root.rglob("*")):
            opened.write(file, Path(top) / file.relative_to(root))
    return archive


@pytest.mark.parametrize("form", ["coco", "voc", "yolo", "masks"])
def test_a_folder_and_a_zip_of_it_read_alike_and_it_is_unpacked_once(
    tmp_path, home, form, monkeypatch
):
    root = in_form(tmp_path / "set", form)
    archive = zipped(root, tmp_path / "packed.zip", top="inner")
    assert recognise(root) == recognise(archive) == form
    before = set((home / "unpacked").glob("*"))
    one, other = read_annotated(root), read_annotated(archive)
    (folder,) = set((home / "unpacked").glob("*")) - before
    assert (one.name, other.name) == ("set", "packed")
    assert other.root == folder
    assert (one.form, other.form) == (form, form)
    assert len(one) == len(other) == 10
    assert one.issues == other.issues == ()
    np.testing.assert_array_equal(one.instances.boxes, other.instances.boxes)
    monkeypatch.setattr("vislab.data.formats.unpack", None)
    assert len(read_annotated(archive)) == 10


def test_recognising_a_zip_unpacks_nothing(tmp_path, home):
    archive = zipped(in_form(tmp_path / "set", "voc"), tmp_path / "once.zip")
    before = set((home / "unpacked").glob("*"))
    assert recognise(archive) == "voc"
    assert set((home / "unpacked").glob("*")) == before


@pytest.mark.parametrize("form", ["coco", "voc", "yolo", "masks"])
def test_validation_is_held_out_of_train_on_request_and_nothing_else_moves(tmp_path, form):
    root = in_form(tmp_path, form)
    plain, held = read_annotated(root), read_annotated(root, validation=0.25)
    assert np.bincount(plain.splits).tolist() == [8, 0, 2]
    assert np.bincount(held.splits).tolist() == [6, 2, 2]
    np.testing.assert_array_equal(plain.splits == 2, held.splits == 2)
    assert any("2 of 8 training images were held out" in note for note in held.notes)
    np.testing.assert_array_equal(held.splits, read_annotated(root, validation=0.25).splits)
    others = [read_annotated(root, seed=seed).splits.tolist() for seed in range(1, 5)]
    assert any(splits != plain.splits.tolist() for splits in others)


def test_what_is_held_out_does_not_depend_on_the_order_in_a_file(tmp_path):
    images = [{"id": n, "file_name": f"{n:02}.png"} for n in range(20)]
    for entry in images:
        image(tmp_path / entry["file_name"])
    held = []
    for order in (images, images[::-1]):
        coco(tmp_path, [instance()], order)
        annotated = read_annotated(tmp_path, validation=0.5)
        held.append({annotated.members[row] for row in annotated.rows("val")})
    assert held[0] == held[1]
    assert len(held[0]) == 8


def test_a_share_that_is_none_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"validation=1\.5"):
        read_annotated(tmp_path, validation=1.5)


def test_images_without_annotations_say_what_would_be_understood(tmp_path):
    for name in ("cat/1.png", "dog/1.png"):
        image(tmp_path / name)
    assert recognise(tmp_path) is None
    with pytest.raises(DataError, match=r"expected COCO .* VOC .* YOLO .* masks"):
        read_annotated(tmp_path)
    with pytest.raises(DataError, match="no folder or zip at"):
        read_annotated(tmp_path / "nowhere")


def test_a_labels_folder_of_texts_is_yolo_and_one_of_images_is_masks(tmp_path):
    image(tmp_path / "a" / "images" / "1.jpg")
    mask(tmp_path / "a" / "labels" / "1.png", HOLES)
    yolo(tmp_path / "b", ["0 .5 .5 .5 .5"])
    assert recognise(tmp_path / "a") == "masks"
    assert recognise(tmp_path / "b") == "yolo"


def test_flawed_images_are_refused_or_left_out_whole(tmp_path):
    root = in_form(tmp_path, "voc")
    voc(root, "a", voc_object() + voc_object(box=(90, 90, 99, 99)))
    annotated = read_annotated(root)
    with pytest.raises(DataError, match=r"Annotations/a\.xml, object 2: its box lies outside"):
        require_sound(annotated, skip_bad=False)
    left = require_sound(annotated, skip_bad=True)
    assert len(left) == len(left.instances) == 9
    assert not any(member.endswith("/a.png") for member in left.members)


@pytest.mark.parametrize("name", ["a/../b", "..", "/a", "\\a", "C:/a", "", " ", "./", "a\0b"])
def test_a_path_that_could_lead_out_is_none(name):
    assert inside(name) is None


def test_a_path_is_tidied():
    assert inside(" .\\a//b.png ") == "a/b.png"
    assert inside("a/..b") == "a/..b"


def test_links_that_go_in_circles_are_walked_once(tmp_path):
    image(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert set(Tree(tmp_path).images) >= {"a/1.png"}
    assert len(Tree(tmp_path).images) <= 3


@pytest.mark.realdata
def test_the_real_sets_are_recognised_and_sound(real_data):
    facts = {}
    for name in ("coco_mini", "voc_mini", "membrane"):
        annotated = read_annotated(real_data / name)
        assert annotated.issues == ()
        facts[name] = (
            annotated.form, len(annotated), len(annotated.instances), len(annotated.classes),
            annotated.official,
        )  # fmt: skip
    assert facts == {
        "coco_mini": ("coco", 100, 879, 80, True),
        "voc_mini": ("voc", 100, 273, 20, False),
        "membrane": ("masks", 30, 0, 2, False),
    }


@pytest.mark.realdata
def test_other_real_sets_are_not_taken_for_annotated(real_data):
    for name in ("colorization", "stanford_cars20", "imagenet_sample", "eurosat_250_per_class.zip"):
        assert recognise(real_data / name) is None
