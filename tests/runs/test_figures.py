import io
import subprocess
import sys
import xml.etree.ElementTree
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from vislab.runs import figures
from vislab.runs.figures import sheets, style

WHITE = (255, 255, 255)


def drawn(figure, dpi=60):
    """Return the figure as a person sees it, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(figures.to_png(figure, dpi=dpi))).convert("RGB"))


def flat(colours, h=7, w=6):
    """Images of one colour each."""
    return np.array([np.full((h, w, 3), colour, dtype=np.uint8) for colour in colours])


def where(image, colour):
    """Return the rows and columns that a colour fills: (top, bottom, left, right)."""
    down, across = np.nonzero((image == colour).all(axis=2))
    assert down.size, f"{colour} is nowhere"
    return down.min(), down.max(), across.min(), across.max()


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


RED, GREEN, BLUE, GREY, PINK = COLOURS = [
    (200, 10, 20),
    (10, 200, 20),
    (10, 20, 200),
    (99, 99, 99),
    (250, 100, 200),
]


def test_images_stand_in_reading_order_in_their_own_colours_and_shape():
    image = drawn(figures.image_grid(flat(COLOURS), columns=3))
    places = [where(image, colour) for colour in COLOURS]
    assert places[0][3] < places[1][2] <= places[1][3] < places[2][2]  # one row
    assert places[0][1] < places[3][0]
    assert places[3][2:] == places[0][2:]  # one column
    top, bottom, left, right = places[0]
    assert (bottom - top + 1) / (right - left + 1) == pytest.approx(7 / 6, abs=0.05)


def test_pixels_of_a_small_image_are_squares_and_not_smoothed():
    board = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    board[0, [0, 1], [0, 1]] = RED
    board[0, [0, 1], [1, 0]] = BLUE
    image = drawn(figures.image_grid(board), dpi=100)
    seen = {
        tuple(int(part) for part in colour) for colour in np.unique(image.reshape(-1, 3), axis=0)
    }
    assert seen == {RED, BLUE, WHITE}


def test_titles_are_broken_then_cut_and_wear_their_colours():
    titles = ["frog", "a class name so long that nobody would ever read all of it", "$\\bad$ <b>"]
    figure = figures.image_grid(
        flat(COLOURS[:3]), titles=titles, colours=[figures.RIGHT, figures.WRONG, "#000000"]
    )
    first, second, third = (text for text in figure.axes[0].texts if text.get_text())
    assert first.get_text() == "frog"
    assert second.get_text().count("\n") == 1
    assert second.get_text().endswith("…")
    assert third.get_text() == titles[2]
    assert [first.get_color(), second.get_color()] == [figures.RIGHT, figures.WRONG]
    figures.to_png(figure)  # "$\\bad$" would be no formula that matplotlib knows


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("frog", "frog"),
        ("automobile 97 %", "automobile\n97 %"),
        ("automobile 97 %\nis a dog", "automobile\n97 %\nis a dog"),
        ("hippopotamuses", "hippopotam…"),
        ("one two three four five six", "one two\nthree four…"),
        ("", ""),
    ],
)
def test_titles_break_at_spaces_and_keep_their_own_lines(title, wanted):
    assert sheets.broken(title, 11) == wanted


def test_titles_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match="zip"):
        figures.image_grid(flat(COLOURS), titles=["one"])


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 4), (5, 3), (9, 3), (10, 4)])
def test_rows_are_filled_evenly(count, columns):
    assert sheets.columns_for(count, [""] * count) == columns


def test_named_rows_keep_order_and_may_be_uneven():
    figure = figures.named_rows(
        [("plain", flat([RED, GREEN])), ("a stretched one", flat([BLUE], h=3, w=9))]
    )
    assert texts(figure) == ["plain", "a stretched one"]
    image = drawn(figure)
    red, green, blue = (where(image, colour) for colour in (RED, GREEN, BLUE))
    assert red[3] < green[2]
    assert red[1] < blue[0]
    assert blue[2:] == red[2:]
    assert (blue[1] - blue[0] + 1) / (blue[3] - blue[2] + 1) == pytest.approx(1 / 3, abs=0.05)


def test_maps_share_one_scale_from_the_least_value_to_the_greatest():
    maps = np.stack([np.full((3, 4), value) for value in (-1.0, 2.0, np.nan)])
    image = drawn(figures.map_grid(maps, bar=False))
    dark, light = (68, 1, 84), (253, 231, 36)  # the ends of viridis, Smith and van der Walt 2015
    assert where(image, dark)[3] < where(image, light)[2]
    grey = tuple(int(style.RULE[k : k + 2], 16) for k in (1, 3, 5))
    assert where(image, light)[3] < where(image, grey)[2]


def test_a_centred_map_is_white_at_zero_and_reaches_as_far_down_as_up():
    maps = np.array([[[0.0, -1.0, 3.0]]])
    figure = figures.map_grid(maps, centred=True, titles=["signed"])
    (image,) = figure.axes[0].images
    assert (image.norm.vmin, image.norm.vmax) == (-3.0, 3.0)
    middle = np.array(image.cmap(image.norm(0.0))[:3])
    assert middle.min() > 0.96
    red, _, blue = image.cmap(image.norm(1.0))[:3]
    assert red > blue
    assert len(figure.axes) == 2  # the bar


def test_maps_of_one_value_or_none_can_be_drawn():
    for maps in (np.zeros((2, 3, 4)), np.full((1, 2, 2), np.nan)):
        figures.to_png(figures.map_grid(maps))
        figures.to_png(figures.map_grid(maps, centred=True))


def test_nothing_to_show_says_so():
    none = np.zeros((0, 4, 4, 3), dtype=np.uint8)
    for figure in (
        figures.image_grid(none, titles=[]),
        figures.named_rows([("empty", none)]),
        figures.named_rows([]),
        figures.map_grid(np.zeros((0, 4, 4))),
    ):
        assert texts(figure) == ["no images"]


def test_curves_hold_the_values_with_gaps_where_there_is_none():
    figure = figures.curves(
        {"train": ([1, 2, 3], [1.0, float("nan"), 0.5]), "val": ([1, 3], [2.0, 0.0])},
        x="epoch",
        y="loss",
        dashed={"train"},
        log=True,
    )
    (axes,) = figure.axes
    train, val = axes.get_lines()
    np.testing.assert_array_equal(train.get_ydata(), [1.0, np.nan, 0.5])
    np.testing.assert_array_equal(val.get_ydata(), [2.0, np.nan])  # 0 has no logarithm
    assert val.get_marker() == "o"  # one value makes no line
    assert (train.get_linestyle(), val.get_linestyle()) == ("--", "-")
    assert train.get_color() != val.get_color()
    assert (axes.get_yscale(), axes.get_xlabel()) == ("log", "epoch")
    assert sorted(texts(figure)) == ["train", "val"]


def test_names_at_the_ends_of_curves_do_not_cover_each_other_or_leave_the_figure():
    for end in (0.0, 1.0):
        series = {f"line {k}": ([0, 1], [0.5, end + k / 1e4]) for k in range(8)}
        figure = figures.curves(series, x="step", y="loss")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        boxes = sorted(
            (text.get_window_extent(renderer) for text in figure.axes[0].texts), key=lambda b: b.y0
        )
        assert len(boxes) == 8
        assert all(low.y1 <= high.y0 + 2 for low, high in pairwise(boxes))
        assert boxes[-1].y1 <= figure.bbox.y1
        assert boxes[0].y0 >= 0


def test_many_curves_get_a_legend_with_every_name():
    names = [f"_network {k}" for k in range(9)]  # matplotlib hides names that begin with "_"
    figure = figures.curves({name: ([0, 1], [0, 1]) for name in names}, x="step", y="loss")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(looks) == 9


def test_bars_are_as_long_as_their_values_and_carry_interval_reference_and_chance():
    figure = figures.bars(
        ["plain", "augmented"],
        [0.454, 0.52],
        intervals=[(0.44, 0.47), None],
        reference=[("GNR-650", 0.5)],
        chance=0.1,
        unit="%",
    )
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.454, 0.52]
    across = [tuple(float(value) for value in line.get_xdata()) for line in axes.get_lines()]
    assert across == [(0.44, 0.47), (0.1, 0.1), (0.5, 0.5)]
    assert [t.replace("\u202f", " ") for t in texts(figure)] == ["45.4 %", "52.0 %"]
    (legend,) = figure.legends
    said = [text.get_text().replace("\u202f", " ") for text in legend.get_texts()]
    assert said == ["chance 10.0 %", "GNR-650 50.0 %"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["plain", "augmented"]
    assert axes.yaxis_inverted()  # the first name on top


@pytest.mark.filterwarnings("error")
def test_a_long_legend_makes_its_figure_taller_and_leaves_the_axes_their_room():
    names = [f"timm:vit_tiny_patch16_224, rate {k}" for k in range(30)]
    figure = figures.curves({name: ([1, 2], [2, 1]) for name in names}, x="epoch", y="loss")
    figures.to_png(figure)
    (axes,) = figure.axes
    assert axes.get_window_extent().height > 1.5 * figure.dpi
    (legend,) = figure.legends
    assert len({text.get_text() for text in legend.get_texts()}) == 30


def test_an_interval_or_a_chance_below_zero_is_not_cut_off():
    (axes,) = figures.bars(["a", "b"], [0.3, 0.2], intervals=[(-0.4, 1.0), None]).axes
    assert axes.get_xlim()[0] < -0.4
    (axes,) = figures.bars(["a"], [0.3], chance=-0.2).axes
    assert axes.get_xlim()[0] < -0.2


def test_bars_below_zero_are_drawn():
    (axes,) = figures.bars(["a"], [-2.5], unit="points").axes
    assert axes.get_xlim()[0] < -2.5
    assert axes.get_xlabel() == "points"


def test_a_confusion_matrix_shades_by_row_and_writes_counts():
    counts = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 8]])
    figure = figures.confusion_matrix(counts, ["cat", "dog", "<frog>"])
    axes = figure.axes[0]
    (shading,) = axes.images
    np.testing.assert_allclose(shading.get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0.2, 0, 0.8]])
    written = {
        (text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts
    }
    assert written == {(row, k): str(counts[row, k]) for row in range(3) for k in range(3)}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_confusion_matrix_of_many_classes_has_no_counts_and_few_names():
    figure = figures.confusion_matrix(np.eye(200, dtype=int), [f"class {k}" for k in range(200)])
    assert texts(figure) == []
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names[:2] == ["class 0", "class 8"]


def test_reliability_shows_accuracy_by_bin_and_the_error():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.35, 0.35])
    correct = np.array([True, True, True, False, True, False])
    figure = figures.reliability(confidence, correct, bins=10)
    bars = {round(bar.get_x() + bar.get_width() / 2, 3): bar for bar in figure.axes[0].patches[::2]}
    assert {at: bar.get_height() for at, bar in bars.items()} == {0.35: 0.5, 0.95: 0.75}
    # 4/6 · |0.75 − 0.95| + 2/6 · |0.5 − 0.35| = 0.18333
    assert figure.axes[0].get_title(loc="left").replace("\u202f", " ") == "ECE 18.3 %  (6 images)"


def all_kinds():
    rng = np.random.default_rng(0)
    return [
        figures.image_grid(flat(COLOURS), titles=list("abcde")),
        figures.map_grid(rng.random((2, 3, 4))),
        figures.curves({"a": ([0, 1], [0, 1]), "b": ([0, 1], [1, 0])}, x="step", y="loss"),
        figures.confusion_matrix(np.eye(3, dtype=int), list("abc")),
        figures.reliability(rng.random(20), rng.random(20) < 0.5),
    ]


def test_equal_figures_are_equal_bytes_whatever_style_the_user_has(monkeypatch):
    import matplotlib

    before = [(figures.to_png(f, dpi=50), figures.to_svg(f)) for f in all_kinds()]
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    monkeypatch.setitem(matplotlib.rcParams, "svg.hashsalt", None)
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    after = [(figures.to_png(f, dpi=50), figures.to_svg(f)) for f in all_kinds()]
    assert before == after
    assert matplotlib.rcParams["font.size"] == 30
    for _, svg in after:
        assert xml.etree.ElementTree.fromstring(svg).tag.endswith("svg")
        assert b"date" not in svg


def test_importing_draws_nothing_in_and_drawing_leaves_pyplot_alone():
    code = """
import sys
from vislab.runs import figures
assert "matplotlib" not in sys.modules
import numpy
figures.to_png(figures.map_grid(numpy.zeros((1, 2, 2))))
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("log", [False, True])
def test_a_line_is_named_at_the_height_where_it_ends(log):
    series = {"low": ([1, 2, 3], [60.0, 70.0, 50.0]), "high": ([1, 2, 3], [80.0, 95.0, 90.0])}
    figure = figures.curves(series, x="step", y="loss", log=log)
    axes = figure.axes[0]
    figure.canvas.draw()
    for text in axes.texts:
        end = series[text.get_text()][1][-1]
        height = axes.transAxes.inverted().transform(axes.transData.transform((3, end)))[1]
        assert text.get_position()[1] == pytest.approx(height, abs=0.01)
