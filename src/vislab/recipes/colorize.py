"""Colour for grey images, by regression and by classes of colour."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import models, tasks
from vislab.lab.training_recipe import TrainingRecipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab

WAYS = ("regression", "class-bins")


@dataclass(frozen=True)
class Colorize(TrainingRecipe):
    """Give grey images colours, and see why the square of the error makes them brown.

    The network is shown the lightness and asked for the colours, as two numbers a place
    (regression) or as one of some three hundred bins, rare colours weighing more (class-bins). A
    pre-trained network's answer to the grey image can stand beside every place. `vislab predict`
    colours your own images.

    Source: Computer Vision Lab. Baldassarre et al. 2017, arXiv:1712.03400; Zhang et al. 2016,
    arXiv:1603.08511.

    Question: A car may be red or blue, and grey says nothing of it. Which colour has the smallest
    expected square error?
    Look at: The sheets: which of the two dares more, and which is nearer on average?
    Look at: Colourfulness beside that of the true images.
    Exercise: The lightness of a pixel is known and its two colours are guessed as grey. Which share
    of the three numbers of Lab is right?
    Answer: 0.333
    Exercise: Two colours are equally likely, a = −40 and a = 40. Which a has the smallest expected
    square error?
    Answer: 0
    """

    group = "Dense prediction and detection"

    data: str = "cifar10"
    """A name of the catalogue, or any folder or zip of colour images: labels are not used."""
    limit: int | None = 10_000
    """Training images, drawn; None takes all."""
    ways: tuple[str, ...] = WAYS
    """Which: regression, class-bins."""
    embedder: str | None = "efficientnet-lite0"
    """A network by name whose answer is joined in the middle; None joins none."""
    width: int = 32
    """Channels at full size."""
    optim: Optim = Optim("adamw", lr=2e-3, schedule="one-cycle")
    batch: int = 32
    epochs: int = 15

    claims = (
        claim("bins of colour make images more colourful than regression",
              "class-bins: colourfulness gained", at_least=1e-3),
    )  # fmt: skip
    quick = {"data": "shapes:easy", "limit": 500, "epochs": 8, "width": 16}
    smoke = {
        "data": "digits", "limit": 20, "epochs": 1, "size": 16, "width": 4, "batch": 5,
        "embedder": None,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train both ways, paint images never seen, compare."""
        images = lab.images(
            self.data, per_class=self.limit, size=self.size, validation=0.1, labelled=False
        )
        found = lab.variants(
            self.ways, lambda way: self.task(way, images), images, of=WAYS, what="ways",
            fit={"epochs": self.epochs, "batch": self.batch, "augment": self.augment},
        )  # fmt: skip
        # Not the best by decibels: those reward the way that dares least.
        last = found.keep(self.ways[-1])
        lab.record("grey/test/psnr", last.outcome.trivial["psnr"])
        found.compare()
        found.gain("class-bins: colourfulness gained", "class-bins", over="regression",
                   score="colourfulness")  # fmt: skip

    def task(self, way: str, images: "Table") -> "tasks.Colorize":
        """Build one of the two; the shares of colours are those of the training images."""
        from vislab.evaluate.reconstruction import colour_shares
        from vislab.models.colorizer import colour_bins

        network: Any = models.create(
            "colorizer", classes=2 if way == "regression" else len(colour_bins()),
            width=self.width, embedder=self.embedder,
            pretrained=self.embedder is not None and models.has_weights(self.embedder),
        )  # fmt: skip
        shares = None if way == "regression" else colour_shares(network, images)
        mean, std = images.normalisation
        return tasks.Colorize(network, self.optim, mean=mean, std=std, shares=shares)
