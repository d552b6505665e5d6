"""The recipe of style transfer: the user's images, the painting, its losses."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from tests.lab.undrawn import draw_nothing
from vislab import models
from vislab.errors import DataError, OptionError
from vislab.lab.running import execute
from vislab.recipes.style_transfer import StyleTransfer, as_png, fitted
from vislab.runs.lesson import read_lesson

SMALL = {"network": "convnet", "size": 32, "steps": 6}


def run(folder, monkeypatch, **options):
    draw_nothing(monkeypatch)
    return execute(StyleTransfer(**{**SMALL, **options}), "style-transfer", folder, quiet=True)


@pytest.fixture
def files(tmp_path):
    """A wide image of red and a tall one of stripes."""
    red = np.zeros((30, 60, 3), dtype=np.uint8)
    red[..., 0] = 200
    stripes = np.zeros((50, 20, 3), dtype=np.uint8)
    stripes[::4] = 255
    for name, pixels in (("content", red), ("style", stripes)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in ("content", "style")}


def test_two_images_make_a_third_of_the_contents_shape(files, tmp_path, monkeypatch):
    done = run(tmp_path / "run", monkeypatch, **files)
    painting = Image.open(done.path / "painting.png")
    assert painting.size == (32, 16)
    red, green, _ = np.asarray(painting).mean(axis=(0, 1))
    assert red > green + 50
    metrics = done.result.metrics
    assert metrics["style loss"] > 0
    assert metrics["content loss"] > 0
    assert set(metrics) >= {"style loss, times smaller", "content loss, over the style image's"}


def test_the_seed_decides(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    paintings = [
        (run(tmp_path / str(turn), monkeypatch).path / "painting.png").read_bytes()
        for turn in range(2)
    ]
    assert paintings[0] == paintings[1]


def test_more_weight_for_style_takes_more_of_it(files, tmp_path, monkeypatch):
    few, much = (
        run(tmp_path / str(weight), monkeypatch, style_weight=weight, steps=20, **files).result
        for weight in (0.01, 100.0)
    )
    assert much.metrics["style loss"] < few.metrics["style loss"]
    assert much.metrics["content loss"] > few.metrics["content loss"]


def test_weights_come_from_a_file(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = models.create("convnet", classes=10)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    done = run(tmp_path / "run", monkeypatch, weights=tmp_path / "weights.pt")
    assert not any("random weights" in note for note in done.result.notes)
    done = run(tmp_path / "other", monkeypatch)
    assert any("convnet has random weights" in note for note in done.result.notes)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"size": 8}, "--size 8 is not from 16 to 1024"), ({"steps": 0}, "--steps 0 paints nothing")],
)
def test_what_paints_nothing_is_refused(options, sentence, tmp_path, monkeypatch):
    with pytest.raises(OptionError, match=sentence):
        run(tmp_path / "run", monkeypatch, **options)


def test_a_missing_image_is_told(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read"):
        run(tmp_path / "run", monkeypatch, content=tmp_path / "gone.jpg")


def test_an_image_is_fitted_by_its_middle():
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[:, 2:6] = 90
    assert (fitted(image, np.zeros((4, 4, 3), dtype=np.uint8)) == 90).all()


def test_a_png_is_read_back_to_the_bit(rng):
    pixels = torch.randint(0, 256, (5, 7, 3), generator=rng, dtype=torch.uint8).numpy()
    assert (np.asarray(Image.open(io.BytesIO(as_png(pixels)))) == pixels).all()


def test_its_answers_are_right():
    answers = [exercise.answer for exercise in read_lesson(StyleTransfer.__doc__).exercises]
    channels = np.array([[1, 2], [3, -1]])
    assert answers == [str(64 * 64), str((channels @ channels.T)[0, 1])]
