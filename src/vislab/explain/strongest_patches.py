"""The images, and the places in them, that one unit answers to most.

Zeiler and Fergus 2014, arXiv:1311.2901, section 4.1 and figure 2: the nine strongest activations
of one feature map over many images, at most one an image. `project` shows what in each patch
did it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Num
from torch import Tensor, nn

from vislab.errors import OptionError, ShapeError
from vislab.explain.asking import answer, checked
from vislab.explain.batching import batch_within
from vislab.explain.company import layer_sways
from vislab.explain.gradients import leaf, slope, still
from vislab.explain.hooks import hooked, output_of


@dataclass(frozen=True)
class Patch:
    """Where a unit answered: the image, the unit's place, and the pixels that it saw there."""

    image: int
    activation: float
    place: tuple[int, int]  # row and column of the layer's map
    box: tuple[int, int, int, int]  # left, top, right, bottom in pixels, right and bottom excluded


def strongest_patches(
    model: nn.Module,
    images: Num[Tensor, "n c h w"],
    layer: str,
    channel: int,
    *,
    count: int = 9,
    budget: int | None = None,
) -> list[Patch]:
    """Return the strongest first; fewer than `count` where there are fewer images.

    What the unit saw is where the gradient of its activation is not zero. Raises ShapeError when
    the layer gives no maps (N, C, I, J), OptionError when it has no such channel.
    """
    images = checked(images)
    if not len(images):
        return []
    alone = len(images) > 1 and layer_sways(model, images, layer)
    batch = 1 if alone else batch_within(model, images[0], budget)
    tops, where, columns = [], [], 1
    with hooked(model, [layer], begin=True) as seen, torch.no_grad():
        for some in torch.split(images, batch):
            answer(model, some)
            maps = output_of(seen, layer)
            if maps.ndim != 4:
                raise ShapeError(f"layer {layer!r} gives no maps (N, C, I, J)")
            if not 0 <= channel < maps.shape[1]:
                raise OptionError(
                    f"layer {layer!r} has channels 0 to {maps.shape[1] - 1}, not {channel}"
                )
            columns = maps.shape[3]
            strongest = maps[:, channel].detach().flatten(1).max(dim=1)
            tops.append(strongest.values.float().cpu())
            where.append(strongest.indices.cpu())
    activations, flat = torch.cat(tops), torch.cat(where)
    best = activations.topk(min(count, len(activations))).indices
    return [
        Patch(
            image=int(k),
            activation=float(activations[k]),
            place=(place := (int(flat[k]) // columns, int(flat[k]) % columns)),
            box=_seen_by(model, images[k], layer, channel, place),
        )
        for k in best
    ]


def _seen_by(
    model: nn.Module, image: Tensor, layer: str, channel: int, place: tuple[int, int]
) -> tuple[int, int, int, int]:
    with hooked(model, [layer]) as seen, still(model), torch.enable_grad():
        asked = leaf(image[None])
        answer(model, asked)
        found = slope(seen[layer][0, channel, place[0], place[1]], asked)
    touched = found[0].abs().sum(dim=0) > 0
    rows, columns = touched.any(dim=1).nonzero(), touched.any(dim=0).nonzero()
    if not len(rows):  # a silent unit: nothing would change it a little
        return 0, 0, image.shape[2], image.shape[1]
    left, right = int(columns[0]), int(columns[-1]) + 1
    return left, int(rows[0]), right, int(rows[-1]) + 1
