"""Autoencoders: a picture through a narrow place and back."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vislab import models, runs, tasks
from vislab.data.augment import Augment
from vislab.errors import OptionError, pick
from vislab.lab.recipe import Recipe
from vislab.runs.claims import claim
from vislab.tasks.optim import Optim

if TYPE_CHECKING:
    from torch import nn

    from vislab.data.pictures import Pictures
    from vislab.evaluate.reconstruction import Repainted
    from vislab.lab.bench import Lab

NETWORKS = ("dense", "convolutional", "skips", "denoising")


@dataclass(frozen=True)
class Autoencoder(Recipe):
    """Squeeze pictures through a narrow place and rebuild them, with four kinds of networks.

    Linear layers; convolutions; the same with skips past the narrow place; the same asked to take
    noise away. All are scored by what they rebuild of pictures never seen. U-Net can begin from the
    convolutional one (`vislab run segment-unet --start FOLDER`).

    Source: Advanced Deep Learning for Computer Vision. Hinton and Salakhutdinov 2006,
    doi:10.1126/science.1127647; Vincent et al. 2008, doi:10.1145/1390156.1390294.

    Question: What does a picture lose first when it is squeezed: its colours, its large shapes or
    its edges?
    Look at: The sheets: what have convolutional and dense got wrong in the same pictures?
    Look at: With skips, what is left for the narrow place to carry?
    Exercise: A picture of 32×32 pixels with three channels goes through 64 numbers. How many
    numbers become one?
    Answer: 48
    Exercise: A network rebuilds pixels with a mean square error of 0.01, pixels running from 0 to
    1. How many decibels is that?
    Answer: 20
    """

    group = "Dense prediction and detection"

    data: str = "cifar10"
    """A name of the catalogue, or any folder or zip of pictures: labels are not used."""
    limit: int | None = 10_000
    """Training pictures, drawn; None takes all."""
    size: int = 32
    """Side of the pictures in pixels."""
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
    optim: Optim = field(default_factory=lambda: Optim("adamw", lr=2e-3, schedule="one-cycle"))
    batch: int = 64
    """Pictures in a step."""
    epochs: int = 15
    """Times through the training pictures."""
    augment: Augment = field(default_factory=lambda: Augment(flip=True))
    """What training pictures go through."""

    claims = (
        claim("skips carry the low-level information",
              "skips: decibels gained", at_least=0.01),
        claim("noise is taken away", "denoising: decibels gained over the noisy picture",
              at_least=0.01),
    )  # fmt: skip
    quick = {"data": "shapes:easy", "limit": 500, "epochs": 8, "size": 32, "width": 8,
             "batch": 32}  # fmt: skip
    smoke = {
        "data": "digits", "limit": 20, "epochs": 1, "size": 16, "width": 4, "depth": 3,
        "batch": 5, "code": 32,
    }  # fmt: skip

    def run(self, lab: "Lab") -> None:
        """Train each, rebuild pictures never seen, compare."""
        from vislab.evaluate.reconstruction import compare_repainted, judge_repainting

        for name in self.networks:
            pick({known: known for known in NETWORKS}, name, "network")
        if not self.networks:
            raise OptionError(f"--networks names none; take some of {', '.join(NETWORKS)}")
        pictures = lab.pictures(
            self.data, per_class=self.limit, size=self.size, validation=0.1, labelled=False
        )
        lab.plan(fits=len(self.networks))
        lab.rehearse(lambda name: self.task(name, pictures), self.networks)
        found: dict[str, Repainted] = {}
        trained: dict[str, Any] = {}
        for name in self.networks:
            task = self.task(name, pictures)
            lab.fit(
                task, pictures, epochs=self.epochs, batch=self.batch, augment=self.augment,
                name=name,
            )  # fmt: skip
            found[name] = judge_repainting(lab, task, pictures, name=name)
            trained[name] = task
        kept = "convolutional" if "convolutional" in trained else self.networks[0]
        lab.keep(trained[kept], pictures)
        lab.note(f"Kept for `vislab predict` and for `segment-unet --start`: {kept}.")
        compare_repainted(lab, found)
        if {"convolutional", "skips"} <= found.keys():
            gain, interval = runs.paired_bootstrap(found["convolutional"].psnr, found["skips"].psnr)
            lab.record("skips: decibels gained", gain, interval=interval)
        if "denoising" in found:
            gain, interval = runs.paired_bootstrap(
                found["denoising"].psnr_before, found["denoising"].psnr
            )
            lab.record("denoising: decibels gained over the noisy picture", gain, interval=interval)

    def task(self, name: str, pictures: "Pictures") -> Any:
        """Build one of the networks, and what it is to learn."""
        return tasks.Reconstruct(
            self.built(name, pictures), self.optim, deviation=pictures.normalisation[1],
            noise=self.noise if name == "denoising" else 0.0,
        )  # fmt: skip

    def built(self, name: str, pictures: "Pictures") -> "nn.Module":
        """Build one of the networks, the convolutional ones with about as narrow a place."""
        if name == "dense":
            return models.create("dense-autoencoder", classes=3, side=self.size, code=self.code)
        side = self.size
        for _ in range(self.depth - 1):
            side = -(-side // 2)
        return models.create(
            "conv-autoencoder", classes=3, width=self.width, depth=self.depth,
            code=max(1, self.code // side**2), skips=name == "skips",
        )  # fmt: skip
