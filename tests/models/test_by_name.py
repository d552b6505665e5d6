import json

import pytest
import torch
from torch import nn

from vislab import models
from vislab.errors import OptionError, UnknownName
from vislab.models import by_name, course_networks


def test_a_network_can_be_built_again_from_what_it_remembers():
    model = models.create("convnet", classes=3, widths=[4, 6], noise=0.1)
    assert model.built_as == {
        "name": "convnet",
        "classes": 3,
        "options": {"widths": [4, 6], "noise": 0.1},
    }
    told = json.loads(json.dumps(model.built_as))
    again = models.create(told["name"], classes=told["classes"], **told["options"])
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 9, 8)
    assert torch.equal(again.eval()(images), model.eval()(images))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("convnet", "ConvNet"), ("all-cnn", "AllCNN"), ("resnet18", "ResNet")],
)
def test_a_name_gives_the_network_it_says(name, kind):
    model = models.create(name, classes=7)
    assert type(model).__name__ == kind
    assert model.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 7)


def test_every_name_is_tested_above():
    courses = set(course_networks.NETWORKS)  # tested beside their twins by hand
    assert by_name.NETWORKS.keys() - courses == {"convnet", "all-cnn", "resnet18"}


def test_an_unknown_name_lists_the_networks_and_the_nearest():
    with pytest.raises(
        UnknownName,
        match=r"'resnet-18'\. Did you mean 'resnet18'\? Known: all-cnn, captioner, convnet, ",
    ):
        models.create("resnet-18", classes=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [("convnet", {"width": 5}), ("all-cnn", {"widths": (5,)}), ("resnet18", {"noise": 0.1})],
)
def test_an_option_that_a_network_lacks_is_named(name, options):
    with pytest.raises(OptionError, match=rf"network '{name}' .*'{next(iter(options))}'"):
        models.create(name, classes=2, **options)


def test_a_network_of_ones_own_is_created_by_its_name(monkeypatch):
    monkeypatch.setattr(by_name, "NETWORKS", dict(by_name.NETWORKS))

    @models.register("mine")
    class Mine(nn.Linear):
        def __init__(self, *, classes, inner=5):
            super().__init__(inner, classes)

    assert Mine(classes=3).out_features == 3  # the class is still there under its own name
    model = models.create("mine", classes=4, inner=6)
    assert isinstance(model, Mine)
    assert model.weight.shape == (4, 6)
    assert model.built_as == {"name": "mine", "classes": 4, "options": {"inner": 6}}
    with pytest.raises(UnknownName, match=r"Known: all-cnn, .*, mine, resnet18"):
        models.create("nobody's", classes=2)
