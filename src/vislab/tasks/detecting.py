"""What all detectors share: frozen normalisation, and what is found on a split, scored."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vislab.data.batches import Batch
from vislab.data.columns import NOTHING
from vislab.data.views import IGNORED
from vislab.explain.hooks import hooked
from vislab.metrics.coco_map import coco_map
from vislab.metrics.detection import AveragePrecision, average_precision
from vislab.metrics.detection_interval import mean_interval
from vislab.metrics.detection_matching import Detections, Targets
from vislab.runs.intervals import NOWHERE
from vislab.tasks.optim import Optim
from vislab.tasks.outcome import Estimate, Outcome
from vislab.tasks.task import Task

COURSE_CUT = 0.8  # the course keeps boxes with this score or more, and only then averages
COURSE_OVERLAP = 0.3  # of its NMS
ENOUGH = 20  # images that are drawn again for an interval; of fewer it would be too narrow


def nothing_found() -> Detections:
    """Return no detections."""
    none = np.zeros(0, dtype=np.int64)
    return Detections(none, np.zeros((0, 4)), none, np.zeros(0))


def nothing_there() -> Targets:
    """Return no objects."""
    none, no = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
    return Targets(none, np.zeros((0, 4)), none, no, no)


@dataclass(frozen=True, eq=False)
class Detected(Outcome):
    """What a detector finds in a split, in pixels of the files, and what is there."""

    found: Detections = field(default_factory=nothing_found)
    targets: Targets = field(default_factory=nothing_there)
    classes: int = 0

    def average_precision(self, **options: Any) -> AveragePrecision:
        """Return it over the whole split; see `metrics.average_precision`."""
        return average_precision(self.found, self.targets, self.classes, **options)


class Detect(Task):
    """A detector: a network with `detect(images)`.

    With `frozen_norm`, batch normalisation of the backbone keeps the averages it came with, as is
    usual for pre-trained backbones and small batches.
    """

    score: ClassVar[str] = "map50"
    answers: ClassVar[str] = "boxes"
    images_at_once: ClassVar[int] = 32
    outcome = Detected

    def __init__(
        self, model: nn.Module, optim: Optim | None = None, *, frozen_norm: bool = False
    ) -> None:
        super().__init__(model, optim)
        self.classes = int(model.classes)  # type: ignore[arg-type]
        self.frozen_norm = frozen_norm

    def train(self, mode: bool = True) -> "Detect":
        """Set training mode; frozen normalisation stays in eval mode."""
        super().train(mode)
        backbone = getattr(self.model, "backbone", None)
        if self.frozen_norm and isinstance(backbone, nn.Module):
            freeze_norms(backbone)
        return self

    def scores(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the mean average precision at an overlap of one half, all points."""
        with hooked(self.network, []), torch.inference_mode():
            found, targets = detections_of(self.network, batches)
        mean = average_precision(found, targets, self.classes).mean
        return {self.score: 0.0 if np.isnan(mean) else mean}

    def test(self, batches: Iterable[Batch]) -> Detected:
        """Return the average precisions; `batches` are gone through twice.

        As VOC 2010 and 2007 and COCO count them, and as the course does: NMS at 0.3, scores
        of 0.8 and more, all points. With its interval over drawing images again, the first of them.
        """
        with hooked(self.network, []), torch.inference_mode():
            found, targets = detections_of(self.network, batches)
            if getattr(getattr(batches, "split", None), "name", "") == "train":
                return known_by_heart(found, targets, self.classes, count_of(batches))
            cut, _ = detections_of(self.network, batches, overlap=COURSE_OVERLAP)
        return detected(found, targets, cut, self.classes, count_of(batches))


def detected(
    found: Detections, targets: Targets, cut: Detections, classes: int, count: int
) -> Detected:
    """Return everything that is counted of detections in `count` images.

    `cut` are those that the course's NMS leaves.
    """
    whole: dict[str, Estimate] = {
        "map50": (
            average_precision(found, targets, classes).mean,
            mean_interval(found, targets, classes, count) if count >= ENOUGH else NOWHERE,
        ),
        "map50 (VOC 2007)": (average_precision(found, targets, classes, how="voc07").mean, None),
        f"map50 above {COURSE_CUT}": (
            average_precision(cut, targets, classes, score_cut=COURSE_CUT).mean, None,
        ),
        f"map50, NMS {COURSE_OVERLAP}": (
            average_precision(cut, targets, classes).mean, None,
        ),
    }  # fmt: skip
    for label, value in coco_map(found, targets, classes).items():
        if not np.isnan(value):
            whole[f"COCO {label}"] = (value, None)
    return Detected(
        "map50", whole=whole, count=count, found=found, targets=targets, classes=classes
    )


def known_by_heart(found: Detections, targets: Targets, classes: int, count: int) -> Detected:
    """Return the average precision alone: of training images nothing else is asked."""
    whole: dict[str, Estimate] = {"map50": (average_precision(found, targets, classes).mean, None)}
    return Detected(
        "map50", whole=whole, count=count, found=found, targets=targets, classes=classes
    )


def freeze_norms(module: nn.Module) -> None:
    """Put batch normalisation in eval mode: it keeps the averages it has."""
    for inner in module.modules():
        if isinstance(inner, _BatchNorm):
            inner.eval()


def count_of(batches: Iterable[Batch]) -> int:
    """Return how many images there are, without looking at them where that can be known."""
    split = getattr(batches, "split", None)
    return len(split) if split is not None else sum(len(batch.images) for batch in batches)


def detections_of(
    network: Any, batches: Iterable[Batch], **options: float
) -> tuple[Detections, Targets]:
    """Return what a detector finds in batches and what is there, images counted through.

    In pixels of the files where the batches say how these lie in the images (`scale`, `shift`).
    """
    columns: dict[str, list[np.ndarray]] = {
        **{name: [np.zeros(0, dtype=np.int64)] for name in "pkPK"},
        **{name: [np.zeros((0, 4))] for name in "bB"},
        **{name: [np.zeros(0, dtype=bool)] for name in "CD"},
        **{name: [np.zeros(0)] for name in "sA"},
    }
    first = 0
    for batch in batches:
        found = network.detect(batch.images, **options)
        image = found.image.cpu().numpy()
        columns["p"].append(image + first)
        columns["b"].append(in_files(batch, image, found.boxes.double().cpu().numpy()))
        columns["k"].append(found.labels.cpu().numpy())
        columns["s"].append(found.scores.double().cpu().numpy())
        labels = batch.box_labels.cpu().numpy()
        image, place = np.nonzero(labels != NOTHING)
        columns["P"].append(image + first)
        boxes = batch.boxes.double().cpu().numpy()[image, place]
        columns["B"].append(boxes := in_files(batch, image, boxes))
        area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        if "area" in batch.known:
            told = batch.known["area"].cpu().numpy()[image, place]
            area = np.where(np.isnan(told), area, told)
        columns["A"].append(area)
        columns["K"].append(labels[image, place])
        ignored = labels[image, place] <= IGNORED
        known = batch.known
        columns["C"].append(
            known["crowd"].cpu().numpy()[image, place] if "crowd" in known else ignored & False
        )
        columns["D"].append(
            known["difficult"].cpu().numpy()[image, place] if "difficult" in known else ignored
        )
        first += len(batch.images)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    targets = Targets(
        image=whole["P"],
        boxes=whole["B"],
        label=np.where(whole["K"] <= IGNORED, IGNORED - whole["K"], whole["K"]),
        crowd=whole["C"],
        difficult=whole["D"],
        area=whole["A"],
    )
    return Detections(whole["p"], whole["b"], whole["k"], whole["s"]), targets


def in_files(batch: Batch, image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return boxes of a batch's images in pixels of their files, where that is known."""
    if "scale" not in batch.known:
        return corners
    shift, scale = batch.known["shift"].numpy(), batch.known["scale"].numpy()
    moved: np.ndarray = (corners - np.tile(shift[image], (1, 2))) / scale[image, None]
    return moved
