"""`vislab explain` as a user types it, on an image of their own and no network but the default."""

import json

import numpy as np
import pytest
from PIL import Image

from vislab.cli.main import main


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
