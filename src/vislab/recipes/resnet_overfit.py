"""Overfit a ResNet-18 on purpose."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import LabelledRecipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

COURSE = Protocol(
    data="cifar10", train=1000, subset="first 100 per class", test=10_000, pixels="official files",
    size=224, network="resnet18", augmentation="none", optimiser="adam 0.001",
    schedule="constant", batch=32, epochs=38, metric="accuracy",
)  # fmt: skip
EXPLAINED = ("saliency", "guided-backprop", "grad-cam", "occlusion")
PLAIN, AUGMENTED = "", "augmented"  # the first is the run's own and needs no name


@dataclass(frozen=True)
class ResNetOverfit(LabelledRecipe):
    """Overfit a ResNet-18 on a few images per class, then look at what it learned.

    A network with eleven million weights and a thousand images: it can know every one of them by
    heart. The same network is then trained as long on the same images with augmentation, which
    never shows it the same pixels twice.

    Source: GNR-650, assignment 1.

    Question: All training images are right in the end. How many of the test images will be?
    Look at: The learning curves: where does training accuracy leave test accuracy behind?
    Look at: The worst examples: would you have known?
    Look at: The kernels of the first layer: edges and colours, or noise? With so few images they
    stay close to what they were at random.
    Exercise: How many weights does the first convolution have (7×7 pixels, 3 colours, 64 kernels,
    no bias)?
    Answer: 9408
    Exercise: A network that always names the same one of ten equally frequent classes: how many
    per cent of the test images does it get right?
    Answer: 10
    """

    group = "Classification"

    per_class: int | None = 100
    """Training images of each class; all images to test on are kept."""
    size: int = 64
    """Side of the images in pixels; the course used 224."""
    optim: Optim = Optim()
    batch: int = 32
    epochs: int = 60
    """At most; training stops once every training image is right."""
    augment: Augment = Augment(crop=0.125, flip=True, colour=0.3)
    """What the second network's training images go through."""

    references = (
        course("train/accuracy", 1.0, "GNR-650, assignment 1", protocol=COURSE),
        course("test/accuracy", 0.454, "GNR-650, assignment 1", protocol=COURSE),
    )
    claims = (
        claim("it memorises its training images", "train/accuracy", at_least=0.99),
        claim("knowing by heart is not understanding", "gap in accuracy", at_least=0.2),
        claim("augmentation helps on the same images", "augmentation: gain in accuracy",
              at_least=0.0),
    )  # fmt: skip
    quick = {"data": "shapes:easy", "per_class": 30, "size": 32, "epochs": 30}
    course_protocol = {"size": 224, "epochs": 38}
    smoke = {"data": "shapes:easy", "per_class": 4, "size": 32, "epochs": 2, "batch": 16}

    def run(self, lab: "Lab") -> None:
        """Train twice, test both, look inside the first."""
        from vislab.inspection import views
        from vislab.inspection.explanations import explain_surest

        images = self.open_images(lab)
        classes = len(images.classes)
        train = images.split("train")
        lab.show(
            "training images",
            runs.figures.image_grid(train.take(slice(0, None, -(-len(train) // 16))), columns=8),
            caption=f"Some of the {len(train)} images to be learned by heart.",
        )
        found = lab.variants(
            (PLAIN, AUGMENTED),
            lambda _: tasks.Classify(models.create("resnet18", classes=classes), self.optim),
            images, fit=self.training, known=True,
        )  # fmt: skip
        plain, known = found[PLAIN].outcome, found[PLAIN].known.accuracy
        low, high = plain.interval()
        lab.record("gap in accuracy", known - plain.accuracy, interval=(known - high, known - low))
        found.gain("augmentation: gain in accuracy", AUGMENTED, over=PLAIN)
        augmented = found[AUGMENTED].outcome
        lab.show(
            "right answers",
            runs.figures.bars(
                ["training images", "test images", "test, with augmentation"],
                [known, plain.accuracy, augmented.accuracy],
                intervals=[None, (low, high), augmented.interval()],
                chance=tasks.trivial_accuracy(images)["accuracy"], unit="%",
            ),
            caption="The same network on the images it knows and on those it does not.",
        )  # fmt: skip

        network = found[PLAIN].task.network
        views.show_kernels(lab, network)
        views.show_kernel_magnitudes(lab, network)
        views.show_feature_maps(lab, network, images, place=0)
        explain_surest(lab, network, images, plain, EXPLAINED)

    def training(self, name: str) -> dict[str, Any]:
        """Return how a network is trained: alike, but for augmentation."""
        augment = self.augment if name == AUGMENTED else None
        return {"epochs": self.epochs, "batch": self.batch, "augment": augment, "until": 1.0}
