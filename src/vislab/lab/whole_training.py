"""Training a network on pictures as they come, augmented anew in each epoch."""

import torch

from vislab.data.augment import Augment
from vislab.data.batches import Batches
from vislab.data.pictures import Pictures
from vislab.errors import OptionError
from vislab.lab import processes
from vislab.lab.testing import outcome_of
from vislab.tasks.classify import Classify


class WholeTraining:
    """The task itself, and batches of its pictures."""

    def __init__(
        self,
        task: Classify,
        pictures: Pictures,
        batch: int,
        *,
        seed: int,
        augment: Augment,
        device: torch.device,
    ) -> None:
        gradual = task.strategy is not None and task.strategy.kind == "gradual"
        if gradual and processes.world_size() > 1:
            raise OptionError("gradual unfreezing trains in one process; leave --devices out")
        self.task, self.pictures, self.device = task, pictures, device
        self.batches = Batches(
            pictures,
            batch,
            seed=seed,
            augment=augment,
            device=device,
            rank=processes.rank(),
            world=processes.world_size(),
        )

    def prepare(self) -> None:
        """Do nothing: pictures are read as they are needed."""

    def validate(self) -> dict[str, float]:
        """Return loss and accuracy on the validation pictures."""
        found = outcome_of(self.task.network, self.pictures, "val", device=self.device, quiet=True)
        return {"val/loss": float(found.losses.mean()), "val/accuracy": found.accuracy}

    def known(self) -> float:
        """Return the share of the training pictures, as they are, that the network has right."""
        return outcome_of(
            self.task.network, self.pictures, "train", device=self.device, quiet=True
        ).accuracy

    def finish(self) -> None:
        """Leave the task as it is: it was trained itself."""
