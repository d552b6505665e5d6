"""One vision transformer, four ways to fine-tune it."""

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import explain, models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import ShapeError
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, course
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vislab.data.table import Table
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab
    from vislab.models.anatomy import Anatomy
    from vislab.tasks.classify import Classify

COURSE = Protocol(
    data="eurosat", train=21_600, test=2_700, pixels="official files", size=224,
    network="vit-b/16, pre-trained on ImageNet", optimiser="adam 0.001", epochs=10,
    metric="accuracy",
)  # fmt: skip
SOURCE = "GNR-650, assignment 2"
STRATEGIES = ("head", "last-blocks:4", "all", "none")
CLOSE = 0.95  # of its own best: what counts as having learned
PICTURES_SHOWN = 4


@dataclass(frozen=True)
class VitFinetune(Recipe):
    """Fine-tune a vision transformer four ways, each at its own rate, and see what it attends to.

    Only the head, the last blocks and the head, everything, nothing. The course gave all four one
    learning rate, 1e-3, which is far too high for a pre-trained transformer as a whole: here each
    is tuned on validation pictures, with as many trials as the others.

    Source: GNR-650, assignment 2.

    Question: Which of the four reaches its best in the fewest epochs, and which the best?
    Look at: The curves of all four: where do head and all cross?
    Look at: The attention of `head` and of `none`: why must they be the same to the last digit?
    Look at: Attention by layer, scored: which layers beat a blob in the middle? Does the rollout?
    Exercise: A ViT cuts a picture of 224 pixels into patches of 16. How many tokens, with the
    class token?
    Answer: 197
    Exercise: A layer of 12 heads attends among these tokens. How many numbers are its attention?
    Answer: 465708
    """

    group = "Classification"

    data: str = "eurosat"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training pictures of each class; None takes all."""
    network: str = "timm:vit_base_patch16_224"
    """A vision transformer by name, or a run folder with one."""
    options: tuple[str, ...] = ()
    """Options of the network as name=number, such as depth=6."""
    size: int = 224
    """Side of the pictures in pixels."""
    pretrain_on: str | None = None
    """Train it on these pictures first, in place of weights that are fetched."""
    pretrain_epochs: int = 20
    """Times through those."""
    pretrain_per_class: int | None = None
    """Of those, pictures of each class; None takes all."""
    strategies: tuple[str, ...] = STRATEGIES
    """What is trained: head, last-blocks:N, all, none, layer-decay:D, gradual."""
    factors: tuple[float, ...] = (0.3, 1.0, 3.0)
    """Each strategy tries these multiples of its rate; one factor tunes nothing."""
    tune_epochs: int = 2
    """Of each try."""
    epochs: int = 10
    """Of each training."""
    batch: int = 32
    """Table in a step."""
    augment: Augment = field(default_factory=lambda: Augment(flip=True))
    """What training pictures go through."""
    examined: int = 40
    """Test pictures on which maps of attention are scored and compared."""

    references = tuple(
        course(f"{name}/{side}/accuracy", value, SOURCE, protocol=COURSE)
        for name, values in {
            "head": (0.9870, 0.9648, 0.9596),
            "last-blocks:4": (0.9953, 0.9704, 0.9711),
            "all": (0.9148, 0.9185, 0.9074),
            "none": (0.1355, 0.1522, 0.1392),
        }.items()
        for side, value in zip(("train", "val", "test"), values, strict=True)
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
        """Pre-train if asked, then each strategy from the same weights."""
        options: dict[str, Any] = dict(map(number, self.options))
        rounds = len(self.factors) if len(self.factors) > 1 else 0
        learning = [name for name in self.strategies if name != "none"]
        lab.plan(fits=len(learning) * (1 + rounds) + bool(self.pretrain_on))
        before = self.pretrained(lab, options) if self.pretrain_on else None
        opened = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.1)
        model, anatomy, pictures = lab.adopt(
            self.network, opened, pretrained=before is None, **options
        )
        if before is not None:
            models.take_body(model, before, anatomy.head.parameters)
        outcomes: dict[str, Outcome] = {}
        trained: dict[str, Classify] = {}
        for name in self.strategies:
            rate = self.tuned(lab, name, model, anatomy, pictures)
            task = self.task(name, model, anatomy, rate)
            lab.fit(
                task, pictures, epochs=self.epochs, batch=self.batch, augment=self.augment,
                name=name,
            )  # fmt: skip
            for side in ("train", "val"):
                lab.test(task, pictures, split=side, name=name)
            outcomes[name], trained[name] = (
                lab.test(task, pictures, name=name, examine=False), task,
            )  # fmt: skip
        found = lab.run.result.metrics
        best = max(trained, key=lambda name: found[f"{name}/val/accuracy"])
        lab.record("val/accuracy", found[f"{best}/val/accuracy"], trivial=1 / len(pictures.classes))
        lab.keep(trained[best], pictures)
        lab.test(trained[best], pictures, outcome=outcomes[best])
        from vislab.evaluate.comparison import compare

        compare(lab, outcomes, what="strategies")
        self.learning(lab, pictures)
        self.attention(lab, trained, outcomes[best], best, pictures)

    def pretrained(self, lab: "Lab", options: dict[str, Any]) -> "nn.Module":
        """Return the network trained on other pictures."""
        assert self.pretrain_on is not None, "asked for only then"
        first = lab.pictures(
            self.pretrain_on, per_class=self.pretrain_per_class, size=self.size, validation=0.1
        )
        model, _, first = lab.adopt(self.network, first, pretrained=False, **options)
        task = tasks.Classify(
            model, Optim("adamw", lr=1e-3, weight_decay=0.05, schedule="one-cycle", clip=1.0)
        )
        lab.fit(
            task, first, epochs=self.pretrain_epochs, batch=64,
            augment=Augment(crop=0.125, flip=True), name="pre-training",
        )  # fmt: skip
        lab.test(task, first, name="pre-training", examine=False)
        return task.model

    def task(self, name: str, model: "nn.Module", anatomy: "Anatomy", rate: float) -> "Classify":
        """Return a task that begins from the given weights, which it does not touch."""
        optim = Optim("adamw", lr=rate, weight_decay=0.01, schedule="cosine", warmup=0.05, clip=1.0)
        return tasks.Classify(
            copy.deepcopy(model), optim, strategy=Strategy.parse(name), anatomy=anatomy
        )

    def tuned(
        self, lab: "Lab", name: str, model: "nn.Module", anatomy: "Anatomy", pictures: "Table"
    ) -> float:
        """Return the best on validation of as many rates as every other strategy tries."""
        usual = Strategy.parse(name).rate
        if name == "none" or len(self.factors) < 2:
            return usual * (self.factors[0] if self.factors else 1.0)
        scores = {}
        for factor in self.factors:
            task = self.task(name, model, anatomy, usual * factor)
            scores[factor] = lab.fit(
                task, pictures, epochs=self.tune_epochs, batch=self.batch, augment=self.augment,
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

    def learning(self, lab: "Lab", pictures: "Table") -> None:
        """Show all curves on one plot and record who learned how quickly."""
        count, chance = len(pictures.split("val")), 1 / len(pictures.classes)
        curves: dict[str, tuple[list[float], list[float]]] = {}
        for line in lab.run.logged():
            if line["fit"] in map(runs.file_name, self.strategies) and "val/accuracy" in line:
                epochs, values = curves.setdefault(str(line["fit"]), ([], []))
                epochs.append(line["epoch"])
                values.append(line["val/accuracy"])
        by_name = {name: curves[runs.file_name(name)] for name in self.strategies
                   if runs.file_name(name) in curves}  # fmt: skip
        if not by_name:
            return
        lab.show(
            "strategies by epoch",
            runs.figures.curves(by_name, x="epoch", y="validation accuracy", share=True),
            caption="Each at its own tuned rate, from the same weights.",
        )
        costs = {cost["name"]: cost for cost in lab.run.result.costs}
        rows = []
        for name, (epochs, values) in by_name.items():
            best = max(values)
            needed = float(
                next(e for e, v in zip(epochs, values, strict=True) if v >= CLOSE * best)
            )
            seconds = costs[name]["seconds"] / max(epochs)
            rows.append(
                (name, f"{best:.1%}", f"{needed:g}", f"{needed * seconds:.0f}", f"{seconds:.1f}")
            )
            lab.record(f"{name}: epochs to {CLOSE:.0%} of its best", needed)
            lab.record(f"{name}: share of its best after an epoch", values[0] / max(best, 1e-9))
        lab.table(
            "time to accuracy",
            (
                "strategy", "best on validation", f"epochs to {CLOSE:.0%} of it", "seconds to it",
                "seconds an epoch",
            ),
            rows,
        )  # fmt: skip
        found = lab.run.result.metrics
        if {"head", "all"} <= by_name.keys():
            best = min(max(by_name[name][1]) for name in ("head", "all"))
            learned = runs.wilson(round(best * count), count)[0] > chance
            if not learned:
                lab.note(
                    "Who learns more quickly cannot be told: a curve of head or all does not rise "
                    "above chance."
                )
            share = "share of its best after an epoch"
            lab.record(
                "head: share of its best after an epoch, beyond that of all",
                found[f"head: {share}"] - found[f"all: {share}"],
                interval=None if learned else (-1.0, 1.0),
            )
            needed_for = f"epochs to {CLOSE:.0%} of its best"
            lab.record(
                "all: epochs to its best, beyond those of head",
                found[f"all: {needed_for}"] - found[f"head: {needed_for}"],
                interval=None if learned else (-float(self.epochs), float(self.epochs)),
            )

    def attention(
        self,
        lab: "Lab",
        trained: "dict[str, Classify]",
        outcome: "Outcome",
        best: str,
        pictures: "Table",
    ) -> None:
        """Show what each network attends to, and test whether the best one's maps are right."""
        from vislab.inspection import attention

        places = attention.right_ones(outcome.correct, self.examined)
        images = attention.shown_to(lab, pictures, places)
        try:
            found = {
                name: attention.attended(task.network, images) for name, task in trained.items()
            }
        except ShapeError as error:
            lab.note(f"No pictures of attention: {error}.")
            return
        shown = attention.spread(range(len(places)), PICTURES_SHOWN)
        attention.show_layers(lab, found, pictures, places, shown)
        attention.tell_agreement(lab, found)
        attention.score_layers(
            lab, trained[best].network, found[best], pictures, places,
            [int(outcome.predicted[k]) for k in places],
        )  # fmt: skip
        self.heads(lab, trained, images[shown])

    def heads(self, lab: "Lab", trained: "dict[str, Classify]", images: "Tensor") -> None:
        """Show how far and how widely single heads look by layer."""
        maps = {name: explain.attention(task.network, images) for name, task in trained.items()}
        if {"head", "none"} <= maps.keys():
            apart = max(
                float((one.maps - other.maps).abs().max())
                for one, other in zip(maps["head"], maps["none"], strict=True)
            )
            lab.record("head and none: largest difference of attention", apart)
        depth = len(next(iter(maps.values())))
        for what, measure in (
            ("entropy of attention, nats", explain.entropy),
            ("distance of attention, patches", explain.distance),
        ):
            lab.show(
                what.partition(",")[0],
                runs.figures.curves(
                    {
                        name: (range(1, depth + 1), [float(measure(m).mean()) for m in of_layers])
                        for name, of_layers in maps.items()
                    },
                    x="layer", y=what,
                ),
                caption=f"Mean over {len(images)} pictures, all heads and tokens.",
            )  # fmt: skip


def number(text: str) -> tuple[str, int]:
    """Read name=number."""
    from vislab.errors import OptionError

    name, _, value = text.partition("=")
    if not name or not value.isdigit():
        raise OptionError(f"--options {text!r} is not name=number, such as depth=6")
    return name, int(value)
