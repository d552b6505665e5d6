"""SegNet, five times: how a decoder grows its maps back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab import models, tasks
from vislab.errors import OptionError
from vislab.lab.training_recipe import AnnotatedRecipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

WAYS = ("index-unpooling", "nearest", "bilinear", "fixed-unpooling", "transposed")


@dataclass(frozen=True)
class SegmentSegnet(AnnotatedRecipe):
    """Segment with SegNet, its decoder growing in five ways, all else alike.

    Index unpooling puts maxima back where they were found; nearest and bilinear interpolation know
    no places; fixed unpooling puts every value in the same corner; a transposed convolution learns
    what to do. Beside the scores stands how much of a checkerboard each leaves in its answers.

    Source: Advanced Deep Learning for Computer Vision; Badrinarayanan, Kendall and Cipolla 2017,
    arXiv:1511.00561. On checkerboards: Odena, Dumoulin and Olah 2016,
    doi:10.23915/distill.00003.

    Question: Which ways leave a pattern of single pixels when a smooth map is grown twofold?
    Look at: A smooth map, grown once: which ways leave holes?
    Look at: The table: do holes in one map cost anything after the convolutions that follow?
    Exercise: Max pooling of 2×2 keeps one index for each value. How many bits does one need?
    Answer: 2
    Exercise: Fixed unpooling of 2×2: which share of the grown map is zero?
    Answer: 0.75
    """

    group = "Dense prediction and detection"

    data: str = "shapes"
    """A folder of images and masks, COCO annotations, or the offline world."""
    limit: int | None = 800
    one_class: bool = True
    """Take all objects as one class, against the background."""
    ways: tuple[str, ...] = WAYS
    """Which: index-unpooling, nearest, bilinear, fixed-unpooling, transposed."""
    width: int = 16
    """Channels at full size."""
    convolutions: tuple[int, ...] = (2, 2, 2)
    """Convolutions of each stage; VGG-16's are 2 2 3 3 3, at a width of 64."""
    loss: str = "dice+cross-entropy"
    """cross-entropy, dice, dice+cross-entropy, focal or tversky."""
    optim: Optim = Optim("adamw", lr=3e-3, weight_decay=1e-2, schedule="one-cycle")

    claims = (
        claim("places of maxima are worth keeping",
              "index-unpooling: gain in Dice over nearest", at_least=1e-4),
    )  # fmt: skip
    quick = {"limit": 250, "epochs": 6, "size": 48, "width": 8}
    course_protocol = {"width": 64, "convolutions": (2, 2, 3, 3, 3), "size": 224, "limit": None,
                       "one_class": False}  # fmt: skip
    smoke = {"limit": 6, "epochs": 1, "size": 24, "width": 4, "batch": 3, "convolutions": (1, 1)}

    def run(self, lab: "Lab") -> None:
        """Train each way, test each, compare."""
        from vislab.evaluate.checkerboards import show_checkerboards

        if min(self.convolutions, default=1) < 1:
            raise OptionError(
                f"--convolutions {' '.join(map(str, self.convolutions))} has a stage of none; give "
                "each stage 1 or more"
            )
        images = lab.annotated(
            self.data, wanted="masks", size=self.size, limit=self.limit,
            validation=self.validation, skip_bad=self.skip_bad,
        )  # fmt: skip
        if self.one_class:
            images = images.merged()
        found = lab.variants(
            self.ways, lambda way: self.task(way, len(images.classes)), images, of=WAYS,
            what="ways",
            fit={"epochs": self.epochs, "batch": self.batch, "augment": self.augment},
        )  # fmt: skip
        lab.record("test/dice", found.keep().outcome.mean("dice"))
        found.compare()
        networks = {way: one.task.network for way, one in found.items()}
        show_checkerboards(lab, networks, images)
        found.gain("index-unpooling: gain in Dice over nearest", "index-unpooling", over="nearest")

    def task(self, way: str, classes: int) -> "tasks.Segment":
        """Build a SegNet whose decoder grows in this way."""
        network = models.create(
            "segnet", classes=classes, way=way, width=self.width,
            convolutions=list(self.convolutions),
        )  # fmt: skip
        return tasks.Segment(network, self.optim, loss=self.loss)
