"""Autoencoders: an image through a narrow place and back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab import models, tasks
from vislab.lab.training_recipe import TrainingRecipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from torch import nn

    from vislab.data.table import Table
    from vislab.lab.bench import Lab

NETWORKS = ("dense", "convolutional", "skips", "denoising")


@dataclass(frozen=True)
class Autoencoder(TrainingRecipe):
    """Squeeze images through a narrow place and rebuild them, with four kinds of networks.

    Linear layers; convolutions; the same with skips past the narrow place; the same asked to take
    noise away. All are scored by what they rebuild of images never seen. U-Net can begin from the
    convolutional one (`vislab run segment-unet --start FOLDER`).

    Source: Advanced Deep Learning for Computer Vision. Hinton and Salakhutdinov 2006,
    doi:10.1126/science.1127647; Vincent et al. 2008, doi:10.1145/1390156.1390294.

    Question: What does an image lose first when it is squeezed: its colours, its large shapes or
    its edges?
    Look at: The sheets: what have convolutional and dense got wrong in the same images?
    Look at: With skips, what is left for the narrow place to carry?
    Exercise: An image of 32×32 pixels with three channels goes through 64 numbers. How many
    numbers become one?
    Answer: 48
    Exercise: A network rebuilds pixels with a mean square error of 0.01, pixels running from 0 to
    1. How many decibels is that?
    Answer: 20
    """

    group = "Dense prediction and detection"

    data: str = "cifar10"
    """A name of the catalogue, or any folder or zip of images: labels are not used."""
    limit: int | None = 10_000
    """Training images, drawn; None takes all."""
    networks: tuple[str, ...] = NETWORKS
    """Which: dense, convolutional, skips, denoising."""
    code: int = 256
    """Numbers in the narrow place of the dense network; maps of the others have as many in all."""
    width: int = 16
    """Channels of the convolutional ones at full size."""
    depth: int = 4
    """Their sizes: full, half, a quarter, …"""
    noise: float = 0.1
    """Standard deviation of the noise that `denoising` takes away, pixels running from 0 to 1."""
    optim: Optim = Optim("adamw", lr=2e-3, schedule="one-cycle")
    epochs: int = 15

    claims = (
        claim("skips carry the low-level information",
              "skips: decibels gained", at_least=0.01),
        claim("noise is taken away", "denoising: decibels gained over the noisy image",
              at_least=0.01),
    )  # fmt: skip
    quick = {"data": "shapes:easy", "limit": 500, "epochs": 8, "size": 32, "width": 8,
             "batch": 32}  # fmt: skip
    smoke = {
        "data": "digits", "limit": 20, "epochs": 1, "size": 16, "width": 4, "depth": 3,
        "batch": 5, "code": 32,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train each, rebuild images never seen, compare."""
        images = lab.images(
            self.data, per_class=self.limit, size=self.size, validation=0.1, labelled=False
        )
        found = lab.variants(
            self.networks, lambda name: self.task(name, images), images, of=NETWORKS,
            fit={"epochs": self.epochs, "batch": self.batch, "augment": self.augment},
        )  # fmt: skip
        # The one from which U-Net can begin, where it is among them.
        found.keep("convolutional" if "convolutional" in found else self.networks[0])
        found.compare()
        found.gain("skips: decibels gained", "skips", over="convolutional")
        if "denoising" in found:
            gain, interval = found["denoising"].outcome.gain_over_trivial()
            lab.record("denoising: decibels gained over the noisy image", gain, interval=interval)

    def task(self, name: str, images: "Table") -> "tasks.Reconstruct":
        """Build one of the networks, and what it is to learn."""
        mean, std = images.normalisation
        noise = self.noise if name == "denoising" else 0.0
        network = self.network(name)
        return tasks.Reconstruct(network, self.optim, mean=mean, std=std, noise=noise)

    def network(self, name: str) -> "nn.Module":
        """Build one of the networks, the convolutional ones with about as narrow a place."""
        if name == "dense":
            return models.create("dense-autoencoder", classes=3, side=self.size, code=self.code)
        side = -(-self.size // 2 ** (self.depth - 1))
        return models.create(
            "conv-autoencoder", classes=3, width=self.width, depth=self.depth,
            code=max(1, self.code // side**2), skips=name == "skips",
        )  # fmt: skip
