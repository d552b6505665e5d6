"""The single-stage detector: a grid of cells, nine anchors in each."""

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
    optimiser="sgd 0.05", batch=10, epochs=50, metric="map50",
)  # fmt: skip
SOURCE = "EECS 498/598, A5; boxes of score 0.8 and more"


@dataclass(frozen=True)
class DetectYolo(AnnotatedRecipe):
    """Find and name objects with a single-stage detector, and see step by step how it does.

    A backbone by name makes a grid of cells; each says what is in it, and for nine anchors whether
    an object is there and how its box differs. The data is a folder with boxes (VOC, COCO or YOLO
    annotations, see `vislab data check FOLDER`) or the offline world. Average precision is given as
    VOC 2007, VOC 2010 and COCO count it, and as the course did.

    Source: EECS 498/598, assignment 5.

    Question: The course keeps only boxes with a score of 0.8 and more, and then computes average
    precision. Can that raise it, lower it, or neither?
    Look at: Step by step: how many boxes see the same object before NMS?
    Look at: Errors by type: does it miss objects, misplace them, or misname them?
    Exercise: A grid of 7×7 cells has nine anchors each. How many boxes are scored in an image?
    Answer: 441
    Exercise: With 20 classes that belong to the cell, how many channels has the head's last layer?
    Answer: 65
    """

    group = "Dense prediction and detection"

    limit: int | None = 2000
    size: int = 112
    """Pixels that the longer side of an image is made; best a multiple of the stride."""
    stride: int = 16
    """Pixels of a cell."""
    backbone: str = "efficientnet-lite0"
    """A network by name; see `vislab models`."""
    pretrained: bool = True
    """Begin the backbone from ImageNet's weights, with its batch normalisation frozen."""
    hidden: int = 256
    """Channels of the head."""
    dropout: float = 0.1
    """In the head."""
    ignore: float = 0.5
    """Anchors that overlap an object by so much, and do not learn it, learn nothing; 0.2 is the
    course's."""
    optim: Optim = Optim("adamw", lr=2e-3, weight_decay=1e-2, schedule="one-cycle", clip=10.0)
    test_on: Literal["test", "val"] = "test"
    """val tests on the validation split, as the course does, and keeps none to choose by."""
    explained: int = 4
    """Test images for which a map shows why boxes were named so; some seconds each."""

    references = (course("test/map50 above 0.8", 0.131, SOURCE, protocol=COURSE),)
    claims = (
        claim("cutting at a score of 0.8 lowers average precision",
              "points lost by the cut at 0.8", at_least=1e-4),
    )  # fmt: skip
    quick = {"limit": 300, "epochs": 8, "size": 96, "data": "shapes:easy"}
    course_protocol = {
        "data": "voc2007", "test_on": "val", "limit": None, "size": 224, "stride": 32,
        "epochs": 50, "batch": 10,
        "backbone": "torchvision:mobilenet_v2", "augment": Augment(), "dropout": 0.3, "ignore": 0.2,
        "hidden": 128, "optim": Optim("sgd", lr=5e-2),
    }  # fmt: skip
    smoke = {
        "limit": 6, "epochs": 1, "size": 32, "explained": 1, "batch": 3, "backbone": "convnet",
        "pretrained": False, "hidden": 8, "stride": 8,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train, test, and show the steps."""
        from vislab.evaluate.detection_steps import show_steps
        from vislab.inspection.dense import explain_detection

        images = lab.annotated(
            self.data, wanted="boxes", size=self.size, limit=self.limit,
            validation=self.validation if self.test_on == "test" else 0.0, skip_bad=self.skip_bad,
            test_on=self.test_on,
        )  # fmt: skip
        network: Any = models.create(
            "yolo", classes=len(images.classes), backbone=self.backbone,
            pretrained=self.pretrained, stride=self.stride, hidden=self.hidden,
            dropout=self.dropout,
        )  # fmt: skip
        images = images.shown_to(network)
        task = tasks.DetectYolo(
            network, self.optim, frozen_norm=self.pretrained, ignore=self.ignore
        )
        lab.fit(task, images, epochs=self.epochs, batch=self.batch, augment=self.augment)
        lab.test(task, images, split="train", examine=False)
        outcome = lab.test(task, images)
        uncut = outcome.mean("map50, NMS 0.3")  # of the same boxes
        lost = 100 * (uncut - outcome.mean("map50 above 0.8"))
        lab.record("points lost by the cut at 0.8", lost)
        show_steps(lab, task.network, images)
        explain_detection(lab, task.network, images, outcome, count=self.explained)
