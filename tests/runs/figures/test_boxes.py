"""Boxes over images: where they lie, and sheets of odd shapes."""

import numpy as np
import pytest

from vislab.runs import figures
from vislab.runs.figures import Drawn, boxes_over_images


def sheet(count=1, high=30, wide=40, boxes=(), **named):
    pixels = np.full((count, high, wide, 3), 200, dtype=np.uint8)
    return boxes_over_images(pixels, [list(boxes)] * count, **named)


def rectangles(figure):
    return [patch.get_bbox().bounds for patch in figure.axes[0].patches]


def places(figure):
    """Return left, top, width and height of the images on the sheet."""
    found = []
    for image in figure.axes[0].images:
        x0, x1, y0, y1 = image.get_extent()
        found.append((min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)))
    return found


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("titles", [False, True])
def test_a_box_around_all_of_an_image_lies_on_its_edges(count, titles):
    names = [f"image {number}" for number in range(count)] if titles else None
    figure = sheet(count, boxes=[Drawn((0.0, 0.0, 40.0, 30.0))], titles=names)
    assert len(rectangles(figure)) == len(places(figure)) == count
    np.testing.assert_allclose(rectangles(figure), places(figure), atol=1e-9)
    width, height = figure.get_size_inches()
    for left, top, wide, tall in places(figure):
        assert left >= 0
        assert top >= 0
        assert left + wide <= width
        assert top + tall <= height
        assert tall / wide == pytest.approx(30 / 40)


def test_a_box_in_an_image_keeps_its_place():
    (image,) = places(sheet())
    (box,) = rectangles(sheet(boxes=[Drawn((10.0, 15.0, 30.0, 30.0))]))
    left, top, wide, tall = image
    expected = (left + wide / 4, top + tall / 2, wide / 2, tall / 2)
    assert box == pytest.approx(expected)


def test_an_image_without_boxes_is_drawn_and_no_images_say_so():
    figure = sheet(2)
    assert len(places(figure)) == 2
    assert rectangles(figure) == []
    none = boxes_over_images(np.zeros((0, 5, 7, 3), dtype=np.uint8), [])
    assert "no images" in [text.get_text() for text in [*none.texts, *none.axes[0].texts]]
    assert figures.to_png(none)


def test_each_image_needs_its_boxes():
    with pytest.raises(ValueError, match="shorter"):
        boxes_over_images(np.zeros((2, 5, 7, 3), dtype=np.uint8), [[]])


@pytest.mark.parametrize(("high", "wide"), [(900, 3), (3, 900), (1, 1)])
def test_a_strip_of_an_image_makes_no_endless_sheet(high, wide):
    figure = sheet(high=high, wide=wide, boxes=[Drawn((0.0, 0.0, float(wide), float(high)), "it")])
    assert max(figure.get_size_inches()) < 12
    ((_, _, across, down),) = places(figure)
    assert down / across == pytest.approx(high / wide)
    assert figures.to_png(figure)


def test_what_is_said_of_a_box_is_drawn_dashed_and_in_its_colour():
    figure = sheet(boxes=[Drawn((1.0, 2.0, 9.0, 9.0), "$5 cat", "#0072b2", dashed=True)])
    (patch,) = figure.axes[0].patches
    assert patch.get_linestyle() != "-"
    assert "$5 cat" in [text.get_text() for text in figure.axes[0].texts]
    assert figures.to_png(figure) == figures.to_png(figure)
