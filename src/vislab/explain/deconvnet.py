"""DeconvNet: a score, or one unit, sent back to the image through the network turned round.

Zeiler and Fergus 2014, arXiv:1311.2901, section 2.1. For a whole score it is captum's
Deconvolution; for one unit, `project`, it is the paper's figure 2.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.explain.asking import answer, checked
from vislab.explain.company import layer_sways
from vislab.explain.gradients import leaf, slope, still
from vislab.explain.hooks import hooked, output_of
from vislab.explain.relu_rules import ReluRule, ruled_gradient
from vislab.explain.scores import Target


def deconvnet(
    model: nn.Module, images: Num[Tensor, "n c h w"], target: Target = None
) -> Float[Tensor, "n c h w"]:
    """Return one signed image an image; 0 is no influence.

    Raises ShapeError for a network whose activations are not ReLUs.
    """
    return ruled_gradient(model, images, target, "deconvnet")


def project(
    model: nn.Module,
    images: Num[Tensor, "n c h w"],
    layer: str,
    channel: int,
    places: list[tuple[int, int]],
) -> Float[Tensor, "n c h w"]:
    """Return for each image what one unit, all others silenced, sends back.

    The unit is a channel of a layer that gives maps (N, C, I, J), at one place (row, column) for
    each image. Raises ShapeError for a network whose activations are not ReLUs.
    """
    images = checked(images)
    if not len(images):
        return torch.zeros(images.shape)
    if len(images) > 1 and layer_sways(model, images, layer):
        return torch.cat(
            [
                project(model, image[None], layer, channel, [place])
                for image, place in zip(images, places, strict=True)
            ]
        )
    with (
        hooked(model, [layer]) as seen,
        still(model),
        torch.enable_grad(),
        ReluRule("deconvnet") as mode,
    ):
        asked = leaf(images)
        answer(model, asked)
        maps = output_of(seen, layer)
        signal = torch.zeros_like(maps)
        rows, columns = zip(*places, strict=True)
        pick = (torch.arange(len(maps)), channel, torch.tensor(rows), torch.tensor(columns))
        signal[pick] = maps.detach()[pick]
        back = slope(maps, asked, signal)
    mode.require_relu()
    return back.float().cpu()
