import numpy as np
import pytest

from vislab.errors import ShapeError
from vislab.runs.figures import PALETTE, thumbnails, to_png
from vislab.runs.figures.thumbnails import spread


def made(count, classes=3, seed=0):
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return draw.normal(size=(count, 2)), images, np.arange(count) % classes


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_no_image_covers_another_and_none_fits_beside_those_drawn(scale):
    places, box = np.random.default_rng(1).normal(size=(400, 2)) * scale, np.array([1.0, 0.7])
    chosen = spread(places, (1.0, 0.7))
    apart = np.abs(places[:, None] - places[chosen]) / box  # (N, chosen, 2)
    clear = (apart >= 1).any(axis=2)
    assert len(chosen) == len(set(chosen)) > 0
    for turn, place in enumerate(chosen):
        assert clear[place, np.arange(len(chosen)) != turn].all()
    left = np.setdiff1d(np.arange(400), chosen)
    assert not clear[left].all(axis=1).any()


def test_one_that_stands_alone_is_always_shown():
    places = np.vstack([np.random.default_rng(2).normal(size=(300, 2)), [[20.0, 20.0]]])
    assert 300 in spread(places, (1.0, 1.0))


def test_each_image_stands_at_its_place_up_is_up_and_in_its_colour():
    points = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    _, images, labels = made(3)
    figure = thumbnails(points, images, labels, ["ant", "bee", "cat"])
    axes = figure.axes[0]
    shown = {one.get_array()[0, 0].tobytes(): one.get_extent() for one in axes.images}
    middles = []
    for image in images:
        left, right, low, high = shown[image[0, 0].tobytes()]
        middles.append(((left + right) / 2, (low + high) / 2))
    (ax, ay), (bx, by), (cx, cy) = middles
    assert bx > ax == pytest.approx(cx)
    assert cy < ay == pytest.approx(by)  # inches from the top
    assert bx - ax == pytest.approx(ay - cy)  # one scale
    frames = [patch.get_edgecolor() for patch in axes.patches][:3]
    assert len(set(frames)) == 3
    assert [text.get_text() for text in axes.texts][:3] == ["ant", "bee", "cat"]


def test_more_classes_than_colours_are_told_apart_by_dashes():
    points, images, _ = made(9)
    figure = thumbnails(points * 50, images, np.arange(9), [f"{k}" for k in range(9)])
    legend = figure.axes[0].patches[-9:]
    looks = {(patch.get_edgecolor(), str(patch.get_linestyle())) for patch in legend}
    assert len(looks) == 9 > len(PALETTE)


def test_five_thousand_points_are_drawn_and_the_rest_are_counted():
    points, _, labels = made(5000)
    images = np.zeros((5000, 4, 4, 3), np.uint8)
    figure = thumbnails(points, images, labels, ["a", "b", "c"], heading="many")
    shown = len(figure.axes[0].images)
    assert 50 < shown < 800
    assert figure.axes[0].texts[-1].get_text() == f"{shown} of 5000 as images"


def test_equal_input_gives_equal_bytes_and_one_point_or_none_is_no_error():
    points, images, labels = made(7)
    first, again = (to_png(thumbnails(points, images, labels, "abc"), dpi=40) for _ in range(2))
    assert first == again
    thumbnails(points[:1], images[:1], labels[:1], ["a"])
    thumbnails(points[:0], images[:0], labels[:0], ["a"])


def test_images_without_points_are_told():
    points, images, labels = made(7)
    with pytest.raises(ShapeError, match="6 points, 7 images and 7 labels"):
        thumbnails(points[:6], images, labels, ["a", "b", "c"])
