"""Networks by name, so that a run folder can say in JSON which network its weights fit."""

from collections.abc import Callable
from typing import Any

from torch import nn

from vislab.errors import OptionError, pick
from vislab.models import course_networks
from vislab.models.all_cnn import AllCNN
from vislab.models.convnet import ConvNet
from vislab.models.resnet import resnet18

Build = Callable[..., nn.Module]

NETWORKS: dict[str, Build] = {
    "all-cnn": AllCNN,
    "convnet": ConvNet,
    "resnet18": resnet18,
    **course_networks.NETWORKS,
}


def register(name: str) -> Callable[[Build], Build]:
    """Make a network of your own known by name: it is called with `classes=` and its options."""

    def keep(build: Build) -> Build:
        NETWORKS[name] = build
        return build

    return keep


def create(name: str, *, classes: int, **options: Any) -> nn.Module:
    """Build a network with fresh weights; it remembers how in its attribute `built_as`.

    Raises UnknownName with the names there are, OptionError when an option does not fit.
    """
    build = pick(NETWORKS, name, "network")
    try:
        model = build(classes=classes, **options)
    except TypeError as error:
        raise OptionError(f"network {name!r} does not take these options: {error}") from error
    model.built_as = {"name": name, "classes": classes, "options": options}  # type: ignore[assignment]
    return model
