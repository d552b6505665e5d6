"""Why this box, why this region: maps of single answers of detectors and segmenters, measured.

Grad-CAM of the very score, and whether covering what it marks takes that score away: beside maps
of chance, a blob in the middle of the image, and the box or region itself marked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from torch import Tensor, nn

from vislab.data.augment_batch import normalise
from vislab.data.table import Table
from vislab.errors import ShapeError
from vislab.evaluate.detection import COLOURS, SURE
from vislab.explain.dense import BoxScore, RegionScore
from vislab.explain.grad_cam import grad_cam
from vislab.explain.randomised import randomised
from vislab.inspection.faithfulness import NETWORKS, RANDOM, Examiner, Faithfulness, over_images
from vislab.metrics.detection_errors import LABELS, UNLABELLED, errors_of
from vislab.ops import processes
from vislab.progress import track
from vislab.runs import figures
from vislab.runs.figures.style import GREEN, INK
from vislab.runs.notebook import Notebook
from vislab.tasks.detecting import Detected
from vislab.tasks.segment import Segmented

if TYPE_CHECKING:
    import matplotlib.figure


WEIGHS = "Grad-CAM weighs channels, not places, so other objects of the kind may light up too."
WRONG = ("localisation", "class", "both", "background")  # a duplicate is seldom a riddle
LARGE = 256  # pixels: smaller images are enlarged, for outlines to be thin


@dataclass(frozen=True, eq=False)
class Asked:
    """One answer about one image, to be explained."""

    row: int  # of the image, among all
    score: BoxScore | RegionScore
    label: int
    name: str  # of the class
    text: str  # of the answer, for the eye
    colour: str
    itself: Bool[np.ndarray, "s s"]  # the pixels of the box or region
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Reason:
    """A map of why and what it is worth, beside a map that marks the box or region itself."""

    layer: str
    found: Float[Tensor, "i j"]
    worth: Faithfulness
    itself: Faithfulness


@dataclass(frozen=True, eq=False)
class Answered:
    """An answer with the maps of why, one for each layer that was looked at."""

    asked: Asked
    reasons: list[Reason] = field(default_factory=list)


def explain_detection(
    notebook: Notebook,
    network: nn.Module,
    table: Table,
    detected: Detected,
    *,
    count: int = 4,
) -> list[Answered]:
    """File why boxes of as many test images were found, sure mistakes among them.

    A detector that does not tell what its boxes come from has a note in place of maps.
    """
    chosen = boxes_to_explain(detected, count)
    split, asked = table.split("test"), []
    for one, mistake in chosen:
        row = int(split.rows[detected.found.image[one]])
        label = int(detected.found.label[one])
        corners = here(table, row, detected.found.boxes[one])
        try:
            score = BoxScore(network, _image(notebook, table, row), torch.tensor(corners), label)
        except ShapeError as error:
            notebook.note(f"No maps of why a box was found: {error}.")
            return []
        name = table.classes[label]
        said = f"{name} {100 * detected.found.score[one]:.0f}"
        known = mistake != UNLABELLED
        asked.append(
            Asked(
                row, score, label, name,
                f"{said}: {LABELS[mistake]}" if known else said,
                COLOURS[LABELS[mistake]] if known else INK,
                inside(corners, table.size), corners,
            )
        )  # fmt: skip
    found = _answered(notebook, table, asked)
    if not found:
        notebook.note("No maps of why a box was found: none was.")
        return []
    notebook.show(
        "why these boxes",
        _boxes_figure(table, found),
        caption="Beside each image, Grad-CAM of that box's score: yellow speaks most for it. "
        f"{WEIGHS} {_sentence(found, 'the box')}",
    )
    _table(notebook, "why these boxes, measured", table, found, "the box")
    return found


def explain_segmentation(
    notebook: Notebook,
    network: nn.Module,
    table: Table,
    segmented: Segmented,
    *,
    count: int = 4,
) -> list[Answered]:
    """File why a region has its class, for as many test images, the worst and the best.

    The region is the largest of an image's that is not background.
    """
    split, asked = table.split("test"), []
    regions = [largest_region(said) for said in segmented.predictions]
    some = np.array([place for place, region in enumerate(regions) if region is not None], int)
    order = some[np.argsort(segmented.dice[some], kind="stable")]
    for place in [*order[: count // 2], *order[count // 2 :][::-1][: count - count // 2][::-1]]:
        region = regions[place]
        assert region is not None, "places without a region were left out"
        label = int(segmented.predictions[place][region][0])
        mask = torch.from_numpy(region).to(processes.device())
        asked.append(
            Asked(
                int(split.rows[place]), RegionScore(network, mask), label, table.classes[label],
                f"{table.classes[label]}, Dice {segmented.dice[place]:.2f}", GREEN, region,
            )
        )  # fmt: skip
    if not asked:
        notebook.note("No maps of why a region has its class: the network sees only background.")
        return []
    try:
        found = _answered(notebook, table, asked)
    except ShapeError as error:
        notebook.note(f"No maps of why a region has its class: {error}.")
        return []
    notebook.show(
        "why these regions",
        _regions_figure(table, found),
        caption="Beside each image, Grad-CAM of the mean score of the outlined region's pixels: "
        f"yellow speaks most for its class. {WEIGHS} {_sentence(found, 'the region')}",
    )
    _table(notebook, "why these regions, measured", table, found, "the region")
    return found


def largest_region(said: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Return the largest connected region of one class, background aside; None without any."""
    parts = [part for label in np.unique(said[said > 0]) for part in [largest_part(said == label)]]
    return max((part for part in parts if part is not None), key=np.sum, default=None)


def largest_part(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Return the largest connected part of a mask; None of an empty one."""
    numbers, count = ndimage.label(mask)
    if not count:
        return None
    part: Bool[np.ndarray, "h w"] = numbers == 1 + np.argmax(np.bincount(numbers.ravel())[1:])
    return part


def depth(itself: Bool[np.ndarray, "h w"]) -> Float[Tensor, "h w"]:
    """Return how deep each pixel lies in a region, in pixels; below 0 how far it is from it.

    What lies beyond the image's border is outside.
    """
    inside = ndimage.distance_transform_edt(np.pad(itself, 1))[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~itself)
    return torch.from_numpy(inside - outside).float()


def boxes_to_explain(detected: Detected, count: int) -> list[tuple[int, int]]:
    """Return boxes of different images, and their labels: sure mistakes, then sure hits."""
    found = detected.found
    labels = errors_of(found, detected.targets, detected.classes, score=SURE).label
    order = np.argsort(-found.score, kind="stable")
    wrong = [one for one in order if labels[one] != UNLABELLED and LABELS[labels[one]] in WRONG]
    right = [one for one in order if labels[one] == LABELS.index("right")]
    chosen: dict[int, int] = {}
    for boxes, most in ((wrong, count // 2), (right, count), (wrong, count), ([*order], count)):
        for one in boxes:
            if len(chosen) < most:
                chosen.setdefault(int(found.image[one]), int(one))
    return [(one, int(labels[one])) for one in chosen.values()]


def _answered(notebook: Notebook, table: Table, asked: Sequence[Asked]) -> list[Answered]:
    found = []
    what, quiet = "explaining", notebook.muted
    with track(what, total=len(asked), unit="answers", quiet=quiet) as advance:
        for one in asked:
            found.append(_reasoned(one, _image(notebook, table, one.row)))
            advance(1, one.text)
    return found


def _reasoned(asked: Asked, image: Float[Tensor, "3 h w"]) -> Answered:
    """Return one answer with its maps, each measured on the very score."""
    answered = Answered(asked)
    examiner = Examiner(asked.score, image, asked.label)
    chance = [randomised(asked.score, seed=seed) for seed in range(NETWORKS)]
    itself = examiner(depth(asked.itself))
    for layer, target_layer in asked.score.target_layers(image).items():
        found, *others = (
            grad_cam(network, image[None], asked.label, target_layer=target_layer)[0]
            for network in (asked.score, *chance)
        )
        answered.reasons.append(Reason(layer, found, examiner(found, others), itself))
    return answered


def _by_layer(found: Sequence[Answered]) -> dict[str, list[Reason]]:
    layers: dict[str, list[Reason]] = {}
    for one in found:
        for reason in one.reasons:
            layers.setdefault(reason.layer, []).append(reason)
    return layers


def _sentence(found: Sequence[Answered], itself: str) -> str:
    """Say how far the maps can be believed, for each layer."""
    trusted, beaten = [], []
    for layer, reasons in _by_layer(found).items():
        sure = sum(one.worth.level == "trusted" for one in reasons)
        trusted.append(f"{sure} of {len(reasons)} at the {layer}")
        better = sum(one.itself.margin > one.worth.margin for one in reasons)
        beaten.append(f"{better} of {len(reasons)}")
    return (
        f"Believe {' and '.join(trusted)}, trusted because they change with the weights and "
        f"covering what they mark takes the score away sooner than {RANDOM} random maps and a blob "
        f"in the middle do; marking {itself} itself does better than the map in "
        f"{' and '.join(beaten)}."
    )


def _table(
    notebook: Notebook,
    title: str,
    table: Table,
    found: Sequence[Answered],
    itself: str,
) -> None:
    beyond = []
    for layer, reasons in _by_layer(found).items():
        mean, interval = over_images([one.worth for one in reasons])
        between = "" if interval is None else f" ({interval[0]:+.2f} to {interval[1]:+.2f})"
        beyond.append(f"{mean:+.2f}{between} at the {layer}")
    notebook.table(
        title,
        (
            "image", "explained", ("score", ".2f"), "layer of Grad-CAM", ("deletion", ".2f"),
            ("insertion", ".2f"), ("margin", "+z.2f"), (f"best of {RANDOM} random maps", "+z.2f"),
            ("a blob in the middle", "+z.2f"), (f"{itself} itself", "+z.2f"), "faithfulness",
        ),
        [
            (
                table.names[one.asked.row], one.asked.text, worth.probability, layer,
                *(float(np.mean([*areas.values()])) for areas in (worth.deletion, worth.insertion)),
                worth.margin, max(worth.random), worth.centre, own.margin, worth.level,
            )
            for one in found
            for layer, worth, own in ((r.layer, r.worth, r.itself) for r in one.reasons)
        ],
        caption="Deletion: the area under the score while the image is covered, what the map "
        "marks first; insertion: while it is uncovered; margin: insertion less deletion, 1 at "
        "best, about 0 for chance, and beside it what random maps reach, a blob in the middle of "
        f"the image, and {itself} itself, marked from its middle outwards. Margin beyond the "
        f"mean of chance: {', '.join(beyond)}.",
    )  # fmt: skip


def _boxes_figure(table: Table, found: Sequence[Answered]) -> "matplotlib.figure.Figure":
    shown, boxes, titles = [], [], []
    for one in found:
        pixels = np.asarray(table.pixels[one.asked.row])
        assert one.asked.box is not None, "a box was asked about"
        box = figures.Drawn(one.asked.box, colour=one.asked.colour)
        shown.append(pixels)
        titles.append(one.asked.text)
        for reason in one.reasons:
            shown.append(figures.over_image(pixels, reason.found.numpy()))
            titles.append(f"Grad-CAM: {reason.worth.level}")
        boxes += [[box]] * (1 + len(one.reasons))
    return figures.boxes_over_images(np.stack(shown), boxes, titles=titles, columns=2)


def _regions_figure(table: Table, found: Sequence[Answered]) -> "matplotlib.figure.Figure":
    shown, titles = [], []
    for one in found:
        pixels = np.asarray(table.pixels[one.asked.row])
        drawn = [pixels, *(figures.over_image(pixels, r.found.numpy()) for r in one.reasons)]
        shown += [outlined(each, one.asked.itself) for each in drawn]
        titles.append(one.asked.text)
        titles += [f"{reason.layer}: {reason.worth.level}" for reason in one.reasons]
    return figures.image_grid(
        np.stack(shown), titles=titles, columns=1 + max(len(one.reasons) for one in found)
    )


def outlined(
    pixels: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "big wide 3"]:
    """Return an image, a small one enlarged, with a white line along the region's border."""
    times = max(1, -(-LARGE // max(region.shape)))
    large, wide = (np.repeat(np.repeat(one, times, 0), times, 1) for one in (pixels, region))
    thick = max(1, max(wide.shape) // 128)
    border = wide & ~ndimage.binary_erosion(wide, iterations=thick)
    dark = ndimage.binary_dilation(border, iterations=thick) & ~border
    return np.where(border[..., None], 255, np.where(dark[..., None], 0, large)).astype(np.uint8)


def _image(notebook: Notebook, table: Table, row: int) -> Float[Tensor, "3 s s"]:
    pixels = torch.from_numpy(np.array(table.pixels[row])[None]).to(processes.device())
    return normalise(pixels, *table.normalisation)[0]


def here(table: Table, row: int, corners: np.ndarray) -> tuple[float, float, float, float]:
    """Return a box of a file in pixels of the image as the network sees it."""
    x1, y1, x2, y2 = table.placement.in_square(row, corners)
    return x1, y1, x2, y2


def inside(
    corners: tuple[float, float, float, float], size: int
) -> Bool[np.ndarray, "{size} {size}"]:
    """Return the pixels that a box touches, at least one."""
    left, top = (min(max(int(edge), 0), size - 1) for edge in corners[:2])
    right, bottom = (math.ceil(edge) for edge in corners[2:])
    found: Bool[np.ndarray, "{size} {size}"] = np.zeros((size, size), dtype=bool)
    found[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return found
