"""Colorization: the colours are what is to be learned, from the lightness."""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vislab.data.batches import Batch
from vislab.explain.taps import tap
from vislab.losses.colour import rebalanced
from vislab.metrics.colour import colourfulness, psnr
from vislab.models.colorizer import REACH, Colorizer
from vislab.ops.colour import rgb_to_lab
from vislab.tasks.optim import Optim
from vislab.tasks.task import Task


class Colorize(Task):
    """A `models.Colorizer`; by the square of its error, or by cross-entropy over bins of colour.

    `mean` and `deviation` are what pictures were normalised by. `shares`, one a bin, are how often
    colours occur: rare ones then weigh more (see `losses.rebalanced`).
    """

    score: ClassVar[str] = "psnr"
    answers: ClassVar[str] = "colours"

    def __init__(
        self,
        model: Colorizer,
        optim: Optim | None = None,
        *,
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
        shares: Float[Tensor, " k"] | None = None,
    ) -> None:
        super().__init__(model, optim)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)
        weights = None if shares is None else rebalanced(shares)
        self.register_buffer("weights", weights, persistent=False)

    def pixels(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return normalised pictures as sRGB in [0, 1]."""
        back = images.float() * self.get_buffer("deviation") + self.get_buffer("mean")
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

    def scores(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the mean PSNR in decibels and the mean colourfulness of what is painted."""
        network = self.network
        assert isinstance(network, Colorizer)
        decibels, colour, count = 0.0, 0.0, 0
        with tap(network, []), torch.inference_mode():
            for batch in batches:
                pixels = self.pixels(batch.images)
                painted = network.paint(pixels)
                decibels += float(psnr(painted, pixels).clamp(max=100).sum())
                colour += float(colourfulness(painted).sum())
                count += len(pixels)
        return {"psnr": decibels / max(count, 1), "colourfulness": colour / max(count, 1)}
