"""Classification: one label an image, softmax and cross-entropy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from vislab.data.batches import Batch
from vislab.data.table import Table
from vislab.models.parameter_groups import ParameterGroups
from vislab.tasks.optim import Optim
from vislab.tasks.outcome import Outcome
from vislab.tasks.strategy import Strategy, freeze
from vislab.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Classified(Outcome):
    """Probabilities and losses of every image of a split, in the split's order."""

    @property
    def probabilities(self) -> Float[np.ndarray, "n k"]:
        """What the network gives each class."""
        return self.kept.get("probabilities", np.zeros((0, 1)))

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """The true classes."""
        return self.kept.get("labels", np.zeros(0, dtype=np.int64))

    @property
    def predicted(self) -> Int[np.ndarray, " n"]:
        """The most probable class of each image."""
        return self.kept.get("predicted", np.zeros(0, dtype=np.int64))

    @property
    def losses(self) -> Float[np.ndarray, " n"]:
        """Cross-entropies, in nats."""
        return self.values.get("loss", np.zeros(0))

    @property
    def correct(self) -> Bool[np.ndarray, " n"]:
        """Whether the most probable class is the right one."""
        return self.values.get("accuracy", np.zeros(0, dtype=bool))

    @property
    def accuracy(self) -> float:
        """The share of images that got their label."""
        return self.mean("accuracy")


def measured(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Measure the logits (N, K) that a network gives for a batch."""
    logits = network(batch.images).float()
    logs = logits.log_softmax(dim=1)
    predicted = logits.argmax(dim=1)
    return {
        "accuracy": predicted == batch.labels,
        "loss": -logs.gather(1, batch.labels[:, None])[:, 0],
        "probabilities": logs.exp(),
        "labels": batch.labels,
        "predicted": predicted,
    }


class Classify(Task):
    """A network that gives logits (N, K), the loss it is trained on and how it is updated."""

    outcome = Classified

    def __init__(
        self,
        model: nn.Module,
        optim: Optim | None = None,
        *,
        label_smoothing: float = 0.0,
        strategy: Strategy | None = None,
        groups: ParameterGroups | None = None,
    ) -> None:
        """Take a network; with a `strategy` its `groups` too, which says what can be frozen."""
        super().__init__(model, optim)
        assert (strategy is None) == (groups is None), "a strategy needs the network's groups"
        self.strategy, self.groups = strategy, groups
        self._frozen: set[str] | None = None  # not known before the first step
        self.label_smoothing = label_smoothing

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the cross-entropy and how many images are right."""
        logits = self.model(batch.images)
        loss = F.cross_entropy(logits, batch.targets, label_smoothing=self.label_smoothing)
        correct = (logits.detach().argmax(dim=1) == batch.labels).sum()
        return self.step(loss, len(batch.images), batch.whole, accuracy=correct)

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Return which labels are right, and the cross-entropy without label smoothing."""
        return measured(self.network, batch)

    def chance(self, data: Table) -> dict[str, float]:
        """Return what guessing evenly among the classes gets right."""
        return {"accuracy": 1 / len(data.classes)}

    def before_step(self, progress: float) -> None:
        """Freeze what the strategy freezes at this share of the training."""
        if self.strategy is not None and self.groups is not None:
            frozen = self.strategy.frozen(self.groups, progress)
            if frozen != self._frozen:
                self._frozen = frozen
                self.train(self.training)

    def train(self, mode: bool = True) -> "Classify":
        """Set training mode; what is frozen stays in eval mode."""
        super().train(mode)
        if self.strategy is not None and self._frozen is not None:
            freeze(self.model, self._frozen)
            if self.strategy.kind == "head" and self.groups is not None:
                # Nor is anything dropped before the head, as where its inputs are computed once.
                self.model.eval()
                for name in self.groups.head.modules:
                    self.model.get_submodule(name).train(mode)
        return self

    def configure_optimizers(self) -> Optimizer:
        """Build the optimiser over what is trained, now or later in the training."""
        if self.strategy is None or self.groups is None:
            return self.optim.build(self.model)
        never = self.strategy.frozen(self.groups, progress=1.0)
        return self.optim.build(
            self.model, scales=self.strategy.scales(self.groups), left_out=never
        )
