"""Segmentation: a class for each pixel."""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import nn

from vislab.data.annotated_batches import AnnotatedBatch
from vislab.errors import pick
from vislab.explain.taps import tap
from vislab.losses.segmentation import SEGMENTATION, VOID
from vislab.metrics.segmentation import confusion, dice
from vislab.tasks.optim import Optim
from vislab.tasks.task import Task


class Segment(Task):
    """A network that gives scores (N, K, H, W), and one of `losses.segmentation`."""

    score: ClassVar[str] = "dice"
    answers: ClassVar[str] = "masks"

    def __init__(
        self, model: nn.Module, optim: Optim | None = None, *, loss: str = "dice+cross-entropy"
    ) -> None:
        super().__init__(model, optim)
        self.loss = pick(SEGMENTATION, loss, "loss of segmentation")

    def training_step(self, batch: AnnotatedBatch, _step: int) -> dict[str, Any]:
        """Return the loss and how many pixels are right, as a share of each picture's not void."""
        assert batch.masks is not None, "annotated pictures are opened with masks"
        logits = self.model(batch.images)
        loss = self.loss(logits.float(), batch.masks)
        seen = (batch.masks != VOID).sum(dim=(1, 2))
        right = (logits.detach().argmax(dim=1) == batch.masks).sum(dim=(1, 2))
        right = torch.where(seen > 0, right / seen.clamp(min=1), 1.0).sum()
        return self.step(loss, len(batch.images), batch.whole, **{"pixel accuracy": right})

    def scores(self, batches: Iterable[AnnotatedBatch]) -> dict[str, float]:
        """Return the loss and the mean over pictures of the mean Dice of the things' classes.

        A class that a picture neither has nor is said to have is left out of its mean.
        """
        losses, dices, count = 0.0, 0.0, 0
        with tap(self.network, []), torch.inference_mode():
            for batch in batches:
                assert batch.masks is not None, "annotated pictures are opened with masks"
                logits = self.network(batch.images).float()
                losses += float(self.loss(logits, batch.masks)) * len(batch.images)
                found = logits.argmax(dim=1).cpu().numpy()
                table = confusion(found, batch.masks.cpu().numpy(), logits.shape[1])
                dices += float(mean_dice(table).sum())
                count += len(batch.images)
        return {"loss": losses / max(count, 1), "dice": dices / max(count, 1)}


def mean_dice(table: Any) -> Any:
    """Return each picture's Dice (N,), the mean over the things that it has or is given."""
    values = dice(table)[:, 1:]
    there = (table.sum(axis=1) + table.sum(axis=2))[:, 1:] > 0
    counted = there.sum(axis=1)
    total = (values * there).sum(axis=1)
    return (total + (counted == 0)) / counted.clip(min=1)
