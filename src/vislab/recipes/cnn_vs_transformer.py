"""Convolution against attention, with an equal budget of tuning and every cost measured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from vislab import runs, tasks
from vislab.data.augment import Augment
from vislab.lab.training_recipe import LabelledImages
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, literature
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.lab.bench import Lab
    from vislab.lab.variants import Variants
    from vislab.tasks.classify import Classify

FLOWERS = Protocol(data="flowers102", train=2_040, test=6_149, metric="accuracy")
CARS = Protocol(data="stanford-cars", train=8_144, test=8_041, metric="accuracy")
ATTENDING = ("vit", "swin", "deit", "beit")  # in a name: a transformer
TABLE = "arXiv:2012.12877, table 7"
PUBLISHED = {  # on Flowers-102 and Stanford Cars, by a word in the name
    "efficientnet": "B7: 98.8 / 94.7",
    ":vit_": "DeiT-B: 98.4 / 92.1", "deit": "DeiT-B: 98.4 / 92.1",
}  # fmt: skip
AS_IT_IS = "as it is"
IMAGES_SHOWN = 4


@dataclass(frozen=True)
class Setting:
    """How a network is trained."""

    lr: float
    batch: int
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"
    frozen: bool = False  # all but the head

    def __str__(self) -> str:
        """Say it in a sentence."""
        frozen = "its body frozen" if self.frozen else "nothing frozen"
        return f"rate {self.lr:.2g}, batch {self.batch}, schedule {self.schedule}, {frozen}"


@dataclass(frozen=True)
class CnnVsTransformer(LabelledImages):
    """Compare convolutional networks and transformers, each tuned with as many trials.

    Every network tries the same number of learning rates, batches, schedules and amounts of
    freezing, in short trainings judged on validation images; the best setting of each is then
    trained in full and tested once. Beside the accuracy: images a second in training, latency,
    memory, parameters and multiply-adds, all measured here.

    Source: Computer Vision Lab (choose between convolutional networks and transformers; effects of
    learning rate, batch size, schedule and freezing). Published numbers beside ours: Touvron et al.
    2021, arXiv:2012.12877, table 7.

    Question: With a thousand training images, which would you bet on, and would you still with a
    million?
    Look at: The small multiples: which knob moves which network most? One left at its default is
    part of the comparison.
    Look at: The table: is the winner in accuracy the winner for its cost?
    Look at: Attention beside Grad-CAM: do both look at the thing, and does each need what it marks?
    Exercise: Four networks, three rates, two batches, three schedules and two amounts of freezing,
    each varied alone from one common setting. How many short trainings, counting that one once for
    each network?
    Answer: 28
    Exercise: Swin attends in windows of 7×7 patches. How many numbers are the attention of one
    window and one head?
    Answer: 2401
    """

    group = "Classification"

    data: str = "flowers102"
    """A name of the catalogue, a folder or a zip."""
    per_class: int | None = None
    """Training images of each class; None takes all."""
    networks: tuple[str, ...] = (
        "torchvision:resnet50", "timm:efficientnet_b0", "torchvision:mobilenet_v3_large",
        "timm:vit_small_patch16_224", "timm:swin_tiny_patch4_window7_224",
        "timm:maxvit_tiny_tf_224",
    )  # fmt: skip
    """By name; see `vislab models`."""
    pretrained: bool = True
    """Begin from ImageNet weights; without, from random ones."""
    size: int = 224
    """Side of the images in pixels."""
    lr: float = 3e-4
    """The rate in the middle; the others are a third and three times it."""
    batch: int = 32
    """Batch size; the other batch is twice as large."""
    tune_epochs: int = 3
    """Of each short training."""
    epochs: int = 15
    """Of the full one."""
    augment: Augment = Augment(resized_crop=0.5, flip=True)
    """What training images go through."""
    examined: int = 40
    """Test images on which the maps of both kinds are compared."""

    references = (
        literature("test/accuracy", 0.988, f"EfficientNet-B7; {TABLE}", protocol=FLOWERS),
        literature("test/accuracy", 0.947, f"EfficientNet-B7; {TABLE}", protocol=CARS),
    )
    claims = (
        claim("the best transformer beats the best convolutional network",
              "transformer: gain in accuracy over convolution", at_least=1e-4),
    )  # fmt: skip
    quick = {
        "data": "shapes:easy", "per_class": 30, "size": 32, "pretrained": False, "epochs": 4,
        "tune_epochs": 1, "lr": 1e-3,
        "networks": ("convnet", "timm:mobilevit_xxs"), "examined": 16,
    }  # fmt: skip
    smoke = {
        **quick, "data": "digits", "per_class": 2, "epochs": 1, "batch": 10, "examined": 3,
        "networks": ("convnet", "timm:mobilevit_xxs"),
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Tune each alike, train each in full, compare accuracy and cost."""
        from vislab.lab.variants import Variant, Variants, require_names

        require_names(self.networks, None, "networks")
        opened = self.open_images(lab, validation=0.1)
        tries = self.tries()
        lab.plan(fits=len(self.networks) * (len(tries) + 1))
        lab.dry_run(
            lambda name: lab.create_model(name, opened, pretrained=self.pretrained), self.networks
        )
        found, scores = Variants(lab, "networks"), {}
        for network in self.networks:
            scores[network] = {
                label: self.trained(
                    lab, network, opened, setting, self.tune_epochs, f"{network}, {label}"
                )[0] or 0.0
                for label, setting in tries.items()
            }  # fmt: skip
            best = self.best(scores[network])
            lab.note(
                f"{network}: best of {len(tries)} short trainings "
                f"{max(scores[network].values()):.1%} on validation; trained in full with {best}."
            )
            score, task, images = self.trained(lab, network, opened, best, self.epochs, network)
            outcome = lab.test(task, images, name=network, examine=False)
            found[network] = Variant(task, images, score, outcome)
        found.conclude()
        found.compare()
        self.show_effects(lab, scores)
        self.show_costs(lab, found)
        kinds = {attends(name): name for name in sorted(found, key=lambda name: found[name].merit)}
        if len(kinds) == 2:  # the best of either, as chosen on validation images
            found.gain("transformer: gain in accuracy over convolution", kinds[True],
                       over=kinds[False])  # fmt: skip
            self.look(lab, found, kinds[False], kinds[True])

    def knobs(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the values of each knob, and what each changes: the common one nothing."""
        lower, higher, twice = self.lr * (1 / 3), self.lr * 3, self.batch * 2
        return {
            "learning rate": {f"rate {lower:.2g}": {"lr": lower}, f"rate {self.lr:.2g}": {},
                              f"rate {higher:.2g}": {"lr": higher}},
            "batch": {f"batch {self.batch}": {}, f"batch {twice}": {"batch": twice}},
            "schedule": {"schedule cosine": {}, "schedule constant": {"schedule": "constant"},
                         "schedule one-cycle": {"schedule": "one-cycle"}},
            "freezing": {"all trained": {}, "frozen body": {"frozen": True}},
        }  # fmt: skip

    def tries(self) -> dict[str, Setting]:
        """Return what every network tries: one common setting, and each knob varied alone."""
        common = Setting(self.lr, self.batch)
        return {AS_IT_IS: common} | {
            label: replace(common, **change)
            for values in self.knobs().values()
            for label, change in values.items()
            if change
        }

    def best(self, scores: Mapping[str, float]) -> Setting:
        """Return the common setting with each knob at the value that did best alone."""
        setting = Setting(self.lr, self.batch)
        for values in self.knobs().values():
            label = max((label for label in values if values[label]), key=lambda one: scores[one])
            if scores[label] > scores[AS_IT_IS]:
                setting = replace(setting, **values[label])
        return setting

    def trained(
        self, lab: "Lab", network: str, opened: "Table", setting: Setting, epochs: int, name: str
    ) -> "tuple[float | None, Classify, Table]":
        """Train a network anew; return its score on validation images, and all as it sees them."""
        model, groups, images = lab.create_model(network, opened, pretrained=self.pretrained)
        optim = Optim(
            "adamw", lr=setting.lr, weight_decay=0.05, schedule=setting.schedule, clip=1.0
        )
        if setting.frozen or self.pretrained:
            strategy = Strategy("head" if setting.frozen else "all")
            task = tasks.Classify(model, optim, strategy=strategy, groups=groups)
        else:  # from random weights batch normalisation must learn its averages: no strategy
            task = tasks.Classify(model, optim)
        score = lab.fit(
            task, images, epochs=epochs, batch=setting.batch,
            augment=Augment(flip=True) if setting.frozen else self.augment, name=name,
        )  # fmt: skip
        return score, task, images

    def show_effects(self, lab: "Lab", scores: Mapping[str, Mapping[str, float]]) -> None:
        """Show the effect of each knob on each network as small multiples."""
        labels = list(self.tries())
        lab.table(
            "short trainings",
            ("network", *((label, ".1%") for label in labels)),
            [(network, *(tried[label] for label in labels)) for network, tried in scores.items()],
            caption=f"Validation accuracy after {self.tune_epochs} epochs; each column changes one "
            "thing.",
        )
        panels = {
            knob: {
                network: {label: tried[label if change else AS_IT_IS]
                          for label, change in values.items()}
                for network, tried in scores.items()
            }
            for knob, values in self.knobs().items()
        }  # fmt: skip
        lab.show(
            "what each knob does", runs.figures.small_multiples(panels, y="validation accuracy"),
            caption="Each knob alone, the others as they were.",
        )  # fmt: skip

    def show_costs(self, lab: "Lab", found: "Variants") -> None:
        """Put every measured cost beside the accuracy."""
        from vislab.profiling.costs import costs

        trained = {entry["name"]: entry for entry in lab.run.result.costs}
        rows = []
        for name, one in found.items():
            measured = costs(one.task.model, one.table.size, lab.device)
            rows.append((
                name, "transformer" if attends(name) else "convolution",
                one.outcome.estimates["accuracy"], measured["parameters"], measured["macs"],
                measured["latency_ms"]["1"]["median"],
                trained[name].get("train_images_per_second"), trained[name]["seconds"] / 60,
                next((said for word, said in PUBLISHED.items() if word in name), None),
            ))  # fmt: skip
        lab.table(
            "accuracy and cost",
            (
                "network", "kind", ("test accuracy", ".1%"), ("parameters", ",d"), ("MACs", ",d"),
                ("ms an image", ".1f"), ("training images/s", ".0f"), ("minutes", ".1f"),
                "published, Flowers / Cars",
            ),
            rows,
            caption=f"Measured here, on {lab.device.type}; published: the largest of the family in "
            f"{TABLE}.",
        )  # fmt: skip

    def look(self, lab: "Lab", found: "Variants", convolution: str, transformer: str) -> None:
        """Compare where the best of either kind looks, on images that both have right."""
        from vislab.inspection import attention

        pair = [found[name] for name in (convolution, transformer)]
        right = pair[0].outcome.correct & pair[1].outcome.correct
        places = attention.right_ones(right, self.examined)
        attention.compare_kinds(
            lab, attention.Seen(convolution, pair[0].task.network, pair[0].table),
            attention.Seen(transformer, pair[1].task.network, pair[1].table),
            places, [int(pair[0].outcome.labels[k]) for k in places], shown=IMAGES_SHOWN,
        )  # fmt: skip


def attends(network: str) -> bool:
    """Return whether a network is a transformer, by its name."""
    return any(word in network.lower() for word in ATTENDING)
