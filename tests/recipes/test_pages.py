"""A recipe is a page: how long it is, and how much of it tells the experiment."""

import statistics

import pytest

from tests.recipes.pages import counts, files

LINES = 130  # the median of all recipes
ALIKE = ("autoencoder", "bilinear_cars", "colorize", "detect_faster_rcnn", "detect_yolo",
         "finetune", "see_inside", "segment_segnet", "segment_unet", "two_layer_net")  # fmt: skip


def test_half_of_the_recipes_are_no_longer_than_a_page():
    lengths = [len(file.read_text(encoding="utf-8").splitlines()) for file in files()]
    assert len(lengths) >= 25
    assert statistics.median(lengths) <= LINES


def test_at_least_half_of_a_recipe_tells_its_experiment():
    shares = {}
    for file in files():
        found = counts(file.read_text(encoding="utf-8"))
        shares[file.stem] = found["tells"] / sum(found.values())
    assert statistics.median(shares.values()) >= 0.5
    assert {name for name in ALIKE if shares[name] < 0.5} == set()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("images = lab.images(self.data)", "tells"),
        ("task = tasks.Classify(models.create('convnet', classes=2))", "tells"),
        ("found.gain('x', 'a', over='b')", "tells"),
        ("raise OptionError('no')", "tells"),
        ("lab.show('title', runs.figures.bars([], []))", "draws"),
        ("rows = [f'{value:.1%}' for value in values]", "plumbing"),
        ("if best is None:\n        best = task", "plumbing"),
        ("import numpy", None),
        ("'a docstring'", None),
    ],
)
def test_what_tells_what_draws_and_what_carries(line, kind):
    found = counts(f"def run(self, lab):\n    {line}\n")
    assert [name for name, count in found.items() if count] == ([] if kind is None else [kind])


def test_what_a_statement_holds_is_not_its_own():
    found = counts("def run(self, lab):\n    for name in names:\n        lab.fit(task, images)\n")
    assert found == {"tells": 1, "draws": 0, "plumbing": 1}
