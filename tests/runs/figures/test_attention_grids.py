"""Images in the first row, below them each name's maps of the same images."""

import itertools

import numpy as np
import pytest

from tests.runs.test_figures import COLOURS, drawn, flat, texts, where
from vislab.runs import figures
from vislab.runs.figures import over_image


def shown(images, rows, **options):
    figure = figures.attention_grid(images, rows, **options)
    return figure, figure.axes[0].images[:-1]  # the last is the scale of colours


def test_each_map_is_in_the_row_of_its_name_and_the_column_of_its_image():
    images = flat(COLOURS[:3])
    rng = np.random.default_rng(0)
    rows = {"layer 1": rng.random((3, 2, 2)), "rollout": rng.random((3, 3, 4))}
    figure, drawings = shown(images, rows, titles=["a", "b", "c"])
    assert len(drawings) == 9
    for column, (image, drawing) in enumerate(zip(images, drawings[:3], strict=True)):
        assert np.array_equal(drawing.get_array(), image)
        left = drawing.get_extent()[0]
        above = drawing.get_extent()[3]
        for row, maps in enumerate(rows.values(), start=1):
            below = drawings[3 * row + column]
            found = maps[column]
            assert np.array_equal(below.get_array(), over_image(image, found - found.min()))
            assert below.get_extent()[0] == left
            assert below.get_extent()[3] > above
            above = below.get_extent()[3]
    for colour in COLOURS[:3]:
        where(drawn(figure), colour)
    names = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    for name, drawing in (("layer 1", drawings[3]), ("rollout", drawings[6])):
        _, _, bottom, top = drawing.get_extent()
        assert top < names[name] < bottom
    assert {"a", "b", "c", "layer 1", "rollout", "least"} <= set(texts(figure))


def test_a_constant_added_to_a_map_is_not_seen():
    images = flat(COLOURS[:2])
    maps = np.random.default_rng(0).random((2, 3, 3))
    _, first = shown(images, {"one": maps})
    _, second = shown(images, {"one": 5 + maps})
    for one, other in zip(first, second, strict=True):
        apart = np.asarray(one.get_array()).astype(int) - np.asarray(other.get_array())
        assert np.abs(apart).max() <= 1


@pytest.mark.parametrize("count", [1, 4, 9])
def test_images_stay_within_the_sheet_and_apart(count):
    figure, images = shown(flat(COLOURS[:1] * count), {"row": np.zeros((count, 2, 2))})
    width, height = figure.get_size_inches()
    edges = [image.get_extent() for image in images]
    assert all(0 < left < right < width for left, right, _, _ in edges)
    assert all(0 < top < bottom < height for _, _, bottom, top in edges)
    first = edges[:count]
    assert all(one[1] < other[0] for one, other in itertools.pairwise(first))


def test_nothing_to_draw_is_said():
    assert texts(figures.attention_grid(flat(COLOURS[:1]), {})) == ["no maps"]
