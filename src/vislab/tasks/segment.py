"""Segmentation: a class for each pixel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import nn

from vislab.data.batches import Batch
from vislab.data.table import Split, Table
from vislab.errors import pick
from vislab.losses.segmentation import SEGMENTATION, VOID
from vislab.metrics.segmentation import (
    confusion,
    dice,
    hausdorff95,
    jaccard,
    sensitivity,
    specificity,
)
from vislab.tasks.optim import Optim
from vislab.tasks.outcome import Outcome
from vislab.tasks.task import Task

SCORES = {"dice": dice, "jaccard": jaccard, "sensitivity": sensitivity, "specificity": specificity}


@dataclass(frozen=True, eq=False)
class Segmented(Outcome):
    """What a network says of every pixel of a split, and how good that is."""

    @property
    def predictions(self) -> UInt8[np.ndarray, "n s s"]:
        """The class that each pixel is given."""
        return self.kept.get("predictions", np.zeros((0, 1, 1), dtype=np.uint8))

    @property
    def targets(self) -> UInt8[np.ndarray, "n s s"]:
        """The class that it has, or VOID."""
        return self.kept.get("targets", np.zeros((0, 1, 1), dtype=np.uint8))

    @property
    def table(self) -> Int[np.ndarray, "n k k"]:
        """Of each image, how many pixels of each class were said to be which."""
        return self.kept["table"]

    @property
    def dice(self) -> Float[np.ndarray, " n"]:
        """Each image's Dice, the mean over the objects it has or is said to have."""
        return self.values["dice"]

    @property
    def hausdorff(self) -> Float[np.ndarray, " n"]:
        """Each image's 95 % Hausdorff distance in pixels, all objects taken as one."""
        return self.values["hausdorff95"]


class Segment(Task):
    """A network that gives scores (N, K, H, W), and one of `losses.segmentation`."""

    score: ClassVar[str] = "dice"
    answers: ClassVar[str] = "masks"
    units: ClassVar[Mapping[str, str]] = {"hausdorff95": "pixels"}
    images_at_once: ClassVar[int] = 32
    outcome = Segmented

    def __init__(
        self, model: nn.Module, optim: Optim | None = None, *, loss: str = "dice+cross-entropy"
    ) -> None:
        super().__init__(model, optim)
        self.loss = pick(SEGMENTATION, loss, "loss of segmentation")

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the loss and how many pixels are right, as a share of each image's not void."""
        logits = self.model(batch.images)
        loss = self.loss(logits.float(), batch.masks)
        seen = (batch.masks != VOID).sum(dim=(1, 2))
        right = (logits.detach().argmax(dim=1) == batch.masks).sum(dim=(1, 2))
        right = torch.where(seen > 0, right / seen.clamp(min=1), 1.0).sum()
        return self.step(loss, len(batch.images), batch.whole, **{"pixel accuracy": right})

    def measure(self, batch: Batch) -> dict[str, Any]:
        """Return each image's scores, each the mean over the classes that it has or is given.

        The background is no class here. Of no class at all, a score is 1.
        """
        logits = self.network(batch.images).float()
        predictions = logits.argmax(dim=1).to(torch.uint8)
        table = confusion(predictions.cpu().numpy(), batch.masks.cpu().numpy(), logits.shape[1])
        return {
            "loss": self.loss(logits, batch.masks),
            **{name: over_instances(table, of(table)) for name, of in SCORES.items()},
            "predictions": predictions,
            "targets": batch.masks,
            "table": table,
        }

    def chance(self, data: Table) -> dict[str, float]:
        """Return what it scores on the test images to name every pixel the largest class.

        That is the class, the background aside, that has most pixels in the training masks.
        """
        if len(data.classes) < 2 or not len(data.split("test")):
            return {}
        largest = 1 + int(pixels_of(data.split("train"))[:, 1:].sum(axis=0).argmax())
        true = pixels_of(data.split("test"))
        table = np.zeros((*true.shape, true.shape[1]), dtype=np.int64)
        table[:, :, largest] = true
        return {name: float(over_instances(table, of(table)).mean()) for name, of in SCORES.items()}

    def test(self, batches: Iterable[Batch]) -> "Segmented":
        """Return the scores, and how far borders are from where they should be."""
        found = super().test(batches)
        assert isinstance(found, Segmented), "as its class attribute says"
        if not len(found):
            return found
        instances = (found.predictions > 0, found.targets > 0, found.targets == VOID)
        far = [
            hausdorff95(one & ~void, other & ~void)
            for one, other, void in zip(*instances, strict=True)
        ]
        return found.with_values(hausdorff95=np.array(far))


def pixels_of(split: Split) -> Int[np.ndarray, "n k"]:
    """Return how many pixels of each class the masks of each image have, VOID aside."""
    masks, found = split.table.masks.pixels, []
    for rows in np.array_split(split.rows, range(256, len(split), 256)):
        codes = masks[rows].reshape(len(rows), -1) + 256 * np.arange(len(rows))[:, None]
        counts = np.bincount(codes.ravel(), minlength=256 * len(rows)).reshape(len(rows), 256)
        found.append(counts[:, : len(split.table.classes)])
    return np.concatenate(found)


def over_instances(
    table: Int[np.ndarray, "n k k"], score: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, " n"]:
    """Return a score of each image: the mean over the classes that it has or is given, or 1."""
    counted = (table.sum(axis=1) + table.sum(axis=2))[:, 1:] > 0
    number = counted.sum(axis=1)
    total = np.where(counted, score[:, 1:], 0.0).sum(axis=1)
    found: np.ndarray = (total + (number == 0)) / number.clip(min=1)
    return found
