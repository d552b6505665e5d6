import json
import math
import re

import pytest

from tests.runs.conftest import PIXEL
from tests.runs.reading import Page, assert_safe
from vislab.errors import RunError
from vislab.runs import figures
from vislab.runs.folder import RunFolder
from vislab.runs.report import column_texts, cost_table, curve_figures, verdict_text, write_report


def read(run):
    return write_report(run).read_text(encoding="utf-8")


def test_the_page_stands_alone(run):
    page = assert_safe(read(run))
    assert '"use strict"' in page.code["script"][0]
    assert "body {" in page.code["style"][0]
    kinds = [attrs["src"].split(",")[0] for attrs in page.all("img")]
    assert kinds == ["data:image/png;base64"] * 3  # kernels, one curve, confusion
    (viewport,) = [m for m in page.all("meta") if m.get("name") == "viewport"]
    assert "width=device-width" in viewport["content"]
    assert all(attrs["alt"] for attrs in page.all("img"))


def test_a_page_that_is_not_closed_or_not_alone_would_be_noticed(run):
    source = read(run)
    for wrong in (
        source.replace("</section>", "", 1),
        source.replace("data:image/png", "https://example.org/a.png", 1),
        source.replace("<h1>", '<h1 onclick="alert(1)">', 1),
        source.replace("<h1>", "<script>alert(1)</script><h1>", 1),
        source.replace('"use strict";', '"use strict"; alert(1);', 1),
    ):
        assert wrong != source
        with pytest.raises(AssertionError):
            assert_safe(wrong)


def test_every_number_on_the_first_screen_is_the_one_in_result_json(run):
    source = read(run)
    result = json.loads((run.path / "result.json").read_text())
    large = re.findall(r'<p class="large">([^<]*)</p>', source)
    names = re.findall(r'<p class="name">([^<]*)</p>', source)
    shown = dict(zip(names, (text.replace("\u202f", " ") for text in large), strict=True))
    measured = result["metrics"]
    assert shown == {
        "train accuracy": f"{100 * measured['train/accuracy']:.1f} %",
        "plain · test accuracy": f"{100 * measured['plain/test/accuracy']:.1f} %",
        "augmented · test accuracy": f"{100 * measured['augmented/test/accuracy']:.1f} %",
    }
    page = Page(source)
    low, high = result["intervals"]["plain/test/accuracy"]
    assert f"{100 * low:.1f}–{100 * high:.1f}" in page.shown
    assert "plain/test/loss\n1.235\n" in page.folded  # among all numbers
    assert page.shown.count("chance\n10.0 %") == 2
    assert "GNR-650, assignment 1\n45.4 %" in page.shown
    assert "A paper, not comparable\n93.0 %" in page.shown


def test_the_line_under_a_number_is_drawn_to_scale(run):
    source = read(run)
    card = source[source.index("plain · test accuracy") :]
    svg = card[: card.index("</svg>")]
    marks = {
        kind: (float(x), float(width))
        for kind, x, width in re.findall(r'class="(\w+)" x="([\d.]+)".*?width="([\d.]+)"', svg)
    }
    assert marks["value"] == (0.0, 45.67)
    assert marks["span"] == (44.12, 3.11)
    assert marks["trivial"][0] + marks["trivial"][1] / 2 == pytest.approx(10.0)
    assert marks["theirs"][0] + marks["theirs"][1] / 2 == pytest.approx(45.4)


def test_the_page_tells_things_in_the_order_a_reader_needs(run):
    text = Page(read(run)).text
    source = read(run)
    wanted = [
        "Overfit a ResNet-18<",
        "Finished in 1 min 15 s; seed 7.",
        "More or fewer than half?",
        "What was asked",
        "plain · test accuracy",
        "it memorises",
        "Protocol card",
        "<h3>kernels</h3>",
        "How many weights?",
        "Learning curves",
        "Machine and versions",
        "vislab run resnet-overfit --seed 7",
    ]
    places = [source.index(words) for words in wanted]
    assert places == sorted(places)
    assert "Overfit a ResNet-18." not in text


def test_only_what_matters_is_unfolded(run):
    page = Page(read(run))
    assert "the first layer" in page.shown  # the caption of kernels
    for folded in ("1728", "Training is dashed.", "optim.lr"):
        assert folded in page.folded
        assert folded not in page.shown
    assert "confusion" in page.shown  # its summary


def test_claims_carry_their_verdict_and_what_they_ask(run):
    shown = Page(read(run)).shown
    assert (
        "confirmed\nit memorises\nAsks for train accuracy of at least 99.0 %; measured 100.0 %."
        in shown
    )


def test_references_say_what_differs(run):
    source = read(run)
    page = Page(source)
    assert (
        "45.4 %\n45.7 % (44.1–47.2)\n"
        "the same: their number lies inside our interval; 1 cell of the protocol differs"
        in page.text
    )
    assert "93.0 %\n50.0 %\nnot comparable: different training images" in page.text
    marked = re.findall(r'<tr class="([\w ]+)"><th>([^<]+) <span', source)
    assert marked == [("differs", "side in pixels"), ("differs decides", "training images")]


@pytest.mark.parametrize(
    ("verdict", "cells", "text"),
    [
        ("higher", [], "ours is higher by 2.0 points"),
        (
            "lower",
            ["size", "epochs"],
            "ours is lower by 2.0 points; 2 cells of the protocol differ",
        ),
        ("not measured", [], "this run did not measure it"),
        (
            "not comparable",
            ["data", "size", "test", "metric"],
            "not comparable: different data, test images and metric",
        ),
    ],
)
def test_verdicts_in_words(verdict, cells, text):
    entry = {
        "verdict": verdict,
        "value": 0.5,
        "ours": 0.48 if verdict == "lower" else 0.52,
        "cells": [{"cell": cell, "differs": True} for cell in cells],
    }
    assert verdict_text(entry, share=True) == text


def test_numbers_of_one_source_measured_alike_share_a_card(run):
    first = run.result.references[0]
    run.result.references = [
        first,
        {**first, "metric": "train/accuracy", "value": 1.0, "ours": 1.0},
    ]
    source = read(run)
    assert source.count('class="card reference"') == 1
    assert source.count("lies inside our interval") == 2


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def test_hostile_names_are_text_and_nothing_else(run):
    result = run.result
    result.title = result.error = result.command = HOSTILE
    result.lesson = {
        "title": HOSTILE,
        "story": [HOSTILE],
        "source": HOSTILE,
        "question": HOSTILE,
        "look_at": [HOSTILE],
        "exercises": [{"task": HOSTILE, "answer": HOSTILE}],
    }
    result.metrics[f"{HOSTILE}/test/accuracy"] = 0.3
    result.data = [{"classes": ["cat", HOSTILE]}]
    result.notes = [HOSTILE]
    result.protocol["network"] = HOSTILE
    result.claims[0]["claim"] = result.claims[0]["verdict"] = HOSTILE
    result.references[0]["source"] = result.references[0]["cells"][0]["theirs"] = HOSTILE
    result.costs = [{"name": HOSTILE, "parameters": 3}]
    result.weights_sha256 = HOSTILE
    run.add_figure(HOSTILE, PIXEL, caption=HOSTILE)
    run.add_figure("gone", PIXEL)
    result.figures[-1]["file"] = f"figures/{HOSTILE}.png"
    run.add_table("classes", [HOSTILE], [[HOSTILE]], caption=HOSTILE)
    run.log({"fit": HOSTILE, "epoch": 1, "step": 1, "train/loss": 1.0})
    run.path = run.path.rename(run.path.with_name("<b onclick=alert(3)>"))
    page = assert_safe(read(run))
    assert page.text.count(HOSTILE) >= 15
    assert "<b onclick=alert(3)>" in page.text
    (form,) = page.all("form")
    assert form["data-answer"] == HOSTILE


def test_the_same_folder_gives_the_same_bytes_also_after_it_moved(run, tmp_path):
    first = write_report(run).read_bytes()
    assert write_report(RunFolder.open(run.path)).read_bytes() == first
    moved = tmp_path / "elsewhere" / "first-run"
    moved.parent.mkdir()
    run.path.rename(moved)
    assert write_report(RunFolder.open(moved)).read_bytes() == first


def test_a_run_that_hardly_began_has_a_page(tmp_path):
    run = RunFolder.create(tmp_path / "a", "knn", {"data": "shapes"})
    page = assert_safe(read(RunFolder.open(run.path)))
    assert "Interrupted; what is here was measured before." in page.shown
    assert "vislab run --resume a" in page.shown
    assert "The run ended before anything was measured." in page.shown
    assert "data\nshapes" in page.shown  # without a protocol, what was asked is the options
    assert "environment.json is missing" in page.folded
    assert "Learning curves" not in page.text


def test_a_failed_run_says_why(run):
    run.result.status, run.result.error = "failed", "the loss became NaN at step 12"
    assert "Failed after 1 min 15 s: the loss became NaN at step 12" in Page(read(run)).shown


def test_a_missing_file_is_said_and_a_file_outside_the_folder_is_not_read(run, tmp_path):
    (run.path / "figures" / "kernels.png").unlink()
    (run.path / "tables" / "seeds.csv").unlink()
    (tmp_path / "secret.png").write_bytes(b"secret")
    run.result.figures[1]["file"] = "../secret.png"
    source = read(run)
    page = assert_safe(source)
    assert "The image figures/kernels.png is missing from the run folder." in page.shown
    assert "The table tables/seeds.csv is missing from the run folder." in page.shown
    assert "The image ../secret.png is missing" in page.folded
    assert "c2VjcmV0" not in source  # "secret" in base64


def test_a_table_of_seeds_reads_well(run):
    shown = Page(read(run)).shown
    assert "seed\ntest accuracy\nloss\n0\n45.1 %\n1.5\n1\n50.0 %\n2.0" in shown


@pytest.mark.parametrize(
    ("cells", "column", "wanted"),
    [
        (["9.0", "8.98765", "-0.5"], "loss", ["9.000", "8.988", "−0.500"]),
        (["0.1", "1e-05", ""], "learning rate", ["0.1", "1e-05", ""]),
        (["1000", "7"], "images", ["1000", "7"]),
        (["0.5", "1"], "plain accuracy", ["50.0 %", "100.0 %"]),
        (["0.5", "cat", "nan"], "mixed", ["0.5", "cat", "nan"]),
        (["12345.678", "1.5", "nan"], "steps", ["12 345.7", "1.5", "nan"]),
    ],
)
def test_a_column_is_written_with_as_many_decimals_throughout(cells, column, wanted):
    written = column_texts(cells, column)
    assert [text.replace("\u202f", " ") for text in written] == wanted


def test_a_long_table_shows_its_first_rows_and_says_where_the_rest_is(run):
    run.add_table("worst", ["image"], [[f"image-{k}"] for k in range(1234)])
    run.add_table("hidden", ["a"], [["nobody sees me"]], shown=False)
    page = Page(read(run))
    assert "image-49\n" in page.shown
    assert "image-50" not in page.text
    assert "The first 50 of 1 234 rows; all are in tables/worst.csv." in page.shown
    assert "nobody sees me" not in page.text


def test_values_that_are_not_finite_are_said_not_to_be(run):
    run.result.metrics["plain/test/accuracy"] = math.nan
    run.save()
    source = read(RunFolder.open(run.path))
    assert '<p class="large">not finite</p>' in source
    assert "nan" not in Page(source).text.lower().split()


def test_a_silent_run_writes_no_page(run):
    opened = RunFolder.open(run.path, silent=True)
    assert not write_report(opened).exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        write_report(RunFolder(tmp_path))


def test_curves_average_what_was_logged_within_an_epoch(run, monkeypatch):
    seen = []
    real = figures.curves

    def curves(series, **options):
        seen.append((series, options))
        return real(series, **options)

    monkeypatch.setattr(figures, "curves", curves)
    other = {"fit": "other", "epoch": 1, "step": 4, "val/loss": None, "note": "x"}
    lines = [*run.logged(), other, {**other, "epoch": 2, "step": 8}]
    (drawn,) = curve_figures(lines)
    ((series, options),) = seen
    assert series["plain · train"] == ([1, 2, 3], [3.0, 1.5, 1.0])
    assert series["plain · val"] == ([1, 2, 3], [1.5, 1.5, 1.5])
    assert math.isnan(series["other · val"][1][0])
    assert options["dashed"] == {"plain · train"}
    assert (options["x"], options["log"]) == ("epoch", False)
    colours = options["colours"]
    assert colours["plain · train"] == colours["plain · val"] != colours["other · val"]
    assert drawn["title"] == "loss"


def test_a_short_run_is_drawn_by_step_and_losses_come_first(monkeypatch):
    seen = []
    monkeypatch.setattr(figures, "to_png", lambda figure: b"")
    monkeypatch.setattr(figures, "curves", lambda series, **options: seen.append((series, options)))
    lines = [
        {
            "fit": "a",
            "epoch": 1,
            "step": s,
            "lr": 0.1,
            "train/accuracy": 0.5,
            "train/loss": 10.0**-s,
        }
        for s in range(4)
    ]
    titles = [entry["title"] for entry in curve_figures(lines)]
    assert titles == ["loss", "accuracy", "lr"]
    assert [options["x"] for _, options in seen] == ["step"] * 3
    assert seen[0][0] == {"train": ([0, 1, 2, 3], [1.0, 0.1, 0.01, 0.001])}
    assert [options["log"] for _, options in seen] == [True, False, False]
    assert [options["share"] for _, options in seen] == [False, True, False]


def test_costs_leave_out_what_nobody_measured():
    costs = [
        {
            "name": "plain",
            "parameters": 11_173_962,
            "macs": None,
            "train_images_per_second": 812.34,
            "latency_ms": {"1": {"median": 4.3125, "p95": 5.0}, "64": None},
            "peak_memory_bytes": 2**30,
        },
        {"name": "other"},
    ]
    table = cost_table(costs)
    assert table is not None
    assert table["names"] == ["plain", "other"]
    rows = {name: [cell.replace("\u202f", " ") for cell in cells] for name, cells in table["rows"]}
    assert rows == {
        "parameters": ["11.2 M", "–"],
        "training images/s": ["812", "–"],
        "latency of 1 image, median": ["4.31 ms", "–"],
        "latency of 1 image, 95 % within": ["5 ms", "–"],
        "peak memory": ["1.0 GiB", "–"],
    }
    assert cost_table([{"name": "plain"}]) is None
    assert cost_table([]) is None


def test_tries_of_one_epoch_are_left_out_beside_trainings_and_drawn_alone(monkeypatch):
    drawn, real = [], figures.curves
    monkeypatch.setattr(
        figures, "curves", lambda series, **options: drawn.append(series) or real(series, **options)
    )
    tries = [
        {"fit": f"try {rate}", "step": 9, "epoch": 1, "train/loss": rate} for rate in (1.0, 2.0)
    ]
    whole = [{"fit": "whole", "step": n, "epoch": n, "train/loss": 1 / n} for n in (1, 2)]
    list(curve_figures([*tries, *whole]))
    list(curve_figures(tries))
    both, alone = (set(series) for series in drawn)
    assert both == {"whole · train"}
    assert alone == {"try 1.0 · train", "try 2.0 · train"}
