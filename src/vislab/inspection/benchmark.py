"""Methods ranked on images of which the cause of the class is known to the pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vislab import metrics
from vislab.errors import ShapeError
from vislab.explain.methods import METHODS, Method
from vislab.inspection.explanations import smoothed
from vislab.inspection.faithfulness import Examiner, Faithfulness, mean_of, over_images
from vislab.progress import track
from vislab.runs import exact, paired_bootstrap
from vislab.runs.intervals import Interval

BLOB, RANDOM_MAP, OBJECT = "a blob in the middle", "a random map", "the object itself"
CHANCE = (BLOB, RANDOM_MAP)
RIVALS = (*CHANCE, OBJECT)  # what methods are ranked beside

Maps = Float[Tensor, "n i j"]


@dataclass
class Ranked:
    """What one method's maps of many images are worth."""

    iou: list[float] = field(default_factory=list)  # with the object that causes the class
    points: list[bool] = field(default_factory=list)  # whether the largest value is on it
    worths: list[Faithfulness] = field(default_factory=list)

    def mean_iou(self) -> tuple[float, Interval | None]:
        """Return the mean over images where the object is seen, and its 95 % interval.

        NaN where it is seen in none.
        """
        values = [value for value in self.iou if np.isfinite(value)]
        return mean_of(values) if values else (float("nan"), None)

    def pointing(self) -> tuple[float, Interval]:
        """Return the share of maps that point at the object."""
        hits = sum(self.points)
        return hits / len(self.points), exact(hits, len(self.points))

    def beyond_chance(self) -> tuple[float, Interval | None]:
        """Return insertion less deletion, beyond that of random maps."""
        return over_images(self.worths)


def ranked(
    network: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    masks: Bool[Tensor, "n h w"] | None,
    targets: Sequence[int],
    methods: Sequence[str],
    *,
    budget: int | None = None,
    quiet: bool = False,
) -> tuple[dict[str, Ranked], dict[str, str]]:
    """Return each method's worth, the best first, and why the others have no meaning here.

    The best by IoU where the object's masks are given, by insertion less deletion otherwise. A
    random map, a blob in the middle and the object itself are ranked along.
    """
    size = images.shape[2:]
    random = metrics.random_maps(len(images), size[0], size[1], seed=1)
    centre = metrics.centre_map(size[0], size[1])
    found: dict[str, Ranked] = {}
    without: dict[str, str] = {}
    work = len(images) * (len(methods) + 3)
    with track("ranking the methods", total=work, unit="maps", quiet=quiet) as advance:
        for k, (image, target) in enumerate(zip(images, targets, strict=True)):
            mask = None if masks is None else masks[k].cpu()
            examiner = Examiner(network, image, target, seed=2 + k, budget=budget)
            maps = {
                name: one
                for name in methods
                if (one := tried(METHODS[name], network, image, target, budget, name, without))
                is not None
            }
            maps |= {RANDOM_MAP: random[k], BLOB: centre}
            if mask is not None:
                maps[OBJECT] = mask.float()
            for name, one in maps.items():
                entry = found.setdefault(name, Ranked())
                if mask is not None:
                    entry.iou.append(float(metrics.iou_with_mask(one[None], mask[None])[0]))
                    entry.points.append(bool(metrics.points_at(one[None], mask[None])[0]))
                entry.worths.append(examiner(one))
                advance(1, name)

    def worth(item: tuple[str, Ranked]) -> float:
        one = item[1]
        return one.beyond_chance()[0] if masks is None else one.mean_iou()[0]

    return dict(sorted(found.items(), key=worth, reverse=True)), without


def tried(
    one: Method,
    network: nn.Module,
    image: Float[Tensor, "3 h w"],
    target: int,
    budget: int | None,
    name: str,
    without: dict[str, str],
) -> Float[Tensor, "i j"] | None:
    """Return a map; None, with the reason noted, where the method has no meaning."""
    try:
        return smoothed(one, one(network, image[None], target, budget=budget)[0])
    except ShapeError as error:
        without[name] = str(error)
        return None


def of_many(values: Sequence[float]) -> Interval | None:
    """Return the 95 % interval of a mean over images; None for so few that it says nothing."""
    return mean_of(values)[1]


def scored(
    network: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    masks: Bool[Tensor, "n h w"] | None,
    targets: Sequence[int],
    maps: Mapping[str, Maps],
    *,
    quiet: bool = False,
) -> dict[str, Ranked]:
    """Return what each set of maps is worth, with a blob in the middle and a random map beside."""
    size = images.shape[2:]
    chance = (
        metrics.centre_map(size[0], size[1]).expand(len(images), -1, -1),
        metrics.random_maps(len(images), size[0], size[1], seed=1),
    )
    rivals = {**maps, **dict(zip(CHANCE, chance, strict=True))}
    found = {name: Ranked() for name in rivals}
    with track(
        "scoring the maps", total=len(images) * len(rivals), unit="maps", quiet=quiet
    ) as advance:
        for k, target in enumerate(targets):
            examiner = Examiner(network, images[k], target, seed=2 + k)
            for name, entry in found.items():
                one = rivals[name][k]
                entry.worths.append(examiner(one))
                if masks is not None:
                    mask = masks[k].cpu()[None]
                    entry.iou.append(float(metrics.iou_with_mask(one[None], mask)[0]))
                    entry.points.append(bool(metrics.points_at(one[None], mask)[0]))
                advance(1, name)
    return found


def margins(one: Ranked) -> Float[np.ndarray, " n"]:
    """Return insertion less deletion of each image."""
    return np.array([worth.margin for worth in one.worths])


def deletions(one: Ranked) -> list[float]:
    """Return the area under deletion of each image, mean over the grounds."""
    return [float(np.mean([*worth.deletion.values()])) for worth in one.worths]


def early_less_late(layers: Sequence[Float[np.ndarray, " n"]]) -> tuple[float, Interval]:
    """Return the mean score of the first third of layers less that of the last, and its interval.

    The interval is over images, which are the same for all layers; the widest for too few of
    them, and for a single layer. Images without a score are left out.
    """
    third = max(1, len(layers) // 3)
    early, late = (np.mean(some, axis=0) for some in (layers[:third], layers[-third:]))
    return gained(late, early)


def gained(
    before: Float[np.ndarray, " n"], after: Float[np.ndarray, " n"]
) -> tuple[float, Interval]:
    """Return the mean gain in a score of at most 1, and its interval over images."""
    known = np.isfinite(before) & np.isfinite(after)
    value, interval = paired_bootstrap(before[known], after[known])
    return value, interval if np.isfinite(interval).all() else (-2.0, 2.0)
