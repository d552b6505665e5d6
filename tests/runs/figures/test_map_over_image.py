"""A map laid over an image: bright where it is large, cell by cell, each in its own range."""

import numpy as np
import pytest

from vislab.ops.seeding import generator
from vislab.runs import figures


def image(high=8, wide=8):
    import torch

    pixels = torch.randint(40, 256, (high, wide, 3), generator=generator("image"))
    return pixels.numpy().astype(np.uint8)


def shown(pixels, maps, **options):
    titles = options.pop("titles", [f"word {k}" for k in range(len(maps))])
    figure = figures.map_over_image(pixels, np.asarray(maps, float), titles=titles, **options)
    return figure, [np.asarray(image.get_array()) for image in figure.axes[0].images]


def test_the_brightest_cell_is_the_image_itself_and_the_darkest_a_quarter_of_it():
    pixels = image()
    _, (found,) = shown(pixels, [[[0.1, 0.5], [0.2, 0.3]]])
    assert (found[:4, 4:] == pixels[:4, 4:]).all()
    np.testing.assert_allclose(found[:4, :4], pixels[:4, :4] / 4, atol=0.51)
    # 0.2 is a quarter of the way from 0.1 to 0.5, 0.3 half of it.
    np.testing.assert_allclose(found[4:, :4], pixels[4:, :4] * (0.25 + 0.75 / 4), atol=0.51)
    np.testing.assert_allclose(found[4:, 4:], pixels[4:, 4:] * (0.25 + 0.75 / 2), atol=0.51)


def test_brightness_follows_the_map(rng):
    values = np.random.default_rng(0).random((4, 4))
    _, (found,) = shown(np.full((8, 8, 3), 240, np.uint8), [values])
    cells = found[::2, ::2, 0].astype(float)
    order = values.flatten().argsort()
    assert (np.diff(cells.flatten()[order]) >= 0).all()
    assert len(np.unique(cells)) > 10


def test_each_map_is_shown_in_its_own_range():
    pixels = image()
    maps = np.array([[[0.0, 1.0], [0.5, 0.25]]])
    _, (small, large, negative) = shown(
        pixels, np.concatenate([1e-6 * maps, 7 + 500 * maps, maps - 3])
    )
    assert (small == large).all()
    assert (small == negative).all()


@pytest.mark.parametrize(
    ("high", "wide", "cells"), [(7, 9, (3, 2)), (8, 6, (8, 6)), (5, 5, (1, 4))]
)
def test_cells_are_widened_without_smoothing_also_where_they_do_not_fit(high, wide, cells):
    rows, columns = cells
    maps = np.arange(rows * columns, dtype=float).reshape(1, rows, columns)
    _, (found,) = shown(np.full((high, wide, 3), 200, np.uint8), maps)
    top = max(rows * columns - 1, 1)
    for y in range(high):
        for x in range(wide):
            value = maps[0, y * rows // high, x * columns // wide]
            wanted = 200 * (0.25 + 0.75 * value / top)
            assert found[y, x].tolist() == pytest.approx([wanted] * 3, abs=0.51)


def test_a_map_of_one_value_is_evenly_dark():
    pixels = image()
    _, (found,) = shown(pixels, np.full((1, 2, 2), 0.25))
    np.testing.assert_allclose(found, pixels / 4, atol=0.51)


def test_words_stand_over_their_maps_in_order_and_too_few_are_refused():
    maps = np.stack([np.eye(7)[k].reshape(1, 7) for k in range(7)])  # the k-th is bright at k
    words = ["a", "red", "circle", "above", "a", "blue", "square"]
    figure, found = shown(np.full((2, 7, 3), 200, np.uint8), maps, titles=words, columns=3)
    assert [int(one[0, :, 0].argmax()) for one in found] == list(range(7))
    placed = [(text.get_text(), text.get_position()) for text in figure.axes[0].texts]
    assert [text for text, _ in placed] == words
    assert placed[0][1][1] == placed[2][1][1] < placed[3][1][1], "three in a row"
    with pytest.raises(ValueError, match="zip"):
        shown(image(), maps, titles=words[:3])


def test_the_image_is_left_alone_and_equal_input_is_equal_bytes():
    pixels, maps = image(), np.random.default_rng(0).random((2, 2, 2))
    before = pixels.copy()
    one, _ = shown(pixels, maps)
    again, _ = shown(pixels, maps)
    assert (pixels == before).all()
    assert figures.to_png(one, dpi=50) == figures.to_png(again, dpi=50)
