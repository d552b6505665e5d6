"""Classification: one label a picture, softmax and cross-entropy."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from vislab.data.batches import Batch
from vislab.explain.taps import tap
from vislab.models.anatomy import Anatomy
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy, hold_still
from vislab.tasks.task import Task


class Classify(Task):
    """A network that gives logits (N, K), the loss it is trained on and how it is updated."""

    def __init__(
        self,
        model: nn.Module,
        optim: Optim | None = None,
        *,
        label_smoothing: float = 0.0,
        strategy: Strategy | None = None,
        anatomy: Anatomy | None = None,
    ) -> None:
        """Take a network; with a `strategy` its `anatomy` too, which says what can be frozen."""
        super().__init__(model, optim)
        assert (strategy is None) == (anatomy is None), "a strategy needs the network's anatomy"
        self.strategy, self.anatomy = strategy, anatomy
        self._frozen: set[str] | None = None  # not known before the first step
        self.label_smoothing = label_smoothing

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the cross-entropy and how many pictures are right."""
        logits = self.model(batch.images)
        loss = F.cross_entropy(logits, batch.targets, label_smoothing=self.label_smoothing)
        correct = (logits.detach().argmax(dim=1) == batch.labels).sum()
        return self.step(loss, len(batch.images), batch.whole, accuracy=correct)

    def scores(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the cross-entropy, without label smoothing, and the share that is right."""
        loss, right, count = 0.0, 0, 0
        with tap(self.network, []), torch.inference_mode():
            for batch in batches:
                logits = self.network(batch.images).float()
                loss += self.losses(logits, batch).sum().item()
                right += int((logits.argmax(dim=1) == batch.labels).sum())
                count += len(batch.labels)
        return {"loss": loss / max(count, 1), "accuracy": right / max(count, 1)}

    def before_step(self, progress: float) -> None:
        """Freeze what the strategy freezes at this share of the training."""
        if self.strategy is not None and self.anatomy is not None:
            frozen = self.strategy.frozen(self.anatomy, progress)
            if frozen != self._frozen:
                self._frozen = frozen
                self.train(self.training)

    def train(self, mode: bool = True) -> "Classify":
        """Set training mode; what is frozen stays in eval mode."""
        super().train(mode)
        if self.strategy is not None and self._frozen is not None:
            hold_still(self.model, self._frozen)
            if self.strategy.kind == "head" and self.anatomy is not None:
                # Nor is anything dropped before the head, as where its inputs are computed once.
                self.model.eval()
                for name in self.anatomy.head.modules:
                    self.model.get_submodule(name).train(mode)
        return self

    def configure_optimizers(self) -> Optimizer:
        """Build the optimiser over what is trained, now or later in the training."""
        if self.strategy is None or self.anatomy is None:
            return self.optim.build(self.model)
        never = self.strategy.frozen(self.anatomy, progress=1.0)
        return self.optim.build(
            self.model, scales=self.strategy.scales(self.anatomy), left_out=never
        )

    def losses(self, logits: Float[Tensor, "n k"], batch: Batch) -> Float[Tensor, " n"]:
        """Return each picture's cross-entropy, without label smoothing, in nats."""
        return F.cross_entropy(logits, batch.labels, reduction="none")
