"""Fine-tune a pre-trained network on any images: the one command for one's own folder."""

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from vislab import data, runs, tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.profiling.auto_config import Choice

HEAD_EPOCHS = 60  # of features that are computed once: seconds


@dataclass(frozen=True)
class Finetune(LabelledImages):
    """Fine-tune a pre-trained network on your images, and see how far to believe it.

    First the head alone learns, on features that are computed once. Then, where there are images
    and time enough, more of the network moves, beginning from that head (Kumar et al. 2022,
    arXiv:2202.10054: fine-tuning from a random head spoils good features). Both are tested on the
    same images; the one that did better on validation images is kept for `vislab predict`.
    Network, size, strategy, learning rate, batch and epochs are chosen from how many images
    there are and what this machine does in the time given, unless you say otherwise.

    Source: Recognition course, laboratory ("select a model that fits your computational
    capabilities").

    Question: The network has seen a million photos, but none of yours. How far do its features
    carry: what will the head alone reach?
    Look at: What was chosen, and why.
    Look at: The networks compared: is the gain of moving more than the head larger than chance?
    Look at: Where it looked: is it at the thing, or at something that came along with it?
    Exercise: A head maps 1280 features to 10 classes, with a bias. How many weights is that?
    Answer: 12810
    Exercise: 2000 images in batches of 32: how many steps has an epoch?
    Answer: 63
    """

    group = "Classification"

    data: str = "eurosat"
    """A name of the catalogue, a folder with a folder for each class, or a zip."""
    per_class: int | None = None
    """Training images of each class; None takes all."""
    network: str | None = None
    """efficientnet-lite0, torchvision:NAME, timm:NAME, hf:NAME or a run folder; None chooses."""
    size: int | None = None
    """Side of the images in pixels; None chooses."""
    strategy: str | None = None
    """After the head: head, last-blocks:N, all, layer-decay:D, gradual; None chooses."""
    epochs: int | None = None
    """Of fine-tuning; None chooses."""
    batch: int | None = None
    """Batch size; None tries what fits."""
    lr: float | None = None
    """Learning rate of fine-tuning; None takes one that suits the strategy."""
    find_lr: bool = False
    """Look for the learning rate by raising it until the loss bursts."""
    augment: Augment = Augment(resized_crop=0.5, flip=True)
    """What training images go through when more than the head moves."""

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
        from vislab.lab.variants import Variants

        choice = self.chosen(lab)
        lab.say(choice.reason)
        lab.note(f"Chosen: {choice.reason}")
        images = self.open_images(lab, size=choice.size, validation=0.1)
        model, groups, images = lab.create_model(
            choice.network, images, pretrained=choice.pretrained
        )
        lab.show(
            "training images",
            runs.figures.image_grid(data.preview(images, self.augment, 16), columns=8),
            caption="As they reach the network when more than its head is trained: "
            f"{self.augment.describe()}.",
        )
        head_only = choice.strategy in ("head", "none")
        lab.plan(fits=1 if head_only or not choice.pretrained else 2)
        found = Variants(lab, "trainings")
        if choice.pretrained or head_only:
            head = Strategy.parse("head")
            optim = Optim("adamw", lr=head.rate, weight_decay=0.05, schedule="cosine")
            task = tasks.Classify(model, optim, strategy=head, groups=groups)
            found["head"] = lab.variant(
                task, images, name="head", examine=False, epochs=HEAD_EPOCHS, batch=64,
                augment=Augment(flip=True),
            )  # fmt: skip
        if not head_only:
            # From random weights batch normalisation must learn its averages: no strategy.
            held = choice.pretrained or choice.strategy != "all"
            task = tasks.Classify(
                copy.deepcopy(model) if found else model,
                Optim("adamw", weight_decay=0.05, schedule="one-cycle", clip=1.0),
                strategy=Strategy.parse(choice.strategy) if held else None,
                groups=groups if held else None,
                label_smoothing=0.1,
            )
            batch, lr = self.batch_and_lr(lab, task, images, choice)
            task.optim = replace(task.optim, lr=lr)
            found["fine-tuned"] = lab.variant(
                task, images, name="fine-tuned", examine=False, epochs=choice.epochs, batch=batch,
                augment=self.augment,
            )  # fmt: skip
        if len(found) > 1:
            found.compare()
            found.gain("fine-tuned: gain in accuracy", "fine-tuned", over="head")
        best = found.conclude()
        lab.why(best.task, best.table, best.outcome)

    def chosen(self, lab: "Lab") -> "Choice":
        """Choose what is left open; a resumed run keeps what it chose."""
        from vislab.profiling import auto_config

        survey = data.survey(
            self.data, per_class=self.per_class, validation=0.1, labels=self.labels
        )
        given: Any = {"network": self.network, "size": self.size, "strategy": self.strategy,
                      "epochs": self.epochs}  # fmt: skip
        found = lab.once(
            "choice", lambda: asdict(auto_config.choose(survey, lab.minutes, lab.device, **given))
        )
        return auto_config.Choice(**found)

    def batch_and_lr(
        self, lab: "Lab", task: "tasks.Classify", images: "Table", choice: "Choice"
    ) -> tuple[int, float]:
        """Return the batch and the learning rate, given, found by trial or known to suit."""
        from vislab.profiling import tuner

        def fitting() -> dict[str, int]:
            count = len(images.split("train"))
            largest = tuner.largest_batch(task, choice.size, lab.device, images=count)
            return {"batch": min(largest, 64)}

        batch = self.batch or int(lab.once("batch", fitting)["batch"])
        if not self.find_lr:
            usual = task.strategy.rate if task.strategy is not None else 1e-3
            return batch, self.lr or usual
        batches = data.Batches(
            images, batch, seed=lab.seed, augment=self.augment, device=lab.device
        )
        found = lab.once("learning rate", lambda: tuner.lr_range_test(task, tuner.rounds(batches)))
        lab.show(
            "finding the learning rate",
            runs.figures.curves(
                {"loss": (found["lrs"], found["losses"])},
                x="learning rate", y="smoothed loss, nats", log_x=True,
            ),
            caption=f"The rate rises from step to step; chosen: {found['lr']:.2g}, a tenth of "
            "the learning rate of the lowest loss.",
        )  # fmt: skip
        return batch, float(found["lr"])
