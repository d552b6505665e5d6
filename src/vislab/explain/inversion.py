"""What a layer still knows of an image: another one that gives it the same features.

Mahendran and Vedaldi 2015, arXiv:1412.0035: the least ‖Φ(x) − Φ₀‖² / ‖Φ₀‖² + λ V(x), with V the
total variation (β = 2, equation 3). What comes back wrong, the layer has forgotten.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.explain.asking import answer, checked
from vislab.explain.canvas import Fourier, check_images, device_of
from vislab.explain.hooks import hooked
from vislab.explain.image_optimisation import IMAGENET, Normalisation, judge, normalise, paint
from vislab.explain.objectives import Objective, Seen, likeness, tensor_of, total_variation
from vislab.ops.seeding import generator


@dataclass(frozen=True, eq=False)
class Inverted:
    """Images with the features asked for, and how far they are from them."""

    images: Float[Tensor, "n 3 h w"]  # RGB in [0, 1], on the CPU
    error: Float[Tensor, " n"]  # ‖Φ(x) − Φ₀‖ / ‖Φ₀‖
    history: list[float]  # the objective before each step, mean over images


def invert(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    layer: str,
    *,
    steps: int = 300,
    lr: float = 0.05,
    variation: float = 1.0,
    seed: int = 0,
    normalisation: Normalisation = IMAGENET,
    quiet: bool = False,
) -> Inverted:
    """Paint from noise what gives `layer` the features of images in [0, 1].

    `variation` is the weight λ of the mean square difference of neighbouring pixels. Adam's
    learning rate falls along a half cosine.
    """
    device = device_of(model)
    given = check_images(checked(images)).to(device).float()
    with hooked(model, [layer]) as layers, torch.no_grad():
        found = answer(model, normalise(given, normalisation))
        features = tensor_of(Seen(given, found, layers), layer).detach().clone()
    alike: Objective = likeness(layer, features)
    count, _, height, width = given.shape
    canvas = Fourier(count, height, width, generator(seed, "canvas")).to(device)
    done = paint(
        model,
        alike - variation * total_variation(),
        canvas,
        steps=steps,
        lr=lambda step: lr * (0.51 + 0.49 * math.cos(math.pi * step / steps)),
        seed=seed,
        normalisation=normalisation,
        what="inverting",
        quiet=quiet,
    )
    error = (-judge(model, alike, done.images.to(device), normalisation=normalisation)).sqrt()
    return Inverted(done.images, error, done.history)
