"""SegNet, five times: how a decoder grows its maps back."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import OptionError, pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.evaluate.segmentation import Segmented
    from vislab.lab.bench import Lab

WAYS = ("index-unpooling", "nearest", "bilinear", "fixed-unpooling", "transposed")


@dataclass(frozen=True)
class SegmentSegnet(Recipe):
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
    """A folder of pictures and masks, COCO annotations, or the offline world."""
    limit: int | None = 800
    """Training pictures, the first so many; None takes all."""
    size: int = 64
    """Pixels that the longer side of a picture is made."""
    one_class: bool = True
    """Take all things as one class, against the background."""
    ways: tuple[str, ...] = WAYS
    """Which: index-unpooling, nearest, bilinear, fixed-unpooling, transposed."""
    width: int = 16
    """Channels at full size."""
    convolutions: tuple[int, ...] = (2, 2, 2)
    """Convolutions of each stage; VGG-16's are 2 2 3 3 3, at a width of 64."""
    loss: str = "dice+cross-entropy"
    """cross-entropy, dice, dice+cross-entropy, focal or tversky."""
    optim: Optim = field(
        default_factory=lambda: Optim("adamw", lr=3e-3, weight_decay=1e-2, schedule="one-cycle")
    )
    batch: int = 16
    """Pictures in a step."""
    epochs: int = 10
    """Times through the training pictures."""
    augment: Augment = field(default_factory=lambda: Augment(flip=True, colour=0.2))
    """What training pictures go through; masks follow."""
    skip_bad: bool = False
    """Leave out pictures whose annotations cannot be used, in place of refusing them all."""

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
        from vislab.evaluate.segmentation import compare_segmented, judge_segmentation

        for way in self.ways:
            pick({known: known for known in WAYS}, way, "way of upsampling")
        if not self.ways:
            raise OptionError(f"--ways names none; take some of {', '.join(WAYS)}")
        if min(self.convolutions, default=1) < 1:
            raise OptionError(
                f"--convolutions {' '.join(map(str, self.convolutions))} has a stage of none; give "
                "each stage 1 or more"
            )
        pictures = lab.annotated(
            self.data, wanted="masks", size=self.size, limit=self.limit, validation=0.1,
            skip_bad=self.skip_bad,
        )  # fmt: skip
        if self.one_class:
            pictures = pictures.merged()
        lab.plan(fits=len(self.ways))
        found: dict[str, Segmented] = {}
        kept: dict[str, tuple[float, Any]] = {}
        for way in self.ways:
            network = models.create(
                "segnet", classes=len(pictures.classes), way=way, width=self.width,
                convolutions=list(self.convolutions),
            )  # fmt: skip
            task = tasks.Segment(network, self.optim, loss=self.loss)
            # The same batches for all: only the way of growing differs.
            score = lab.fit(
                task, pictures, epochs=self.epochs, batch=self.batch, augment=self.augment, name=way
            )
            found[way] = judge_segmentation(lab, task, pictures, name=way)
            kept[way] = (float(found[way].dice.mean()) if score is None else score, task)
        best = max(kept, key=lambda way: kept[way][0])
        lab.keep(kept[best][1], pictures)
        lab.record("test/dice", float(found[best].dice.mean()))
        compare_segmented(lab, found)
        self.checkerboards(lab, {way: task.network for way, (_, task) in kept.items()}, pictures)
        if {"index-unpooling", "nearest"} <= found.keys():
            gain, interval = runs.paired_bootstrap(
                found["nearest"].dice, found["index-unpooling"].dice
            )
            lab.record("index-unpooling: gain in Dice over nearest", gain, interval=interval)

    def checkerboards(self, lab: "Lab", networks: dict[str, Any], pictures: Any) -> None:
        """Score the pattern of single pixels, after one growth and in the trained answers."""
        from vislab.evaluate.checkerboards import show_checkerboards

        show_checkerboards(lab, networks, pictures)
