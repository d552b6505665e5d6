"""Linear classifiers by hand: the hinge loss and softmax on the same images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import explain, runs
from vislab.errors import OptionError, pick
from vislab.lab.grid_search import GridRecipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
    from vislab.lab.bench import Lab
    from vislab.lab.twin import Pair
    from vislab.scratch import LinearSVM, Softmax

SOURCE = "EECS 498/598, assignment 2"
COURSE = Protocol(
    data="cifar10", train=40_000, subset="all", test=10_000, pixels="official files", size=32,
    network="linear-scores", augmentation="none", optimiser="sgd 0.09", schedule="constant",
    batch=64, epochs=3, metric="accuracy",
)  # fmt: skip
LOSSES = ("svm", "softmax")


@dataclass(frozen=True)
class Linear(GridRecipe):
    """Classify by one matrix product, trained with the hinge loss and with softmax.

    A class's score is the sum of all pixels, each with a weight of the class. The weights of a
    class are as many as the pixels, so they can be looked at as an image: the class's template.
    Learning rate and weight penalty are found on a small grid; the best of it is trained longer.

    Source: EECS 498/598, assignment 2; CS231n, assignment 1.

    Question: A linear classifier has one template a class. What will the template of horses look
    like, when some look left and some look right?
    Look at: The templates: which classes can you name?
    Look at: The heat maps: is it the learning rate or the penalty that matters more?
    Look at: The two losses: do their intervals on the test images overlap?
    Exercise: Scores are (3, 5, 1) and the second class is right. What is the hinge loss with
    margin 1?
    Answer: 0
    Exercise: All ten scores are equal. What is the softmax loss in nats, to two decimals?
    Answer: 2.30
    """

    group = "Foundations by hand"

    losses: tuple[str, ...] = LOSSES
    """Which losses: svm, softmax."""

    references = (
        course("svm/test/accuracy", 0.3845, SOURCE, protocol=COURSE),
        course("softmax/test/accuracy", 0.3971, SOURCE, protocol=COURSE),
    )
    claims = (
        claim("softmax is as good as the hinge loss", "softmax: gain in accuracy", at_least=-0.01),
    )
    quick = {
        "data": "shapes:easy", "per_class": 100, "learning_rates": (3e-3, 1e-2, 3e-2),
        "penalties": (0.0, 1e-3, 1e-2), "search_epochs": 5, "epochs": 15,
    }  # fmt: skip
    course_protocol = {"learning_rates": (9e-2,), "penalties": (1e-3,), "epochs": 3, "decay": 1.0}
    smoke = {
        "data": "shapes:easy", "per_class": 4, "learning_rates": (1e-2, 1e-1),
        "penalties": (0.0, 1e-3), "search_epochs": 1, "epochs": 2,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Search, train and test each loss, then look at the templates."""
        from vislab.tasks.engines import ByHand

        if not self.losses:
            raise OptionError("--losses names none; use svm, softmax or both")
        images = self.images(lab)
        lab.plan(fits=len(self.losses))
        tasks, merits, outcomes = {}, {}, {}
        for loss in self.losses:

            def build(penalty: float, loss: str = loss) -> ByHand:
                return ByHand(self.network(lab, loss, len(images.classes), penalty), self.engine)

            tasks[loss], solver = self.trained(lab, build, images, name=loss)
            merits[loss] = solver.best_val_acc
            outcomes[loss] = lab.test(tasks[loss], images, name=loss)
            # (D, K) with D = 3 S S and the ones, which are no pixel
            W = tasks[loss].engine.params["W"][:-1].T.reshape(-1, 3, self.size, self.size)
            lab.show(
                f"{loss}: templates",
                runs.figures.image_grid(
                    explain.weights_as_images(W).numpy(), titles=images.classes, columns=5
                ),
                caption="Each class's weights as an image, in its own range; mid grey is zero.",
            )
        lab.keep(tasks[max(merits, key=lambda loss: merits[loss])], images)
        if len(self.losses) > 1:
            first, second = self.losses[:2]
            gain, interval = outcomes[second].gain_over(outcomes[first])
            lab.record(f"{second}: gain in accuracy", gain, interval=interval)

    def network(
        self, lab: "Lab", loss: str, classes: int, penalty: float, **made: Any
    ) -> "LinearSVM | Softmax":
        """Build one classifier; a column of ones stands for the biases."""
        from vislab import scratch
        from vislab.ops.seeding import generator

        kinds: dict[str, type[LinearSVM | Softmax]] = {
            "svm": scratch.LinearSVM,
            "softmax": scratch.Softmax,
        }
        return pick(kinds, loss, "loss")(
            3 * self.size**2 + 1, classes, penalty, generator=generator(lab.seed, "weights"),
            **({"device": lab.device} | made),
        )  # fmt: skip

    def pair(self, lab: "Lab") -> "Pair":
        """Return the first loss's classifier in float64, and batches for its steps."""
        import torch

        from vislab.lab.twin import Pair, batches_of
        from vislab.tasks.engines import ByHand

        images, made = self.images(lab), {"dtype": torch.float64, "device": "cpu"}
        network = self.network(lab, self.losses[0], len(images.classes), 1e-3, **made)
        return Pair(network, batches_of(images, ByHand(network), count=self.batch))
