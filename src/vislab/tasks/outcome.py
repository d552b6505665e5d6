"""What a task came to on one split: scores of each image, and scores of the whole set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from vislab.errors import pick
from vislab.runs.intervals import Interval, bootstrap, exact, paired_bootstrap

Estimate = tuple[float, Interval | None]
TRIVIAL = " (trivial)"
Kind = TypeVar("Kind", bound="Outcome")


@dataclass(frozen=True, eq=False)
class Outcome:
    """N images of a split, in the split's order.

    `values` holds a score of each image by name: what is right or wrong as bools, all else as
    floats. `kept` is what else was measured of each image, for figures; there "psnr (trivial)" is
    what the trivial answer to the same image scores. `whole` are scores of the set as a whole, such
    as mean average precision, with their intervals.
    """

    score: str  # the name of the main one
    values: Mapping[str, Shaped[np.ndarray, " n"]] = field(default_factory=dict)
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)
    whole: Mapping[str, Estimate] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def gathered(
        cls: type[Kind], score: str, measures: Iterable[Mapping[str, Tensor | np.ndarray]]
    ) -> Kind:
        """Put together what `Task.measure` gave for one batch after another."""
        parts: dict[str, list[np.ndarray]] = {}
        for measured in measures:
            for name, value in measured.items():
                array = value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
                if array.ndim:  # what is a mean over a batch is of no single image
                    parts.setdefault(name, []).append(array)
        columns = {name: np.concatenate(some) for name, some in parts.items()}
        values = {name: column for name, column in columns.items() if is_score(name, column)}
        kept = {name: column for name, column in columns.items() if name not in values}
        count = len(next(iter(columns.values()))) if columns else 0
        return cls(score, values, kept, {}, count)

    def __len__(self) -> int:
        return self.count

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Every score with its 95 % interval; a loss has none."""
        found: dict[str, Estimate] = {name: estimate(name, v) for name, v in self.values.items()}
        return {**found, **self.whole}

    @property
    def trivial(self) -> dict[str, float]:
        """What the trivial answers to these very images score, by the score's name."""
        return {
            name.removesuffix(TRIVIAL): float(column.mean())
            for name, column in self.kept.items()
            if name.endswith(TRIVIAL) and len(column)
        }

    def mean(self, score: str | None = None) -> float:
        """Return a score, the main one unless named, without its interval."""
        name = score or self.score
        if name in self.whole:
            return self.whole[name][0]
        if not self.count:  # an empty split has no scores at all
            return float("nan")
        return float(pick(self.values, name, "score").mean())

    def interval(self, score: str | None = None) -> Interval | None:
        """Return the 95 % interval of a score, the main one unless named."""
        return pick(self.estimates, score or self.score, "score")[1]

    def gain_over(self, other: "Outcome", score: str | None = None) -> Estimate:
        """Return by how much a score is larger here than there, on the same images.

        With a paired 95 % interval where images have scores of their own.
        """
        name = score or self.score
        if name in self.values and name in other.values:
            return paired_bootstrap(other.values[name], self.values[name])
        return self.mean(name) - other.mean(name), None

    def gain_over_trivial(self, score: str | None = None) -> Estimate:
        """Return by how much a score is larger than the trivial answer's to the same images."""
        name = score or self.score
        trivial = pick(self.kept, f"{name}{TRIVIAL}", "trivial answer")
        return paired_bootstrap(trivial, self.values[name])

    def with_values(self: Kind, **values: np.ndarray) -> Kind:
        """Return the same outcome with further scores of each image."""
        return replace(self, values={**self.values, **values})


def is_score(name: str, column: np.ndarray) -> bool:
    """Tell a score of each image from what is kept for figures: one bool or float an image.

    What is said of another answer in brackets, "psnr (trivial)", is none.
    """
    return column.ndim == 1 and column.dtype.kind in "bf" and not name.endswith(")")


def estimate(name: str, values: Shaped[np.ndarray, " n"]) -> Estimate:
    """Return the mean with its 95 % interval: the exact one of a share, else `bootstrap`'s."""
    if not len(values):
        return float("nan"), None
    if name == "loss":
        return float(values.mean()), None
    if values.dtype.kind == "b":
        return float(values.mean()), exact(int(values.sum()), len(values))
    return bootstrap(values)


def total(measured: Mapping[str, Tensor | np.ndarray], count: int) -> dict[str, float]:
    """Return the sums over a batch of what was measured of it, as `Task.scores` adds them up."""
    found = {}
    for name, value in measured.items():
        if value.ndim == 0:
            found[name] = float(value) * count
        elif value.ndim == 1 and not name.endswith(")"):
            integers = (torch.int64, torch.int32, torch.uint8, np.dtype("int64"), np.dtype("uint8"))
            if value.dtype not in integers:
                found[name] = float(value.sum())
    return found
