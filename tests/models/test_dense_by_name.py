"""Networks that answer with images, masks or boxes, by name and from a run's folder."""

import inspect
import json

import pytest
import torch
from safetensors.torch import save_file

from vislab import models
from vislab.errors import DataError, OptionError, UnknownName
from vislab.models.by_name import DENSE, MADE_OF_OTHERS
from vislab.models.classifiers import NETWORKS

DETECTOR = {"backbone": "convnet", "stride": 8}
SMALL = {
    "conv-autoencoder": {"width": 4, "depth": 3, "skips": True},
    "dense-autoencoder": {"side": 16, "code": 4, "hidden": 8},
    "colorizer": {"width": 4, "embedder": "timm:test_resnet"},
    "encoder-unet": {"encoder": "test_resnet"},
    "faster-rcnn": {**DETECTOR, "scales": (1, 2.5), "hidden": 8, "refine": False},
    "segnet": {"width": 4, "convolutions": (1, 2), "way": "transposed"},
    "torchvision-faster-rcnn": {**DETECTOR, "scales": (1, 2.5), "size": 16},
    "unet": {"width": 4, "depth": 2, "cut": (1,)},
    "yolo": {**DETECTOR, "hidden": 8},
}


def kept(network, folder, **about):
    """Write what a run keeps of a network."""
    told = {"classes": ["a", "b"], "size": 16, "mean": [0.5] * 3, "std": [0.2] * 3}
    told["built_as"] = network.built_as
    (folder / "model.json").write_text(json.dumps(told | about))
    save_file(network.state_dict(), folder / "model.safetensors")
    return str(folder)


def test_every_one_is_tried_here():
    assert SMALL.keys() == DENSE.keys()


@pytest.mark.parametrize("name", DENSE)
def test_it_is_built_again_from_a_run_with_its_weights(name, tmp_path):
    network = models.create(name, classes=2, **SMALL[name])
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.9)
    again = models.create(kept(network, tmp_path), classes=None)
    assert type(again) is type(network)
    wanted, found = network.state_dict(), again.state_dict()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert json.loads(json.dumps(again.built_as)) == json.loads(json.dumps(network.built_as))
    assert again.preprocessing.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", DENSE)
def test_no_two_of_its_weights_are_one(name):
    weights = models.create(name, classes=2, **SMALL[name]).state_dict()
    places = [tensor.data_ptr() for tensor in weights.values() if tensor.numel()]
    assert len(set(places)) == len(places)


def test_they_are_not_among_those_that_classify():
    assert not DENSE.keys() & {*models.names(), *NETWORKS}


@pytest.mark.parametrize("name", DENSE)
def test_those_made_of_others_take_pretrained_and_no_others_do(name):
    takes = "pretrained" in inspect.signature(DENSE[name]).parameters
    assert takes is (name in MADE_OF_OTHERS)
    assert models.has_weights(name) is takes
    if not takes:
        with pytest.raises(OptionError, match=f"no pre-trained weights for '{name}'"):
            models.create(name, classes=2, pretrained=True, **SMALL[name])


def test_a_near_name_is_told():
    with pytest.raises(UnknownName, match=r"'fast-rcnn'.*faster-rcnn"):
        models.create("fast-rcnn", classes=2)


@pytest.mark.parametrize("name", DENSE)
def test_an_option_that_it_does_not_take_is_told(name):
    with pytest.raises(OptionError, match=f"'{name}' does not take these options.*'depht'"):
        models.create(name, classes=2, depht=2, **SMALL[name])


def test_a_number_of_classes_is_needed():
    with pytest.raises(OptionError, match="'segnet' needs a number of classes"):
        models.create("segnet", classes=None)


def test_weights_for_other_classes_are_refused_in_a_sentence(tmp_path):
    network = models.create("yolo", classes=2, **SMALL["yolo"])
    with pytest.raises(DataError, match=r"do not fit this network: 2 tensors differ"):
        models.create(kept(network, tmp_path), classes=3)
