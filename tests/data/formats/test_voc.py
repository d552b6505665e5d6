import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.formats.sets import image, turned, voc, voc_object, whats
from vislab.data.annotations import require_sound
from vislab.data.formats.voc import read, recognises
from vislab.errors import DataError


def test_a_box_counts_from_one_and_its_last_pixel_lies_inside(tmp_path):
    root = voc(
        tmp_path, instances=voc_object("dog", (1, 1, 40, 30)) + voc_object("cat", (3, 5, 3, 5))
    )
    annotated = read(root)
    assert annotated.issues == ()
    assert annotated.instances.boxes.tolist() == [[0, 0, 40, 30], [2, 4, 3, 5]]
    assert annotated.classes == ("cat", "dog")
    assert annotated.instances.label.tolist() == [1, 0]
    assert annotated.instances.where == (
        "Annotations/1.xml, object 1",
        "Annotations/1.xml, object 2",
    )


def test_difficult_is_kept_and_the_boxes_of_parts_are_not_taken_for_the_instances(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin></bndbox></part>"
    instances = voc_object(more="<difficult>1</difficult>" + part) + voc_object(
        box=(5, 5, 9.5, 9.25)
    )
    annotated = read(voc(tmp_path, instances=instances))
    assert annotated.issues == ()
    assert annotated.instances.difficult.tolist() == [True, False]
    assert annotated.classes == ("cat",)
    assert annotated.instances.boxes[1].tolist() == [4, 4, 9.5, 9.25]


def test_lists_of_the_development_kit_give_the_splits_and_choose_the_images(tmp_path):
    base = tmp_path / "VOCdevkit" / "VOC2007"
    for stem in ("a", "b", "c", "d", "unlisted"):
        voc(base, stem, voc_object())
        image(base / "SegmentationClass" / f"{stem}.png")
    lists = base / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, stems in {"train": "a", "val": "b", "trainval": "a b d", "test": "c"}.items():
        (lists / f"{name}.txt").write_text("\n".join(stems.split()) + "\n\n")
    (lists / "cat_train.txt").write_text("a -1\nz 1\n")
    annotated = read(tmp_path)
    assert annotated.issues == ()
    splits = {m.rsplit("/", 1)[1]: s for m, s in zip(annotated.members, annotated.splits.tolist(),
                                                   strict=True)}  # fmt: skip
    assert splits == {"a.png": 0, "b.png": 1, "c.png": 2, "d.png": 0}
    assert all("JPEGImages" in member for member in annotated.members)
    assert annotated.official
    assert any("1 annotations that no list" in note for note in annotated.notes)


def test_a_list_that_names_nothing_or_two_splits_is_a_flaw(tmp_path):
    voc(tmp_path, "a", voc_object())
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n../../b\n")
    (lists / "test.txt").write_text("a\n")
    issues = read(tmp_path).issues
    assert [(issue.where, issue.what.split(":")[0]) for issue in issues] == [
        ("ImageSets/Main/train.txt, line 2", "its annotation is missing"),
        ("ImageSets/Main/test.txt, line 1", "it is in two splits"),
    ]


def test_a_list_that_names_all_classes_gives_their_order(tmp_path):
    (tmp_path / "voc.names").write_text("dog\n\n Cat \ncow\n")
    annotated = read(voc(tmp_path, instances=voc_object("cat") + voc_object("cow", (2, 2, 5, 5))))
    assert annotated.classes == ("dog", "cat", "cow")
    assert annotated.instances.label.tolist() == [1, 2]
    assert annotated.issues == annotated.doubts == ()


def test_a_list_that_lacks_a_class_is_another_programs(tmp_path):
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    annotated = read(voc(tmp_path, instances=voc_object("cat") + voc_object("cow", (2, 2, 5, 5))))
    assert annotated.classes == ("cat", "cow")
    assert annotated.issues == ()
    assert "classes.txt was not used: it does not name 'cow'" in annotated.notes


@pytest.mark.parametrize("file", ["{}.png", "JPEGImages/{}.png", "{}.xml", "{} 1", "{}.png -1"])
@pytest.mark.parametrize("sets", ["Main", "Segmentation", "own"])
def test_lists_may_have_endings_folders_and_a_second_column(tmp_path, file, sets):
    for stem in ("a", "b b", "c.1", "d"):
        voc(tmp_path, stem, voc_object())
    lists = tmp_path / "ImageSets" / sets
    lists.mkdir(parents=True)
    for name, stems in {"train": ("a", "b b"), "val": ("c.1",)}.items():
        (lists / f"{name}.txt").write_text("".join(f"{file.format(stem)}\n" for stem in stems))
    annotated = read(tmp_path)
    assert annotated.issues == annotated.doubts == ()
    assert annotated.members == ("JPEGImages/a.png", "JPEGImages/b b.png", "JPEGImages/c.1.png")
    assert annotated.splits.tolist() == [0, 0, 2]
    assert annotated.official


def test_lists_that_contradict_the_folders_are_a_doubt(tmp_path):
    for side, stem in (("train", "a"), ("val", "b")):
        image(tmp_path / "JPEGImages" / side / f"{stem}.png")
        voc(tmp_path, stem, voc_object(), draw=False)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("b\n")
    (lists / "val.txt").write_text("a\n")
    (doubt,) = read(tmp_path).doubts
    assert "ImageSets/Main/train.txt" in doubt
    assert "the names of folders disagree on the split of 2 images" in doubt


@pytest.mark.parametrize("stale", ["2.png", "C:\\old\\2.png", "2"])
def test_a_name_inside_and_a_name_outside_that_are_two_images_are_a_doubt(tmp_path, stale):
    voc(tmp_path, "1", voc_object(), filename=stale)
    image(tmp_path / "JPEGImages" / "2.png")
    annotated = read(tmp_path)
    if stale.startswith("C:"):  # as every path that leads out
        assert whats(annotated)[0].startswith("its path leads out of the folder")
        return
    (doubt,) = annotated.doubts
    assert "Annotations/1.xml" in doubt
    assert "JPEGImages/1.png" in doubt
    with pytest.raises(DataError, match="either pairing may be wrong"):
        require_sound(annotated, skip_bad=True)


@pytest.mark.parametrize("filename", ["C:\\Users\\me\\1.png", "/home/me/1.jpg", "1", "1.PNG"])
def test_a_name_from_another_machine_that_is_the_files_own_is_read(tmp_path, filename):
    annotated = read(voc(tmp_path, instances=voc_object(), filename=filename))
    assert annotated.issues == annotated.doubts == ()
    assert annotated.members == ("JPEGImages/1.png",)


def test_an_image_without_an_xml_among_others_shows_nothing(tmp_path):
    for side in ("train", "valid"):
        for stem in ("a", "b"):
            image(tmp_path / side / f"{side}_{stem}.png")
        file = tmp_path / side / f"{side}_a.xml"
        file.write_text(f"<annotation><filename>{side}_a.png</filename>{voc_object()}</annotation>")
    image(tmp_path / "train" / "train_a.jpg")  # such as a depth map
    image(tmp_path / "test" / "c.png")
    annotated = read(tmp_path)
    assert annotated.issues == annotated.doubts == ()
    assert sorted(annotated.members) == [
        f"{side}/{side}_{stem}.png" for side in ("train", "valid") for stem in ("a", "b")
    ]
    assert len(annotated.instances) == 2
    for note in ("2 images have no XML", "1 images that share the name", "1 images in folders"):
        assert any(text.startswith(note) for text in annotated.notes)


def test_a_whole_split_without_annotations_is_not_taken_for_empty_images(tmp_path):
    for stem in ("a", "b"):
        voc(tmp_path, stem, voc_object())
    image(tmp_path / "JPEGImages" / "empty.png")
    image(tmp_path / "JPEGImages" / "unknown.png")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nempty\n")
    (lists / "val.txt").write_text("b\n")
    (lists / "test.txt").write_text("unknown\n")
    annotated = read(tmp_path)
    (issue,) = annotated.issues
    assert issue.where == "JPEGImages/unknown.png"
    assert issue.what.startswith("its annotation is missing")
    assert "JPEGImages/empty.png" in annotated.members


def test_an_annotation_that_fits_several_images_alike_is_a_flaw(tmp_path):
    for folder in ("north", "south"):
        image(tmp_path / folder / "1.png")
    voc(tmp_path, "1", voc_object(), draw=False)
    (what,) = whats(read(tmp_path))
    assert what == "several images fit it: north/1.png, south/1.png"


def test_equal_names_in_two_splits_are_told_apart_by_their_folders(tmp_path):
    for kind, side in (("cat", "train"), ("dog", "val")):
        image(tmp_path / "JPEGImages" / side / "1.png")
        file = tmp_path / "Annotations" / side / "1.xml"
        file.parent.mkdir(parents=True)
        file.write_text(f"<annotation><filename>1.png</filename>{voc_object(kind)}</annotation>")
    annotated = read(tmp_path)
    assert annotated.issues == ()
    assert annotated.members == ("JPEGImages/train/1.png", "JPEGImages/val/1.png")
    assert annotated.splits.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("instances", "what"),
    [
        (voc_object(box=(41, 1, 50, 10)), "its box lies outside the image"),
        (voc_object(box=(1, 1, 42, 10)), "its box sticks out of the image"),
        (voc_object(box=(9, 1, 8, 10)), "its box is empty or inverted"),
        (voc_object(box=("", 1, 8, 10)), "its box is not four numbers"),
        (voc_object(box=("nan", 1, 8, 10)), "its box is not four numbers"),
        (voc_object(box=("1e999", 1, 8, 10)), "its box is not four numbers"),
        (voc_object(box=("1_0", 1, 18, 10)), "its box is not four numbers"),
        ("<object><name>cat</name></object>", "its box is not four numbers"),
        ("<object/>", "its class is unknown"),
        (voc_object(more="<difficult>maybe</difficult>"), "difficult is not 0 or 1"),
    ],
)
def test_a_wrong_instance_is_a_flaw_and_the_others_are_read(tmp_path, instances, what):
    annotated = read(voc(tmp_path, instances=instances + voc_object(box=(0, 0, 41, 31))))
    (text,) = whats(annotated)
    assert text.startswith(what)
    # counted from 0 by mistake, it sticks out by one pixel: cut off
    assert annotated.instances.boxes.tolist() == [[0, 0, 40, 30]]


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE a><annotation></annotation>",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b"<annotation><filename>&x;</filename></annotation>",
        f'<!DOCTYPE a [<!ENTITY a0 "lol">{BOMB}]><annotation>&a11;</annotation>'.encode(),
        '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>'.encode("utf-16"),
    ],
    ids=["type", "file", "bomb", "utf-16"],
)
def test_a_document_type_or_an_entity_is_refused_unread(tmp_path, content):
    voc(tmp_path, "good", voc_object())
    voc(tmp_path, "bad")
    (tmp_path / "Annotations" / "bad.xml").write_bytes(content)
    tracemalloc.start()
    annotated = read(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (issue,) = annotated.issues
    assert "declares a document type or an entity, which is refused" in issue.what
    assert issue.where == "Annotations/bad.xml"
    assert annotated.members[issue.row] == "JPEGImages/bad.png"
    assert len(annotated.instances) == 1
    assert peak < 20e6


@pytest.mark.parametrize("content", [b"", b"<annotation>", b"\xff\xfe<", b"<a></b>", b"<a>" * 500])
def test_xml_that_is_broken_is_a_flaw(tmp_path, content):
    voc(tmp_path, "good", voc_object())
    voc(tmp_path, "bad")
    (tmp_path / "Annotations" / "bad.xml").write_bytes(content)
    (text,) = whats(read(tmp_path))
    assert text.startswith("it cannot be read: ")


@pytest.mark.parametrize(
    ("filename", "what"),
    [
        ("../../secret.png", "its path leads out of the folder"),
        ("/etc/passwd", "its path leads out of the folder"),
        ("..\\secret.png", "its path leads out of the folder"),
    ],
)
def test_a_file_name_that_leads_out_is_a_flaw_of_its_image(tmp_path, filename, what):
    image(tmp_path / "secret.png")
    annotated = read(voc(tmp_path / "set", instances=voc_object(), filename=filename))
    (issue,) = annotated.issues
    assert issue.what.startswith(what)
    assert annotated.members == ("JPEGImages/1.png",)
    assert issue.row == 0


def test_the_image_is_found_by_its_stem_when_the_file_name_is_wrong(tmp_path):
    annotated = read(voc(tmp_path, instances=voc_object(), filename="was_renamed.jpg"))
    assert annotated.issues == ()
    assert annotated.members == ("JPEGImages/1.png",)


def test_an_image_that_is_missing_or_of_another_size_is_a_flaw(tmp_path):
    voc(tmp_path, "gone", voc_object(), draw=False)
    voc(tmp_path, "small", voc_object(), size=(39, 30))
    voc(tmp_path, "unknown", voc_object(), size=(0, 0))
    voc(tmp_path, "wrong", voc_object(), size=("a", -3))
    issues = {issue.where: issue.what.split(":")[0] for issue in read(tmp_path).issues}
    assert issues == {
        "Annotations/gone.xml": "its image is missing",
        "Annotations/small.xml": "the annotation is of another size",
        "Annotations/wrong.xml": "its size is none",
    }


def test_an_image_turned_by_exif_counts_as_it_is_seen(tmp_path):
    image(tmp_path / "JPEGImages" / "1.jpg", exif=turned(8))
    voc(tmp_path, instances=voc_object(box=(1, 31, 30, 40)), size=(30, 40), filename="1.jpg",
        draw=False)  # fmt: skip
    annotated = read(tmp_path)
    assert annotated.issues == ()
    assert annotated.sizes.tolist() == [[30, 40]]
    assert any("1 images are turned by their EXIF note" in note for note in annotated.notes)
    voc(tmp_path, instances=voc_object(), size=(40, 30), filename="1.jpg", draw=False)
    assert "its EXIF note turns it" in whats(read(tmp_path))[0]


def test_xml_of_something_else_is_not_recognised(tmp_path):
    image(tmp_path / "1.png")
    (tmp_path / "page.xml").write_text("<html><body/></html>")
    assert not recognises(tmp_path)
    with pytest.raises(DataError, match="no XML annotation"):
        read(tmp_path)


xml = st.recursive(
    st.text("ab<>&;1", max_size=4),
    lambda inner: st.builds(
        "<{0}>{1}</{0}>".format,
        st.sampled_from(
            ["annotation", "object", "name", "bndbox", "xmin", "size", "width", "filename"]
        ),
        st.lists(inner, max_size=4).map("".join),
    ),
    max_leaves=12,
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=xml.map(str.encode) | st.binary(max_size=40), inside=st.booleans())
def test_whatever_stands_in_an_xml_it_is_read_or_a_flaw(tmp_path, content, inside):
    if not (tmp_path / "Annotations").exists():
        voc(tmp_path, "good", voc_object())
        voc(tmp_path, "bad")
    if inside:
        content = b"<annotation>" + content + b"</annotation>"
    (tmp_path / "Annotations" / "bad.xml").write_bytes(content)
    annotated = read(tmp_path)
    assert "JPEGImages/good.png" in annotated.members
    assert np.isfinite(annotated.instances.boxes).all()
