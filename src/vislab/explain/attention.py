"""The attention of a transformer: which token looks at which, layer by layer.

Fused kernels give no attention back. It is worked out again from the queries and keys that they are
called with: softmax(q kᵀ / √d) (Vaswani et al. 2017, arXiv:1706.03762, equation 1). The network
itself computes as ever, and its output does not change.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vislab.errors import ShapeError
from vislab.explain.taps import tap


class _Watch(TorchFunctionMode):
    """Work out the attention of each fused call in the block."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[Tensor] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Any:
        keywords = keywords or {}
        if function is F.scaled_dot_product_attention:
            self.maps.append(_attention(*arguments, **keywords))
        return function(*arguments, **keywords)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query.float() @ key.float().mT * factor  # (N, heads, T, T)
    if is_causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(ahead, -math.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(dim=-1)


def attention(
    model: nn.Module, images: Float[Tensor, "n 3 h w"]
) -> list[Float[Tensor, "n heads t t"]]:
    """Return the attention of each layer, first to last; each row sums to 1.

    Raises ShapeError when the network calls no fused attention.
    """
    with tap(model, []), torch.no_grad(), _Watch() as watch:
        model(images)
    if not watch.maps:
        raise ShapeError("the network has no attention that torch's fused kernels compute")
    return [maps.cpu() for maps in watch.maps]


def entropy(maps: Float[Tensor, "n heads t t"]) -> Float[Tensor, " n"]:
    """Return how widely the tokens look, in nats, mean over heads and tokens: at most log T."""
    terms: Tensor = torch.special.entr(maps)
    return terms.sum(dim=-1).mean(dim=(1, 2))


def distance(maps: Float[Tensor, "n heads t t"], rows: int, columns: int) -> Float[Tensor, " n"]:
    """Return how far patches look, in patches, mean over heads and patches.

    Dosovitskiy et al. 2021, arXiv:2010.11929, section 4.5. Of the tokens the last rows × columns
    are patches; attention to the others is left out and the rest scaled to sum to 1.
    """
    count = rows * columns
    patches = maps[:, :, -count:, -count:]
    patches = patches / patches.sum(dim=-1, keepdim=True).clamp_min(1e-12)
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    where = torch.stack([down.flatten(), across.flatten()], dim=1).float()
    apart = torch.cdist(where, where).to(maps.device)
    return (patches * apart).sum(dim=-1).mean(dim=(1, 2))


def class_attention(
    maps: Float[Tensor, "n heads t t"], rows: int, columns: int
) -> Float[Tensor, "n i j"]:
    """Return what the first token, the class token, takes from each patch, mean over heads.

    Where there is no class token, what an average token takes.
    """
    count = rows * columns
    asked = maps[:, :, 0] if maps.shape[2] > count else maps.mean(dim=2)
    return asked.mean(dim=1)[:, -count:].reshape(-1, rows, columns)
