"""Colorization: the colours are what is to be learned, from the lightness."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vislab.data.batches import Batch
from vislab.losses.colour import rebalanced
from vislab.metrics.colour import ALIKE, colourfulness, psnr
from vislab.models.colorizer import REACH, Colorizer
from vislab.ops.colour import lab_to_rgb, rgb_to_lab
from vislab.tasks.optim import Optim
from vislab.tasks.reconstruct import Repainted
from vislab.tasks.task import Task


class Colorize(Task):
    """A `models.Colorizer`; by the square of its error, or by cross-entropy over bins of colour.

    `mean` and `std` are what images were normalised by. `shares`, one a bin, are how often
    colours occur: rare ones then weigh more (see `losses.rebalanced`).
    """

    score: ClassVar[str] = "psnr"
    answers: ClassVar[str] = "colours"
    units: ClassVar[Mapping[str, str]] = {"psnr": "dB"}
    images_at_once: ClassVar[int] = 64
    outcome = Repainted

    def __init__(
        self,
        model: Colorizer,
        optim: Optim | None = None,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        shares: Float[Tensor, " k"] | None = None,
    ) -> None:
        super().__init__(model, optim)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        weights = None if shares is None else rebalanced(shares)
        self.register_buffer("weights", weights, persistent=False)

    def pixels(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return normalised images as sRGB in [0, 1]."""
        back = images.float() * self.get_buffer("std") + self.get_buffer("mean")
        return back.clamp(0, 1)

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the loss at half the size, where the network answers."""
        model = self.model
        assert isinstance(model, Colorizer)
        lab = rgb_to_lab(self.pixels(batch.images))
        answer = model(lab[:, :1] / 50 - 1)
        ab = F.interpolate(lab[:, 1:], size=answer.shape[2:], mode="area")
        if answer.shape[1] == 2:
            loss = F.mse_loss(answer.float(), ab / REACH)
        else:
            weights = self.weights if isinstance(self.weights, Tensor) else None
            # Not torch's own mean, which divides by the weights of this very batch again.
            each = F.cross_entropy(
                answer.float(), model.binned(ab), weight=weights, reduction="none"
            )
            loss = each.mean()
        return self.step(loss, len(batch.images), batch.whole)

    def repainted(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the images in grey, as they are painted and as they are, all in [0, 1]."""
        network = self.network
        assert isinstance(network, Colorizer)
        true = self.pixels(batch.images)
        return greyed(true), network.paint(true), true

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Return PSNR in decibels and colourfulness of what is painted, and of grey."""
        grey, painted, true = self.repainted(batch)
        return {
            "psnr": psnr(painted, true).clamp(max=ALIKE),
            "colourfulness": colourfulness(painted),
            "psnr (trivial)": psnr(grey, true).clamp(max=ALIKE),
            "colourfulness (truth)": colourfulness(true),
        }


def greyed(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return images with their lightness alone."""
    lightness = rgb_to_lab(pixels)[:, :1]
    return lab_to_rgb(torch.cat([lightness, torch.zeros_like(lightness).repeat(1, 2, 1, 1)], dim=1))
