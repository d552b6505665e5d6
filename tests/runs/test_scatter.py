"""Named points: every dot where its numbers say, every name where it covers nothing."""

import itertools
import math

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from vislab.ops.seeding import generator
from vislab.runs import figures
from vislab.runs.figures.scatter import NEAR, Box, Line, distance, named_points, places, towards

POINTS = {"one": (1e8, 10.0), "two": (1e9, 35.0), "three": (2e10, 400.0)}
PAPER = Box(0.0, 0.0, 250.0, 250.0)


def clump(count, seed):
    """Draw points so near to one another that names beside them would lie on one another."""
    drawn = torch.randn(count, 2, generator=generator("clump", seed)).numpy()
    return {
        f"a network {i}": (1e8 * 1.5 ** float(x), 1.3 ** float(y)) for i, (x, y) in enumerate(drawn)
    }


def names(figure):
    return {text.get_text(): text for text in figure.axes[0].texts}


def extents(figure, dpi):
    """Return where each name stands in the drawn figure, in pixels."""
    figures.to_png(figure, dpi=dpi)
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    return {
        name: Text.get_window_extent(text, renderer)  # an annotation's own holds its line, too
        for name, text in names(figure).items()
    }


def test_every_dot_stands_at_its_numbers_on_logarithmic_axes():
    (axes,) = named_points(POINTS, x="multiply-adds", y="milliseconds").axes
    (dots,) = axes.collections
    np.testing.assert_allclose(dots.get_offsets(), list(POINTS.values()))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("multiply-adds", "milliseconds")
    assert {text.get_text(): text.xy for text in axes.texts} == POINTS


def test_with_a_heading_the_other_axis_is_named_beside_it():
    (axes,) = named_points(POINTS, x="a", y="b", heading="both").axes
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("both", "b")


def test_ticks_are_written_as_amounts():
    axes = named_points(POINTS, x="a", y="b").axes[0]
    assert axes.xaxis.get_major_formatter()(1e9) == "1\u202fG"
    assert axes.yaxis.get_major_formatter()(0.5) == "0.5"


@pytest.mark.parametrize("spread", [1.05, 3.0, 50.0, 1e5])
def test_at_least_two_ticks_are_in_sight(spread):
    axes = named_points({"a": (1.3, 13.0), "b": (1.3 * spread, 13.0 * spread)}, x="", y="").axes[0]
    for side, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        seen = [tick for tick in side.get_majorticklocs() if limits[0] <= tick <= limits[1]]
        assert len(seen) >= 2


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_what_a_logarithm_cannot_show_is_left_out(wrong):
    figure = named_points({**POINTS, "wrong": (1e8, wrong), "other": (wrong, 1.0)}, x="a", y="b")
    assert set(names(figure)) == set(POINTS)
    figures.to_png(figure, dpi=40)


@pytest.mark.parametrize("points", [{}, {"only": (3.0, 4.0)}, {"a": (3, 4), "b": (3, 4)}])
def test_few_or_equal_points_can_be_drawn(points):
    figure = named_points(points, x="a", y="b")
    assert set(names(figure)) == set(points)
    figures.to_png(figure, dpi=40)


@pytest.mark.parametrize(("count", "seed"), [(8, 0), (16, 1), (16, 2), (18, 3)])
def test_names_cover_neither_each_other_nor_a_dot_nor_the_edge(count, seed):
    figure = named_points(clump(count, seed), x="multiply-adds", y="milliseconds")
    found = extents(figure, 200)
    assert len(found) == count
    for (one, box), (other, beside) in itertools.combinations(found.items(), 2):
        assert not box.overlaps(beside), f"{one} lies on {other}"
    axes = figure.axes[0]
    frame = axes.get_window_extent().padded(2)
    for name, (x, y) in clump(count, seed).items():
        dot = axes.transData.transform((x, y))
        assert not any(box.contains(*dot) for box in found.values()), f"the dot of {name} is hidden"
        assert frame.contains(found[name].x0, found[name].y0)
        assert frame.contains(found[name].x1, found[name].y1)


def test_only_a_name_far_from_its_dot_has_a_line_to_it():
    heap = {f"one of a heap {place}": (2.0 + 0.04 * place, 3.0) for place in range(7)}
    figure = named_points({"far away": (1.0, 1.0), **heap, "alone": (9.0, 9.0)}, x="a", y="b")
    found = extents(figure, 200)
    with_line = {name for name, text in names(figure).items() if text.arrow_patch.get_visible()}
    assert 2 <= len(with_line) <= 7
    for name, text in names(figure).items():
        x, y = figure.axes[0].transData.transform(text.xy)
        box = found[name]
        gap = math.hypot(max(box.x0 - x, x - box.x1, 0), max(box.y0 - y, y - box.y1, 0))
        assert (72 / 200 * gap > NEAR) == (name in with_line)


def test_equal_charts_are_equal_bytes():
    one, two = (figures.to_png(named_points(clump(9, 4), x="a", y="b"), dpi=60) for _ in range(2))
    assert one == two


def test_a_long_name_is_cut():
    (name,) = names(named_points({"an_architecture_with_a_long_name": (1.0, 1.0)}, x="", y=""))
    assert name == "an_architecture_with_a_…"


def test_boxes_meet_within_the_air_between_them():
    box = Box(10.0, 10.0, 20.0, 5.0)
    assert box.meets(Box(31.0, 10.0, 5.0, 5.0))
    assert not box.meets(Box(32.0, 10.0, 5.0, 5.0))
    assert not box.meets(Box(31.0, 10.0, 5.0, 5.0), air=0.5)
    assert box.meets(Box(12.0, 11.0, 1.0, 1.0))  # inside
    assert distance(box, np.array([33.0, 19.0])) == 5.0
    assert distance(box, np.array([15.0, 12.0])) == 0.0


@pytest.mark.parametrize(
    ("start", "way", "crossed"),
    [
        ((0, 0), (40, 24), True),  # from corner to corner
        ((0, 12), (40, 0), True),
        ((0, 12), (5, 0), False),  # ends before it
        ((0, 30), (40, 0), False),
        ((20, 0), (0, 40), True),
        ((5, 0), (0, 40), False),
        ((15, 12), (1, 1), True),  # inside
        ((0, 20), (12, 12), False),
    ],
)
def test_a_line_crosses_a_box_where_it_runs_through_it(start, way, crossed):
    line = Line(tuple(map(float, start)), tuple(map(float, way)))
    assert Box(10.0, 10.0, 20.0, 5.0).crossed(line) is crossed


@pytest.mark.parametrize(
    ("start", "way", "crosses"),
    [((0, 10), (10, -10), True), ((0, 10), (3, -3), False), ((1, 0), (10, 10), False)],
)
def test_lines_cross_where_both_are(start, way, crosses):
    diagonal = Line((0.0, 0.0), (10.0, 10.0))
    other = Line(tuple(map(float, start)), tuple(map(float, way)))
    assert diagonal.crosses(other) is crosses
    assert other.crosses(diagonal) is crosses


def test_a_name_stands_to_the_right_of_its_dot_where_it_may():
    (box,) = places(np.array([[100.0, 100.0]]), [(40.0, 10.0)], PAPER)
    assert box == Box(105.5, 95.0, 40.0, 10.0)
    (box,) = places(np.array([[230.0, 100.0]]), [(40.0, 10.0)], PAPER)
    assert box == Box(184.5, 95.0, 40.0, 10.0)


@pytest.mark.parametrize(("count", "seed"), [(12, 17), (14, 2), (16, 7)])
def test_who_finds_no_place_chooses_again_until_no_name_or_line_meets_another(count, seed):
    drawn = torch.randn(count, 2, generator=generator("dots", seed)).clamp(-2.5, 2.5)
    dots = 125 + 34 * drawn.numpy().astype(float)
    boxes = places(dots, [(62.0, 10.0)] * count, PAPER)
    lines = [
        towards(box, dot) if distance(box, dot) > NEAR else None
        for box, dot in zip(boxes, dots, strict=True)
    ]
    for one, other in itertools.combinations(range(count), 2):
        assert not boxes[one].meets(boxes[other])
        if lines[one] and lines[other]:
            assert not lines[one].crosses(lines[other])
    for one, other in itertools.permutations(range(count), 2):
        if lines[one]:
            assert not boxes[other].crossed(lines[one])
