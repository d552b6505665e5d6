"""Linear classifiers by hand: the hinge loss and softmax on the same pictures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import explain, runs
from vislab.errors import OptionError, pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.twin import Pair
    from vislab.scratch import LinearSVM, Softmax
    from vislab.tasks.engines import ByHand

SOURCE = "EECS 498/598, assignment 2"
COURSE = Protocol(
    data="cifar10", train=40_000, subset="all", test=10_000, pixels="official files", size=32,
    network="linear-scores", augmentation="none", optimiser="sgd 0.09", schedule="constant",
    batch=64, epochs=3, metric="accuracy",
)  # fmt: skip
LOSSES = ("svm", "softmax")


@dataclass(frozen=True)
class Linear(Recipe):
    """Classify by one matrix product, trained with the hinge loss and with softmax.

    A class's score is the sum of all pixels, each with a weight of the class. The weights of a
    class are as many as the pixels, so they can be looked at as a picture: the class's template.
    Learning rate and weight penalty are found on a small grid; the best of it is trained longer.

    Source: EECS 498/598, assignment 2; CS231n, assignment 1.

    Question: A linear classifier has one template a class. What will the template of horses look
    like, when some look left and some look right?
    Look at: The templates: which classes can you name?
    Look at: The heat maps: is it the learning rate or the penalty that matters more?
    Look at: The two losses: do their intervals on the test pictures overlap?
    Exercise: Scores are (3, 5, 1) and the second class is right. What is the hinge loss with
    margin 1?
    Answer: 0
    Exercise: All ten scores are equal. What is the softmax loss in nats, to two decimals?
    Answer: 2.30
    """

    group = "Foundations by hand"

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training pictures of each class; all pictures to test on are kept."""
    size: int = 32
    """Side of the pictures in pixels."""
    engine: str = "scratch"
    """Who derives the gradients: scratch (by hand) or autograd."""
    losses: tuple[str, ...] = LOSSES
    """Which losses: svm, softmax."""
    rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2, 9e-2)
    """Learning rates of the grid."""
    penalties: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2)
    """Weights of the penalty on squared weights, in the grid."""
    batch: int = 64
    """Pictures in a step."""
    search_epochs: int = 3
    """Times through the training pictures in every cell of the grid."""
    epochs: int = 15
    """Times through them with the best rate and penalty."""
    decay: float = 0.75
    """The learning rate is multiplied by it after every epoch."""

    references = (
        course("svm/test/accuracy", 0.3845, SOURCE, protocol=COURSE),
        course("softmax/test/accuracy", 0.3971, SOURCE, protocol=COURSE),
    )
    claims = (
        claim("softmax is as good as the hinge loss", "softmax: gain in accuracy", at_least=-0.01),
    )
    quick = {
        "data": "shapes:easy", "per_class": 100, "rates": (3e-3, 1e-2, 3e-2),
        "penalties": (0.0, 1e-3, 1e-2), "search_epochs": 5, "epochs": 15,
    }  # fmt: skip
    course_protocol = {"rates": (9e-2,), "penalties": (1e-3,), "epochs": 3, "decay": 1.0}
    smoke = {
        "data": "shapes:easy", "per_class": 4, "rates": (1e-2, 1e-1), "penalties": (0.0, 1e-3),
        "search_epochs": 1, "epochs": 2,
    }  # fmt: skip

    def pictures(self, lab: "Lab") -> "Table":
        """Open the pictures; only their mean is taken away."""
        opened = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.2)
        return opened.centred()

    def network(
        self, loss: str, classes: int, reg: float, lab: "Lab", **made: Any
    ) -> "LinearSVM | Softmax":
        """Build one classifier; a column of ones stands for the biases."""
        from vislab import scratch
        from vislab.ops.seeding import generator

        kinds: dict[str, type[LinearSVM | Softmax]] = {
            "svm": scratch.LinearSVM,
            "softmax": scratch.Softmax,
        }
        kind = pick(kinds, loss, "loss")
        features = 3 * self.size**2 + 1
        made = {"device": lab.device} | made
        return kind(features, classes, reg, generator=generator(lab.seed, "weights"), **made)

    def pair(self, lab: "Lab") -> "Pair":
        """Return the first loss's classifier in float64, and batches for its steps."""
        import torch

        from vislab.lab.twin import Pair, batches_of
        from vislab.tasks.engines import ByHand

        pictures = self.pictures(lab)
        made = {"dtype": torch.float64, "device": "cpu"}
        network = self.network(self.losses[0], len(pictures.classes), 1e-3, lab, **made)
        return Pair(network, batches_of(pictures, ByHand(network), count=self.batch))

    def run(self, lab: "Lab") -> None:
        """Search, train and test each loss, then look at the templates."""
        if not self.losses:
            raise OptionError("--losses names none; use svm, softmax or both")
        pictures = self.pictures(lab)
        lab.plan(fits=len(self.losses))
        outcomes = {}
        best: tuple[float, ByHand] | None = None
        for loss in self.losses:
            task, accuracy, outcomes[loss] = self.one(lab, pictures, loss)
            if best is None or accuracy > best[0]:
                best = accuracy, task
        assert best is not None, "there is one loss at least"
        lab.keep(best[1], pictures)
        if len(self.losses) < 2:
            return
        first, second = (outcomes[loss] for loss in self.losses[:2])
        gain, interval = runs.paired_bootstrap(first.correct, second.correct)
        lab.record(f"{self.losses[1]}: gain in accuracy", gain, interval=interval)

    def one(self, lab: "Lab", pictures: "Table", loss: str) -> "tuple[ByHand, float, Any]":
        """Search and train one loss; return it with its accuracies."""
        from vislab.lab.grid_search import best_cell, grid_search
        from vislab.lab.solving import data_of
        from vislab.scratch import Solver
        from vislab.tasks.engines import ByHand

        classes = len(pictures.classes)

        def make(cell: Any) -> Solver:
            task = ByHand(self.network(loss, classes, cell["penalty"], lab), self.engine)
            return Solver(
                task.engine, data_of(pictures, task), "sgd",
                {"learning_rate": cell["rate"]}, 1.0, self.batch, self.search_epochs,
                num_train_samples=100, num_val_samples=5000, seed=lab.seed,
            )  # fmt: skip

        found = grid_search(
            lab, f"{loss} grid", {"rate": self.rates, "penalty": self.penalties}, make
        )
        rate, penalty = best_cell(found)
        lab.show(
            f"{loss}: learning rate and penalty",
            runs.figures.heat_map(
                [[found[r, p] for p in self.penalties] for r in self.rates],
                rows=[f"{r:g}" for r in self.rates],
                columns=[f"{p:g}" for p in self.penalties],
                x="penalty on the weights",
                y="learning rate",
                unit="validation accuracy",
                share=True,
            ),
            caption=f"In percent, after {self.search_epochs} epochs; × where the loss became NaN.",
        )
        task = ByHand(self.network(loss, classes, penalty, lab), self.engine)
        solver = lab.solve(
            task, pictures, rule="sgd", config={"learning_rate": rate}, epochs=self.epochs,
            batch=self.batch, decay=self.decay, name=loss,
        )  # fmt: skip
        outcome = lab.test(task, pictures, name=loss)
        # (D, K) with D = 3 S S and the ones, which are no pixel
        W = task.engine.params["W"][:-1].T.reshape(classes, 3, self.size, self.size)
        lab.show(
            f"{loss}: templates",
            runs.figures.picture_grid(
                explain.weights_as_pictures(W).numpy(), titles=pictures.classes, columns=5
            ),
            caption="Each class's weights as a picture, in its own range; mid grey is zero.",
        )
        return task, solver.best_val_acc, outcome
