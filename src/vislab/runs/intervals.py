"""Intervals: how far a measured number can be trusted. All are 95 % unless told otherwise.

An interval promises to cover: shares at every number of images, scores between 0 and 1 at every
number from five on, whatever their distribution, other scores as long as they are not very skewed.
`python benchmarks/coverage.py` holds them to it.
"""

import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

Interval = tuple[float, float]
FEWEST = 5  # scores from which on their spread says anything; below there are no bounds
MANY = 1000  # scores from which on their mean is normal enough
ENUMERATED = 12  # differences of which every choice of signs is tried
NOWHERE: Interval = (-math.inf, math.inf)


def exact(correct: int, total: int, *, level: float = 0.95) -> Interval:
    """Return the exact interval of a share (Clopper and Pearson 1934), within [0, 1].

    It covers at least as often as it says, for every share and every number of images.
    """
    from scipy import special  # slow to import, and `vislab list` reads this file

    if total == 0:
        return (0.0, 1.0)
    tail = (1 - level) / 2
    wrong = total - correct
    low = float(special.betaincinv(correct, wrong + 1, tail)) if correct else 0.0
    high = float(special.betaincinv(correct + 1, wrong, 1 - tail)) if wrong else 1.0
    return (low, high)


def wilson(correct: int | float, total: int, *, level: float = 0.95) -> Interval:
    """Return the score interval of a share (Wilson 1927, equation 1), within [0, 1].

    It covers on average over the shares, not for each: near 0 and 1 of few images as little as 85 %
    where 95 % is said. See `exact`.
    """
    if total == 0:
        return (0.0, 1.0)
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    p = correct / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    # At p = 0 and p = 1 the bound is p itself; rounding must not push it past.
    return (max(0.0, min(centre - half, p)), min(1.0, max(centre + half, p)))


def bootstrap(
    values: Float[np.ndarray, " n"], *, draws: int = 10_000, level: float = 0.95, seed: int = 0
) -> tuple[float, Interval]:
    """Return the mean of scores of images and its interval.

    Scores between 0 and 1: Student's, but for the lower bound as if one more image had scored 0 and
    for the upper one as if one more had scored 1. What fails on one image in twenty is often not
    seen among twenty, and an interval of what was seen alone would not hold the mean; of shares the
    exact interval allows as much. Other scores: the studentised bootstrap (Efron and Tibshirani
    1993, section 12.5), from `MANY` on Student's. Below `FEWEST` there are no bounds.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        return (0.0, (0.0, 0.0))
    mean = float(values.mean())
    if values.size < FEWEST:
        return (mean, NOWHERE)
    if values.min() >= 0 and values.max() <= 1:
        low, _ = _student(np.append(values, 0.0), level)
        _, high = _student(np.append(values, 1.0), level)
        return (mean, (max(0.0, min(low, mean)), min(1.0, max(high, mean))))
    return (mean, _studentised(values, draws, level, seed))


def paired_bootstrap(
    first: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    second: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    *,
    draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Return the mean of `second - first` and its interval.

    Both are scores of the same images in the same order. Of right and wrong the interval is that of
    Bonett and Price (2012, equation 6), of other scores the studentised bootstrap's. It leaves 0
    out only where a test does so too, that holds its level at any number of images: McNemar's exact
    one, or that of all changes of signs (`sign_flip`).
    """
    first, second = np.asarray(first), np.asarray(second)
    difference = second.astype(np.float64) - first.astype(np.float64)
    if difference.size == 0:
        return (0.0, (0.0, 0.0))
    mean = float(difference.mean())
    if first.dtype == second.dtype == np.bool_:
        bounds, likely = _bonett_price(first, second, level), mcnemar(first, second)
    elif difference.size < FEWEST:
        return (mean, NOWHERE)
    else:
        bounds = _studentised(difference, draws, level, seed)
        many = difference.size >= MANY  # then the interval is as good a test
        likely = 0.0 if many else sign_flip(difference, draws=draws, seed=seed)
    low, high = min(bounds[0], mean), max(bounds[1], mean)
    if likely > 1 - level:
        low, high = min(low, 0.0), max(high, 0.0)
    return (mean, (low, high))


def likely(
    first: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    second: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"],
) -> float:
    """Return how likely so large a difference on the same images is between two equal networks.

    McNemar's exact test of what is right and wrong, that of changed signs of other scores.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.dtype == second.dtype == np.bool_:
        return mcnemar(first, second)
    return sign_flip(second.astype(np.float64) - first.astype(np.float64))


def sign_flip(difference: Float[np.ndarray, " n"], *, draws: int = 10_000, seed: int = 0) -> float:
    """Return how likely so large a mean difference is where neither is better: a p value.

    Then each difference is as likely with the other sign (Fisher 1935, section 21). All changes of
    signs are tried for few images, some at random for more.
    """
    size = difference.size
    seen = abs(float(difference.sum()))
    slack = 1e-9 * float(np.abs(difference).sum())
    if size <= ENUMERATED:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=size)))
        return float((np.abs(signs @ difference) >= seen - slack).mean())
    rng = np.random.default_rng(seed)
    block = max(1, 2_000_000 // size)
    as_large = 1  # the signs that were seen are one such change
    for begin in range(0, draws, block):
        signs = rng.integers(0, 2, (min(block, draws - begin), size), dtype=np.int8)
        sums = (2.0 * signs - 1.0) @ difference
        as_large += int((np.abs(sums) >= seen - slack).sum())
    return as_large / (draws + 1)


def over_seeds(
    values: Sequence[float],
    *,
    tests: Sequence[Interval | None] = (),
    share: bool | None = None,
    level: float = 0.95,
) -> Interval | None:
    """Return the interval of the mean of a few runs.

    Student's over the runs; and where their `tests` are given, the intervals that each has of its
    own, together with these: all were tested on the same images, so that their mean is no nearer to
    the truth than one. (Distances are added as squares, Zou and Donner 2008, section 2.) A `share`
    lies within 0 and 1; without that word, what lies there in each run is one.

    None for fewer than two runs, and where all came to the same and nothing tells how far that is
    from the truth.
    """
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return None
    centre = float(found.mean())
    low, high = _student(found, level)
    known = [
        (value - test[0], test[1] - value)
        for value, test in zip(values, tests, strict=False)
        if test is not None and math.isfinite(test[0]) and math.isfinite(test[1])
    ]
    if known:
        down, up = np.mean(known, axis=0)
        low = centre - math.hypot(centre - low, down)
        high = centre + math.hypot(high - centre, up)
    elif low == high:
        return None
    share = bool((found >= 0).all() and (found <= 1).all()) if share is None else share
    return (max(low, 0.0), min(high, 1.0)) if share else (low, high)


def mcnemar(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> float:
    """Return how likely so uneven a split of the disagreements is between two equal classifiers.

    Both say of the same images whether they were right. Of the images that only one has right,
    each is as likely to have either (McNemar 1947; the exact two-sided binomial test).
    """
    from scipy import special

    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    fewer, both = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(special.bdtr(fewer, both, 0.5))) if both else 1.0


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


def _student(values: Float[np.ndarray, " n"], level: float) -> Interval:
    from scipy import special

    half = float(special.stdtrit(values.size - 1, 0.5 + level / 2)) * float(
        values.std(ddof=1) / math.sqrt(values.size)
    )
    centre = float(values.mean())
    return (centre - half, centre + half)


def _studentised(values: Float[np.ndarray, " n"], draws: int, level: float, seed: int) -> Interval:
    """Return the interval of a mean by drawing again how many of its own errors it is away."""
    size, spread = values.size, float(values.std(ddof=1))
    if size >= MANY or spread == 0:
        return _student(values, level)
    # A mean depends only on how often each distinct value is drawn, so draw the counts.
    distinct, counts = np.unique(values - values.mean(), return_counts=True)
    rng = np.random.default_rng(seed)
    block = max(1, 2_000_000 // distinct.size)
    ratios = []
    for begin in range(0, draws, block):
        times = rng.multinomial(size, counts / size, size=min(block, draws - begin))
        means = times @ distinct / size
        squares = np.maximum(times @ distinct**2 / size - means**2, 0.0) / (size - 1)
        errors = np.sqrt(squares)  # standard ones, of each draw
        # A draw of one value alone is any number of errors away.
        small = errors <= 1e-9 * spread
        ratios.append(np.where(small, np.copysign(math.inf, means), means / (errors + small)))
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(ratios), (tail, 1 - tail), method="nearest")
    if not (math.isfinite(low) and math.isfinite(high)):  # nearly all are the same
        return _student(values, level)
    mean, error = float(values.mean()), spread / math.sqrt(size)
    return (mean - float(high) * error, mean - float(low) * error)


def _bonett_price(
    first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"], level: float
) -> Interval:
    """Return the interval of the difference of two shares right of the same images."""
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    total = first.size + 2
    gained = (int((second & ~first).sum()) + 1) / total
    lost = (int((first & ~second).sum()) + 1) / total
    centre = gained - lost
    half = z * math.sqrt(max(gained + lost - centre * centre, 0.0) / total)
    return (max(-1.0, centre - half), min(1.0, centre + half))
