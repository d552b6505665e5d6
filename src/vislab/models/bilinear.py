"""Bilinear pooling: which two features occur together, whatever their place.

Lin et al. 2015, arXiv:1504.07889, section 3: two networks look at an image; at each place the
outer product of their feature vectors is taken, and the products are summed over all places. Then
the signed square root and division by the L2 norm (equations 3 and 4 there), and a linear layer.
With one network that plays both parts the product is symmetric. The mean is taken in place of the
sum, which the norm makes the same.

The data flow has several inputs: each network is given the image in its own size, with its own
normalisation.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import OptionError, ShapeError
from vislab.models.classifiers import create, preprocessing_of
from vislab.models.preprocessing import Preprocessing

WIDEST = 512  # channels: the product of two such is a head of a quarter million weights a class
RAW = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # what is given: colours in [0, 1], not normalised


class Stream(nn.Module):
    """A network up to its deepest maps of at most `WIDEST` channels, and its preprocessing."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, shown: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.size = shown.size
        self.register_buffer("mean", torch.tensor(shown.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(shown.std)[:, None, None], persistent=False)
        self.layer, self.channels = deepest_maps(network, shown.size)
        self._seen: list[Tensor] = []
        network.get_submodule(self.layer).register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._seen.append(output)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c i j"]:
        """Return maps of images in [0, 1], which are shrunk where they are too large."""
        if min(images.shape[2:]) > self.size:
            images = F.interpolate(
                images, size=(self.size, self.size), mode="bilinear", antialias=True
            )
        self._seen.clear()
        self.network((images - self.mean) / self.std)
        return self._seen.pop()


class Bilinear(nn.Module):
    """Images in [0, 1], (N, 3, S, S), to logits (N, K), through one network or two."""

    def __init__(self, first: Stream, second: Stream | None, classes: int) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.head = nn.Linear(first.channels * (second or first).channels, classes)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        one = self.first(images)
        two = one if self.second is None else self.second(images)
        if one.shape[2:] != two.shape[2:]:
            cells = tuple(map(min, one.shape[2:], two.shape[2:]))
            one, two = (F.adaptive_avg_pool2d(maps, cells) for maps in (one, two))
        scores: Tensor = self.head(bilinear_pool(one, two))
        return scores


def bilinear_pool(
    one: Float[Tensor, "n c i j"], two: Float[Tensor, "n d i j"]
) -> Float[Tensor, "n cd"]:
    """Return the mean outer product over places, signed square root taken, of L2 norm 1."""
    places = one.shape[2] * one.shape[3]
    product = torch.einsum("ncij,ndij->ncd", one, two).flatten(1) / places
    # The root's slope is infinite at zero, where features never met.
    rooted = product.sign() * (product.abs() + 1e-10).sqrt()
    return F.normalize(rooted)


def deepest_maps(network: nn.Module, size: int) -> tuple[str, int]:
    """Return the last layer that gives maps (N, C, I, J) of few enough channels, and C.

    Raises ShapeError when no layer does.
    """
    seen: dict[str, int] = {}
    hooks = []

    def keep(name: str, output: Any) -> None:
        maps = isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1
        if maps and 3 < output.shape[1] <= WIDEST:
            seen.pop(name, None)  # a layer used again counts where it was used last
            seen[name] = int(output.shape[1])

    training = network.training
    try:
        for name, module in network.named_modules():
            if name:
                hooks.append(
                    module.register_forward_hook(lambda _m, _i, out, name=name: keep(name, out))
                )
        network.eval()
        with torch.no_grad():
            network(torch.zeros(1, 3, size, size))
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    if not seen:
        raise ShapeError(f"the network has no maps of up to {WIDEST} channels to pool")
    return list(seen.items())[-1]


def build(
    *, classes: int, streams: Sequence[str] = ("efficientnet-lite0",), pretrained: bool = False
) -> Bilinear:
    """Build bilinear pooling over one network, which plays both parts, or two, by name."""
    if not 1 <= len(streams) <= 2:
        raise OptionError(f"bilinear pooling takes one network or two, got {len(streams)}")
    built = []
    for name in streams:
        network = create(name, classes=classes, pretrained=pretrained)
        shown = preprocessing_of(name)
        built.append(Stream(network, shown))
    model = Bilinear(built[0], built[1] if len(built) > 1 else None, classes)
    model.preprocessing = Preprocessing(  # type: ignore[assignment]
        max(stream.size for stream in built), *RAW
    )
    return model
