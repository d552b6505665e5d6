"""Convolution against attention, with an equal budget of tuning and every cost measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import runs, tasks
from vislab.data.augment import Augment
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.runs.references import Protocol, literature
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy

if TYPE_CHECKING:
    from vislab.data.table import Table
    from vislab.evaluate.classification import Outcome
    from vislab.lab.bench import Lab
    from vislab.tasks.classify import Classify

FLOWERS = Protocol(data="flowers102", train=2_040, test=6_149, metric="accuracy")
CARS = Protocol(data="stanford-cars", train=8_144, test=8_041, metric="accuracy")
ATTENDING = ("vit", "swin", "maxvit", "deit", "beit", "mobilevit")  # in a name: a transformer
TABLE = "arXiv:2012.12877, table 7"
PUBLISHED = {  # on Flowers-102 and Stanford Cars, by a word in the name
    "efficientnet": "B7: 98.8 / 94.7", "vit_": "DeiT-B: 98.4 / 92.1", "deit": "DeiT-B: 98.4 / 92.1",
}  # fmt: skip
SCHEDULES = ("constant", "cosine", "one-cycle")
PICTURES_SHOWN = 4


@dataclass(frozen=True)
class CnnVsTransformer(Recipe):
    """Compare convolutional networks and transformers, each tuned with as many trials.

    Every network tries the same number of learning rates, batches, schedules and amounts of
    freezing, in short trainings judged on validation pictures; the best setting of each is then
    trained in full and tested once. Beside the accuracy: pictures a second in training, latency,
    memory, parameters and multiply-adds, all measured here.

    Source: Computer Vision Lab (choose between convolutional networks and transformers; effects of
    learning rate, batch size, schedule and freezing). Published numbers beside ours: Touvron et al.
    2021, arXiv:2012.12877, table 7.

    Question: With a thousand training pictures, which would you bet on, and would you still with a
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
    """Training pictures of each class; None takes all."""
    networks: tuple[str, ...] = (
        "torchvision:resnet50", "timm:efficientnet_b0", "torchvision:mobilenet_v3_large",
        "timm:vit_small_patch16_224", "timm:swin_tiny_patch4_window7_224",
        "timm:maxvit_tiny_tf_224",
    )  # fmt: skip
    """By name; see `vislab models`."""
    pretrained: bool = True
    """Begin from ImageNet weights; without, from random ones."""
    size: int = 224
    """Side of the pictures in pixels."""
    lr: float = 3e-4
    """The rate in the middle; the others are a third and three times it."""
    batch: int = 32
    """Table in a step; the other batch is twice as large."""
    tune_epochs: int = 3
    """Of each short training."""
    epochs: int = 15
    """Of the full one."""
    augment: Augment = field(default_factory=lambda: Augment(resized_crop=0.5, flip=True))
    """What training pictures go through."""
    examined: int = 40
    """Test pictures on which the maps of both kinds are compared."""

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
        opened = lab.pictures(self.data, per_class=self.per_class, size=self.size, validation=0.1)
        settings = self.settings()
        lab.plan(fits=len(self.networks) * (len(settings) + 1))
        outcomes: dict[str, Outcome] = {}
        trained: dict[str, tuple[float, Classify, Table]] = {}
        effects: dict[str, dict[str, float]] = {}
        for network in self.networks:
            effects[network] = {
                label: self.trained(
                    lab, network, opened, setting, self.tune_epochs, f"{network}, {label}"
                )[0]
                for label, setting in settings.items()
            }
            best = self.best(effects[network], settings)
            lab.note(
                f"{network}: best of {len(settings)} short trainings "
                f"{max(effects[network].values()):.1%} on validation; trained in full with "
                f"{describe(best)}."
            )
            trained[network] = self.trained(lab, network, opened, best, self.epochs, network)
            _, task, pictures = trained[network]
            outcomes[network] = lab.test(task, pictures, name=network, examine=False)
        winner = max(trained, key=lambda name: trained[name][0])
        _, task, pictures = trained[winner]
        lab.record("val/accuracy", trained[winner][0], trivial=1 / len(pictures.classes))
        lab.keep(task, pictures)
        lab.test(task, pictures, outcome=outcomes[winner])
        from vislab.evaluate.comparison import compare

        compare(lab, outcomes)
        self.show_effects(lab, effects)
        self.show_costs(lab, trained, outcomes)
        self.judge(lab, trained, outcomes)

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return what every network tries: one common setting, and each knob varied alone."""
        common = {
            "lr": self.lr, "batch": self.batch, "schedule": "cosine", "frozen": "none",
        }  # fmt: skip
        found: dict[str, dict[str, Any]] = {"as it is": common}
        for factor in (1 / 3, 3.0):
            found[f"rate {self.lr * factor:.2g}"] = {**common, "lr": self.lr * factor}
        found[f"batch {2 * self.batch}"] = {**common, "batch": 2 * self.batch}
        for schedule in SCHEDULES:
            if schedule != common["schedule"]:
                found[f"schedule {schedule}"] = {**common, "schedule": schedule}
        found["frozen body"] = {**common, "frozen": "body"}
        return found

    def best(
        self, scores: Mapping[str, float], settings: Mapping[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the common setting with each knob at the value that did best alone."""
        common, base = dict(settings["as it is"]), scores["as it is"]
        for knob in common:
            tried = {
                label: scores[label]
                for label, setting in settings.items()
                if setting[knob] != settings["as it is"][knob]
            }
            label = max(tried, key=lambda label: tried[label])
            if tried[label] > base:
                common[knob] = settings[label][knob]
        return common

    def trained(
        self,
        lab: "Lab",
        network: str,
        opened: "Table",
        setting: Mapping[str, Any],
        epochs: int,
        name: str,
    ) -> "tuple[float, Classify, Table]":
        """Train one network under one setting; return its validation accuracy and the task."""
        model, anatomy, pictures = lab.adopt(network, opened, pretrained=self.pretrained)
        optim = Optim(
            "adamw", lr=setting["lr"], weight_decay=0.05, schedule=setting["schedule"], clip=1.0
        )
        frozen = setting["frozen"] == "body"
        # From random weights batch normalisation must learn its averages: no strategy at all.
        plain = not frozen and not self.pretrained
        task = tasks.Classify(
            model,
            optim,
            strategy=None if plain else Strategy.parse("head" if frozen else "all"),
            anatomy=None if plain else anatomy,
        )
        score = lab.fit(
            task,
            pictures,
            epochs=epochs,
            batch=setting["batch"],
            augment=Augment(flip=True) if frozen else self.augment,
            name=name,
        )
        return score or 0.0, task, pictures

    def show_effects(self, lab: "Lab", effects: "dict[str, dict[str, float]]") -> None:
        """Show the effect of each knob on each network as small multiples."""
        labels = list(next(iter(effects.values())))
        lab.table(
            "short trainings",
            ("network", *labels),
            [
                (network, *(f"{scores[label]:.1%}" for label in labels))
                for network, scores in effects.items()
            ],
            caption=f"Validation accuracy after {self.tune_epochs} epochs; each column changes one "
            "thing.",
        )
        lower, higher = (label for label in labels if label.startswith("rate"))
        other = [label for label in labels if label.startswith("schedule")]
        # Of each knob its values in order, and which of them is the common setting.
        knobs = {
            "learning rate": ([lower, f"rate {self.lr:.2g}", higher], 1),
            "batch": ([f"batch {self.batch}", f"batch {2 * self.batch}"], 0),
            "schedule": (["schedule cosine", *other], 0),
            "freezing": (["all trained", "frozen body"], 0),
        }
        lab.show(
            "what each knob does",
            runs.figures.small_multiples(
                {
                    knob: {
                        network: {
                            label: scores["as it is" if place == usual else label]
                            for place, label in enumerate(tried)
                        }
                        for network, scores in effects.items()
                    }
                    for knob, (tried, usual) in knobs.items()
                },
                y="validation accuracy",
            ),
            caption="Each knob alone, the others as they were.",
        )

    def show_costs(
        self,
        lab: "Lab",
        trained: "dict[str, tuple[float, Classify, Table]]",
        outcomes: "dict[str, Outcome]",
    ) -> None:
        """Put every measured cost beside the accuracy."""
        from vislab.profiling.costs import costs

        by_name = {entry["name"]: entry for entry in lab.run.result.costs}
        rows = []
        for network, (_, task, pictures) in trained.items():
            measured = costs(task.model, pictures.size, lab.device)
            entry = by_name.get(network, {})
            latency = measured["latency_ms"]["1"]["median"]
            rows.append(
                (
                    network, "transformer" if attends(network) else "convolution",
                    f"{outcomes[network].accuracy:.1%}",
                    f"{measured['parameters'] / 1e6:.2f}", f"{measured['macs'] / 1e6:.1f}",
                    f"{latency:.1f}", f"{entry.get('train_pictures_per_second', 0):.0f}",
                    f"{entry.get('seconds', 0) / 60:.1f}",
                    next((said for word, said in PUBLISHED.items() if word in network), "–"),
                )
            )  # fmt: skip
        lab.table(
            "accuracy and cost",
            (
                "network", "kind", "test accuracy", "million parameters", "million MACs",
                "ms a picture", "training pictures/s", "minutes", "published, Flowers / Cars",
            ),
            rows,
            caption=f"Measured here, on {lab.device.type}; published: the largest of the family in "
            f"{TABLE}.",
        )  # fmt: skip

    def judge(
        self,
        lab: "Lab",
        trained: "dict[str, tuple[float, Classify, Table]]",
        outcomes: "dict[str, Outcome]",
    ) -> None:
        """Compare the best of either kind, chosen on validation pictures."""
        kinds: dict[bool, str] = {}
        for network in sorted(trained, key=lambda name: trained[name][0]):
            kinds[attends(network)] = network
        if len(kinds) == 2:
            gain, interval = runs.paired_bootstrap(
                outcomes[kinds[False]].correct, outcomes[kinds[True]].correct
            )
            lab.record("transformer: gain in accuracy over convolution", gain, interval=interval)
            self.look(lab, kinds, trained, outcomes)

    def look(
        self,
        lab: "Lab",
        kinds: Mapping[bool, str],
        trained: "dict[str, tuple[float, Classify, Table]]",
        outcomes: "dict[str, Outcome]",
    ) -> None:
        """Compare where the best of either kind looks, on pictures that both have right."""
        from vislab.inspection import attention

        convolution, transformer = (
            attention.Seen(name, trained[name][1].network, trained[name][2])
            for name in (kinds[False], kinds[True])
        )
        places = attention.right_ones(
            outcomes[convolution.name].correct & outcomes[transformer.name].correct, self.examined
        )
        labels = outcomes[convolution.name].labels
        attention.compare_kinds(
            lab, convolution, transformer, places, [int(labels[k]) for k in places],
            shown=PICTURES_SHOWN,
        )  # fmt: skip


def attends(network: str) -> bool:
    """Return whether a network is a transformer, by its name."""
    return any(word in network.lower() for word in ATTENDING)


def describe(setting: Mapping[str, Any]) -> str:
    """Name a setting in a sentence."""
    frozen = "its body frozen" if setting["frozen"] == "body" else "nothing frozen"
    return (
        f"rate {setting['lr']:.2g}, batch {setting['batch']}, schedule {setting['schedule']}, "
        f"{frozen}"
    )
