"""The score of a class that a map is to explain."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from vislab.errors import OptionError, ShapeError
from vislab.ops.readings import TINY, Reading, probabilities, reading_of, two_sided

Target = int | Int[Tensor, " n"] | None


def class_scores(answer: Any, count: int | None = None) -> Float[Tensor, "n k"]:
    """Return the class scores in what a network gave for `count` images, as many as there are.

    They are a tensor, the `logits` of an object or a dict, a dict's only one of their shape, or the
    first of a tuple's, whose others are of auxiliary heads. A score an image (N,) is (N, 1), those
    of one image (K,) are (1, K), if it is known how many images there were.

    Raises ShapeError when there are none, or when it is doubtful which they are.
    """
    named = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if isinstance(named, Tensor):
        answer = named
    several = _parts(answer)
    rows = [found for part in several if (found := _rows(part, count)) is not None]
    if not rows:  # a column of single scores is what is left
        rows = [found for part in several if (found := _squeezed(part, count)) is not None]
    alike = len({found.shape[1] for found in rows}) == 1
    if not rows or not alike or (isinstance(answer, Mapping) and len(rows) > 1):
        doubt = ", of which more than one could be meant" if rows else ""
        raise ShapeError(
            "a network to explain must give class scores (N, K) for images (N, C, H, W), got "
            f"{described(answer, count)}{doubt}; wrap it in a module whose forward returns them "
            "alone"
        )
    return rows[0]


def _parts(answer: Any) -> list[Any]:
    if isinstance(answer, Mapping):
        return list(answer.values())
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def _rows(part: Any, count: int | None) -> Tensor | None:
    """Return what is scores (N, K) already, also as maps of one cell."""
    if not isinstance(part, Tensor) or not part.is_floating_point() or part.ndim not in (2, 4):
        return None
    if part.ndim == 4 and part.shape[2:] != (1, 1):
        return None
    return part.flatten(1) if part.shape[1] and count in (None, len(part)) else None


def _squeezed(part: Any, count: int | None) -> Tensor | None:
    """Return what is scores but for an axis that was squeezed: of classes, or of images."""
    if not isinstance(part, Tensor) or not part.is_floating_point() or part.ndim > 1 or not count:
        return None
    if part.numel() == count:
        return part.reshape(count, 1)
    return part[None] if count == 1 and part.numel() else None


def described(answer: Any, count: int | None = None) -> str:
    """Return what a network gave for `count` images in words, that number as N."""
    if isinstance(answer, Tensor):
        shape = [*map(str, answer.shape)]
        if shape and answer.shape[0] == count:
            shape[0] = "N"
        axes = f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(shape)})"
        kind = "" if answer.is_floating_point() else f" of {str(answer.dtype)[6:]}"
        return axes + kind
    if isinstance(answer, Mapping):
        parts = [f"{key} {described(value, count)}" for key, value in answer.items()]
    elif isinstance(answer, list | tuple):
        parts = [described(one, count) for one in answer]
    else:
        return type(answer).__name__
    return f"a {type(answer).__name__} of {', '.join(parts) or 'nothing'}"


def sides(scores: Float[Tensor, "n k"], said: str | None = None) -> Float[Tensor, "n l"]:
    """Return a single score as those of its two sides, for the class and, first, against it.

    `said` is the network's reading: a single probability p has the sides 1 - p and p.
    """
    if scores.shape[1] == 1 and said == "probabilities":
        return torch.cat([1 - scores, scores], dim=1)
    return two_sided(scores)


def chances(scores: Float[Tensor, "n k"], said: str | None = None) -> Float[Tensor, "n l"]:
    """Return the probabilities that scores mean, of both sides of a single one; float32."""
    return probabilities(sides(scores, said), _reading(scores, said))


def log_chances(scores: Float[Tensor, "n k"], said: str | None = None) -> Float[Tensor, "n l"]:
    """Return the logarithms of `chances`, in nats."""
    both, reading = sides(scores, said), _reading(scores, said)
    if reading == "probabilities":
        return both.clamp_min(TINY).log()
    return both.log_softmax(dim=1) if reading == "softmax" else F.logsigmoid(both)


def _reading(scores: Tensor, said: str | None) -> Reading:
    if scores.shape[1] == 1 and said != "probabilities":
        return "sigmoid"
    return reading_of(scores, said)


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


def of_class(scores: Float[Tensor, "n k"], target: Target = None) -> Float[Tensor, " n"]:
    """Return one score an image, that of the class `chosen`."""
    return scores.gather(1, chosen(scores, target)[:, None])[:, 0]


def score_of(answer: Any, target: Target = None) -> Float[Tensor, " n"]:
    """Return one score an image, that of the class `chosen`; not a probability."""
    return of_class(class_scores(answer), target)
