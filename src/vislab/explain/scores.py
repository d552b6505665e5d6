"""The score of a class that a map is to explain."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vislab.errors import OptionError, ShapeError

Target = int | Int[Tensor, " n"] | None


def class_scores(answer: Any) -> Float[Tensor, "n k"]:
    """Return the class scores in what a network gave: a tensor, or the `logits` of Hugging Face.

    Raises ShapeError when there are none.
    """
    scores = getattr(answer, "logits", answer)
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        raise ShapeError("a network to explain must give class scores (N, K) for (N, 3, H, W)")
    return scores


def chosen(scores: Float[Tensor, "n k"], target: Target) -> Int[Tensor, " n"]:
    """Return the class of each image: one for all, one for each, or the highest score's.

    Raises OptionError when there is no such class.
    """
    count, classes = scores.shape
    if target is None:
        return scores.detach().argmax(dim=1)
    wanted = torch.as_tensor(target, device=scores.device).expand(count)
    if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < classes:
        raise OptionError(
            f"there is no class {int(wanted.max())}: the network's {classes} classes are 0 to "
            f"{classes - 1}"
        )
    return wanted


def score_of(answer: Any, target: Target = None) -> Float[Tensor, " n"]:
    """Return one score an image, that of the class `chosen`; not a probability."""
    scores = class_scores(answer)
    return scores.gather(1, chosen(scores, target)[:, None])[:, 0]
