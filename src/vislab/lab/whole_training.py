"""Training a network on pictures as they come, augmented anew in each epoch."""

from collections.abc import Iterator
from typing import Any

import torch

from vislab.data.annotated_batches import AnnotatedBatches, annotated_in_order
from vislab.data.annotated_pictures import AnnotatedPictures
from vislab.data.augment import Augment
from vislab.data.batches import Batches, in_order
from vislab.data.pictures import Pictures
from vislab.errors import OptionError
from vislab.lab.training import Source
from vislab.ops import processes
from vislab.tasks.classify import Classify
from vislab.tasks.task import Task


class WholeTraining:
    """The task itself, and batches of its pictures."""

    batches: Source

    def __init__(
        self,
        task: Task,
        pictures: Pictures | AnnotatedPictures,
        batch: int,
        *,
        seed: int,
        augment: Augment,
        device: torch.device,
        tile: int | None = None,
    ) -> None:
        strategy = task.strategy if isinstance(task, Classify) else None
        gradual = strategy is not None and strategy.kind == "gradual"
        if gradual and processes.world_size() > 1:
            raise OptionError("gradual unfreezing trains in one process; leave --devices out")
        self.task, self.pictures, self.device = task, pictures, device
        shared: dict[str, Any] = {
            "seed": seed,
            "augment": augment,
            "device": device,
            "rank": processes.rank(),
            "world": processes.world_size(),
        }
        if isinstance(pictures, AnnotatedPictures):
            self.batches = AnnotatedBatches(pictures, batch, tile=tile, **shared)
        else:
            self.batches = Batches(pictures, batch, **shared)

    def prepare(self) -> None:
        """Do nothing: pictures are read as they are needed."""

    def validate(self) -> dict[str, float]:
        """Return loss and scores on the validation pictures."""
        found = self.task.scores(in_turn(self.pictures, "val", self.device))
        return {f"val/{name}": value for name, value in found.items()}

    def known(self) -> float:
        """Return the score on the training pictures as they are."""
        return self.task.scores(in_turn(self.pictures, "train", self.device))[self.task.score]

    def finish(self) -> None:
        """Leave the task as it is: it was trained itself."""


def in_turn(
    pictures: Pictures | AnnotatedPictures, split: str, device: torch.device
) -> Iterator[Any]:
    """Yield the batches of a split from first to last, not augmented."""
    if isinstance(pictures, AnnotatedPictures):
        return annotated_in_order(pictures, split, device=device)
    return in_order(pictures, split, device=device)
