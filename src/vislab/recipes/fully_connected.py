"""Fully connected networks of any depth, and what the update rule and dropout do to them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import evaluate, runs
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.twin import Pair
    from vislab.scratch import FullyConnectedNet

SOURCE = "EECS 498/598, assignment 3"
COURSE = Protocol(
    data="cifar10", train=20_000, pixels="official files", size=32, network="fully-connected",
    augmentation="none", optimiser="sgd 0.005", schedule="×0.95 an epoch", batch=512,
    metric="accuracy",
)  # fmt: skip
# Each rule with a learning rate that suits it on centred pixels in [0, 1].
RULES = {"sgd": 1e-1, "sgd_momentum": 3e-2, "rmsprop": 3e-4, "adam": 1e-3}


@dataclass(frozen=True)
class FullyConnected(LabelledImages):
    """Train Linear-ReLU layers by hand: four update rules on one plot, with and without dropout.

    All four rules begin with the same weights and see the same batches. Then the network is
    trained twice as long as the courses do, once without and once with dropout: it is large enough
    to learn its training images by heart, which dropout keeps it from.

    Source: EECS 498/598, assignment 3; CS231n, assignment 2.

    Question: With half of the hidden units dropped at random, will the training accuracy be higher
    or lower than without?
    Look at: The four update rules: which is fastest in the first epoch, which is best in the last?
    Look at: Dropout on and off: how far is training accuracy above validation accuracy?
    Look at: The last layers' accuracies on the test images: is the difference larger than its
    interval?
    Exercise: Adam's first step from zero averages, with any gradient that is not zero and learning
    rate 0.001: how large is the step?
    Answer: 0.001
    Exercise: Inverted dropout with p = 0.75 keeps a number 8. What does it become?
    Answer: 32
    """

    group = "Foundations by hand"

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; all images to test on are kept."""
    size: int = 32
    """Side of the images in pixels."""
    engine: str = "scratch"
    """Who derives the gradients: scratch (by hand) or autograd."""
    hidden: tuple[int, ...] = (1024, 512)
    """Widths of the hidden layers; the course's best had one of 512."""
    normalization: str = "batchnorm"
    """Between layers: none, batchnorm or layernorm."""
    dropout: float = 0.3
    """Share of hidden numbers dropped, in the network that drops."""
    reg: float = 1e-6
    """Penalty on the squared weights."""
    rule: str = "adam"
    """Update rule of the long trainings: sgd, sgd_momentum, rmsprop or adam."""
    learning_rate: float = 1e-3
    """Of their first epoch."""
    decay: float = 0.85
    """The learning rate is multiplied by it after every epoch."""
    batch: int = 128
    """Batch size: images in a step."""
    epochs: int = 20
    """Epochs, passes over the training set, in the long trainings."""
    rule_epochs: int = 3
    """Epochs with each of the four update rules."""

    references = (course("val/accuracy", 0.502, SOURCE, protocol=COURSE),)
    claims = (
        claim("dropout narrows the gap", "dropout: change of the gap", at_most=-1e-4),
        claim("dropout helps on new images", "dropout: gain in accuracy", at_least=1e-4),
        claim("Adam is ahead of plain SGD", "adam: lead over sgd", at_least=1e-4),
    )
    quick = {
        "data": "shapes:easy", "per_class": 100, "hidden": (200, 100), "epochs": 20,
        "rule_epochs": 8, "batch": 50,
    }  # fmt: skip
    course_protocol = {
        "hidden": (512,), "normalization": "none", "dropout": 0.5, "rule": "sgd",
        "learning_rate": 5e-3, "decay": 0.95, "batch": 512,
    }  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 4, "hidden": (12, 8), "epochs": 2, "rule_epochs": 1,
        "batch": 20,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Compare update rules, then train with and without dropout and test both."""
        from vislab.tasks.engines import ByHand

        images = self.images(lab)
        lab.plan(fits=2 + len(RULES))
        self.compare_rules(lab, images)
        tasks, solvers, outcomes, gaps = {}, {}, {}, {}
        for name, dropout in (("without dropout", 0.0), ("with dropout", self.dropout)):
            network = self.network(lab, len(images.classes), dropout=dropout)
            task = tasks[name] = ByHand(network, self.engine)
            solver = solvers[name] = lab.solve(
                task, images, rule=self.rule, config={"learning_rate": self.learning_rate},
                epochs=self.epochs, batch=self.batch, decay=self.decay, name=name,
            )  # fmt: skip
            outcomes[name] = lab.test(task, images, name=name, examine=False)
            gaps[name] = last(solver.train_acc_history) - last(solver.val_acc_history)
        self.show_dropout(lab, list(solvers))
        plain, dropped = outcomes.values()
        gain, interval = dropped.gain_over(plain)
        lab.record("dropout: gain in accuracy", gain, interval=interval)
        lab.record("dropout: change of the gap", gaps["with dropout"] - gaps["without dropout"])

        # The one that is better on validation images is the run's own.
        best = max(solvers, key=lambda name: solvers[name].best_val_acc)
        lab.say(f"{best} is better on the validation images; it is kept and tested")
        lab.keep(tasks[best], images)
        lab.test(tasks[best], images, split="val")
        lab.test(tasks[best], images, outcome=outcomes[best])

    def compare_rules(self, lab: "Lab", images: "Table") -> None:
        """Train with each update rule from the same weights on the same batches."""
        from vislab.tasks.engines import ByHand

        losses, accuracies = {}, {}
        for rule, rate in RULES.items():
            task = ByHand(self.network(lab, len(images.classes)), self.engine)
            solver = lab.solve(
                task, images, rule=rule, config={"learning_rate": rate},
                epochs=self.rule_epochs, batch=self.batch, name=f"rule {rule}", order="rules",
            )  # fmt: skip
            losses[rule] = runs.figures.smoothed(solver.loss_history, 20)
            accuracies[rule] = solver.val_acc_history
        lab.show(
            "four update rules: loss",
            runs.figures.curves(losses, x="step", y="loss"),
            caption="The same weights at the start, the same batches; mean over 20 steps.",
        )
        lab.show(
            "four update rules: validation accuracy",
            runs.figures.curves(
                {rule: (range(1, len(v) + 1), v) for rule, v in accuracies.items()},
                x="epoch", y="validation accuracy", share=True,
            ),
        )  # fmt: skip
        ahead, behind = last(accuracies["adam"]), last(accuracies["sgd"])
        # As if the two were measured on different images, which is wider than it need be.
        spread = sum(p * (1 - p) for p in (ahead, behind)) / max(len(images.split("val")), 1)
        lead, reach = ahead - behind, 1.96 * spread**0.5
        lab.record("adam: lead over sgd", lead, interval=(lead - reach, lead + reach))

    def show_dropout(self, lab: "Lab", names: list[str]) -> None:
        """Draw training and validation accuracy of both networks."""
        from vislab.runs.figures import BLUE, VERMILLION

        lines = {
            f"{side}, {name.removesuffix(' dropout')}": curve
            for side, metric in (("training", "train/accuracy"), ("validation", "val/accuracy"))
            for name, curve in evaluate.curves_of(lab, names, metric).items()
        }
        lab.show(
            "dropout on and off",
            runs.figures.curves(
                lines, x="epoch", y="accuracy", share=True,
                colours={name: BLUE if "without" in name else VERMILLION for name in lines},
                dashed=[name for name in lines if name.startswith("training")],
            ),
            caption="Dashed: training images, drawn anew; full: validation images.",
        )  # fmt: skip

    def images(self, lab: "Lab") -> "Table":
        """Open the images; only their mean is taken away."""
        opened = self.open_images(lab, validation=0.2)
        return opened.centred()

    def network(self, lab: "Lab", classes: int, **changed: Any) -> "FullyConnectedNet":
        """Build the network by hand."""
        from vislab import scratch
        from vislab.ops.seeding import generator

        options: dict[str, Any] = {
            "hidden_dims": self.hidden, "input_dim": 3 * self.size**2, "num_classes": classes,
            "normalization": self.normalization, "reg": self.reg, "weight_scale": "kaiming",
            "generator": generator(lab.seed, "weights"), "device": lab.device,
        }  # fmt: skip
        return scratch.FullyConnectedNet(**(options | changed))

    def pair(self, lab: "Lab") -> "Pair":
        """Return the network with dropout in float64, and batches for its steps."""
        import torch

        from vislab.lab.twin import Pair, batches_of
        from vislab.tasks.engines import ByHand

        images, made = self.images(lab), {"dtype": torch.float64, "device": "cpu"}
        network = self.network(lab, len(images.classes), dropout=self.dropout, **made)
        batch = batches_of(images, ByHand(network), count=min(self.batch, 64))
        return Pair(network, batch, self.rule, {"learning_rate": self.learning_rate})


def last(history: list[float]) -> float:
    """Return the last value, NaN where a training ended before its first epoch did."""
    return history[-1] if history else float("nan")
