"""Hold the intervals and tests of `vislab.runs.intervals` to what they say, by simulation.

`python benchmarks/coverage.py [DRAWS]` prints two tables: how often the 95 % interval of a mean or
of a share holds the true one, and how often two networks that are equally good are called
different. Beside the first stands what the percentile bootstrap would have covered.
"""

import sys
from collections.abc import Callable

import numpy as np
from scipy import stats

from vislab.runs.intervals import bootstrap, exact, paired_bootstrap

DRAWS = 4000
Scores = Callable[[np.random.Generator, int], np.ndarray]


def with_failures(share: float) -> Scores:
    """Return Dice scores of which a share is 0, as where the object was missed."""
    return lambda rng, n: np.where(rng.random(n) < share, 0.0, rng.beta(40, 2, n))


MEANS: dict[str, tuple[Scores, float]] = {
    "smooth, Beta(8, 2)": (lambda rng, n: rng.beta(8, 2, n), 0.8),
    "smooth and close, Beta(95, 5)": (lambda rng, n: rng.beta(95, 5, n), 0.95),
    "Dice, 5 % failures": (with_failures(0.05), 0.95 * 40 / 42),
    "Dice, 10 % failures": (with_failures(0.1), 0.9 * 40 / 42),
    "Dice, 30 % failures": (with_failures(0.3), 0.7 * 40 / 42),
    "PSNR, normal": (lambda rng, n: rng.normal(25, 4, n), 25.0),
    "above 1, exponential": (lambda rng, n: 1 + rng.exponential(1, n), 2.0),
}
PAIRS: dict[str, Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]] = {
    "each right on 70 %, independently": lambda rng, n: (
        rng.random(n) < 0.7, rng.random(n) < 0.7
    ),
    "each right on 95 %, mostly the same": lambda rng, n: (
        (hard := rng.random(n) < 0.08) & (rng.random(n) < 0.4) | ~hard,
        hard & (rng.random(n) < 0.4) | ~hard,
    ),
    "Dice, 10 % failures each": lambda rng, n: (
        with_failures(0.1)(rng, n), with_failures(0.1)(rng, n)
    ),
    "Dice, smooth": lambda rng, n: (rng.beta(8, 2, n), rng.beta(8, 2, n)),
}  # fmt: skip


def percentile(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the percentile bootstrap's interval of a mean."""
    drawn = values[rng.integers(0, len(values), (1000, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def coverage(draws: int) -> None:
    """Print how often intervals of a mean hold it."""
    sizes = (5, 6, 10, 20, 50, 200)
    print("| scores | " + " | ".join(f"n = {n}" for n in sizes) + " |")
    print("|---|" + "---:|" * len(sizes))
    for name, (scores, mean) in MEANS.items():
        cells = []
        for n in sizes:
            rng = np.random.default_rng(n)
            ours = theirs = 0
            for turn in range(draws):
                values = scores(rng, n)
                low, high = bootstrap(values, draws=1000, seed=turn)[1]
                ours += low <= mean <= high
                low, high = percentile(values, rng)
                theirs += low <= mean <= high
            cells.append(f"{100 * ours / draws:.1f} ({100 * theirs / draws:.1f})")
        print(f"| {name} | " + " | ".join(cells) + " |")


def least_coverage_of_shares() -> None:
    """Print how seldom the interval of a share holds it, for the worst share."""
    for n in (1, 2, 5, 10, 30, 100, 1000):
        right = np.arange(n + 1)
        low, high = np.array([exact(int(k), n) for k in right]).T
        shares = np.linspace(0.001, 0.999, 999)
        held = [
            float((stats.binom.pmf(right, n, p) * ((low <= p) & (p <= high))).sum()) for p in shares
        ]
        print(f"a share of {n} images: at least {100 * min(held):.1f} %")


def level(draws: int) -> None:
    """Print how often equal networks are called different."""
    sizes = (4, 5, 6, 10, 20, 50)
    print("| two equal networks | " + " | ".join(f"n = {n}" for n in sizes) + " |")
    print("|---|" + "---:|" * len(sizes))
    for name, pair in PAIRS.items():
        cells = []
        for n in sizes:
            rng = np.random.default_rng(n)
            called = 0
            for turn in range(draws):
                first, second = pair(rng, n)
                low, high = paired_bootstrap(first, second, draws=1000, seed=turn)[1]
                called += low > 0 or high < 0
            cells.append(f"{100 * called / draws:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DRAWS
    coverage(count)
    least_coverage_of_shares()
    level(count)
