"""The topologies for small pictures, trained alike and put in one table."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course, literature
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.data.pictures import Pictures
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab
    from vislab.tasks.classify import Classify

COURSE = Protocol(
    data="cifar10", train=49_000, test=1000, pixels="official files", size=32,
    augmentation="none", optimiser="sgd 0.01, decay 0.0001", schedule="constant", batch=64,
    epochs=10, metric="accuracy",
)  # fmt: skip
PAPER = Protocol(data="cifar10", train=50_000, test=10_000, size=32, metric="accuracy")
Built = tuple[str, dict[str, Any]]
SMALL: dict[str, Built] = {  # each learns on two cores in minutes to an hour
    "vgg": ("vgg", {"depth": 11, "width": 16}),
    "preact-resnet": ("preact-resnet", {"depth": 32}),
    "plain": ("preact-resnet", {"depth": 32, "block": "plain"}),
    "bottleneck": ("preact-resnet", {"depth": 47, "block": "bottleneck"}),
    "wide-resnet": ("wide-resnet", {"depth": 16, "widen": 2}),
    "densenet": ("densenet", {"depth": 40, "growth": 12}),
    "fast": ("resnet9", {"width": 16}),
}
PAPERS: dict[str, Built] = {  # for a GPU
    **SMALL,
    "vgg": ("vgg", {"depth": 16}),
    "wide-resnet": ("wide-resnet", {"depth": 28, "widen": 10}),
    "densenet": ("densenet", {"depth": 100, "growth": 12}),
    "fast": ("resnet9", {"width": 64}),
}
WIDTHS = 4  # a bottleneck works at a quarter of what it gives out


@dataclass(frozen=True)
class CifarNetworks(Recipe):
    """Train VGG, ResNets with and without skips, Wide ResNet and DenseNet alike, and compare.

    All get the same pictures in the same order, the same optimiser and the same epochs. `fast` is
    the exception: a network, a schedule and an augmentation that were chosen together for speed
    (label smoothing, one cycle of the rate, large batches).

    Source: Computer Vision Lab (VGG, DenseNet); EECS 498/598, assignment 4 (pre-activation ResNet,
    bottleneck); literature figures of the papers named beside them.

    Question: `plain` is the ResNet without its skips, as deep and as wide. Which of the two has
    the lower loss on its training pictures?
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

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training pictures of each class; None takes all."""
    size: int = 32
    """Side of the pictures in pixels."""
    networks: tuple[str, ...] = tuple(SMALL)
    """Which: vgg, preact-resnet, plain, bottleneck, wide-resnet, densenet, fast."""
    paper: bool = False
    """The papers' sizes (VGG-16, WRN-28-10, DenseNet-BC-100-12): hours of a GPU."""
    widths: tuple[int, ...] = (16, 32, 64)
    """Channels of the ResNets' stages; the course's are 8 16 32."""
    optim: Optim = field(
        default_factory=lambda: Optim("sgd", lr=0.05, weight_decay=5e-4, schedule="one-cycle")
    )
    batch: int = 64
    """Pictures in a step."""
    epochs: int = 10
    """Times through the training pictures, the course's budget."""
    augment: Augment = field(default_factory=lambda: Augment(crop=0.125, flip=True))
    """What training pictures go through."""
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
    claims = (
        claim("skips ease training", "skips: loss saved on training pictures", at_least=1e-4),
    )
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
        builds = {name: self.built(name) for name in self.networks}
        pictures = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.1)
        lab.plan(fits=len(builds))
        outcomes: dict[str, Outcome] = {}
        trained: dict[str, Classify] = {}
        scores: dict[str, float] = {}
        known: dict[str, Outcome] = {}
        for name, (build, options) in builds.items():
            model = models.create(build, classes=len(pictures.classes), **options)
            scores[name], trained[name] = self.train(lab, name, model, pictures)
            known[name] = lab.test(trained[name], pictures, split="train", name=name)
            outcomes[name] = lab.test(trained[name], pictures, name=name, examine=False)
        best = max(scores, key=lambda name: scores[name])
        lab.record("val/accuracy", scores[best], trivial=1 / len(pictures.classes))
        lab.keep(trained[best], pictures)
        lab.test(trained[best], pictures, outcome=outcomes[best])
        lab.note(f"Kept for `vislab predict`: {best}, the best on the validation pictures.")
        self.compare(lab, outcomes, known, trained, pictures)

    def built(self, name: str) -> Built:
        """Return which network a name means and its options."""
        build, options = pick(PAPERS if self.paper else SMALL, name, "network")
        if build == "preact-resnet":
            wider = WIDTHS if options.get("block") == "bottleneck" else 1
            blocks = len(self.widths)
            # Five blocks a stage, however many stages: a stage fewer is a network less deep.
            depth = 5 * (3 if wider > 1 else 2) * blocks + 2
            widths = tuple(wider * width for width in self.widths)
            options = {**options, "widths": widths, "depth": depth}
        return build, options

    def train(
        self, lab: "Lab", name: str, model: Any, pictures: "Pictures"
    ) -> "tuple[float, Classify]":
        """Train one network and return its best validation accuracy and its task."""
        if name == "fast":
            optim = Optim(
                "sgd", lr=0.4 * self.fast_batch / 512, weight_decay=5e-4, schedule="one-cycle"
            )
            task = tasks.Classify(model, optim, label_smoothing=0.1)
            augment = Augment(crop=0.125, flip=True, cutout=0.25)
            epochs, batch = self.fast_epochs, self.fast_batch
        else:
            task = tasks.Classify(model, self.optim)
            augment, epochs, batch = self.augment, self.epochs, self.batch
        score = lab.fit(task, pictures, epochs=epochs, batch=batch, augment=augment, name=name)
        return score or 0.0, task

    def compare(
        self,
        lab: "Lab",
        outcomes: "dict[str, Outcome]",
        known: "dict[str, Outcome]",
        trained: "dict[str, Classify]",
        pictures: "Pictures",
    ) -> None:
        """Put accuracy and costs in one table, and residual beside plain."""
        from vislab.evaluate.comparison import compare
        from vislab.profiling.costs import multiply_adds, parameters

        compare(lab, outcomes)
        found = lab.run.result.metrics
        by_name = {cost["name"]: cost for cost in lab.run.result.costs}
        lab.table(
            "what each network costs",
            ("network", "parameters", "MACs", "train", "test", "epochs", "minutes", "pictures/s"),
            [
                (
                    name,
                    f"{parameters(task.model):,}",
                    f"{multiply_adds(task.model, pictures.size):,}",
                    f"{found[f'{name}/train/accuracy']:.1%}",
                    f"{found[f'{name}/test/accuracy']:.1%}",
                    by_name[name]["epochs"],
                    f"{by_name[name]['seconds'] / 60:.1f}",
                    f"{by_name[name].get('train_pictures_per_second', 0):.0f}",
                )
                for name, task in trained.items()
            ],
        )
        if {"plain", "preact-resnet"} <= trained.keys():
            saved, span = runs.paired_bootstrap(
                known["preact-resnet"].losses, known["plain"].losses, draws=1000
            )
            lab.record("skips: loss saved on training pictures", saved, interval=span)
            gain, interval = runs.paired_bootstrap(
                outcomes["plain"].correct, outcomes["preact-resnet"].correct
            )
            lab.record("skips: gain in accuracy", gain, interval=interval)
            losses: dict[str, tuple[list[float], list[float]]] = {}
            for line in lab.run.logged():
                if line["fit"] in ("plain", "preact-resnet"):
                    epochs, values = losses.setdefault(str(line["fit"]), ([], []))
                    epochs.append(line["epoch"])
                    values.append(line["train/loss"])
            lab.show(
                "with and without skips",
                runs.figures.curves(losses, x="epoch", y="training loss, nats"),
                caption="The same depth and width, the same batches.",
            )
