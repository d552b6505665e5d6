"""The twelve numbers of the COCO challenge, counted by faster-coco-eval."""

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]

from vislab.metrics.detection_matching import Detections, Targets, require_labels

# In the order of pycocotools: AP at IoU 0.5 to 0.95, 0.5, 0.75; of small (below 32² pixels), medium
# and large (96² and more) objects; recall with at most 1, 10, 100 detections; and by size again.
COCO_NUMBERS = (
    *("AP", "AP50", "AP75", "AP small", "AP medium", "AP large"),
    *("AR 1", "AR 10", "AR 100", "AR small", "AR medium", "AR large"),
)


def coco_map(detections: Detections, targets: Targets, classes: int) -> dict[str, float]:
    """Return the COCO_NUMBERS by name; NaN where there is nothing to find.

    What is difficult counts as a crowd. Sizes are the targets' areas, where they have them.
    """
    require_labels(detections, targets, classes)
    images = np.union1d(detections.image, targets.image)
    known = {
        "images": [{"id": image} for image in images.tolist()],
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
    }
    there = COCO({**known, "annotations": _annotations(targets)}, print_function=_say_nothing)
    found = COCO({**known, "annotations": _annotations(detections)}, print_function=_say_nothing)
    evaluation = COCOeval_faster(there, found, "bbox", print_function=_say_nothing)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    numbers = [float(value) for value in evaluation.stats]
    return {
        name: value if value >= 0 else float("nan")
        for name, value in zip(COCO_NUMBERS, numbers, strict=True)
    }


def _annotations(columns: Detections | Targets) -> list[dict[str, object]]:
    corners = columns.boxes.astype(np.float64)
    sides = (corners[:, 2:] - corners[:, :2]).clip(min=0)
    area, crowd = sides.prod(axis=1), np.zeros(len(columns), dtype=int)
    score = np.ones(len(columns))
    if isinstance(columns, Targets):
        area = area if columns.area is None else columns.area
        crowd = columns.ignored.astype(int)
    else:
        score = columns.score.astype(np.float64)
    names = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "score")
    rows = zip(
        range(1, len(columns) + 1),  # an id of 0 means "none" to the evaluation
        columns.image.tolist(),
        columns.label.tolist(),
        np.concatenate((corners[:, :2], sides), axis=1).tolist(),
        area.tolist(),
        crowd.tolist(),
        score.tolist(),
        strict=True,
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _say_nothing(*_: object) -> None:
    pass
