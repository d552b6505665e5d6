"""The topologies for small images, trained alike and put in one table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import evaluate, models, tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import LabelledRecipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course, literature
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

COURSE = Protocol(
    data="cifar10", train=49_000, test=1000, pixels="official files", size=32,
    augmentation="none", optimiser="sgd 0.01, decay 0.0001", schedule="constant", batch=64,
    epochs=10, metric="accuracy",
)  # fmt: skip
PAPER = Protocol(data="cifar10", train=50_000, test=10_000, size=32, metric="accuracy")
Options = dict[str, Any]
# What each is built as: small, for two cores in minutes to an hour, and as in its paper, for a GPU.
NETWORKS: dict[str, tuple[str, Options, Options]] = {
    "vgg": ("vgg", {"depth": 11, "width": 16}, {"depth": 16}),
    "preact-resnet": ("preact-resnet", {}, {}),
    "plain": ("preact-resnet", {"block": "plain"}, {"block": "plain"}),
    "bottleneck": ("preact-resnet", {"block": "bottleneck"}, {"block": "bottleneck"}),
    "wide-resnet": ("wide-resnet", {"depth": 16, "widen": 2}, {"depth": 28, "widen": 10}),
    "densenet": ("densenet", {"depth": 40, "growth": 12}, {"depth": 100, "growth": 12}),
    "fast": ("resnet9", {"width": 16}, {"width": 64}),
}


@dataclass(frozen=True)
class CifarNetworks(LabelledRecipe):
    """Train VGG, ResNets with and without skips, Wide ResNet and DenseNet alike, and compare.

    All get the same images in the same order, the same optimiser and the same epochs. `fast` is
    the exception: a network, a schedule and an augmentation that were chosen together for speed
    (label smoothing, one cycle of the learning rate, large batches).

    Source: Computer Vision Lab (VGG, DenseNet); EECS 498/598, assignment 4 (pre-activation ResNet,
    bottleneck); literature figures of the papers named beside them.

    Question: `plain` is the ResNet without its skips, as deep and as wide. Which of the two has
    the lower loss on its training images?
    Look at: The losses by epoch of plain and residual: is the difference one of training or of
    testing?
    Look at: The table: which network gives most for its multiply-adds?
    Exercise: A 3×3 convolution from 16 to 32 channels, without bias: how many weights?
    Answer: 4608
    Exercise: A pre-activation ResNet has three stages of n basic blocks, a stem and a linear layer.
    With n = 5, how many layers with weights?
    Answer: 32
    """

    group = "Classification"

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Which: vgg, preact-resnet, plain, bottleneck, wide-resnet, densenet, fast."""
    paper: bool = False
    """The papers' sizes (VGG-16, WRN-28-10, DenseNet-BC-100-12): hours of a GPU."""
    widths: tuple[int, ...] = (16, 32, 64)
    """Channels of the ResNets' stages; the course's are 8 16 32."""
    optim: Optim = Optim("sgd", lr=0.05, weight_decay=5e-4, schedule="one-cycle")
    augment: Augment = Augment(crop=0.125, flip=True)
    fast_epochs: int = 24
    """Of `fast`."""
    fast_batch: int = 512
    """Of `fast`."""

    references = (
        course("preact-resnet/test/accuracy", 0.812, "EECS 498/598, A4", protocol=COURSE),
        course("bottleneck/test/accuracy", 0.813, "EECS 498/598, A4", protocol=COURSE),
        literature("vgg/test/accuracy", 0.926, "VGG16-BN; kuangliu/pytorch-cifar", protocol=PAPER),
        literature(
            "wide-resnet/test/accuracy", 0.96, "WRN-28-10; arXiv:1605.07146", protocol=PAPER
        ),
        literature(
            "densenet/test/accuracy", 0.955, "DenseNet-BC-100-12; arXiv:1608.06993", protocol=PAPER
        ),
        literature("fast/test/accuracy", 0.94, "Page 2018, DAWNBench", protocol=PAPER),
    )
    claims = (claim("skips ease training", "skips: loss saved on training images", at_least=1e-4),)
    quick = {
        "data": "shapes:easy", "per_class": 60, "epochs": 12, "batch": 32,
        "networks": ("preact-resnet", "plain", "fast"), "widths": (8, 16, 32),
        "fast_batch": 64, "fast_epochs": 12,
    }  # fmt: skip
    course_protocol = {
        "optim": Optim("sgd", lr=1e-2, weight_decay=1e-4), "augment": Augment(),
        "widths": (8, 16, 32), "networks": ("preact-resnet", "bottleneck", "plain"),
    }  # fmt: skip
    smoke = {
        "data": "digits", "per_class": 2, "epochs": 1, "batch": 10, "widths": (4, 4),
        "fast_batch": 20, "fast_epochs": 1, "size": 8,
        "networks": ("preact-resnet", "plain", "bottleneck", "fast"),
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train each, test each, compare."""
        images = self.open_images(lab, validation=0.1)
        found = lab.variants(
            self.networks, lambda name: self.task(name, len(images.classes)), images, of=NETWORKS,
            fit=self.training, known=True, examine=False,
        )  # fmt: skip
        found.conclude()
        found.compare()
        found.costs()
        found.gain("skips: loss saved on training images", "plain", over="preact-resnet",
                   score="loss", known=True)  # fmt: skip
        found.gain("skips: gain in accuracy", "preact-resnet", over="plain")
        if {"plain", "preact-resnet"} <= found.keys():
            evaluate.show_curves(
                lab, "with and without skips", ("plain", "preact-resnet"), "train/loss",
                y="training loss, nats", caption="The same depth and width, the same batches.",
            )  # fmt: skip

    def task(self, name: str, classes: int) -> "tasks.Classify":
        """Build a network, as large as on the laptop or as in its paper."""
        build, small, paper = NETWORKS[name]
        options = dict(paper if self.paper else small)
        if build == "preact-resnet":
            # Five blocks a stage, however many stages: a stage fewer is a network less deep. A
            # bottleneck has three layers and works at a quarter of what it gives out.
            layers, wider = (3, 4) if name == "bottleneck" else (2, 1)
            options["depth"] = 5 * layers * len(self.widths) + 2
            options["widths"] = tuple(wider * width for width in self.widths)
        network = models.create(build, classes=classes, **options)
        if name != "fast":
            return tasks.Classify(network, self.optim)
        rate = 0.4 * self.fast_batch / 512
        optim = Optim("sgd", lr=rate, weight_decay=5e-4, schedule="one-cycle")
        return tasks.Classify(network, optim, label_smoothing=0.1)

    def training(self, name: str) -> Options:
        """Return how long a network is trained and on what."""
        if name == "fast":
            augment = Augment(crop=0.125, flip=True, cutout=0.25)
            return {"epochs": self.fast_epochs, "batch": self.fast_batch, "augment": augment}
        return {"epochs": self.epochs, "batch": self.batch, "augment": self.augment}
