"""The two-stage detector: where something may be, then what it is."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vislab import models, tasks
from vislab.data.augment import Augment
from vislab.errors import OptionError, pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.evaluate.detection import Detected
    from vislab.lab.bench import Lab

COURSE = Protocol(
    data="voc2007", train=2501, test=2510, size=224, network="mobilenet_v2", augmentation="none",
    optimiser="sgd 0.005", batch=10, epochs=100, metric="map50",
)  # fmt: skip
SOURCE = "EECS 498/598, A5; boxes of score 0.8 and more"
NETWORKS = ("refined", "classes-only", "torchvision")


@dataclass(frozen=True)
class DetectFasterRcnn(Recipe):
    """Find and name things with a two-stage detector, and see step by step how it does.

    The first stage proposes boxes from anchors at every place, the second looks at each again: the
    course's names its class only, the paper's moves the box as well. torchvision's own Faster R-CNN
    trains beside them on the same pictures, over the same backbone. The data is a folder with boxes
    (VOC, COCO or YOLO annotations, see `vislab data check FOLDER`) or the offline world.

    Source: EECS 498/598, assignment 5; Ren et al. 2015, arXiv:1506.01497.

    Question: Does it pay to move a box twice, or does naming it suffice in the second stage?
    Look at: Step by step: which proposals survive suppression, and which survive the second stage?
    Look at: Errors by type: which kind does the single-stage detector make that this one does not?
    Exercise: Maps of 14×14 places, four scales and three shapes at each. How many anchors?
    Answer: 2352
    Exercise: RoIAlign gives 5×5 places of 128 channels to a linear layer. How many numbers does it
    read?
    Answer: 3200
    """

    group = "Dense prediction and detection"

    data: str = "shapes"
    """A folder with boxes, a set of the catalogue, or the offline world."""
    limit: int | None = 2000
    """Training pictures, the first so many; None takes all."""
    size: int = 160
    """Pixels that the longer side of a picture is made; best a multiple of the stride."""
    stride: int = 16
    """Pixels between anchors: 8, 16 or 32."""
    anchor_scales: tuple[float, ...] = (1.25, 2.5, 5.0)
    """Sides of anchors in strides, each in three shapes."""
    networks: tuple[str, ...] = ("refined",)
    """Which: refined, classes-only (the course's), torchvision."""
    backbone: str = "efficientnet-lite0"
    """A network by name; see `vislab models`."""
    pretrained: bool = True
    """Begin the backbone from ImageNet's weights, with its batch normalisation frozen."""
    scales: tuple[float, ...] = (1.0,)
    """Train at these multiples of the size, one drawn for each batch; 0.75 1 1.25 is usual."""
    optim: Optim = field(
        default_factory=lambda: Optim(
            "adamw", lr=1e-3, weight_decay=1e-2, schedule="one-cycle", clip=10.0
        )
    )
    batch: int = 8
    """Pictures in a step."""
    epochs: int = 4
    """Times through the training pictures."""
    augment: Augment = field(default_factory=lambda: Augment(flip=True, colour=0.2))
    """What training pictures go through; boxes follow."""
    test_on: Literal["test", "val"] = "test"
    """val tests on the validation side, as the course does, and keeps none to choose by."""
    validation: float = 0.1
    """Share of the training pictures held out to choose the best epoch by, where no such side came;
    0 keeps the last epoch's weights."""
    explained: int = 4
    """Test pictures for which a map shows why boxes were named so; some seconds each."""
    skip_bad: bool = False
    """Leave out pictures whose annotations cannot be used, in place of refusing them all."""

    references = (course("classes-only/test/map50 above 0.8", 0.217, SOURCE, protocol=COURSE),)
    claims = (
        claim("moving the box a second time pays",
              "refining: points of mAP50 gained", at_least=1e-4),
    )  # fmt: skip
    quick = {"limit": 250, "epochs": 5, "size": 96, "data": "shapes:easy"}
    course_protocol = {
        "data": "voc2007", "test_on": "val", "limit": None, "size": 224, "stride": 32,
        "epochs": 100, "batch": 10,
        "backbone": "torchvision:mobilenet_v2", "augment": Augment(),
        "networks": ("classes-only", "refined"), "anchor_scales": (1.0, 2.0, 3.0, 4.0, 5.0),
        "optim": Optim("sgd", lr=5e-3),
    }  # fmt: skip
    smoke = {
        "limit": 6, "epochs": 1, "size": 32, "explained": 1, "batch": 3, "backbone": "convnet",
        "pretrained": False, "networks": NETWORKS, "stride": 8,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train each, test each, show the steps of the best of ours."""
        from vislab.evaluate.detection import judge_detection
        from vislab.evaluate.detection_steps import show_steps
        from vislab.inspection.dense import explain_detection

        for name in self.networks:
            pick({known: known for known in NETWORKS}, name, "network")
        if not self.networks:
            raise OptionError(f"--networks names none; take some of {', '.join(NETWORKS)}")
        pictures = lab.annotated(
            self.data, wanted="boxes", size=self.size, limit=self.limit,
            validation=self.validation if self.test_on == "test" else 0.0, skip_bad=self.skip_bad,
            test_on=self.test_on,
        )  # fmt: skip
        lab.plan(fits=len(self.networks))
        lab.rehearse(lambda name: self.built(name, pictures), self.networks)
        scores: dict[str, tuple[float, Any, Table, Detected]] = {}
        for name in self.networks:
            task, shown = self.built(name, pictures)
            score = lab.fit(
                task, shown, epochs=self.epochs, batch=self.batch, augment=self.augment, name=name
            )
            judge_detection(lab, task, shown, split="train", examine=False, name=name)
            found = judge_detection(lab, task, shown, name=name)
            if score is None:
                score = found.average_precision().mean
            scores[name] = score, task, shown, found
        best = max(scores, key=lambda name: scores[name][0])
        _, task, shown, found = scores[best]
        lab.keep(task, shown)
        metrics = lab.run.result.metrics
        lab.record("test/map50", metrics[f"{best}/test/map50"])
        if {"refined", "classes-only"} <= scores.keys():
            gain = metrics["refined/test/map50"] - metrics["classes-only/test/map50"]
            lab.record("refining: points of mAP50 gained", 100 * gain)
        self.compare(lab)
        show_steps(lab, task.network, shown)
        explain_detection(lab, task.network, shown, found, count=self.explained)

    def built(self, name: str, pictures: "Table") -> "tuple[Any, Table]":
        """Return a task and the pictures as its backbone expects them."""
        options: dict[str, Any] = {
            "backbone": self.backbone, "pretrained": self.pretrained, "stride": self.stride,
            "scales": self.anchor_scales,
        }  # fmt: skip
        classes = len(pictures.classes)
        task: Any
        network: Any
        if name == "torchvision":
            network = models.create(
                "torchvision-faster-rcnn", classes=classes, size=self.size, **options
            )
            task = tasks.DetectTorchvision(network, self.optim, frozen_norm=self.pretrained)
        else:
            network = models.create(
                "faster-rcnn", classes=classes, refine=name == "refined", **options
            )
            task = tasks.DetectFasterRCNN(
                network, self.optim, frozen_norm=self.pretrained, scales=self.scales
            )
        shown = network.preprocessing
        if shown is not None:
            pictures = pictures.normalised_by(shown.mean, shown.deviation)
        return task, pictures

    def compare(self, lab: "Lab") -> None:
        """Put the networks in one table, with what they cost."""
        metrics = lab.run.result.metrics
        costs = {cost["name"]: cost for cost in lab.run.result.costs}
        lab.table(
            "networks compared",
            ("network", "mAP50", "AP (COCO)", "mAP50 above 0.8", "minutes", "pictures/s"),
            [
                (
                    name,
                    f"{metrics[f'{name}/test/map50']:.3f}",
                    f"{metrics.get(f'{name}/test/COCO AP', float('nan')):.3f}",
                    f"{metrics[f'{name}/test/map50 above 0.8']:.3f}",
                    f"{costs[name]['seconds'] / 60:.1f}",
                    f"{costs[name].get('train_pictures_per_second', 0):.1f}",
                )
                for name in self.networks
            ],
        )
