"""The signal figure: the sizes themselves, gaps where there are none, one colour a name."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vislab.runs import figures

NAN, INF = float("nan"), float("inf")
ACTIVATIONS = {"Kaiming": [1.0, 0.9, 1.1, 1.2], "fixed": [1.0, 1e-2, 1e-4, 0.0]}
GRADIENTS = {"Kaiming": [0.1, 0.2, 0.1, 0.3], "fixed": [NAN, 1e-6, INF, 1e-2]}


def drawn(activations=ACTIVATIONS, gradients=GRADIENTS):
    return figures.signal(activations, gradients, x="layer")


def labels(axes):
    """Return all that is written along the left side."""
    both = [*axes.yaxis.get_majorticklabels(), *axes.yaxis.get_minorticklabels()]
    low, high = axes.get_ylim()
    return [t.get_text() for t in both if low <= t.get_position()[1] <= high and t.get_text()]


def test_activations_stand_above_and_gradients_below_with_gaps_where_there_are_none():
    above, below = drawn().axes
    for axes, wanted in (
        (above, [ACTIVATIONS["Kaiming"], [1.0, 1e-2, 1e-4, NAN]]),
        (below, [GRADIENTS["Kaiming"], [NAN, 1e-6, NAN, 1e-2]]),
    ):
        lines = axes.get_lines()
        for line, values in zip(lines, wanted, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
            np.testing.assert_array_equal(line.get_ydata(), values)
        assert axes.get_yscale() == "log"
    titles = [axes.get_title(loc="left") for axes in (above, below)]
    assert titles == ["size of the activations", "size of their gradients"]
    assert below.get_xlabel() == "layer"


def test_a_name_has_one_colour_above_and_below_and_stands_at_its_lines_end():
    above, below = drawn().axes
    for axes in (above, below):
        inks = {text.get_text(): text.get_color() for text in axes.texts}
        assert inks.keys() == {"Kaiming", "fixed"}
        assert [inks[name] for name in ACTIVATIONS] == [
            line.get_color() for line in axes.get_lines()
        ]
    assert [a.get_color() for a in above.get_lines()] == [b.get_color() for b in below.get_lines()]
    first, second = above.get_lines()
    assert first.get_color() != second.get_color()


def test_lines_of_different_lengths_begin_at_one():
    above, _ = drawn({"a": [1.0, 2.0], "b": [3.0, 4.0, 5.0]}, {"a": [1.0], "b": [1.0]}).axes
    assert [list(line.get_xdata()) for line in above.get_lines()] == [[1, 2], [1, 2, 3]]


def test_a_signal_that_died_everywhere_can_be_drawn():
    figure = drawn({"a": [0.0, 0.0]}, {"a": [NAN, INF]})
    figures.to_png(figure, dpi=40)
    assert [len(axes.texts) for axes in figure.axes] == [0, 0]


def test_over_many_decades_ticks_are_powers_of_ten():
    figure = drawn({"a": [1.0, 1e-8]}, {"a": [1e-8, 1e4]})
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        assert len(labels(axes)) >= 2
        assert all(label.startswith("10") for label in labels(axes))


def test_within_one_decade_the_ticks_can_be_read():
    figure = drawn({"a": [0.3, 0.4, 0.5]}, {"a": [2.0, 3.0, 5.0]})
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        assert labels(axes), "a scale without a number"
        assert not any("$" in label for label in labels(axes))


def test_eight_lines_can_be_drawn():
    series = {f"line {k}": [1.0, k + 1.0] for k in range(8)}
    drawn(series, series)


def test_equal_signals_are_equal_bytes_and_others_are_not():
    one, again, other = (
        figures.to_png(drawn({"a": values}, {"a": [1.0, 0.1]}), dpi=40)
        for values in ([1.0, 1e-3], [1.0, 1e-3], [1.0, 1e-6])
    )
    assert one == again != other
