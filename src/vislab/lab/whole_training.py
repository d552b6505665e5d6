"""Training a network on images as they come, augmented anew in each epoch."""

from typing import Any

import torch

from vislab.data.augment import Augment
from vislab.data.batches import Batches, in_order
from vislab.data.table import Table
from vislab.errors import OptionError
from vislab.lab.training import Source
from vislab.ops import processes
from vislab.tasks.classify import Classify
from vislab.tasks.task import Task


class WholeTraining:
    """The task itself, and batches of its images."""

    batches: Source

    def __init__(
        self,
        task: Task,
        table: Table,
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
        self.task, self.images, self.device = task, table, device
        shared: dict[str, Any] = {
            "seed": seed,
            "augment": augment,
            "device": device,
            "rank": processes.rank(),
            "world": processes.world_size(),
        }
        self.batches = Batches(table, batch, tile=tile, **shared)

    def prepare(self) -> None:
        """Do nothing: images are read as they are needed."""

    def validate(self) -> dict[str, float]:
        """Return loss and scores on the validation images."""
        found = self._scores("val")
        return {f"val/{name}": value for name, value in found.items()}

    def _scores(self, split: str) -> dict[str, float]:
        batches = in_order(self.images, split, self.task.images_at_once, device=self.device)
        return self.task.scores(batches)

    def known(self) -> float:
        """Return the score on the training images as they are."""
        return self._scores("train")[self.task.score]

    def finish(self) -> None:
        """Leave the task as it is: it was trained itself."""
