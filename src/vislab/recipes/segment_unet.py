"""U-Net: a label for every pixel, and what its skips are worth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import OptionError, pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, literature
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from torch import nn

    from vislab.data.annotated_pictures import AnnotatedPictures
    from vislab.evaluate.segmentation import Segmented
    from vislab.lab.bench import Lab

ISIC = Protocol(data="isic2017", train=2000, test=600, metric="dice")
NETWORKS = ("unet", "no-skips", "encoder-unet")


@dataclass(frozen=True)
class SegmentUnet(Recipe):
    """Segment pictures with U-Net, with its skips and without, beside a pre-trained encoder.

    The data is a folder of pictures and one of masks (see `vislab data check FOLDER`), a set in
    COCO's form, or the offline world. Pictures are shown whole, at `size` pixels, or with `tile` in
    windows cut from that size. Scores are means over pictures, the worst pictures stand on top.

    Source: Computer Vision Lab (lesions of the skin, ISIC); Advanced Deep Learning for Computer
    Vision (U-Net and its skips). Ronneberger, Fischer and Brox 2015, arXiv:1505.04597.

    Question: Without its skips, which part of a thing will the network get wrong: its middle or its
    border?
    Look at: The worst cases of unet and of no-skips: where are the orange and the blue pixels?
    Look at: Dice and Hausdorff distance: which of the two punishes one far pixel?
    Exercise: A mask has 100 pixels. The network says 80 of them and 20 others. What is its Dice?
    Answer: 0.8
    Exercise: And its Jaccard index (intersection over union)?
    Answer: 0.667
    """

    group = "Dense prediction and detection"

    data: str = "shapes"
    """A folder of pictures and masks, COCO annotations, or the offline world."""
    limit: int | None = 2000
    """Training pictures, the first so many; None takes all."""
    size: int = 64
    """Pixels that the longer side of a picture is made."""
    tile: int | None = None
    """Learn from windows of so many pixels in place of whole pictures."""
    one_class: bool = True
    """Take all things as one class, against the background."""
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
    optim: Optim = field(
        default_factory=lambda: Optim("adamw", lr=3e-3, weight_decay=1e-2, schedule="one-cycle")
    )
    batch: int = 16
    """Pictures in a step."""
    epochs: int = 10
    """Times through the training pictures."""
    augment: Augment = field(default_factory=lambda: Augment(flip=True, colour=0.2))
    """What training pictures go through; masks follow."""
    validation: float = 0.1
    """Share of the training pictures held out to choose the best epoch by, where no such side came;
    0 keeps the last epoch's weights."""
    explained: int = 4
    """Test pictures for which a map shows why regions were named so; some seconds each."""
    skip_bad: bool = False
    """Leave out pictures whose annotations cannot be used, in place of refusing them all."""

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
        for name in self.networks:
            pick({known: known for known in NETWORKS}, name, "network")
        if not self.networks:
            raise OptionError(f"--networks names none; take some of {', '.join(NETWORKS)}")
        pictures = lab.annotated(
            self.data, wanted="masks", size=self.size, limit=self.limit,
            validation=self.validation, skip_bad=self.skip_bad,
        )  # fmt: skip
        if self.one_class:
            pictures = pictures.merged()
        lab.plan(fits=len(self.networks))
        lab.rehearse(lambda name: self.built(name, pictures), self.networks)
        found: dict[str, Segmented] = {}
        kept: dict[str, tuple[float, Any, AnnotatedPictures]] = {}
        for name in self.networks:
            network = self.built(name, pictures)
            shown = pictures
            before: Any = getattr(network, "preprocessing", None)
            if before is not None:
                shown = pictures.normalised_by(before.mean, before.deviation)
            task = tasks.Segment(network, self.optim, loss=self.loss)
            score = lab.fit(
                task, shown, epochs=self.epochs, batch=self.batch, augment=self.augment,
                tile=self.tile, name=name,
            )  # fmt: skip
            found[name] = self.tested(lab, task, shown, name)
            kept[name] = (float(found[name].dice.mean()) if score is None else score, task, shown)
        best = max(kept, key=lambda name: kept[name][0])
        _, task, shown = kept[best]
        lab.keep(task, shown)
        lab.record("test/dice", float(found[best].dice.mean()))
        lab.note(f"Kept for `vislab predict`: {best}, the best on the validation pictures.")
        self.explain(lab, task, shown, found[best])
        self.compare(lab, found)

    def built(self, name: str, pictures: "AnnotatedPictures") -> "nn.Module":
        """Build one of the networks."""
        classes = len(pictures.classes)
        if name == "encoder-unet":
            return models.create(
                "encoder-unet", classes=classes, encoder=self.encoder, pretrained=self.pretrained
            )
        cut = tuple(range(self.depth)) if name == "no-skips" else self.cut
        network = models.create(
            "unet", classes=classes, width=self.width, depth=self.depth, cut=cut
        )
        if self.start is not None:
            taken = models.take_part(network, self.start, "down")
            if not taken:
                raise OptionError(
                    f"--start {self.start} holds no contracting path that fits; train "
                    f"`vislab run autoencoder` with --width {self.width} --depth {self.depth + 1}"
                )
        return network

    def tested(
        self, lab: "Lab", task: Any, pictures: "AnnotatedPictures", name: str
    ) -> "Segmented":
        """Test one network and file its pictures."""
        from vislab.evaluate.segmentation import judge_segmentation

        return judge_segmentation(lab, task, pictures, name=name)

    def explain(
        self, lab: "Lab", task: Any, pictures: "AnnotatedPictures", found: "Segmented"
    ) -> None:
        """Show why the largest regions have their class, and how far the maps can be believed."""
        from vislab.inspection.dense import explain_segmentation

        explain_segmentation(lab, task.network, pictures, found, count=self.explained)

    def compare(self, lab: "Lab", found: "dict[str, Segmented]") -> None:
        """Put the networks in one table, and what the skips gain beside it."""
        from vislab.evaluate.segmentation import compare_segmented

        compare_segmented(lab, found)
        if {"unet", "no-skips"} <= found.keys():
            gain, interval = runs.paired_bootstrap(found["no-skips"].dice, found["unet"].dice)
            lab.record("skips: gain in Dice", gain, interval=interval)
            saved, interval = runs.paired_bootstrap(
                found["unet"].hausdorff, found["no-skips"].hausdorff
            )
            lab.record("skips: pixels of Hausdorff distance saved", saved, interval=interval)
