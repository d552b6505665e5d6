"""What is written is read back as it was; what a form lacks is lost and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.formats.sets import SIZE, made, table
from vislab.data.annotations import Instances
from vislab.data.formats import FORMS, read_annotated, recognise, write_annotated
from vislab.data.formats.copies import Copies
from vislab.data.mask_regions import with_instances
from vislab.data.mask_rendering import mask_of
from vislab.errors import DataError

edges = st.integers(0, 4 * SIZE[1]).map(lambda quarter: quarter / 4)
boxes = st.tuples(edges, edges, edges, edges).map(
    lambda e: (min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3]))
).filter(lambda box: box[2] - box[0] >= 0.25 and box[3] - box[1] >= 0.25)  # fmt: skip
rows, labels = st.integers(0, 2), st.integers(0, 1)


def unique(instances):
    return list(
        {(row, box, label): (row, box, label, more) for row, box, label, more in instances}.values()
    )


def outline(box, how):
    left, top, right, bottom = box
    if how == "polygons":
        polygon = (left, top, right, top, right, bottom)
        return (polygon, tuple(reversed((*polygon, left + 0.1, top))))
    if how == "runs":
        return {"size": [SIZE[1], SIZE[0]], "counts": [7, 3, SIZE[0] * SIZE[1] - 10]}
    return None


instances_of_coco = st.lists(
    st.tuples(
        st.just(0),
        boxes,
        labels,
        st.fixed_dictionaries({"crowd": st.booleans(), "difficult": st.booleans()}),
        st.sampled_from(["polygons", "runs", "none"]),
    ).map(lambda t: (*t[:3], {**t[3], "outline": outline(t[1], t[4])})),
    max_size=5,
).map(unique)
instances_of_voc = st.lists(
    st.tuples(
        rows,
        boxes.map(lambda b: tuple(map(float, map(int, b)))).filter(
            lambda b: b[2] > b[0] and b[3] > b[1]
        ),
        labels,
        st.fixed_dictionaries({"difficult": st.booleans()}),
    ),
    max_size=5,
).map(unique)
instances_of_yolo = st.lists(st.tuples(rows, boxes, labels, st.just({})), max_size=5).map(unique)

often = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def there_and_back(annotated, into, form):
    write_annotated(annotated, into, form)
    assert recognise(into) == form
    return read_annotated(into)


def same(one, other):
    """Assert that two sets agree; outlines too, to which table() is blind."""
    assert other.issues == ()
    # A drawn set may be empty or of very small boxes, and its run lengths are those of no box.
    drawn = ("there is nothing to", "lie elsewhere than their outlines", "lie within one pixel")
    assert not [doubt for doubt in other.doubts if not any(words in doubt for words in drawn)]
    assert one.classes == other.classes
    assert table(one) == table(other)
    of = [
        {m.rsplit("/", 1)[-1]: (tuple(size), int(split)) for m, size, split in zip(
            annotated.members, annotated.sizes.tolist(), annotated.splits, strict=True)}
        for annotated in (one, other)
    ]  # fmt: skip
    assert of[0] == of[1]


@often
@given(instances=instances_of_coco)
def test_coco_keeps_everything_polygons_and_run_lengths_included(tmp_path_factory, instances):
    root = tmp_path_factory.mktemp("set")
    annotated = made(root / "from", instances, splits=[0, 1, 2])
    back = there_and_back(annotated, root / "to", "coco")
    same(annotated, back)
    key = [(tuple(c), k) for c, k in zip(back.instances.boxes.round(6).tolist(),
                                        back.instances.label.tolist(), strict=True)]  # fmt: skip
    outlines = dict(zip(key, back.instances.outlines, strict=True))
    for _, box, label, more in instances:
        assert outlines[(tuple(np.round(box, 6).tolist()), label)] == more["outline"]
    again = there_and_back(back, root / "again", "coco")
    assert again.instances.outlines == back.instances.outlines
    np.testing.assert_allclose(again.instances.boxes, back.instances.boxes, atol=1e-9)


@often
@given(instances=instances_of_voc)
def test_voc_keeps_whole_boxes_and_difficult(tmp_path_factory, instances):
    root = tmp_path_factory.mktemp("set")
    annotated = made(root / "from", instances, form="voc")
    same(annotated, there_and_back(annotated, root / "to", "voc"))


@often
@given(instances=instances_of_coco)
def test_voc_rounds_a_box_to_whole_pixels_and_leaves_none_empty(tmp_path_factory, instances):
    root = tmp_path_factory.mktemp("set")
    annotated = made(root / "from", instances)
    write_annotated(annotated, root / "to", "voc")
    back = read_annotated(root / "to")
    assert len(back.instances) + len(back.issues) == len(annotated.instances)
    assert all(issue.what.startswith("it stands there twice") for issue in back.issues)
    assert (back.instances.boxes == back.instances.boxes.round()).all()
    for corners in annotated.instances.boxes:
        assert np.abs(back.instances.boxes - corners).max(axis=1).min() <= 1


def test_voc_keeps_a_pixel_of_what_is_thinner_than_one(tmp_path):
    thin = [
        (0, (10.25, 3, 10.5, 9), 0, {}),
        (0, (39.75, 29.75, 40, 30), 1, {}),
        (0, (13.5, 0, 13.75, 0.25), 1, {}),
    ]
    back = there_and_back(made(tmp_path / "a", thin), tmp_path / "b", "voc")
    assert sorted(back.instances.boxes.tolist()) == [
        [10, 3, 11, 9],
        [13, 0, 14, 1],
        [39, 29, 40, 30],
    ]


@often
@given(instances=instances_of_yolo)
def test_yolo_keeps_boxes_classes_and_splits(tmp_path_factory, instances):
    root = tmp_path_factory.mktemp("set")
    annotated = made(root / "from", instances, form="yolo", splits=[0, 1, 2])
    same(annotated, there_and_back(annotated, root / "to", "yolo"))


def test_yolo_keeps_outlines_where_each_is_one_polygon_in_its_box(tmp_path):
    polygon = (4.0, 3.0, 20.0, 3.0, 12.0, 27.0)
    annotated = made(tmp_path / "a", [(0, (4, 3, 20, 27), 0, {"outline": (polygon,)})])
    back = there_and_back(annotated, tmp_path / "b", "yolo")
    np.testing.assert_allclose(back.instances.outlines[0][0], polygon)
    two = [*((0, (4, 3, 20, 27), 0, {"outline": (polygon,)}),), (1, (1, 1, 5, 5), 1, {})]
    back = there_and_back(made(tmp_path / "c", two), tmp_path / "d", "yolo")
    assert back.instances.outlines == (None, None)
    assert len(back.instances) == 2


def test_masks_keep_every_pixel_names_and_splits(tmp_path):
    boxes = [(0, (0, 0, 20, 20), 0, {}), (0, (5, 5, 10, 10), 1, {}), (1, (0, 0, 9, 9), 0, {}),
             (2, (3, 3, 30, 30), 1, {"crowd": True})]  # fmt: skip
    annotated = made(tmp_path / "a", boxes, splits=[0, 1, 2])
    back = there_and_back(annotated, tmp_path / "b", "masks")
    assert back.classes == ("background", "cat", "dog")
    assert back.splits.tolist() == [0, 1, 2] or len(back) == 3
    again = there_and_back(back, tmp_path / "c", "masks")
    row = {member.rsplit("/", 1)[1]: n for n, member in enumerate(back.members)}
    once_more = {member.rsplit("/", 1)[1]: n for n, member in enumerate(again.members)}
    for number, name in enumerate(annotated.members):
        expected = mask_of(annotated, number)
        assert expected.any()
        np.testing.assert_array_equal(mask_of(back, row[name]), expected)
        np.testing.assert_array_equal(mask_of(again, once_more[name]), expected)
        assert back.splits[row[name]] == annotated.splits[number]


def test_masks_become_instances_and_these_the_same_masks_again(tmp_path):
    boxes = [(0, (0, 0, 9, 9), 0, {}), (0, (12, 2, 20, 20), 0, {}), (1, (5, 5, 10, 10), 1, {})]
    masks = there_and_back(made(tmp_path / "a", boxes), tmp_path / "b", "masks")
    instances = there_and_back(masks, tmp_path / "c", "coco")
    assert instances.classes == ("cat", "dog")
    assert sorted(map(tuple, instances.instances.boxes.tolist())) == [
        (0, 0, 9, 9), (5, 5, 10, 10), (12, 2, 20, 20)
    ]  # fmt: skip
    back = there_and_back(instances, tmp_path / "d", "masks")
    for name in ("0.png", "1.png", "2.png"):
        one, other = (
            mask_of(s, next(n for n, m in enumerate(s.members) if m.endswith(name)))
            for s in (masks, back)
        )
        np.testing.assert_array_equal(one, other)


def test_pixels_that_touch_at_a_corner_are_one_instance(tmp_path):
    corner = [(0, (3, 3, 6, 6), 0, {}), (0, (6, 6, 9, 9), 0, {}), (0, (0, 20, 2, 22), 0, {})]
    masks = there_and_back(made(tmp_path / "a", corner), tmp_path / "b", "masks")
    instances = with_instances(masks).instances
    assert sorted(map(tuple, instances.boxes.tolist())) == [(0, 20, 2, 22), (3, 3, 9, 9)]


@pytest.mark.parametrize("form", FORMS)
def test_images_of_one_name_in_two_folders_keep_apart(tmp_path, form):
    annotated = made(tmp_path / "a", [(n, (n, n, 9 + n, 12), 0, {}) for n in range(4)], images=4)
    members = ("x/1.png", "y/1.png", "x/1.jpg", "Y_1.png")
    for member, source in zip(members, annotated.members, strict=True):
        target = tmp_path / "a" / member
        target.parent.mkdir(exist_ok=True)
        (tmp_path / "a" / source).rename(target)
    annotated = replace(annotated, members=members)
    back = there_and_back(annotated, tmp_path / "b", form)
    assert back.issues == ()
    assert sorted(map(tuple, back.sizes.tolist())) == sorted(map(tuple, annotated.sizes.tolist()))
    content = {(tmp_path / "a" / member).read_bytes() for member in members}
    assert {(back.root / member).read_bytes() for member in back.members} == content
    if form != "masks":
        left = dict(zip(back.sizes[back.instances.image, 0].tolist(),
                        back.instances.boxes[:, 0].round(6).tolist(), strict=True))  # fmt: skip
        assert left == {40: 0, 41: 1, 42: 2, 43: 3}


LONG = "b" * 200 + "ä" * 22  # 244 bytes


@pytest.mark.parametrize("form", FORMS)
def test_names_that_no_form_could_write_become_others(tmp_path, form):
    members = (
        f"x/{LONG}.png", f"y/{LONG}.png", "a:b?c.png", "50%20.png", " two  words .png",
        "classes.png", "train.png", "K\u00e4fer.png", "z/Ka\u0308fer.png", ".hidden.png",
    )  # fmt: skip
    boxes = [(n, (n, n, 9 + n, 12), n % 2, {}) for n in range(len(members))]
    annotated = made(tmp_path / "a", boxes, images=len(members), splits=[0, 1, 2] * 3 + [0])
    for member, source in zip(members, annotated.members, strict=True):
        (tmp_path / "a" / member).parent.mkdir(exist_ok=True)
        (tmp_path / "a" / source).rename(tmp_path / "a" / member)
    annotated = replace(annotated, members=members)
    back = there_and_back(annotated, tmp_path / "b", form)
    assert back.issues == back.doubts == ()
    assert len(back) == len(members)
    assert all(len(member.rsplit("/", 1)[1].encode()) < 255 for member in back.members)
    split = dict(zip(back.sizes[:, 0].tolist(), back.splits.tolist(), strict=True))
    assert split == dict(
        zip(annotated.sizes[:, 0].tolist(), annotated.splits.tolist(), strict=True)
    )
    if form != "masks":
        left = zip(back.sizes[back.instances.image, 0], back.instances.boxes[:, 0], strict=True)
        assert sorted((width, round(x)) for width, x in left) == [
            (SIZE[0] + n, n) for n in range(len(members))
        ]


@pytest.mark.parametrize("second", ["coco", "voc", "yolo"])
@pytest.mark.parametrize("first", ["coco", "voc", "yolo"])
def test_what_goes_through_two_forms_is_what_it_was(tmp_path, first, second):
    boxes = [(0, (0, 0, 20, 20), 0, {}), (0, (5, 5, 10, 10), 1, {}), (1, (30, 20, 41, 30), 0, {}),
             (3, (3, 3, 30, 30), 1, {})]  # fmt: skip
    annotated = made(tmp_path / "a", boxes, images=5, splits=[0, 1, 2, 2, 0])
    back = there_and_back(annotated, tmp_path / "b", first)
    same(annotated, there_and_back(back, tmp_path / "c", second))


@pytest.mark.parametrize("corners", [4, 6])
def test_small_outlines_of_equal_length_come_back_as_outlines(tmp_path, corners):
    rng = np.random.default_rng(2)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    objects = []
    for row in range(3):
        x, y = rng.uniform(12, 22, 2)
        points = np.column_stack([x + 2 * np.cos(angles), y + 3 * np.sin(angles)]).tolist()
        outline = tuple(value for point in points for value in point)
        box = (min(outline[::2]), min(outline[1::2]), max(outline[::2]), max(outline[1::2]))
        objects.append((row, box, 0, {"outline": (outline,)}))
    annotated = made(tmp_path / "a", objects, classes=("cat",))
    back = there_and_back(annotated, tmp_path / "b", "yolo")
    assert back.doubts == ()
    assert table(back) == table(annotated)
    assert None not in back.instances.outlines


def test_new_names_differ_in_more_than_the_case_of_letters(tmp_path):
    annotated = replace(
        made(tmp_path, [], images=5), members=("a.png", "A.png", "x/a.png", "x/a.jpg", "X_A.bmp")
    )
    stems = [Copies(annotated).stem(row) for row in range(5)]
    assert stems[0] == "a"
    assert len({stem.lower() for stem in stems}) == 5


def test_what_a_form_lacks_is_told(tmp_path):
    polygon = ((1.0, 1.0, 9.0, 1.0, 9.0, 9.5), (1.0, 1.0, 2.0, 2.0, 1.0, 2.0))
    annotated = made(
        tmp_path / "a",
        [
            (0, (1, 1, 9, 9.5), 0, {"outline": polygon}),
            (1, (0, 0, 5, 5), 1, {"crowd": True}),
            (1, (1, 0, 5, 5), 1, {"difficult": True}),
        ],
    )
    told = {form: write_annotated(annotated, tmp_path / form, form) for form in FORMS}
    assert told["coco"] == ()
    assert [text.split(":")[0] for text in told["voc"]] == [
        "1 outlines are left out",
        "1 crowds are marked as difficult",
        "boxes are rounded to whole pixels",
    ]
    assert [text.split(":")[0] for text in told["yolo"]] == [
        "1 outlines are left out",
        "1 crowds are left out",
        "1 difficult objects are now like others",
    ]
    assert [text.split(":")[0] for text in told["masks"]] == [
        "objects of one class that touch are one in a mask",
        "2 objects have no outline",
    ]
    assert len(read_annotated(tmp_path / "yolo").instances) == 2
    assert read_annotated(tmp_path / "voc").instances.difficult.sum() == 2


def test_a_folder_that_is_there_is_not_written_into(tmp_path):
    annotated = made(tmp_path / "a", [(0, (1, 1, 9, 9), 0, {})])
    with pytest.raises(DataError, match="is there already; name a folder that is new"):
        write_annotated(annotated, tmp_path / "a", "coco")
    (tmp_path / "empty").mkdir()
    write_annotated(annotated, tmp_path / "empty", "coco")
    assert recognise(tmp_path / "empty") == "coco"


def test_nothing_is_left_of_a_folder_that_could_not_be_written_whole(tmp_path):
    annotated = made(tmp_path / "a", [(0, (1, 1, 9, 9), 0, {})])
    (tmp_path / "a" / "2.png").unlink()
    with pytest.raises(DataError, match="cannot be written"):
        write_annotated(annotated, tmp_path / "b", "voc")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_taking_instances_keeps_the_columns_together(tmp_path):
    instances = made(tmp_path, [(n, (n, 0, 9, 9), n % 2, {}) for n in range(3)]).instances
    taken = instances.take(np.array([2, 0]))
    assert isinstance(taken, Instances)
    assert taken.boxes[:, 0].tolist() == [2, 0]
    assert taken.where == ("object 2", "object 0")
