"""A classification network as a giver of maps: run as far as the last map of a wanted stride.

Nothing is assumed of the network but that it keeps places: it is run once, and the last module
whose output has the wanted size is where it ends from then on. What would come after is removed.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import OptionError
from vislab.models.classifiers import create
from vislab.models.preprocessing import Preprocessing

CELLS = 8  # the side, in cells, of the map that is looked for


class Reached(Exception):
    """The maps are there; the rest of the network is not needed."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps


def _stop(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
    raise Reached(output)


class Backbone(nn.Module):
    """(N, 3, H, W) to maps (N, C, H / stride, W / stride) of the network called `name`.

    `channels` says how many; `preprocessing` what pre-trained weights were shown. Raises
    OptionError for a network that has no maps (N, C, I, J) of this stride.
    """

    preprocessing: Preprocessing | None

    def __init__(self, name: str, *, stride: int, pretrained: bool = False) -> None:
        super().__init__()
        self.network = create(name, classes=2, pretrained=pretrained)
        self.preprocessing = getattr(self.network, "preprocessing", None)
        last, self.channels, later = _look(self.network, name, stride)
        for parent in list(self.network.modules()):
            for child, module in list(parent.named_children()):
                if module in later:
                    setattr(parent, child, nn.Identity())
        last.register_forward_hook(_stop)
        _require_all_used(self, name, CELLS * stride)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c i j"]:
        """Return the maps."""
        try:
            self.network(images)
        except Reached as reached:
            return reached.maps
        raise AssertionError("the network ended before its maps were reached")


def _require_all_used(backbone: Backbone, name: str, side: int) -> None:
    """Raise OptionError where the maps do not depend on all of what is left.

    A vision transformer has maps once, before they become tokens: its patches, and nothing learned.
    """
    mode = backbone.training
    maps = backbone.eval()(torch.zeros(1, 3, side, side))
    backbone.train(mode)
    weights = dict(backbone.named_parameters())
    slopes = torch.autograd.grad(maps.sum(), list(weights.values()), allow_unused=True)
    unused = [path for path, slope in zip(weights, slopes, strict=True) if slope is None]
    if unused:
        raise OptionError(
            f"{name} has maps only where {unused[0].removeprefix('network.')} is not used yet; "
            "take a network that keeps places to its end, such as efficientnet-lite0"
        )


def _look(network: nn.Module, name: str, stride: int) -> tuple[nn.Module, int, set[nn.Module]]:
    """Return the module that gives the last map of this stride, its channels, and what comes after.

    What lies inside a block that makes the map smaller does not count: maps are taken between
    blocks, where they are complete.
    """
    side = CELLS * stride
    calls: list[nn.Module] = []
    ended: list[tuple[nn.Module, int, int]] = []
    narrowing: set[nn.Module] = set()

    def begin(module: nn.Module, _inputs: Any) -> None:
        calls.append(module)

    def end(module: nn.Module, inputs: Any, output: Any) -> None:
        fits = isinstance(output, Tensor) and output.shape[2:] == (CELLS, CELLS)
        taken = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        if fits:
            ended.append((module, output.shape[1], len(calls)))
        elif taken is not None and taken.shape[2:] == (CELLS, CELLS):
            narrowing.update(module.modules())

    mode = network.training
    hooks = [m.register_forward_pre_hook(begin) for m in network.modules()]
    hooks += [m.register_forward_hook(end) for m in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, side, side))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise OptionError(f"{name} cannot give maps for boxes: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
        network.train(mode)
    # A module that is called twice would stop the network at its first call.
    whole = [one for one in ended if one[0] not in narrowing and calls.count(one[0]) == 1]
    if not whole:
        raise OptionError(
            f"{name} has no maps of stride {stride}; networks that keep places, such as "
            "efficientnet-lite0 or torchvision:mobilenet_v2, have those of 8, 16 and 32"
        )
    last, channels, count = whole[-1]
    return last, channels, set(calls[count:]) - set(calls[:count])
