"""Paint an image by gradient ascent: the one loop under all images that are optimised.

A canvas gives RGB in [0, 1], transforms change it a little, the network sees it normalised, an
objective judges, and the canvas takes a step up the gradient.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import NonFiniteLoss, OptionError
from vislab.explain.asking import answer, said_by
from vislab.explain.canvas import Canvas
from vislab.explain.hooks import hooked
from vislab.explain.objectives import Objective, Seen
from vislab.explain.wobble import Transform
from vislab.ops.seeding import generator
from vislab.progress import track

Normalisation = tuple[
    tuple[float, ...], tuple[float, ...]
]  # mean and std of each channel, in [0, 1]
IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, eq=False)
class Painting:
    """What was painted, and how it went."""

    images: Float[Tensor, "n 3 h w"]  # RGB in [0, 1], on the CPU
    history: list[float]  # the objective before each step, mean over images


def paint(
    model: nn.Module,
    objective: Objective,
    canvas: Canvas,
    *,
    steps: int,
    lr: float | Callable[[int], float] = 0.05,
    ascent: Literal["adam", "gradient"] = "adam",
    transforms: Sequence[Transform] = (),
    after: Callable[[int], None] | None = None,
    seed: int = 0,
    normalisation: Normalisation = IMAGENET,
    what: str = "painting",
    quiet: bool = False,
) -> Painting:
    """Make the objective large. The canvas is painted on; the network stays as it was.

    `lr` is Adam's, or the root mean square by which a plain step up the gradient changes the
    values; a function is asked for it with the number of each step. `after` is called with that
    number when the step is done. Raises OptionError when the objective does not depend on the
    image, NonFiniteLoss when it becomes NaN or infinite.
    """
    if steps < 1:
        raise OptionError(f"{steps} steps paint nothing; use 1 or more")
    draws = generator(seed, "paint")
    adam = torch.optim.Adam([canvas.values], maximize=True)
    history, moved = [], False
    with (
        hooked(model, objective.layers) as layers,
        torch.enable_grad(),
        track(what, total=steps, quiet=quiet) as advance,
    ):
        for step in range(steps):
            images = canvas.image()
            values = _judge(model, objective, images, layers, normalisation, transforms, draws)
            gradient = _gradient(values, canvas.values, step)
            moved = moved or bool(gradient.any())
            history.append(float(values.detach().mean()))
            now = lr if isinstance(lr, float) else lr(step)
            if ascent == "adam":
                adam.param_groups[0]["lr"] = now
                canvas.values.grad = gradient
                adam.step()
            else:
                axes = tuple(range(1, gradient.ndim))
                size = gradient.square().mean(dim=axes, keepdim=True).sqrt()
                with torch.no_grad():
                    canvas.values.add_(gradient / size.clamp_min(1e-20), alpha=now)
            canvas.settle()
            if after is not None:
                after(step)
            advance(1, f"objective {history[-1]:.4g}")
    canvas.values.grad = None
    if not moved:
        raise OptionError(
            "the objective has no slope at the image to begin with, as when a ReLU is silent; "
            "begin from another seed or image, or look for what the layer before it gives"
        )
    with torch.no_grad():
        return Painting(canvas.image().detach().float().cpu().clone(), history)


def judge(
    model: nn.Module,
    objective: Objective,
    images: Float[Tensor, "n 3 h w"],
    *,
    normalisation: Normalisation = IMAGENET,
) -> Float[Tensor, " n"]:
    """Return what the objective is for images in [0, 1], with no transform."""
    with hooked(model, objective.layers) as layers, torch.no_grad():
        return _judge(model, objective, images, layers, normalisation).float().cpu()


def normalise(
    images: Float[Tensor, "n 3 h w"], normalisation: Normalisation
) -> Float[Tensor, "n 3 h w"]:
    """Return (images − mean) / std, differentiable."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in normalisation)
    return (images - mean) / std


def _judge(
    model: nn.Module,
    objective: Objective,
    images: Tensor,
    layers: dict[str, Any],
    normalisation: Normalisation,
    transforms: Sequence[Transform] = (),
    draws: torch.Generator | None = None,
) -> Tensor:
    changed = images
    for transform in transforms:
        assert draws is not None
        changed = transform(changed, draws)
    layers.clear()
    given = answer(model, normalise(changed, normalisation))
    return objective.value(Seen(images, given, layers, said_by(model)))


def _gradient(objective: Tensor, values: Tensor, step: int) -> Tensor:
    if not bool(objective.isfinite().all()):
        raise NonFiniteLoss(
            f"the objective became NaN or infinite at step {step}; lower the learning rate"
        )
    found: Tensor | None = None
    if objective.requires_grad:
        (found,) = torch.autograd.grad(objective.sum(), values, allow_unused=True)
    if found is None:
        raise OptionError("the objective does not depend on the image: there is nothing to climb")
    if not bool(found.isfinite().all()):
        raise NonFiniteLoss(
            f"the gradient became NaN or infinite at step {step}; lower the learning rate"
        )
    return found
