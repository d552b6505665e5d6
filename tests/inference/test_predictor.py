"""A network that is asked to explain itself: whose weights, which names, how scores are read."""

import json

import pytest
import torch
from torch import nn

from vislab import models
from vislab.errors import DataError, OptionError, ShapeError
from vislab.inference.predictor import predictor
from vislab.models.classifiers import NETWORKS

SMALL = "torchvision:squeezenet1_1"
NUMBERS = ("class 0", "class 1", "class 2")


@pytest.fixture
def weights(tmp_path):
    """Return a function that writes weights of a network with so many classes."""

    def write(classes, name="convnet"):
        path = tmp_path / f"{classes}.pth"
        torch.save({"state_dict": models.create(name, classes=classes).state_dict()}, path)
        return path

    return write


@pytest.mark.parametrize("name", ["convnet", SMALL])
def test_classes_of_a_head_of_one_s_own_are_numbered_or_as_they_are_named(weights, name):
    path = weights(3, name)
    asked = predictor(name, path)
    assert asked.classes == NUMBERS
    assert asked.reading is None
    named = predictor(name, path, classes=["owl", "cat", "dog"])
    assert named.classes == ("owl", "cat", "dog")
    assert named.class_named("cat") == 1
    assert asked.model(torch.zeros(1, 3, asked.size, asked.size)).shape == (1, 3)


ONE = torch.zeros(1, 3, 32, 32)


def test_a_thousand_classes_of_weights_of_one_s_own_are_not_imagenet_s(weights):
    asked = predictor(SMALL, weights(1000, SMALL))
    assert asked.classes == tuple(f"class {k}" for k in range(1000))


def test_a_thousand_classes_of_a_library_s_own_weights_are_imagenet_s():
    asked = predictor("efficientnet-lite0")
    assert asked.classes[340].startswith("zebra")
    named = predictor("efficientnet-lite0", classes=[f"name {k}" for k in range(1000)])
    assert named.classes[340] == "name 340"


@pytest.mark.parametrize("names", [[], ["a", "b"], ["a", "b", "c", "d"]])
def test_more_or_fewer_names_than_classes_are_refused(weights, names):
    with pytest.raises(OptionError, match=rf"^{len(names)} classes are named and convnet has 3; "):
        predictor("convnet", weights(3), classes=names)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (None, ("not class 0", "class 0")),
        (["defect"], ("not defect", "defect")),
        (["fine", "defect"], ("fine", "defect")),
    ],
)
def test_a_head_with_one_output_has_two_sides(weights, names, classes):
    asked = predictor("convnet", weights(1), classes=names)
    assert asked.model(ONE).shape == (1, 1)
    assert asked.classes == classes


@pytest.mark.parametrize("reading", ["softmax", "sigmoid", "probabilities"])
def test_how_scores_are_read_is_the_user_s_to_say(weights, reading):
    asked = predictor("convnet", weights(3), reading=reading)
    assert asked.reading == asked.model.reading == reading


def hugging_face(folder, labels, **options):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32,
        image_size=32, patch_size=8, id2label=dict(enumerate(labels)),
        label2id={label: k for k, label in enumerate(labels)}, **options,
    )  # fmt: skip
    transformers.ViTForImageClassification(settings).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": 32}))
    return f"hf:{folder}"


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_a_network_s_own_names_go_before_imagenet_s(tmp_path, count):
    labels = tuple(f"species {k}" for k in range(count))
    name = hugging_face(tmp_path, labels)
    assert predictor(name).classes == labels
    other = [f"other {k}" for k in range(count)]
    assert predictor(name, classes=other).classes == tuple(other)


def test_a_thousand_classes_without_names_are_not_taken_for_imagenet_s(tmp_path):
    name = hugging_face(tmp_path, [f"LABEL_{k}" for k in range(1000)])
    config = json.loads((tmp_path / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_labels": 1000}))
    assert predictor(name).classes == tuple(f"class {k}" for k in range(1000))


def test_a_network_of_one_or_several_labels_is_read_as_it_says(tmp_path):
    name = hugging_face(tmp_path / "one", ["defect"], problem_type="regression")
    assert predictor(name).classes == ("not defect", "defect")
    name = hugging_face(
        tmp_path / "several", ["sea", "sky"], problem_type="multi_label_classification"
    )
    assert predictor(name).reading == "sigmoid"
    assert predictor(name, reading="softmax").reading == "softmax"


def test_a_network_that_does_not_take_what_its_preprocessor_says_is_told(tmp_path):
    name = hugging_face(tmp_path, ["a", "b"])
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 64}))
    with pytest.raises(ShapeError, match="does not take images of 3×64×64"):
        predictor(name)


def test_a_damaged_preprocessor_is_told(tmp_path):
    name = hugging_face(tmp_path, ["a", "b"])
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(DataError, match=r"preprocessor_config\.json is damaged"):
        predictor(name)


def test_a_network_that_gives_no_class_scores_is_told(tmp_path, monkeypatch):
    class Painter(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.layer = nn.Conv2d(3, classes, 1)

        def forward(self, images):
            return self.layer(images)

    monkeypatch.setitem(NETWORKS, "painter", Painter)
    torch.save(Painter(3).state_dict(), tmp_path / "a.pth")
    with pytest.raises(ShapeError, match="class scores"):
        predictor("painter", tmp_path / "a.pth")


def test_a_weight_that_is_not_finite_is_named(tmp_path):
    given = models.create("convnet", classes=3).state_dict()
    name = next(iter(given))
    given[name].view(-1)[0] = float("nan")
    torch.save(given, tmp_path / "a.pth")
    with pytest.raises(DataError, match=rf"a\.pth are damaged: {name} is not finite"):
        predictor("convnet", tmp_path / "a.pth")


def test_the_network_of_a_run_takes_no_other_weights_and_no_other_names(tmp_path):
    for options in ({"weights": tmp_path / "a.pth"}, {"classes": ["a"]}):
        with pytest.raises(OptionError, match="its own weights and its own names"):
            predictor(str(tmp_path), **options)
