"""Networks by name, so that a run folder can say in JSON which network its weights fit.

A name is one of ours (`convnet`), one of a library's (`torchvision:resnet18`, `timm:convnext_tiny`,
`hf:OWNER/NAME` or `hf:FOLDER`), or the folder of a run whose network is taken over.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vislab.errors import DataError, OptionError, ShapeError, UnknownName, pick
from vislab.models import (
    bilinear,
    course_networks,
    efficientnet_lite,
    from_hugging_face,
    from_timm,
    from_torchvision,
)
from vislab.models.all_cnn import AllCNN
from vislab.models.anatomy import anatomy
from vislab.models.autoencoder import ConvAutoencoder, DenseAutoencoder
from vislab.models.colorizer import Colorizer
from vislab.models.compact import Compact
from vislab.models.convnet import ConvNet
from vislab.models.densenet import DenseNet
from vislab.models.encoder_unet import EncoderUNet
from vislab.models.faster_rcnn import FasterRCNN
from vislab.models.preact_resnet import PreActResNet
from vislab.models.preprocessing import Preprocessing, three
from vislab.models.resnet import resnet18
from vislab.models.resnet9 import ResNet9
from vislab.models.segnet import SegNet
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.models.unet import UNet
from vislab.models.vgg import VGG
from vislab.models.weights import fit_weights, read_weights
from vislab.models.wide_resnet import WideResNet
from vislab.models.yolo import Yolo
from vislab.runs.folder import read_json

Build = Callable[..., nn.Module]

NETWORKS: dict[str, Build] = {
    "all-cnn": AllCNN,
    "bilinear": bilinear.build,
    "compact": Compact,
    "convnet": ConvNet,
    "densenet": DenseNet,
    "preact-resnet": PreActResNet,
    "resnet18": resnet18,
    "resnet9": ResNet9,
    "vgg": VGG,
    "wide-resnet": WideResNet,
    **course_networks.NETWORKS,
}
DENSE: dict[str, Build] = {  # that answer with pictures, masks or boxes, not with class scores
    "conv-autoencoder": ConvAutoencoder,
    "dense-autoencoder": DenseAutoencoder,
    "colorizer": Colorizer,
    "encoder-unet": EncoderUNet,
    "faster-rcnn": FasterRCNN,
    "segnet": SegNet,
    "torchvision-faster-rcnn": TorchvisionFasterRCNN,
    "unet": UNet,
    "yolo": Yolo,
}
# Whose parts have pre-trained weights.
MADE_OF_OTHERS = (
    "bilinear",
    "colorizer",
    "encoder-unet",
    "faster-rcnn",
    "torchvision-faster-rcnn",
    "yolo",
)
SIZE_OPTIONS = ("img_size", "image_size", "size", "side")  # that say what pictures are taken
LITE = {f"efficientnet-lite{version}": version for version in efficientnet_lite.SIZES}
LIBRARIES: dict[str, Any] = {
    "hf": from_hugging_face,
    "timm": from_timm,
    "torchvision": from_torchvision,
}
SMALL, USUAL = 32, 224  # pixels: the side of the pictures that ours, and most others, are made for


def register(name: str) -> Callable[[Build], Build]:
    """Make a network of your own known by name: it is called with `classes=` and its options."""

    def keep(build: Build) -> Build:
        NETWORKS[name] = build
        return build

    return keep


def names() -> list[str]:
    """Return every name that can be built without a connection: ours, torchvision's, timm's.

    Those of `DENSE`, which give no class scores, are not among them.
    """
    ours = sorted({*NETWORKS, *LITE})
    return [
        *ours,
        *(f"torchvision:{name}" for name in from_torchvision.names()),
        *(f"timm:{name}" for name in from_timm.names()),
    ]


def create(
    name: str,
    *,
    classes: int | None,
    pretrained: bool = False,
    weights: Path | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network; it remembers how in its attribute `built_as`.

    Its weights are fresh, or with `pretrained` those its source has for it, or those of a file; a
    head for another number of classes is fresh in any case. `classes=None` keeps the classes that
    a library's network was made for. Where weights are loaded, `preprocessing` says what they
    were shown, if that is known.

    Raises UnknownName with the names there are, OptionError when an option does not fit, DataError
    when weights cannot be had or do not fit.
    """
    if is_run(name):
        return _from_run(Path(name), classes, weights, options)
    library, _, inside = name.partition(":")
    if inside:
        source = pick(LIBRARIES, library, "source of networks")
        if source is from_torchvision and pretrained:
            options = {**from_torchvision.trained_with(inside), **options}
        model: nn.Module = source.build(inside, classes, **options)
        if source is from_hugging_face:
            options = {**options, "config": model.config}
        shown = source.preprocessing(inside) if pretrained or weights is not None else None
        fetch = partial(source.weights, inside, **(options if source is from_timm else {}))
    elif name in LITE:
        version = LITE[name]
        model = efficientnet_lite.build(version, classes, **options)
        shown = efficientnet_lite.preprocessing(version)
        fetch = partial(efficientnet_lite.weights, version)
    else:
        parts = {"pretrained": pretrained} if name in MADE_OF_OTHERS else {}
        model = _ours(name, classes, {**options, **parts})
        shown = getattr(model, "preprocessing", None)
        if pretrained and not parts:
            raise OptionError(
                f"there are no pre-trained weights for {name!r}; {', '.join(LITE)} come with "
                "theirs, and torchvision:, timm: and hf: names have theirs fetched"
            )
    model.built_as = {"name": name, "classes": classes, "options": options}  # type: ignore[assignment]
    if weights is not None or (pretrained and name not in MADE_OF_OTHERS):
        given = read_weights(weights) if weights is not None else fetch()
        told = (options[key] for key in SIZE_OPTIONS if key in options)
        size = next(told, None) or natural_size(name, model)
        whole = fit_weights(model, given, head_of(model, size), str(weights or name))
        if classes is None and not whole:
            raise DataError(f"the weights of {weights or name} have no head; say how many classes")
        model.preprocessing = shown  # type: ignore[assignment]
    return model


def has_weights(name: str) -> bool:
    """Return whether a name comes with pre-trained weights, or might: nobody is asked."""
    return name in LITE or name in MADE_OF_OTHERS or ":" in name or is_run(name)


def is_run(name: str) -> bool:
    """Return whether a name is the folder of a run that kept its network."""
    return ":" not in name and (Path(name) / "model.json").is_file()


def preprocessing_of(name: str) -> Preprocessing:
    """Return what a network's pre-trained weights were shown; ImageNet's usual where it is unknown.

    For a network with fresh weights it is as good as any.
    """
    library, _, inside = name.partition(":")
    if name in LITE:
        return efficientnet_lite.preprocessing(LITE[name])
    if inside and library in LIBRARIES:
        known: Preprocessing | None = LIBRARIES[library].preprocessing(inside)
        if known is not None:
            return known
    return Preprocessing(natural_size(name), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def natural_size(name: str, model: nn.Module | None = None) -> int:
    """Return the side in pixels of the pictures that a network was made for."""
    library, _, inside = name.partition(":")
    if name in LITE:
        return efficientnet_lite.SIZES[LITE[name]]
    if library == "hf" and inside:
        config = getattr(model, "config", None)
        return from_hugging_face.side_of(config) if config else from_hugging_face.size(inside)
    if is_run(name):
        return int(read_json(Path(name) / "model.json")["size"])
    if not inside:
        return SMALL
    shown = pick(LIBRARIES, library, "source of networks").preprocessing(inside)
    return USUAL if shown is None else int(shown.size)


def head_of(model: nn.Module, size: int) -> tuple[str, ...]:
    """Return the names of the head's parameters, found by showing it one S×S picture.

    None, where the network cannot be taken apart.
    """
    try:
        return anatomy(model, torch.zeros(1, 3, size, size)).head.parameters
    except (ShapeError, RuntimeError, AssertionError, ValueError, TypeError):
        return ()  # it takes no such pictures, or gives no scores: then everything must fit


def _ours(name: str, classes: int | None, options: dict[str, Any]) -> nn.Module:
    try:
        build = pick({**NETWORKS, **DENSE}, name, "network")
    except UnknownName as error:
        raise UnknownName(
            f"{error}; or torchvision:NAME, timm:NAME, hf:NAME, or the folder of a run"
        ) from error
    if classes is None:
        raise OptionError(f"network {name!r} needs a number of classes")
    try:
        return build(classes=classes, **options)
    except TypeError as error:
        raise OptionError(f"network {name!r} does not take these options: {error}") from error
    except (ValueError, RuntimeError) as error:  # sizes that no layer can have
        raise OptionError(f"network {name!r} cannot be built with {options}: {error}") from error


def _from_run(
    folder: Path, classes: int | None, weights: Path | None, options: dict[str, Any]
) -> nn.Module:
    """Build the network of a run with the run's weights."""
    if weights is not None or options:
        raise OptionError(f"the network of {folder} is taken as it is, without options or weights")
    about = read_json(folder / "model.json")
    built = about.get("built_as")
    if not built:
        raise DataError(f"the network of {folder} has no name, so it cannot be built again")
    kept = built["classes"]
    model = create(built["name"], classes=classes or kept, **built["options"])
    given = read_weights(folder / "model.safetensors")
    fit_weights(model, given, head_of(model, int(about["size"])), str(folder))
    mean, deviation = about["mean"], about["deviation"]
    model.preprocessing = Preprocessing(  # type: ignore[assignment]
        int(about["size"]), three(mean), three(deviation)
    )
    return model
