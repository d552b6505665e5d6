"""How nearly two computations agree: where the dots stand, and the line they may not pass."""

import numpy as np
import pytest

from vislab.runs import figures
from vislab.runs.figures import style

NAN = float("nan")
FOUND = [1e-16, 0.0, 3e-12, NAN]


def drawn(differences=FOUND, tolerance=1e-10):
    steps = range(1, len(differences) + 1)
    return figures.rounding(
        differences, steps, tolerance=tolerance, x="step", y="difference of the loss"
    )


def dots(series=None, limits=None, names=("Conv 1", "a layer of a very long name", "Linear 1")):
    series = series or {"against autograd": [1e-16, 0.0, 1e-3], "by steps": [1e-8, 1e-7, NAN]}
    return figures.rounding_dots(
        names, series, limits=limits or {"against autograd": 1e-10, "by steps": 1e-4}
    )


def test_differences_stand_at_their_steps_and_zero_at_the_floor():
    (axes,) = drawn().axes
    line, _ = axes.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(line.get_ydata(), [1e-16, 1e-17, 3e-12, NAN])
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("step", "difference of the loss")


@pytest.mark.parametrize("differences", [[1e-16], [0.0, 0.0], [5.0, 1e-3]])
@pytest.mark.parametrize("tolerance", [1e-10, 1e-6])
def test_the_tolerance_is_a_line_in_sight_beside_every_difference(differences, tolerance):
    (axes,) = drawn(differences, tolerance).axes
    _, line = axes.get_lines()
    assert set(line.get_ydata()) == {tolerance}
    assert line.get_linestyle() == "--"
    low, high = axes.get_ylim()
    assert low < 1e-17 < tolerance < high
    assert high > max(differences)
    (label,) = (text.get_text() for text in axes.texts)
    assert label == f"tolerance 1e-{10 if tolerance == 1e-10 else '06'}"


def test_ticks_are_powers_of_ten():
    axes = drawn().axes[0]
    assert axes.yaxis.get_major_formatter()(1e-9, 0) == "10⁻⁹"


def test_an_infinite_difference_can_be_drawn():
    figures.to_png(drawn([1e-16, float("inf")]), dpi=40)


def test_each_layer_has_a_row_and_each_check_a_colour_and_its_limit():
    figure = dots()
    (axes,) = figure.axes
    first, limit, second, other = axes.get_lines()
    np.testing.assert_array_equal(first.get_xdata(), [1e-16, 1e-17, 1e-3])
    np.testing.assert_array_equal(second.get_xdata(), [1e-8, 1e-7, NAN])
    for line in (first, second):
        np.testing.assert_array_equal(line.get_ydata(), [0, 1, 2])
        assert line.get_linestyle() == "None", "dots only"
    assert [set(line.get_xdata()) for line in (limit, other)] == [{1e-10}, {1e-4}]
    assert first.get_color() == limit.get_color() != second.get_color() == other.get_color()
    assert first.get_marker() != second.get_marker()
    assert (axes.get_xscale(), axes.yaxis_inverted()) == ("log", True)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Conv 1", "a layer of a very l…", "Linear 1"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["against autograd", "by steps"]


def test_everything_from_equal_to_wholly_different_is_in_sight():
    axes = dots({"a": [0.0, 1.0, 0.5]}, {"a": 1e-10}).axes[0]
    low, high = axes.get_xlim()
    assert low < 1e-17
    assert high > 1
    bottom, top = axes.get_ylim()
    assert top < 0
    assert bottom > 2


def test_equal_figures_are_equal_bytes_and_others_are_not():
    assert figures.to_png(drawn(), dpi=50) == figures.to_png(drawn(), dpi=50)
    assert figures.to_png(drawn([1e-3]), dpi=50) != figures.to_png(drawn([1e-4]), dpi=50)
    assert figures.to_svg(dots()) == figures.to_svg(dots())


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e-9, "10⁻⁹"), (1e-17, "10⁻¹⁷"), (1.0, "10⁰"), (10.0, "10¹"), (1e12, "10¹²"),
        (0.1 + 0.2 - 0.2, "10⁻¹"), (1e-300, "10⁻³⁰⁰"), (0.0, ""), (-5.0, ""),
    ],
)  # fmt: skip
def test_powers_of_ten_are_written_without_mathematical_type(value, written):
    assert style.power_of_ten(value) == style.power_of_ten(value, 7) == written
