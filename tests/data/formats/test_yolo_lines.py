"""Boxes, outlines and keypoints may have equally many numbers; the whole set tells them apart."""

import numpy as np
import pytest

from tests.data.formats.sets import whats, yolo
from vislab.data.formats.yolo import read

CENTRES = [(0.3, 0.4), (0.6, 0.5), (0.7, 0.7), (0.25, 0.6)]


def words(*numbers):
    return " ".join(["0", *(f"{number:.4f}" for number in numbers)])


def pose(centre, points, visible=None):
    """A box of 0.3 by 0.5 with points at offsets from its centre."""
    x, y = centre
    told = [x, y, 0.3, 0.5]
    for number, (right, down) in enumerate(points):
        told += [x + right, y + down] if visible is None or visible[number] else [0, 0]
        if visible is not None:
            told.append(visible[number])
    return words(*told)


def boxes_of(centres):
    return [
        [40 * (x - 0.15), 30 * (y - 0.25), 40 * (x + 0.15), 30 * (y + 0.25)] for x, y in centres
    ]


FIVE = [(-0.1, -0.2), (0.1, -0.2), (0, 0), (-0.1, 0.2), (0.1, 0.2)]


@pytest.mark.parametrize(
    ("points", "visible"),
    [(FIVE, None), (FIVE, [2, 2, 1, 0, 2]), (FIVE[:2], [2, 1]), (FIVE[:2], None)],
)
@pytest.mark.parametrize("stated", [True, False])
def test_keypoints_are_left_out_and_the_box_before_them_is_read(tmp_path, points, visible, stated):
    for number, centre in enumerate(CENTRES):
        yolo(tmp_path, [pose(centre, points, visible)], str(number))
    if stated:
        shape = f"[{len(points)}, {2 if visible is None else 3}]"
        (tmp_path / "data.yaml").write_text(f"kpt_shape: {shape}\nnames: [face]\n")
    annotated = read(tmp_path)
    assert annotated.issues == annotated.doubts == ()
    assert annotated.instances.outlines == (None,) * 4
    np.testing.assert_allclose(annotated.instances.boxes, boxes_of(CENTRES), atol=0.01)
    assert any(f"{len(points)} keypoints" in note for note in annotated.notes)


def test_a_line_of_another_length_is_named_where_keypoints_are_stated(tmp_path):
    lines = [pose(CENTRES[0], FIVE), words(0.5, 0.5, 0.2, 0.2), words(0.1, 0.1, 0.5, 0.1, 0.3, 0.4)]
    (tmp_path / "data.yaml").write_text("kpt_shape: [5, 2]\nnames: [face]\n")
    annotated = read(yolo(tmp_path, lines))
    assert len(annotated.instances) == 2
    assert whats(annotated) == ["a class, a box and keypoints are 15 numbers: 7 stand there"]


@pytest.mark.parametrize("count", [4, 5, 8])
def test_small_outlines_of_equal_length_stay_outlines(tmp_path, count):
    rng = np.random.default_rng(3)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    expected = []
    for number in range(12):
        x, y = rng.uniform(0.2, 0.6, 2)
        points = np.column_stack([x + 0.05 * np.cos(angles), y + 0.08 * np.sin(angles)])
        yolo(tmp_path, [words(*points.reshape(-1))], f"{number:02}")
        expected.append([*(points.min(axis=0) * (40, 30)), *(points.max(axis=0) * (40, 30))])
    annotated = read(tmp_path)
    assert annotated.doubts == annotated.issues == ()
    assert None not in annotated.instances.outlines
    np.testing.assert_allclose(annotated.instances.boxes, expected, atol=0.01)


def test_what_may_be_either_is_a_doubt_that_a_word_in_the_settings_settles(tmp_path):
    crossing = pose((0.5, 0.5), [(-0.1, -0.1), (0.1, 0.1), (0.1, -0.1), (-0.1, 0.1)])
    plain = words(0.4, 0.5, 0.45, 0.45, 0.5, 0.45, 0.5, 0.5, 0.5, 0.55, 0.45, 0.55)
    yolo(tmp_path, [*[plain] * 7, crossing])
    (doubt,) = read(tmp_path).doubts
    assert "outlines or keypoints" in doubt
    assert "kpt_shape: [4, 2]" in doubt
    (tmp_path / "data.yaml").write_text("task: segment\nnames: [a]\n")
    assert read(tmp_path).doubts == ()
    assert read(tmp_path).instances.outlines[0] is not None


def test_a_turned_box_of_four_corners_is_an_outline(tmp_path):
    annotated = read(yolo(tmp_path, ["0 .5 .2 .8 .5 .5 .8 .2 .5"]))
    np.testing.assert_allclose(annotated.instances.boxes, [[8, 6, 32, 24]])
    np.testing.assert_allclose(
        annotated.instances.outlines[0], [[20, 6, 32, 15, 20, 24, 8, 15]], atol=1e-9
    )


def test_a_fifth_number_is_named_for_what_it_may_be(tmp_path):
    annotated = read(yolo(tmp_path, ["0 .5 .5 .2 .2 .93", "0 .5 .5 .2 .2"]))
    (what,) = whats(annotated)
    assert "a confidence" in what
    assert len(annotated.instances) == 1


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["0 .5 .6 .9 .8", "0 .7 .1 .95 .3", "0 .1 .1 .3 .3"], "the boxes look like corners"),
        (["0 20 15 10 10", "0 4 4 3 3", "0 1 1 1 1"], "2 of 3 boxes hold numbers beyond 1"),
        (["0 50 50 10 10"], "1 of 1 boxes hold numbers beyond 1"),
    ],
)
def test_boxes_of_another_kind_are_a_doubt_that_skipping_does_not_settle(tmp_path, lines, what):
    (doubt,) = read(yolo(tmp_path, lines)).doubts
    assert doubt.startswith(what)


def test_boxes_in_the_middle_that_are_larger_than_it_are_no_corners(tmp_path):
    annotated = read(yolo(tmp_path, ["0 .5 .5 .9 .8", "0 .45 .5 .8 .9", "0 .5 .5 1 1"]))
    assert annotated.doubts == ()
