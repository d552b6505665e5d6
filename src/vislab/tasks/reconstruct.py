"""Reconstruction: the image itself is to be learned, from itself or from noise over it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.data.batches import Batch
from vislab.errors import OptionError
from vislab.metrics.colour import ALIKE, psnr
from vislab.ops.seeding import generator
from vislab.tasks.optim import Optim
from vislab.tasks.outcome import Outcome
from vislab.tasks.task import Task


class Repainted(Outcome):
    """How near what a network paints comes to each image of a split."""


class Reconstruct(Task):
    """A network that gives images for images, and the mean square of what differs.

    `noise` is the standard deviation of what is added to its input, where pixels run from 0 to 1;
    `mean` and `std` are what the images were normalised by.
    """

    score: ClassVar[str] = "psnr"
    answers: ClassVar[str] = "images"
    units: ClassVar[Mapping[str, str]] = {"psnr": "dB"}
    images_at_once: ClassVar[int] = 64
    outcome = Repainted

    def __init__(
        self,
        model: nn.Module,
        optim: Optim | None = None,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        noise: float = 0.0,
    ) -> None:
        super().__init__(model, optim)
        if not 0 <= noise <= 1:
            raise OptionError(f"--noise {noise} is a share of the range of pixels: 0 to 1")
        self.noise = noise
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def training_step(self, batch: Batch, _step: int) -> dict[str, Any]:
        """Return the mean square error, of pixels from 0 to 1."""
        loss = self.errors(self.model(self.noisy(batch.images)), batch.images).mean()
        return self.step(loss, len(batch.images), batch.whole)

    def noisy(
        self, images: Float[Tensor, "n 3 h w"], draws: torch.Generator | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """Return images with noise over them; without `draws`, from torch's own generator."""
        if self.noise == 0:
            return images
        noise = torch.randn(images.shape, generator=draws).to(images.device)
        return images + noise * (self.noise / self.get_buffer("std"))

    def errors(
        self, found: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """Return each image's mean square error, of pixels from 0 to 1."""
        return ((found - images) * self.get_buffer("std")).square().mean(dim=(1, 2, 3))

    def repainted(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the network is given, what it makes of it and the images, all in [0, 1]."""
        spread, mean = self.get_buffer("std"), self.get_buffer("mean")
        # Noise of its own for every 64 rows, so that it does not depend on the epoch or the device.
        noisy = self.noisy(batch.images, generator("noise", int(batch.rows[0]) // 64))
        found = (noisy, self.network(noisy), batch.images)
        given, made, true = ((one.float() * spread + mean).clamp(0, 1) for one in found)
        return given, made, true

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Return each image's peak signal-to-noise ratio in decibels, and that of the noisy one."""
        given, made, true = self.repainted(batch)
        loss = (made - true).square().mean()
        found = {"psnr": psnr(made, true).clamp(max=ALIKE), "loss": loss}
        if self.noise:
            found["psnr (trivial)"] = psnr(given, true).clamp(max=ALIKE)
        return found
