"""Deep Dream: whatever a layer sees in an image, let it see more of it.

Mordvintsev, Olah and Tyka 2015, "Inceptionism: Going deeper into neural networks". The image is
painted small first, then larger and larger (octaves). What was painted is enlarged and laid over
the image given, shrunk afresh at each size: its own detail is kept.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.errors import OptionError, ShapeError
from vislab.explain.asking import answer, checked
from vislab.explain.canvas import Pixels, check_images, device_of
from vislab.explain.feature_maps import last_of_each_size
from vislab.explain.hooks import hooked
from vislab.explain.image_optimisation import IMAGENET, Normalisation, Painting, normalise, paint
from vislab.explain.objectives import Layer, Objective, strength
from vislab.explain.target_layers import last_target_layer
from vislab.explain.wobble import jitter

SMALLEST = 64  # pixels: the short side of the smallest octave


def deep_dream(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    *,
    layer: Layer | None = None,
    objective: Objective | None = None,
    octaves: int = 4,
    ratio: float = 1.4,
    steps: int = 12,
    lr: float = 0.012,
    seed: int = 0,
    normalisation: Normalisation = IMAGENET,
    quiet: bool = False,
) -> Painting:
    """Make a layer's answer to images in [0, 1] stronger; the history is that of all octaves.

    Without a layer it is the last of the second smallest size of maps; an `objective` takes the
    place of the layer's strength. Each octave is `ratio` times the one before and takes `steps`
    steps of root mean square `lr`. Octaves whose short side is below 64 pixels are left out.
    Raises ShapeError when the network takes images of one size only and more octaves are asked.
    """
    if octaves < 1 or ratio <= 1:
        raise OptionError(
            f"{octaves} octaves, each {ratio:g} times the last, are no dream; use 1 or more and a "
            "ratio above 1"
        )
    given = check_images(checked(images)).to(device_of(model)).float()
    height, width = given.shape[2:]
    sizes = [
        (round(height / ratio**octave), round(width / ratio**octave))
        for octave in reversed(range(octaves))
        if octave == 0 or min(height, width) / ratio**octave >= SMALLEST
    ]
    _try(model, given, sizes[0], normalisation)
    if objective is None:
        objective = strength(layer or dream_layer(model, normalise(given, normalisation)[0]))
    history: list[float] = []
    painted = torch.zeros_like(given[..., :1, :1])  # what the dream adds: nothing yet
    for number, size in enumerate(sizes):
        base = resized(given, size)
        canvas = Pixels((base + resized(painted, size)).clamp(0, 1))
        reach = max(1, min(size) // 16)
        done = paint(
            model, objective, canvas, steps=steps, lr=lr, ascent="gradient",
            transforms=[jitter(reach)], seed=seed + number, normalisation=normalisation,
            what=f"dreaming, octave {number + 1} of {len(sizes)}", quiet=quiet,
        )  # fmt: skip
        painted = canvas.values.detach() - base
        history += done.history
    return Painting(done.images, history)


def dream_layer(model: nn.Module, image: Float[Tensor, "3 h w"]) -> str:
    """Return the last layer of the second smallest size of maps, or the last with places."""
    try:
        names = last_of_each_size(model, image)
    except ShapeError:
        names = []
    return names[-2] if len(names) > 1 else last_target_layer(model, image).layer


def resized(images: Float[Tensor, "n 3 _h _w"], size: tuple[int, int]) -> Tensor:
    """Return images of this height and width, without aliasing."""
    if images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def _try(
    model: nn.Module, images: Tensor, size: tuple[int, int], normalisation: Normalisation
) -> None:
    small = normalise(resized(images, size), normalisation)
    with hooked(model, []), torch.no_grad():
        # What fails at its own size is another matter.
        answer(model, normalise(images, normalisation))
        try:
            answer(model, small)
        except ShapeError as error:
            raise ShapeError(
                f"the network does not take images of {size[0]}×{size[1]} pixels, the first "
                f"octave ({error}); use octaves=1"
            ) from error
