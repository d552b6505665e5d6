"""What a class, a channel or a unit looks like to a network: an image that excites it.

Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034, section 2: argmax over I of S_c(I) − λ‖I‖².
Yosinski et al. 2015, arXiv:1506.06579, section 3: a blur between steps. Olah et al. 2017 (see
`canvas`): jitter, small turns, amplitudes of waves in uncorrelated colours. The task is that of
EECS 498/598, assignment 4, `class_visualization_step`, which paints pixels and blurs them.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.explain.canvas import Fourier, device_of
from vislab.explain.image_optimisation import IMAGENET, Normalisation, Painting, judge, paint
from vislab.explain.objectives import (
    Layer,
    Objective,
    channel,
    class_log_probability,
    class_score,
    l2,
    total_variation,
    unit,
)
from vislab.explain.scores import Target
from vislab.explain.wobble import jitter, tilt
from vislab.ops.seeding import generator

WARM = 10  # steps in which the learning rate rises


def visualise_class(model: nn.Module, target: int | list[int], **options: Any) -> Painting:
    """Paint one image for each class; the options are those of `visualise`.

    The score and the log probability are made large together: the score alone may raise other
    classes with it, the probability alone is content with lowering them.
    """
    targets = torch.tensor([target] if isinstance(target, int) else target, device=device_of(model))
    wanted = class_score(targets) + class_log_probability(targets)
    return visualise(model, wanted, count=len(targets), **options)


def visualise_channel(model: nn.Module, layer: Layer, number: int, **options: Any) -> Painting:
    """Paint what makes one channel of a layer large all over the image; see `visualise`."""
    return visualise(model, channel(layer, number), **options)


def visualise_unit(
    model: nn.Module,
    layer: Layer,
    number: int,
    *,
    place: tuple[int, int] | None = None,
    **options: Any,
) -> Painting:
    """Paint what makes one channel large at one place, in the middle unless told.

    Only pixels that the unit sees, and those a jitter away, take colour; see `visualise`.
    """
    return visualise(model, unit(layer, number, place), **options)


def visualise(
    model: nn.Module,
    wanted: Objective,
    *,
    count: int = 1,
    size: int = 224,
    steps: int = 256,
    lr: float = 0.02,
    l2_weight: float = 10.0,
    variation: float = 150.0,
    blur_every: int = 4,
    seed: int = 0,
    normalisation: Normalisation = IMAGENET,
    quiet: bool = False,
) -> Painting:
    """Paint `count` images from noise that make any objective large.

    `variation` is the weight of the total variation at 224 pixels; at other sizes it is scaled so
    that it weighs on the same shapes alike. A blur of half a pixel comes after every
    `blur_every` steps, 0 for never. In the last fifth there is none, nothing moves the image any
    more, and the learning rate falls.
    """
    canvas = Fourier(count, size, size, generator(seed, "canvas")).to(device_of(model))
    changes = [jitter(max(1, size // 16)), tilt(), jitter(max(1, size // 32))]
    settling = False

    def wobble(images: Tensor, draws: torch.Generator) -> Tensor:
        for change in () if settling else changes:
            images = change(images, draws)
        return images

    def after(step: int) -> None:
        nonlocal settling
        settling = settling or step + 1 >= 0.8 * steps
        if blur_every and (step + 1) % blur_every == 0 and not settling:
            canvas.blur(0.5)

    return paint(
        model,
        wanted - l2_weight * l2() - variation * (size / 224) ** 2 * total_variation(),
        canvas,
        steps=steps,
        # Adam's first steps are as long as any, and would overshoot; the last ones settle.
        lr=lambda step: lr * min((step + 1) / WARM, 1.0, 5 * (1 - step / steps)),
        transforms=[wobble],
        after=after,
        seed=seed,
        normalisation=normalisation,
        what="visualising",
        quiet=quiet,
    )


def class_probability(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    target: Target,
    *,
    normalisation: Normalisation = IMAGENET,
) -> Float[Tensor, " n"]:
    """Return the probability of a class for images in [0, 1], as they are."""
    images = images.to(device_of(model))
    return judge(model, class_log_probability(target), images, normalisation=normalisation).exp()
