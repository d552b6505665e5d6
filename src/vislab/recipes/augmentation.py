"""What each step of augmentation is worth, for four small ConvNets."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import data, models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from torch import nn

    from vislab.data.table import Table
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab
    from vislab.tasks.classify import Classify

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
class Augmentation(Recipe):
    """Climb a ladder of augmentations with small ConvNets and measure what each rung is worth.

    Every network is trained from the same weights on every rung: nothing, mirrored, moved,
    recoloured, partly covered, mixed. All are tested on the same pictures as they are. A rung's
    gain is the change from the rung below it, mean over the networks, with an interval over the
    test pictures.

    Source: Computer Vision Lab (All-CNN, Gaussian noise); Advanced Deep Learning for Computer
    Vision, notes.

    Question: Which single step will help most on these pictures? Is there one that could do harm?
    Look at: The preview sheets: could you still name every picture? Where you cannot, the network
    is taught something false.
    Look at: The gains: which intervals do not reach zero?
    Look at: The learning curves: on which rung do training and validation accuracy stay together?
    Exercise: A picture of 32×32 pixels is padded by 4 on each side and cut back to 32×32. How many
    different pictures can that give?
    Answer: 81
    Exercise: Mirroring is added as well. How many now?
    Answer: 162
    """

    group = "Classification"

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = 500
    """Training pictures of each class; all pictures to test on are kept."""
    size: int = 32
    """Side of the pictures in pixels."""
    optim: Optim = field(
        default_factory=lambda: Optim("adamw", lr=3e-3, weight_decay=0.05, schedule="one-cycle")
    )
    batch: int = 128
    """Table in a step."""
    epochs: int = 30
    """Times through the training pictures, on every rung."""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Which networks climb: plain, batch-norm, noise, all-cnn."""
    rungs: tuple[str, ...] = tuple(LADDER)
    """Which rungs they stand on; each is compared with the one named before it."""

    claims = (
        claim("the whole ladder is worth climbing", "whole ladder: gain in accuracy", at_least=0.0),
    )
    quick = {
        "data": "shapes:easy",
        "per_class": 20,
        "networks": ("batch-norm",),
        "rungs": ("none", "flip", "crop", "colour"),
        "epochs": 60,
        "batch": 50,
    }
    smoke = {
        "data": "shapes:easy",
        "per_class": 4,
        "networks": ("plain", "all-cnn"),
        "rungs": ("none", "mixup"),
        "epochs": 2,
        "batch": 20,
    }

    def run(self, lab: "Lab") -> None:
        """Train every network on every rung and compare."""
        builds = [pick(NETWORKS, name, "network") for name in self.networks]
        ladder = {name: pick(LADDER, name, "rung") for name in self.rungs}
        pictures = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.1)
        lab.show(
            "what each rung shows the network",
            runs.figures.named_rows(
                [
                    (f"{name}: {augment.describe()}", data.preview(pictures, augment, 8))
                    for name, augment in ladder.items()
                ]
            ),
            caption="The same eight training pictures as they reach the network.",
        )
        lab.plan(fits=len(builds) * len(ladder))
        outcomes: dict[tuple[str, str], Outcome] = {}
        best: tuple[float, Classify] | None = None
        for network, (build, options) in zip(self.networks, builds, strict=True):
            for rung, augment in ladder.items():
                name = f"{network}, {rung}"
                model: nn.Module = models.create(build, classes=len(pictures.classes), **options)
                task = tasks.Classify(model, self.optim)
                score = lab.fit(
                    task,
                    pictures,
                    epochs=self.epochs,
                    batch=self.batch,
                    augment=augment,
                    name=name,
                )
                outcomes[network, rung] = lab.test(task, pictures, name=name, examine=False)
                if best is None or (score or 0.0) > best[0]:
                    best = (score or 0.0, task)
        assert best is not None, "tyro asks for one network and one rung at least"
        lab.keep(best[1], pictures)
        self.compare(lab, outcomes, pictures)

    def compare(
        self, lab: "Lab", outcomes: "dict[tuple[str, str], Outcome]", pictures: "Table"
    ) -> None:
        """Tell what each rung added, over all networks together."""
        chance = 1 / len(pictures.classes)
        lab.table(
            "test accuracy by network and rung",
            ("network", *self.rungs),
            [
                (net, *(f"{outcomes[net, rung].accuracy:.1%}" for rung in self.rungs))
                for net in self.networks
            ],
        )
        lab.show(
            "accuracy by network and rung",
            runs.figures.ladder(
                self.rungs,
                {
                    net: [
                        (
                            outcomes[net, rung].accuracy,
                            lab.run.result.intervals[f"{net}, {rung}/test/accuracy"],
                        )
                        for rung in self.rungs
                    ]
                    for net in self.networks
                },
                chance=chance,
            ),
            caption="Test accuracy from the lowest rung to the highest, 95 % intervals.",
        )
        if len(self.rungs) < 2:
            return
        import numpy as np  # slow to import, and `vislab list` reads this file

        # The score of a picture on a rung: the share of the networks that have it right.
        scores = {
            rung: np.mean([outcomes[net, rung].correct for net in self.networks], axis=0)
            for rung in self.rungs
        }
        gains = []
        for below, rung in zip(self.rungs, self.rungs[1:], strict=False):
            gain, interval = runs.paired_bootstrap(scores[below], scores[rung])
            lab.record(f"{rung}: gain in accuracy", gain, interval=interval)
            gains.append((rung, gain, interval))
        gain, interval = runs.paired_bootstrap(scores[self.rungs[0]], scores[self.rungs[-1]])
        lab.record("whole ladder: gain in accuracy", gain, interval=interval)
        gains.append(("the whole ladder", gain, interval))
        lab.show(
            "gain of each rung",
            runs.figures.bars(
                [name for name, _, _ in gains],
                [gain for _, gain, _ in gains],
                intervals=[interval for _, _, interval in gains],
                unit="%",
            ),
            caption="Points of test accuracy over the rung below; 95 % paired bootstrap.",
        )
