"""Colour lies where the evidence is, and the image below it can still be seen."""

import numpy as np
import pytest

from tests.runs.test_figures import COLOURS, drawn, flat, texts, where
from vislab.runs import figures
from vislab.runs.figures import overlaid


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (19, 26, 3), dtype=np.uint8)


def colourful(shown):
    """How far each pixel is from grey."""
    return shown.max(axis=2).astype(int) - shown.min(axis=2)


GREY = np.full((21, 30, 3), 128, dtype=np.uint8)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 4), (1, 2), (2, 0), (2, 4)])
def test_the_brightest_colour_is_where_the_map_is_largest(row, column):
    """Cells of the 3×5 map are 7×6 pixels; the middle of the largest is yellow."""
    found = np.full((3, 5), 0.1)
    found[row, column] = 0.7
    shown = overlaid(GREY, found).astype(int)
    brightest = np.unravel_index(shown.sum(axis=2).argmax(), (21, 30))
    assert (brightest[0] // 7, brightest[1] // 6) == (row, column)
    red, green, blue = shown[7 * row + 3, 6 * column + 3]
    assert red >= green > blue + 50
    far = shown[7 * ((row + 2) % 3) + 3, 6 * ((column + 2) % 5) + 3]
    assert far.max() - far.min() < 25


def test_more_evidence_is_brighter():
    shown = overlaid(GREY, np.linspace(0, 1, 30)[None])[10].astype(int)
    assert (np.diff(shown.sum(axis=1)) >= -3).all()
    assert shown[-1].sum() > shown[0].sum() + 150
    assert np.ptp(shown[0]) < 3
    assert np.ptp(shown[-1]) > 50


def test_no_evidence_leaves_a_grey_image_a_quarter_darker(image):
    expected = (0.75 * image.mean(axis=2)).round()
    for nothing in (np.zeros((4, 5)), np.full((4, 5), -1.0), np.zeros((1, 1))):
        with np.errstate(all="raise"):
            shown = overlaid(image, nothing)
        assert shown.dtype == np.uint8
        assert (colourful(shown) == 0).all()
        assert np.abs(shown[..., 0] - expected).max() <= 1


def test_each_map_is_shown_in_its_own_range_from_zero_up(image, rng):
    found = rng.random((4, 5))
    shown = overlaid(image, found)
    for factor in (1e-12, 7.3, 1e9):
        assert np.abs(overlaid(image, factor * found).astype(int) - shown).max() <= 1
    below = np.where(found < 0.5, -found, found)
    cut = np.where(found < 0.5, 0.0, found)
    assert np.array_equal(overlaid(image, below), overlaid(image, cut))
    assert np.array_equal(overlaid(image, found.astype(np.float32)), shown)


def test_evidence_everywhere_colours_everything_alike():
    shown = overlaid(GREY, np.full((3, 4), 0.2))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 1
    assert colourful(shown).min() > 50


@pytest.mark.parametrize("cells", [(1, 1), (1, 7), (4, 5), (7, 3), (40, 50)])
def test_a_map_of_any_shape_is_widened_to_the_image(image, cells, rng):
    assert overlaid(image, rng.random(cells)).shape == (19, 26, 3)


def test_a_turned_or_mirrored_image_has_a_turned_or_mirrored_overlay(image, rng):
    found = rng.random((4, 5))
    shown = overlaid(image, found).astype(int)
    turned = overlaid(image.transpose(1, 0, 2), found.T)
    assert np.abs(turned.transpose(1, 0, 2) - shown).max() <= 2
    mirrored = overlaid(np.ascontiguousarray(image[:, ::-1]), found[:, ::-1].copy())
    assert np.abs(mirrored[:, ::-1] - shown).max() <= 2


def test_the_image_shows_through_also_where_the_evidence_is(rng):
    board = np.zeros((20, 20, 3), dtype=np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    shown = overlaid(board, np.ones((2, 2))).astype(int)
    assert (shown[0, 0] - shown[0, 1]).min() > 20


def test_an_image_and_a_map_are_not_written_on(image, rng):
    found = rng.random((4, 5))
    kept = image.copy(), found.copy()
    overlaid(image, found)
    assert np.array_equal(image, kept[0])
    assert np.array_equal(found, kept[1])


@pytest.mark.parametrize("columns", [2, 3, 4, 6])
def test_each_image_stands_beside_its_own_overlay(columns):
    """Without evidence the overlay of a colour is three quarters of its mean, grey."""
    images = flat(COLOURS[:3])
    figure = figures.heatmaps_over_images(
        images, np.zeros((3, 2, 2)), titles=["one", "two", "three"], columns=columns
    )
    drawings = figure.axes[0].images
    assert len(drawings) == 6
    tops = []
    for image, plain, covered in zip(images, drawings[::2], drawings[1::2], strict=True):
        assert np.array_equal(plain.get_array(), image)
        assert np.array_equal(covered.get_array(), overlaid(image, np.zeros((2, 2))))
        left, right, bottom, top = plain.get_extent()
        beside = covered.get_extent()
        assert (beside[2], beside[3]) == (bottom, top)  # in one row
        assert 0 < beside[0] - right < 0.2
        assert beside[1] - beside[0] == pytest.approx(right - left)
        tops.append(top)
    assert (tops[0] == tops[1]) == (columns >= 4)
    for colour in COLOURS[:3]:
        where(drawn(figure), colour)  # it is truly there
    said = [text.replace("\n", " ") for text in texts(figure)]
    assert said == ["one", "where it looked", "two", "where it looked", "three", "where it looked"]


def test_each_overlay_is_of_its_own_map():
    maps = np.zeros((2, 3, 3))
    maps[1, 0, 2] = 1.0
    images = np.stack([GREY, GREY])
    figure = figures.heatmaps_over_images(images, maps, titles=["a", "b"])
    shown = [image.get_array() for image in figure.axes[0].images]
    assert len(shown) == 4
    assert [int(colourful(np.asarray(one)).max()) > 50 for one in shown] == [
        False, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("titles", [1, 3])
def test_titles_are_as_many_as_images(titles):
    with pytest.raises(ValueError, match="zip"):
        figures.heatmaps_over_images(
            np.stack([GREY, GREY]), np.zeros((2, 2, 2)), titles=["a"] * titles
        )
