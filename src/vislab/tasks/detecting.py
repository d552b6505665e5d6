"""What both detectors share: frozen normalisation, and what is found in batches, scored."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vislab.data.annotated_batches import NOTHING, AnnotatedBatch
from vislab.data.augment_annotated import IGNORED
from vislab.metrics.detection import average_precision
from vislab.metrics.detection_matching import Detections, Truth


def still_norms(module: nn.Module) -> None:
    """Put batch normalisation in eval mode: it keeps the averages it has."""
    for inner in module.modules():
        if isinstance(inner, _BatchNorm):
            inner.eval()


def average_precision_of(network: Any, batches: Iterable[AnnotatedBatch], classes: int) -> float:
    """Return the mean average precision (all points, overlap 0.5) over these batches."""
    found, truth = detections_of(network, batches)
    mean = average_precision(found, truth, classes, iou=0.5, how="all-point").mean
    return 0.0 if np.isnan(mean) else mean


def detections_of(network: Any, batches: Iterable[AnnotatedBatch]) -> tuple[Detections, Truth]:
    """Return what a detector finds in batches and what is there, pictures counted through."""
    columns: dict[str, list[np.ndarray]] = {
        **{name: [np.zeros(0, dtype=np.int64)] for name in "pkPK"},
        **{name: [np.zeros((0, 4))] for name in "bB"},
        "s": [np.zeros(0)],
    }
    first = 0
    for batch in batches:
        found = network.detect(batch.images)
        columns["p"].append(found.picture.cpu().numpy() + first)
        columns["b"].append(found.boxes.double().cpu().numpy())
        columns["k"].append(found.kinds.cpu().numpy())
        columns["s"].append(found.scores.double().cpu().numpy())
        kinds = batch.kinds.cpu().numpy()
        picture, place = np.nonzero(kinds != NOTHING)
        columns["P"].append(picture + first)
        columns["B"].append(batch.boxes.double().cpu().numpy()[picture, place])
        columns["K"].append(kinds[picture, place])
        first += len(batch.images)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    ignored = whole["K"] <= IGNORED
    truth = Truth(
        picture=whole["P"],
        corners=whole["B"],
        kind=np.where(ignored, IGNORED - whole["K"], whole["K"]),
        crowd=np.zeros(len(ignored), dtype=bool),
        difficult=ignored,
    )
    return Detections(whole["p"], whole["b"], whole["k"], whole["s"]), truth
