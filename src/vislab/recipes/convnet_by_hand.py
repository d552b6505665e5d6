"""A deep convolutional network whose every gradient is written down by hand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vislab import explain, runs
from vislab.errors import OptionError
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.twin import Pair
    from vislab.scratch import DeepConvNet

SOURCE = "EECS 498/598, assignment 3"
COURSE = Protocol(
    data="cifar10",
    train=40_000,
    subset="all",
    pixels="official files",
    size=32,
    network="deep-conv",
    augmentation="none",
    optimiser="adam 0.02",
    schedule="×0.95 an epoch",
    batch=128,
    epochs=8,
    metric="accuracy",
)
DEPTH = 20  # convolutions of the deep network that the beginnings are compared on
BEGINNINGS: dict[str, float | str] = {
    "fixed 0.01": 0.01,
    "fixed 0.1": 0.1,
    "Xavier": "xavier",
    "Kaiming": "kaiming",
}


@dataclass(frozen=True)
class ConvnetByHand(LabelledImages):
    """Train a deep ConvNet with gradients derived by hand, and see what it takes to start one.

    Convolution, batch normalisation, ReLU and pooling, each with a backward pass that follows its
    formula line by line; no autograd anywhere. First it learns 50 images by heart: a network
    that cannot do that has a bug. Then it learns from all of them. Last, a network of 21 layers
    without batch normalisation is begun in four ways, to see whether a signal reaches its end.

    Source: EECS 498/598, assignment 3.

    Question: A network of 21 layers begins with weights of standard deviation 0.01. How large will
    the activations of its last layer be, compared with those of its first?
    Look at: The signal figure: in which beginnings do activations and gradients keep their size?
    Look at: The losses of the four beginnings: does the one that starts best learn best?
    Look at: The filters of the first layer: which are edges, which are colours?
    Exercise: How many weights has a convolution of 3×3 from 64 to 128 channels, without biases?
    Answer: 73728
    Exercise: An image of 32×32 is halved four times by pooling. How many numbers a channel are
    left for the linear layer?
    Answer: 4
    """

    group = "Foundations by hand"

    data: str = "cifar10"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; all images to test on are kept."""
    size: int = 32
    """Side of the images in pixels; a multiple of 16."""
    engine: str = "scratch"
    """Who derives the gradients: scratch (by hand) or autograd."""
    filters: tuple[int, ...] = (16, 32, 64, 128)
    """Kernels of each convolution; the image is halved after each."""
    batchnorm: bool = True
    """Whether each convolution is followed by batch normalisation."""
    weight_scale: str = "kaiming"
    """How the weights begin: kaiming or xavier."""
    reg: float = 2e-5
    """Penalty on the squared weights."""
    rule: str = "adam"
    """Update rule: sgd, sgd_momentum, rmsprop or adam."""
    learning_rate: float = 4e-3
    """Of the first epoch."""
    decay: float = 0.8
    """The learning rate is multiplied by it after every epoch."""
    batch: int = 128
    """Batch size: images in a step."""
    epochs: int = 12
    """Epochs: passes over the training set."""
    deep_steps: int = 100
    """Steps of the 21-layer network in each beginning."""

    references = (
        course("val/accuracy", 0.7107, SOURCE, protocol=COURSE),
        course("test/accuracy", 0.7014, SOURCE, protocol=COURSE),
    )
    claims = (
        claim("it can learn 50 images by heart", "50 images/train accuracy", at_least=0.99),
        claim(
            "a deep network does not start from small fixed weights",
            "fixed 0.01: loss above Kaiming's",
            at_least=0.1,
        ),
        claim(
            "Xavier's scale is too small behind ReLUs",
            "Xavier: loss above Kaiming's",
            at_least=0.1,
        ),
    )
    quick = {
        "data": "shapes:easy", "per_class": 60, "filters": (8, 16, 32), "epochs": 10,
        "batch": 50, "deep_steps": 100,
    }  # fmt: skip
    course_protocol = {"learning_rate": 2e-2, "decay": 0.95, "epochs": 8}
    smoke = {
        "data": "shapes:easy", "per_class": 6, "filters": (4, 8), "epochs": 2, "batch": 20,
        "deep_steps": 2,
    }  # fmt: skip

    def images(self, lab: "Lab") -> "Table":
        """Open the images; only their mean is taken away."""
        opened = self.open_images(lab, validation=0.2)
        return opened.centred()

    def network(self, classes: int, lab: "Lab", **changed: Any) -> "DeepConvNet":
        """Build the network by hand."""
        from vislab import scratch
        from vislab.ops.seeding import generator

        options: dict[str, Any] = {
            "input_dims": (3, self.size, self.size),
            "num_filters": self.filters,
            "max_pools": range(len(self.filters)),
            "batchnorm": self.batchnorm,
            "num_classes": classes,
            "weight_scale": self.weight_scale,
            "reg": self.reg,
            "generator": generator(lab.seed, "weights"),
            "device": lab.device,
        }
        return scratch.DeepConvNet(**(options | changed))

    def pair(self, lab: "Lab") -> "Pair":
        """Return the network in float64, and small batches for its steps."""
        import torch

        from vislab.lab.twin import Pair, batches_of
        from vislab.tasks.engines import ByHand

        images = self.images(lab)
        network = self.network(len(images.classes), lab, dtype=torch.float64, device="cpu")
        batch = batches_of(images, ByHand(network), count=32)
        return Pair(network, batch, self.rule, {"learning_rate": self.learning_rate})

    def run(self, lab: "Lab") -> None:
        """Overfit 50 images, train on all, test, look at the filters, compare beginnings."""
        from vislab.tasks.engines import ByHand

        if not self.filters:
            raise OptionError("--filters names no convolution; give one number a convolution")
        if self.deep_steps < 1:
            raise OptionError(f"--deep-steps {self.deep_steps} compares nothing; use 1 or more")
        images = self.images(lab)
        classes = len(images.classes)
        lab.plan(fits=1)
        self.overfit(lab, images)
        task = ByHand(self.network(classes, lab), self.engine)
        solver = lab.solve(
            task,
            images,
            rule=self.rule,
            config={"learning_rate": self.learning_rate},
            epochs=self.epochs,
            batch=self.batch,
            decay=self.decay,
        )
        lab.test(task, images, split="val")
        lab.test(task, images)
        lab.show(
            "loss of every step",
            runs.figures.curves(
                {"training": runs.figures.smoothed(solver.loss_history, 20)}, x="step", y="loss"
            ),
            caption="Mean over 20 steps.",
            folded=True,
        )
        filters = task.engine.params["W1"]
        lab.show(
            "filters of the first layer",
            runs.figures.image_grid(explain.weights_as_images(filters).numpy(), columns=8),
            caption="Each kernel in its own range; mid grey is zero.",
        )
        self.beginnings(lab, images)

    def overfit(self, lab: "Lab", table: "Table") -> None:
        """Learn 50 images by heart: the first thing to try with any new network."""
        from vislab.lab.solving import few
        from vislab.scratch import Solver
        from vislab.tasks.engines import ByHand

        task = ByHand(self.network(len(table.classes), lab, reg=0.0), self.engine)
        solver = Solver(
            task.engine, few(table, task, 50), "adam", {"learning_rate": 3e-3},
            batch_size=10, num_epochs=30, num_train_samples=None, seed=lab.seed,
        )  # fmt: skip
        solver.train()
        lab.record("50 images/train accuracy", max(solver.train_acc_history))
        epochs = range(1, len(solver.train_acc_history) + 1)
        lab.show(
            "50 images by heart",
            runs.figures.curves(
                {
                    "the 50": (epochs, solver.train_acc_history),
                    "validation": (epochs, solver.val_acc_history),
                },
                x="epoch",
                y="accuracy",
                share=True,
            ),
            caption="What it knows by heart does not help with other images.",
        )

    def beginnings(self, lab: "Lab", table: "Table") -> None:
        """Begin a network of 21 layers in four ways: does a signal reach its end, does it learn?"""
        import numpy as np

        from vislab.errors import NonFiniteLoss
        from vislab.lab.solving import data_of
        from vislab.ops.seeding import generator
        from vislab.scratch import Solver
        from vislab.scratch.tracing import trace
        from vislab.tasks.engines import ByHand

        activations, gradients, losses = {}, {}, {}
        for name, scale in BEGINNINGS.items():
            network = self.network(
                len(table.classes), lab, num_filters=(8,) * DEPTH, max_pools=(3, 7, 11),
                batchnorm=False, weight_scale=scale, generator=generator(lab.seed, name),
            )  # fmt: skip
            task = ByHand(network)
            data = data_of(table, task)
            solver = Solver(
                network,
                data,
                "adam",
                {"learning_rate": 1e-3},
                batch_size=64,
                num_epochs=self.deep_steps,
                seed=lab.seed,
            )
            rows = solver.rows(0, 0)
            with trace() as calls:
                network.loss(data["X_train"][rows], data["y_train"][rows])
            convolutions = [call for call in calls if call.layer == "Conv"]
            activations[name] = [float(call.out.std()) for call in convolutions]
            gradients[name] = [
                float(call.dout.std()) for call in convolutions if call.dout is not None
            ]
            try:
                for _ in range(self.deep_steps):
                    solver.step()
                    if solver.step_in_epoch == solver.steps_per_epoch:
                        solver.epoch, solver.step_in_epoch = solver.epoch + 1, 0
            except NonFiniteLoss:
                solver.loss_history += [float("nan")] * (self.deep_steps - len(solver.loss_history))
            losses[name] = solver.loss_history
        lab.show(
            "the signal in 21 layers",
            runs.figures.signal(activations, gradients, x="convolution, from the input"),
            caption="Standard deviations of the first batch, before any step; no normalisation.",
        )
        smooth = max(1, self.deep_steps // 10)
        last = {name: float(np.mean(values[-smooth:])) for name, values in losses.items()}
        lab.show(
            "learning in 21 layers",
            runs.figures.curves(
                {
                    name: (
                        range(smooth, len(values) + 1),
                        np.convolve(values, np.ones(smooth) / smooth, mode="valid"),
                    )
                    for name, values in losses.items()
                },
                x="step",
                y="loss",
            ),
            caption=f"Mean over {smooth} steps. Guessing has a loss of "
            f"{np.log(len(table.classes)):.2f}.",
        )
        for name, value in last.items():
            if name != "Kaiming":
                lab.record(f"{name}: loss above Kaiming's", value - last["Kaiming"])
