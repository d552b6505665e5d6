"""Figures of trials: where a value lies, which trial stands out, what is faint."""

import warnings

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D

from vislab.runs import figures
from vislab.runs.figures import Parameter, style, trials
from vislab.runs.figures.trials import Scale, log_ticks

RATES = Parameter([1e-4, 1e-2, 1e-3, 1e-1], log=True, ends=(1e-4, 1e-1))
BATCHES = Parameter(["64", "32", "32", "128"], choices=("32", "64", "128"))
VALUES = [0.2, 0.8, 0.4, 0.6]


def lines(axes, colour=None):
    """Return the lines of trials: those that cross every axis."""
    found = [line for line in axes.lines if len(line.get_xdata()) == 3]
    return [line for line in found if colour is None or to_hex(line.get_color()) == colour]


def parallel(values=VALUES, **options):
    parameters = {"optim.lr": RATES, "batch": BATCHES}
    figure = figures.parallel_coordinates(parameters, values, metric="val/accuracy", **options)
    return figure.axes[0]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_each_trial_crosses_every_axis_at_its_value():
    crossed = {tuple(np.round(line.get_ydata(), 6)) for line in lines(parallel())}
    sixth = round(1 / 6, 6)
    assert crossed == {
        (0.0, 0.5, 0.0),
        (round(2 / 3, 6), sixth, 1.0),
        (round(1 / 3, 6), sixth, round(1 / 3, 6)),
        (1.0, round(5 / 6, 6), round(2 / 3, 6)),
    }


@pytest.mark.parametrize(("lowest", "best", "worst"), [(False, 1.0, 0.0), (True, 0.0, 1.0)])
def test_the_best_stands_out_and_the_others_are_darker_the_better_they_are(lowest, best, worst):
    axes = parallel(lowest=lowest)
    (first,) = lines(axes, style.VERMILLION)
    assert first.get_ydata()[-1] == best
    others = [line for line in lines(axes) if line is not first]
    assert all(first.get_linewidth() > line.get_linewidth() for line in others)
    assert all(first.get_zorder() > line.get_zorder() for line in others)
    others.sort(key=lambda line: abs(line.get_ydata()[-1] - worst))
    light = [sum(to_rgb(line.get_color())) for line in others]
    assert light == sorted(light, reverse=True)
    assert len(set(light)) == 3


def test_what_was_stopped_early_is_faint_and_never_the_best():
    axes = parallel(pruned=[1])
    (faint,) = lines(axes, trials.PALE)
    assert faint.get_ydata()[-1] == 1.0
    assert faint.get_linestyle() == "--"
    (best,) = lines(axes, style.VERMILLION)
    assert best.get_ydata()[-1] == pytest.approx(2 / 3)
    assert lines(parallel(pruned=[0, 1, 2, 3]), style.VERMILLION) == []


def test_a_trial_without_a_value_has_no_line_and_no_dot():
    axes = parallel([0.2, None, 0.4, 0.6])
    assert len(lines(axes)) == 3
    figure = figures.slices({"optim.lr": RATES}, [0.2, None, 0.4, 0.6], metric="a")
    assert len(figure.axes[0].lines) == 3


def test_axes_carry_their_names_and_the_ends_that_were_searched():
    said = texts(parallel(share=True))
    for text in ("optim.lr", "batch", "val/accuracy", "10⁻⁴", "10⁻¹", "32", "64", "128", "20 %"):
        assert text in said, text


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_names_above_the_axes_and_numbers_beside_them_do_not_cover_one_another(count):
    chance = np.random.default_rng(count)
    names = ["optim.lr", "optim.weight_decay", "augment.flip", "a.very.long.name.of.an.option"]
    names = [f"{names[k % 4]}{k // 4 or ''}" for k in range(count)]
    numbers = [float(v) for v in chance.random(9)]
    figure = figures.parallel_coordinates(
        {name: Parameter(numbers, ends=(0, 1)) for name in names}, numbers, metric="val/accuracy"
    )
    figures.to_png(figure, dpi=50)
    (axes,) = figure.axes
    heads = [text for text in axes.texts if text.get_position()[1] > 1.03]
    assert len(heads) == count + 1
    boxes = [text.get_window_extent() for text in axes.texts]
    whole = figure.bbox
    for place, box in enumerate(boxes):
        assert whole.x0 - 1 <= box.x0 <= box.x1 <= whole.x1 + 1, axes.texts[place]
        for other in range(place):
            assert not box.overlaps(boxes[other]), (axes.texts[place], axes.texts[other])


def test_slices_put_every_trial_at_its_value_in_every_panel():
    figure = figures.slices(
        {"optim.lr": RATES, "batch": BATCHES}, VALUES, metric="val/accuracy", share=True
    )
    left, right = figure.axes
    at = [(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines]
    np.testing.assert_allclose(at, [(0, 0), (2 / 3, 1), (1 / 3, 1 / 3), (1, 2 / 3)], atol=1e-9)
    middles = {"32": 1 / 6, "64": 1 / 2, "128": 5 / 6}
    for line, name in zip(right.lines, BATCHES.values, strict=True):
        assert abs(line.get_xdata()[0] - middles[name]) < 1 / 6, "nearer to its own than to another"
    assert (left.get_xlabel(), right.get_xlabel()) == ("optim.lr", "batch")
    assert left.get_ylabel() == "val/accuracy"
    assert [text.get_text() for text in left.get_yticklabels()][-1] == "80 %"


def test_equal_choices_do_not_lie_on_one_another():
    parameter = Parameter(["a"] * 6 + ["b"], choices=("a", "b"))
    figure = figures.slices({"x": parameter}, [0.5] * 7, metric="m")
    across = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert min(abs(a - b) for k, a in enumerate(across) for b in across[:k]) > 0.01


def test_in_slices_the_best_is_larger_and_what_was_stopped_hollow():
    figure = figures.slices({"optim.lr": RATES}, VALUES, metric="m", pruned=[2], lowest=True)
    dots = figure.axes[0].lines
    large = [k for k, dot in enumerate(dots) if dot.get_markersize() > 6]
    assert large == [0]
    assert to_hex(dots[0].get_color()) == style.VERMILLION
    assert [dot.get_markerfacecolor() == "none" for dot in dots] == [False, False, True, False]


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (5, (3, 2))])
def test_each_option_has_a_panel(count, shape):
    figure = figures.slices({f"x{k}": RATES for k in range(count)}, VALUES, metric="m")
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_xlabel() for axes in drawn] == [f"x{k}" for k in range(count)]
    assert figure.get_figwidth() == style.WIDTH


def test_of_a_long_metric_the_end_is_written_inside_the_figure():
    metric = "a network of a long name/val/accuracy"
    for count in (1, 3):
        parameters = {f"x{k}": RATES for k in range(count)}
        figure = figures.slices(parameters, VALUES, metric=metric)
        figures.to_png(figure, dpi=50)
        for axes in figure.axes:
            if axes.get_ylabel():
                assert axes.get_ylabel()[0] == "…"
                assert axes.get_ylabel().endswith("/val/accuracy")
                box = axes.yaxis.label.get_window_extent()
                assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert any(text.endswith("val/accuracy") for text in texts(parallel_named(metric)))


def parallel_named(metric):
    figure = figures.parallel_coordinates({"x": RATES, "y": RATES}, VALUES, metric=metric)
    return figure.axes[0]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_legend_names_what_there_is_and_nothing_else():
    assert legend(parallel().figure) == ["a trial", "the best"]
    assert legend(parallel(pruned=[1]).figure) == ["a trial", "the best", "stopped early"]
    assert legend(parallel([None, 1, None, None], pruned=[1]).figure) == [
        "a trial", "stopped early"
    ]  # fmt: skip
    assert isinstance(parallel().figure.legends[0].legend_handles[0], Line2D)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-4, 1e-1, [1e-4, 1e-3, 1e-2, 1e-1]),
        (2e-4, 5e-2, [1e-3, 1e-2]),
        (0.05, 0.5, [0.05, 0.1, 0.2, 0.5]),
        (0.002, 0.008, [0.002, 0.004, 0.006, 0.008]),
        (1.0, 1e8, [1.0, 1e2, 1e4, 1e6, 1e8]),
        (3.0, 3.0, [3.0]),
        (3.1, 3.2, [3.1, 3.2]),
    ],
)
def test_a_logarithmic_axis_is_written_at_round_numbers(low, high, ticks):
    assert log_ticks(low, high, 5) == pytest.approx(ticks)


def test_an_axis_places_its_ends_at_0_and_1_and_what_lies_between_by_its_law():
    assert [Scale(2.0, 6.0)(v) for v in (2, 3, 6)] == [0, 0.25, 1]
    assert [Scale(1.0, 100.0, log=True)(v) for v in (1, 10, 100)] == [0, 0.5, 1]
    assert Scale(3.0, 3.0)(3) == 0.5
    assert [Scale(0.0, 1.0, choices=("a", "b"))(v) for v in ("a", "b")] == [0.25, 0.75]


def test_powers_of_ten_are_written_as_such_only_where_decimals_would_be_long():
    written = {
        ends: [text for _, text in Scale(*ends, log=True).ticks(5)]
        for ends in ((1e-4, 1e-2), (0.01, 10.0), (0.002, 0.008))
    }
    assert written[1e-4, 1e-2] == ["10⁻⁴", "10⁻³", "10⁻²"]
    assert written[0.01, 10.0] == ["0.01", "0.1", "1", "10"]
    assert written[0.002, 0.008] == ["0.002", "0.004", "0.006", "0.008"]
    assert next(text for _, text in Scale(-1.0, 1.0).ticks(4)) == "−1"


def test_one_lost_trial_does_not_squash_the_others():
    losses = [0.5, 0.6, 0.9, 4000.0]
    scale = trials.scale_of_values(losses, share=False)
    assert scale(0.9) - scale(0.5) > 0.05
    assert not trials.scale_of_values([0.5, 0.6, 0.9], share=False).log
    assert not trials.scale_of_values([0.0, 4000.0], share=False).log


@pytest.mark.parametrize("draw", [figures.parallel_coordinates, figures.slices])
def test_anything_that_a_search_can_find_is_drawn_and_equal_trials_are_equal_bytes(draw):
    cases = [
        ({"x": Parameter([1.0])}, [0.3]),
        ({"x": Parameter([1, 1, 1])}, [0.3, 0.3, 0.3]),
        ({"x": Parameter([0.0, 1.0], log=True)}, [0.3, 0.1]),
        ({"$x_1": Parameter(["$a", "b"], choices=("$a", "b"))}, [-1.0, 1e6]),
        ({f"x{k}": RATES for k in range(8)}, VALUES),
        ({"x": Parameter([str(k) for k in range(30)], choices=[str(k) for k in range(30)])},
         [k / 30 for k in range(30)]),
        ({"x": Parameter([0.1, 0.2])}, [None, None]),
    ]  # fmt: skip
    for parameters, values in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            one, again = (
                figures.to_png(draw(parameters, values, metric="m"), dpi=40) for _ in range(2)
            )
        assert one == again
    one, again = (figures.to_svg(draw({"x": RATES}, VALUES, metric="m")) for _ in range(2))
    assert one == again
