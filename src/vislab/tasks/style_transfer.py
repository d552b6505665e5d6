"""Paint the content of one image in the style of another.

Gatys, Ecker and Bethge 2016, arXiv:1508.06576: an image whose features deep in a network are those
of the content image, and whose Gram matrices are those of the style image. It begins as the
content image, as in EECS 498/598, assignment 4. The course tunes weights to one network; here
each layer's loss is divided by the target's own size, and a weight means the same in any network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from vislab.data.decode import decode
from vislab.errors import DataError, OptionError, ShapeError
from vislab.explain.canvas import Pixels, check_images, device_of
from vislab.explain.deep_dream import resized
from vislab.explain.feature_maps import last_of_each_size
from vislab.explain.hooks import hooked
from vislab.explain.image_optimisation import IMAGENET, Normalisation, normalise, paint
from vislab.explain.objectives import Objective, Seen
from vislab.explain.wobble import jitter
from vislab.losses.style import content_loss, gram_matrix, style_loss, tv_loss

SMALLEST = 16  # pixels: the shorter side of an image that is very long
LARGEST = 4  # sizes of maps that are read for style


@dataclass(frozen=True, eq=False)
class Transferred:
    """The image, what it was on the way, and the three losses before each step."""

    content_layer: str
    style_layers: tuple[str, ...]
    image: Tensor = field(default_factory=torch.Tensor)  # (1, 3, H, W), RGB in [0, 1], on the CPU
    content: list[float] = field(default_factory=list)  # ‖F − P‖² / ‖P‖², without its weight
    style: list[float] = field(default_factory=list)  # mean over layers of ‖G − A‖² / ‖A‖²
    variation: list[float] = field(default_factory=list)  # mean square difference of neighbours
    on_the_way: dict[int, Tensor] = field(default_factory=dict)  # step to (1, 3, H, W)


def transfer(
    model: nn.Module,
    content: Float[Tensor, "1 3 h w"],
    style: Float[Tensor, "1 3 _h _w"],
    *,
    content_layer: str = "",
    style_layers: Sequence[str] = (),
    content_weight: float = 1.0,
    style_weight: float = 10.0,
    tv_weight: float = 30.0,
    steps: int = 200,
    lr: float = 0.03,
    keep: Sequence[int] = (),
    seed: int = 0,
    normalisation: Normalisation = IMAGENET,
    quiet: bool = False,
) -> Transferred:
    """Paint for so many steps of Adam; its learning rate falls to a tenth after nine tenths.

    Both images are RGB in [0, 1] and may differ in size. Without layers, `default_layers` names
    them. The network sees the image moved by up to a pixel, or its strides would draw a grid. The
    image after each step of `keep` is kept on the way; 0 is the start.
    """
    if min(content_weight, tv_weight) < 0 or style_weight <= 0:
        raise OptionError(
            f"weights of {content_weight:g} for content, {style_weight:g} for style and "
            f"{tv_weight:g} for variation paint nothing; use above 0 for style, 0 or more for the "
            "others"
        )
    device = device_of(model)
    content, style = check_images(content).to(device), check_images(style).to(device)
    known = default_layers(model, normalise(content, normalisation)[0])
    content_layer = content_layer or known[min(2, len(known) - 1)]
    style_layers = tuple(style_layers) or known
    names = tuple(dict.fromkeys((content_layer, *style_layers)))
    original = features_of(model, content, names, normalisation)[content_layer]
    wanted = features_of(model, style, style_layers, normalisation)
    targets = [gram_matrix(wanted[layer]) for layer in style_layers]
    shares = [1 / (len(targets) * _size(target)) for target in targets]
    done = Transferred(content_layer, style_layers)

    def value(seen: Seen) -> Tensor:
        now = seen.layers
        losses = (
            content_loss(1 / _size(original), now[content_layer], original),
            style_loss(now, style_layers, targets, shares),
            tv_loss(seen.images, 1 / content.numel()),
        )
        for history, loss in zip((done.content, done.style, done.variation), losses, strict=True):
            history.append(float(loss.detach()))
        weights = (content_weight, style_weight, tv_weight)
        terms = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
        return -torch.stack(terms).sum().reshape(1)

    canvas = Pixels(content)

    def after(step: int) -> None:
        if step + 1 in keep:
            done.on_the_way[step + 1] = canvas.values.detach().cpu().clone()

    if 0 in keep:
        done.on_the_way[0] = content.cpu()
    painting = paint(
        model, Objective(value, names), canvas, steps=steps,
        lr=lambda step: lr if step < 0.9 * steps else 0.1 * lr, after=after,
        transforms=[jitter(1)], seed=seed, normalisation=normalisation, what="painting in style",
        quiet=quiet,
    )  # fmt: skip
    return replace(done, image=painting.images)


def default_layers(model: nn.Module, image: Float[Tensor, "3 h w"]) -> tuple[str, ...]:
    """Return the last layer of each of the four largest sizes of maps, but not of the smallest.

    Style is read from all, content from the third.
    """
    names = last_of_each_size(model, image)
    return tuple((names[:-1] or names)[:LARGEST])


def distance(
    model: nn.Module,
    image: Float[Tensor, "1 3 _h _w"],
    content: Float[Tensor, "1 3 h w"],
    layer: str,
    normalisation: Normalisation = IMAGENET,
) -> float:
    """Return ‖F − P‖² / ‖P‖² at a layer; the image is resized to the content's size."""
    same = resized(image, (content.shape[2], content.shape[3])).clamp(0, 1)
    current, original = (
        features_of(model, one, [layer], normalisation)[layer] for one in (same, content)
    )
    return float(content_loss(1 / _size(original), current, original))


def read_whole(path: Path, side: int) -> Float[Tensor, "1 3 h w"]:
    """Return an image file as RGB in [0, 1], its longer side of so many pixels, nothing cut off.

    Raises DataError naming the file when it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    image = decode(content, str(path), at_least=side)
    scale = side / max(image.size)
    width, height = (max(SMALLEST, round(length * scale)) for length in image.size)
    return in_unit(np.array(image.resize((width, height), Image.Resampling.LANCZOS)))


def in_unit(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    """Return 8 bits as an image in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Float[Tensor, "1 3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return an image in [0, 1] as 8 bits."""
    levels = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().numpy()


def features_of(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    layers: Sequence[str],
    normalisation: Normalisation,
) -> dict[str, Float[Tensor, "n c i j"]]:
    """Return the maps that layers give for images in [0, 1].

    Raises ShapeError when a layer gives no maps.
    """
    with hooked(model, layers) as seen, torch.no_grad():
        model(normalise(images, normalisation))
    for layer in layers:
        if not isinstance(seen.get(layer), Tensor) or seen[layer].ndim != 4:
            raise ShapeError(f"layer {layer!r} gives no maps (N, C, H, W) to read style from")
    return {layer: seen[layer].detach() for layer in layers}


def _size(target: Tensor) -> float:
    return max(float(target.square().sum()), 1e-12)
