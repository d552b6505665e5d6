"""What a network can be asked the reason of: an image's class, a box it found, a region it marked.

Each is asked through a network that answers with class scores, so that every method of explaining
and every measure of a map works on it; see `explain.dense`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vislab.explain.asking import ask
from vislab.explain.dense import BoxScore, RegionScore
from vislab.explain.hooks import hooked
from vislab.inference.classes import labels_of
from vislab.inference.predictor import Predictor
from vislab.inspection.dense import inside, largest_part

MOST = 3  # boxes or regions of an image
SURE, LEAST = 0.5, 0.05  # scores of boxes: all that are sure, or else the best one


@dataclass(frozen=True, eq=False)
class Target:
    """Why `labels[target]`? `itself` are the pixels of the box or region."""

    network: nn.Module
    target: int
    labels: tuple[str, ...]
    itself: Bool[np.ndarray, "s s"] | None = None


def targets(
    predictor: Predictor,
    images: Float[Tensor, "1 3 s s"],
    wanted: int | None = None,
    *,
    area: Bool[np.ndarray, "s s"] | None = None,
) -> list[Target]:
    """Return what to ask about one image, the surest or largest first; none if nothing is there.

    `wanted` is a class: of the image, whatever its probability; or of the boxes or regions.
    Regions lie within `area`, where the image is; what was filled in around it was never learned.
    Raises ShapeError for a detector that does not tell what its boxes come from.
    """
    if predictor.answers == "boxes":
        return _boxes(predictor, images, wanted)
    if predictor.answers == "masks":
        return _regions(predictor, images, wanted, area)
    with hooked(predictor.model, []), torch.no_grad():
        scores = ask(predictor.model, images)
    labels = labels_of(predictor.classes, scores.shape[1])
    if wanted is None:
        wanted = int(scores.argmax(dim=1))
    elif len(labels) > len(predictor.classes):  # of a single class its own side, the second
        wanted += 1
    return [Target(predictor.model, wanted, labels)]


def _boxes(predictor: Predictor, images: Tensor, wanted: int | None) -> list[Target]:
    with torch.no_grad():
        found = predictor.model.detect(images, least=LEAST)  # type: ignore[operator]
    order = found.scores.argsort(descending=True).tolist()
    if wanted is not None:
        order = [one for one in order if int(found.labels[one]) == wanted]
    sure = [one for one in order if float(found.scores[one]) >= SURE]
    asked = []
    for one in (sure or order[:1])[:MOST]:
        label, box = int(found.labels[one]), found.boxes[one]
        score = BoxScore(predictor.model, images[0], box, label).eval()
        x1, y1, x2, y2 = box.tolist()
        itself = inside((x1, y1, x2, y2), predictor.size)
        asked.append(Target(score, label, (*predictor.classes, "nothing"), itself))
    return asked


def _regions(
    predictor: Predictor,
    images: Tensor,
    wanted: int | None,
    area: Bool[np.ndarray, "s s"] | None,
) -> list[Target]:
    with torch.inference_mode():
        said = predictor.model(images)[0].argmax(dim=0).cpu().numpy()
    if area is not None:
        said = np.where(area, said, -1)
    labels = [int(label) for label in np.unique(said) if label > 0] if wanted is None else [wanted]
    parts = [(label, part) for label in labels if (part := largest_part(said == label)) is not None]
    asked = []
    for label, part in sorted(parts, key=lambda one: -int(one[1].sum()))[:MOST]:
        region = torch.from_numpy(part).to(images.device)
        score = RegionScore(predictor.model, region).eval()
        asked.append(Target(score, label, predictor.classes, part))
    return asked
