"""Runs of dense prediction: interrupted, over seeds, against the clock, begun from others."""

import json

import pytest
import torch

from tests.recipes.dense_sizes import SMALL, trained
from tests.recipes.smoke import smoked
from vislab import recipes
from vislab.errors import OptionError
from vislab.lab.bench import Lab
from vislab.lab.running import Conditions, execute
from vislab.runs.folder import RunFolder


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


TASKS = {"refined": "DetectFasterRCNN", "torchvision": "DetectTorchvision", "": "DetectYolo"}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("name", "network"),
    [("detect-yolo", ""), ("detect-faster-rcnn", "refined"), ("detect-faster-rcnn", "torchvision")],
)
def test_interrupted_and_continued_a_detector_ends_at_the_same_weights(
    name, network, tmp_path, monkeypatch
):
    from vislab import tasks

    label, task = recipes.find(name), getattr(tasks, TASKS[network])
    options = {**SMALL[name], "epochs": 2, "batch": 2, "limit": 4}
    if network:
        options["networks"] = (network,)
    recipe = label(**{**label.smoke, **options})
    monkeypatch.setattr(Lab, "show", lambda *_args, **_named: None)
    monkeypatch.setattr("vislab.lab.running.write_report", lambda _run: None)
    whole = execute(recipe, name, tmp_path / "whole", save_every=0.0, quiet=True)

    taken, step = [], task.training_step

    def breaking(self, batch, number):
        taken.append(number)
        if len(taken) == 4:  # in the middle of the second epoch
            raise RuntimeError("the power is gone")
        return step(self, batch, number)

    monkeypatch.setattr(task, "training_step", breaking)
    with pytest.raises(RuntimeError, match="the power is gone"):
        execute(recipe, name, tmp_path / "run", save_every=0.0, quiet=True)
    assert RunFolder.open(tmp_path / "run").result.status == "failed"
    again = execute(recipe, name, tmp_path / "run", resume=True, save_every=0.0, quiet=True)
    assert len(taken) == 5  # no step twice but the one that broke
    assert again.result.weights_sha256 == whole.result.weights_sha256
    assert again.result.metrics == whole.result.metrics
    lines = [(run.path / "metrics.jsonl").read_text() for run in (whole, again)]
    assert lines[0] == lines[1]
    assert "train/loss" in json.loads(lines[0].splitlines()[0])


@pytest.mark.parametrize(("name", "score"), [("segment-unet", "dice"), ("detect-yolo", "map50")])
def test_two_seeds_are_averaged(name, score, tmp_path, monkeypatch):
    label = recipes.find(name)
    recipe = label(**{**label.smoke, **SMALL[name]})
    monkeypatch.setattr(Lab, "show", lambda *_args, **_named: None)
    monkeypatch.setattr("vislab.lab.running.write_report", lambda _run: None)
    run = execute(recipe, name, tmp_path / "run", Conditions(0, seeds=2), quiet=True)
    parts = [RunFolder.open(tmp_path / f"run/seed-{seed}").result for seed in (0, 1)]
    metric = next(found for found in run.result.metrics if found.endswith(f"test/{score}"))
    values = [part.metrics[metric] for part in parts]
    assert run.result.metrics[metric] == pytest.approx(sum(values) / 2)
    assert parts[0].weights_sha256 != parts[1].weights_sha256
    assert len(run.table("seeds")[1]) == 2
    assert (run.path / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["segment-unet", "detect-yolo"])
def test_minutes_are_shared_and_the_run_is_finished(name, tmp_path, monkeypatch):
    label = recipes.find(name)
    recipe = label(**{**label.smoke, **SMALL[name], "epochs": 100_000})
    monkeypatch.setattr(Lab, "show", lambda *_args, **_named: None)
    monkeypatch.setattr("vislab.lab.running.write_report", lambda _run: None)
    run = execute(recipe, name, tmp_path / "run", Conditions(minutes=1 / 60), quiet=True)
    assert run.result.status == "finished"
    assert run.result.costs[0]["stopped_by"] == "minutes"
    assert 0.9 < run.result.costs[0]["seconds"] < 30


def test_a_unet_begins_from_the_convolutional_autoencoder(tmp_path):
    fits = {"width": 4, "depth": 3}
    before = smoked("autoencoder", tmp_path / "before", **{**SMALL["autoencoder"], **fits})
    options = {**SMALL["segment-unet"], "width": 4, "depth": 2}
    label = recipes.find("segment-unet")
    images = Lab(RunFolder.create(tmp_path / "lab", "x", {}), quiet=True).annotated(
        "shapes", wanted="masks", size=16, limit=4
    )
    built = label(**{**label.smoke, **options, "start": before.path}).network(
        "unet", len(images.classes)
    )
    from vislab.inference import network_of

    theirs = network_of(before)[0].state_dict()
    mine = {key: value for key, value in built.state_dict().items() if key.startswith("down.")}
    assert len(mine) > 10
    for key, value in mine.items():
        assert torch.equal(value, theirs[key].cpu()), key
    run = smoked("segment-unet", tmp_path / "run", **options, start=before.path)
    assert run.result.status == "finished"


def test_an_autoencoder_that_does_not_fit_says_which_would(tmp_path):
    before = smoked("autoencoder", tmp_path / "before", **{**SMALL["autoencoder"], "width": 3})
    options = {**SMALL["segment-unet"], "start": before.path, "networks": ("encoder-unet", "unet")}
    with pytest.raises(OptionError, match="--width 2 --depth 3"):
        smoked("segment-unet", tmp_path / "run", **options)
    assert trained(tmp_path / "run") == []
