"""What a classifier's answer means: logits of one class or of several, or probabilities already.

A network is read as one that gives logits of exactly one class, by softmax, unless it says that it
is otherwise (`model.reading`), gives a single score, or gives rows that are probabilities already.
"""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vislab.errors import pick

Reading = Literal["softmax", "sigmoid", "probabilities"]
ROUNDING = {torch.float64: 1e-5, torch.float32: 1e-4}  # how far from 1 a row may sum; else 2e-2
TINY = 1e-12


def reading_of(answer: Float[Tensor, "n k"], said: Any = None) -> Reading:
    """Return how rows of scores become probabilities.

    `said` is what the network or the user says of it, None where nobody does. Raises UnknownName
    for a word that is no reading.
    """
    if said is not None:
        return pick({word: word for word in get_args(Reading)}, str(said), "reading")
    if answer.shape[1] == 1:
        return "sigmoid"
    return "probabilities" if are_probabilities(answer) else "softmax"


def are_probabilities(answer: Float[Tensor, "n k"]) -> bool:
    """Say whether all rows are such: none below 0, each with a sum of 1.

    Logits of two rows and more are by no accident.
    """
    rows = answer.detach().float()
    if not rows.numel() or rows.shape[1] < 2:
        return False
    slack = ROUNDING.get(answer.dtype, 2e-2)
    return bool((rows >= 0).all() and ((rows.sum(dim=1) - 1).abs() <= slack).all())


def two_sided(answer: Float[Tensor, "n k"]) -> Tensor:
    """Return a single score z (N, 1) as those of its two sides, −z and z (N, 2); others as is."""
    return torch.cat([-answer, answer], dim=1) if answer.shape[1] == 1 else answer


def probabilities(scores: Float[Tensor, "n k"], reading: Reading) -> Float[Tensor, "n k"]:
    """Return the probability of each class, in float32. Those of `sigmoid` do not sum to 1."""
    if reading == "probabilities":
        return scores.float()
    return scores.float().softmax(dim=1) if reading == "softmax" else scores.float().sigmoid()


def as_logits(answer: Float[Tensor, "n k"], reading: Reading) -> Float[Tensor, "n l"]:
    """Return scores whose softmax are the probabilities that they mean, to train and to test by.

    Probabilities as their logarithms; a single score z, of the second of two classes, as −z/2 and
    z/2, whose softmax is its sigmoid and whose cross-entropy is the binary one.
    """
    if reading == "probabilities":
        sides = torch.cat([1 - answer, answer], dim=1) if answer.shape[1] == 1 else answer
        return sides.clamp_min(TINY).log()
    return two_sided(answer) / 2 if answer.shape[1] == 1 else answer
