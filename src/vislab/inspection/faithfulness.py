"""How far one map of one image can be trusted: measured, then said in a sentence.

A map is worth something when covering what it marks takes the class away sooner than covering at
random, and sooner than covering the middle; and when it changes once the weights are random.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab import metrics
from vislab.explain.agreement import agreement
from vislab.explain.asking import probabilities_of
from vislab.explain.batching import batch_within
from vislab.explain.folding import folded
from vislab.runs.intervals import over_seeds

STEPS = 16  # shares of the image that are replaced one after the other
RANDOM = 6  # maps of chance
NETWORKS = 2  # with random weights: of a coarse map, one may look alike by chance
ALIKE = 0.5  # rank correlation from which on a map did not change with the weights
FAINT = 0.1  # probability below which there is little to take away
MATTERS = 0.03  # of a probability: the smallest advantage that is one
Level = Literal["trusted", "doubtful", "cannot tell", "not trusted"]


@dataclass(frozen=True)
class Faithfulness:
    """What was measured of one map.

    A margin is the area under insertion less that under deletion, mean over both grounds: 1 for a
    perfect map, about 0 for chance.
    """

    probability: float  # of the class, for the whole image
    deletion: dict[str, float]  # area by ground
    insertion: dict[str, float]
    margin: float
    random: tuple[float, ...]  # the margins of maps of chance
    centre: float  # the margin of a blob in the middle
    when_random: float | None  # mean rank correlation with the maps under random weights

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**asdict(self), "beyond_chance": self.beyond_chance, "interval": self.interval}

    @property
    def beyond_chance(self) -> float:
        """How much better than the mean of chance it is."""
        return self.margin - float(np.mean(self.random))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `beyond_chance`: the mean of chance is known from a few maps only.

        Student's, of the mean of the `random` ones.
        """
        from scipy import special

        count = len(self.random)
        error = float(np.std(self.random, ddof=1)) / math.sqrt(count)
        half = float(special.stdtrit(count - 1, 0.975)) * error
        return (self.beyond_chance - half, self.beyond_chance + half)

    @property
    def level(self) -> Level:
        """The sentence in two words."""
        if self.when_random is not None and self.when_random > ALIKE:
            return "not trusted"
        if max(self.margin, *self.random) - min(self.margin, *self.random) < MATTERS:
            return "cannot tell"  # whatever is covered, the answer stays
        if self.margin <= max(self.random):
            return "not trusted"
        if self.interval[0] <= 0 or self.beyond_chance < MATTERS:
            return "cannot tell"
        better = self.margin - self.centre >= MATTERS
        return "trusted" if better and self.probability >= FAINT else "doubtful"

    def sentence(self, name: str) -> str:
        """Say how far a map for the class of this name can be trusted."""
        chance, level = f"{len(self.random)} random maps", self.level
        low, high = self.interval
        apart = f"{self.beyond_chance:+.2f}, {low:+.2f} to {high:+.2f}"
        if self.when_random is not None and self.when_random > ALIKE:
            return (
                f"Do not rely on it: with random weights it stays much the same (rank correlation "
                f"{self.when_random:.2f}), so it shows the image more than the reasons."
            )
        if level == "not trusted":
            beaten = sum(self.margin > other for other in self.random)
            return (
                f"Do not rely on it: covering what it marks takes {name} away sooner than "
                f"{beaten} of {chance} do, which is chance."
            )
        if level == "cannot tell":
            return (
                f"Cannot tell: covering what it marks takes {name} away sooner than covering at "
                f"random by no more than chance, or than could matter ({apart})."
            )
        if self.probability < FAINT:
            return (
                f"Better than {chance}, but the network gives {name} only "
                f"{self.probability:.0%}: there is little to take away."
            )
        if level == "doubtful":
            return f"Better than {chance}, but no better than a blob in the middle."
        return (
            f"It marks what the network needs: covering it takes {name} away sooner than any of "
            f"{chance} ({apart}) and than a blob in the middle."
        )


class Examiner:
    """Measures maps of one image; what chance and the middle reach is measured once."""

    def __init__(
        self,
        model: nn.Module,
        image: Float[Tensor, "3 h w"],
        target: int,
        *,
        seed: int = 0,
        budget: int | None = None,
    ) -> None:
        self.model, self.target, self.image = folded(model, image[None]), target, image
        self.batch = batch_within(self.model, image, budget)
        self.grounds = {name: make(image[None])[0] for name, make in metrics.GROUNDS.items()}
        size = image.shape[1:]
        self.probability = float(self._probability(image[None])[0])
        random = metrics.random_maps(RANDOM, *size, seed=seed)
        self.random = tuple(self._areas(found)[0] for found in random)
        self.centre = self._areas(metrics.centre_map(*size))[0]

    def __call__(
        self,
        found: Float[Tensor, "i j"],
        when_random: Sequence[Float[Tensor, "i j"]] = (),
    ) -> Faithfulness:
        """Measure a map; `when_random` are the same method's with random weights."""
        margin, deletion, insertion = self._areas(found)
        alike = [rank_correlation(found, other) for other in when_random]
        return Faithfulness(
            self.probability, deletion, insertion, margin, self.random, self.centre,
            float(np.mean(alike)) if alike else None,
        )  # fmt: skip

    def _areas(self, found: Tensor) -> tuple[float, dict[str, float], dict[str, float]]:
        deletion: dict[str, float] = {}
        insertion: dict[str, float] = {}
        for name, ground in self.grounds.items():
            for areas, (begin, end) in (
                (deletion, (self.image, ground)), (insertion, (ground, self.image)),
            ):  # fmt: skip
                curve = metrics.replaced_by_rank(
                    self._probability, begin, end, found, steps=STEPS, batch=self.batch
                )
                areas[name] = float(metrics.area(curve))
        margin = (sum(insertion.values()) - sum(deletion.values())) / len(self.grounds)
        return margin, deletion, insertion

    def _probability(self, images: Tensor) -> Tensor:
        with torch.inference_mode():
            return probabilities_of(self.model, images)[:, self.target]


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Return Spearman's rank correlation of two maps; 0 where one of them is flat."""
    found = float(agreement(one[None], other[None]).rank_correlation[0])
    return 0.0 if math.isnan(found) else found


def over_images(worths: Sequence[Faithfulness]) -> tuple[float, tuple[float, float] | None]:
    """Return the mean advantage over chance and its 95 % interval over images, from three on."""
    return mean_of([worth.beyond_chance for worth in worths])


def mean_of(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Return the mean of a measure of maps and Student's interval; None for two images or one.

    Unlike scores of images, such measures have no failures that few images would not show.
    """
    mean = float(np.mean(values))
    if len(values) < 3:
        return mean, None
    return mean, over_seeds(values, share=False) or (mean, mean)
