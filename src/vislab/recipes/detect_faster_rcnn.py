"""The two-stage detector: where something may be, then what it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vislab import models, tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import AnnotatedRecipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

COURSE = Protocol(
    data="voc2007", train=2501, test=2510, size=224, network="mobilenet_v2", augmentation="none",
    optimiser="sgd 0.005", batch=10, epochs=100, metric="map50",
)  # fmt: skip
SOURCE = "EECS 498/598, A5; boxes of score 0.8 and more"
NETWORKS = ("refined", "classes-only", "torchvision")


@dataclass(frozen=True)
class DetectFasterRcnn(AnnotatedRecipe):
    """Find and name objects with a two-stage detector, and see step by step how it does.

    The first stage proposes boxes from anchors at every place, the second looks at each again: the
    course's names its class only, the paper's moves the box as well. torchvision's own Faster R-CNN
    trains beside them on the same images, over the same backbone. The data is a folder with boxes
    (VOC, COCO or YOLO annotations, see `vislab data check FOLDER`) or the offline world.

    Source: EECS 498/598, assignment 5; Ren et al. 2015, arXiv:1506.01497.

    Question: Does it pay to move a box twice, or does naming it suffice in the second stage?
    Look at: Step by step: which proposals survive NMS, and which survive the second stage?
    Look at: Errors by type: which kind does the single-stage detector make that this one does not?
    Exercise: Maps of 14×14 places, four scales and three shapes at each. How many anchors?
    Answer: 2352
    Exercise: RoIAlign gives 5×5 places of 128 channels to a linear layer. How many numbers does it
    read?
    Answer: 3200
    """

    group = "Dense prediction and detection"

    limit: int | None = 2000
    size: int = 160
    """Pixels that the longer side of an image is made; best a multiple of the stride."""
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
    optim: Optim = Optim("adamw", lr=1e-3, weight_decay=1e-2, schedule="one-cycle", clip=10.0)
    batch: int = 8
    epochs: int = 4
    test_on: Literal["test", "val"] = "test"
    """val tests on the validation split, as the course does, and keeps none to choose by."""
    explained: int = 4
    """Test images for which a map shows why boxes were named so; some seconds each."""

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
        from vislab.evaluate.detection_steps import show_steps
        from vislab.inspection.dense import explain_detection

        images = lab.annotated(
            self.data, wanted="boxes", size=self.size, limit=self.limit,
            validation=self.validation if self.test_on == "test" else 0.0, skip_bad=self.skip_bad,
            test_on=self.test_on,
        )  # fmt: skip
        found = lab.variants(
            self.networks, lambda name: self.task(name, len(images.classes)), images, of=NETWORKS,
            fit={"epochs": self.epochs, "batch": self.batch, "augment": self.augment}, known=True,
        )  # fmt: skip
        best = found.keep()
        lab.record("test/map50", best.outcome.mean())
        if {"refined", "classes-only"} <= found.keys():
            gain, _ = found["refined"].outcome.gain_over(found["classes-only"].outcome)
            lab.record("refining: points of mAP50 gained", 100 * gain)
        found.compare()
        found.costs()
        show_steps(lab, best.task.network, best.table)
        explain_detection(lab, best.task.network, best.table, best.outcome, count=self.explained)

    def task(self, name: str, classes: int) -> "tasks.Task":
        """Build one of the detectors, and what it is to learn."""
        options: dict[str, Any] = {
            "classes": classes, "backbone": self.backbone, "pretrained": self.pretrained,
            "stride": self.stride, "scales": self.anchor_scales,
        }  # fmt: skip
        network: Any
        if name == "torchvision":
            network = models.create("torchvision-faster-rcnn", size=self.size, **options)
            return tasks.DetectTorchvision(network, self.optim, frozen_norm=self.pretrained)
        network = models.create("faster-rcnn", refine=name == "refined", **options)
        return tasks.DetectFasterRCNN(
            network, self.optim, frozen_norm=self.pretrained, scales=self.scales
        )
