"""One vision transformer, four ways to fine-tune it."""

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vislab import evaluate, explain, models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import OptionError, ShapeError
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.variants import Variants
    from vislab.models.parameter_groups import ParameterGroups
    from vislab.tasks.classify import Classify

COURSE = Protocol(
    data="eurosat", train=21_600, test=2_700, pixels="official files", size=224,
    network="vit-b/16, pre-trained on ImageNet", optimiser="adam 0.001", epochs=10,
    metric="accuracy",
)  # fmt: skip
SOURCE = "GNR-650, assignment 2"
STRATEGIES = ("head", "last-blocks:4", "all", "none")
IMAGES_SHOWN = 4


@dataclass(frozen=True)
class VitFinetune(LabelledImages):
    """Fine-tune a vision transformer four ways, each at its own rate, and see what it attends to.

    Only the head, the last blocks and the head, everything, nothing. The course gave all four one
    learning rate, 1e-3, which is far too high for a pre-trained transformer as a whole: here each
    is tuned on validation images, with as many trials as the others.

    Source: GNR-650, assignment 2.

    Question: Which of the four reaches its best in the fewest epochs, and which the best?
    Look at: The curves of all four: where do head and all cross?
    Look at: The attention of `head` and of `none`: why must they be the same to the last digit?
    Look at: Attention by layer, scored: which layers beat a blob in the middle? Does the rollout?
    Exercise: A ViT cuts an image of 224 pixels into patches of 16. How many tokens, with the
    class token?
    Answer: 197
    Exercise: A layer of 12 heads attends among these tokens. How many numbers are its attention?
    Answer: 465708
    """

    group = "Classification"

    data: str = "eurosat"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; None takes all."""
    network: str = "timm:vit_base_patch16_224"
    """A vision transformer by name, or a run folder with one."""
    options: tuple[str, ...] = ()
    """Options of the network as name=number, such as depth=6."""
    size: int = 224
    """Side of the images in pixels."""
    pretrain_on: str | None = None
    """Train it on these images first, in place of weights that are fetched."""
    pretrain_epochs: int = 20
    """Epochs: passes over those."""
    pretrain_per_class: int | None = None
    """Of those, images of each class; None takes all."""
    strategies: tuple[str, ...] = STRATEGIES
    """What is trained: head, last-blocks:N, all, none, layer-decay:D, gradual."""
    factors: tuple[float, ...] = (0.3, 1.0, 3.0)
    """Each strategy tries these multiples of its rate; one factor tunes nothing."""
    tune_epochs: int = 2
    """Of each try."""
    epochs: int = 10
    """Of each training."""
    batch: int = 32
    """Batch size: images in a step."""
    augment: Augment = Augment(flip=True)
    """What training images go through."""
    examined: int = 40
    """Test images on which maps of attention are scored and compared."""

    references = tuple(
        course(f"{name}/{split}/accuracy", value, SOURCE, protocol=COURSE)
        for name, values in {
            "head": (0.9870, 0.9648, 0.9596),
            "last-blocks:4": (0.9953, 0.9704, 0.9711),
            "all": (0.9148, 0.9185, 0.9074),
            "none": (0.1355, 0.1522, 0.1392),
        }.items()
        for split, value in zip(("train", "val", "test"), values, strict=True)
    )
    claims = (
        claim("head-only learns quickly",
              "head: share of its best after an epoch, beyond that of all", at_least=0.01),
        claim("all layers need more epochs", "all: epochs to its best, beyond those of head",
              at_least=1.0),
        claim("head-only and none have identical attention maps",
              "head and none: largest difference of attention", at_most=0.0),
        claim("early layers give better maps than late ones",
              "early layers: gain in insertion less deletion over late ones", at_least=1e-4),
    )  # fmt: skip
    quick = {
        "data": "shapes:easy", "per_class": 50, "network": "timm:vit_tiny_patch16_224",
        "options": ("patch_size=4", "embed_dim=96", "depth=6", "num_heads=3"), "size": 32,
        "pretrain_on": "shapes:easy", "pretrain_per_class": 400, "pretrain_epochs": 10,
        "epochs": 4, "tune_epochs": 1, "examined": 16,
    }  # fmt: skip
    smoke = {
        **quick, "data": "digits", "per_class": 2, "pretrain_on": "shapes", "pretrain_per_class": 2,
        "pretrain_epochs": 1, "epochs": 1,
        "options": ("patch_size=8", "embed_dim=24", "depth=5", "num_heads=3"),
        "factors": (1.0,), "size": 16, "batch": 5, "examined": 3,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Pre-train if asked, tune each strategy, train each in full from the same weights."""
        learning = [name for name in self.strategies if Strategy.parse(name).kind != "none"]
        tries = len(self.factors) if len(self.factors) > 1 else 0
        lab.plan(fits=bool(self.pretrain_on) + len(learning) * (tries + 1))
        model, groups, images = self.start(lab)
        rates = {name: self.rate(lab, name, model, groups, images) for name in self.strategies}
        found = lab.variants(
            self.strategies, lambda name: self.task(name, model, groups, rates[name]), images,
            what="strategies", known=True, examine=False,
            fit={"epochs": self.epochs, "batch": self.batch, "augment": self.augment},
        )  # fmt: skip
        if len(images.split("val")):
            for name, one in found.items():  # of `none` no training has told the score
                outcome = lab.test(one.task, images, split="val", name=name)
                found[name] = replace(one, validation=outcome.mean())
        found.conclude()
        found.compare()
        self.learning(lab, images)
        self.attention(lab, found)

    def start(self, lab: "Lab") -> "tuple[nn.Module, ParameterGroups, Table]":
        """Return the network that all begin from: fetched, or trained on other images first."""
        options = dict(map(number, self.options))
        before = None
        if self.pretrain_on:
            first = lab.images(
                self.pretrain_on, per_class=self.pretrain_per_class, size=self.size, validation=0.1
            )
            before, _, first = lab.create_model(self.network, first, pretrained=False, **options)
            task = tasks.Classify(
                before, Optim("adamw", lr=1e-3, weight_decay=0.05, schedule="one-cycle", clip=1.0)
            )
            lab.fit(
                task, first, epochs=self.pretrain_epochs, batch=64,
                augment=Augment(crop=0.125, flip=True), name="pre-training",
            )  # fmt: skip
            lab.test(task, first, name="pre-training", examine=False)
        images = self.open_images(lab, validation=0.1)
        model, groups, images = lab.create_model(
            self.network, images, pretrained=before is None, **options
        )
        if before is not None:
            models.take_body(model, before, groups.head.parameters)
        return model, groups, images

    def task(
        self, name: str, model: "nn.Module", groups: "ParameterGroups", rate: float
    ) -> "Classify":
        """Return a task that begins from the given weights, which it does not touch."""
        optim = Optim("adamw", lr=rate, weight_decay=0.01, schedule="cosine", warmup=0.05, clip=1.0)
        return tasks.Classify(
            copy.deepcopy(model), optim, strategy=Strategy.parse(name), groups=groups
        )

    def rate(
        self, lab: "Lab", name: str, model: "nn.Module", groups: "ParameterGroups", images: "Table"
    ) -> float:
        """Return the best on validation of as many rates as every other strategy tries."""
        usual = Strategy.parse(name).rate
        if name == "none" or len(self.factors) < 2:
            return usual * (self.factors[0] if self.factors else 1.0)
        scores = {}
        for factor in self.factors:
            scores[factor] = lab.fit(
                self.task(name, model, groups, usual * factor), images,
                epochs=self.tune_epochs, batch=self.batch, augment=self.augment,
                name=f"tuning {name}, rate {usual * factor:.2g}",
            ) or 0.0  # fmt: skip
        best = max(scores, key=lambda factor: scores[factor])
        lab.record(f"{name}: learning rate", usual * best)
        if best in (min(scores), max(scores)):
            lab.note(
                f"{name}: the best rate, {usual * best:.2g}, is the "
                f"{'lowest' if best == min(scores) else 'highest'} that was tried."
            )
        return usual * best

    def learning(self, lab: "Lab", images: "Table") -> None:
        """Show all curves on one plot and record who learned how quickly."""
        from vislab.evaluate.learning_curves import after_first, epochs_to, time_to_accuracy

        curves = evaluate.show_curves(
            lab, "strategies by epoch", self.strategies, "val/accuracy", y="validation accuracy",
            caption="Each at its own tuned rate, from the same weights.", share=True,
        )  # fmt: skip
        time_to_accuracy(lab, curves, what="strategy")
        if not {"head", "all"} <= curves.keys():
            return
        head, whole = curves["head"], curves["all"]
        count = len(images.split("val"))
        right = round(min(max(head[1]), max(whole[1])) * count)
        learned = runs.exact(right, count)[0] > tasks.trivial_accuracy(images)["accuracy"]
        if not learned:
            lab.note(
                "Who learns more quickly cannot be told: a curve of head or all does not rise "
                "above chance."
            )
        for metric, value, most in (
            ("head: share of its best after an epoch, beyond that of all",
             after_first(head) - after_first(whole), 1.0),
            ("all: epochs to its best, beyond those of head",
             epochs_to(whole) - epochs_to(head), float(self.epochs)),
        ):  # fmt: skip
            lab.record(metric, float(value), interval=None if learned else (-most, most))

    def attention(self, lab: "Lab", found: "Variants") -> None:
        """Show what each network attends to, and test whether the best one's maps are right."""
        from vislab.inspection import attention

        best = found[found.best]
        places = attention.right_ones(best.outcome.correct, self.examined)
        images = attention.shown_to(lab, best.table, places)
        networks = {name: one.task.network for name, one in found.items()}
        try:
            maps = {name: attention.attended(network, images) for name, network in networks.items()}
        except ShapeError as error:
            lab.note(f"No images of attention: {error}.")
            return
        shown = attention.spread(range(len(places)), IMAGES_SHOWN)
        attention.show_layers(lab, maps, best.table, places, shown)
        attention.tell_agreement(lab, maps)
        attention.score_layers(
            lab, best.task.network, maps[found.best], best.table, places,
            [int(best.outcome.predicted[k]) for k in places],
        )  # fmt: skip
        self.heads(lab, networks, images[shown])

    def heads(self, lab: "Lab", networks: "dict[str, nn.Module]", images: "Tensor") -> None:
        """Show how far and how widely single heads look by layer."""
        found = {name: explain.attention(network, images) for name, network in networks.items()}
        if {"head", "none"} <= found.keys():
            apart = max(
                float((one.maps - other.maps).abs().max())
                for one, other in zip(found["head"], found["none"], strict=True)
            )
            lab.record("head and none: largest difference of attention", apart)
        for title, y, measure in (
            ("entropy of attention", "entropy of attention, nats", explain.entropy),
            ("distance of attention", "distance of attention, patches", explain.distance),
        ):
            curves = {
                name: (range(1, len(layers) + 1), [float(measure(one).mean()) for one in layers])
                for name, layers in found.items()
            }
            lab.show(
                title, runs.figures.curves(curves, x="layer", y=y),
                caption=f"Mean over {len(images)} images, all heads and tokens.",
            )  # fmt: skip


def number(text: str) -> tuple[str, int]:
    """Read name=number."""
    name, _, value = text.partition("=")
    if not name or not value.isdigit():
        raise OptionError(f"--options {text!r} is not name=number, such as depth=6")
    return name, int(value)
