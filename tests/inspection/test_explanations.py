"""Images explained, measured and filed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.explain.nets_to_explain import state
from vislab.errors import DataError, OptionError, UnknownName
from vislab.explain.methods import METHODS
from vislab.inference.predictor import Predictor, class_names, predictor
from vislab.inspection.explanations import (
    chosen_methods,
    expected_seconds,
    explain_images,
    smoothed,
)
from vislab.inspection.report import file_explanations, scores
from vislab.models import ConvNet

CLASSES = ("cat, house cat", "dog", "7")


@pytest.fixture
def asked():
    torch.manual_seed(0)
    model = ConvNet(classes=3, widths=(4, 6)).eval()
    return Predictor("small", model, CLASSES, 24, ((0.5,) * 3, (0.25,) * 3))


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    paths = []
    for name in ("one.png", "two.png", "other/one.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (30, 26, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    return paths


def test_each_image_gets_each_map_and_what_it_is_worth(asked, photos, tmp_path):
    before = state(asked.model)
    found = explain_images(asked, photos, methods=["saliency", "grad-cam"], quiet=True)
    assert state(asked.model) == before
    assert [one.path for one in found] == photos
    for one in found:
        with torch.no_grad():
            probabilities = asked.model(asked.prepare(asked.read(one.path)[None])).softmax(dim=1)[0]
        assert one.target == int(probabilities.argmax())
        assert one.top[0] == (asked.short(one.target), pytest.approx(float(probabilities.max())))
        assert [each.method for each in one.maps] == ["saliency", "grad-cam"]
    folder = tmp_path / "out"
    report = file_explanations(asked, found, folder)
    page = report.read_text()
    assert page.count("data:image/png") == 3 * 3
    assert "one.png" in page
    for name in ("one", "two", "one-2"):
        for image in ("all-methods", "saliency", "grad-cam"):
            assert Image.open(folder / name / f"{image}.png").size[0] > 200
    told = json.loads((folder / "scores.json").read_text())
    assert told == json.loads(json.dumps(scores(asked, found)))
    worth = told["images"][1]["methods"]["grad-cam"]
    assert worth["sentence"] in page.replace("&#39;", "'")
    assert set(worth["deletion"]) == {"blur", "mean colour"}
    assert told["over images"]["grad-cam"]["images"] == 3


def test_another_class_can_be_asked_about_by_number_name_or_synonym(asked, photos):
    assert [asked.class_named(word) for word in ("1", "Dog", "house cat", "7")] == [1, 1, 0, 2]
    found = explain_images(asked, photos[:1], methods=["grad-cam"], target="dog", quiet=True)
    assert (found[0].target, found[0].name) == (1, "dog")
    with pytest.raises(UnknownName, match="Did you mean 'dog'"):
        asked.class_named("dogg")
    with pytest.raises(OptionError, match="0 to 2"):
        asked.class_named("3")


def test_a_method_without_meaning_says_why_and_the_others_go_on(photos):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.GELU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(4, 3),
    )  # fmt: skip
    asked = Predictor("gelu", model.eval(), CLASSES, 24, ((0.5,) * 3, (0.25,) * 3))
    (one,) = explain_images(asked, photos[:1], methods=["deconvnet", "saliency"], quiet=True)
    assert [each.method for each in one.maps] == ["saliency"]
    assert "mostly GELU" in one.without["deconvnet"]


def test_methods_are_chosen_by_name_once_each():
    assert chosen_methods(["all"]) == list(METHODS)
    assert chosen_methods(["occlusion", "saliency", "occlusion"]) == ["occlusion", "saliency"]
    with pytest.raises(UnknownName, match="grad-cam"):
        chosen_methods(["gradcam"])


def test_maps_of_single_pixels_are_smoothed_and_keep_their_sum():
    spike = torch.zeros(200, 220)
    spike[90, 100] = 3.0
    found = smoothed(METHODS["saliency"], spike)
    assert float(found.sum()) == pytest.approx(3.0, rel=1e-4)
    assert float(found.max()) < 0.5
    assert smoothed(METHODS["grad-cam"], spike) is spike


def test_the_cost_grows_with_images_and_methods(asked):
    few = expected_seconds(asked, ["saliency"], 1)
    many = expected_seconds(asked, list(METHODS), 50)
    assert 0 < few < many / 10


def test_a_broken_image_is_told_before_any_is_explained(asked, photos, tmp_path, monkeypatch):
    def begin(*_, **__):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("vislab.inspection.explanations.Examiner", begin)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        explain_images(asked, [*photos, broken], methods=["saliency"], quiet=True)


def test_no_image_and_a_broken_one_are_told(asked, tmp_path):
    with pytest.raises(OptionError, match="at least one image"):
        explain_images(asked, [], methods=["saliency"])
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        explain_images(asked, [broken], methods=["saliency"], quiet=True)


def test_classes_are_imagenets_where_there_are_a_thousand():
    assert class_names(1000)[292].startswith("tiger")
    assert class_names(3) == ("class 0", "class 1", "class 2")


def test_a_network_by_name_comes_with_its_weights_and_its_way_of_seeing():
    asked = predictor("efficientnet-lite0")
    assert (asked.size, len(asked.classes)) == (224, 1000)
    assert asked.normalisation == ((0.5,) * 3, (0.5,) * 3)
    assert not asked.model.training


def test_what_is_no_image_is_left_out_where_it_may_be(asked, photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    left_out = {}
    paths = [photos[0], broken, photos[1]]
    found = explain_images(asked, paths, methods=["saliency"], quiet=True, left_out=left_out)
    assert [one.path for one in found] == photos[:2]
    assert left_out == {broken: f"{broken} is no image that can be read"}
    with pytest.raises(DataError, match=r"broken\.png is no image"):
        explain_images(asked, paths, methods=["saliency"], quiet=True)
    with pytest.raises(DataError, match=r"broken\.png is no image"):
        explain_images(asked, [broken], methods=["saliency"], quiet=True, left_out={})
