"""Colour for grey pictures, by regression and by classes of colour."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import OptionError, pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.evaluate.reconstruction import Repainted
    from vislab.lab.bench import Lab

WAYS = ("regression", "class-bins")


@dataclass(frozen=True)
class Colorize(Recipe):
    """Give grey pictures colours, and see why the square of the error makes them brown.

    The network is shown the lightness and asked for the colours, as two numbers a place
    (regression) or as one of some three hundred bins, rare colours weighing more (class-bins). A
    pre-trained network's answer to the grey picture can stand beside every place. `vislab predict`
    colours your own pictures.

    Source: Computer Vision Lab. Baldassarre et al. 2017, arXiv:1712.03400; Zhang et al. 2016,
    arXiv:1603.08511.

    Question: A car may be red or blue, and grey says nothing of it. Which colour has the smallest
    expected square error?
    Look at: The sheets: which of the two dares more, and which is nearer on average?
    Look at: Colourfulness beside that of the true pictures.
    Exercise: The lightness of a pixel is known and its two colours are guessed as grey. Which share
    of the three numbers of Lab is right?
    Answer: 0.333
    Exercise: Two colours are equally likely, a = −40 and a = 40. Which a has the smallest expected
    square error?
    Answer: 0
    """

    group = "Dense prediction and detection"

    data: str = "cifar10"
    """A name of the catalogue, or any folder or zip of colour pictures: labels are not used."""
    limit: int | None = 10_000
    """Training pictures, drawn; None takes all."""
    size: int = 32
    """Side of the pictures in pixels."""
    ways: tuple[str, ...] = WAYS
    """Which: regression, class-bins."""
    embedder: str | None = "efficientnet-lite0"
    """A network by name whose answer is joined in the middle; None joins none."""
    width: int = 32
    """Channels at full size."""
    optim: Optim = field(default_factory=lambda: Optim("adamw", lr=2e-3, schedule="one-cycle"))
    batch: int = 32
    """Table in a step."""
    epochs: int = 15
    """Times through the training pictures."""
    augment: Augment = field(default_factory=lambda: Augment(flip=True))
    """What training pictures go through."""

    claims = (
        claim("bins of colour make pictures more colourful than regression",
              "class-bins: colourfulness gained", at_least=1e-3),
    )  # fmt: skip
    quick = {"data": "shapes:easy", "limit": 500, "epochs": 8, "width": 16}
    smoke = {
        "data": "digits", "limit": 20, "epochs": 1, "size": 16, "width": 4, "batch": 5,
        "embedder": None,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train both ways, paint pictures never seen, compare."""
        from vislab.evaluate.reconstruction import compare_repainted, judge_repainting

        for way in self.ways:
            pick({known: known for known in WAYS}, way, "way to colour")
        if not self.ways:
            raise OptionError(f"--ways names none; take some of {', '.join(WAYS)}")
        pictures = lab.pictures(
            self.data, per_class=self.limit, size=self.size, validation=0.1, labelled=False
        )
        lab.plan(fits=len(self.ways))
        found: dict[str, Repainted] = {}
        trained: dict[str, Any] = {}
        for way in self.ways:
            task = self.built(way, pictures)
            lab.fit(
                task, pictures, epochs=self.epochs, batch=self.batch, augment=self.augment, name=way
            )
            found[way] = judge_repainting(lab, task, pictures, name=way)
            trained[way] = task
        lab.record("grey/test/psnr", float(found[self.ways[0]].psnr_before.mean()))
        lab.keep(trained[self.ways[-1]], pictures)
        lab.note(f"Kept for `vislab predict`: {self.ways[-1]}.")
        compare_repainted(lab, found)
        if found.keys() >= set(WAYS):
            gain, interval = runs.paired_bootstrap(
                found["regression"].colourfulness, found["class-bins"].colourfulness
            )
            lab.record("class-bins: colourfulness gained", gain, interval=interval)

    def built(self, way: str, pictures: "Table") -> Any:
        """Build one of the two; the shares of colours are those of the training pictures."""
        from vislab.evaluate.reconstruction import colour_shares
        from vislab.models.colorizer import colour_bins

        network: Any = models.create(
            "colorizer", classes=2 if way == "regression" else len(colour_bins()),
            width=self.width, embedder=self.embedder,
            pretrained=self.embedder is not None and models.has_weights(self.embedder),
        )  # fmt: skip
        shares = None if way == "regression" else colour_shares(network, pictures)
        mean, deviation = pictures.normalisation
        return tasks.Colorize(network, self.optim, mean=mean, deviation=deviation, shares=shares)
