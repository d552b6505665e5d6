"""Networks by name, so that a run folder can say in JSON which network its weights fit.

A name is one of ours (`convnet`), one of a library's (`torchvision:resnet18`, `timm:convnext_tiny`,
`hf:OWNER/NAME` or `hf:FOLDER`), or the folder of a run whose network is taken over.
"""

from pathlib import Path
from typing import Any

from torch import nn

from vislab.models import bilinear, classifiers, from_timm, from_torchvision
from vislab.models.autoencoder import ConvAutoencoder, DenseAutoencoder
from vislab.models.classifiers import LITE, Build, build, is_run, load, of_run
from vislab.models.colorizer import Colorizer
from vislab.models.encoder_unet import EncoderUNet
from vislab.models.faster_rcnn import FasterRCNN
from vislab.models.segnet import SegNet
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.models.unet import UNet
from vislab.models.weights import read_weights
from vislab.models.yolo import Yolo

COMPOSITES: dict[str, Build] = {"bilinear": bilinear.build}  # classifiers made of others
DENSE: dict[str, Build] = {  # that answer with images, masks or boxes, not with class scores
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


def names() -> list[str]:
    """Return every name that can be built without a connection: ours, torchvision's, timm's.

    Those of `DENSE`, which give no class scores, are not among them.
    """
    ours = sorted({*classifiers.NETWORKS, *COMPOSITES, *LITE})
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
        return of_run(Path(name), classes, weights, options, create)
    composites = {**COMPOSITES, **DENSE}
    if ":" in name or name in LITE or name in classifiers.NETWORKS:
        return classifiers.create(
            name, classes=classes, pretrained=pretrained, weights=weights, **options
        )
    parts = {"pretrained": pretrained} if name in MADE_OF_OTHERS else {}
    model = build({**classifiers.NETWORKS, **composites}, name, classes, {**options, **parts})
    if pretrained and not parts:
        raise classifiers.without_weights(name)
    model.built_as = {"name": name, "classes": classes, "options": options}  # type: ignore[assignment]
    if weights is not None:
        load(model, read_weights(weights), name, classes, options, str(weights))
    return model


def has_weights(name: str) -> bool:
    """Return whether a name comes with pre-trained weights, or might: nobody is asked."""
    return name in LITE or name in MADE_OF_OTHERS or ":" in name or is_run(name)
