"""Recipes that train on images: the knobs that all of them share, with their help.

A subclass changes a default by naming the knob again, as `size: int = 64`; the help stays.
Importing this file does not import torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vislab.data.augment import Augment
from vislab.lab.recipe import Recipe
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab


@dataclass(frozen=True)
class LabelledImages(Recipe):
    """Base of the recipes whose images have a label each, and may be the user's own."""

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; None takes all."""
    labels: str | None = None
    """Columns of a CSV of your own that hold paths and labels, and perhaps split and group, as
    `image_id,dx`; `folders` takes the folders' names, whatever tables say."""
    fit: Literal["crop", "whole", "squash"] = "crop"
    """What becomes of images that are not square: their middle, the whole with the rest filled, or
    the whole squashed."""

    def open_images(self, lab: "Lab", **options: Any) -> "Table":
        """Open the images as the knobs say, and as `Lab.images` does."""
        size = options.pop("size", None) or getattr(self, "size", 64)
        return lab.images(
            self.data, size=size, per_class=self.per_class, labels=self.labels, fit=self.fit,
            **options,
        )  # fmt: skip


@dataclass(frozen=True)
class TrainingRecipe(Recipe):
    """Base of the recipes that train networks on images."""

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    size: int = 32
    """Side of the images in pixels."""
    optim: Optim = Optim("adamw", lr=3e-3, weight_decay=0.05, schedule="one-cycle")
    batch: int = 64
    """Batch size: images in a step."""
    epochs: int = 10
    """Epochs: passes over the training set."""
    augment: Augment = Augment(flip=True)
    """What training images go through."""


@dataclass(frozen=True)
class LabelledRecipe(TrainingRecipe, LabelledImages):
    """Base of the recipes that train networks on images with a label each."""


@dataclass(frozen=True)
class AnnotatedRecipe(TrainingRecipe):
    """Base of the recipes whose images have boxes or masks."""

    data: str = "shapes"
    """A folder with masks or boxes, a set of the catalogue, or the offline world."""
    limit: int | None = None
    """Training images, the first so many; None takes all."""
    size: int = 64
    """Pixels that the longer side of an image is made."""
    batch: int = 16
    """Batch size: images in a step."""
    augment: Augment = Augment(flip=True, colour=0.2)
    """What training images go through; masks and boxes follow."""
    validation: float = 0.1
    """Share of the training images held out to choose the best epoch by, where no such split came;
    0 keeps the last epoch's weights."""
    skip_bad: bool = False
    """Leave out images whose annotations cannot be used, in place of refusing them all."""
