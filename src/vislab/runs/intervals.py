"""Intervals: how far a measured number can be trusted. All are 95 % unless told otherwise."""

import math
import statistics

import numpy as np
from jaxtyping import Bool, Float

Interval = tuple[float, float]


def wilson(correct: int | float, total: int, *, level: float = 0.95) -> Interval:
    """Return the score interval of a proportion (Wilson 1927, equation 1), within [0, 1]."""
    if total == 0:
        return (0.0, 1.0)
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    p = correct / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    # At p = 0 and p = 1 the bound is p itself; rounding must not push it past.
    return (max(0.0, min(centre - half, p)), min(1.0, max(centre + half, p)))


def paired_bootstrap(
    first: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    second: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    *,
    draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Return the mean of `second - first` and its percentile interval.

    Both are scores of the same images in the same order, so images, not runs, are drawn again
    (Efron and Tibshirani 1993, section 13.3). One image says nothing of others: its interval is
    without bounds.
    """
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    if difference.size == 0:
        return (0.0, (0.0, 0.0))
    if difference.size == 1:
        return (float(difference[0]), (-math.inf, math.inf))
    # A mean depends only on how often each distinct difference is drawn, so draw the counts.
    values, counts = np.unique(difference, return_counts=True)
    rng = np.random.default_rng(seed)
    # Losses are all distinct, and draws × n counts at once would fill the memory.
    block = max(1, 2_000_000 // values.size)
    means = np.concatenate(
        [
            rng.multinomial(difference.size, counts / difference.size, size=min(block, draws - at))
            @ values
            for at in range(0, draws, block)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means / difference.size, (tail, 1 - tail))
    return (float(difference.mean()), (float(low), float(high)))


def bootstrap(
    values: Float[np.ndarray, " n"], *, draws: int = 10_000, level: float = 0.95, seed: int = 0
) -> tuple[float, Interval]:
    """Return the mean of scores of images and its percentile interval over drawing them again."""
    return paired_bootstrap(np.zeros(len(values)), values, draws=draws, level=level, seed=seed)


def over_seeds(values: list[float], *, level: float = 0.95) -> Interval | None:
    """Return Student's interval of the mean of a few runs; None for fewer than two."""
    if len(values) < 2:
        return None
    from scipy import stats  # slow to import, and `vislab list` reads this file

    half = float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * float(
        np.std(values, ddof=1) / math.sqrt(len(values))
    )
    centre = float(np.mean(values))
    return (centre - half, centre + half)


def mcnemar(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> float:
    """Return how likely so uneven a split of the disagreements is between two equal classifiers.

    Both say of the same images whether they were right. Of the images that only one has right,
    each is as likely to have either (McNemar 1947; the exact two-sided binomial test).
    """
    from scipy import stats  # slow to import, and `vislab list` reads this file

    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def newcombe(
    first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " m"]
) -> tuple[float, Interval]:
    """Return the share right in `first` minus that in `second`, which are different images.

    The interval is Newcombe's (1998, Statistics in Medicine 17: 873-890, method 10).
    """
    p, q = float(first.mean()), float(second.mean())
    (low_p, high_p), (low_q, high_q) = (wilson(int(x.sum()), len(x)) for x in (first, second))
    low = p - q - math.hypot(p - low_p, high_q - q)
    high = p - q + math.hypot(high_p - p, q - low_q)
    return p - q, (low, high)
