"""What transformers attend to: every layer beside the rollout, measured, and beside other networks.

A layer's attention is a map for any class. Whether it shows what the network needs is measured as
for any map (see `metrics.faithfulness`); where the images' causes are known, by whether it finds
them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vislab import explain
from vislab.data.augment_batch import normalise
from vislab.data.table import Table
from vislab.data.world import causes
from vislab.errors import ShapeError
from vislab.inspection.benchmark import (
    CHANCE,
    Maps,
    Ranked,
    deletions,
    early_less_late,
    gained,
    margins,
    of_many,
    scored,
)
from vislab.ops import processes
from vislab.runs import figures
from vislab.runs.intervals import Interval
from vislab.runs.notebook import Notebook
from vislab.runs.tables import Cell

BATCH = 16  # images through the network at once
ROLLOUT = "rollout"
SCORE = "z.2f"  # z: no minus before 0.00


@dataclass(frozen=True)
class Attended:
    """The class attention of some images, heads averaged."""

    layers: tuple[Float[Tensor, "n _i _j"], ...]
    rollout: Float[Tensor, "n _i _j"] | None
    without: str = ""
    """Why there is no rollout."""

    def named(self) -> dict[str, Maps]:
        """Return every map by its name, the rollout last."""
        found = {f"layer {k}": maps for k, maps in enumerate(self.layers, start=1)}
        return found if self.rollout is None else {**found, ROLLOUT: self.rollout}


def attended(network: nn.Module, images: Float[Tensor, "n 3 h w"]) -> Attended:
    """Return what each layer and, where it has a meaning, the rollout attends to.

    Raises ShapeError when the network has no attention that is a map of the image.
    """
    layers: list[list[Maps]] = []
    rolled: list[Maps] = []
    without = ""
    for some in torch.split(images, BATCH):
        found = explain.attention(network, some, fuse="mean")
        layers.append([explain.class_attention(layer) for layer in found])
        try:
            rolled.append(explain.rolled_out(found))
        except ShapeError as error:
            without = str(error)
    whole = tuple(torch.cat(parts) for parts in zip(*layers, strict=True))
    return Attended(whole, None if without else torch.cat(rolled), without)


@dataclass(frozen=True)
class Alike:
    """How far two sets of maps agree: the mean over images and its 95 % interval."""

    rank_correlation: float
    of_rank: Interval | None
    overlap: float
    of_overlap: Interval | None
    chance: float  # of the overlap; that of the rank correlation is 0
    images: int  # of which both maps have an order


def alike(first: Float[Tensor, "n a b"], second: Float[Tensor, "n c d"]) -> Alike:
    """Compare maps of the same images; NaN where no image has two that are not flat."""
    found = explain.agreement(first, second)
    ranks, overlaps = (
        values[values.isfinite()].tolist() for values in (found.rank_correlation, found.overlap)
    )
    if not ranks:
        return Alike(float("nan"), None, float("nan"), None, found.chance, 0)
    return Alike(
        float(np.mean(ranks)), of_many(ranks), float(np.mean(overlaps)), of_many(overlaps),
        found.chance, len(ranks),
    )  # fmt: skip


def right_ones(correct: Bool[np.ndarray, " n"], count: int) -> list[int]:
    """Return places of images that are right, evenly spread; of any where none are."""
    right = np.flatnonzero(correct)
    return spread([int(k) for k in right] if len(right) else list(range(len(correct))), count)


def spread(places: Sequence[int], count: int) -> list[int]:
    """Return so many of them, evenly spread, or all."""
    count = min(count, len(places))
    return [places[k] for k in np.linspace(0, len(places) - 1, count).round().astype(int)]


def shown_to(notebook: Notebook, table: Table, places: Sequence[int]) -> Float[Tensor, "n 3 s s"]:
    """Return test images as the network is shown them, on the bench's device."""
    pixels = table.split("test").take(np.array(places))
    return normalise(torch.tensor(pixels, device=processes.device()), *table.normalisation)


def show_layers(
    notebook: Notebook,
    found: Mapping[str, Attended],
    table: Table,
    places: Sequence[int],
    shown: Sequence[int],
) -> None:
    """Show every layer and the rollout of each network, and the networks side by side.

    `places` are the test images that all networks' maps are of, `shown` which of those to show.
    """
    some = np.array([places[k] for k in shown])
    pixels = table.split("test").take(some)
    titles = [table.classes[k] for k in table.split("test").labels[some]]
    for turn, (name, one) in enumerate(found.items()):
        notebook.show(
            f"{name}: attention by layer",
            figures.attention_grid(
                pixels,
                {row: maps[shown].numpy() for row, maps in one.named().items()},
                titles=titles,
            ),
            caption="What the class token takes, mean over heads; last, through all layers.",
            folded=turn > 0,
        )
        if one.without:
            notebook.note(f"{name}: no rollout. {one.without}.")
    rows = {}
    for what, maps in last_and_rollout(found).items():
        rows.update({f"{name}\n{what}": one[shown].numpy() for name, one in maps.items()})
    notebook.show(
        "attention side by side", figures.attention_grid(pixels, rows, titles=titles),
        caption="The same images in each network.",
    )  # fmt: skip


def last_and_rollout(found: Mapping[str, Attended]) -> dict[str, dict[str, Maps]]:
    """Return what networks are compared by: the last layer, and the rollout where there is one."""
    rolled = {name: one.rollout for name, one in found.items() if one.rollout is not None}
    last = {name: one.layers[-1] for name, one in found.items()}
    return {"last layer": last, **({ROLLOUT: rolled} if rolled else {})}


def tell_agreement(notebook: Notebook, found: Mapping[str, Attended]) -> None:
    """File how far each pair of networks attends to the same places."""
    kinds = last_and_rollout(found)
    rows, chance, count = [], 0.0, 0
    for first, second in combinations(found, 2):
        cells: list[Cell] = [first, second]
        for maps in kinds.values():
            if first in maps and second in maps:
                one = alike(maps[first], maps[second])
                cells += [(one.rank_correlation, one.of_rank), (one.overlap, one.of_overlap)]
                chance, count = one.chance, max(count, one.images)
            else:
                cells += [None, None]
        rows.append(cells)
    if rows:
        notebook.table(
            "agreement of attention",
            ("one", "other", *((f"{what}: {measure}", SCORE) for what in kinds
                               for measure in ("rank correlation", "IoU"))),
            rows,
            caption=f"Mean over {count} test images and its 95 % interval. IoU: of the fifth of "
            f"places where each map is largest; by chance it is {chance:.2f}, the correlation 0.",
        )  # fmt: skip


def score_layers(
    notebook: Notebook,
    network: nn.Module,
    found: Attended,
    table: Table,
    places: Sequence[int],
    targets: Sequence[int],
) -> None:
    """File what the maps of layers and rollout are worth, and whether early ones are better."""
    images, masks = shown_to(notebook, table, places), causes(table, places)
    maps = found.named()
    ranked = scored(network, images, masks, targets, maps, quiet=notebook.muted)
    tell_scores(
        notebook, "attention by layer, scored", ranked, len(places), known=masks is not None
    )
    layers = [ranked[name] for name in maps if name != ROLLOUT]
    measures: dict[str, Callable[[Ranked], Float[np.ndarray, " n"]]] = {
        "insertion less deletion": margins
    }
    if masks is not None:
        measures["IoU with the cause"] = lambda one: np.array(one.iou)
    for what, measure in measures.items():
        scores = [measure(one) for one in layers]
        value, interval = early_less_late(scores)
        notebook.record(f"early layers: gain in {what} over late ones", value, interval=interval)
        if ROLLOUT in ranked:
            value, interval = gained(scores[-1], measure(ranked[ROLLOUT]))
            notebook.record(
                f"rollout: gain in {what} over the last layer", value, interval=interval
            )
        kept = {
            name: values[np.isfinite(values)]
            for name, values in ((name, measure(one)) for name, one in ranked.items())
        }
        if not all(len(values) for values in kept.values()):
            continue  # of no image is the cause seen
        shown = [name for name in kept if name != CHANCE[1]]
        notebook.show(
            f"attention by layer: {what}",
            figures.bars(
                shown,
                [float(kept[name].mean()) for name in shown],
                intervals=[of_many(kept[name].tolist()) for name in shown],
                chance=float(kept[CHANCE[1]].mean()),
                unit=what,
            ),
            caption="With 95 % intervals over images; the dotted line is a random map's.",
        )


def tell_scores(
    notebook: Notebook, title: str, ranked: Mapping[str, Ranked], count: int, *, known: bool
) -> None:
    """File the table of what maps are worth."""

    def cells(one: Ranked) -> list[Cell]:
        scores = [deletions(one), margins(one).tolist()]
        if known:
            scores.append([value for value in one.iou if np.isfinite(value)])
        found: list[Cell] = [(float(np.mean(x)), of_many(x)) if x else None for x in scores]
        return [*found, *([one.pointing()] if known else ())]

    notebook.table(
        title,
        ("map", ("deletion", SCORE), ("insertion less deletion", SCORE),
         *((("IoU", SCORE), ("points at it", ".0%")) if known else ())),
        [(name, *cells(one)) for name, one in ranked.items()],
        caption=f"Mean over {count} test images and its 95 % interval. Deletion: the area under "
        "the class's probability while the map's largest pixels are covered first; less is better. "
        "All else: more is better."
        + (" IoU: of the class's cause with as many of the map's largest pixels." if known else ""),
    )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """A network and the images as it is shown them."""

    name: str
    network: nn.Module
    images: Table


def compare_kinds(
    notebook: Notebook,
    convolution: Seen,
    transformer: Seen,
    places: Sequence[int],
    targets: Sequence[int],
    *,
    shown: int,
) -> None:
    """File where a transformer attends beside where a convolutional network has its evidence.

    Attention is the rollout; Grad-CAM over tokens or maps where that has no meaning, which a note
    says. Each map is tested on its own network.
    """
    quiet = notebook.muted
    both = (convolution, transformer)
    images = {seen.name: shown_to(notebook, seen.images, places) for seen in both}
    by_network: dict[str, dict[str, Maps]] = {}
    for seen in both:
        try:
            by_network[seen.name] = {
                "Grad-CAM": grad_cams(seen.network, images[seen.name], targets)
            }
        except ShapeError as error:
            notebook.note(f"{seen.name}: no Grad-CAM. {error}.")
            by_network[seen.name] = {}
    theirs = by_network[transformer.name]
    try:
        attention = attended(transformer.network, images[transformer.name])
        why = attention.without
        if attention.rollout is not None:
            by_network[transformer.name] = theirs = {ROLLOUT: attention.rollout, **theirs}
    except ShapeError as error:
        why = str(error)
    if why:
        notebook.note(f"{transformer.name}: Grad-CAM stands for its attention. {why}.")
    ours = by_network[convolution.name].get("Grad-CAM")
    if ours is None or not theirs:
        return
    masks = causes(convolution.images, places)
    rows: dict[str, Maps] = {}
    for seen in both:
        maps = by_network[seen.name]
        ranked = scored(seen.network, images[seen.name], masks, targets, maps, quiet=quiet)
        tell_scores(notebook, f"maps of {seen.name}, scored", ranked, len(places),
                    known=masks is not None)  # fmt: skip
        short = seen.name.rpartition(":")[2].replace("_", " ")
        rows.update({f"{short}\n{what}": one for what, one in maps.items()})
    several = spread(range(len(places)), shown)
    split = convolution.images.split("test")
    some = np.array([places[k] for k in several])
    notebook.show(
        "attention beside Grad-CAM",
        figures.attention_grid(
            split.take(some),
            {name: one[several].numpy() for name, one in rows.items()},
            titles=[convolution.images.classes[k] for k in split.labels[some]],
        ),
        caption="The best of either kind, on images that both have right where there are any.",
    )
    compared = {what: alike(one, ours) for what, one in theirs.items()}
    notebook.table(
        "agreement with Grad-CAM of the convolutional network",
        ("map of the transformer", ("rank correlation", SCORE), ("IoU", SCORE),
         ("IoU by chance", SCORE), "images"),
        [
            (what, (one.rank_correlation, one.of_rank), (one.overlap, one.of_overlap), one.chance,
             one.images)
            for what, one in compared.items()
        ],
        caption=f"{transformer.name} against {convolution.name}; mean over images and its 95 % "
        "interval. A correlation of 0 is chance; IoU is of the fifth of places where each map is "
        "largest.",
    )  # fmt: skip
    first = next(iter(compared.values()))
    if first.images:
        notebook.record(
            "transformer and convolution: rank correlation of their maps",
            first.rank_correlation, interval=first.of_rank, trivial=0.0,
        )  # fmt: skip
        notebook.record(
            "transformer and convolution: IoU of their maps",
            first.overlap, interval=first.of_overlap, trivial=first.chance,
        )  # fmt: skip


def grad_cams(
    network: nn.Module, images: Float[Tensor, "n 3 h w"], targets: Sequence[int]
) -> Float[Tensor, "n i j"]:
    """Return Grad-CAM's maps, a few images at once."""
    wanted = torch.tensor(targets, device=images.device)
    return torch.cat(
        [
            explain.grad_cam(network, some, of_them)
            for some, of_them in zip(
                torch.split(images, BATCH), torch.split(wanted, BATCH), strict=True
            )
        ]
    )
