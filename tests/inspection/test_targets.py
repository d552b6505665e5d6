"""What is asked about an image, and that boxes and regions are explained like classes."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.explain.nets_to_explain import state
from vislab.errors import DataError, OptionError, ShapeError
from vislab.inference.predictor import Predictor, predictor
from vislab.inspection.explanations import explain_images
from vislab.inspection.report import file_explanations, nothing_in, scores
from vislab.inspection.targets import MOST, targets
from vislab.models import ConvNet
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.models.yolo import Yolo
from vislab.runs.folder import RunFolder
from vislab.runs.writing import write_json

SIDE = 32
PLAIN = ((0.0,) * 3, (1.0,) * 3)


class ByColour(nn.Module):
    """A segmenter: the background is dark, and each colour is a class of its own."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.last.weight.copy_(torch.cat([torch.zeros(1, 3), torch.eye(3)])[..., None, None])
            self.last.bias.copy_(torch.tensor([0.5, 0.0, 0.0, 0.0]))

    def forward(self, images):
        return self.last(images)


@pytest.fixture
def segmenter():
    classes = ("background", "red", "green", "blue")
    return Predictor("by colour", ByColour().eval(), classes, SIDE, PLAIN, answers="masks")


@pytest.fixture
def detector():
    torch.manual_seed(0)
    network = Yolo(classes=3, backbone="convnet", stride=8, hidden=6).eval()
    return Predictor("yolo", network, ("cat", "dog", "owl"), SIDE, PLAIN, answers="boxes")


def painted(*boxes):
    """A black image with rectangles of pure colours: (channel, top, left, bottom, right)."""
    pixels = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    for channel, top, left, bottom, right in boxes:
        pixels[0, top:bottom, left:right, channel] = 255
    return pixels


def test_of_each_class_the_largest_region_is_asked_about_the_largest_first(segmenter):
    images = segmenter.prepare(
        painted((0, 0, 0, 4, 4), (2, 10, 10, 20, 20), (0, 24, 2, 30, 9), (0, 0, 28, 2, 30))
    )
    blue, red = targets(segmenter, images)
    assert [blue.target, red.target] == [3, 1]
    for one, (top, left, bottom, right) in ((blue, (10, 10, 20, 20)), (red, (24, 2, 30, 9))):
        expected = np.zeros((SIDE, SIDE), dtype=bool)
        expected[top:bottom, left:right] = True
        assert np.array_equal(one.itself, expected)
        scores = one.network(images)[0].tolist()
        assert scores == pytest.approx([0.5, *(float(k == one.target) for k in (1, 2, 3))])
    (only,) = targets(segmenter, images, wanted=1)
    assert only.target == 1
    assert targets(segmenter, images, wanted=2) == []
    (ground,) = targets(segmenter, images, wanted=0)
    assert int(ground.itself.sum()) == SIDE * SIDE - 16 - 100 - 42 - 4


class Brightness(nn.Module):
    """One logit: above 0 for light images."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return images.mean(dim=(1, 2, 3))[:, None] * self.one - 0.25


def test_a_single_logit_is_asked_about_on_its_side_and_by_the_name_of_its_class(tmp_path):
    asked = Predictor("one", Brightness().eval(), ("light",), SIDE, PLAIN)
    dark, light = asked.prepare(painted()), asked.prepare(painted((0, 0, 0, SIDE, SIDE)))
    for images, target in ((dark, 0), (light, 1)):
        (found,) = targets(asked, images)
        assert (found.target, found.labels) == (target, ("not light", "light"))
    (named,) = targets(asked, dark, wanted=asked.class_named("light"))
    assert named.labels[named.target] == "light"
    Image.fromarray(painted()[0]).save(tmp_path / "dark.png")
    (one,) = explain_images(asked, [tmp_path / "dark.png"], methods=["saliency"], quiet=True)
    share = 1 / (1 + np.exp(0.25))
    assert one.top == [
        ("not light", pytest.approx(1 - share, abs=1e-5)), ("light", pytest.approx(share, abs=1e-5))
    ]  # fmt: skip
    assert one.name == "not light"


def test_a_dark_image_has_nothing_to_ask_about(segmenter, tmp_path):
    assert targets(segmenter, segmenter.prepare(painted())) == []
    Image.fromarray(painted()[0]).save(tmp_path / "dark.png")
    with pytest.raises(DataError, match="by colour does not find anything in these images"):
        explain_images(segmenter, [tmp_path / "dark.png"], methods=["saliency"], quiet=True)
    with pytest.raises(DataError, match="does not find green"):
        explain_images(
            segmenter, [tmp_path / "dark.png"], methods=["saliency"], target="green", quiet=True
        )


def test_boxes_are_asked_about_with_the_score_they_were_found_with(detector, rng):
    images = torch.rand(1, 3, SIDE, SIDE, generator=rng)
    with torch.no_grad():
        found = detector.model.detect(images, least=0.05)
    best = found.scores.argsort(descending=True)
    asked = targets(detector, images)
    sure = int((found.scores >= 0.5).sum())
    assert len(asked) == min(MOST, max(1, sure))
    for one, place in zip(asked, best, strict=False):
        assert one.labels == ("cat", "dog", "owl", "nothing")
        assert one.target == int(found.labels[place])
        with torch.no_grad():
            share = one.network(images).softmax(dim=1)[0, one.target]
        torch.testing.assert_close(share, found.scores[place], rtol=1e-4, atol=1e-5)
        _, y1, x2, _ = found.boxes[place].tolist()
        rows, columns = np.nonzero(one.itself)
        assert abs(rows.min() - max(y1, 0)) <= 1
        assert abs(columns.max() + 1 - min(x2, SIDE)) <= 1
    for kind in range(3):
        assert {one.target for one in targets(detector, images, wanted=kind)} <= {kind}


def test_every_answer_of_a_detector_is_explained_measured_and_filed(detector, tmp_path, rng):
    photo = tmp_path / "photo.png"
    Image.fromarray(painted((0, 4, 4, 20, 20))[0]).save(photo)
    before = state(detector.model)
    found = explain_images(detector, [photo], methods=["grad-cam", "rollout"], quiet=True)
    assert state(detector.model) == before
    asked = targets(detector, detector.prepare(detector.read(photo)[None]))
    assert [one.target for one in found] == [one.target for one in asked]
    for one in found:
        assert [each.method for each in one.maps] == ["grad-cam"]
        assert one.maps[0].found.shape == (SIDE // 8, SIDE // 8)
        assert "no attention" in one.without["rollout"]
    report = file_explanations(detector, found, tmp_path / "out")
    assert f"photo.png, 1: {found[0].name}" in report.read_text()
    told = scores(detector, found)
    assert [one["number"] for one in told["images"]] == [*range(1, len(found) + 1)]
    for one, question in zip(told["images"], asked, strict=True):
        left, top, right, bottom = one["box"]
        assert question.itself[top:bottom, left:right].all()
        assert question.itself.sum() == (right - left) * (bottom - top)
    assert {each["images"] for each in told["over images"].values()} == {1}
    assert (tmp_path / "out" / f"photo-1-{found[0].name}" / "grad-cam.png").exists()


def test_a_region_lies_in_the_image_and_not_in_what_was_filled_in_around_it(segmenter, tmp_path):
    photo = tmp_path / "wide.png"
    pixels = np.zeros((SIDE // 2, SIDE, 3), dtype=np.uint8)
    pixels[2:6, 3:9, 0] = 255
    Image.fromarray(pixels).save(photo)
    square = segmenter.read(photo)
    area = segmenter.area(photo)
    assert area.sum() == SIDE * SIDE // 2
    assert (square[~area] == square[0, 0]).all()
    segmenter.model.last.bias.data[0] = 0.45  # it calls the grey filling red
    (around,) = targets(segmenter, segmenter.prepare(square[None]))
    assert not (around.itself & area).any()
    (red,) = targets(segmenter, segmenter.prepare(square[None]), area=area)
    assert red.target == 1
    assert red.itself[SIDE // 4 + 3, 5]
    assert not (red.itself & ~area).any()


def test_an_image_in_which_nothing_was_found_is_named(segmenter, tmp_path, capsys):
    dark, light = tmp_path / "dark.png", tmp_path / "light.png"
    Image.fromarray(painted()[0]).save(dark)
    Image.fromarray(painted((2, 8, 8, 20, 20))[0]).save(light)
    found = explain_images(segmenter, [dark, light], methods=["saliency"], quiet=True)
    assert [one.path for one in found] == [light]
    nothing = nothing_in([dark, light], found)
    assert nothing == [dark]
    assert scores(segmenter, found, nothing)["nothing found in"] == [str(dark)]
    report = file_explanations(segmenter, found, tmp_path / "out", nothing)
    assert "dark.png" in report.read_text()


def test_a_detector_that_does_not_tell_where_boxes_come_from_says_so(rng):
    torch.manual_seed(0)
    network = TorchvisionFasterRCNN(classes=2, size=SIDE, backbone="convnet", stride=8).eval()
    asked = Predictor("theirs", network, ("cat", "dog"), SIDE, PLAIN, answers="boxes")
    images = torch.rand(1, 3, SIDE, SIDE, generator=rng)
    with torch.no_grad():
        assert len(network.detect(images, least=0.05).scores)
    with pytest.raises(ShapeError, match="does not tell what its boxes come from"):
        targets(asked, images)


def test_a_run_that_paints_images_has_no_class_to_explain(tmp_path):
    run = RunFolder.create(tmp_path / "run", "colorize", {})
    built = ConvNet(classes=3, widths=(4, 6))
    from safetensors.torch import save_file

    save_file(built.state_dict(), run.path / "model.safetensors")
    write_json(
        run.path / "model.json",
        {
            "built_as": {"name": "convnet", "classes": 3, "options": {"widths": [4, 6]}},
            "classes": ["a", "b", "c"], "size": 8, "mean": [0, 0, 0], "std": [1, 1, 1],
            "answers": "colours",
        },
    )  # fmt: skip
    with pytest.raises(OptionError, match="paints images and names no class"):
        predictor(str(run.path))


def test_the_mean_over_images_takes_one_region_of_each(segmenter, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(painted((2, 8, 8, 20, 20), (0, 24, 2, 30, 9))[0]).save(photo)
    found = explain_images(segmenter, [photo], methods=["saliency"], quiet=True)
    assert [(one.number, one.name) for one in found] == [(1, "blue"), (2, "red")]
    told = scores(segmenter, found)["over images"]["saliency"]
    assert told["images"] == 1
    assert told["interval"] is None
    assert told["beyond chance"] == pytest.approx(found[0].maps[0].worth.beyond_chance)
