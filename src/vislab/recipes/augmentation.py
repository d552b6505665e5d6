"""What each step of augmentation is worth, for four small ConvNets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import data, models, runs, tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

# Each rung adds one step to the rung below.
LADDER = {
    "none": Augment(),
    "flip": Augment(flip=True),
    "crop": Augment(flip=True, crop=0.125),
    "colour": Augment(flip=True, crop=0.125, colour=0.3),
    "cutout": Augment(flip=True, crop=0.125, colour=0.3, cutout=0.25),
    "mixup": Augment(flip=True, crop=0.125, colour=0.3, cutout=0.25, mixup=0.2),
}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("convnet", {"batch_norm": False}),
    "batch-norm": ("convnet", {"batch_norm": True}),
    "noise": ("convnet", {"batch_norm": True, "noise": 0.1}),
    "all-cnn": ("all-cnn", {}),
}


@dataclass(frozen=True)
class Augmentation(LabelledImages):
    """Climb a ladder of augmentations with small ConvNets and measure what each rung is worth.

    Every network is trained from the same weights on every rung: nothing, mirrored, moved,
    recoloured, partly covered, mixed. All are tested on the same images as they are. A rung's
    gain is the change from the rung below it, mean over the networks, with an interval over the
    test images.

    Source: Computer Vision Lab (All-CNN, Gaussian noise); Advanced Deep Learning for Computer
    Vision, notes.

    Question: Which single step will help most on these images? Is there one that could do harm?
    Look at: The preview sheets: could you still name every image? Where you cannot, the network
    is taught something false.
    Look at: The gains: which intervals do not reach zero?
    Look at: The learning curves: on which rung do training and validation accuracy stay together?
    Exercise: An image of 32×32 pixels is padded by 4 on each side and cut back to 32×32. How many
    different images can that give?
    Answer: 81
    Exercise: Mirroring is added as well. How many now?
    Answer: 162
    """

    group = "Classification"

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = 500
    """Training images of each class; all images to test on are kept."""
    size: int = 32
    """Side of the images in pixels."""
    optim: Optim = Optim("adamw", lr=3e-3, weight_decay=0.05, schedule="one-cycle")
    batch: int = 128
    """Batch size: images in a step."""
    epochs: int = 30
    """Epochs: passes over the training set, on every rung."""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Which networks climb: plain, batch-norm, noise, all-cnn."""
    rungs: tuple[str, ...] = tuple(LADDER)
    """Which rungs they stand on; each is compared with the one named before it."""

    claims = (
        claim("the whole ladder is worth climbing", "whole ladder: gain in accuracy", at_least=0.0),
    )
    quick = {
        "data": "shapes:easy", "per_class": 20, "networks": ("batch-norm",), "epochs": 60,
        "rungs": ("none", "flip", "crop", "colour"), "batch": 50,
    }  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 4, "networks": ("plain", "all-cnn"), "epochs": 2,
        "rungs": ("none", "mixup"), "batch": 20,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train every network on every rung and compare."""
        from vislab.evaluate.ladder import show_ladder
        from vislab.lab.variants import require_names

        require_names(self.networks, NETWORKS, "networks")
        require_names(self.rungs, LADDER, "rungs")
        images = self.open_images(lab, validation=0.1)
        lab.show(
            "what each rung shows the network",
            runs.figures.named_rows(
                [
                    (f"{rung}: {LADDER[rung].describe()}", data.preview(images, LADDER[rung], 8))
                    for rung in self.rungs
                ]
            ),
            caption="The same eight training images as they reach the network.",
        )
        found = lab.variants(
            [f"{network}, {rung}" for network in self.networks for rung in self.rungs],
            lambda name: self.task(name.split(", ")[0], len(images.classes)),
            images, examine=False,
            fit=lambda name: {"epochs": self.epochs, "batch": self.batch,
                              "augment": LADDER[name.split(", ")[1]]},
        )  # fmt: skip
        found.keep()
        climbs = {
            network: [found[f"{network}, {rung}"].outcome for rung in self.rungs]
            for network in self.networks
        }
        show_ladder(lab, self.rungs, climbs, trivial=1 / len(images.classes))

    def task(self, network: str, classes: int) -> "tasks.Classify":
        """Build one of the networks."""
        build, options = NETWORKS[network]
        return tasks.Classify(models.create(build, classes=classes, **options), self.optim)
