"""Bilinear pooling for classes that differ in details: cars."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import runs, tasks
from vislab.data.augment import Augment
from vislab.errors import pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab
    from vislab.tasks.classify import Classify

COURSE = Protocol(
    data="stanford-cars, 20 models", train=791, test=784, metric="accuracy",
    pixels="official files",
)  # fmt: skip
VARIANTS = ("plain-head", "shared", "two-networks")
HEAD_EPOCHS = 100  # of features that are computed once


@dataclass(frozen=True)
class BilinearCars(Recipe):
    """Tell models of cars apart by which features occur together.

    Three heads on the same pre-trained features: the usual one on their mean over places, bilinear
    pooling of a network with itself, and of two networks that see the picture each in its own size
    and normalisation. First the head is trained with everything before it frozen; then everything,
    at a very low rate.

    Source: Computer Vision Lab, challenge (over 65 % on 20 models).

    Question: Two cars of one make differ by a grille. Does it help to know that a grille and a
    round lamp occur in one place?
    Look at: The variants compared: with so few test pictures, which differences are larger than
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
    """Training pictures of each class; None takes all."""
    variants: tuple[str, ...] = VARIANTS
    """Which: plain-head, shared, two-networks."""
    network: str = "efficientnet-lite0"
    """The network of plain-head and shared, and the first of two-networks."""
    second: str = "efficientnet-lite1"
    """The second of two-networks."""
    size: int = 240
    """Side of the pictures in pixels; each network shrinks them to its own size."""
    batch: int = 16
    """Pictures in a step, once everything is trained."""
    lr: float = 1e-4
    """Learning rate once everything is trained."""
    epochs: int = 10
    """Of training everything; 0 leaves the features frozen."""
    augment: Augment = field(
        default_factory=lambda: Augment(resized_crop=0.5, flip=True, colour=0.2)
    )
    """What training pictures go through then."""

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
        builds = {name: self.built(name) for name in self.variants}
        opened = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.1)
        lab.plan(fits=len(builds) * (2 if self.epochs else 1))
        outcomes: dict[str, Outcome] = {}
        trained: dict[str, tuple[float, Classify]] = {}
        for name, (network, options) in builds.items():
            model, anatomy, pictures = lab.adopt(network, opened, **options)
            optim = Optim("adamw", lr=1e-3, weight_decay=0.05, schedule="cosine")
            task = tasks.Classify(model, optim, strategy=Strategy.parse("head"), anatomy=anatomy)
            frozen = f"{name}, frozen"
            score = lab.fit(
                task, pictures, epochs=HEAD_EPOCHS, batch=64, augment=Augment(flip=True),
                name=frozen,
            )  # fmt: skip
            outcomes[frozen] = lab.test(task, pictures, name=frozen, examine=False)
            if self.epochs:
                optim = Optim("adamw", lr=self.lr, weight_decay=0.05, schedule="one-cycle")
                task = tasks.Classify(
                    model, optim, strategy=Strategy.parse("all"), anatomy=anatomy,
                    label_smoothing=0.1,
                )  # fmt: skip
                score = lab.fit(
                    task, pictures, epochs=self.epochs, batch=self.batch, augment=self.augment,
                    name=name,
                )  # fmt: skip
                outcomes[name] = lab.test(task, pictures, name=name, examine=False)
            trained[name] = score or 0.0, task
        best = max(trained, key=lambda name: trained[name][0])
        task = trained[best][1]
        final = {name: outcomes[name if self.epochs else f"{name}, frozen"] for name in trained}
        _, _, pictures = lab.adopt(builds[best][0], opened, **builds[best][1])
        lab.record("val/accuracy", trained[best][0], trivial=1 / len(pictures.classes))
        lab.keep(task, pictures)
        lab.test(task, pictures, outcome=final[best])
        lab.why(task, pictures, final[best])
        self.compare(lab, outcomes, final)

    def built(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return the network of a variant and its options."""
        made: dict[str, tuple[str, dict[str, Any]]] = {
            "plain-head": (self.network, {}),
            "shared": ("bilinear", {"streams": [self.network]}),
            "two-networks": ("bilinear", {"streams": [self.network, self.second]}),
        }
        return pick(made, name, "variant")

    def compare(
        self, lab: "Lab", outcomes: "dict[str, Outcome]", final: "dict[str, Outcome]"
    ) -> None:
        """Compare the variants and, within each, frozen with unfrozen."""
        from vislab.evaluate.comparison import compare

        compare(lab, outcomes, what="variants")
        for name, other in (("shared", "plain-head"), ("two-networks", "shared")):
            if {name, other} <= final.keys():
                gain, interval = runs.paired_bootstrap(final[other].correct, final[name].correct)
                lab.record(f"{name}: gain in accuracy over {other}", gain, interval=interval)
        for name in final:
            if f"{name}, frozen" in outcomes and name in outcomes:
                gain, interval = runs.paired_bootstrap(
                    outcomes[f"{name}, frozen"].correct, outcomes[name].correct
                )
                lab.record(f"{name}: gain in accuracy by unfreezing", gain, interval=interval)
