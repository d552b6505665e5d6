"""k nearest neighbours on pixels: the first classifier of every course."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab import runs
from vislab.errors import OptionError
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
    from torch import Tensor

    from vislab.data.table import Table
    from vislab.lab.bench import Lab

SOURCE = "EECS 498/598, assignment 1"
SHOWN = 6  # neighbours beside a test image


def _course(train: int, test: int) -> Protocol:
    return Protocol(
        data="cifar10", train=train, test=test, pixels="official files", size=32,
        network="k nearest neighbours", augmentation="none", metric="accuracy",
    )  # fmt: skip


@dataclass(frozen=True)
class Knn(LabelledImages):
    """Give an image the label of the training images whose pixels are most like its own.

    Nothing is learned: all training images are remembered, and a new one is compared with each.
    How many neighbours vote is found by cross-validation: the training images are cut into
    folds, and each fold is classified by the others.

    Source: EECS 498/598, assignment 1; CS231n, assignment 1.

    Question: With twice as many training images, will the best k be larger or smaller?
    Look at: The neighbours of some test images: what makes two images alike, pixel by pixel?
    Look at: The accuracy for each k: do the intervals of neighbouring k overlap?
    Look at: The times of the three ways to compute distances: they give the same numbers.
    Exercise: A square of a difference is (a - b)² = a² + b² - 2ab. How many matrix products do all
    distances between N and M images take?
    Answer: 1
    Exercise: Labels 3, 1, 3, 1 are those of the four nearest. Which label wins?
    Answer: 1
    """

    group = "Foundations by hand"

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; all images to test on are kept."""
    size: int = 32
    """Side of the images in pixels."""
    k_choices: tuple[int, ...] = (1, 3, 5, 8, 10, 12, 15, 20, 50)
    """How many neighbours may vote."""
    folds: int = 5
    """Parts into which the training images are cut for cross-validation."""
    amounts: tuple[int, ...] = (1000, 4000, 16000)
    """Smaller numbers of training images, to see how accuracy and the best k grow."""

    references = (
        course("test/accuracy", 0.282, SOURCE, protocol=_course(5_000, 500)),
        course("test/accuracy", 0.339, SOURCE, protocol=_course(50_000, 10_000)),
    )
    claims = (
        claim("pixels alone tell more than guessing", "test/accuracy above chance", at_least=1e-4),
        claim("one neighbour is not the best number", "best k", at_least=2.0),
    )
    quick = {
        "data": "shapes:easy", "per_class": 200, "k_choices": (1, 3, 5, 10, 20),
        "amounts": (200, 800),
    }  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 6, "k_choices": (1, 3), "folds": 2, "amounts": (20,),
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Find k, test, show neighbours, and compare three ways to compute distances."""
        from vislab import scratch
        from vislab.runs.references import as_cells
        from vislab.tasks.classify import trivial_accuracy

        if not self.k_choices or min(self.k_choices) < 1:
            raise OptionError("--k-choices needs one number of neighbours or more, each at least 1")
        images = self.open_images(lab, validation=0.2)
        train, labels = rows_of(images, "train")
        test, truth = rows_of(images, "test")
        found = scratch.knn_cross_validate(train, labels, self.folds, self.k_choices)
        best = scratch.knn_get_best_k(found)
        self.show_folds(lab, found, 1 / len(images.classes))
        lab.record("best k", float(best))

        classifier = scratch.KnnClassifier(train, labels)
        shown = min(max(best, SHOWN), len(train))
        nearest = classifier.nearest(test, shown, quiet=lab.quiet)
        correct = (classifier.vote(nearest[:, :best]) == truth).numpy()
        accuracy = float(correct.mean())
        interval = runs.exact(int(correct.sum()), len(correct))
        chance = trivial_accuracy(images)["accuracy"]
        lab.record("test/accuracy", accuracy, interval=interval, trivial=chance)
        lab.record(
            "test/accuracy above chance",
            accuracy - chance,
            interval=(interval[0] - chance, interval[1] - chance),
        )
        lab.say(f"k = {best}: {accuracy:.1%} of {len(correct)} test images right")
        lab.run.result.protocol = as_cells(
            Protocol(
                data=images.name,
                train=len(train),
                subset=images.subset,
                test=len(test),
                pixels=images.origin,
                size=self.size,
                network="k nearest neighbours",
                augmentation="none",
                metric="accuracy",
            )
        )
        self.show_neighbours(lab, images, nearest)
        self.show_amounts(lab, images, train, labels)
        self.time_distances(lab, train, test)

    def show_folds(self, lab: "Lab", found: dict[int, list[float]], chance: float) -> None:
        """Draw the accuracy of each k, mean over the folds with its interval."""
        from statistics import mean

        rungs = [
            (mean(values), runs.over_seeds(values) or (min(values), max(values)))
            for values in found.values()
        ]
        lab.show(
            "accuracy by number of neighbours",
            runs.figures.ladder(
                [str(k) for k in found], {f"{self.folds} folds": rungs}, chance=chance
            ),
            caption=f"Mean over {self.folds} folds of the training images, with Student's 95 % "
            "interval.",
        )
        lab.table(
            "cross-validation",
            ("k", *((f"fold {turn + 1}", ".2%") for turn in range(self.folds))),
            [(k, *values) for k, values in found.items()],
            folded=True,
        )

    def show_neighbours(self, lab: "Lab", table: "Table", nearest: "Tensor") -> None:
        """Show test images beside the training images that are nearest."""
        import numpy as np

        split, known = table.split("test"), table.split("train")
        step = max(1, len(split) // 6)
        places = list(range(0, len(split), step))[:6]
        lab.show(
            "test images and their neighbours",
            runs.figures.named_rows(
                [
                    (
                        table.classes[split.labels[place]],
                        np.concatenate(
                            [
                                split.take(slice(place, place + 1)),
                                known.take(nearest[place, :SHOWN].numpy()),
                            ]
                        ),
                    )
                    for place in places
                ]
            ),
            caption="First the test image, under its class, then the training images nearest "
            "to it: alike in background and colour, often not in what they show.",
        )

    def show_amounts(self, lab: "Lab", table: "Table", train: "Tensor", labels: "Tensor") -> None:
        """Measure accuracy and the best k for fewer training images, on the validation ones."""
        import torch

        from vislab import scratch
        from vislab.ops.seeding import generator

        validation, truth = rows_of(table, "val")
        if len(validation) == 0:
            return
        # A split stands in the order of its classes: draw, or whole classes would be left out.
        drawn = torch.randperm(len(validation), generator=generator("validation"))[:2000]
        validation, truth = validation[drawn], truth[drawn]
        order = torch.randperm(len(train), generator=generator("amounts"))
        curves: dict[str, tuple[list[int], list[float]]] = {}
        rows = []
        for amount in [*(a for a in self.amounts if a < len(train)), len(train)]:
            chosen = order[:amount]
            classifier = scratch.KnnClassifier(train[chosen], labels[chosen])
            ks = [k for k in self.k_choices if k <= amount]
            if not ks:
                continue
            nearest = classifier.nearest(validation, max(ks))
            accuracies = [
                float((classifier.vote(nearest[:, :k]) == truth).double().mean()) for k in ks
            ]
            curves[f"{amount} images"] = (ks, accuracies)
            best = max(range(len(ks)), key=lambda turn: accuracies[turn])
            rows.append((amount, ks[best], accuracies[best]))
        lab.show(
            "the best k depends on how many images there are",
            runs.figures.curves(curves, x="k", y="accuracy on validation images", share=True),
            caption=f"Tested on {len(validation)} validation images.",
        )
        lab.table(
            "best k by number of images",
            (("training images", ",d"), "best k", ("accuracy", ".1%")),
            rows,
        )

    def time_distances(self, lab: "Lab", train: "Tensor", test: "Tensor") -> None:
        """Time two loops, one loop and none on a few images, after checking that they agree."""
        import time

        from vislab import scratch

        few_train, few_test = train[:250], test[:50]
        ways = {
            "two loops": scratch.compute_distances_two_loops,
            "one loop": scratch.compute_distances_one_loop,
            "no loop": scratch.compute_distances_no_loops,
        }
        reference = ways["two loops"](few_train.double(), few_test.double())
        rows, times = [], []
        for name, way in ways.items():
            way(few_train[:2], few_test[:2])
            taken = []
            for _ in range(3):
                begun = time.perf_counter()
                distances = way(few_train, few_test)
                taken.append(1e3 * (time.perf_counter() - begun))
            off = scratch.rel_error(distances.double(), reference)
            times.append(sorted(taken)[1])
            rows.append((name, times[-1], off))
        lab.table(
            "three ways to compute distances",
            ("way", ("median, ms", ".2f"), ("relative error", ".1e")),
            rows,
            caption=f"{len(few_train)} × {len(few_test)} distances in float32, against two loops "
            "in float64.",
        )
        lab.record("no loop: times faster than two loops", times[0] / times[-1])


def rows_of(table: "Table", split: str) -> "tuple[Tensor, Tensor]":
    """Return a split as rows of numbers in [0, 1], (N, 3 S S), and its labels."""
    import numpy as np
    import torch

    subset = table.split(split)
    pixels = torch.from_numpy(subset.take(slice(None)))
    rows = pixels.permute(0, 3, 1, 2).reshape(len(subset), 3 * table.size**2).to(torch.float32)
    return rows.div_(255), torch.from_numpy(np.asarray(subset.labels, np.int64))
