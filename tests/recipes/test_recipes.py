"""Every recipe: runs to its end in its smallest size, and keeps its promises on paper."""

import dataclasses
import json

import pytest
import yaml

from tests.recipes.people import people
from vislab import recipes
from vislab.errors import OptionError, RunError
from vislab.lab.knobs import flags, plain, restore
from vislab.lab.recipe import Recipe, recipe_in
from vislab.lab.running import command, execute
from vislab.runs.lesson import read_lesson

NAMES = recipes.names()
TRAINING = [name for name in NAMES if recipes.find(name).smoke]


def test_the_recipes_are_found():
    by_hand = {"knn", "linear", "two-layer-net", "fully-connected", "convnet-by-hand", "tensors"}
    assert {"augmentation", "caption-by-hand", "resnet-overfit", "tour"} | by_hand <= set(NAMES)
    transfer = {"finetune", "vit-finetune", "bilinear-cars", "face-gender"}
    assert {"cifar-networks", "cnn-vs-transformer", "model-zoo"} | transfer <= set(NAMES)
    assert len(TRAINING) >= 16


@pytest.mark.parametrize("name", TRAINING)
def test_it_runs_to_its_end_and_has_a_report(name, tmp_path):
    kind = recipes.find(name)
    smoke = dict(kind.smoke)
    if name == "face-gender":  # claims something of people, whom shapes do not have
        smoke["data"] = str(people(tmp_path / "people"))
    run = execute(kind(**smoke), name, tmp_path / "run", quiet=True)
    assert run.result.status == "finished"
    assert run.result.metrics
    assert all(claim["value"] is not None for claim in run.result.claims)
    assert len(run.result.figures) >= 3
    assert (run.path / "report.html").stat().st_size > 50_000
    assert json.loads((run.path / "result.json").read_text())["metrics"] == run.result.metrics


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_is_a_lesson(name):
    lesson = read_lesson(recipes.find(name).__doc__)
    assert lesson.question.endswith("?")
    assert lesson.look_at
    assert len(lesson.exercises) == 2


@pytest.mark.parametrize("name", NAMES)
def test_every_knob_is_documented(name, capsys):
    from vislab.cli.main import main

    with pytest.raises(SystemExit):
        main(["run", name, "--help"])
    page = capsys.readouterr().out
    for knob in dataclasses.fields(recipes.find(name)):
        flag = knob.name.replace("_", "-")
        assert f"--{flag}" in page


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", ["quick", "course_protocol", "smoke"])
def test_its_sizes_can_be_made_kept_and_typed(name, preset):
    kind = recipes.find(name)
    recipe = kind(**getattr(kind, preset))
    kept = yaml.safe_load(yaml.safe_dump(plain(recipe)))
    assert restore(kind, kept) == recipe
    from vislab.cli.run_command import parse

    assert parse(kind, name, flags(recipe))[1] == recipe


def test_an_option_of_another_version_is_refused():
    kind = recipes.find("resnet-overfit")
    with pytest.raises(RunError, match="has no option 'colours'"):
        restore(kind, {"colours": 3})


def test_the_command_names_only_what_differs():
    kind = recipes.find("resnet-overfit")
    from vislab.lab.running import Conditions
    from vislab.tasks.optim import Optim

    recipe = kind(data="my images", per_class=None, optim=Optim(lr=0.1))
    assert command(recipe, "resnet-overfit", Conditions(seed=2)) == (
        "vislab run resnet-overfit --data 'my images' --per-class None --optim.lr 0.1 --seed 2"
    )


def test_a_recipe_of_the_users_own_runs_from_its_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from vislab.lab.recipe import Recipe\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Recipe):\n"
        '    """Write down a number."""\n'
        "    number: float = 1.0\n"
        "    def run(self, lab):\n"
        "        lab.record('number', self.number)\n"
    )
    kind = recipes.find(str(file))
    run = execute(kind(number=7.0), str(file), tmp_path / "run", quiet=True)
    assert run.result.metrics == {"number": 7.0}
    assert run.result.status == "finished"


def test_a_recipe_of_the_users_own_runs_from_the_command_line(tmp_path, monkeypatch, capsys):
    from vislab.cli.main import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from vislab.lab.recipe import Recipe\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Recipe):\n"
        '    """Write down a number."""\n'
        "    number: float = 1.0\n"
        "    def run(self, lab):\n"
        "        lab.record('number', self.number)\n"
    )
    assert main(["run", "./mine.py", "--number", "7", "--folder", "out"]) == 0
    assert json.loads((tmp_path / "out" / "result.json").read_text())["metrics"] == {"number": 7.0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\n", "defines 0 recipes"),
        (
            "from vislab.lab.recipe import Recipe\nclass A(Recipe): 'a'\nclass B(Recipe): 'b'\n",
            "defines 2 recipes",
        ),
        ("from vislab.lab.recipe import Recipe\nclass A(Recipe): pass\n", "needs @dataclass"),
    ],
)
def test_a_file_that_is_no_recipe_is_told_so(tmp_path, text, sentence):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(OptionError, match=sentence):
        recipe_in(tmp_path / "mine.py")


def test_a_recipe_without_a_story_says_so():
    with pytest.raises(NotImplementedError, match="Recipe has no run"):
        Recipe().run(None)
