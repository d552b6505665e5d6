"""COCO as many programs write it: ids, boxes, file names, several files, and what is none."""

import json

import numpy as np
import pytest

from tests.data.formats.sets import coco, image, instance, whats
from vislab.data.annotations import require_sound
from vislab.data.formats.coco import read
from vislab.data.formats.coco_outlines import box_around, outline_of
from vislab.data.run_lengths import decoded, encoded
from vislab.errors import DataError

SQUARE = [[10, 10, 30, 10, 30, 25, 10, 25]]
BIG = 2**63 + 11


def listed(count, name="{}.png", folder="images", **more):
    return [
        {"id": n, "file_name": name.format(n), "width": 40, "height": 30, **more}
        for n in range(count)
    ]


def drawn(root, count, name="images/{}.png"):
    for number in range(count):
        image(root / name.format(number))


@pytest.mark.parametrize(
    ("of_image", "in_annotation"),
    [(BIG, BIG), (str(BIG), BIG), ("0a1f", "0a1f"), (3, "3"), (3.0, 3), ("3", 3.0), (-1, -1)],
)
def test_ids_are_numbers_of_any_size_or_text(tmp_path, of_image, in_annotation):
    image(tmp_path / "1.png")
    images = [
        {"id": of_image, "file_name": "1.png"},
        {"id": BIG - 1, "file_name": "nowhere.png"},  # as floats the two are one
    ]
    categories = [{"id": of_image, "name": "cat"}, {"id": BIG - 1, "name": "dog"}]
    entry = instance(image=in_annotation, category=in_annotation)
    annotated = read(coco(tmp_path, [entry], images, categories, "a.json"))
    assert [what.split(":")[0] for what in whats(annotated)] == ["its image is missing"]
    assert annotated.instances.image.tolist() == [0]
    assert annotated.instances.label.tolist() == [0]


def test_a_box_that_is_missing_is_that_around_the_outline(tmp_path):
    entries = [
        {**instance(), "segmentation": SQUARE},
        {**instance(), "bbox": [], "segmentation": [[0, 0, 4, 0, 4, 4], [9, 9, 12, 9, 12, 20]]},
    ]
    del entries[0]["bbox"]
    annotated = read(coco(tmp_path, entries))
    assert annotated.issues == ()
    assert annotated.instances.boxes.tolist() == [[10, 10, 30, 25], [0, 0, 12, 20]]


def test_the_box_around_run_lengths_is_that_of_their_pixels():
    rng = np.random.default_rng(5)
    for _ in range(60):
        mask = np.zeros((7, 6), dtype=np.uint8)
        for _ in range(rng.integers(1, 4)):
            y, x = rng.integers(0, (7, 6))
            mask[y : y + 2, x : x + 3] = 1
        code = encoded(mask)
        assert decoded(code).tolist() == mask.tolist()
        ys, xs = np.nonzero(mask)
        assert box_around(code) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    whole = encoded(np.ones((7, 6), dtype=np.uint8))
    assert box_around(whole) == (0, 0, 6, 7)
    assert box_around(encoded(np.zeros((7, 6), dtype=np.uint8))) is None


@pytest.mark.parametrize("told", [None, [], [[]], [[], []], {}, ""])
def test_an_empty_outline_is_none(told):
    assert outline_of(told, (40, 30)) is None


def test_a_polygon_that_lies_in_no_list_of_its_own_is_read():
    assert outline_of(SQUARE[0], (40, 30)) == (tuple(map(float, SQUARE[0])),)


@pytest.mark.parametrize("proof", ["outline", "area", "image"])
def test_corners_in_place_of_sizes_are_a_doubt(tmp_path, proof):
    drawn(tmp_path, 6)
    entries = []
    for number in range(6):
        x, y = (2 + number, 3) if proof != "image" else (3 * number, 2 * number)
        right, bottom = (x + 9, y + 8) if proof != "image" else (x + 22, y + 14)
        entry = instance((x, y, right, bottom), image=number)
        if proof == "outline":
            entry["segmentation"] = [[x, y, right, y, right, bottom, x, bottom]]
        if proof == "area":
            entry["area"] = (right - x) * (bottom - y)
        entries.append(entry)
    annotated = read(coco(tmp_path, entries, listed(6)))
    assert any(doubt.startswith("the boxes look like corners") for doubt in annotated.doubts)


def test_boxes_that_agree_with_their_outlines_are_no_corners(tmp_path):
    drawn(tmp_path, 3)
    entries = [
        instance((n, 1, 20, 15), image=n, area=200, segmentation=[[n, 1, n + 20, 1, n + 20, 16]])
        for n in range(3)
    ]
    assert read(coco(tmp_path, entries, listed(3))).doubts == ()


def test_boxes_elsewhere_than_their_outlines_are_a_doubt(tmp_path):
    entries = [instance((2, 2, 8, 6), segmentation=[[25, 20, 35, 20, 35, 28]])]
    (doubt,) = read(coco(tmp_path, entries)).doubts
    assert doubt.startswith("1 of 1 boxes lie elsewhere than their outlines")


def test_boxes_in_shares_are_a_doubt(tmp_path):
    entries = [instance((0.1, 0.2, 0.5, 0.5)), instance((0.5, 0.5, 0.5, 0.5))]
    (doubt,) = read(coco(tmp_path, entries)).doubts
    assert doubt.startswith("all boxes lie within one pixel")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("my%20photo%20{}.png", "a.json"),
        ("http://localhost:8080/data/upload/1/my%20photo%20{}.png", "a.json"),
        ("dataset/images/my photo {}.png", "a.json"),
        ("/content/dataset/images/my photo {}.png", "annotations/a.json"),
        ("D:\\dataset\\images\\my photo {}.png", "a.json"),
        ("../images/my photo {}.png", "annotations/a.json"),
        (".\\images\\MY PHOTO {}.PNG", "a.json"),
    ],
)
def test_file_names_are_found_however_programs_write_them(tmp_path, name, file):
    drawn(tmp_path, 4, "images/my photo {}.png")
    entries = [instance((n, 1, 5, 5), image=n) for n in range(4)]
    annotated = read(coco(tmp_path, entries, listed(4, name), file=file))
    assert annotated.issues == annotated.doubts == ()
    assert annotated.members == tuple(f"images/my photo {n}.png" for n in range(4))
    assert annotated.instances.boxes[:, 0].tolist() == [0, 1, 2, 3]


def test_a_name_that_fits_several_images_is_a_flaw(tmp_path):
    for folder in ("a", "b"):
        drawn(tmp_path, 1, folder + "/{}.png")
    (what,) = whats(read(coco(tmp_path, [instance(image=0)], listed(1))))
    assert what == "several images fit its file_name: a/0.png, b/0.png"


def two(root, first, second, **more):
    drawn(root, 3)
    for file, (categories, boxes) in {"one.json": first, "two.json": second}.items():
        entries = [instance(box, category, number) for number, category, box in boxes]
        coco(root, entries, listed(3, **more), categories, file)
    return read(root)


def test_files_of_other_classes_over_the_same_images_are_one_set(tmp_path):
    car = (("car",), [(0, 10, (1, 1, 5, 5)), (1, 10, (2, 2, 5, 5))])
    person = (("person",), [(0, 10, (9, 9, 5, 5)), (2, 10, (3, 3, 5, 5))])
    annotated = two(tmp_path, car, person)
    assert annotated.issues == annotated.doubts == ()
    assert len(annotated) == 3
    assert annotated.classes == ("car", "person")
    found = zip(annotated.instances.image, annotated.instances.label, strict=True)
    assert sorted(found) == [(0, 0), (0, 1), (1, 0), (2, 1)]


def test_what_two_files_say_alike_counts_once_and_otherwise_is_a_doubt(tmp_path):
    same = (("car",), [(0, 10, (1, 1, 5, 5))])
    annotated = two(tmp_path / "same", same, same)
    assert len(annotated.instances) == 1
    assert annotated.issues == annotated.doubts == ()
    other = (("car",), [(0, 10, (1, 1, 6, 5))])
    (doubt,) = two(tmp_path / "other", same, other).doubts
    assert doubt.startswith("one.json and two.json have different boxes of 'car'")


def test_an_image_in_two_stated_splits_is_a_doubt(tmp_path):
    drawn(tmp_path, 3)
    for side, rows in (("train", (0, 1)), ("val", (1, 2))):
        images = [listed(3)[row] for row in rows]
        coco(tmp_path, [instance(image=row) for row in rows], images, file=f"{side}.json")
    (doubt,) = read(tmp_path).doubts
    assert "images are in two splits (first: images/1.png, in train and val)" in doubt


@pytest.mark.parametrize("how", ["folders", "lists"])
def test_one_file_over_images_whose_split_stands_elsewhere(tmp_path, how):
    names = ("train/0.png", "train/1.png", "val/2.png")
    if how == "lists":
        names = tuple(name.split("/")[1] for name in names)
        (tmp_path / "train.txt").write_text("0.png\n1.png\n")
        (tmp_path / "val.txt").write_text("2\n")
    for name in names:
        image(tmp_path / "images" / name)
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    annotated = read(coco(tmp_path, [instance(image=n) for n in range(3)], images))
    assert annotated.official
    assert annotated.splits.tolist() == [0, 0, 2]
    assert annotated.doubts == ()


def test_a_file_in_utf_16_is_read(tmp_path):
    root = coco(tmp_path, [instance()])
    file = root / "annotations.json"
    file.write_bytes(file.read_text().encode("utf-16"))
    assert len(read(root).instances) == 1


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"segments_info": [{"id": 1, "bbox": [1, 1, 2, 2]}], "image_id": 1}, "panoptic segments"),
        ({"caption": "a cat", "image_id": 1}, "captions"),
        ({"keypoints": [1, 1, 2], "image_id": 1, "category_id": 10}, "keypoints without boxes"),
    ],
)
def test_other_tasks_are_refused_by_their_name(tmp_path, entry, what):
    with pytest.raises(DataError, match=rf"annotations\.json holds .*{what}"):
        read(coco(tmp_path, [entry]))


@pytest.mark.parametrize("crowd", [0, 1])
def test_a_set_of_crowds_alone_or_of_nothing_is_a_doubt(tmp_path, crowd):
    entries = [instance(iscrowd=1)] * crowd
    annotated = read(coco(tmp_path, entries))
    (doubt,) = annotated.doubts
    assert "there is nothing to learn" in doubt
    with pytest.raises(DataError, match="there is nothing to learn"):
        require_sound(annotated, skip_bad=True)


def test_a_split_that_came_and_shows_nothing_is_a_doubt(tmp_path):
    for side, count in (("train", 1), ("test", 0)):
        image(tmp_path / side / f"{side}.png")
        images = [{"id": 1, "file_name": f"{side}.png"}]
        coco(tmp_path, [instance()] * count, images, file=f"{side}/_annotations.coco.json")
    (doubt,) = read(tmp_path).doubts
    assert doubt.startswith("no test image shows an object: there is nothing to score")


def test_what_skipping_leaves_must_show_something(tmp_path):
    drawn(tmp_path, 2)
    entries = [instance((90, 90, 5, 5), image=0), instance(image=1, iscrowd=1)]
    annotated = read(coco(tmp_path, entries, listed(2)))
    with pytest.raises(DataError, match="that --skip-bad does not leave out show no object"):
        require_sound(annotated, skip_bad=True)


def test_a_file_of_forty_thousand_classes_is_read_in_a_moment(tmp_path):
    entries = [instance((k % 30, k % 20, 4, 4), 10 * (k + 1)) for k in range(40_000)]
    names = [f"class {k}" for k in range(40_000)]
    annotated = read(coco(tmp_path, entries, categories=names))
    assert annotated.instances.label.tolist() == list(range(40_000))
    assert json.dumps(annotated.issues) == "[]"
