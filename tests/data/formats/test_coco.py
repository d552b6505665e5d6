import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.formats.sets import coco, image, instance, turned, whats
from vislab.data.annotations import Annotated
from vislab.data.formats.coco import read, recognises
from vislab.errors import DataError


def test_a_box_of_x_y_width_and_height_becomes_its_corners(tmp_path):
    annotated = read(coco(tmp_path, [instance((1.5, 2, 10, 12.25), 20, iscrowd=1)]))
    assert annotated.issues == ()
    assert annotated.instances.boxes.tolist() == [[1.5, 2.0, 11.5, 14.25]]
    assert annotated.classes == ("cat", "dog")
    assert annotated.instances.label.tolist() == [1]
    assert annotated.instances.crowd.tolist() == [True]
    assert annotated.instances.where == ("annotations.json, annotation 7",)
    assert annotated.members == ("images/1.png",)
    assert annotated.sizes.tolist() == [[40, 30]]


@pytest.mark.parametrize(
    "file", ["annotations.json", "labels/anything.json", "images/_a.coco.json"]
)
def test_the_file_may_have_any_name_beside_or_above_the_images(tmp_path, file):
    coco(tmp_path, [instance()], file=file)
    assert recognises(tmp_path)
    assert len(read(tmp_path).instances) == 1


def test_captions_and_tables_of_something_else_are_not_recognised(tmp_path):
    image(tmp_path / "images" / "1.png")
    (tmp_path / "captions.json").write_text('{"images": [], "annotations": [{"caption": "a"}]}')
    assert not recognises(tmp_path)
    with pytest.raises(DataError, match="no JSON with images, annotations and categories"):
        read(tmp_path)


def test_the_split_is_in_the_files_name_and_equal_names_are_looked_up_in_their_split(tmp_path):
    for split, size in (("train2017", (40, 30)), ("val2017", (20, 10))):
        image(tmp_path / split / "1.png", size)
        images = [{"id": 1, "file_name": "1.png", "width": size[0], "height": size[1]}]
        coco(tmp_path, [instance((0, 0, 5, 5))], images, file=f"annotations/instances_{split}.json")
    (tmp_path / "annotations" / "captions_val2017.json").write_text(
        '{"images": [], "annotations": [], "categories": []}'
    )
    annotated = read(tmp_path)
    assert annotated.issues == ()
    assert annotated.members == ("train2017/1.png", "val2017/1.png")
    assert annotated.official
    assert annotated.splits.tolist() == [0, 2]
    assert any("its val split is used to test on" in note for note in annotated.notes)


def test_exported_folders_with_a_file_each_give_three_splits(tmp_path):
    for split in ("train", "valid", "test"):
        image(tmp_path / split / f"{split}.png")
        images = [{"id": 0, "file_name": f"{split}.png", "width": 40, "height": 30}]
        coco(tmp_path, [instance(image=0)], images, file=f"{split}/_annotations.coco.json")
    annotated = read(tmp_path)
    splits = dict(zip(annotated.members, annotated.splits.tolist(), strict=True))
    assert splits == {"train/train.png": 0, "valid/valid.png": 1, "test/test.png": 2}


def test_without_a_split_a_fifth_is_drawn_by_name_and_not_by_the_order_in_the_file(tmp_path):
    images = []
    for number in range(20):
        image(tmp_path / f"{number:02}.png", (8, 8))
        images.append({"id": number, "file_name": f"{number:02}.png", "width": 8, "height": 8})
    boxes = [instance((0, 0, 4, 4), image=number) for number in range(20)]
    one = read(coco(tmp_path, boxes, images))
    other = read(coco(tmp_path, boxes, images[::-1]))
    assert not one.official
    assert np.bincount(one.splits).tolist() == [16, 0, 4]
    of = dict(zip(one.members, one.splits.tolist(), strict=True))
    assert of == dict(zip(other.members, other.splits.tolist(), strict=True))


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (instance((50, 2, 10, 10)), "its box lies outside the image"),
        (instance((30, 2, 11.5, 10)), "its box sticks out of the image"),
        (instance((5, 5, 0, 3)), "its box is empty or inverted"),
        (instance((5, 5, 4, -3)), "its box is empty or inverted"),
        (instance((float("nan"), 5, 4, 3)), "its box is not four numbers"),
        (instance((10**400, 5, 4, 3)), "its box is not four numbers"),
        (instance((1, 2, 3)), "its box is not four numbers"),
        ({**instance(), "bbox": None}, "its box is not four numbers"),
        ({**instance(), "bbox": {"x": 1}}, "its box is not four numbers"),
        ({**instance(), "bbox": [1, 2, "3", True]}, "its box is not four numbers"),
        (instance(category=99), "its class is unknown"),
        (instance(category="ten"), "its class is unknown"),
        (instance(category=10.5), "its class is unknown"),
        (instance(image=5), "its image is not in the list"),
        (instance(image=[1]), "its image is not in the list"),
        (instance(iscrowd=3), "iscrowd or ignore is not 0 or 1"),
        (instance(segmentation=[[1, 2, 3, 4]]), "its outline cannot be read"),
        (instance(segmentation=[[1, 2, 3, 4, 5, None]]), "its outline cannot be read"),
        (instance(segmentation=[[1, 2, 3, 4, 5, 1e6]]), "its outline cannot be read"),
        (instance(segmentation={"size": [30, 40], "counts": [5]}), "its outline cannot be read"),
        (instance(segmentation={"size": [30, 41], "counts": [1230]}), "its outline cannot be read"),
        (instance(segmentation={"size": [30, 40], "counts": "\x7f"}), "its outline cannot be read"),
        (instance(segmentation={"size": [30, 40], "counts": {}}), "its outline cannot be read"),
        (instance(segmentation="polygon"), "its outline cannot be read"),
        ("text", "it is no object"),
    ],
)
def test_a_wrong_annotation_is_a_flaw_and_the_others_are_read(tmp_path, entry, what):
    annotated = read(coco(tmp_path, [entry, instance((0, 0, 3, 3))]))
    (issue,) = annotated.issues
    assert issue.what.startswith(what)
    assert issue.where.startswith("annotations.json, annotation ")
    assert annotated.instances.boxes.tolist() == [[0, 0, 3, 3]]


def test_a_box_that_sticks_out_by_one_pixel_is_cut_off_silently(tmp_path):
    annotated = read(coco(tmp_path, [instance((-1, -0.5, 42, 31.5))]))
    assert annotated.issues == ()
    assert annotated.instances.boxes.tolist() == [[0, 0, 40, 30]]


def test_a_box_that_stands_there_twice_is_a_flaw_and_counts_once(tmp_path):
    twice = [instance(), instance(), instance(category=20)]
    annotated = read(coco(tmp_path, twice))
    assert len(annotated.instances) == 2
    assert whats(annotated) == ["it stands there twice: annotations.json, annotation 7"]
    assert annotated.issues[0].row == 0


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("../secret.png", "its path leads out of the folder"),
        ("a/../../secret.png", "its path leads out of the folder"),
        ("/etc/secret.png", "its path leads out of the folder"),
        ("C:\\secret.png", "its path leads out of the folder"),
        ("a\\..\\..\\secret.png", "its path leads out of the folder"),
        ("nowhere.png", "its image is missing"),
        ("a\ud800\0.png", "its path leads out of the folder"),
        (7, "its file_name is no text"),
    ],
)
def test_a_path_is_looked_up_among_the_files_of_the_folder_only(tmp_path, name, what):
    root = tmp_path / "set"
    image(tmp_path / "secret.png")
    image(root / "1.png")
    images = [
        {"id": 1, "file_name": name, "width": 40, "height": 30},
        {"id": 2, "file_name": "1.png", "width": 40, "height": 30},
    ]
    annotated = read(coco(root, [instance(), instance(image=2)], images))
    assert whats(annotated)[0].startswith(what)
    assert not any(".." in member for member in annotated.members)
    assert "1.png" in annotated.members


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (
            {"id": 1, "file_name": "1.png", "width": 30, "height": 40},
            "the annotation is of another",
        ),
        ({"id": 1, "file_name": "1.png", "width": "x", "height": 40}, "its size is none"),
        ({"id": 1, "file_name": "1.png", "width": 10**400, "height": 40}, "its size is none"),
        ({"id": 1.5, "file_name": "1.png"}, "its id is no whole number"),
        ({"id": 2, "file_name": "1.png"}, "its image is named twice"),
        (None, "it is no object"),
    ],
)
def test_a_wrong_image_is_a_flaw(tmp_path, entry, what):
    image(tmp_path / "1.png")
    images = [entry, {"id": 2, "file_name": "1.png"}]
    if isinstance(entry, dict) and entry["id"] == 1:
        images = [entry]
    annotated = read(coco(tmp_path, [instance(image=2)], images, file="a.json"))
    assert any(text.startswith(what) for text in whats(annotated))


def test_an_image_that_cannot_be_read_is_a_flaw(tmp_path):
    root = coco(tmp_path, [instance()])
    (tmp_path / "images" / "1.png").write_bytes(b"<html>")
    (issue,) = read(root).issues
    assert (issue.where, issue.row) == ("images/1.png", 0)
    assert issue.what.startswith("the image is no image")


def test_boxes_count_the_image_as_its_exif_note_turns_it(tmp_path):
    image(tmp_path / "1.jpg", exif=turned())  # 40×30 as stored, 30×40 as seen
    seen = [{"id": 1, "file_name": "1.jpg", "width": 30, "height": 40}]
    annotated = read(coco(tmp_path, [instance((0, 30, 10, 10))], seen))
    assert annotated.issues == ()
    assert annotated.sizes.tolist() == [[30, 40]]
    stored = [{"id": 1, "file_name": "1.jpg", "width": 40, "height": 30}]
    (issue,) = read(coco(tmp_path, [instance()], stored)).issues
    assert "its EXIF note turns it: 40×30 to 30×40" in issue.what
    silent = [{"id": 1, "file_name": "1.jpg"}]
    assert read(coco(tmp_path, [instance()], silent)).sizes.tolist() == [[30, 40]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"images": [],\n "annotations": [], "categories": [}',
            "line 2, column 36: no valid JSON",
        ),
        ('{"images": [], "annotations": {}, "categories": []}', "lacks 'annotations'"),
        ('["images", "annotations", "categories"]', "should hold an object"),
        ('"images" "annotations" "categories"', "no valid JSON"),
        ('{"images": 1, "annotations": "categories"', "no valid JSON"),
        ("[" * 100_000 + '"images" "annotations" "categories"', "no valid JSON"),
        ('{"categories":[], "images": [], "annotations": [' + "9" * 5000 + "]}", "no valid JSON"),
    ],
)
def test_a_file_that_is_no_coco_is_named_with_the_place(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json") as error:
        read(tmp_path)
    assert message in str(error.value)


def test_two_categories_of_one_name_are_one_class_and_a_wrong_one_is_a_flaw(tmp_path):
    categories = [
        {"id": 0, "name": "fish", "supercategory": "none"},
        {"id": 1, "name": " fish\n"},
        {"id": 2, "name": "eel\x1b"},
        {"id": 2, "name": "crab"},
        {"id": 3, "name": ""},
        {"id": None, "name": "x"},
        3,
    ]
    annotated = read(coco(tmp_path, [instance(category=1)], categories=categories))
    assert annotated.classes == ("fish", "eel\N{REPLACEMENT CHARACTER}")
    assert annotated.instances.label.tolist() == [0]
    assert [text.split(":")[0] for text in whats(annotated)] == [
        "its id stands there twice",
        "its name is no text",
        "its id is no whole number",
        "it is no object",
    ]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from([1, 10, 20, "1.png", 10**400, float("nan")]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["size", "counts", "id", "name"]), inner, max_size=3)
    ),
    max_leaves=6,
)
sane_or_not = {
    "images": {"id": st.just(1), "file_name": st.just("1.png"), "width": st.just(40),
               "height": st.just(30)},
    "annotations": {
        "id": st.integers(0, 5), "image_id": st.just(1), "category_id": st.sampled_from([10, 20]),
        "bbox": st.lists(st.floats(0, 30), min_size=4, max_size=4), "iscrowd": st.just(0),
        "segmentation": st.just([[1, 1, 5, 1, 5, 5]]),
    },
    "categories": {"id": st.sampled_from([10, 20]), "name": st.sampled_from(["cat", "dog"])},
}  # fmt: skip
told = st.fixed_dictionaries(
    {
        key: st.lists(
            st.one_of(
                anything, st.fixed_dictionaries({k: v | anything for k, v in fields.items()})
            ),
            max_size=4,
        )
        for key, fields in sane_or_not.items()
    }
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=told)
def test_whatever_stands_in_the_file_it_is_read_or_refused_in_a_sentence(tmp_path, told):
    if not (tmp_path / "1.png").exists():
        image(tmp_path / "1.png")
    (tmp_path / "a.json").write_text(json.dumps(told))
    try:
        annotated = read(tmp_path)
    except DataError:
        return
    assert isinstance(annotated, Annotated)
    for text in whats(annotated):
        text.encode()  # so that it can be printed
    corners, sizes = annotated.instances.boxes, annotated.sizes[annotated.instances.image]
    assert np.isfinite(corners).all()
    assert (corners[:, 2:] > corners[:, :2]).all()
    known = sizes.min(axis=1) > 0
    assert (corners[known, 2:] <= sizes[known]).all()
    assert (corners[known] >= 0).all()
