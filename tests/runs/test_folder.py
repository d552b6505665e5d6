import json
import math
import shutil

import pytest
import yaml

from vislab.errors import RunError
from vislab.runs.folder import FORMAT, Result, RunFolder, file_name

OPTIONS = {"data": "shapes", "optim": {"lr": 0.1}}


def made(path):
    return RunFolder.create(path, "resnet-overfit", OPTIONS)


def test_a_run_that_was_saved_moved_and_opened_is_the_same(tmp_path):
    run = made(tmp_path / "a")
    run.result.metrics = {"test/accuracy": 0.5, "loss": float("nan")}
    run.result.intervals = {"test/accuracy": (0.4, 0.6), "loss": (float("nan"), 1.0)}
    run.result.notes = ["größer"]
    run.save()
    shutil.move(tmp_path / "a", tmp_path / "b")
    opened = RunFolder.open(tmp_path / "b")
    assert opened.result.metrics["test/accuracy"] == 0.5
    assert math.isnan(opened.result.metrics["loss"])
    assert opened.result.intervals == {"test/accuracy": (0.4, 0.6)}
    assert opened.result.notes == ["größer"]
    assert opened.recipe() == {"recipe": "resnet-overfit", "format": FORMAT, "options": OPTIONS}


def test_a_new_run_is_interrupted_until_it_says_otherwise(tmp_path):
    made(tmp_path / "a")
    assert RunFolder.open(tmp_path / "a").result.status == "interrupted"


def test_a_folder_that_holds_something_is_not_written_over(tmp_path):
    made(tmp_path / "a")
    with pytest.raises(RunError, match="already holds a run; continue it with"):
        made(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        made(tmp_path / "b")
    with pytest.raises(RunError, match="is a file"):
        made(tmp_path / "b" / "thesis.txt")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["thesis.txt"]


def test_a_silent_run_writes_nothing(tmp_path):
    run = RunFolder.create(tmp_path / "a", "resnet-overfit", OPTIONS, silent=True)
    run.log({"step": 1})
    run.add_figure("one", b"png")
    run.add_table("two", ["a"], [[1]])
    run.save()
    assert not (tmp_path / "a").exists()
    assert [entry["title"] for entry in run.result.figures + run.result.tables] == ["one", "two"]


def test_what_is_no_run_damaged_or_unfinished_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(RunError, match=r"is no run folder: it holds no recipe\.yaml"):
        RunFolder.open(tmp_path)
    run = made(tmp_path / "a")
    for text in (b"{", b"[]", b'{"status": "\xff"}'):
        (run.path / "result.json").write_bytes(text)
        with pytest.raises(RunError, match=r"result\.json is damaged"):
            RunFolder.open(run.path)
    (run.path / "result.json").unlink()  # as if killed before its first line
    assert RunFolder.open(run.path).result.status == "interrupted"
    for text in (b"recipe: [", b"recipe: a", b"just words", b"", b"\xff"):
        (run.path / "recipe.yaml").write_bytes(text)
        with pytest.raises(RunError, match=r"recipe\.yaml is damaged"):
            RunFolder.open(run.path)


def test_a_folder_of_a_newer_vislab_is_refused_whatever_it_holds(tmp_path):
    run = made(tmp_path / "a")
    (run.path / "recipe.yaml").write_text(yaml.safe_dump({"format": FORMAT + 1, "knobs": {}}))
    said = rf"newer vislab \(folder format {FORMAT + 1}, this one reads up to {FORMAT}\)"
    with pytest.raises(RunError, match=said):
        RunFolder.open(run.path)


def test_what_a_newer_result_adds_is_passed_over(tmp_path):
    run = made(tmp_path / "a")
    (run.path / "result.json").write_text(json.dumps({"seed": 3, "mood": "good"}))
    assert RunFolder.open(run.path).result == Result(recipe="resnet-overfit", seed=3)


def test_a_line_cut_short_is_left_out_and_does_not_swallow_the_next(tmp_path):
    run = made(tmp_path / "a")
    assert run.logged() == []
    run.log({"fit": "a", "step": 1, "loss": 0.5})
    run.log({"fit": "a", "step": 2, "loss": float("inf")})
    path = run.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"fit": "a", "st')
    assert [line["step"] for line in run.logged()] == [1, 2]
    run.log({"fit": "a", "step": 3})
    assert [line["step"] for line in run.logged()] == [1, 2, 3]
    assert run.logged()[1]["loss"] is None


def test_a_resumed_fit_forgets_what_came_after_its_checkpoint(tmp_path):
    run = made(tmp_path / "a")
    run.forget_after("a", 1)
    for fit, step in (("a", 1), ("a", 2), ("b", 5), ("a", 3)):
        run.log({"fit": fit, "step": step})
    run.forget_after("a", 2)
    assert [(line["fit"], line["step"]) for line in run.logged()] == [("a", 1), ("a", 2), ("b", 5)]


def test_a_table_comes_back_as_it_was_written(tmp_path):
    run = made(tmp_path / "a")
    rows = [["a, b", 'say "x"'], ["two\nlines", ""], ["<b>", "ü"]]
    path = run.add_table("Test predictions", ["image", "label"], rows, shown=False)
    assert path == run.path / "tables" / "test-predictions.csv"
    assert run.table("Test predictions") == (["image", "label"], rows)
    with pytest.raises(RunError, match="holds no table 'seeds'"):
        run.table("seeds")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="is damaged"):
        run.table("Test predictions")


def test_a_title_filed_twice_is_replaced_where_it_stood(tmp_path):
    run = made(tmp_path / "a")
    run.add_figure("one", b"old", svg=b"<svg/>")
    run.add_figure("two", b"")
    run.add_figure("one", b"new", caption="again")
    assert [(e["title"], e["caption"]) for e in run.result.figures] == [
        ("one", "again"),
        ("two", ""),
    ]
    assert (run.path / "figures" / "one.png").read_bytes() == b"new"
    assert (run.path / "figures" / "one.svg").read_bytes() == b"<svg/>"


def test_titles_that_would_share_a_file_get_their_own(tmp_path):
    run = made(tmp_path / "a")
    run.add_figure("class: a", b"first")
    run.add_figure("class a", b"second")
    run.add_figure("class: a", b"third")
    files = [entry["file"] for entry in run.result.figures]
    assert files == ["figures/class-a.png", "figures/class-a-2.png"]
    assert [(run.path / file).read_bytes() for file in files] == [b"third", b"second"]
    run.add_table("x: y", ["a"], [["first"]])
    run.add_table("x y", ["a"], [["second"]])
    assert run.table("x: y")[1] == [["first"]]
    assert run.table("x y")[1] == [["second"]]
    run.add_figure("long " * 99, b"")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Most confident mistakes", "most-confident-mistakes"),
        ("../../etc/passwd", "etc-passwd"),
        ("Bäume / v1.2", "bäume-v1.2"),
        ("..", "untitled"),
        ("", "untitled"),
    ],
)
def test_a_title_becomes_a_harmless_file_name(title, name):
    assert file_name(title) == name
