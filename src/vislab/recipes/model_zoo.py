"""The zoo of networks: what each holds, how often it multiplies, how long it takes here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab import runs
from vislab.errors import OptionError
from vislab.lab.recipe import Recipe
from vislab.profiling import zoo
from vislab.progress import track
from vislab.runs.claims import claim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vislab.lab.bench import Lab
    from vislab.profiling.zoo import Measured
    from vislab.runs.formatting import Number
    from vislab.runs.intervals import Interval

CLASSES = 1000  # as ImageNet has


@dataclass(frozen=True)
class ModelZoo(Recipe):
    """Sort known networks by parameters, multiply-adds and time: do they come in the same order?

    A network has three sizes that papers quote for one another. Its parameters are what a file of
    weights holds; its multiply-adds are the arithmetic for one image; its latency is how long one
    waits. The first two are counted, on networks whose weights have shapes but no values. The third
    is timed, with fresh weights: how long a pass takes does not depend on what was learned.

    Source: the courses' notes name networks in the order of the legend of sizes of Canziani, Paszke
    and Culurciello 2016 (arXiv:1605.07678), read as a list; here the order is measured.

    Question: Two networks multiply equally often. Will they take equally long?
    Look at: multiply-adds and latency. Which networks stand high above others that multiply as
    often? What kind of convolution do they have in common?
    Look at: parameters and multiply-adds. Which networks hold much and multiply little? Open one
    with `vislab models torchvision:alexnet --layers`: which layers are these?
    Look at: the table. Which networks gain most when images come in batches?
    Exercise: A 3×3 convolution takes 64 channels to a map of 128 channels and 56×56 places. How
    many million multiply-adds does it do?
    Answer: 231.2
    Exercise: How many million parameters has VGG-16's first linear layer, from 512 channels of 7×7
    places to 4096 units, with its biases?
    Answer: 102.8
    """

    group = "Classification"

    networks: tuple[str, ...] = (
        "convnet",
        "all-cnn",
        "resnet18",
        "torchvision:alexnet",
        "torchvision:vgg16",
        "torchvision:googlenet",
        "torchvision:inception_v3",
        "torchvision:resnet50",
        "torchvision:squeezenet1_1",
        "torchvision:densenet121",
        "torchvision:mobilenet_v2",
        "torchvision:mobilenet_v3_large",
        "torchvision:efficientnet_b0",
        "torchvision:convnext_tiny",
        "torchvision:vit_b_16",
        "torchvision:swin_t",
    )
    """Names of `vislab models`, at least four."""
    size: int = 224
    """Side of the images in pixels; some networks take only what they were made for."""
    batch: int = 16
    """Images that are timed together, besides one alone."""

    claims = (
        claim("more multiply-adds take longer by and large", "rank correlation", at_least=0.5),
        claim("more multiply-adds do not always take longer", "pairs in reverse", at_least=0.01),
        claim(
            "a multiply-add takes longer in one network than in another",
            "slowest over fastest multiply-add",
            at_least=2.0,
        ),
    )
    quick = {
        "networks": (
            "convnet",
            "all-cnn",
            "resnet18",
            "torchvision:squeezenet1_1",
            "torchvision:mobilenet_v3_small",
            "torchvision:shufflenet_v2_x1_0",
            "torchvision:densenet121",
        ),
        "size": 64,
        "batch": 8,
    }
    smoke = {
        "networks": ("convnet", "all-cnn", "resnet18", "torchvision:squeezenet1_1"),
        "size": 32,
        "batch": 2,
    }

    def run(self, lab: "Lab") -> None:
        """Count and time every network; sort, draw and compare the orders."""
        from vislab.runs.formatting import amount, number

        self.check()
        found: list[Measured] = []
        quiet = lab.muted
        with track("timing", total=len(self.networks), unit="networks", quiet=quiet) as advance:
            for name in self.networks:
                one = zoo.measure(
                    name, self.size, batch=self.batch, classes=CLASSES, device=lab.device
                )
                found.append(one)
                advance(1, name)
                lab.say(
                    f"{name}: {amount(one.parameters)} parameters, {amount(one.macs)} "
                    f"multiply-adds, {number(one.alone['median'])} ms; in batches of {self.batch} "
                    f"{number(one.images_per_second)} images a second"
                )
        found.sort(key=lambda one: one.parameters)
        self.tell(lab, found)
        self.draw(lab, found)

    def check(self) -> None:
        """Refuse what cannot be ranked or timed."""
        if len(set(self.networks)) < 4 or len(set(self.networks)) < len(self.networks):
            raise OptionError(
                f"--networks {' '.join(self.networks)} cannot be ranked; name four or more, each "
                "once"
            )
        for option, value in (("size", self.size), ("batch", self.batch)):
            if value < 1:
                raise OptionError(f"--{option} {value} is no image; use 1 or more")

    def tell(self, lab: "Lab", found: "Sequence[Measured]") -> None:
        """File the table and what the orders have to do with each other."""
        from vislab.runs.formatting import number

        waits = [one.alone["median"] for one in found]
        macs, held = [one.macs for one in found], [one.parameters for one in found]
        rank = rank_correlation(macs, waits)
        lab.record("rank correlation", rank, interval=rank_interval(rank, len(found)))
        other = rank_correlation(held, waits)
        lab.record(
            "rank correlation of parameters", other, interval=rank_interval(other, len(found))
        )
        lab.record("pairs in reverse", reversed_pairs(found))
        paces = [one.pace for one in found]
        lab.record("slowest over fastest multiply-add", max(paces) / min(paces))
        lab.say(
            f"multiply-adds and latency: rank correlation {number(rank)}; parameters and latency: "
            f"{number(other)}"
        )
        lab.table(
            "networks by parameters",
            (
                "network",
                ("parameters", ",d"),
                ("multiply-adds", ",d"),
                ("ms for one image", ",.2f"),
                ("95 % below, ms", ",.2f"),
                (f"images/s in batches of {self.batch}", ",.1f"),
                ("gain of the batch", ".2f"),
                ("billion multiply-adds/s", ",.2f"),
            ),
            [
                (
                    one.name,
                    one.parameters,
                    one.macs,
                    one.alone["median"],
                    one.alone["p95"],
                    one.images_per_second,
                    one.images_per_second * one.alone["median"] / 1e3,
                    one.pace / 1e9,
                )
                for one in found
            ],
            caption=f"With {CLASSES} classes, for images of {self.size}×{self.size}, on "
            f"{self.where(lab)}. Multiply-adds are those of convolutions and matrix products for "
            "one image; their pace is that for one image. The gain is over one image at a "
            "time.",
        )

    def draw(self, lab: "Lab", found: "Sequence[Measured]") -> None:
        """File the charts."""
        names = [one.name for one in found]
        name = dict(zip(names, shortened(names), strict=True))
        lab.show(
            "multiply-adds and latency",
            runs.figures.named_points(
                {name[one.name]: (one.macs, one.alone["median"]) for one in found},
                x="multiply-adds for one image",
                y="milliseconds for one image",
            ),
            caption=f"Medians on {self.where(lab)}, both axes logarithmic. The interval of the "
            "rank correlation is over the choice of networks (Bonett and Wright 2000), not over "
            "machines. A pair is in reverse when the one that multiplies less takes longer, at its "
            "median, than the other in 95 % of its passes.",
        )
        lab.show(
            "parameters and multiply-adds",
            runs.figures.named_points(
                {name[one.name]: (one.parameters, one.macs) for one in found},
                x="parameters",
                y="multiply-adds for one image",
            ),
            caption="Counted, both axes logarithmic. A weight of a convolution multiplies once for "
            "each place of the map, a weight of a linear layer once.",
        )
        lab.show(
            "networks by parameters",
            plain_bars(
                {name[one.name]: one.parameters / 1e6 for one in found}, "million parameters"
            ),
        )
        quickest = sorted(found, key=lambda one: -one.images_per_second)
        lab.show(
            "images a second",
            plain_bars(
                {name[one.name]: one.images_per_second for one in quickest},
                f"images a second, in batches of {self.batch}",
            ),
            caption=f"Medians on {self.where(lab)}.",
        )

    def where(self, lab: "Lab") -> str:
        """Say what it was timed on."""
        import torch

        if lab.device.type == "cuda":
            return torch.cuda.get_device_name(lab.device)
        threads = torch.get_num_threads()
        return f"{threads} thread{'s' if threads > 1 else ''} of the processor"


def shortened(names: Sequence[str]) -> list[str]:
    """Leave out where networks come from, unless two would be called the same."""
    bare = [name.rpartition(":")[2] for name in names]
    return [own if bare.count(own) == 1 else name for name, own in zip(names, bare, strict=True)]


def plain_bars(values: Mapping[str, float], unit: str) -> "Figure":
    """Draw bars with three digits beside them."""
    numbers = [float(f"{value:.3g}") for value in values.values()]
    figure = runs.figures.bars(list(values), numbers, unit=unit)
    figure.axes[0].grid(False)  # its lines would cross the numbers
    return figure


def rank_correlation(first: "Sequence[Number]", second: "Sequence[Number]") -> float:
    """Return Spearman's coefficient: the correlation of the ranks, equal values sharing theirs."""
    import numpy as np
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def rank_interval(rank: float, count: int) -> "Interval | None":
    """Return the 95 % interval of a rank correlation; None where it has none.

    Bonett and Wright 2000: Fisher's atanh of it is about normal, of variance (1 + r²/2) / (n - 3).
    """
    if count < 4 or not abs(rank) < 1:
        return None
    half = 1.959964 * math.sqrt((1 + rank**2 / 2) / (count - 3))
    return (math.tanh(math.atanh(rank) - half), math.tanh(math.atanh(rank) + half))


def reversed_pairs(found: "Sequence[Measured]") -> float:
    """Return the share of pairs in which the one that multiplies less takes clearly longer."""
    pairs = [(a, b) for a in found for b in found if a.macs < b.macs]
    return sum(a.alone["median"] > b.alone["p95"] for a, b in pairs) / max(len(pairs), 1)
