"""Overfit a ResNet-18 on purpose."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vislab import explain, models, runs, tasks
from vislab.data.augment import Augment
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab
    from vislab.tasks.classify import Classify

COURSE = Protocol(
    data="cifar10",
    train=1000,
    subset="first 100 per class",
    test=10_000,
    pixels="official files",
    size=224,
    network="resnet18",
    augmentation="none",
    optimiser="adam 0.001",
    schedule="constant",
    batch=32,
    epochs=38,
    metric="accuracy",
)
MAPS_SHOWN = 8  # channels of a layer
EXPLAINED = ("saliency", "guided-backprop", "grad-cam", "occlusion")


@dataclass(frozen=True)
class ResNetOverfit(Recipe):
    """Overfit a ResNet-18 on a few pictures per class, then look at what it learned.

    A network with eleven million weights and a thousand pictures: it can know every one of them by
    heart. The same network is then trained as long on the same pictures with augmentation, which
    never shows it the same pixels twice.

    Source: GNR-650, assignment 1.

    Question: All training pictures are right in the end. How many of the test pictures will be?
    Look at: The learning curves: where does training accuracy leave test accuracy behind?
    Look at: The worst examples: would you have known?
    Look at: The kernels of the first layer: edges and colours, or noise? With so few pictures they
    stay close to what they were at random.
    Exercise: How many weights does the first convolution have (7×7 pixels, 3 colours, 64 kernels,
    no bias)?
    Answer: 9408
    Exercise: A network that always names the same one of ten equally frequent classes: how many
    per cent of the test pictures does it get right?
    Answer: 10
    """

    group = "Classification"

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = 100
    """Training pictures of each class; all pictures to test on are kept."""
    size: int = 64
    """Side of the pictures in pixels; the course used 224."""
    optim: Optim = field(default_factory=Optim)
    batch: int = 32
    """Table in a step."""
    epochs: int = 60
    """At most; training stops once every training picture is right."""
    augment: Augment = field(default_factory=lambda: Augment(crop=0.125, flip=True, colour=0.3))
    """What the second network's training pictures go through."""

    references = (
        course("train/accuracy", 1.0, "GNR-650, assignment 1", protocol=COURSE),
        course("test/accuracy", 0.454, "GNR-650, assignment 1", protocol=COURSE),
    )
    claims = (
        claim("it memorises its training pictures", "train/accuracy", at_least=0.99),
        claim(
            "knowing by heart is not understanding",
            "gap in accuracy",
            at_least=0.2,
        ),
        claim(
            "augmentation helps on the same pictures",
            "augmentation: gain in accuracy",
            at_least=0.0,
        ),
    )
    quick = {"data": "shapes:easy", "per_class": 30, "size": 32, "epochs": 30}
    course_protocol = {"size": 224, "epochs": 38}
    smoke = {"data": "shapes:easy", "per_class": 4, "size": 32, "epochs": 2, "batch": 16}

    def run(self, lab: "Lab") -> None:
        """Train twice, test both, look inside the first."""
        pictures = lab.pictures(self.data, per_class=self.per_class, size=self.size)
        classes = len(pictures.classes)
        train = pictures.split("train")
        few = train.take(slice(0, None, -(-len(train) // 16)))
        lab.show(
            "training pictures",
            runs.figures.picture_grid(few, columns=8),
            caption=f"Some of the {len(train)} pictures to be learned by heart.",
        )
        lab.plan(fits=2)

        task = tasks.Classify(models.create("resnet18", classes=classes), self.optim)
        lab.fit(task, pictures, epochs=self.epochs, batch=self.batch, until=1.0)
        known = lab.test(task, pictures, split="train")
        plain = lab.test(task, pictures)

        other = tasks.Classify(models.create("resnet18", classes=classes), self.optim)
        lab.fit(
            other,
            pictures,
            epochs=self.epochs,
            batch=self.batch,
            augment=self.augment,
            until=1.0,
            name="augmented",
        )
        lab.test(other, pictures, split="train", name="augmented")
        augmented = lab.test(other, pictures, name="augmented")

        low, high = lab.run.result.intervals["test/accuracy"]
        lab.record(
            "gap in accuracy",
            known.accuracy - plain.accuracy,
            interval=(known.accuracy - high, known.accuracy - low),
        )
        gain, interval = runs.paired_bootstrap(plain.correct, augmented.correct)
        lab.record("augmentation: gain in accuracy", gain, interval=interval)
        lab.show(
            "right answers",
            runs.figures.bars(
                ["training pictures", "test pictures", "test, with augmentation"],
                [known.accuracy, plain.accuracy, augmented.accuracy],
                intervals=[
                    None,
                    (low, high),
                    lab.run.result.intervals["augmented/test/accuracy"],
                ],
                chance=1 / classes,
                unit="%",
            ),
            caption="The same network on the pictures it knows and on those it does not.",
        )
        self.look_inside(lab, task, pictures)
        self.explain_one(lab, task, pictures, plain)

    def explain_one(
        self, lab: "Lab", task: "Classify", pictures: "Table", outcome: "Outcome"
    ) -> None:
        """Show why the surest right answer was given, and how far each map can be trusted."""
        import numpy as np

        from vislab.inspection.explanations import explained_sheet

        place = int(np.where(outcome.correct, outcome.probabilities.max(axis=1), 0.0).argmax())
        figure, sentences = explained_sheet(
            task.network, pictures, place, int(outcome.predicted[place]), EXPLAINED,
            device=lab.device,
        )  # fmt: skip
        lab.show("why it says so, by several methods", figure, caption=" ".join(sentences))

    def look_inside(self, lab: "Lab", task: "Classify", pictures: "Table") -> None:
        """Show kernels, their magnitudes by depth, and what each stage answers to one picture."""
        network = task.network
        lab.show(
            "kernels",
            runs.figures.picture_grid(explain.kernels(network).numpy(), columns=16),
            caption="The first layer's 64 kernels as pictures; mid grey is zero.",
        )
        magnitudes = explain.kernel_magnitudes(network)
        lab.show(
            "kernel magnitudes by depth",
            runs.figures.bars(list(magnitudes), list(magnitudes.values()), unit="L2 norm"),
            caption="L2 norm of each weight tensor, from the first layer down to the last.",
        )
        maps = explain.feature_maps(network, lab.example(pictures))
        lab.show(
            "feature maps of one picture",
            runs.figures.named_rows(
                [("the picture", pictures.split("test").take(slice(0, 1)))]
                + [
                    (
                        f"{name}, {m.shape[1]}×{m.shape[2]}",
                        explain.as_pictures(m[:MAPS_SHOWN]).numpy(),
                    )
                    for name, m in maps.items()
                ]
            ),
            caption=f"The first {MAPS_SHOWN} channels at each resolution, each in its own range.",
        )
