"""U-Net, with its skips and without, beside a pre-trained encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vislab import models, tasks
from vislab.errors import OptionError
from vislab.lab.training_recipe import AnnotatedRecipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, literature
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from torch import nn

    from vislab.lab.bench import Lab

ISIC = Protocol(data="isic2017", train=2000, test=600, metric="dice")
NETWORKS = ("unet", "no-skips", "encoder-unet")


@dataclass(frozen=True)
class SegmentUnet(AnnotatedRecipe):
    """Segment images with U-Net, with its skips and without, beside a pre-trained encoder.

    The data is a folder of images and one of masks (see `vislab data check FOLDER`), a set in
    COCO's form, or the offline world. Images are shown whole, at `size` pixels, or with `tile` in
    windows cut from that size. Scores are means over images, the worst images stand on top.

    Source: Computer Vision Lab (lesions of the skin, ISIC); Advanced Deep Learning for Computer
    Vision (U-Net and its skips). Ronneberger, Fischer and Brox 2015, arXiv:1505.04597.

    Question: Without its skips, which part of an object will the network get wrong: its middle or
    its border?
    Look at: The worst cases of unet and of no-skips: where are the orange and the blue pixels?
    Look at: Dice and Hausdorff distance: which of the two punishes one far pixel?
    Exercise: A mask has 100 pixels. The network says 80 of them and 20 others. What is its Dice?
    Answer: 0.8
    Exercise: And its Jaccard index (intersection over union)?
    Answer: 0.667
    """

    group = "Dense prediction and detection"

    data: str = "shapes"
    """A folder of images and masks, COCO annotations, or the offline world."""
    limit: int | None = 2000
    tile: int | None = None
    """Learn from windows of so many pixels in place of whole images."""
    one_class: bool = True
    """Take all objects as one class, against the background."""
    networks: tuple[str, ...] = ("unet", "no-skips")
    """Which: unet, no-skips (the same, all skips cut), encoder-unet (over a network by name)."""
    cut: tuple[int, ...] = ()
    """Skips of `unet` that are cut, 0 at full size."""
    width: int = 16
    """Channels of U-Net at full size."""
    depth: int = 4
    """How often it halves."""
    encoder: str = "resnet18"
    """The network, of timm's, under encoder-unet."""
    pretrained: bool = False
    """Begin encoder-unet from ImageNet's weights, fetched if need be."""
    start: Path | None = None
    """A run of `autoencoder` (convolutional, as wide) to begin U-Net's contracting path from."""
    loss: str = "dice+cross-entropy"
    """cross-entropy, dice, dice+cross-entropy, focal or tversky."""
    optim: Optim = Optim("adamw", lr=3e-3, weight_decay=1e-2, schedule="one-cycle")
    explained: int = 4
    """Test images for which a map shows why regions were named so; some seconds each."""

    references = (
        literature("unet/test/dice", 0.84, "ISIC 2017, .82 to .85 in papers", protocol=ISIC),
    )
    claims = (
        claim("skips make the answer better", "skips: gain in Dice", at_least=1e-4),
        claim("the border gains most", "skips: pixels of Hausdorff distance saved", at_least=1e-3),
    )
    quick = {"limit": 400, "epochs": 6, "size": 48, "width": 12}
    smoke = {
        "limit": 6, "epochs": 1, "size": 32, "explained": 1, "width": 4, "batch": 3,
        "networks": NETWORKS,
        "encoder": "test_resnet",
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train each, test each, compare."""
        from vislab.inspection.dense import explain_segmentation

        images = lab.annotated(
            self.data, wanted="masks", size=self.size, limit=self.limit,
            validation=self.validation, skip_bad=self.skip_bad,
        )  # fmt: skip
        if self.one_class:
            images = images.merged()
        found = lab.variants(
            self.networks,
            lambda name: tasks.Segment(
                self.network(name, len(images.classes)), self.optim, loss=self.loss
            ),
            images, of=NETWORKS,
            fit={"epochs": self.epochs, "batch": self.batch, "augment": self.augment,
                 "tile": self.tile},
        )  # fmt: skip
        best = found.keep()
        lab.record("test/dice", best.outcome.mean("dice"))
        explain_segmentation(lab, best.task.network, best.table, best.outcome, count=self.explained)
        found.compare()
        found.gain("skips: gain in Dice", "unet", over="no-skips")
        found.gain("skips: pixels of Hausdorff distance saved", "no-skips", over="unet",
                   score="hausdorff95")  # fmt: skip

    def network(self, name: str, classes: int) -> "nn.Module":
        """Build one of the networks."""
        if name == "encoder-unet":
            return models.create(
                "encoder-unet", classes=classes, encoder=self.encoder, pretrained=self.pretrained
            )
        cut = tuple(range(self.depth)) if name == "no-skips" else self.cut
        network = models.create(
            "unet", classes=classes, width=self.width, depth=self.depth, cut=cut
        )
        if self.start is not None and not models.take_part(network, self.start, "down"):
            raise OptionError(
                f"--start {self.start} holds no contracting path that fits; train "
                f"`vislab run autoencoder` with --width {self.width} --depth {self.depth + 1}"
            )
        return network
