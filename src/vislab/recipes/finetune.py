"""Fine-tune a pre-trained network on any pictures: the one command for one's own folder."""

import copy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from vislab import data, runs, tasks
from vislab.data.augment import Augment
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab
    from vislab.profiling.auto_config import Choice
    from vislab.tasks.classify import Classify

HEAD_EPOCHS = 60  # of features that are computed once: seconds


@dataclass(frozen=True)
class Finetune(Recipe):
    """Fine-tune a pre-trained network on your pictures, and see how far to believe it.

    First the head alone learns, on features that are computed once. Then, where there are pictures
    and time enough, more of the network moves, beginning from that head (Kumar et al. 2022,
    arXiv:2202.10054: fine-tuning from a random head spoils good features). Both are tested on the
    same pictures; the one that did better on validation pictures is kept for `vislab predict`.
    Network, size, strategy, rate, batch and epochs are chosen from how many pictures there are and
    what this machine does in the time given, unless you say otherwise.

    Source: Recognition course, laboratory ("select a model that fits your computational
    capabilities").

    Question: The network has seen a million photos, but none of yours. How far do its features
    carry: what will the head alone reach?
    Look at: What was chosen, and why.
    Look at: The networks compared: is the gain of moving more than the head larger than chance?
    Look at: Where it looked: is it at the thing, or at something that came along with it?
    Exercise: A head maps 1280 features to 10 classes, with a bias. How many weights is that?
    Answer: 12810
    Exercise: 2000 pictures in batches of 32: how many steps has an epoch?
    Answer: 63
    """

    group = "Classification"

    data: str = "eurosat"
    """A name of the catalogue, a folder with a folder for each class, or a zip."""
    per_class: int | None = None
    """Training pictures of each class; None takes all."""
    network: str | None = None
    """efficientnet-lite0, torchvision:NAME, timm:NAME, hf:NAME or a run folder; None chooses."""
    size: int | None = None
    """Side of the pictures in pixels; None chooses."""
    strategy: str | None = None
    """After the head: head, last-blocks:N, all, layer-decay:D, gradual; None chooses."""
    epochs: int | None = None
    """Of fine-tuning; None chooses."""
    batch: int | None = None
    """Table in a step; None tries what fits."""
    lr: float | None = None
    """Learning rate of fine-tuning; None takes one that suits the strategy."""
    find_rate: bool = False
    """Look for the rate by raising it until the loss bursts."""
    augment: Augment = field(default_factory=lambda: Augment(resized_crop=0.5, flip=True))
    """What training pictures go through when more than the head moves."""

    claims = (
        claim("moving more than the head helps", "fine-tuned: gain in accuracy", at_least=1e-4),
    )
    quick = {"data": "shapes:easy", "per_class": 20, "size": 64, "epochs": 3}
    smoke = {
        "data": "digits", "per_class": 4, "size": 32, "epochs": 1, "batch": 8,
        "strategy": "last-blocks:1", "network": "efficientnet-lite0",
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Choose, train the head, train more, compare, show why."""
        choice = self.chosen(lab)
        lab.say(choice.reason)
        lab.note(f"Chosen: {choice.reason}")
        pictures = lab.pictures(
            self.data, per_class=self.per_class, size=choice.size, validation=0.1
        )
        model, anatomy, pictures = lab.adopt(choice.network, pictures, pretrained=choice.pretrained)
        lab.show(
            "training pictures",
            runs.figures.picture_grid(data.preview(pictures, self.augment, 16), columns=8),
            caption=f"As they reach the network when more than its head is trained: "
            f"{self.augment.describe()}.",
        )
        heads_only = choice.strategy in ("head", "none")
        lab.plan(fits=1 if heads_only or not choice.pretrained else 2)
        outcomes: dict[str, Outcome] = {}
        trained: list[tuple[float, str, Classify]] = []
        if choice.pretrained or heads_only:
            strategy = Strategy.parse("head")
            optim = Optim("adamw", lr=strategy.rate, weight_decay=0.05, schedule="cosine")
            task = tasks.Classify(model, optim, strategy=strategy, anatomy=anatomy)
            score = lab.fit(
                task, pictures, epochs=HEAD_EPOCHS, batch=64, augment=Augment(flip=True),
                name="head",
            )  # fmt: skip
            outcomes["head"] = lab.test(task, pictures, name="head", examine=False)
            trained.append((score or 0.0, "head", task))
        if not heads_only:
            held = choice.pretrained or choice.strategy != "all"
            task = tasks.Classify(
                copy.deepcopy(model) if trained else model,
                Optim("adamw", weight_decay=0.05, schedule="one-cycle"),
                # From random weights batch normalisation must learn its averages: no strategy.
                strategy=Strategy.parse(choice.strategy) if held else None,
                anatomy=anatomy if held else None,
                label_smoothing=0.1,
            )
            batch, rate = self.batch_and_rate(lab, task, pictures, choice)
            task.optim = Optim("adamw", lr=rate, weight_decay=0.05, schedule="one-cycle", clip=1.0)
            score = lab.fit(
                task, pictures, epochs=choice.epochs, batch=batch, augment=self.augment,
                name="fine-tuned",
            )  # fmt: skip
            outcomes["fine-tuned"] = lab.test(task, pictures, name="fine-tuned", examine=False)
            trained.append((score or 0.0, "fine-tuned", task))
        self.conclude(lab, pictures, outcomes, trained)

    def chosen(self, lab: "Lab") -> "Choice":
        """Choose what is left open; a resumed run keeps what it chose."""
        from vislab.profiling import auto_config

        survey = data.survey(self.data, per_class=self.per_class, validation=0.1)
        found = lab.once(
            "choice",
            lambda: asdict(
                auto_config.choose(
                    survey, lab.minutes, lab.device, network=self.network, size=self.size,
                    strategy=self.strategy, epochs=self.epochs,
                )
            ),
        )  # fmt: skip
        return auto_config.Choice(**found)

    def batch_and_rate(
        self, lab: "Lab", task: "Classify", pictures: "Table", choice: "Choice"
    ) -> tuple[int, float]:
        """Return the batch and the rate, given, found by trial or known to suit."""
        from vislab.profiling import tuner

        count = len(pictures.split("train"))
        batch = self.batch or int(
            lab.once(
                "batch",
                lambda: {
                    "batch": min(
                        tuner.largest_batch(task, choice.size, lab.device, pictures=count), 64
                    )
                },
            )["batch"]
        )
        rate = self.lr or (task.strategy.rate if task.strategy is not None else 1e-3)
        if self.find_rate:
            batches = data.Batches(
                pictures, batch, seed=lab.seed, augment=self.augment, device=lab.device
            )
            found = lab.once("rate", lambda: tuner.rate_test(task, tuner.rounds(batches)))
            rate = float(found["rate"])
            lab.show(
                "finding the learning rate",
                runs.figures.curves(
                    {"loss": (found["rates"], found["losses"])},
                    x="learning rate", y="smoothed loss, nats", log_x=True,
                ),
                caption=f"The rate rises from step to step; chosen: {rate:.2g}, a tenth of the "
                "rate of the lowest loss.",
            )  # fmt: skip
        return batch, rate

    def conclude(
        self,
        lab: "Lab",
        pictures: "Table",
        outcomes: "dict[str, Outcome]",
        trained: "list[tuple[float, str, Classify]]",
    ) -> None:
        """Compare, keep the better one on validation pictures, and show where it looked."""
        score, name, task = max(trained, key=lambda found: found[0])
        if len(outcomes) > 1:
            from vislab.evaluate.comparison import compare

            gain, interval = runs.paired_bootstrap(
                outcomes["head"].correct, outcomes["fine-tuned"].correct
            )
            lab.record("fine-tuned: gain in accuracy", gain, interval=interval)
            compare(lab, outcomes, what="trainings")
            lab.note(
                f"Kept for `vislab predict`: {name}, the better on the validation pictures "
                f"({score:.1%})."
            )
        lab.record("val/accuracy", score, trivial=1 / len(pictures.classes))
        lab.keep(task, pictures)
        outcome = lab.test(task, pictures, outcome=outcomes[name])
        lab.why(task, pictures, outcome)
