"""The same network for many passes: channels last, batch normalisation folded into convolutions."""

import contextlib
import io
import warnings

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.errors import ShapeError
from vislab.explain.asking import ask, said_by
from vislab.explain.company import answered
from vislab.explain.copies import copied
from vislab.explain.hooks import hooked
from vislab.explain.scores import class_scores

CLOSE = 1e-4  # of the scores, beside their own size: what folding may change by rounding


class Ready(nn.Module):
    """A network, and the layout of images that it is the quickest with."""

    def __init__(self, network: nn.Module, memory_format: torch.memory_format) -> None:
        super().__init__()
        self.network = network
        self.memory_format = memory_format  # `ask` lays images out so
        self.reading = said_by(network)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return class scores as the network gives them; `images` may be written over."""
        return class_scores(self.network(images), len(images))


def folded(model: nn.Module, images: Num[Tensor, "n c h w"]) -> Ready:
    """Return a copy in eval mode that answers alike, and sooner; to be asked by `ask`.

    Tried on the images. A network that does not take channels-last images, cannot be traced, or
    would then answer otherwise, is left as far as that; one that company sways is shown one image
    at a time, one that cannot be copied is asked itself. Raises ShapeError as `ask` does.
    """
    try:
        copy = copied(model).eval()
    except ShapeError:
        with hooked(model, []), torch.no_grad():
            return Ready(answered(model, images, many=True).network, torch.contiguous_format)
    with hooked(copy, []), torch.no_grad():
        said = answered(copy, images, many=True)
    network, scores = said.network, said.scores
    ready = Ready(network, torch.channels_last)
    copy.to(memory_format=torch.channels_last)
    if not _answers(ready, images, scores):
        ready = Ready(network, torch.contiguous_format)
        copy.to(memory_format=torch.contiguous_format)
    if network is not copy:
        return ready
    quick = _fused(copy)
    if quick is None:
        return ready
    quicker = Ready(quick, ready.memory_format)
    quicker.reading = ready.reading
    return quicker if _answers(quicker, images, scores) else ready


def _fused(network: nn.Module) -> nn.Module | None:
    from torch.fx.experimental.optimization import fuse

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quick: nn.Module = fuse(network)
    except Exception:  # tracing raises whatever the network's own code does on symbols
        return None
    return quick


def _answers(ready: Ready, images: Tensor, scores: Tensor) -> bool:
    # What torch has traced prints where it failed, which is no failure here.
    with hooked(ready, []), torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
        try:
            found = ask(ready, images)
        except ShapeError:
            return False
    return found.shape == scores.shape and torch.allclose(found, scores, rtol=CLOSE, atol=CLOSE)
