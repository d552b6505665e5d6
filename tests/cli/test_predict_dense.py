"""`vislab predict` on runs that answer with masks, boxes, colours or images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.lab.small_recipe import few_images
from tests.recipes.smoke import smoked
from vislab.cli.main import main

ENDINGS = {  # what is written for each image
    "segment-unet": (".json", "-mask.png", ".png"),
    "detect-yolo": (".json", ".png"),
    "colorize": (".json", ".png"),
    "autoencoder": (".json", ".png"),
}
FAST = {
    "segment-unet": {"networks": ("unet",), "size": 32},
    "detect-yolo": {"size": 32},
    "colorize": {"ways": ("regression",), "size": 16},
    "autoencoder": {"networks": ("convolutional",), "size": 16},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a run folder of each recipe."""
    root = tmp_path_factory.mktemp("runs")
    images = str(few_images(root / "images"))
    own = {"colorize": {"data": images}, "autoencoder": {"data": images}}
    for name, changed in FAST.items():
        smoked(name, root / name, **{**changed, **own.get(name, {})})
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return images of many shapes and modes, by name."""
    root, chance = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    made = {}
    for name, (width, height), mode in (
        ("wide.png", (90, 31), "RGB"),
        ("tall.png", (20, 77), "RGB"),
        ("one.png", (1, 1), "RGB"),
        ("inks.jpg", (40, 30), "CMYK"),
        ("strip.png", (3, 300), "RGB"),
        ("glass.png", (33, 35), "RGBA"),
        ("grey.png", (18, 12), "L"),
    ):
        pixels = chance.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(root / name)
        made[name] = (width, height)
    return root, made


def asked(words, capsys):
    capsys.readouterr()
    assert main(["predict", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ENDINGS)
def test_images_of_any_shape_and_mode_are_answered(name, runs, photos, tmp_path, capsys):
    root, made = photos
    rows = asked([runs / name, root, "--out", tmp_path / "out"], capsys)
    assert [row["input"] for row in rows] == sorted(str(root / one) for one in made)
    for row in rows:
        size = made[row["input"].rsplit("/", 1)[1]]
        first = row["files"][0].removesuffix(".json")
        assert [file.removeprefix(first) for file in row["files"]] == list(ENDINGS[name])
        for file in row["files"][1:]:
            with Image.open(file) as answer:
                if name in ("segment-unet", "colorize"):
                    assert answer.size == size
                assert max(answer.size) < 3000
        kept = json.loads(Path(row["files"][0]).read_text())
        assert kept.pop("written by") == "vislab"
        assert kept.pop("files") == [Path(file).name for file in row.pop("files")[1:]]
        assert kept == row
        if name == "segment-unet":
            assert sum(row["shares"].values()) == pytest.approx(1.0)
            assert row["label"] == max(row["shares"], key=row["shares"].get)
        for one in row.get("found", []):
            x1, y1, x2, y2 = one["box"]
            assert 0 <= x1 <= x2 <= size[0]
            assert 0 <= y1 <= y2 <= size[1]
    assert len(list((tmp_path / "out").iterdir())) == len(made) * len(ENDINGS[name])


@pytest.mark.parametrize("name", ENDINGS)
def test_without_out_answers_go_into_the_run_folder_and_it_says_where(name, runs, photos, capsys):
    root, _ = photos
    assert main(["predict", str(runs / name), str(root / "wide.png")]) == 0
    page = capsys.readouterr().out
    assert str(root / "wide.png") in page
    assert str(runs / name / "predictions") in page
    made = {file.name for file in (runs / name / "predictions").iterdir()}
    assert made == {f"wide{ending}" for ending in ENDINGS[name]}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_broken_file_is_named(name, runs, photos, tmp_path, capsys):
    whole = (photos[0] / "wide.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[: len(whole) // 2])
    words = [runs / name, tmp_path / "broken.png", "--out", tmp_path / "out"]
    assert main(["predict", *map(str, words)]) == 1
    message = capsys.readouterr().err
    assert "broken.png" in message
    assert "Traceback" not in message
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("name", ENDINGS)
def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(name, runs, photos, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    words = [runs / name, photos[0] / "wide.png", "--out", tmp_path / "file"]
    assert main(["predict", *map(str, words)]) == 1
    message = capsys.readouterr().err
    assert f"{tmp_path / 'file'} could not be written" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("name", ENDINGS)
def test_a_run_that_may_not_be_written_to_says_where_answers_could_go(
    name, runs, photos, capsys, monkeypatch
):
    monkeypatch.setattr("os.access", lambda *_: False)
    before = sorted((runs / name).rglob("*"))
    code = main(["predict", str(runs / name), str(photos[0] / "wide.png")])
    out = capsys.readouterr()
    if name in ("detect-yolo", "segment-unet"):  # boxes and shares can be told in words
        assert code == 0
        assert str(photos[0] / "wide.png") in out.out
    else:
        assert code == 1
        assert "--out FOLDER" in out.err
    assert sorted((runs / name).rglob("*")) == before


@pytest.mark.parametrize("name", ENDINGS)
def test_an_image_that_is_asked_about_is_never_written_over(name, runs, photos, tmp_path, capsys):
    """Also where it bears the very name of an answer."""
    kept = {}
    for stem in ("wide", "wide-mask", "wide-2"):
        path = shutil.copy(photos[0] / "wide.png", tmp_path / f"{stem}.png")
        kept[path] = path.read_bytes()
    (tmp_path / "other").mkdir()
    path = shutil.copy(photos[0] / "tall.png", tmp_path / "other" / "wide.png")
    kept[path] = path.read_bytes()
    rows = asked([runs / name, *kept, "--out", tmp_path], capsys)
    for path, content in kept.items():
        assert path.read_bytes() == content, path.name
    answers = [file for row in rows for file in row["files"]]
    assert len(set(answers)) == len(answers) == 4 * len(ENDINGS[name])
    assert not {str(path) for path in kept} & set(answers)


def test_json_has_what_is_answered_and_no_numpy(runs, photos, tmp_path, capsys):
    always = {"input", "line", "files"}
    keys = {"segment-unet": {"label", "shares"}, "detect-yolo": {"label", "found"}}
    for name in ENDINGS:
        (row,) = asked([runs / name, photos[0] / "wide.png", "--out", tmp_path], capsys)
        assert set(row) == always | keys.get(name, set())


def test_a_wrong_number_of_inputs_is_told_with_the_right_call(runs, capsys):
    assert main(["predict", str(runs / "detect-yolo")]) == 2
    message = capsys.readouterr().err
    assert "takes an image for each answer, got 0 files" in message
    assert f"`vislab predict {runs / 'detect-yolo'} IMAGE`" in message


def test_asking_twice_answers_alike(runs, photos, tmp_path, capsys):
    words = [runs / "segment-unet", photos[0] / "wide.png", "--out"]
    first = asked([*words, tmp_path / "a"], capsys)
    second = asked([*words, tmp_path / "b"], capsys)
    assert first[0]["shares"] == second[0]["shares"]
    one, other = (next((tmp_path / side).glob("*-mask.png")) for side in "ab")
    assert one.read_bytes() == other.read_bytes()
