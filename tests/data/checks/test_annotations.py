from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.sets import image, made, mask, voc, voc_object
from vislab.data.annotations import AnnotationIssue, require_sound
from vislab.data.checks.annotation_sheet import COLOURS, annotation_sheet
from vislab.data.checks.annotations import check_annotated
from vislab.data.formats import read_annotated
from vislab.errors import DataError

SOUND = [
    (0, (1, 1, 10, 10), 0, {}), (0, (1, 15, 12, 25), 1, {}), (1, (1, 1, 5, 5), 0, {}),
    (2, (3, 3, 9, 9), 0, {}), (2, (15, 3, 29, 9), 1, {}),
]  # fmt: skip


def looked_at(annotated):
    return check_annotated(annotated, progress=False)


def only(issues):
    (issue,) = issues
    return issue


def test_a_sound_set_has_nothing_that_spoils_and_nothing_to_warn_of(tmp_path, capsys):
    issues = check_annotated(made(tmp_path, SOUND))
    assert capsys.readouterr() == ("", "")
    assert issues.spoils == issues.warnings == ()
    assert issues.lines()[-1] == "nothing found that would spoil a result"


def test_the_facts_count_instances_and_images_by_split(tmp_path):
    instances = [*SOUND, (0, (20, 1, 25, 5), 0, {"crowd": True}), (1, (6, 6, 40, 30), 0, {})]
    facts = looked_at(made(tmp_path, instances, images=4, splits=[0, 0, 2, 1])).facts
    assert (facts["form"], facts["images"], facts["instances"]) == ("coco", 4, 7)
    assert facts["classes"]["cat"] == {
        "train": {"instances": 4, "images": 2},
        "val": {"instances": 0, "images": 0},
        "test": {"instances": 1, "images": 1},
    }
    assert facts["splits"] == {"train": 2, "val": 1, "test": 1}
    assert facts["instances_per_image"] == {"min": 0, "median": 2.0, "max": 3}
    assert (facts["without_instances"], facts["crowds"], facts["difficult"]) == (1, 1, 0)
    assert facts["width"] == {"min": 40, "median": 41.5, "max": 43}


@pytest.mark.parametrize(
    ("side", "size"), [(31.9, "small"), (32, "medium"), (95.9, "medium"), (96, "large")]
)
def test_sizes_of_boxes_are_told_apart_as_coco_does(tmp_path, side, size):
    annotated = made(tmp_path, [(0, (0, 0, side, side), 0, {})])
    sizes = looked_at(annotated).facts["box_sizes"]
    assert sizes == {**dict.fromkeys(("small", "medium", "large"), 0), size: 1}


def test_flaws_are_told_by_label_and_file_and_spoil(tmp_path):
    issues = (
        AnnotationIssue("b.xml, object 1", "its box lies outside the image: far", 0),
        AnnotationIssue("a.xml, object 2", "its box lies outside the image: further", 1),
        AnnotationIssue("c.xml", "its image is missing", None),
    )
    spoiling = looked_at(replace(made(tmp_path, SOUND), issues=issues)).spoiling
    outside, missing = spoiling
    assert outside.sentence.startswith(
        "2 annotations cannot be used (its box lies outside the image); mend"
    )
    assert outside.places == ("a.xml, object 2: further", "b.xml, object 1: far")
    assert missing.sentence.startswith("1 annotation cannot be used (its image is missing)")
    assert missing.places == ("c.xml",)


def test_an_image_cut_off_in_the_middle_spoils(tmp_path):
    annotated = made(tmp_path, SOUND)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    issue = only(looked_at(annotated).spoiling)
    assert issue.sentence.startswith("1 image cannot be read to the end")
    assert issue.places[0].startswith("1.png is damaged")


def test_a_test_image_that_is_trained_on_spoils(tmp_path):
    annotated = made(tmp_path, [*SOUND, (3, (1, 1, 5, 5), 1, {})], images=4, splits=[0, 0, 2, 2])
    Image.open(tmp_path / "0.png").save(tmp_path / "3.png", compress_level=0)
    issue = only(looked_at(annotated).spoiling)
    assert "1 test image is also in train or val, equal in every pixel" in issue.sentence
    assert issue.places == ("3.png = 0.png",)


def test_a_box_over_the_whole_image_and_two_nearly_equal_ones_are_warnings(tmp_path):
    instances = [
        *SOUND,
        (0, (0, 0, 40, 29), 0, {}),  # 96.7 % of 40×30
        (1, (0, 0, 38, 30), 1, {}),  # 92.7 % of 41×30
        (2, (3, 3, 9, 8.5), 0, {}),  # IoU 5.5/6 with (3, 3, 9, 9)
        (2, (3, 3, 9, 8.3), 1, {}),  # another class
    ]
    whole, alike = looked_at(made(tmp_path, instances)).doubtful
    assert whole.sentence.startswith("1 box covers over 95 % of the image")
    assert whole.places == ("0.png: object 5 (cat)",)
    assert alike.sentence.startswith("1 pair of boxes is of one class and nearly equal")
    assert alike.places == ("2.png: object 3 (cat) ≈ object 7",)


def test_classes_that_are_missing_from_a_split_are_warnings(tmp_path):
    instances = [(0, (1, 1, 9, 9), 0, {}), (0, (1, 10, 9, 19), 1, {}), (2, (1, 1, 9, 9), 1, {}),
              (2, (10, 10, 19, 19), 2, {})]  # fmt: skip
    annotated = made(tmp_path, instances, classes=("cat", "dog", "cow", "owl"))
    issues = [(issue.sentence, issue.places) for issue in looked_at(annotated).doubtful]
    assert [(sentence.split(";")[0], places) for sentence, places in issues] == [
        ("1 class is in no image to train on", ("cow",)),
        ("1 class is in no image to test on", ("cat",)),
        ("1 class is named and in no image at all", ("owl",)),
    ]


def test_nothing_to_learn_from_spoils(tmp_path):
    annotated = made(tmp_path, SOUND, splits=[2, 2, 2])
    assert "no image is there to train on" in only(looked_at(annotated).spoiling).sentence
    empty = made(tmp_path, [])
    assert "no image shows anything" in looked_at(empty).spoils[0]


def masks(root, count=5):
    for number in range(count):
        image(root / "images" / f"{number}.png")
        values = np.zeros((30, 40), dtype=np.uint8)
        values[:15] = 1
        values[0, : 10 * (number == 0)] = 2
        values[-1] = 255
        mask(root / "masks" / f"{number}.png", values)
    return root


def test_masks_are_counted_in_images_and_pixels(tmp_path):
    issues = looked_at(read_annotated(masks(tmp_path)))
    facts = issues.facts
    (rare,) = [s for s, counts in facts["classes"]["class 2"].items() if counts["images"]]
    images = {"train": 4, "test": 1}[rare]
    assert facts["classes"]["class 2"][rare]["share"] == pytest.approx(10 / (29 * 40 * images))
    assert facts["void_share"] == pytest.approx(1 / 30)
    assert facts["classes"]["class 1"]["train"]["images"] == 4
    assert any("1 class is in no image to" in sentence for sentence in issues.warnings)
    assert "instances" not in facts
    page = "\n".join(issues.lines())
    assert "(masks): 5 images, 3 classes; the split was drawn by vislab" in page
    assert "void              3.3 % of the pixels" in page


def test_the_page_has_a_row_for_each_class_and_few_of_many(tmp_path):
    lines = looked_at(made(tmp_path, SOUND)).lines()
    assert lines[0].endswith("(COCO): 3 images, 2 classes, 5 objects; the split came with the "
                             "images")  # fmt: skip
    row = next(line for line in lines if line.startswith("dog"))
    assert row.split() == ["dog", "1/1", "0/0", "1/1"]
    many = made(tmp_path, SOUND, classes=tuple(f"c{n:02}" for n in range(50)))
    lines = looked_at(many).lines()
    assert sum(line.startswith("c") and "/" in line for line in lines) == 1 + 20
    assert "… 30 classes between these …" in lines


def test_a_name_with_an_escape_does_not_reach_the_terminal(tmp_path):
    issue = AnnotationIssue("a\x1b[31m.xml", "its image is missing: \x1b", None)
    annotated = made(tmp_path, SOUND, classes=("c\x1bt", "dog"))
    issues = looked_at(replace(annotated, issues=(issue,), notes=("\x1b",), name="\x1b"))
    assert "\x1b" not in "\n".join(issues.lines())
    assert "\x1b" not in str(issues.as_json())


def rgb(colour):
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


def count(sheet, colour):
    return int((np.asarray(sheet) == rgb(colour)).all(axis=-1).sum())


def test_the_sheet_draws_each_box_in_the_colour_of_its_class(tmp_path):
    annotated = made(tmp_path, [(0, (10, 10, 30, 25), 0, {})], images=2)
    for row in range(2):
        Image.new("RGB", (40 + row, 30), "#808080").save(tmp_path / f"{row}.png")
    sheet = np.asarray(annotation_sheet(annotated))
    drawn = np.argwhere((sheet == rgb(COLOURS[0])).all(axis=-1))
    # the image of 40×30 stands at (18, 52), eight times as large
    assert (drawn.min(axis=0) <= [52 + 80 + 1, 18 + 80 + 1]).all()
    assert drawn.max(axis=0).tolist() == [52 + 200 - 2, 18 + 240 - 2]
    assert count(sheet, COLOURS[1]) == 0


def test_the_sheet_shows_as_many_classes_as_it_can(tmp_path):
    instances = [(n, (1, 1, 20, 20), label, {}) for n, label in enumerate([0, 0, 0, 0, 0, 1])]
    annotated = made(tmp_path, instances, images=6)
    sheet = annotation_sheet(annotated, most=2)
    assert count(sheet, COLOURS[0]) > 500
    assert count(sheet, COLOURS[1]) > 500


def test_the_sheet_of_masks_tints_their_pixels_and_names_the_colours(tmp_path):
    annotated = read_annotated(masks(tmp_path, 1))
    with_mask = np.asarray(annotation_sheet(annotated)).astype(int)
    (tmp_path / "masks" / "0.png").unlink()
    mask(tmp_path / "masks" / "0.png", np.zeros((30, 40)))
    without = np.asarray(annotation_sheet(annotated)).astype(int)
    changed = np.argwhere((with_mask != without).any(axis=-1))
    assert changed.min(axis=0).tolist() == [52, 18]
    upper = with_mask[52 + 30 : 52 + 110, 18:338] - without[52 + 30 : 52 + 110, 18:338] * 0.55
    veil = np.broadcast_to(0.45 * np.array(rgb(COLOURS[0])), upper.shape)
    np.testing.assert_allclose(upper, veil, atol=0.51)
    assert count(without, COLOURS[0]) > 100  # the legend alone


def test_a_set_full_of_flaws_still_gets_its_page_and_its_sheet(tmp_path):
    voc(tmp_path, "gone", voc_object(), draw=False)
    voc(tmp_path, "wrong", voc_object(box=(99, 99, 120, 120)))
    voc(tmp_path, "bad", voc_object())
    (tmp_path / "JPEGImages" / "bad.png").write_bytes(b"no image")
    annotated = read_annotated(tmp_path)
    issues = looked_at(annotated)
    assert len(issues.spoiling) == 3
    assert issues.lines()
    assert annotation_sheet(annotated).size[0] > 300


def test_a_doubt_about_the_whole_set_spoils_and_is_told_first(tmp_path):
    annotated = replace(made(tmp_path, SOUND), doubts=("a.yaml and b.txt disagree; keep one",))
    assert looked_at(annotated).spoils == ("a.yaml and b.txt disagree; keep one",)
    assert annotated.take(np.array([1, 2])).doubts == annotated.doubts
    for skip_bad in (True, False):
        with pytest.raises(DataError, match=r"a\.yaml and b\.txt disagree; keep one"):
            require_sound(annotated, skip_bad=skip_bad)


@pytest.mark.parametrize("apart", [0.0, 0.001])
def test_thousands_of_boxes_in_one_image_are_compared_in_a_moment(tmp_path, apart):
    boxes = [(0, (1 + n % 40 * apart, n // 40 * apart, 20, 20), 0, {}) for n in range(6000)]
    spread = [(1, (n % 30, n // 30 / 8, n % 30 + 4, n // 30 / 8 + 4), 0, {}) for n in range(6000)]
    annotated = made(tmp_path, [*boxes, *spread, *SOUND], images=3)
    (alike,) = (i for i in looked_at(annotated).doubtful if "nearly equal" in i.sentence)
    assert 6000 <= len(alike.places) <= 12_000  # each box once, with the first it is alike to


def test_the_first_of_boxes_that_are_alike_is_named_with_each_other(tmp_path):
    edges = [(5, 5, 25, 25), (30, 1, 38, 9), (5.5, 5, 25, 25), (5, 5.5, 25, 25), (4.5, 5, 25, 25)]
    annotated = made(tmp_path, [*SOUND, *((1, edge, 1, {}) for edge in edges)])
    (alike,) = (i for i in looked_at(annotated).doubtful if "nearly equal" in i.sentence)
    assert len(alike.places) == 3
    assert {place.split("object ")[1].split(" ")[0] for place in alike.places} <= {
        "5",
        "7",
        "8",
        "9",
    }
