"""The recipe of one's own that the documentation teaches: it does all that it says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vislab import inference
from vislab.data.augment import Augment
from vislab.data.batches import Batches
from vislab.errors import OptionError, RunError
from vislab.lab.recipe import recipe_in
from vislab.lab.running import execute
from vislab.lab.training import Stopped
from vislab.models import classifiers
from vislab.runs.folder import RunFolder

ROOT = Path(__file__).parent.parent
FILE = ROOT / "examples" / "angle.py"
SMALL = {"count": 48, "epochs": 3}
SCORE = "accuracy within 5 degrees"


@pytest.fixture(scope="module")
def recipe():
    """Return the recipe of the file; its network is known while these tests run."""
    known = dict(classifiers.NETWORKS)
    yield recipe_in(FILE)
    classifiers.NETWORKS.clear()
    classifiers.NETWORKS.update(known)


@pytest.fixture(scope="module")
def module(recipe):
    import sys

    return sys.modules[recipe.__module__]


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("angle") / "run"
    return execute(recipe(**SMALL), str(FILE), folder, quiet=True)


def test_it_is_a_page_and_the_tutorial_shows_it_whole():
    assert len(FILE.read_text().splitlines()) < 120
    page = (ROOT / "docs" / "own_experiment.md").read_text()
    assert '--8<-- "examples/angle.py"' in page


def test_every_score_has_its_interval_and_what_the_trivial_answer_scores(finished):
    result = finished.result
    assert result.status == "finished"
    for name in ("plain", "augmented"):
        low, high = result.intervals[f"{name}/test/{SCORE}"]
        assert 0 <= low <= result.metrics[f"{name}/test/{SCORE}"] <= high <= 1
        assert result.trivial[f"{name}/test/{SCORE}"] == 10 / 180
        assert result.trivial[f"{name}/test/degrees wrong"] == 45
        assert result.trivial[f"{name}/val/{SCORE}"] == 10 / 180
    assert [claim["value"] for claim in result.claims] != [None]
    assert [one["name"] for one in result.data] == ["bars"]


def test_it_is_compared_and_reported(finished):
    columns, rows = finished.table("trainings compared")
    assert {row[0] for row in rows} == {"plain", "augmented"}
    assert f"test {SCORE} low" in columns
    names, images = finished.table("test images")
    assert names == ["image", SCORE, "degrees wrong"]
    assert len(images) == 12
    assert (finished.path / "figures/worst-examples.png").exists()
    page = (finished.path / "report.html").read_text()
    assert "within 5 degrees" in page


def test_cut_and_resumed_it_ends_at_the_same_weights(recipe, finished, tmp_path):
    def stop(name, epoch, _score):
        if (name, epoch) == ("augmented", 2):
            raise Stopped("enough")

    options = {"quiet": True, "save_every": 0.0}
    with pytest.raises(Stopped):
        execute(recipe(**SMALL), str(FILE), tmp_path / "run", **options, watch=stop)
    assert RunFolder.open(tmp_path / "run").result.status == "interrupted"
    run = execute(recipe(**SMALL), str(FILE), tmp_path / "run", quiet=True, resume=True)
    assert run.result.weights_sha256 == finished.result.weights_sha256
    assert run.result.metrics == finished.result.metrics


def test_predict_prints_and_keeps_the_angle(finished, module, tmp_path, capsys):
    from vislab.cli.main import main

    image = tmp_path / "bar.png"
    Image.fromarray(module.bars(1, 24).pixels[0]).save(image)
    assert main(["predict", str(finished.path), str(image), "--out", str(tmp_path / "out")]) == 0
    assert re.search(r"bar\.png  angle \d", capsys.readouterr().out)
    kept = json.loads((tmp_path / "out/bar.json").read_text())
    (row,) = inference.predict(finished, [image])
    assert kept["angle"] == row["angle"]
    assert 0 <= kept["angle"] < 180
    with pytest.raises(OptionError, match=r"takes an image for each answer, got 0 files"):
        inference.predict(finished, [])


def test_without_the_recipe_file_the_network_is_unknown_and_it_says_what_to_do(
    finished, tmp_path, monkeypatch
):
    known = {name: made for name, made in classifiers.NETWORKS.items() if name != "compass"}
    monkeypatch.setattr(classifiers, "NETWORKS", known)
    with pytest.raises(RunError, match=r"'compass', which vislab does not know.*--recipe FILE"):
        inference.predict(finished, [tmp_path / "bar.png"])


def angle_of(pixels):
    """Return the angle of the bright pixels, by their principal axis."""
    y, x = np.nonzero(pixels.mean(axis=-1) > 0.55)
    spread = np.cov(np.stack([x - x.mean(), y.mean() - y]))
    return np.degrees(np.arctan2(*np.linalg.eigh(spread)[1][::-1, 1])) % 180


def test_the_angle_follows_the_image_through_mirrors_and_rotations(module):
    table = module.bars(64, 32)
    table.pixels[:] = np.where(table.pixels.mean(axis=-1, keepdims=True) > 150, 255, 0)
    batches = Batches(table, 16, seed=3, augment=Augment(flip=True, rotation=True))
    mean, std = (torch.tensor(one)[:, None, None] for one in table.normalisation)
    seen = 0
    for batch in batches:
        for image, angle in zip(batch.images, batch.angle.tolist(), strict=True):
            pixels = (image * std + mean).permute(1, 2, 0).numpy()
            apart = (angle_of(pixels) - angle) % 180
            assert min(apart, 180 - apart) < 8
            seen += 1
    assert seen == 32


def test_what_cannot_be_mixed_is_refused(module):
    with pytest.raises(OptionError, match=r"--augment\.mixup mixes pairs"):
        Batches(module.bars(16, 24), 4, seed=0, augment=Augment(mixup=0.2))
