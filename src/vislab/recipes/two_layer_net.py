"""A network with one hidden layer, trained by hand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import explain, runs
from vislab.lab.grid_search import GridRecipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
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
class TwoLayer(GridRecipe):
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

    hidden: int = 512
    """Units of the hidden layer; the course has 128."""
    learning_rates: tuple[float, ...] = (3e-2, 1e-1, 3e-1, 5e-1)
    penalties: tuple[float, ...] = (1e-6, 1e-4, 1e-3)
    batch: int = 200
    search_epochs: int = 2
    epochs: int = 30
    decay: float = 0.9

    references = (course("test/accuracy", 0.505, SOURCE, protocol=COURSE),)
    claims = (
        claim("one hidden layer beats a linear classifier", "gain over linear", at_least=1e-4),
    )
    quick = {
        "data": "shapes:easy", "per_class": 100, "hidden": 100,
        "learning_rates": (1e-2, 1e-1, 5e-1), "penalties": (1e-6, 1e-3),
        "search_epochs": 10, "epochs": 40, "batch": 50,
    }  # fmt: skip
    course_protocol = {"hidden": 128, "learning_rates": (5e-1,), "penalties": (1e-6,), "epochs": 10,
                       "decay": 0.95}  # fmt: skip
    smoke = {
        "data": "shapes:easy", "per_class": 4, "hidden": 8, "learning_rates": (1e-2, 1e-1),
        "penalties": (0.0, 1e-3), "search_epochs": 1, "epochs": 2, "batch": 20,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Search, train, test, and look at the first layer."""
        from vislab import scratch
        from vislab.ops.seeding import generator
        from vislab.tasks.engines import ByHand

        images = self.images(lab)
        classes = len(images.classes)
        lab.plan(fits=2)

        def build(penalty: float) -> ByHand:
            return ByHand(self.network(lab, classes, penalty), self.engine)

        task, _ = self.trained(lab, build, images)
        lab.test(task, images, split="val")
        ours = lab.test(task, images)

        draws = generator(lab.seed, "linear")
        plain = scratch.Softmax(3 * self.size**2 + 1, classes, generator=draws, device=lab.device)
        linear = ByHand(plain, self.engine)
        lab.solve(
            linear, images, rule="sgd", config={"learning_rate": 1e-2},
            epochs=min(self.epochs, 10), batch=self.batch, decay=self.decay, name="linear",
        )  # fmt: skip
        gain, interval = ours.gain_over(lab.test(linear, images, name="linear", examine=False))
        lab.record("gain over linear", gain, interval=interval)

        # (D, H): the units with the largest weights, as images
        W = task.engine.params["W1"].T.reshape(self.hidden, 3, self.size, self.size)
        largest = W.flatten(1).norm(dim=1).argsort(descending=True)[:40]
        lab.show(
            "templates of the hidden layer",
            runs.figures.image_grid(explain.weights_as_images(W[largest]).numpy(), columns=10),
            caption="The 40 units with the largest weights, each in its own range.",
        )

    def network(self, lab: "Lab", classes: int, penalty: float, **made: Any) -> "TwoLayerNet":
        """Build the network by hand."""
        from vislab import scratch
        from vislab.ops.seeding import generator

        return scratch.TwoLayerNet(
            3 * self.size**2, self.hidden, classes, "kaiming", penalty,
            generator=generator(lab.seed, "weights"), **({"device": lab.device} | made),
        )  # fmt: skip

    def pair(self, lab: "Lab") -> "Pair":
        """Return the network in float64, and batches for its steps."""
        import torch

        from vislab.lab.twin import Pair, batches_of
        from vislab.tasks.engines import ByHand

        images = self.images(lab)
        network = self.network(lab, len(images.classes), 1e-3, dtype=torch.float64, device="cpu")
        batch = batches_of(images, ByHand(network), count=min(self.batch, 64))
        return Pair(network, batch, config={"learning_rate": 0.1})
