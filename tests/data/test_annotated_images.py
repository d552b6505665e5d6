"""Annotated images opened: seen whole, their boxes and masks where they should be."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.annotated_sets import made
from vislab.data import annotated_images, shapes
from vislab.data.annotated_images import annotated, fit_mask
from vislab.data.annotations import VOID
from vislab.data.decode import FILL, fit_whole, within
from vislab.errors import DataError, OptionError

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def rectangle(path, size, box, **options):
    """Draw a white rectangle on black."""
    image = Image.new("RGB", size, BLACK)
    image.paste(WHITE, box)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


# Sizes, width first, and a box in each.
SCENES = [
    ((40, 30), (4, 6, 22, 20)),
    ((30, 40), (3, 5, 18, 33)),
    ((64, 64), (16, 8, 50, 60)),
    ((100, 37), (20, 5, 80, 30)),
    ((21, 90), (2, 30, 19, 71)),
]


def coco(root, scenes=SCENES):
    """Write images of one rectangle each, of classes by turns, with their outlines."""
    images, annotations = [], []
    for row, (size, (x1, y1, x2, y2)) in enumerate(scenes):
        if not (root / "images" / f"{row}.png").exists():
            rectangle(root / "images" / f"{row}.png", size, (x1, y1, x2, y2))
        images.append({"id": row, "file_name": f"{row}.png", "width": size[0], "height": size[1]})
        annotations.append(
            {
                "id": row, "image_id": row, "category_id": row % 2 + 1, "iscrowd": 0,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
            }
        )  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (root / "annotations.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return str(root)


def tight(mask):
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def place_of(images, name):
    return next(row for row, one in enumerate(images.names) if one.endswith(name))


@pytest.mark.parametrize("size", [16, 50, 128])
def test_boxes_masks_and_images_lie_in_one_place(tmp_path, size):
    images = annotated(coco(tmp_path), wanted="masks", size=size)
    assert images.classes == ("background", "cat", "dog")
    for row in range(len(SCENES)):
        place = place_of(images, f"{row}.png")
        (box,) = images.boxes.xyxy[images.boxes.instances(place)]
        (label,) = images.boxes.labels[images.boxes.instances(place)]
        assert label == row % 2
        assert np.abs(tight(images.pixels[place, :, :, 1] >= 140) - box).max() <= 1
        mask = images.masks.pixels[place, :, :, 0]
        assert np.abs(tight(mask == label + 1) - box).max() <= 1
        beside = (images.pixels[place] == FILL).all(axis=2)
        assert np.array_equal(mask == VOID, beside)


def test_boxes_come_back_to_pixels_of_the_file(tmp_path):
    images = annotated(coco(tmp_path), wanted="boxes", size=50)
    assert images.classes == ("cat", "dog")
    assert images.columns.get("masks") is None
    rows = np.arange(len(SCENES))
    assert [len(images.boxes.labels[images.boxes.instances(int(row))]) for row in rows] == [1] * 5
    back = images.placement.in_file(rows, images.boxes.xyxy.astype(np.float64))
    for place, name in enumerate(images.names):
        _, box = SCENES[int(name.split("/")[-1][0])]
        np.testing.assert_allclose(back[place], box, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 200))
def test_the_longer_side_fills_the_square_and_the_shape_is_kept(width, height, side):
    wide, high = within((width, height), side)
    assert max(wide, high) == side
    scale = side / max(width, height)
    assert abs(wide - width * scale) <= 0.5 or wide == 1
    assert abs(high - height * scale) <= 0.5 or high == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(16, 60))
def test_an_image_and_its_mask_lie_in_the_same_part_of_the_square(width, height, side):
    image = fit_whole(Image.new("RGB", (width, height), BLACK), side)
    mask = fit_mask(np.zeros((height, width), dtype=np.uint8), side)
    assert np.array_equal((image == FILL).all(axis=2), mask[..., 0] == VOID)
    assert (mask != VOID).any()


def test_a_photo_decoded_at_a_fraction_lies_where_its_file_does(tmp_path):
    """1007×1028 is decoded at half, 504×514: of that, 126 pixels of 128, of the file 125."""
    rectangle(tmp_path / "images/1.jpg", (1007, 1028), (0, 0, 1007, 1028), quality=95)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/1.txt").write_text("0 0.5 0.5 1 1\n")
    images = annotated(str(tmp_path), wanted="boxes", size=128)
    white = (images.pixels[0] > 250).all(axis=2)
    assert tight(white).tolist() == [1, 0, 126, 128]
    assert images.placement.corner(0) == (1, 0)


def edited(root, change):
    """Change the first annotation, the box and the image staying as they are."""
    coco(root)
    told = json.loads((root / "annotations.json").read_text())
    told["annotations"][0].update(change)
    (root / "annotations.json").write_text(json.dumps(told))


def test_masks_follow_what_is_edited(tmp_path):
    """Decoded masks are kept: under another key when a class, an outline or a flag changes."""
    row = {"category_id": 2}
    outline = {"segmentation": [[4, 6, 22, 6, 22, 20]]}
    crowd = {"iscrowd": 1, "segmentation": {"size": [30, 40], "counts": [126, 14, 1060]}}
    found = []
    for change in ({}, row, outline, crowd):
        edited(tmp_path, change)
        images = annotated(str(tmp_path), wanted="masks", size=40)
        place = place_of(images, "0.png")
        found.append(images.masks.pixels[place, 5:35].copy())
    assert len({one.tobytes() for one in found}) == 4
    assert set(np.unique(found[0])) == {0, 1}
    assert set(np.unique(found[1])) == {0, 2}
    assert (found[2] == 1).sum() < (found[0] == 1).sum()
    assert set(np.unique(found[3])) == {0, VOID}


def test_edited_images_are_decoded_again(tmp_path):
    coco(tmp_path)
    before = annotated(str(tmp_path), wanted="boxes", size=32).pixels.copy()
    rectangle(tmp_path / "images/0.png", (40, 30), (0, 0, 40, 30))
    os.utime(tmp_path / "images/0.png", (1, 1))
    after = annotated(str(tmp_path), wanted="boxes", size=32).pixels
    assert not np.array_equal(before, after)


def many(root, counts=(("train", 12), ("val", 3), ("test", 5))):
    for side, count in counts:
        for row in range(count):
            rectangle(root / "images" / side / f"{side}{row:02}.png", (20, 20), (5, 5, 15, 15))
            file = root / "labels" / side / f"{side}{row:02}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("0 0.5 0.5 0.5 0.5\n")
    return str(root)


def sides(images):
    return [len(images.split(side)) for side in ("train", "val", "test")]


def test_a_limit_takes_the_first_training_images_and_as_many_others_at_most(tmp_path):
    where = many(tmp_path)
    assert sides(annotated(where, wanted="boxes", size=16)) == [12, 3, 5]
    few = annotated(where, wanted="boxes", size=16, limit=4)
    assert sides(few) == [4, 3, 4]
    assert [name[-6:-4] for name in few.split("train").names] == ["00", "01", "02", "03"]
    assert few.subset == "the first 4"
    assert few.about()["subset"] == "the first 4"
    assert sides(annotated(where, wanted="boxes", size=16, limit=99)) == [12, 3, 5]
    for row in range(len(few.names)):
        assert few.boxes.xyxy[few.boxes.instances(row)].tolist() == [[4, 4, 12, 12]]


def test_validation_is_taken_from_training_where_there_is_none(tmp_path):
    where = many(tmp_path, (("train", 12), ("test", 5)))
    assert sides(annotated(where, wanted="boxes", size=16)) == [12, 0, 5]
    assert sides(annotated(where, wanted="boxes", size=16, validation=0.25)) == [9, 3, 5]
    other = many(tmp_path / "other", (("train", 8), ("val", 3), ("test", 5)))
    assert sides(annotated(other, wanted="boxes", size=16, validation=0.25)) == [8, 3, 5]


def test_flawed_annotations_are_refused_by_file_or_left_out_when_asked(tmp_path):
    where = many(tmp_path)
    (tmp_path / "labels/train/train03.txt").write_text("0 1.9 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match=r"train03\.txt.*--skip-bad"):
        annotated(where, wanted="boxes", size=16)
    left = annotated(where, wanted="boxes", size=16, skip_bad=True)
    assert sides(left) == [11, 3, 5]
    assert not any("train03" in name for name in left.names)
    assert "left out: 1 of 20 images" in left.about()["notes"][-1]


def test_an_image_that_breaks_off_is_named(tmp_path):
    where = many(tmp_path)
    path = tmp_path / "images/train/train05.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"1 of 20 images .*train05\.png.*vislab data check"):
        annotated(where, wanted="boxes", size=16)


@pytest.mark.parametrize("broken", ["images/train/train05.png", "images/train/train11.png"])
def test_an_image_that_breaks_off_is_left_out_when_asked(tmp_path, monkeypatch, broken):
    where = many(tmp_path)
    path = tmp_path / broken
    path.write_bytes(path.read_bytes()[:60])
    tried = []
    whole = annotated_images.fit_whole
    monkeypatch.setattr(
        annotated_images, "fit_whole", lambda *given: tried.append(1) or whole(*given)
    )
    left = annotated(where, wanted="boxes", size=16, skip_bad=True)
    tried.clear()
    left = annotated(where, wanted="boxes", size=16, skip_bad=True)
    assert not tried  # what is broken is remembered
    assert sides(left) == [11, 3, 5]
    assert path.stem not in " ".join(left.names)
    assert left.about()["notes"][-1] == "left out: 1 of 20 images, which cannot be read"
    for row in range(len(left.names)):  # the others keep their own objects
        assert left.boxes.xyxy[left.boxes.instances(row)].tolist() == [[4, 4, 12, 12]]
        assert left.pixels[row, 4:12, 4:12].min() > 230


def test_a_mask_that_is_mended_brings_its_image_back(tmp_path, monkeypatch):
    for row in range(4):
        rectangle(tmp_path / f"images/{row}.png", (20, 20), (5, 5, 15, 15))
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.new("L", (20, 20), 255 * (row % 2)).save(tmp_path / f"masks/{row}.png")
    whole = annotated_images.mask_of

    def breaks_off(read, row):
        if read.members[row] == "images/2.png":
            raise DataError("it breaks off")
        return whole(read, row)

    monkeypatch.setattr(annotated_images, "mask_of", breaks_off)
    options = {"wanted": "masks", "size": 20, "skip_bad": True}
    assert len(annotated(str(tmp_path), **options).names) == 3
    monkeypatch.setattr(annotated_images, "mask_of", whole)
    assert len(annotated(str(tmp_path), **options).names) == 3  # nothing has changed
    path = tmp_path / "masks/2.png"
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))
    assert len(annotated(str(tmp_path), **options).names) == 4


def test_a_set_of_which_nothing_can_be_read_is_refused_even_then(tmp_path):
    where = many(tmp_path, (("train", 2), ("test", 1)))
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="3 of 3 images cannot be used") as told:
        annotated(where, wanted="boxes", size=16, skip_bad=True)
    assert "--skip-bad" not in str(told.value)


def test_too_many_classes_for_a_mask_are_no_fault_of_the_images(tmp_path):
    where = coco(tmp_path)
    path = tmp_path / "annotations.json"
    told = json.loads(path.read_text())
    told["categories"] += [{"id": k, "name": f"kind {k}"} for k in range(3, 300)]
    path.write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"has 299 classes; a mask holds up to 254"):
        annotated(where, wanted="masks", size=16, skip_bad=True)
    assert len(annotated(where, wanted="boxes", size=16).classes) == 299


def test_masks_alone_have_no_boxes_to_learn(tmp_path):
    for row in range(3):
        rectangle(tmp_path / f"images/{row}.png", (20, 20), (5, 5, 15, 15))
        mask = np.zeros((20, 20), dtype=np.uint8)
        mask[5:15, 5:15] = 255
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"masks/{row}.png")
    with pytest.raises(DataError, match=r"has masks and no boxes; `vislab data convert`"):
        annotated(str(tmp_path), wanted="boxes", size=20)
    images = annotated(str(tmp_path), wanted="masks", size=20)
    assert len(images.classes) == 2
    assert np.array_equal(images.masks.pixels[..., 0] == 1, images.pixels[..., 0] == 255)


@pytest.mark.parametrize("options", [{"size": 15}, {"size": 2049}, {"limit": 0}])
def test_what_is_out_of_range_is_told(tmp_path, options):
    flag = next(iter(options))
    with pytest.raises(OptionError, match=rf"--{flag} {options[flag]} "):
        annotated(many(tmp_path), wanted="boxes", **options)


def test_a_folder_without_annotations_says_what_would_be_understood(tmp_path):
    rectangle(tmp_path / "1.png", (20, 20), (5, 5, 15, 15))
    with pytest.raises(DataError, match="no annotations that are recognised"):
        annotated(str(tmp_path), wanted="boxes", size=16)


@pytest.fixture(scope="module")
def drawn():
    return annotated("shapes", wanted="masks", size=40, limit=100)


def test_shapes_have_the_boxes_of_their_masks(drawn):
    """A box is tight around pixels of its class, and every such pixel is in one."""
    assert sides(drawn) == [100, 100, 100]
    assert drawn.classes == ("background", *shapes.CLASSES)
    tried = 0
    for row in range(300):
        mask, covered = drawn.masks.pixels[row, :, :, 0], np.zeros((40, 40), dtype=bool)
        mine = drawn.boxes.instances(row)
        for (x1, y1, x2, y2), label in zip(
            drawn.boxes.xyxy[mine].astype(int).tolist(),
            drawn.boxes.labels[mine].tolist(),
            strict=True,
        ):
            inside = mask[y1:y2, x1:x2] == label + 1
            edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            assert all(edge.any() for edge in edges)
            covered[y1:y2, x1:x2] |= inside
            tried += 1
        assert np.array_equal(covered, mask > 0)
    assert tried > 600


def test_shapes_for_boxes_are_the_same_images(drawn):
    boxes = annotated("shapes", wanted="boxes", size=40, limit=100)
    assert np.array_equal(boxes.pixels, drawn.pixels)
    assert np.array_equal(boxes.boxes.xyxy, drawn.boxes.xyxy)
    assert boxes.classes == tuple(shapes.CLASSES)
    assert "masks" not in boxes.columns


def test_a_larger_limit_begins_with_the_same_images(drawn):
    """Each side: the first hundred of 110."""
    more = annotated("shapes", wanted="boxes", size=40, limit=110)
    for side in ("train", "val", "test"):
        few, many_more = drawn.split(side), more.split(side)
        assert few.names == many_more.names[:100]
        assert np.array_equal(drawn.pixels[few.rows], more.pixels[many_more.rows[:100]])


def test_of_what_is_mostly_hidden_nothing_is_learned():
    hard = annotated("shapes:hard", wanted="boxes", size=48, limit=60)
    assert 0 < hard.boxes.difficult.sum() < len(hard.boxes.labels) / 2
    assert not hard.boxes.crowd.any()
    sides_of = (hard.boxes.xyxy[:, 2:] - hard.boxes.xyxy[:, :2]).prod(axis=1)
    assert sides_of[hard.boxes.difficult].mean() < sides_of[~hard.boxes.difficult].mean()


def test_merged_instances_are_one_class_and_void_stays_void(tmp_path):
    images = annotated(coco(tmp_path), wanted="masks", size=50)
    merged = images.merged()
    assert merged.classes == ("background", "objects")
    assert np.array_equal(merged.masks.pixels == VOID, images.masks.pixels == VOID)
    instance = (images.masks.pixels > 0) & (images.masks.pixels != VOID)
    assert np.array_equal(merged.masks.pixels == 1, instance)
    assert merged.masks.pixels.dtype == np.uint8


def test_images_are_normalised_as_a_network_wants_them_or_by_their_own_training_side():
    images = made(9, test=4)
    mean, std = images.normalisation
    own = images.pixels[:4].reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, own.mean(axis=0))
    np.testing.assert_allclose(std, own.std(axis=0))
    told = images.normalised_by((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert told.normalisation == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert images.normalisation == (mean, std)


def test_what_a_report_says_counts_images_and_instances():
    about = made(9, test=2, val=1).about()
    assert about["counts"] == {"train": 6, "val": 1, "test": 2}
    assert about["instances"] == {"train": 12, "val": 1, "test": 5}
    assert about["split"] == "came with the images"
