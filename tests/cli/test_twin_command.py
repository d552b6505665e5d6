"""`vislab twin` as a user types it: what it prints, what it returns, how it says no."""

import csv
import json
import shlex

import pytest

from tests.lab.undrawn import draw_nothing
from vislab import recipes
from vislab.cli.main import main
from vislab.lab.twin import Twin

TINY = ("--data", "shapes:easy", "--per-class", "2", "--size", "8", "--hidden", "6", "--steps", "2")
WITH_TWINS = {
    "caption-by-hand", "convnet-by-hand", "fully-connected", "linear", "two-layer-net"
}  # fmt: skip


@pytest.fixture(autouse=True)
def undrawn(monkeypatch, tmp_path):
    draw_nothing(monkeypatch)
    monkeypatch.chdir(tmp_path)


def table(folder):
    with (folder / "tables/differences-by-step.csv").open() as file:
        return list(csv.DictReader(file))


def result(folder):
    return json.loads((folder / "result.json").read_text())


def test_engines_that_agree_return_0_and_say_by_how_little_they_differ(tmp_path, capsys):
    assert main(["twin", "two-layer-net", *TINY, "--folder", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "the engines agree: over 2 steps the losses differ by " in said
    assert "each of 3 layers passes alone" in said
    assert f"report: {tmp_path / 'run' / 'report.html'}" in said
    rows = table(tmp_path / "run")
    assert len(rows) == 2
    assert max(float(row["difference"]) for row in rows) < 1e-10
    assert result(tmp_path / "run")["status"] == "finished"


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        (["--inject", "Linear:2"], "Linear 2"),
        (["--inject", "ReLU", "--fault", "factor"], "ReLU 1"),
        (["--fault", "transpose", "--inject", "Linear"], "Linear 1"),
    ],
)
def test_a_planted_fault_returns_1_names_its_layer_and_keeps_the_report(
    options, layer, tmp_path, capsys
):
    words = ["twin", "two-layer-net", *TINY, *options, "--folder", str(tmp_path / "run")]
    assert main(words) == 1
    out, complaint = capsys.readouterr()
    assert complaint.startswith("vislab: the engines differ")
    assert complaint.count(" and ") == 2
    assert f"{layer} (" in complaint
    assert "Traceback" not in complaint
    assert f"report: {tmp_path / 'run' / 'report.html'}" in out
    assert result(tmp_path / "run")["status"] == "failed"
    assert result(tmp_path / "run")["metrics"]["layers refused"] == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("knn", "knn takes no gradients by hand, so it has no twin; these have one: "),
        ("knn --steps 3", "two-layer-net"),
        ("two-layer-nte", "no recipe is named 'two-layer-nte'. Did you mean 'two-layer-net'?"),
        ("two-layer-net --steps 0", "--steps 0 compares nothing; use 1 or more"),
        ("two-layer-net --steps -3", "--steps -3 compares nothing; use 1 or more"),
        ("--steps 3", "which recipe?"),
        ("./no-such-file.py", "there is no recipe file at"),
    ],
)
def test_wrong_use_returns_2_before_anything_is_written(words, sentence, tmp_path, capsys):
    assert main(["twin", *words.split()]) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--inject Lniear", "no layer is named 'Lniear'. Did you mean 'Linear'? Known: Attention"),
        ("--inject Linear:0", "'Linear:0' names no layer: after the colon stands its place"),
        (
            "--inject Conv:2",
            "this network has no layer Conv:2; it has Linear:1, ReLU:1, Linear:2",
        ),
        ("--inject ReLU --fault sing", "no fault is named 'sing'. Did you mean 'sign'?"),
    ],
)
def test_a_fault_that_cannot_be_planted_returns_2(options, sentence, tmp_path, capsys):
    words = ["twin", "two-layer-net", *TINY, *options.split(), "--folder", str(tmp_path / "run")]
    assert main(words) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message


def test_a_fault_that_nobody_knows_is_told_even_where_none_is_planted(tmp_path, capsys):
    words = ["twin", "two-layer-net", *TINY, "--fault", "sing", "--folder", str(tmp_path / "run")]
    assert main(words) == 2
    assert "no fault is named 'sing'" in capsys.readouterr().err


def test_help_names_the_recipes_with_two_engines(capsys):
    assert main(["twin", "--help"]) == 0
    page = capsys.readouterr().out
    assert main(["twin"]) == 2
    assert capsys.readouterr().out == page
    named = set(page.rpartition("Recipes with two engines: ")[2].strip().split(", "))
    assert named >= WITH_TWINS
    for name in recipes.names():
        assert (name in named) == callable(getattr(recipes.find(name), "pair", None)), name
    assert "knn" not in named


@pytest.mark.parametrize("name", sorted(WITH_TWINS))
def test_help_of_one_recipe_lists_its_knobs_and_those_of_the_comparison(name, capsys):
    with pytest.raises(SystemExit) as end:
        main(["twin", name, "--help"])
    assert end.value.code == 0
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for flag in ("--steps", "--inject", "--fault", "--tolerance", "--seed", "--data", "--size"):
        assert flag in page, flag
    assert "(default: shapes:easy)" in page, "its quick size"


def test_options_may_stand_before_the_recipe_and_without_a_folder_one_is_made(tmp_path, capsys):
    assert main(["twin", "--steps", "1", "two-layer-net", *TINY[:-2], "--seed", "3"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("twin-two-layer-net-20")
    assert len(table(folder)) == 1
    assert result(folder)["seed"] == 3


def test_the_recorded_command_repeats_the_comparison(tmp_path, capsys):
    words = ["twin", "two-layer-net", *TINY, "--inject", "Linear:2", "--seed", "5"]
    assert main([*words, "--folder", str(tmp_path / "a")]) == 1
    command = shlex.split(result(tmp_path / "a")["command"])
    assert command[:3] == ["vislab", "twin", "two-layer-net"]
    assert main([*command[1:], "--folder", str(tmp_path / "b")]) == 1
    assert table(tmp_path / "a") == table(tmp_path / "b")
    assert result(tmp_path / "a")["metrics"] == result(tmp_path / "b")["metrics"]
    assert main([*command[1:-1], "6", "--folder", str(tmp_path / "c")]) == 1
    assert table(tmp_path / "c")[0]["loss"] != table(tmp_path / "a")[0]["loss"]


def test_an_interrupted_comparison_names_a_way_on_that_works(tmp_path, capsys, monkeypatch):
    def stop(_twin, _lab):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Twin, "run", stop)
        assert main(["twin", "two-layer-net", *TINY, "--folder", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert "interrupted; what there is so far is in" in message
    if "continue with" in message:
        assert main(shlex.split(message.split("`")[1])[1:]) == 0
