"""What the answer takes from each patch through all layers, not only in one.

Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928, section 3): each layer passes on half of
what a token was and half of what it took, A' = A/2 + I/2, and the layers are multiplied. Its
gradient-weighted kin for a class (Chefer, Gur & Wolf 2021, arXiv:2103.15679, equations 5 and 6):
R ← R + E_h[(∇A ⊙ A)⁺] R.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import ShapeError
from vislab.explain.asking import answer, ask, checked
from vislab.explain.attention import known
from vislab.explain.attention_extractor import NONE, Layer, watch
from vislab.explain.scores import Target, score_of
from vislab.explain.windows import Layout


def rollout(
    model: nn.Module, images: Float[Tensor, "n 3 h w"], *, fuse: str = "mean"
) -> Float[Tensor, "n i j"]:
    """Return what the class token takes from each patch through all layers; the same for any class.

    Heads are fused by their "mean" (as the paper's), "max" or "min"; rows are made to sum to one
    again. Without a class token it is what an average token takes. Raises ShapeError for a network
    whose attention keeps within windows or changes its number of tokens.
    """
    with torch.no_grad(), watch(model, images, fuse=fuse) as found:
        answer(model, images)
    return rolled_out(found)


def rolled_out(layers: Sequence[Layer]) -> Float[Tensor, "n i j"]:
    """Return the rollout of attention that is there already, fused or not (by their mean then)."""
    layout = known(of_one_kind(layers)[0])
    maps = [layer.maps[:, 0].mean(dim=1) for layer in layers]
    start = asking(layout).expand(len(maps[0]), -1, -1)
    return layout.place(through([mixed(layer) for layer in maps], start)[:, None])[:, 0]


def mixed(maps: Float[Tensor, "n t t"]) -> Float[Tensor, "n t t"]:
    """Return A + I with rows that sum to one: (A + I) / 2 where those of A do."""
    whole = maps + torch.eye(maps.shape[1], device=maps.device)
    return whole / whole.sum(dim=2, keepdim=True)


def through(
    layers: Sequence[Float[Tensor, "n t t"]], start: Float[Tensor, "n q t"]
) -> Float[Tensor, "n q t"]:
    """Return start · A_L ⋯ A_1: what was asked for at the end, in terms of the tokens given."""
    for maps in reversed(layers):
        start = start.to(maps) @ maps
    return start


def gradient_rollout(
    model: nn.Module, images: Float[Tensor, "n 3 h w"], target: Target = None
) -> Float[Tensor, "n i j"]:
    """Return how much the class depends on each patch through the attention of all layers.

    Only attention that raises the score counts. In units of score; what a token is by itself (the
    identity in R) is left out. Raises ShapeError as `rollout` does.
    """
    with torch.enable_grad(), watch(model, images, in_graph=True) as found:
        score = score_of(ask(model, checked(images).detach().requires_grad_()), target).sum()
        layout = known(of_one_kind(found)[0])
        slopes = torch.autograd.grad(score, [layer.maps for layer in found], allow_unused=True)
    # A layer on which the answer does not depend passes on nothing.
    taken = [
        (layer.maps.detach() * slope)[:, 0].relu().mean(dim=1).float().cpu()
        for layer, slope in zip(found, slopes, strict=True)
        if slope is not None
    ]
    tokens = found[0].maps.shape[4]
    start = asking(layout).expand(len(images), -1, -1)
    whole = through([torch.eye(tokens) + maps for maps in taken], start) - start
    return layout.place(whole[:, None])[:, 0]


def asking(layout: Layout) -> Float[Tensor, "1 t"]:
    """Return whose view counts: the class token's, or that of the average token of some place."""
    if layout.asking is not None:
        return torch.eye(layout.cells.shape[1])[layout.asking][None]
    return layout.known.float() / layout.tokens


def of_one_kind(layers: Sequence[Layer]) -> Sequence[Layer]:
    """Return layers that can be multiplied. Raises ShapeError for others, saying why."""
    if not layers:
        raise ShapeError(NONE)
    for layer in layers:
        _, windows, _, rows, columns = layer.maps.shape
        if windows > 1:
            raise ShapeError(
                f"rollout has no meaning here: {layer.name!r} attends within {windows} windows, "
                "which shift or change from layer to layer, so their maps cannot be multiplied; "
                "use class_attention"
            )
        if not rows == columns == layers[0].maps.shape[4]:
            raise ShapeError(
                f"rollout has no meaning here: {layer.name!r} attends from {rows} tokens to "
                f"{columns}, the first layer among {layers[0].maps.shape[4]}"
            )
    return layers
