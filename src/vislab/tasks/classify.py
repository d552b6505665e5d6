"""Classification: one label a picture, softmax and cross-entropy."""

import lightning.pytorch as lightning
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vislab.data.batches import Batch
from vislab.errors import NonFiniteLoss
from vislab.models.anatomy import Anatomy
from vislab.tasks.narrow_convolutions import guard_narrow_convolutions
from vislab.tasks.optim import Optim
from vislab.tasks.strategy import Strategy, hold_still


class Classify(lightning.LightningModule):
    """A network that gives logits (N, K), the loss it is trained on and how it is updated."""

    def __init__(
        self,
        model: nn.Module,
        optim: Optim | None = None,
        *,
        label_smoothing: float = 0.0,
        strategy: Strategy | None = None,
        anatomy: Anatomy | None = None,
    ) -> None:
        """Take a network; with a `strategy` its `anatomy` too, which says what can be frozen."""
        super().__init__()
        assert (strategy is None) == (anatomy is None), "a strategy needs the network's anatomy"
        guard_narrow_convolutions(model)
        self.model = model
        self.strategy, self.anatomy = strategy, anatomy
        self._frozen: set[str] | None = None  # not known before the first step
        self.optim = optim or Optim()
        self.label_smoothing = label_smoothing
        self.averaged: AveragedModel | None = None
        if self.optim.ema > 0:
            decay = get_ema_multi_avg_fn(self.optim.ema)  # type: ignore[no-untyped-call]
            self.averaged = AveragedModel(model, multi_avg_fn=decay, use_buffers=True)
            self.averaged.requires_grad_(False)

    @property
    def network(self) -> nn.Module:
        """The network to test and to keep: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def training_step(self, batch: Batch, _step: int) -> dict[str, Tensor]:
        """Return the loss, mean over the whole batch, and what the journal counts.

        A process that holds n of the batch's N pictures returns its sum times W / N, so that the
        mean over W processes, which is what is differentiated, is the mean over the batch.
        Raises NonFiniteLoss before the weights are touched.
        """
        logits = self.model(batch.images)
        world = self.trainer.world_size
        total = F.cross_entropy(
            logits, batch.targets, label_smoothing=self.label_smoothing, reduction="sum"
        )
        loss = total * (world / batch.whole)
        if not torch.isfinite(loss):
            raise NonFiniteLoss(f"the loss became {loss.item()}")
        correct = (logits.detach().argmax(dim=1) == batch.labels).sum()
        return {"loss": loss, "total": total.detach(), "correct": correct}

    def before_step(self, progress: float) -> None:
        """Freeze what the strategy freezes at this share of the training."""
        if self.strategy is not None and self.anatomy is not None:
            frozen = self.strategy.frozen(self.anatomy, progress)
            if frozen != self._frozen:
                self._frozen = frozen
                self.train(self.training)

    def train(self, mode: bool = True) -> "Classify":
        """Set training mode; what is frozen stays in eval mode."""
        super().train(mode)
        if self.strategy is not None and self._frozen is not None:
            hold_still(self.model, self._frozen)
            if self.strategy.kind == "head" and self.anatomy is not None:
                # Nor is anything dropped before the head, as where its inputs are computed once.
                self.model.eval()
                for name in self.anatomy.head.modules:
                    self.model.get_submodule(name).train(mode)
        return self

    def after_step(self) -> None:
        """Move the averaged weights; called after each step, before anything is saved."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def configure_optimizers(self) -> Optimizer:
        """Build the optimiser over what is trained, now or later in the training."""
        if self.strategy is None or self.anatomy is None:
            return self.optim.build(self.model)
        never = self.strategy.frozen(self.anatomy, progress=1.0)
        return self.optim.build(
            self.model, scales=self.strategy.scales(self.anatomy), left_out=never
        )

    def losses(self, logits: Float[Tensor, "n k"], batch: Batch) -> Float[Tensor, " n"]:
        """Return each picture's cross-entropy, without label smoothing, in nats."""
        return F.cross_entropy(logits, batch.labels, reduction="none")
