"""What every task has: a network, how it is updated, and how the copy that is tested is measured.

A task of one's own gives `training_step` and `measure`; validation, testing, intervals, comparisons
and the report follow from these two.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vislab.data.table import Table
from vislab.errors import NonFiniteLoss, VislabError
from vislab.explain.hooks import hooked
from vislab.runs.model_card import AN_IMAGE
from vislab.tasks.narrow_convolutions import guard_narrow_convolutions
from vislab.tasks.optim import Optim
from vislab.tasks.outcome import Outcome, total


class Measured:
    """A network and what is measured of its answers."""

    score: ClassVar[str] = "accuracy"  # the main one: what is best where it is largest
    units: ClassVar[Mapping[str, str]] = {}  # of scores that are no shares, as "dB"
    answers: ClassVar[str] = "classes"  # what `vislab predict` makes of the network's output,
    takes: ClassVar[tuple[str, ...]] = AN_IMAGE  # of what, in words,
    outputs: ClassVar[tuple[str, ...]] = ()  # and what the numbers are called, if they are numbers
    images_at_once: ClassVar[int] = 256  # when tested
    outcome: ClassVar[type[Outcome]] = Outcome
    model: Any  # the torch module with the weights as they are now

    @property
    def network(self) -> nn.Module:
        """The network to test and to keep."""
        raise VislabError(f"{type(self).__name__} needs a property `network`, the module to test")

    def measure(self, batch: Any) -> Mapping[str, Tensor | np.ndarray]:
        """Return what is measured of the tested network's answers to a batch of N images.

        Scores are (N,), bools or floats, by name; a number without axes is a mean over the batch,
        such as a loss. All else of N rows, and what is named "... (trivial)" for what the trivial
        answer scores, is kept for figures. Called in eval mode, without gradients.
        """
        raise VislabError(
            f"{type(self).__name__} needs `measure(self, batch)`, which says how it is scored"
        )

    def chance(self, data: Table) -> dict[str, float]:
        """Return what the trivial answer scores on this data set, by the score's name."""
        return {}

    def scores(self, batches: Iterable[Any]) -> dict[str, float]:
        """Return the mean of everything that is measured on these batches.

        The mode of the network, and everything else of it, is left as it was.
        """
        sums: dict[str, float] = {}
        count = 0
        with hooked(self.network, []), torch.inference_mode():
            for batch in batches:
                for name, value in total(self.measure(batch), len(batch.images)).items():
                    sums[name] = sums.get(name, 0.0) + value
                count += len(batch.images)
        return {name: value / count for name, value in sums.items()} or {self.score: math.nan}

    def test(self, batches: Iterable[Any]) -> Outcome:
        """Return what the tested network comes to on these batches.

        A score of the set as a whole (mean average precision, an equal error rate) is added to the
        outcome's `whole` where this is overridden.
        """
        with hooked(self.network, []), torch.inference_mode():
            return self.outcome.gathered(self.score, (self.measure(batch) for batch in batches))


class Task(Measured, lightning.LightningModule):
    """A network and the loss it is trained on.

    A training step returns the loss to differentiate and, under "sums", what the journal counts:
    totals over the images of the batch, by the name they are logged under.
    """

    def __init__(self, model: nn.Module, optim: Optim | None = None) -> None:
        super().__init__()
        guard_narrow_convolutions(model)
        self.model = model
        self.optim = optim or Optim()
        self.averaged: AveragedModel | None = None
        if self.optim.ema > 0:
            decay = get_ema_multi_avg_fn(self.optim.ema)  # type: ignore[no-untyped-call]
            self.averaged = AveragedModel(model, multi_avg_fn=decay, use_buffers=True)
            self.averaged.requires_grad_(False)

    @property
    def network(self) -> nn.Module:
        """The network to test and to keep: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def before_step(self, progress: float) -> None:
        """Do what a share of the training asks for; called before each step."""

    def after_step(self) -> None:
        """Move the averaged weights; called after each step, before anything is saved."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
            with torch.no_grad():  # counts, such as batch normalisation's of its batches, are none
                for ours, theirs in zip(
                    self.averaged.module.buffers(), self.model.buffers(), strict=True
                ):
                    if not ours.is_floating_point():
                        ours.copy_(theirs)

    @property
    def optims(self) -> tuple[Optim, ...]:
        """The rule, rate and schedule of each optimiser, in the order of `configure_optimizers`."""
        return (self.optim,)

    def configure_optimizers(self) -> Any:
        """Build the optimiser over what is trained, now or later in the training.

        A task with several, such as a GAN, returns a list of them, sets `automatic_optimization` to
        False and takes its steps with `descend`.
        """
        return self.optim.build(self.model)

    def descend(self, number: int, loss: Tensor, count: int, whole: int) -> None:
        """Take a step of the optimiser of this number down a loss, a mean over `count` images.

        For a task that steps its optimisers itself. Raises NonFiniteLoss before the weights are
        touched; clips as that optimiser's `Optim` says.
        """
        found = self.optimizers(use_pl_optimizer=True)
        optimiser: Any = found[number] if isinstance(found, list) else found
        self.toggle_optimizer(optimiser)
        optimiser.zero_grad()
        self.manual_backward(self.step(loss, count, whole)["loss"])
        if self.optims[number].clip:
            self.clip_gradients(optimiser, self.optims[number].clip, "norm")
        optimiser.step()
        self.untoggle_optimizer(optimiser)

    def step(self, loss: Tensor, count: int, whole: int, **sums: Tensor) -> dict[str, Any]:
        """Return what a training step returns, for a `loss` that is a mean over `count` images.

        A process that holds n of the batch's N images counts for n W / N, so that the mean over
        W processes, which is what is differentiated, is the mean over the batch. Raises
        NonFiniteLoss before the weights are touched.
        """
        if not torch.isfinite(loss):
            raise NonFiniteLoss(f"the loss became {loss.item()}")
        share = count * self.trainer.world_size / whole
        return {"loss": loss * share, "sums": {"loss": loss.detach() * count, **sums}}
