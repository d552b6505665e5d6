"""`vislab sweep` as a user types it: what it prints, what it returns, how it says no."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from vislab import recipes
from vislab.cli import sweep_command
from vislab.cli.main import main
from vislab.errors import OptionError
from vislab.lab.recipe import Recipe
from vislab.runs.folder import RunFolder


@dataclass(frozen=True)
class Slope:
    """How steep."""

    rise: float = 1.0
    """Over one."""

    def __post_init__(self):
        if self.rise > 5:
            raise OptionError(f"--slope.rise {self.rise} must be at most 5")


@dataclass(frozen=True)
class Hill(Recipe):
    """A hill whose top is at 0.3."""

    x: float = 0.5
    """Where to stand."""
    steps: int = 1
    """How many."""
    high: bool = False
    """On stilts."""
    slope: Slope = field(default_factory=Slope)

    quick = {"steps": 2}

    def run(self, lab):
        if self.steps == 13:
            raise KeyboardInterrupt
        top = 1 - self.slope.rise * (self.x - 0.3) ** 2
        lab.record("val/accuracy", top, trivial=0.25)


@pytest.fixture(autouse=True)
def hill(monkeypatch, tmp_path):
    find = recipes.find
    monkeypatch.setattr(recipes, "find", lambda name: Hill if name == "hill" else find(name))
    for name in (
        "sweep.report._file_figures",
        "sweep.report.write_report",
        "lab.running.write_report",
    ):
        monkeypatch.setattr(f"vislab.{name}", lambda *_: None)
    monkeypatch.chdir(tmp_path)


def test_each_trial_has_its_line_and_the_end_says_what_was_found(tmp_path, capsys):
    words = ["sweep", "hill", "--over", "x=0..1", "--over", "slope.rise=1e-2..5:log"]
    assert main([*words, "--trials", "4", "--folder", "s", "--quick", "--", "--high"]) == 0
    said = capsys.readouterr().out
    for number in (1, 2, 3, 4):
        line = rf"^trial {number} of 4: x 0\.\d+, slope\.rise [\d.]+ → val/accuracy −?\d+\.\d\W%$"
        assert re.search(line, said, re.MULTILINE), said
    for sentence in (
        " is the best, with val accuracy ", "The best of 4 trials flatters itself",
        "The best setting again: `vislab run hill --x 0.", "best val/accuracy  ", "chance 25.0",
        "report: s/report.html",
    ):  # fmt: skip
        assert sentence in said, sentence
    options = RunFolder.open(tmp_path / "s/trials/0001").recipe()["options"]
    assert (options["steps"], options["high"]) == (2, True)


def test_without_a_folder_one_is_made(tmp_path):
    assert main(["sweep", "hill", "--over", "x=0..1", "--trials", "1"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("sweep-hill-20")


def test_a_recipe_without_a_quick_size_says_so(capsys, monkeypatch):
    monkeypatch.setattr(Hill, "quick", {})
    assert main(["sweep", "hill", "--quick", "--over", "x=0..1"]) == 2
    assert "hill has no --quick; sweep it without" in capsys.readouterr().err


def test_the_recorded_command_repeats_the_sweep_and_with_its_folder_goes_on(tmp_path, capsys):
    words = ["hill", "--over", "x=0..1", "--over", "high=true,false", "--trials", "2"]
    assert main(["sweep", *words, "--seed", "5", "--folder", "a", "--", "--steps", "3"]) == 0
    command = shlex.split(json.loads((tmp_path / "a/result.json").read_text())["command"])
    place = command.index("--")
    again = [*command[1:place], "--folder", "b", *command[place:]]
    assert main(again) == 0
    tables = [(tmp_path / name / "tables/trials.csv").read_text() for name in "ab"]
    first, second = ([row.split(",")[:5] for row in table.splitlines()] for table in tables)
    assert first == second
    capsys.readouterr()
    more = [word if word != "2" else "3" for word in again]
    assert main(more) == 0
    said = capsys.readouterr().out
    assert "trial 3 of 3" in said
    assert "trial 2 of 3" not in said


def test_an_interrupted_sweep_names_the_command_that_goes_on(tmp_path, capsys, monkeypatch):
    words = ["hill", "--over", "x=0..1", "--trials", "2", "--folder", "s", "--", "--steps", "13"]
    assert main(["sweep", *words]) == 1
    message = capsys.readouterr().err
    assert "interrupted; what there is so far is in s, go on with `vislab sweep hill " in message
    command = shlex.split(message.partition("`")[2].partition("`")[0])
    monkeypatch.setattr(Hill, "run", lambda _self, lab: lab.record("val/accuracy", 0.5))
    assert main(command[1:]) == 0
    assert json.loads((tmp_path / "s/result.json").read_text())["metrics"]["trials"] == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("hill", "nothing to search; name options of hill with --over, as --over epochs=5..20"),
        ("hill --over y=0..1", "no option of hill is named 'y'. Known: high, slope.rise, steps, x"),
        ("hill --over slope.rice=0..1", "Did you mean 'slope.rise'?"),
        ("hill --over x=1..0", "--over x=1..0 ends before it begins"),
        ("hill --over steps=1,many", "--over steps: 'many' is not a whole number"),
        (
            "hill --over slope.rise=1..9",
            "--over slope.rise=1.0..9.0 is not possible throughout: --slope.rise 9.0 must be at",
        ),
        ("hill --over x=0..1 --trials 0", "--trials 0 tries nothing; use 1 or more"),
        ("hill --over x=0..1 --minutes 0", "--minutes 0 leaves no time; use more than 0"),
        ("hill --over x=0..1 -- --x 0.5", "--x stands after --, which fixes it, and x after --ov"),
        ("hill --over high=true,false -- --no-high", "--no-high stands after --, which fixes it"),
        ("hill --over slope.rise=1,2 -- --slope.rise=2", "--slope.rise stands after --"),
        ("lniear --over x=0..1", "no recipe is named 'lniear'. Did you mean 'linear'?"),
        ("--over x=0..1", "which recipe?"),
        ("-- --x 1", "which recipe?"),
    ],
)
def test_wrong_use_returns_2_before_anything_is_written(words, sentence, tmp_path, capsys):
    assert main(["sweep", *words.split()]) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []


def test_help_teaches_with_commands_that_are_right(capsys, monkeypatch):
    assert main(["sweep", "--help"]) == 0
    page = capsys.readouterr().out
    assert main(["sweep"]) == 2
    assert capsys.readouterr().out == page
    joined = page.replace("\\\n", " ")
    commands = re.findall(r"^  (vislab sweep [^\n]+)$", joined, re.MULTILINE)
    assert len(commands) == 2
    asked = []
    monkeypatch.setattr(
        "vislab.sweep.search.search", lambda sweep, _: asked.append(sweep) or Ended()
    )
    monkeypatch.setattr(sweep_command, "finish", lambda work, *_, **__: work())
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    assert [str(axis) for axis in asked[0].axes] == [
        "learning_rate=0.0001..0.1:log", "batch=25,50,100"
    ]  # fmt: skip
    assert asked[1].recipe.rungs == ("none",)
    network, rung = asked[1].metric.removesuffix("/val/accuracy").split(", ")
    assert asked[1].recipe.networks == (network,)
    assert asked[1].recipe.rungs == (rung,)


class Ended:
    """A sweep that has nothing to say."""

    class result:  # noqa: N801
        notes = ()


def test_help_of_one_recipe_lists_the_options_of_the_search(capsys):
    with pytest.raises(SystemExit) as end:
        main(["sweep", "fully-connected", "--help"])
    assert end.value.code == 0
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for flag in (
        "--over", "--trials", "--quick", "--metric", "--folder", "--storage", "--minutes",
        "--seed", "--no-prune",
    ):  # fmt: skip
        assert flag in page, flag


@pytest.mark.parametrize("words", [["--help"], ["fully-connected", "--help"]], ids=" ".join)
def test_help_imports_no_heavy_library(words):
    code = (
        "import sys\n"
        "from vislab.cli.main import main\n"
        "try:\n"
        f"    main(['sweep', *{words!r}])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'optuna', 'sqlalchemy', 'matplotlib', 'lightning'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 100
