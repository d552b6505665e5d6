"""Training the head alone: what lies before it is computed once and kept.

Where nothing before the head moves and every epoch shows the same images, or those and their
mirror images, the head's input is the same in every epoch. An epoch is then as fast as a linear
classifier on N numbers of D features.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from vislab.data.augment import Augment
from vislab.data.batches import Batch
from vislab.data.table import Table
from vislab.errors import OptionError
from vislab.evaluate.features import features
from vislab.explain.hooks import hooked
from vislab.ops import processes
from vislab.ops.seeding import generator
from vislab.tasks.classify import Classify


def can_be_kept(task: Classify, augment: Augment) -> bool:
    """Return whether training comes to the same when features are computed once.

    Only the head is trained, it is one linear layer, images are at most mirrored, one process.
    """
    return (
        task.strategy is not None
        and task.groups is not None
        and task.strategy.kind == "head"
        and task.groups.separable
        and replace(augment, flip=False) == Augment()
        and processes.world_size() == 1
    )


class HeadTraining:
    """The head as a task of its own, and batches of its inputs."""

    def __init__(
        self,
        task: Classify,
        table: Table,
        batch: int,
        *,
        seed: int,
        augment: Augment,
        device: torch.device,
        quiet: bool,
    ) -> None:
        assert task.groups is not None, "asked for before can_be_kept"
        head = task.model.get_submodule(task.groups.head.name)
        self.task = Classify(head, task.optim, label_smoothing=task.label_smoothing)
        # Of averaged weights, too, it is the head that moves.
        self.whole, self.images, self.device = task, table, device
        self.views = (False, True) if augment.flip else (False,)
        self.quiet = quiet
        self.inputs: dict[str, list[Tensor]] = {}
        self.batches = FeatureBatches(self._labels("train"), batch, seed=seed)

    def prepare(self) -> None:
        """Compute the head's inputs."""
        head = self.task.model
        for split, views in (("train", self.views), ("val", (False,))):
            self.inputs[split] = [
                features(
                    self.whole.model, head, self.images, split, self.device,
                    mirrored=mirrored, quiet=self.quiet,
                )
                for mirrored in views
            ]  # fmt: skip
        self.batches.views = torch.stack(self.inputs["train"])

    def _labels(self, split: str) -> Int[Tensor, " n"]:
        return torch.from_numpy(self.images.split(split).labels).to(self.device)

    def validate(self) -> dict[str, float]:
        """Return loss and accuracy on the validation images."""
        logits, labels = self._answers("val")
        return {
            "val/loss": F.cross_entropy(logits, labels).item(),
            "val/accuracy": (logits.argmax(dim=1) == labels).double().mean().item(),
        }

    def known(self) -> float:
        """Return the share of the training images, as they are, that the head has right."""
        logits, labels = self._answers("train")
        return (logits.argmax(dim=1) == labels).double().mean().item()

    def _answers(self, split: str) -> tuple[Tensor, Tensor]:
        network = self.task.network
        with hooked(network, []), torch.inference_mode():
            return network(self.inputs[split][0]).float(), self._labels(split)

    def finish(self) -> None:
        """Give the whole network the head that was trained."""
        trained = self.task.network.state_dict()
        self.task.model.load_state_dict(trained)
        if self.whole.averaged is not None:
            assert self.whole.groups is not None
            name = self.whole.groups.head.name
            self.whole.network.get_submodule(name).load_state_dict(trained)


class FeatureBatches:
    """Batches of features with the order of `vislab.data.batches.Batches`."""

    def __init__(self, labels: Int[Tensor, " n"], batch: int, *, seed: int) -> None:
        self.views: Float[Tensor, "v n d"] = torch.zeros(0, len(labels), 0)
        self.labels, self.seed = labels, seed
        if batch < 1:
            raise OptionError(f"--batch {batch} holds no image; use 1 or more")
        self.steps = max(1, -(-len(labels) // batch))
        self.epoch, self.first = 0, 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        views, count = self.views.shape[:2]
        order = torch.randperm(count, generator=generator(self.seed, self.epoch, "order"))
        parts = np.array_split(order.numpy(), self.steps)
        first, self.first = self.first, 0
        for step in range(first, self.steps):
            rows = torch.from_numpy(parts[step])
            draws = generator(self.seed, self.epoch, step, "augment")
            view = torch.randint(views, (len(rows),), generator=draws)
            places, here = rows.to(self.labels.device), view.to(self.labels.device)
            labels = self.labels[places]
            yield Batch(self.views[here, places], rows, len(rows), labels=labels, targets=labels)
