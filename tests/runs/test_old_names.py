import dataclasses

import pytest

from vislab.cli.main import main
from vislab.data.augment import Augment
from vislab.errors import OptionError, RunError
from vislab.lab.knobs import restore
from vislab.recipes.segment_unet import SegmentUnet
from vislab.runs.compare import PREDICTIONS, read_predictions
from vislab.runs.folder import RunFolder
from vislab.runs.old_names import FIELDS, by_new_names, refuse_old_options


def test_a_recipe_kept_under_old_names_is_restored():
    kept = {"epochs": 3, "augment": {"flip": True, "turn": True}}
    recipe = restore(SegmentUnet, kept)
    assert recipe.epochs == 3
    assert recipe.augment == Augment(flip=True, rotation=True)


def test_an_old_name_is_known_only_where_it_was_used():
    with pytest.raises(RunError, match="'turn'"):
        restore(SegmentUnet, {"turn": True})


def test_the_new_name_stands_where_both_are_given():
    assert by_new_names("Augment", {"rotation": False, "turn": True}) == {"rotation": False}


def test_columns_and_costs_of_a_run_made_before_are_read(tmp_path):
    run = RunFolder.create(tmp_path / "run", "a test", {})
    run.add_table(PREDICTIONS, ("picture", "label", "predicted"), [("a.png", "cat", "dog")])
    run.result.costs = [{"name": "", "train_pictures_per_second": 70.0}]
    run.save()
    again = RunFolder.open(run.path)
    assert read_predictions(again, PREDICTIONS).label == {("a.png", 0): "cat"}
    assert again.result.costs == [{"name": "", "train_images_per_second": 70.0}]


@pytest.mark.parametrize(
    ("command", "word", "new"),
    [
        ("run", "--augment.turn", "--augment.rotation"),
        ("sweep", "--augment.no-turn", "--augment.no-rotation"),
        ("predict", "--why=seen", "--out"),
    ],
)
def test_an_option_by_its_old_name_leads_to_the_new(command, word, new):
    with pytest.raises(OptionError, match=f"now called {new}$"):
        refuse_old_options(command, ["something", word])


def test_words_that_are_no_old_options_pass():
    refuse_old_options("explain", ["--why", "turn"])
    refuse_old_options("run", ["--turn"])


def test_the_command_line_says_the_new_name(capsys):
    assert main(["run", "segment-unet", "--quick", "--augment.turn"]) == 2
    assert "--augment.turn is now called --augment.rotation" in capsys.readouterr().err


def test_a_recipe_of_ones_own_may_name_its_options_as_it_likes():
    refuse_old_options("run", ["mine.py", "--rates", "1"])


def test_every_new_name_is_one():
    """What the table leads to is there."""
    from vislab import recipes

    kinds = {kind.__name__: kind for kind in map(recipes.find, recipes.names())}
    kinds["Augment"] = Augment
    for name, table in FIELDS.items():
        if name in kinds:
            fields = {field.name for field in dataclasses.fields(kinds[name])}
            assert fields >= set(table.values())
            assert not fields & table.keys()
