"""What each channel of a layer answers to one image.

Source: GNR-650, assignment 1.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor, nn

from vislab.errors import ShapeError
from vislab.explain.asking import answer
from vislab.explain.hooks import hooked, output_of


def feature_maps(
    model: nn.Module, image: Num[Tensor, "channels h w"], *, layers: Sequence[str] | None = None
) -> dict[str, Float[Tensor, "c i j"]]:
    """Return the maps of the named layers for one normalised image, in the layers' own units.

    Without names: the last layer at each resolution, in order of depth. Not resized.
    """
    chosen = layers if layers is not None else last_of_each_size(model, image)
    # As where gradients begin, so that nothing that follows writes over what a layer gave.
    with hooked(model, chosen, begin=True) as seen, torch.no_grad():
        answer(model, image[None])
    return {name: output_of(seen, name)[0].detach().float().cpu() for name in chosen}


def last_of_each_size(model: nn.Module, image: Num[Tensor, "channels h w"]) -> list[str]:
    """Return the name of the last module that gives maps of each size, larger than 1×1.

    Raises ShapeError when nothing in the model gives maps (N, C, I, J).
    """
    names = [name for name, _ in model.named_modules() if name]
    with hooked(model, names) as seen, torch.no_grad():
        answer(model, image[None])
    by_size = {}
    for name, output in seen.items():  # in the order in which the modules finished
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            by_size[output.shape[2:]] = name
    if not by_size:
        raise ShapeError("no layer of the model gives feature maps (N, C, I, J)")
    return list(by_size.values())


def as_images(maps: Float[Tensor, "c i j"]) -> UInt8[Tensor, "c i j 3"]:
    """Return maps as grey images, each stretched to its own full range; a flat one is black."""
    low = maps.amin(dim=(1, 2), keepdim=True)
    span = (maps.amax(dim=(1, 2), keepdim=True) - low).clamp_min(1e-12)
    shades = ((maps - low) / span * 255).round().to(torch.uint8)
    return shades[..., None].expand(-1, -1, -1, 3).contiguous()
