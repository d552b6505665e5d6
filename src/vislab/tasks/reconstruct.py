"""Reconstruction: the picture itself is to be learned, from itself or from noise over it."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.data.batches import Batch
from vislab.errors import OptionError
from vislab.explain.taps import tap
from vislab.ops.seeding import generator
from vislab.tasks.optim import Optim
from vislab.tasks.task import Task


class Reconstruct(Task):
    """A network that gives pictures for pictures, and the mean square of what differs.

    `noise` is the standard deviation of what is added to its input, where pixels run from 0 to 1;
    `deviation` that of the normalised pictures' channels, to count in those units.
    """

    score: ClassVar[str] = "psnr"
    answers: ClassVar[str] = "pictures"

    def __init__(
        self,
        model: nn.Module,
        optim: Optim | None = None,
        *,
        deviation: tuple[float, ...],
        noise: float = 0.0,
    ) -> None:
        super().__init__(model, optim)
        if not 0 <= noise <= 1:
            raise OptionError(f"--noise {noise} is a share of the range of pixels: 0 to 1")
        self.noise = noise
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the mean square error, of pixels from 0 to 1."""
        loss = self.errors(self.model(self.noisy(batch.images)), batch.images).mean()
        return self.step(loss, len(batch.images), batch.whole)

    def noisy(
        self, images: Float[Tensor, "n 3 h w"], draws: torch.Generator | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """Return pictures with noise over them; without `draws`, from torch's own generator."""
        if self.noise == 0:
            return images
        noise = torch.randn(images.shape, generator=draws).to(images.device)
        return images + noise * (self.noise / self.get_buffer("deviation"))

    def errors(
        self, found: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """Return each picture's mean square error, of pixels from 0 to 1."""
        return ((found - images) * self.get_buffer("deviation")).square().mean(dim=(1, 2, 3))

    def scores(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the mean square error and the mean peak signal-to-noise ratio in decibels."""
        total, decibels, count = 0.0, 0.0, 0
        with tap(self.network, []), torch.inference_mode():
            for number, batch in enumerate(batches):
                noisy = self.noisy(batch.images, generator("noise", number))
                error = self.errors(self.network(noisy).float(), batch.images)
                total += float(error.sum())
                decibels += float((-10 * error.clamp(min=1e-10).log10()).sum())
                count += len(batch.images)
        if not count:
            return {"loss": math.nan, "psnr": math.nan}
        return {"loss": total / count, "psnr": decibels / count}
