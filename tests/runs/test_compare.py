import json
from pathlib import Path

import pytest

from tests.runs.reading import assert_safe
from vislab.errors import RunError
from vislab.runs.compare import compare, comparison_lines, write_comparison
from vislab.runs.folder import RunFolder

COLUMNS = ["image", "label", "predicted", "probability", "loss"]


def made(path: Path, options=None, **fits):
    """A finished run; each fit is a list of (image, label, predicted), `test` an unnamed one."""
    run = RunFolder.create(path, "resnet-overfit", options or {"optim": {"lr": 0.1}})
    run.result.status = "finished"
    for name, rows in fits.items():
        title = "test predictions" if name == "test" else f"{name} test predictions"
        run.add_table(title, COLUMNS, [[*row, 0.5, 0.69] for row in rows], shown=False)
    run.save()
    return run


def rows(right: int, total: int, start: int = 0):
    """The first `right` of `total` images are right."""
    return [
        (f"{k}.png", "cat", "cat" if k - start < right else "dog")
        for k in range(start, start + total)
    ]


def test_a_run_that_is_right_on_more_of_the_same_images_is_better(tmp_path):
    first = made(tmp_path / "plain", test=rows(100, 200))
    second = made(tmp_path / "augmented", test=rows(150, 200))
    found = compare([first, second])
    (pair,) = found.pairs
    assert [(one.name, one.accuracy, one.images) for one in found.contenders] == [
        ("plain", 0.5, 200),
        ("augmented", 0.75, 200),
    ]
    assert pair.difference == 0.25
    # 50 of 200 images changed, all one way; with one more each, 51 and 1 of 202.
    half = 1.96 * ((52 / 202 - (50 / 202) ** 2) / 202) ** 0.5
    assert pair.interval == pytest.approx((50 / 202 - half, 50 / 202 + half), abs=1e-4)
    assert pair.verdict == "augmented is better by 25.0 points (18.6 to 30.9)"
    (pair,) = compare([second, first]).pairs
    assert pair.verdict == "plain is worse by 25.0 points (18.6 to 30.9)"


def test_images_are_paired_by_name_not_by_place(tmp_path):
    first = made(tmp_path / "a", test=rows(40, 200))
    second = made(tmp_path / "b", test=rows(60, 200))
    shuffled = made(tmp_path / "c", test=rows(60, 200)[::-1])
    straight, turned = compare([first, second, shuffled]).pairs
    assert turned.interval == straight.interval
    assert straight.interval[0] > 0.05  # unpaired, 0.1 ± 0.08


def test_a_small_difference_is_none_that_the_test_set_could_show(tmp_path):
    first = made(tmp_path / "a", test=rows(10, 40))
    flipped = [
        (p, t, "cat" if k in (12, 13, 14, 0) else said)
        for k, (p, t, said) in enumerate(rows(8, 40))
    ]
    (pair,) = compare([first, made(tmp_path / "b", test=flipped)]).pairs
    assert pair.difference == pytest.approx(0.025)
    assert pair.interval[0] < 0 < pair.interval[1]
    assert pair.verdict.startswith("no difference that this test set could show (+2.5 points, −")


def test_other_images_are_not_paired(tmp_path):
    first = made(tmp_path / "a", test=rows(10, 40))
    other = made(tmp_path / "b", test=rows(30, 40, start=5))
    fewer = made(tmp_path / "c", test=rows(10, 39))
    twice = made(tmp_path / "d", test=[*rows(10, 40), ("3.png", "cat", "cat")])
    for pair in compare([first, other, fewer, twice]).pairs:
        assert pair.interval is None
        assert pair.verdict == "not paired: the runs were tested on different images"
    relabelled = made(tmp_path / "e", test=[(p, "dog", said) for p, _, said in rows(10, 40)])
    (pair,) = compare([first, relabelled]).pairs
    assert pair.interval is None
    assert pair.verdict == "not paired: the same images bear different labels in the two runs"


def test_an_image_that_stands_twice_is_two_images(tmp_path):
    twice = [*rows(10, 40), ("3.png", "cat", "dog")]
    found = compare([made(tmp_path / "a", test=twice), made(tmp_path / "b", test=twice)])
    assert found.contenders[0].images == 41
    assert found.contenders[0].accuracy == 10 / 41
    assert found.pairs[0].same_predictions


def test_runs_are_identical_when_predictions_and_weights_are(tmp_path):
    first, second = (made(tmp_path / name, test=rows(10, 40)) for name in "ab")
    verdicts = []
    for hashes in (("f00", "f00"), ("f00", "ba5"), ("f00", None), (None, None)):
        first.result.weights_sha256, second.result.weights_sha256 = hashes
        verdicts.append(compare([first, second]).pairs[0].verdict)
    assert verdicts == [
        "the two runs are identical: same predictions and same weights (SHA-256 f00)",
        "same predictions on all 40 images, though the weights differ",
        "same predictions on all 40 images; their weights cannot be compared",
        "same predictions on all 40 images; their weights cannot be compared",
    ]


def test_equal_accuracy_with_other_mistakes_is_not_the_same_predictions(tmp_path):
    first = made(tmp_path / "a", test=[("1", "cat", "dog"), ("2", "cat", "cat")])
    second = made(tmp_path / "b", test=[("1", "cat", "frog"), ("2", "cat", "cat")])
    first.result.weights_sha256 = second.result.weights_sha256 = "f00"
    (pair,) = compare([first, second]).pairs
    assert (pair.difference, pair.same_predictions) == (0.0, False)
    assert pair.verdict == "no difference that this test set could show (0.0 points, −69.3 to 69.3)"


def test_several_networks_are_matched_by_name(tmp_path):
    first = made(tmp_path / "a", plain=rows(1, 9), fixed=rows(2, 9), only=rows(3, 9))
    second = made(tmp_path / "b", fixed=rows(4, 9), plain=rows(5, 9))
    found = compare([first, second])
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("a · plain", "b · plain"),
        ("a · fixed", "b · fixed"),
    ]
    assert [one.accuracy * 9 for one in found.contenders] == pytest.approx([1, 2, 4, 5])


def test_one_network_is_compared_with_all_of_another_run(tmp_path):
    first = made(tmp_path / "a", test=rows(1, 9))
    second = made(tmp_path / "b", plain=rows(2, 9), fixed=rows(3, 9))
    found = compare([first, second])
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("a", "b · plain"),
        ("a", "b · fixed"),
    ]
    single = made(tmp_path / "c", plain=rows(2, 9))
    assert [pair.second for pair in compare([first, single]).pairs] == ["c"]


def test_networks_without_a_common_name_are_refused(tmp_path):
    first = made(tmp_path / "a", plain=rows(1, 9), fixed=rows(2, 9))
    second = made(tmp_path / "b", small=rows(1, 9), large=rows(2, 9))
    with pytest.raises(
        RunError, match="no network of the same name: plain, fixed; and small, large"
    ):
        compare([first, second])


def test_what_cannot_be_compared_says_why(tmp_path):
    first = made(tmp_path / "a", test=rows(1, 9))
    for runs in ([], [first]):
        with pytest.raises(RunError, match=f"two runs or more, got {len(runs)}"):
            compare(runs)
    with pytest.raises(RunError, match="b holds no test predictions"):
        compare([first, made(tmp_path / "b")])
    with pytest.raises(RunError, match=r"'test predictions' of .*c is empty"):
        compare([first, made(tmp_path / "c", test=[])])
    damaged = made(tmp_path / "d", test=rows(1, 9))
    damaged.add_table("test predictions", ["image", "label"], [["a", "b"]])
    with pytest.raises(RunError, match="it needs the columns image, label and predicted"):
        compare([first, damaged])
    (damaged.path / "tables" / "test-predictions.csv").unlink()
    with pytest.raises(RunError, match="is missing"):
        compare([first, damaged])


def test_a_run_that_is_not_finished_is_compared_with_a_warning(tmp_path):
    first, second = (made(tmp_path / name, test=rows(1, 9)) for name in "ab")
    assert compare([first, second]).warnings == ()
    second.result.status = "interrupted"
    (warning,) = compare([first, second]).warnings
    assert warning.startswith("b is not finished (it is interrupted)")


def test_differing_options_are_listed_down_to_the_nested_ones(tmp_path):
    first = made(
        tmp_path / "a", {"optim": {"name": "adam", "lr": 0.1}, "epochs": 3}, test=rows(1, 9)
    )
    second = made(
        tmp_path / "b", {"optim": {"name": "adam", "lr": 0.2}, "crop": True}, test=rows(1, 9)
    )
    found = compare([first, second])
    assert [(entry.option, entry.values) for entry in found.options] == [
        ("optim.lr", {"a": 0.1, "b": 0.2}),
        ("epochs", {"a": 3, "b": None}),
        ("crop", {"a": None, "b": True}),
    ]
    assert compare([first, first]).options == ()


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    first = made(tmp_path / "monday" / "run", test=rows(1, 9))
    second = made(tmp_path / "friday" / "run", test=rows(1, 9))
    assert compare([first, second]).runs == ("monday/run", "friday/run")
    assert compare([first, first]).runs == ("run", "run (2)")


def costly(tmp_path):
    first, second = (made(tmp_path / name, test=rows(k, 40)) for k, name in ((9, "a"), (30, "<b>")))
    first.result.costs = [
        {
            "name": "network",
            "parameters": 1234,
            "macs": 5_000_000,
            "train_images_per_second": 99.5,
            "latency_ms": {"1": {"median": 2.0, "p95": 3.0}, "64": {"median": 20.0, "p95": 30.0}},
            "peak_memory_bytes": None,
        }
    ]
    first.result.peak_memory_bytes = 2**31
    return compare([first, second])


def test_costs_stand_beside_accuracy(tmp_path):
    found = costly(tmp_path)
    text = comparison_lines(found).replace("\u202f", " ")
    table = [line.split("  ") for line in text.splitlines()]
    cells = {line[0]: [cell.strip() for cell in line[1:] if cell.strip()] for line in table}
    assert cells["test images"] == ["40", "40"]
    assert cells["accuracy"][0].startswith("22.5 % (")
    assert cells["parameters"] == ["1 234", "–"]
    assert cells["multiply–adds an image"] == ["5 M", "–"]
    assert cells["training images/s"] == ["99.5", "–"]
    assert cells["latency of 1 image, median"] == ["2 ms", "–"]
    assert cells["latency of 64 images, 95 % within"] == ["30 ms", "–"]
    assert cells["peak memory"] == ["2.0 GiB", "–"]


def test_columns_of_the_text_are_aligned(tmp_path):
    lines = comparison_lines(costly(tmp_path)).splitlines()
    start = lines[0].index("<b>")
    table = lines[: lines.index("")]
    assert len(table) > 8
    assert all(line[start - 1] == " " and line[start] != " " for line in table)
    assert lines[lines.index("") + 1].startswith("<b> beside a: <b> is better by 52.5 points (")
    assert lines[-1] == "Every option is the same."


def test_the_comparison_is_plain_json(tmp_path):
    found = costly(tmp_path).as_json()
    assert json.loads(json.dumps(found, allow_nan=False))["runs"] == ["a", "<b>"]
    assert found["pairs"][0]["difference"] == 0.525
    assert found["contenders"][0]["costs"]["peak_memory_bytes"] == 2**31


def test_the_page_stands_alone_and_escapes_names(tmp_path):
    found = costly(tmp_path)
    path = tmp_path / "comparison.html"
    write_comparison(found, path)
    source = path.read_text(encoding="utf-8")
    page = assert_safe(source)
    assert "<b> beside a" in page.text
    assert "+52.5\npoints" in page.text
    low, high = found.pairs[0].interval
    assert f"{100 * low:.1f} to {100 * high:.1f}\n95 % interval" in page.text
    assert found.pairs[0].verdict in page.text
    write_comparison(found, path)
    assert path.read_text(encoding="utf-8") == source


def test_the_page_of_runs_without_a_difference_or_a_pairing_can_be_drawn(tmp_path):
    first = made(tmp_path / "a", test=rows(9, 9))
    other = made(tmp_path / "b", {"crop": True}, test=rows(9, 9, start=3))
    path = tmp_path / "comparison.html"
    write_comparison(compare([first, first, other]), path)
    page = assert_safe(path.read_text(encoding="utf-8"))
    assert "3 runs" in page.text
    assert "not paired" in page.text
    assert "crop\n–\n–\nyes" in page.text
