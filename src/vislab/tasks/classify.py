"""Classification: one label an image, softmax and cross-entropy."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from vislab.data.batches import Batch
from vislab.data.table import Table
from vislab.errors import ShapeError
from vislab.explain.scores import class_scores
from vislab.models.parameter_groups import ParameterGroups
from vislab.ops.readings import Reading, as_logits, reading_of
from vislab.runs.intervals import exact
from vislab.tasks.optim import Optim
from vislab.tasks.outcome import Estimate, Kind, Outcome
from vislab.tasks.strategy import Strategy, freeze
from vislab.tasks.task import Task

BALANCED = "balanced accuracy"


@dataclass(frozen=True, eq=False)
class Classified(Outcome):
    """Probabilities and losses of every image of a split, in the split's order."""

    @classmethod
    def gathered(
        cls: type[Kind], score: str, measures: Iterable[Mapping[str, Tensor | np.ndarray]]
    ) -> Kind:
        """Put batches together; where classes are uneven the balanced accuracy is added."""
        found: Any = super().gathered(score, measures)
        if found.uneven:
            found = replace(found, whole={BALANCED: found.balanced()})
        return cast(Kind, found)

    @property
    def uneven(self) -> bool:
        """Whether one class has more of the images than a tenth, and an error, would give it."""
        counts = np.bincount(self.labels)
        counts = counts[counts > 0]
        even = counts.mean() if len(counts) else 0.0
        return len(counts) > 1 and bool(counts.max() > 1.1 * even + np.sqrt(even))

    def balanced(self) -> Estimate:
        """Return the mean over the classes of the share that is right of each.

        Its interval adds up the squares of how far the exact bounds of each are from its share (Zou
        and Donner 2008, section 2).
        """
        shares, below, above = [], [], []
        for label in np.unique(self.labels):
            mine = self.correct[self.labels == label]
            low, high = exact(int(mine.sum()), len(mine))
            shares.append(float(mine.mean()))
            below.append(shares[-1] - low)
            above.append(high - shares[-1])
        mean, many = float(np.mean(shares)), len(shares)
        return mean, (mean - math.hypot(*below) / many, mean + math.hypot(*above) / many)

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


def trivial_accuracy(data: Table) -> dict[str, float]:
    """Return what always naming the largest training class gets right on the test images.

    Or guessing evenly, where that is more. Of the mean over the classes (balanced accuracy) either
    is right on one class in K.
    """
    even, truth = 1 / len(data.classes), data.split("test").labels
    learned = data.split("train").labels
    if not (len(truth) and len(learned)):
        return {"accuracy": even, BALANCED: even}
    largest = int(np.bincount(learned).argmax())
    there = len(np.unique(truth))
    return {"accuracy": max(even, float((truth == largest).mean())), BALANCED: 1 / there}


def measured(logits: Float[Tensor, "n k"], batch: Batch) -> dict[str, Tensor]:
    """Measure the logits that a network gives for a batch."""
    logits = logits.float()
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
        self.reading: Reading | None = None  # not known before the first batch
        self._fits = False

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the cross-entropy and how many images are right."""
        logits = self.logits(self.model, batch.images)
        self._require_classes(logits, batch.labels)
        loss = F.cross_entropy(logits, batch.targets, label_smoothing=self.label_smoothing)
        correct = (logits.detach().argmax(dim=1) == batch.labels).sum()
        return self.step(loss, len(batch.images), batch.whole, accuracy=correct)

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Return which labels are right, and the cross-entropy without label smoothing."""
        logits = self.logits(self.network, batch.images)
        self._require_classes(logits, batch.labels)
        return measured(logits, batch)

    def chance(self, data: Table) -> dict[str, float]:
        """Return what always naming one class gets right; see `trivial_accuracy`."""
        return trivial_accuracy(data)

    def logits(self, network: nn.Module, images: Tensor) -> Float[Tensor, "n k"]:
        """Return the logits that a network gives for images, whatever kind of scores it has.

        What kind is found out once (see `ops.readings`): a single score has two sides, and
        probabilities are not taken for logits. Raises ShapeError where it gives no class scores.
        """
        answer = class_scores(network(images), len(images))
        if self.reading is None:
            self.reading = reading_of(answer, getattr(self.model, "reading", None))
        return as_logits(answer, self.reading)

    def _require_classes(self, logits: Tensor, labels: Tensor) -> None:
        """Raise ShapeError where the first batch has a label that the network has no score of."""
        if not self._fits and int(labels.max()) >= logits.shape[1]:
            raise ShapeError(
                f"the network gives scores of {logits.shape[1]} classes, and there are "
                f"{int(labels.max()) + 1} or more; build it with as many"
            )
        self._fits = True

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
