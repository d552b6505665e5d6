"""The attention of a transformer: which token looks at which, layer by layer.

It is found by running the network (see `watch`), in torchvision's, timm's and Hugging Face's as in
one's own. The images' tokens are put back where they are, also out of windows (see `windows`).
Attention among channels is left out.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import ShapeError, pick
from vislab.explain.asking import answer
from vislab.explain.attention_extractor import FUSE, Layer, watch
from vislab.explain.windows import Layout


def attention(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    *,
    layers: Sequence[str] | None = None,
    fuse: str | None = None,
) -> list[Layer]:
    """Return the attention of each layer in the order in which they run, on the CPU.

    All heads of all layers of a ViT-B at 224 pixels are 22 MB an image. `layers` names those to
    keep; `fuse` keeps one map for all heads, their "mean", "max" or "min".

    Where tokens are is found by running one image seven times more (see `unmixed`).

    Raises ShapeError when the network has no attention among places, UnknownName for a layer that
    has none.
    """
    with torch.no_grad(), watch(model, images, layers=layers, fuse=fuse) as found:
        answer(model, images)
    return found


def class_attention(layer: Layer, *, fuse: str = "mean") -> Float[Tensor, "n i j"]:
    """Return what the class token takes from each place; heads fused.

    The class token is the first of no place that the answer reads. Without one, and among windows:
    what an average token of some place takes, the attention that the place receives. Class,
    distillation and register tokens are left out of the image. Raises ShapeError when it cannot be
    told where the tokens are.
    """
    return pick(FUSE, fuse, "fusion")(head_attention(layer))[:, 0]


def head_attention(layer: Layer) -> Float[Tensor, "n heads i j"]:
    """Return the same for each head."""
    layout = known(layer)
    maps = layer.maps
    if maps.shape[3] == 1:  # the class token asks alone
        return layout.place(maps[..., 0, :])
    if layout.asking is not None and maps.shape[3] == maps.shape[4]:
        return layout.place(maps[..., layout.asking, :])
    if maps.shape[3] != maps.shape[4]:
        return layout.place(maps.mean(dim=3))
    askers = layout.known[:, None, :, None].to(maps)  # (w, 1, T, 1)
    return layout.place((maps * askers).sum(dim=3) / askers.sum(dim=2).clamp_min(1))


def entropy(layer: Layer) -> Float[Tensor, " n"]:
    """Return how widely tokens look, in nats, mean over windows, heads and tokens: at most log T.

    Of single heads only: the mean of heads that each look at one token looks wide.
    """
    terms: Tensor = torch.special.entr(layer.maps)
    return terms.sum(dim=-1).mean(dim=(1, 2, 3))


def distance(layer: Layer) -> Float[Tensor, " n"]:
    """Return how far patches look, in places, mean over windows, heads and patches.

    Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5. Attention to tokens of no place is left
    out and the rest scaled to sum to 1. Raises ShapeError when it cannot be told where tokens are.
    """
    layout = known(layer)
    if layer.maps.shape[3] != layer.maps.shape[4]:
        raise ShapeError(
            f"how far patches look cannot be told: {layer.name!r} attends from "
            f"{layer.maps.shape[3]} tokens to {layer.maps.shape[4]} others"
        )
    own = layout.known.to(layer.maps)  # (w, s)
    patches = layer.maps * own[:, None, None]
    patches = patches / patches.sum(dim=-1, keepdim=True).clamp_min(1e-12)
    far = (patches * layout.apart()[:, None].to(patches)).sum(dim=-1)  # (n, w, heads, t)
    return (far * own[:, None]).sum(dim=(1, 3)).mean(dim=1) / own.sum()


def known(layer: Layer) -> Layout:
    """Return where the layer's tokens are in the image. Raises ShapeError when nobody knows."""
    if layer.layout is None:
        windows, tokens = layer.maps.shape[1], layer.maps.shape[4]
        raise ShapeError(
            f"where the {tokens} tokens of {layer.name!r} in {windows} window(s) are in the "
            f"image cannot be told: they fill no grid over it; use its maps as they are"
        )
    return layer.layout
