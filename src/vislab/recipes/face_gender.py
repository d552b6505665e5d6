"""Gender from faces: the course's task, with the numbers that say what it is worth."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import DataError, OptionError
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    import numpy as np

    from vislab.data.pictures import HowToSplit
    from vislab.data.table import Table
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab

COURSE = Protocol(
    data="lfw", train=10_585, test=2_648, size=100, pixels="official files", metric="accuracy"
)
CAUTION = (
    "These labels were read off faces and names by others, as one of two. A network that repeats "
    "them says nothing of how a person understands themself; do not use it on people."
)


@dataclass(frozen=True)
class FaceGender(Recipe):
    """Tell two genders apart in faces: within a budget of parameters, and for people not met.

    Two networks, a large one and one under 100 000 parameters, and two ways to split the pictures.
    The course draws pictures: most people to test on have been met while training. Drawn by
    person, nobody has. Beside the accuracy stand what always guessing the larger group scores, the
    mean over both groups (balanced accuracy) and the error in each. No faces are shown.

    Source: Computer Vision Lab, challenge (> 98 %; > 95 % under 100 000 parameters).

    Question: Three quarters of the pictures show men. What accuracy has a network that looks at
    nothing?
    Look at: The errors of the two groups: which one pays for the imbalance?
    Look at: People met while training, and people not: what of the accuracy was recognising them?
    Exercise: Of 100 pictures 78 show men. A network has 76 of these right and 11 of the others.
    What is its balanced accuracy in per cent, to the nearest whole number?
    Answer: 74
    Exercise: A depthwise 3×3 convolution of 48 channels and a 1×1 convolution to 72: how many
    weights together, without biases?
    Answer: 3888
    """

    group = "Classification"

    data: str = "lfw"
    """A name of the catalogue, a folder or a zip; groups (people) as a column of its labels.csv."""
    per_class: int | None = None
    """Training pictures of each class; None takes all."""
    size: int = 72
    """Side of the pictures in pixels."""
    budget: int = 100_000
    """Parameters that the small network may have."""
    networks: tuple[str, ...] = ("compact", "large")
    """Which: compact, large."""
    splits: tuple[str, ...] = ("picture", "person")
    """How pictures are split: by picture, as the course does, by person, or both."""
    width: int = 24
    """Of the large network, a ResNet-9."""
    optim: Optim = field(
        default_factory=lambda: Optim(
            "adamw", lr=4e-3, weight_decay=0.05, schedule="one-cycle", ema=0.99
        )
    )
    batch: int = 64
    """Pictures in a step."""
    epochs: int = 20
    """Of the compact network."""
    large_epochs: int = 10
    """Of the large one."""
    augment: Augment = field(default_factory=lambda: Augment(crop=0.08, flip=True, colour=0.3))
    """What training pictures go through."""

    references = (
        course("compact, by picture/test/accuracy", 0.95, "goal of the course, under 100 000 "
               "parameters", protocol=COURSE),
        course("large, by picture/test/accuracy", 0.98, "goal of the course", protocol=COURSE),
    )  # fmt: skip
    claims = (
        claim(
            "part of the accuracy is recognising people",
            "compact: accuracy lost on people not met",
            at_least=1e-4,
        ),
    )
    quick = {
        "data": "shapes:easy", "per_class": 60, "epochs": 10, "networks": ("compact",),
        "splits": ("picture",), "size": 32,
    }  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 2, "epochs": 1, "large_epochs": 1, "width": 4,
        "size": 16, "batch": 10,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train both networks on both splits, and take the accuracies apart."""
        lab.note(CAUTION)
        ways: dict[str, HowToSplit] = {"picture": "by picture", "person": "by group"}
        unknown = set(self.splits) - set(ways)
        if unknown:
            raise OptionError(f"--splits {min(unknown)!r} is neither picture nor person")
        lab.plan(fits=len(self.networks) * len(self.splits))
        tested: dict[str, tuple[Table, Outcome]] = {}
        for split in self.splits:
            try:
                pictures = lab.pictures(
                    self.data, per_class=self.per_class, size=self.size, validation=0.1,
                    split=ways[split],
                )  # fmt: skip
            except DataError as error:
                if split == "picture" or "no groups" not in str(error):
                    raise
                lab.note(f"Not split by person: {error}.")
                continue
            for network in self.networks:
                name = f"{network}, by {split}"
                tested[name] = pictures, self.train(lab, name, network, pictures)
        self.take_apart(lab, tested)

    def train(self, lab: "Lab", name: str, network: str, pictures: "Table") -> "Outcome":
        """Train and test one network; the first is kept for `vislab predict`."""
        from vislab.profiling.costs import parameters

        classes = len(pictures.classes)
        if network == "compact":
            model = models.create("compact", classes=classes)
            if parameters(model) > self.budget:
                raise OptionError(
                    f"the compact network has {parameters(model):,} parameters, over the budget "
                    f"of {self.budget:,}"
                )
        elif network == "large":
            model = models.create("resnet9", classes=classes, width=self.width)
        else:
            raise OptionError(f"--networks {network!r} is neither compact nor large")
        task = tasks.Classify(model, self.optim, label_smoothing=0.1)
        epochs = self.epochs if network == "compact" else self.large_epochs
        lab.fit(task, pictures, epochs=epochs, batch=self.batch, augment=self.augment, name=name)
        outcome = lab.test(task, pictures, name=name, examine=False)
        lab.record(f"{name}: parameters", float(parameters(model)))
        if not (lab.run.path / "model.json").exists():
            lab.keep(task, pictures, crop="face" if pictures.classes == GENDERS else None)
        return outcome

    def take_apart(self, lab: "Lab", tested: "dict[str, tuple[Table, Outcome]]") -> None:
        """Report the meter, errors by group, and people met against people not met."""
        found, classes = lab.run.result.metrics, next(iter(tested.values()))[0].classes
        rows = []
        for name, (pictures, outcome) in tested.items():
            errors = by_class(outcome, len(classes))
            lab.record(f"{name}: majority level", pictures.majority())
            lab.record(f"{name}: balanced accuracy", float(1 - errors.mean()))
            for label, error in zip(classes, errors, strict=True):
                lab.record(f"{name}: error, {label}", float(error))
            rows.append(
                (
                    name, f"{found[f'{name}: parameters']:,.0f}", f"{outcome.accuracy:.1%}",
                    f"{1 - errors.mean():.1%}", *(f"{error:.1%}" for error in errors),
                    f"{pictures.majority():.1%}",
                )
            )  # fmt: skip
        lab.table(
            "what the accuracy is made of",
            (
                "network, split", "parameters", "accuracy", "balanced",
                *(f"error, {label}" for label in classes), "majority level",
            ),
            rows,
            caption="Majority level: what always naming the larger group scores.",
        )  # fmt: skip
        lab.show(
            "errors by group",
            runs.figures.bars(
                [f"{label}: {name}" for label in classes for name in tested],
                [float(by_class(o, len(classes))[k]) for k in range(len(classes))
                 for _, o in tested.values()],
                unit="%",
            ),
            caption="The share of each group's test pictures that the network gets wrong.",
        )  # fmt: skip
        meter = {name: found[f"{name}: parameters"] for name in tested}
        lab.show(
            "the budget",
            runs.figures.bars(
                [*meter, "budget"], [*meter.values(), float(self.budget)], unit="parameters"
            ),
            caption=f"Parameters, of which the compact network may have {self.budget:,}.",
        )
        lab.show(
            "accuracy and what it is worth",
            runs.figures.bars(
                list(tested),
                [outcome.accuracy for _, outcome in tested.values()],
                intervals=[lab.run.result.intervals[f"{name}/test/accuracy"] for name in tested],
                chance=max(pictures.majority() for pictures, _ in tested.values()),
                unit="%",
            ),
            caption="Test accuracy with 95 % intervals; the line is the majority level.",
        )
        self.met_or_not(lab, tested)

    def met_or_not(self, lab: "Lab", tested: "dict[str, tuple[Table, Outcome]]") -> None:
        """Compare, on the split by picture, people who are in the training set with the others."""
        import numpy as np

        for name, (pictures, outcome) in tested.items():
            network = name.partition(",")[0]
            both = [tested.get(f"{network}, by {split}") for split in ("picture", "person")]
            if name.endswith("by picture") and all(both):
                lost, interval = runs.newcombe(both[0][1].correct, both[1][1].correct)  # type: ignore[index]
                lab.record(f"{network}: accuracy lost on people not met", lost, interval=interval)
            if pictures.groups is None or not name.endswith("by picture"):
                continue
            groups = np.asarray(pictures.groups)
            met = np.isin(groups[pictures.split("test").rows], groups[pictures.split("train").rows])
            for who, mask in (("met", met), ("not met", ~met)):
                if mask.any():
                    right = int(outcome.correct[mask].sum())
                    lab.record(
                        f"{name}: accuracy, people {who}", right / int(mask.sum()),
                        interval=runs.wilson(right, int(mask.sum())),
                    )  # fmt: skip


GENDERS = ("female", "male")


def by_class(outcome: "Outcome", classes: int) -> "np.ndarray":
    """Return the share of each class's pictures that are wrong; 0 where there are none."""
    import numpy as np

    wrong = np.bincount(outcome.labels[~outcome.correct], minlength=classes)
    return wrong / np.maximum(np.bincount(outcome.labels, minlength=classes), 1)
