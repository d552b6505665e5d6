"""How a detector comes to its boxes, step by step on one image, as the course teaches it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vislab.data.batches import Batch, in_order
from vislab.data.table import Table
from vislab.explain.hooks import hooked
from vislab.models.faster_rcnn import FasterRCNN
from vislab.models.yolo import Yolo
from vislab.ops import processes
from vislab.ops.nms import Found
from vislab.runs import figures
from vislab.runs.figures.style import BLUE, GREEN, VERMILLION
from vislab.runs.notebook import Notebook
from vislab.tasks.detect_faster_rcnn import learn_anchors
from vislab.tasks.detect_yolo import assign

LEAST = 0.1  # of the scores that are shown before NMS
CROWDED = 80  # boxes that are drawn before NMS, at most
SURE, FEW = 0.3, 20  # scores of the last step, and how many at most


def show_steps(notebook: Notebook, network: Any, table: Table, *, place: int = 0) -> None:
    """File the steps for one test image; nothing for a detector that is not ours."""
    batch = next(iter(in_order(table, "test", place + 1, device=processes.device())))
    one = batch.take(slice(place, place + 1))
    with hooked(network, []), torch.inference_mode():
        if isinstance(network, Yolo):
            steps = _yolo_steps(network, one, table)
        elif isinstance(network, FasterRCNN):
            steps = _rcnn_steps(network, one, table)
        else:
            return
    row = int(table.split("test").rows[place])
    pixels = np.repeat(np.asarray(table.pixels[row])[None], len(steps), axis=0)
    notebook.show(
        "step by step",
        figures.boxes_over_images(
            pixels, [boxes for _, boxes in steps], titles=[title for title, _ in steps], columns=2
        ),
        caption="One test image. "
        + "; ".join(f"{number}. {title}" for number, (title, _) in enumerate(steps, start=1))
        + ".",
    )


Steps = list[tuple[str, list[figures.Drawn]]]


def _truth(one: Batch, table: Table) -> list[figures.Drawn]:
    real = one.box_labels[0] >= 0
    names = [table.classes[int(label)] for label in one.box_labels[0][real]]
    return _drawn(one.boxes[0][real], names, BLUE)


def _drawn(
    boxes: Tensor, texts: list[str], colour: str, *, thin: bool = False
) -> list[figures.Drawn]:
    corners = boxes.float().cpu().tolist()
    return [
        figures.Drawn((x1, y1, x2, y2), text, colour, thin=thin)
        for (x1, y1, x2, y2), text in zip(corners, texts or [""] * len(corners), strict=True)
    ]


def _found(found: Found, table: Table, colour: str, *, named: bool) -> list[figures.Drawn]:
    texts = [
        f"{table.classes[int(label)]} {100 * float(score):.0f}" if named else ""
        for label, score in zip(found.labels, found.scores, strict=True)
    ]
    return _drawn(found.boxes, texts, colour, thin=not named)


def _yolo_steps(network: Yolo, one: Batch, table: Table) -> Steps:
    answer = network(one.images)
    anchors = network.anchors(answer)
    assigned = assign(one, anchors, network.stride, ignore=1.0)[0]
    size = (one.images.shape[2], one.images.shape[3])
    crowd = network.found(answer, size, least=LEAST, overlap=1.0, most=CROWDED)
    final = network.found(answer, size, least=SURE, most=FEW)
    mine = anchors[assigned >= 0]
    crowded = _found(crowd, table, VERMILLION, named=False)
    return [
        ("what is there", _truth(one, table)),
        (
            f"anchors that learn it: {len(mine)} of {assigned.numel()}",
            _drawn(mine, [], GREEN),
        ),
        (f"scores above {LEAST}: {len(crowd.scores)}", crowded),
        (f"after NMS: {len(final.scores)}", _found(final, table, GREEN, named=True)),
    ]


def _rcnn_steps(network: FasterRCNN, one: Batch, table: Table) -> Steps:
    size = (one.images.shape[2], one.images.shape[3])
    maps = network.backbone(one.images)
    proposals = network.propose(maps)
    draws = torch.Generator().manual_seed(0)
    has, _, _ = learn_anchors(proposals, one.boxes, one.box_labels, draws)
    best = network.selected(proposals, size, overlap=1.0)[0][0, :CROWDED]
    kept, scores = network.selected(proposals, size)
    final = network.decided(maps, kept, scores, size, least=SURE, most=FEW)
    few = kept[0, : CROWDED // 4]
    mine = proposals.anchors[has[0]]
    return [
        ("what is there", _truth(one, table)),
        (
            f"anchors that learn it: {len(mine)} of {len(proposals.anchors)}",
            _drawn(mine, [], GREEN, thin=True),
        ),
        (f"the best {len(best)} proposals", _drawn(best, [], VERMILLION, thin=True)),
        (f"the best {len(few)} after NMS", _drawn(few, [], VERMILLION, thin=True)),
        (
            f"second stage: {len(final.scores)} boxes",
            _found(final, table, GREEN, named=True),
        ),
    ]
