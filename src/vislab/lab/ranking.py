"""Methods ranked on pictures of which the cause of the class is known to the pixel."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vislab import metrics
from vislab.data import shapes
from vislab.data.pictures import Pictures
from vislab.errors import ShapeError
from vislab.explain.methods import METHODS, Method
from vislab.lab.explaining import smoothed
from vislab.lab.worth import Examiner, Worth
from vislab.progress import track
from vislab.runs import over_seeds, wilson
from vislab.runs.intervals import Interval


@dataclass
class Ranked:
    """What one method's maps of many pictures are worth."""

    iou: list[float] = field(default_factory=list)  # with the object that causes the class
    points: list[bool] = field(default_factory=list)  # whether the largest value is on it
    worths: list[Worth] = field(default_factory=list)

    def mean_iou(self) -> tuple[float, Interval | None]:
        """Return the mean over pictures where the object is seen, and its 95 % interval."""
        values = [value for value in self.iou if np.isfinite(value)]
        return float(np.mean(values)), over_seeds(values)

    def pointing(self) -> tuple[float, Interval]:
        """Return the share of maps that point at the object."""
        hits = sum(self.points)
        return hits / len(self.points), wilson(hits, len(self.points))

    def beyond_chance(self) -> tuple[float, Interval | None]:
        """Return insertion less deletion, beyond that of random maps."""
        values = [worth.beyond_chance for worth in self.worths]
        return float(np.mean(values)), over_seeds(values)


def scenes_of(pictures: Pictures, places: Sequence[int], split: str = "test") -> shapes.Scenes:
    """Return the scenes that pictures of the offline world show: their names are their numbers."""
    level = pictures.name.partition(":")[2] or "medium"
    names = pictures.split(split).names
    return shapes.draw_scenes([int(names[k]) for k in places], difficulty=level)


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
            maps |= {"a random map": random[k], "a blob in the middle": centre}
            if mask is not None:
                maps["the object itself"] = mask.float()
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
