import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.formats.sets import image, turned, whats, yolo
from vislab.data.formats.yolo import read, recognises
from vislab.errors import DataError


def test_shares_of_the_image_become_pixels(tmp_path):
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    annotated = read(yolo(tmp_path, ["1 0.5 0.5 0.25 1", "", " 0\t0.1 0.2 0.2 0.4 "]))
    assert annotated.issues == ()
    assert annotated.classes == ("cat", "dog")
    assert annotated.instances.label.tolist() == [1, 0]
    np.testing.assert_allclose(annotated.instances.boxes, [[15, 0, 25, 30], [0, 0, 8, 12]])
    assert annotated.instances.where == ("labels/1.txt, line 1", "labels/1.txt, line 3")


def test_an_outline_becomes_a_polygon_and_the_box_around_it(tmp_path):
    annotated = read(yolo(tmp_path, ["0 0.25 0.1 0.75 0.1 0.5 0.9"]))
    np.testing.assert_allclose(annotated.instances.boxes, [[10, 3, 30, 27]])
    (polygon,) = annotated.instances.outlines[0]
    np.testing.assert_allclose(polygon, [10, 3, 30, 3, 20, 27])


@pytest.mark.parametrize("above", [False, True])
def test_splits_may_stand_above_or_below(tmp_path, above):
    for split in ("train", "val", "test"):
        image_path = f"{split}/images" if above else f"images/{split}"
        label_path = f"{split}/labels" if above else f"labels/{split}"
        image(tmp_path / image_path / "1.png")
        (tmp_path / label_path).mkdir(parents=True)
        (tmp_path / label_path / "1.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nnames:\n  0: yes\n  1: no\n")
    assert recognises(tmp_path)
    annotated = read(tmp_path)
    assert annotated.official
    splits = dict(zip(annotated.members, annotated.splits.tolist(), strict=True))
    assert sorted(splits.values()) == [0, 1, 2]
    assert all((("train", "val", "test")[split] in member) for member, split in splits.items())
    assert annotated.classes == ("yes", "no")  # words, not what YAML makes of them
    assert len(annotated.instances) == 3


def test_train_and_val_alone_make_val_the_test_split(tmp_path):
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "a", "train")
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "b", "val")
    annotated = read(tmp_path)
    assert annotated.splits.tolist() == [0, 2]
    assert annotated.official


def test_a_lone_train_folder_is_no_split(tmp_path):
    for stem in "abcde":
        yolo(tmp_path, ["0 .5 .5 .5 .5"], stem, "train")
    annotated = read(tmp_path)
    assert not annotated.official
    assert np.bincount(annotated.splits).tolist() == [4, 0, 1]


def test_labels_beside_the_images_need_class_names_to_be_recognised(tmp_path):
    image(tmp_path / "data" / "1.png")
    (tmp_path / "data" / "1.txt").write_text("0 .5 .5 .5 .5\n")
    assert not recognises(tmp_path)
    (tmp_path / "obj.names").write_text("cat\n")
    assert recognises(tmp_path)
    assert len(read(tmp_path).instances) == 1
    (tmp_path / "data" / "1.txt").write_text("a cat on a mat\n")
    assert not recognises(tmp_path)


def test_an_image_without_a_text_shows_nothing_and_a_text_without_image_is_a_flaw(tmp_path):
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "a")
    yolo(tmp_path, [], "empty")
    image(tmp_path / "images" / "b.png")
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "gone", draw=False)
    (tmp_path / "labels" / "classes.txt").write_text("cat\n")
    annotated = read(tmp_path)
    assert [(issue.where, issue.what) for issue in annotated.issues] == [
        ("labels/gone.txt", "its image is missing")
    ]
    assert annotated.members == ("images/a.png", "images/b.png", "images/empty.png")
    assert any("1 images have no text file" in note for note in annotated.notes)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0 0.5 0.5 0.25", "a class and 4 numbers are wanted"),
        ("0 0.5 0.5 0.25 0.5 0.9", "a class and 4 numbers are wanted"),
        ("0", "a class and 4 numbers are wanted"),
        ("cat 0.5 0.5 0.25 0.5", "it holds what is no number"),
        ("0 nan 0.5 0.25 0.5", "it holds what is no number"),
        ("0 0.5 inf 0.25 0.5", "it holds what is no number"),
        ("0 1e999 0.5 0.25 0.5", "it holds what is no number"),
        ("-1 0.5 0.5 0.25 0.5", "its class is no number from 0"),
        ("0.5 0.5 0.5 0.25 0.5", "its class is no number from 0"),
        ("2 0.5 0.5 0.25 0.5", "its class is unknown"),
        ("0 20 15 10 10", "its numbers are no shares of the image"),
        ("0 0.5 0.5 -0.1 0.5", "its box is empty or inverted"),
        ("0 1.2 0.5 0.1 0.5", "its box lies outside the image"),
        ("0 0.9 0.5 0.3 0.5", "its box sticks out of the image"),
        ("0 0.1 0.1 1.3 0.1 0.5 0.5", "its box sticks out of the image"),
    ],
)
def test_a_wrong_line_is_a_flaw_and_the_others_are_read(tmp_path, line, what):
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    annotated = read(yolo(tmp_path, [line, "0 0.5 0.5 0.5 0.5"]))
    (issue,) = annotated.issues
    assert issue.what.startswith(what)
    assert (issue.where, issue.row) == ("labels/1.txt, line 1", 0)
    assert len(annotated.instances) == 1


def test_without_names_classes_are_called_by_their_numbers_and_none_is_endless(tmp_path):
    annotated = read(yolo(tmp_path, ["2 0.5 0.5 0.5 0.5", "99999 0.5 0.5 0.5 0.5"]))
    assert annotated.classes == ("class 0", "class 1", "class 2")
    assert whats(annotated) == ["its class is unknown: 99999, of 10000 classes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a, b\n", "no YAML that can be read"),
        ("names: {0: a, 2: b}\n", "numbered from 0 without a gap"),
        ("names: 3\n", "should be a list of class names"),
        ("names: [a, a]\n", "names class 'a' twice"),
    ],
)
def test_class_names_that_make_no_sense_are_refused_with_the_file(tmp_path, text, message):
    yolo(tmp_path, ["0 .5 .5 .5 .5"])
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=r"data\.yaml") as error:
        read(tmp_path)
    assert message in str(error.value)


def test_shares_are_of_the_image_as_it_is_seen(tmp_path):
    image(tmp_path / "images" / "1.jpg", exif=turned())
    yolo(tmp_path, ["0 0.5 0.5 1 1"], draw=False)
    assert read(tmp_path).instances.boxes.tolist() == [[0, 0, 30, 40]]


def test_a_broken_image_is_a_flaw_and_its_labels_are_not_read(tmp_path):
    yolo(tmp_path, ["0 .5 .5 .5 .5"])
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "2")
    (tmp_path / "images" / "1.png").write_bytes(b"")
    annotated = read(tmp_path)
    assert [issue.row for issue in annotated.issues] == [0]
    assert annotated.instances.image.tolist() == [1]


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.binary(max_size=60)
    | st.lists(
        st.lists(
            st.floats().map(repr) | st.integers().map(str) | st.text(max_size=3), max_size=9
        ).map(" ".join),
        max_size=4,
    ).map(lambda lines: "\n".join(lines).encode("utf-8", errors="replace"))
)
def test_whatever_stands_in_a_text_it_is_read_or_a_flaw(tmp_path, content):
    if not (tmp_path / "labels").exists():
        yolo(tmp_path, ["0 .5 .5 .5 .5"], "good")
        yolo(tmp_path, [], "bad")
    (tmp_path / "labels" / "bad.txt").write_bytes(content)
    annotated = read(tmp_path)
    assert len(annotated) == 2
    corners = annotated.instances.boxes
    assert (corners >= 0).all()
    assert (corners <= [40, 30, 40, 30]).all()
    assert len(annotated.classes) <= 10_000
