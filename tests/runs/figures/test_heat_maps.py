"""Heat maps: which cell holds which number, which is framed, what stands where there is none."""

import warnings

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from vislab.runs import figures
from vislab.runs.figures import style

NAN, INF = float("nan"), float("inf")
GRID = [[0.125, 0.5, 0.25], [0.75, NAN, 0.0]]


def drawn(values=GRID, **options):
    high, wide = np.shape(values)
    given = {
        "rows": [f"row {k}" for k in range(high)], "columns": [f"c{k}" for k in range(wide)],
        "x": "penalty", "y": "rate", "unit": "accuracy",
    }  # fmt: skip
    return figures.heat_map(values, **(given | options))


def written(figure):
    """Return the text of each cell by row and column."""
    axes = figure.axes[0]
    return {
        (int(text.get_position()[1]), int(text.get_position()[0])): text.get_text()
        for text in axes.texts
    }


def framed(figure):
    """Return the row and column of each frame."""
    frames = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert all((frame.get_width(), frame.get_height()) == (1, 1) for frame in frames)
    return [(frame.get_y() + 0.5, frame.get_x() + 0.5) for frame in frames]


def shading(figure):
    (image,) = figure.axes[0].images
    return image


def names(ticks):
    return [label.get_text() for label in ticks]


def test_each_cell_carries_its_number_and_a_cross_where_there_is_none():
    assert written(drawn()) == {
        (0, 0): "0.125", (0, 1): "0.5", (0, 2): "0.25",
        (1, 0): "0.75", (1, 1): "×", (1, 2): "0",
    }  # fmt: skip
    assert written(drawn(share=True))[0, 0] == "12.5"
    assert written(drawn(share=True))[1, 1] == "×"


def test_the_highest_cell_is_framed_and_no_other():
    assert framed(drawn()) == [(1, 0)]
    assert framed(drawn([[-3.0, -1.0], [-2.0, NAN]])) == [(0, 1)]
    assert framed(drawn([[NAN]])) == []


def test_the_larger_the_number_the_lighter_the_cell():
    image = shading(drawn())
    light = image.cmap(image.norm(np.sort([0.125, 0.5, 0.25, 0.75, 0.0])))[:, :3].sum(axis=1)
    assert (np.diff(light) > 0).all()
    assert (image.norm.vmin, image.norm.vmax) == (0.0, 0.75)
    np.testing.assert_array_equal(np.isnan(image.get_array().filled(NAN)), np.isnan(GRID))


def test_numbers_can_be_read_on_their_cells():
    figure = drawn([[0.0, 1.0]])
    inks = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert inks == {"0": "white", "1": style.INK}


def test_rows_and_columns_stand_as_they_are_given():
    figure = drawn(heading="a heading")
    axes, bar = figure.axes
    assert names(axes.get_yticklabels()) == ["row 0", "row 1"]
    assert names(axes.get_xticklabels()) == ["c0", "c1", "c2"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first row on top"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("penalty", "rate")
    assert bar.get_ylabel() == "accuracy"
    assert axes.get_title(loc="left") == "a heading"


@pytest.mark.parametrize(("columns", "numbers"), [(8, 16), (9, 0)])
def test_many_cells_carry_no_numbers_and_no_frame(columns, numbers):
    figure = drawn(np.arange(2.0 * columns).reshape(2, columns))
    assert len(written(figure)) == numbers
    assert len(framed(figure)) == (1 if numbers else 0)


@pytest.mark.parametrize(
    ("count", "shown"), [(10, 10), (11, 6), (50, 6), (100, 6)]
)  # fmt: skip
def test_of_many_columns_few_are_named_at_their_own_places(count, shown):
    axes = drawn(np.zeros((2, count)), log=True).axes[0]
    labels = names(axes.get_xticklabels())
    named = dict(zip(axes.get_xticks(), labels, strict=True))
    assert len(named) == shown
    assert all(label == f"c{tick:g}" for tick, label in named.items())
    assert 0 in named


def test_long_names_of_rows_are_cut_and_many_are_smaller():
    axes = drawn(np.zeros((2, 2)), rows=["a row of a long name", "short"]).axes[0]
    assert names(axes.get_yticklabels()) == ["a row of a lo…", "short"]
    few, many = (
        drawn(np.zeros((count, 2))).axes[0].get_yticklabels()[0].get_fontsize() for count in (5, 40)
    )
    assert many < few


def test_on_a_logarithmic_scale_zero_is_the_floor_and_nothing_is_framed_or_written():
    figure = drawn([[0.0, 1e-17, 1e-9], [1e-3, NAN, 2.0]], log=True)
    image = shading(figure)
    assert isinstance(image.norm, LogNorm)
    assert (image.norm.vmin, image.norm.vmax) == (1e-17, 2.0)
    values = image.get_array().filled(NAN)
    np.testing.assert_allclose(values, [[1e-17, 1e-17, 1e-9], [1e-3, NAN, 2.0]])
    assert written(figure) == {(1, 1): "×"}
    assert framed(figure) == []
    # Halfway between 1e-17 and 1 in the logarithm.
    norm = shading(drawn([[0.0, 1e-9]], log=True)).norm
    assert float(norm(10**-8.5)) == pytest.approx(0.5)


def test_one_value_everywhere_can_be_drawn():
    for values in ([[0.3]], [[0.0, 0.0]]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figures.to_png(drawn(values), dpi=40)


@pytest.mark.parametrize(
    "log",
    [
        False,
        True,
    ],
)
def test_nothing_but_nan_is_crosses(log):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = drawn([[NAN, NAN]], log=log)
        figures.to_png(figure, dpi=40)
    assert written(figure) == {(0, 0): "×", (0, 1): "×"}


def test_what_is_infinite_is_neither_the_best_nor_the_scale():
    figure = drawn([[0.1, INF], [0.3, -INF]])
    assert written(figure) == {(0, 0): "0.1", (0, 1): "×", (1, 0): "0.3", (1, 1): "×"}
    assert framed(figure) == [(1, 0)]
    assert (shading(figure).norm.vmin, shading(figure).norm.vmax) == (0.1, 0.3)


def test_equal_maps_are_equal_bytes_and_others_are_not():
    one, again, other = (
        figures.to_png(drawn(values), dpi=50) for values in (GRID, GRID, [[1, 0, 0], [0, 0, 0.5]])
    )
    assert one == again != other
    assert figures.to_svg(drawn()) == figures.to_svg(drawn())
