"""Bilinear pooling for classes that differ in details: cars."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab import tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from torch import nn

    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.models.parameter_groups import ParameterGroups

COURSE = Protocol(
    data="stanford-cars, 20 models", train=791, test=784, metric="accuracy",
    pixels="official files",
)  # fmt: skip
VARIANTS = ("plain-head", "shared", "two-networks")
HEAD_EPOCHS = 100  # of features that are computed once


@dataclass(frozen=True)
class BilinearCars(LabelledImages):
    """Tell models of cars apart by which features occur together.

    Three heads on the same pre-trained features: the usual one on their mean over places, bilinear
    pooling of a network with itself, and of two networks that see the image each in its own size
    and normalisation. First the head is trained with everything before it frozen; then everything,
    at a very low rate.

    Source: Computer Vision Lab, challenge (over 65 % on 20 models).

    Question: Two cars of one make differ by a grille. Does it help to know that a grille and a
    round lamp occur in one place?
    Look at: The variants compared: with so few test images, which differences are larger than
    chance?
    Look at: Frozen and unfrozen side by side: what did moving the features bring?
    Exercise: Two maps of 320 channels: how many numbers has their outer product?
    Answer: 102400
    Exercise: How many weights, without biases, has a linear layer from there to 20 classes?
    Answer: 2048000
    """

    group = "Classification"

    data: str = "stanford-cars"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; None takes all."""
    variants: tuple[str, ...] = VARIANTS
    """Which: plain-head, shared, two-networks."""
    network: str = "efficientnet-lite0"
    """The network of plain-head and shared, and the first of two-networks."""
    second: str = "efficientnet-lite1"
    """The second of two-networks."""
    size: int = 240
    """Side of the images in pixels; each network shrinks them to its own size."""
    batch: int = 16
    """Batch size, once everything is trained."""
    lr: float = 1e-4
    """Learning rate once everything is trained."""
    epochs: int = 10
    """Of training everything; 0 leaves the features frozen."""
    augment: Augment = Augment(resized_crop=0.5, flip=True, colour=0.2)
    """What training images go through then."""

    references = (course("test/accuracy", 0.65, "goal of the course", protocol=COURSE),)
    claims = (
        claim("bilinear pooling beats the plain head", "shared: gain in accuracy over plain-head",
              at_least=1e-4),
        claim("two networks beat one", "two-networks: gain in accuracy over shared", at_least=1e-4),
    )  # fmt: skip
    quick = {"data": "shapes:easy", "per_class": 10, "size": 64, "epochs": 1}
    smoke = {"data": "digits", "per_class": 2, "size": 32, "epochs": 1, "batch": 10}

    def run(self, lab: "Lab") -> None:
        """Train each variant frozen and unfrozen, and compare."""
        from vislab.lab.variants import Variants, require_names

        require_names(self.variants, VARIANTS, "variants")
        images = self.open_images(lab, validation=0.1)
        lab.dry_run(lambda name: self.created(lab, name, images), self.variants)
        lab.plan(fits=len(self.variants) * (2 if self.epochs else 1))
        found, last = Variants(lab, "variants"), Variants(lab, "variants")
        for name in self.variants:
            model, groups, shown = self.created(lab, name, images)
            optim = Optim("adamw", lr=1e-3, weight_decay=0.05, schedule="cosine")
            head = tasks.Classify(model, optim, strategy=Strategy.parse("head"), groups=groups)
            last[name] = found[f"{name}, frozen"] = lab.variant(
                head, shown, name=f"{name}, frozen", examine=False, epochs=HEAD_EPOCHS, batch=64,
                augment=Augment(flip=True),
            )  # fmt: skip
            if not self.epochs:
                continue
            optim = Optim("adamw", lr=self.lr, weight_decay=0.05, schedule="one-cycle")
            everything = tasks.Classify(
                model, optim, strategy=Strategy.parse("all"), groups=groups, label_smoothing=0.1
            )
            last[name] = found[name] = lab.variant(
                everything, shown, name=name, examine=False, epochs=self.epochs, batch=self.batch,
                augment=self.augment,
            )  # fmt: skip
        best = last.conclude()
        lab.why(best.task, best.table, best.outcome)
        found.compare()
        last.gain("shared: gain in accuracy over plain-head", "shared", over="plain-head")
        last.gain("two-networks: gain in accuracy over shared", "two-networks", over="shared")
        for name in self.variants:
            found.gain(f"{name}: gain in accuracy by unfreezing", name, over=f"{name}, frozen")

    def created(
        self, lab: "Lab", name: str, images: "Table"
    ) -> "tuple[nn.Module, ParameterGroups, Table]":
        """Build the network of a variant, its features pre-trained."""
        if name == "plain-head":
            return lab.create_model(self.network, images)
        streams = [self.network, self.second] if name == "two-networks" else [self.network]
        return lab.create_model("bilinear", images, streams=streams)
