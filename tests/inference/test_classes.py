"""A label and its probability, whatever a network's scores mean."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vislab.inference.predicting  # noqa: F401  (registers the kinds)
from vislab.errors import ShapeError
from vislab.inference.answers import KINDS
from vislab.inference.classes import labels_of
from vislab.runs.model_card import ModelCard

SHADES = (0.2, 0.9)  # of the images


class Shade(nn.Module):
    """Scores that are linear in an image's brightness b: a · b + c."""

    def __init__(self, slopes, offsets, end=None, reading=None):
        super().__init__()
        self.slopes = nn.Parameter(torch.tensor(slopes))
        self.offsets = nn.Parameter(torch.tensor(offsets))
        self.end, self.reading = end, reading

    def forward(self, images):
        scores = images.mean(dim=(1, 2, 3))[:, None] * self.slopes + self.offsets
        return scores if self.end is None else self.end(scores)


@pytest.fixture
def paths(tmp_path):
    found = []
    for shade in SHADES:
        found.append(tmp_path / f"{shade}.png")
        Image.fromarray(np.full((8, 8, 3), round(255 * shade), np.uint8)).save(found[-1])
    return found


def told(network, classes, paths):
    """Return what is told of each image: label and probability of each class."""
    card = ModelCard(None, classes, 8, mean=(0.0,) * 3, std=(1.0,) * 3)
    answers = KINDS["classes"].answer(network.eval(), card, [(p,) for p in paths], drawn=False)
    for one in answers:
        assert one.json["label"] == one.json["top"][0]["label"]
        assert one.line.startswith(f"{one.json['label']} {one.json['probability']:.1%}")
    return [{each["label"]: each["probability"] for each in one.json["top"]} for one in answers]


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def shades():
    return [round(255 * shade) / 255 for shade in SHADES]


@pytest.mark.parametrize("classes", [("cracked",), ("not cracked", "cracked")])
@pytest.mark.parametrize("squeezed", [False, True])
def test_a_single_logit_is_told_by_its_side(classes, squeezed, paths):
    network = Shade([6.0], [-3.0], end=(lambda z: z[:, 0]) if squeezed else None)
    for shade, found in zip(shades(), told(network, classes, paths), strict=True):
        p = sigmoid(6 * shade - 3)
        assert found == {
            "cracked": pytest.approx(p, abs=1e-5), "not cracked": pytest.approx(1 - p, abs=1e-5)
        }  # fmt: skip
        assert next(iter(found)) == ("cracked" if p > 0.5 else "not cracked")


def test_probabilities_are_told_as_they_are(paths):
    softmaxed = Shade([5.0, 0.0, 1.0], [0.0, 1.0, 0.0], end=lambda z: z.softmax(dim=1))
    for shade, found in zip(shades(), told(softmaxed, ("a", "b", "c"), paths), strict=True):
        weights = np.exp([5 * shade, 1.0, shade])
        expected = dict(zip("abc", weights / weights.sum(), strict=True))
        assert found == pytest.approx(expected, abs=1e-5)


def test_each_label_of_many_has_a_probability_of_its_own(paths):
    network = Shade([5.0, -5.0, 1.0], [0.0, 3.0, 0.0], reading="sigmoid")
    for shade, found in zip(shades(), told(network, ("a", "b", "c"), paths), strict=True):
        expected = [sigmoid(5 * shade), sigmoid(3 - 5 * shade), sigmoid(shade)]
        assert found == pytest.approx(dict(zip("abc", expected, strict=True)), abs=1e-5)
        assert sum(found.values()) > 1.2


def test_an_answer_does_not_depend_on_the_other_images(paths):
    class InCompany(Shade):
        def forward(self, images):
            return super().forward(images - images.mean() + images[-1].mean())

    network = InCompany([5.0, 0.0], [0.0, 1.0])
    together = told(network, ("a", "b"), paths)
    assert together == [told(network, ("a", "b"), [path])[0] for path in paths]
    assert together[0]["a"] == pytest.approx(sigmoid(5 * shades()[0] - 1), abs=1e-4)


def test_more_or_fewer_names_than_classes_are_refused():
    assert labels_of(("x",), 2) == ("not x", "x")
    assert labels_of(("x", "y", "z"), 3) == ("x", "y", "z")
    for classes in (("x", "y", "z"), ("x",)):
        with pytest.raises(ShapeError, match="scores of 4 classes"):
            labels_of(classes, 4)
