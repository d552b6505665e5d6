"""Which text belongs to which image: exactly, then by what names mean, never by halves."""

import pytest

from tests.data.formats.sets import image, whats, yolo
from vislab.data.formats.yolo import read, recognises
from vislab.errors import DataError


def label(path, kind=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{kind} .5 .5 .5 .5\n")


def kinds(annotated):
    """Return the class of each image's object by its path."""
    instances = annotated.instances
    rows = zip(instances.image.tolist(), instances.label.tolist(), strict=True)
    return {annotated.members[row]: kind for row, kind in rows}


@pytest.mark.parametrize("apart", [True, False])
def test_names_that_differ_in_case_alone_keep_apart(tmp_path, apart):
    folders = ("images", "labels") if apart else ("data", "data")
    for kind, stem in enumerate(("A1", "a1")):
        image(tmp_path / folders[0] / f"{stem}.png")
        label(tmp_path / folders[1] / f"{stem}.txt", kind)
    (tmp_path / "obj.names").write_text("left\nright\n")
    annotated = read(tmp_path)
    assert annotated.doubts == annotated.issues == ()
    assert kinds(annotated) == {f"{folders[0]}/A1.png": 0, f"{folders[0]}/a1.png": 1}


def test_a_name_in_another_case_or_form_is_found_where_nothing_else_fits(tmp_path):
    image(tmp_path / "images" / "IMG_1.png")
    image(tmp_path / "images" / "Ba\u0308r.png")
    label(tmp_path / "labels" / "img_1.txt")
    label(tmp_path / "labels" / "B\u00e4r.txt")
    annotated = read(tmp_path)
    assert len(annotated.instances) == 2
    assert annotated.issues == annotated.doubts == ()


@pytest.mark.parametrize("folders", [("images", "images"), ("images", "imgs")])
def test_a_text_that_fits_two_images_is_a_doubt_that_names_both(tmp_path, folders):
    image(tmp_path / folders[0] / "3.jpg")
    image(tmp_path / folders[1] / "3.png")
    label(tmp_path / "labels" / "3.txt")
    (doubt,) = read(tmp_path).doubts
    assert f"{folders[0]}/3.jpg" in doubt
    assert f"{folders[1]}/3.png" in doubt
    assert "labels/3.txt" in doubt


def test_two_texts_that_fit_an_image_and_differ_are_a_doubt(tmp_path):
    image(tmp_path / "images" / "1.png")
    label(tmp_path / "labels" / "1.txt")
    label(tmp_path / "label" / "1.txt")
    assert read(tmp_path).doubts == ()
    label(tmp_path / "label" / "1.txt", 1)
    (doubt,) = read(tmp_path).doubts
    assert "label/1.txt and labels/1.txt" in doubt


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/{}", "labels/{}_labels"),
        ("{}_images", "{}_labels"),
        ("images_{}", "labels_{}"),
        ("{}/images", "labels/{}"),
        ("images/{}2017", "labels/{}"),
        ("images/{}", "labels"),
        ("{}", "labels/{}"),
    ],
)
def test_folders_that_mean_the_same_belong_together(tmp_path, images, labels):
    for kind, (side, stem) in enumerate((("train", "a"), ("val", "b"))):
        image(tmp_path / images.format(side) / f"{stem}.png")
        label(tmp_path / labels.format(side) / f"{stem}.txt", kind)
    assert recognises(tmp_path)
    annotated = read(tmp_path)
    assert annotated.issues == annotated.doubts == ()
    assert kinds(annotated) == {
        f"{images.format('train')}/a.png": 0, f"{images.format('val')}/b.png": 1
    }  # fmt: skip


def test_labels_of_another_split_are_not_taken(tmp_path):
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "a", "train")
    image(tmp_path / "images" / "train" / "b.png")
    label(tmp_path / "labels" / "val" / "b.txt")
    annotated = read(tmp_path)
    assert kinds(annotated) == {"images/train/a.png": 0}
    assert [issue.where for issue in annotated.issues] == ["labels/val/b.txt"]


def test_labels_that_fit_no_image_at_all_are_named(tmp_path):
    image(tmp_path / "images" / "a.png")
    label(tmp_path / "labels" / "b.txt")
    assert recognises(tmp_path)
    with pytest.raises(DataError, match=r"1 label files fit none, first: labels/b\.txt"):
        read(tmp_path)


def test_the_labels_of_an_image_called_classes_are_no_list(tmp_path):
    yolo(tmp_path, ["1 .5 .5 .5 .5"], "classes")
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "other")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    annotated = read(tmp_path)
    assert annotated.classes == ("cat", "dog")
    assert len(annotated.instances) == 2


def test_images_without_any_labels_beside_them_are_counted_and_not_taken_for_empty(tmp_path):
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "a", "train")
    image(tmp_path / "images" / "test" / "b.png")
    annotated = read(tmp_path)
    assert annotated.members == ("images/train/a.png",)
    assert any("1 images in folders without any labels" in note for note in annotated.notes)


def test_the_label_of_a_photograph_that_cannot_be_opened_says_so(tmp_path):
    yolo(tmp_path, ["0 .5 .5 .5 .5"], "a")
    (tmp_path / "images" / "b.cr2").write_bytes(b"II*\0")
    label(tmp_path / "labels" / "b.txt")
    assert whats(read(tmp_path)) == ["its image cannot be opened: images/b.cr2"]
