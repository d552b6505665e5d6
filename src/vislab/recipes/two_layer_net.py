"""A network with one hidden layer, trained by hand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import explain, runs
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.twin import Pair
    from vislab.scratch import TwoLayerNet

SOURCE = "EECS 498/598, assignment 2"
COURSE = Protocol(
    data="cifar10", train=40_000, subset="all", test=10_000, pixels="official files", size=32,
    network="fully-connected", augmentation="none", optimiser="sgd 0.5",
    schedule="×0.95 an epoch", batch=200, epochs=10, metric="accuracy",
)  # fmt: skip


@dataclass(frozen=True)
class TwoLayer(Recipe):
    """Train Linear-ReLU-Linear with gradients by hand.

    The hidden layer is a set of templates that are no longer bound to one class: each class mixes
    them. Learning rate and weight penalty are found on a small grid, then the best is trained
    longer.

    Source: EECS 498/598, assignment 2; CS231n, assignment 1.

    Question: A linear classifier gets about 39 % of CIFAR-10 right. What does one hidden layer add?
    Look at: The first layer's templates: what do they show that the linear classifier's did not?
    Look at: The learning curves: how far is training accuracy above validation accuracy in the end?
    Look at: The heat map: how wide is the range of learning rates that work?
    Exercise: How many weights and biases has a network from 3072 numbers over 128 hidden units to
    10 classes?
    Answer: 394634
    Exercise: The derivative of max(x, 0) at x = -2?
    Answer: 0
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
    hidden: int = 512
    """Units of the hidden layer; the course has 128."""
    rates: tuple[float, ...] = (3e-2, 1e-1, 3e-1, 5e-1)
    """Learning rates of the grid."""
    penalties: tuple[float, ...] = (1e-6, 1e-4, 1e-3)
    """Weights of the penalty on squared weights, in the grid."""
    batch: int = 200
    """Pictures in a step."""
    search_epochs: int = 2
    """Times through the training pictures in every cell of the grid."""
    epochs: int = 30
    """Times through them with the best rate and penalty."""
    decay: float = 0.9
    """The learning rate is multiplied by it after every epoch."""

    references = (course("test/accuracy", 0.505, SOURCE, protocol=COURSE),)
    claims = (
        claim("one hidden layer beats a linear classifier", "gain over linear", at_least=1e-4),
    )
    quick = {
        "data": "shapes:easy", "per_class": 100, "hidden": 100, "rates": (1e-2, 1e-1, 5e-1),
        "penalties": (1e-6, 1e-3), "search_epochs": 10, "epochs": 40, "batch": 50,
    }  # fmt: skip
    course_protocol = {"hidden": 128, "rates": (5e-1,), "penalties": (1e-6,), "epochs": 10,
                       "decay": 0.95}  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 4, "hidden": 8, "rates": (1e-2, 1e-1),
        "penalties": (0.0, 1e-3), "search_epochs": 1, "epochs": 2, "batch": 20,
    }  # fmt: skip

    def pictures(self, lab: "Lab") -> "Table":
        """Open the pictures; only their mean is taken away."""
        opened = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.2)
        return opened.centred()

    def network(self, classes: int, reg: float, lab: "Lab", **made: Any) -> "TwoLayerNet":
        """Build the network by hand."""
        from vislab import scratch
        from vislab.ops.seeding import generator

        return scratch.TwoLayerNet(
            3 * self.size**2, self.hidden, classes, "kaiming", reg,
            generator=generator(lab.seed, "weights"), **({"device": lab.device} | made),
        )  # fmt: skip

    def pair(self, lab: "Lab") -> "Pair":
        """Return the network in float64, and batches for its steps."""
        import torch

        from vislab.lab.twin import Pair, batches_of
        from vislab.tasks.engines import ByHand

        pictures = self.pictures(lab)
        network = self.network(len(pictures.classes), 1e-3, lab, dtype=torch.float64, device="cpu")
        batch = batches_of(pictures, ByHand(network), count=min(self.batch, 64))
        return Pair(network, batch, config={"learning_rate": 0.1})

    def run(self, lab: "Lab") -> None:
        """Search, train, test, and look at the first layer."""
        from vislab import scratch
        from vislab.lab.grid_search import best_cell, grid_search
        from vislab.lab.solving import data_of
        from vislab.ops.seeding import generator
        from vislab.scratch import Solver
        from vislab.tasks.engines import ByHand

        pictures = self.pictures(lab)
        classes = len(pictures.classes)
        lab.plan(fits=2)

        def make(cell: Any) -> Solver:
            task = ByHand(self.network(classes, cell["penalty"], lab), self.engine)
            return Solver(
                task.engine, data_of(pictures, task), "sgd", {"learning_rate": cell["rate"]},
                1.0, self.batch, self.search_epochs,
                num_train_samples=100, num_val_samples=5000, seed=lab.seed,
            )  # fmt: skip

        found = grid_search(lab, "grid", {"rate": self.rates, "penalty": self.penalties}, make)
        rate, penalty = best_cell(found)
        lab.show(
            "learning rate and penalty",
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
        task = ByHand(self.network(classes, penalty, lab), self.engine)
        lab.solve(
            task, pictures, rule="sgd", config={"learning_rate": rate}, epochs=self.epochs,
            batch=self.batch, decay=self.decay,
        )  # fmt: skip
        lab.test(task, pictures, split="val")
        ours = lab.test(task, pictures)

        features = 3 * self.size**2 + 1
        linear = ByHand(
            scratch.Softmax(
                features, classes, generator=generator(lab.seed, "linear"), device=lab.device
            ),
            self.engine,
        )
        lab.solve(
            linear, pictures, rule="sgd", config={"learning_rate": 1e-2},
            epochs=min(self.epochs, 10), batch=self.batch, decay=self.decay, name="linear",
        )  # fmt: skip
        plain = lab.test(linear, pictures, name="linear", examine=False)
        gain, interval = runs.paired_bootstrap(plain.correct, ours.correct)
        lab.record("gain over linear", gain, interval=interval)

        # (D, H): the units with the largest weights, as pictures
        W = task.engine.params["W1"].T.reshape(self.hidden, 3, self.size, self.size)
        largest = W.flatten(1).norm(dim=1).argsort(descending=True)[:40]
        lab.show(
            "templates of the hidden layer",
            runs.figures.picture_grid(explain.weights_as_pictures(W[largest]).numpy(), columns=10),
            caption="The 40 units with the largest weights, each in its own range.",
        )
