"""Gender from faces: the course's task, with the numbers that say what it is worth."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import DataError, OptionError
from vislab.lab.training_recipe import LabelledRecipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    import numpy as np

    from vislab.data.images import HowToSplit
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.variants import Variants
    from vislab.tasks.classify import Classified

COURSE = Protocol(
    data="lfw", train=10_585, test=2_648, size=100, pixels="official files", metric="accuracy"
)
CAUTION = (
    "These labels were read off faces and names by others, as one of two. A network that repeats "
    "them says nothing of how a person understands themself; do not use it on people."
)
NETWORKS = ("compact", "large")
SPLITS: "dict[str, HowToSplit]" = {"image": "by image", "person": "by group"}
GENDERS = ("female", "male")


@dataclass(frozen=True)
class FaceGender(LabelledRecipe):
    """Tell two genders apart in faces: within a budget of parameters, and for people not met.

    Two networks, a large one and one under 100 000 parameters, and two ways to split the images.
    The course draws images: most people to test on have been met while training. Drawn by
    person, nobody has. Beside the accuracy stand what always guessing the larger group scores, the
    mean over both groups (balanced accuracy) and the error in each. No faces are shown.

    Source: Computer Vision Lab, challenge (> 98 %; > 95 % under 100 000 parameters).

    Question: Three quarters of the images show men. What accuracy has a network that looks at
    nothing?
    Look at: The errors of the two groups: which one pays for the imbalance?
    Look at: People met while training, and people not: what of the accuracy was recognising them?
    Exercise: Of 100 images 78 show men. A network has 76 of these right and 11 of the others.
    What is its balanced accuracy in per cent, to the nearest whole number?
    Answer: 74
    Exercise: A depthwise 3×3 convolution of 48 channels and a 1×1 convolution to 72: how many
    weights together, without biases?
    Answer: 3888
    """

    group = "Classification"

    data: str = "lfw"
    """A name of the catalogue, a folder or a zip; groups (people) as a column of its labels.csv."""
    size: int = 72
    budget: int = 100_000
    """Parameters that the small network may have."""
    networks: tuple[str, ...] = NETWORKS
    """Which: compact, large."""
    splits: tuple[str, ...] = tuple(SPLITS)
    """How images are split: by image, as the course does, by person, or both."""
    width: int = 24
    """Of the large network, a ResNet-9."""
    optim: Optim = Optim("adamw", lr=4e-3, weight_decay=0.05, schedule="one-cycle", ema=0.99)
    epochs: int = 20
    """Of the compact network."""
    large_epochs: int = 10
    """Of the large one."""
    augment: Augment = Augment(crop=0.08, flip=True, colour=0.3)

    references = (
        course("compact, by image/test/accuracy", 0.95, "goal of the course, under 100 000 "
               "parameters", protocol=COURSE),
        course("large, by image/test/accuracy", 0.98, "goal of the course", protocol=COURSE),
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
        "splits": ("image",), "size": 32,
    }  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 2, "epochs": 1, "large_epochs": 1, "width": 4,
        "size": 16, "batch": 10,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train both networks on both splits, and take the accuracies apart."""
        from vislab.lab.variants import require_names

        lab.note(CAUTION)
        require_names(self.networks, NETWORKS, "networks")
        require_names(self.splits, SPLITS, "splits")
        tables = self.opened(lab)
        found = lab.variants(
            [f"{network}, by {split}" for split in tables for network in self.networks],
            lambda name: self.task(name, tables), next(iter(tables.values())),
            fit=self.training, examine=False,
        )  # fmt: skip
        first = next(iter(found.values()))
        faces = first.table.classes == GENDERS
        lab.keep(first.task, first.table, crop="face" if faces else None)
        self.take_apart(lab, found)
        self.met_or_not(lab, found)

    def opened(self, lab: "Lab") -> "dict[str, Table]":
        """Open the images once for each split; without people there is none by person."""
        tables = {}
        for split in self.splits:
            try:
                tables[split] = self.open_images(lab, validation=0.1, split=SPLITS[split])
            except DataError as error:
                if "image" not in self.splits or "no groups" not in str(error):
                    raise
                lab.note(f"Not split by person: {error}.")
        return tables

    def task(self, name: str, tables: "dict[str, Table]") -> "tuple[tasks.Classify, Table]":
        """Build a network, and return its task with the images of its split.

        Raises OptionError for a compact one that is over the budget.
        """
        from vislab.profiling.costs import parameters

        network, split = name.split(", by ")
        table = tables[split]
        if network == "large":
            model = models.create("resnet9", classes=len(table.classes), width=self.width)
        else:
            model = models.create("compact", classes=len(table.classes))
            if parameters(model) > self.budget:
                raise OptionError(
                    f"the compact network has {parameters(model):,} parameters, over the budget "
                    f"of {self.budget:,}"
                )
        return tasks.Classify(model, self.optim, label_smoothing=0.1), table

    def training(self, name: str) -> dict[str, Any]:
        """Return how long a network is trained and on what."""
        epochs = self.epochs if name.startswith("compact") else self.large_epochs
        return {"epochs": epochs, "batch": self.batch, "augment": self.augment}

    def take_apart(self, lab: "Lab", found: "Variants") -> None:
        """Report parameters, and the errors of each group beside the majority level."""
        from vislab.profiling.costs import parameters

        classes = next(iter(found.values())).table.classes
        sizes = {name: parameters(one.task.model) for name, one in found.items()}
        majority = {name: one.table.majority() for name, one in found.items()}
        errors = {name: by_class(one.outcome, len(classes)) for name, one in found.items()}
        for name in found:
            lab.record(f"{name}: parameters", float(sizes[name]))
            lab.record(f"{name}: majority level", majority[name])
            lab.record(f"{name}: balanced accuracy", 1 - errors[name].mean())
            for label, error in zip(classes, errors[name], strict=True):
                lab.record(f"{name}: error, {label}", error)
        lab.table(
            "what the accuracy is made of",
            (
                "network, split", ("parameters", ",d"), ("accuracy", ".1%"), ("balanced", ".1%"),
                *((f"error, {label}", ".1%") for label in classes), ("majority level", ".1%"),
            ),
            [
                (name, sizes[name], one.outcome.estimates["accuracy"], 1 - errors[name].mean(),
                 *errors[name], majority[name])
                for name, one in found.items()
            ],
            caption="Majority level: what always naming the larger group scores.",
        )  # fmt: skip
        lab.show(
            "errors by group",
            runs.figures.bars(
                # A bar has room for 22 letters of its name.
                [f"{name.replace(', by', '')} {who}" for who in classes for name in found],
                [float(errors[name][k]) for k in range(len(classes)) for name in found],
                unit="%",
            ),
            caption="The share of each group's test images that the network gets wrong.",
        )
        lab.show(
            "the budget",
            runs.figures.bars([*sizes, "budget"], [*sizes.values(), self.budget],
                              unit="parameters"),
            caption=f"Parameters, of which the compact network may have {self.budget:,}.",
        )  # fmt: skip
        lab.show(
            "accuracy and what it is worth",
            runs.figures.bars(
                list(found), [one.outcome.accuracy for one in found.values()],
                intervals=[one.outcome.interval() for one in found.values()],
                reference=[("majority level", max(majority.values()))], unit="%",
            ),
            caption="Test accuracy with 95 % intervals; the line is the majority level.",
        )  # fmt: skip

    def met_or_not(self, lab: "Lab", found: "Variants") -> None:
        """Compare people who are in the training set with people who are not."""
        import numpy as np

        from vislab.tasks.outcome import estimate

        for network in self.networks:
            mixed, apart = f"{network}, by image", f"{network}, by person"
            if mixed not in found:
                continue
            outcome, table = found[mixed].outcome, found[mixed].table
            if apart in found:
                lost, interval = runs.newcombe(outcome.correct, found[apart].outcome.correct)
                lab.record(f"{network}: accuracy lost on people not met", lost, interval=interval)
            if table.groups is None:
                continue
            people = np.asarray(table.groups)
            met = np.isin(people[table.split("test").rows], people[table.split("train").rows])
            for who, theirs in (("met", met), ("not met", ~met)):
                if theirs.any():
                    share, within = estimate("accuracy", outcome.correct[theirs])
                    lab.record(f"{mixed}: accuracy, people {who}", share, interval=within)


def by_class(outcome: "Classified", classes: int) -> "np.ndarray":
    """Return the share of each class's images that are wrong; 0 where there are none."""
    import numpy as np

    wrong = np.bincount(outcome.labels[~outcome.correct], minlength=classes)
    return wrong / np.maximum(np.bincount(outcome.labels, minlength=classes), 1)
