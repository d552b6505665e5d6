"""How far is a bar turned? A task, a kind of truth and a score of your own, in one file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vislab import data, models, tasks
from vislab.data.augment import Augment
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

CLOSE = 5  # degrees


def bars(count: int, size: int, seed: int = 0) -> data.Table:
    """Draw bright bars on noise: half to train on, a quarter each to validate and to test."""
    draws = np.random.default_rng(seed)
    degrees = draws.uniform(0, 180, count)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along = np.radians(degrees)[:, None, None]
    across = x * np.sin(along) + y * np.cos(along)  # counter-clockwise, and y points down
    pixels = draws.integers(0, 170, (count, size, size, 3), dtype=np.uint8)
    pixels[np.abs(across) < size / 12] += 80
    return data.Table(
        name="bars",
        classes=("bar",),
        size=size,
        pixels=pixels,
        splits=(np.arange(count) * 4 // count).clip(1, 3).astype(np.uint8) - 1,
        names=tuple(map(str, range(count))),
        origin="generated",
        official=True,
        columns={"angle": Angles("angle", degrees)},
    )


class Angles(data.Values):
    """Degrees from 0 to 180, that follow the image: a mirror takes a to −a, a quarter adds 90."""

    def batch(self, rows: Any, views: Any = None) -> dict[str, torch.Tensor]:
        """Return the angles as they are seen."""
        angle = super().batch(rows)["angle"]
        if views is not None:
            angle = torch.where(views.mirrored, -angle, angle) + 90 * views.rotations
        return {"angle": angle % 180}


@models.register("compass")
class Compass(nn.Module):
    """A ConvNet whose answer is an angle, by way of the sine and cosine of its double."""

    def __init__(self, *, classes: int, width: int = 16) -> None:
        super().__init__()
        self.body = models.create("convnet", classes=2, widths=(width, 2 * width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, 1) degrees."""
        sine, cosine = self.body(images).unbind(1)
        return torch.rad2deg(torch.atan2(sine, cosine) / 2)[:, None] % 180


class Turned(tasks.Task):
    """Learn the angle of what lies in an image."""

    score = "accuracy within 5 degrees"
    answers, outputs = "numbers", ("angle",)

    def training_step(self, batch: Any, _step: int) -> dict[str, Any]:
        """Pull sine and cosine towards those of the true angle."""
        double = torch.deg2rad(2 * batch.angle)
        wanted = torch.stack([double.sin(), double.cos()], dim=1)
        loss = (self.model.body(batch.images) - wanted).square().mean()
        return self.step(loss, len(batch.images), batch.whole)

    def measure(self, batch: Any) -> dict[str, torch.Tensor]:
        """Return whether each angle is nearly right, and by how much it is wrong."""
        apart = (self.network(batch.images)[:, 0].float() - batch.angle) % 180
        wrong = torch.minimum(apart, 180 - apart)
        return {self.score: wrong < CLOSE, "degrees wrong": wrong}

    def chance(self, table: data.Table) -> dict[str, float]:
        """Any angle is as good as another: 10 of 180 degrees are close, 45 is the mean."""
        return {self.score: 2 * CLOSE / 180, "degrees wrong": 45.0}


@dataclass(frozen=True)
class Angle(Recipe):
    """Learn the angle of a bar, with rotated and mirrored bars and without."""

    count: int = 160
    """Bars, half of them to train on."""
    epochs: int = 30
    """Passes over the training bars."""

    claims = (claim("augmentation helps", "augmented: gain in accuracy", at_least=0.0),)

    def run(self, lab: Any) -> None:
        """Train both ways on few bars, test on the same, compare."""
        images = lab.open(bars(self.count, 24))
        augments = {"plain": Augment(), "augmented": Augment(flip=True, rotation=True)}
        found = lab.variants(
            list(augments),
            lambda name: Turned(models.create("compass", classes=1), Optim("adamw", lr=3e-3)),
            images,
            what="trainings",
            fit=lambda name: {"epochs": self.epochs, "batch": 32, "augment": augments[name]},
        )
        found.conclude()
        found.compare()
        found.gain("augmented: gain in accuracy", "augmented", over="plain")
