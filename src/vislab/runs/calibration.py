"""Calibration: is a network that says 80 % right on 80 % of those images?

Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599,
section 2: M bins ((m−1)/M, m/M], and

    ECE = Σ_m |B_m| / n · |acc(B_m) − conf(B_m)|        (equation 3)

Differs from the paper: a confidence of exactly 0, which no bin there holds, counts in the first.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies in (low, high]; means are None where there are none."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """The bins from low confidence to high, and the expected calibration error in [0, 1]."""

    bins: tuple[Bin, ...]
    error: float


def calibration(
    confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, bins: int = 15
) -> Calibration:
    """Sort images by the probability of their predicted class and count how many are right.

    `confidence` is in [0, 1]. Without images every bin is empty and the error is 0.
    """
    edges = np.arange(bins + 1) / bins
    which = np.searchsorted(edges[1:-1], confidence, side="left")  # the right edge is inside
    found = []
    error = 0.0
    for m in range(bins):
        inside = which == m
        count = int(inside.sum())
        said, was = None, None
        if count:
            said, was = float(confidence[inside].mean()), float(correct[inside].mean())
            error += count / confidence.size * abs(was - said)
        found.append(Bin(float(edges[m]), float(edges[m + 1]), count, said, was))
    return Calibration(tuple(found), error)
