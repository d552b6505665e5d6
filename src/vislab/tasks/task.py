"""What every task has: a network, how it is updated, and the copy of it that is tested."""

from collections.abc import Iterable
from typing import Any, ClassVar

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vislab.errors import NonFiniteLoss
from vislab.tasks.narrow_convolutions import guard_narrow_convolutions
from vislab.tasks.optim import Optim


class Task(lightning.LightningModule):
    """A network and the loss it is trained on.

    A training step returns the loss to differentiate and, under "sums", what the journal counts:
    totals over the pictures of the batch, by the name they are logged under.
    """

    score: ClassVar[str] = "accuracy"  # what is best where it is largest, on validation pictures
    answers: ClassVar[str] = "classes"  # what `vislab predict` makes of the network's output

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

    def scores(self, batches: Iterable[Any]) -> dict[str, float]:
        """Return the loss and the scores of the tested network on these batches.

        The mode of the network, and everything else of it, is left as it was.
        """
        raise NotImplementedError

    def before_step(self, progress: float) -> None:
        """Do what a share of the training asks for; called before each step."""

    def after_step(self) -> None:
        """Move the averaged weights; called after each step, before anything is saved."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def configure_optimizers(self) -> Optimizer:
        """Build the optimiser over what is trained, now or later in the training."""
        return self.optim.build(self.model)

    def step(self, loss: Tensor, count: int, whole: int, **sums: Tensor) -> dict[str, Any]:
        """Return what a training step returns, for a `loss` that is a mean over `count` pictures.

        A process that holds n of the batch's N pictures counts for n W / N, so that the mean over
        W processes, which is what is differentiated, is the mean over the batch. Raises
        NonFiniteLoss before the weights are touched.
        """
        if not torch.isfinite(loss):
            raise NonFiniteLoss(f"the loss became {loss.item()}")
        share = count * self.trainer.world_size / whole
        return {"loss": loss * share, "sums": {"loss": loss.detach() * count, **sums}}
