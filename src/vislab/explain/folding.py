"""The same network for many passes: channels last, batch normalisation folded into convolutions."""

import copy
import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.explain.scores import class_scores

CLOSE = 1e-4  # of the scores, beside their own size: what folding may change by rounding


def folded(model: nn.Module, images: Float[Tensor, "n 3 h w"]) -> nn.Module:
    """Return a copy in eval mode that answers alike, and sooner.

    Tried on the images. A network that cannot be traced, or that would then answer otherwise, is
    only laid out anew.
    """
    from torch.fx.experimental.optimization import fuse

    laid = copy.deepcopy(model).eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                quick: nn.Module = fuse(laid)
            answers = class_scores(quick(images)), class_scores(laid(images))
        except Exception:  # tracing raises whatever the network's own code does on symbols
            return laid
    return quick if torch.allclose(*answers, rtol=CLOSE, atol=CLOSE) else laid
