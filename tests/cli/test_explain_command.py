"""`vislab explain` as a user types it, on an image of their own and no network but the default."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from vislab import models
from vislab.cli.explain_command import named_classes
from vislab.cli.main import main
from vislab.inference.networks import read_image
from vislab.models import classifiers
from vislab.models.weights import save_weights
from vislab.runs.folder import RunFolder
from vislab.runs.model_card import ModelCard


@pytest.fixture
def photo(tmp_path):
    random = np.random.default_rng(1)
    path = tmp_path / "photo.png"
    Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.slow
def test_a_photo_is_explained_by_the_network_that_needs_no_download(photo, capsys, tmp_path):
    out = tmp_path / "out"
    words = ["explain", str(photo), "--method", "saliency, grad-cam", "--target", "zebra"]
    assert main([*words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "explained: zebra" in said
    assert "saliency: " in said
    assert str(out / "report.html") in said
    told = json.loads((out / "scores.json").read_text())
    assert told["images"][0]["target"] == 340
    assert (out / "photo" / "grad-cam.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--method", "gradcam"], 2, "Did you mean 'grad-cam'"),
        (["--target", "zebrra"], 2, "Did you mean 'zebra'"),
        (["--model", "efficientnet-lite9"], 2, "no network is named"),
        (["--model", "convnet"], 2, "no pre-trained weights"),
    ],
)
def test_wrong_use_gives_one_sentence(words, code, sentence, photo, capsys, tmp_path):
    assert main(["explain", str(photo), *words, "--out", str(tmp_path / "out")]) == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_image_that_is_not_there_is_named(capsys):
    assert main(["explain", "/nowhere/x.png"]) == 1
    assert "/nowhere/x.png" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told_before_the_work(photo, capsys, tmp_path, monkeypatch):
    def begin(*_, **__):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("vislab.inspection.explanations.explain_images", begin)
    (tmp_path / "file").write_text("in the way")
    assert main(["explain", str(photo), "--out", str(tmp_path / "file" / "out")]) == 1
    assert "file" in capsys.readouterr().err


@pytest.fixture
def checkpoint(tmp_path):
    """Return a checkpoint with averaged weights of a small network with three classes."""
    torch.manual_seed(3)
    weights = models.create("convnet", classes=3).state_dict()
    raw = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": raw, "state_dict_ema": weights, "epoch": 3}, path)
    return path


def explained(photo, tmp_path, *words):
    out = tmp_path / "out"
    command = ["explain", str(photo), "--model", "convnet", "--method", "saliency", *words]
    assert main([*command, "--out", str(out)]) == 0
    return json.loads((out / "scores.json").read_text())["images"][0]


def probabilities(checkpoint, photo):
    """Return those of the averaged weights, worked out without vislab's predictor."""
    model = models.create("convnet", classes=3).eval()
    model.load_state_dict(torch.load(checkpoint)["state_dict_ema"])
    pixels = torch.tensor(read_image(photo, 32)).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    with torch.no_grad():
        return model((pixels - mean) / std)[0]


def test_a_checkpoint_of_one_s_own_is_explained_under_its_own_names(
    photo, checkpoint, capsys, tmp_path
):
    names = tmp_path / "names.txt"
    names.write_text("a barn owl\ncat\ndog\n\n", encoding="utf-8-sig")
    scores = probabilities(checkpoint, photo).softmax(0)
    best = int(scores.argmax())
    for listed in ("a barn owl, cat,dog", str(names)):
        words = ["--weights", str(checkpoint), "--classes", listed]
        found = explained(photo, tmp_path, *words)
        top = found["top"][0]
        assert top["label"] == ["a barn owl", "cat", "dog"][best]
        assert top["probability"] == pytest.approx(float(scores[best]), abs=1e-4)
        told = capsys.readouterr().err.splitlines()
        assert len([line for line in told if "averaged ones are loaded" in line]) == 1


def test_classes_without_names_are_numbered(photo, checkpoint, tmp_path):
    best = int(probabilities(checkpoint, photo).argmax())
    found = explained(photo, tmp_path, "--weights", str(checkpoint))
    assert found["top"][0]["label"] == f"class {best}"


def test_scores_are_read_as_the_user_says(photo, checkpoint, tmp_path):
    scores = probabilities(checkpoint, photo).sigmoid()
    found = explained(photo, tmp_path, "--weights", str(checkpoint), "--head", "sigmoid")
    assert found["top"][0]["probability"] == pytest.approx(float(scores.max()), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--classes", "cat,dog"], 2, "2 classes are named and convnet has 3"),
        (["--classes", "cat,,dog"], 2, "empty name"),
        (["--classes", ""], 2, "empty name"),
        (["--classes", "cat,dog, cat"], 2, "are named 'cat'"),
        (["--classes", "nowhere.txt"], 1, "names of classes in nowhere.txt cannot be read"),
        (["--head", "tanh"], 2, "softmax"),
    ],
)
def test_names_that_do_not_fit_give_one_sentence(
    words, code, sentence, photo, checkpoint, capsys, tmp_path
):
    command = ["explain", str(photo), "--model", "convnet", "--weights", str(checkpoint), *words]
    try:
        got = main([*command, "--out", str(tmp_path / "out")])
    except SystemExit as end:  # a word that is no choice
        got = end.code
    assert got == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", [1, 1000])
def test_names_too_long_for_a_file_are_names(count):
    names = tuple(f"{'very ' * 60} long name {k}" for k in range(count))
    assert named_classes(",".join(names)) == names


def test_a_network_of_ones_own_is_registered_by_the_file_that_is_named(
    photo, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(classifiers, "NETWORKS", dict(classifiers.NETWORKS))  # for this test alone
    name = f"mine-{tmp_path.name}"
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nfrom vislab import models\n"
        "from vislab.lab.recipe import Recipe\n\n\n"
        f"@models.register({name!r})\ndef made(classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Flatten(),\n"
        "                         nn.Linear(64, classes))\n\n\n"
        "class Mine(Recipe):\n    '''Nothing.'''\n"
    )
    built = {"name": name, "classes": 2, "options": {}}
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=4), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(64, 2),
    )  # fmt: skip
    run = RunFolder.create(tmp_path / "run", "mine", {})
    ModelCard(built, ("cat", "dog"), 16, mean=(0.5,) * 3, std=(0.5,) * 3).write(run.path)
    save_weights(run.path / "model.safetensors", network.state_dict())
    words = ["explain", str(photo), "--model", str(run.path), "--method", "saliency"]
    words += ["--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "name its file: --recipe FILE.py" in capsys.readouterr().err
    assert main([*words, "--recipe", str(file)]) == 0
    assert "explained: " in capsys.readouterr().out
