"""Batch normalisation over all processes' images, on the CPU too.

torch.nn.SyncBatchNorm exists for GPUs only. Without it, N processes with B images each would
normalise over B images and give other losses than one process with N·B.

    μ = (1/M) Σ x        σ² = (1/M) Σ (x − μ)²        both sums over all processes, M places in all
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.autograd import Function


class SumOverProcesses(Function):
    """y = Σ over processes of x. Each x reaches the loss of every process: ∂L/∂x = Σ ∂L/∂y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return the sum, the same in every process."""
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the sum of the processes' gradients."""
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d whose mean and variance are those of all processes' images together."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalise; in eval mode as nn.BatchNorm2d does."""
        if not self.training:
            return super().forward(x)
        sum_over = SumOverProcesses.apply
        counted = torch.tensor([x.numel() / x.shape[1]], dtype=x.dtype, device=x.device)
        count = sum_over(counted)  # M
        mean = sum_over(x.sum(dim=(0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = sum_over((centred**2).sum(dim=(0, 2, 3))) / count
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            momentum = self.momentum if self.momentum is not None else 0.1
            self.running_mean.lerp_(mean, momentum)
            unbiased = variance * (count / (count - 1).clamp_min(1))
            self.running_var.lerp_(unbiased, momentum)
        normal = centred * (variance + self.eps).rsqrt()[:, None, None]
        out: Tensor = normal * self.weight[:, None, None] + self.bias[:, None, None]
        return out


def share_batch_norm(module: nn.Module) -> None:
    """Replace every nn.BatchNorm2d inside `module`; names and weights stay as they are."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d and child.affine and child.track_running_stats:
            shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            shared.requires_grad_(child.weight.requires_grad).train(child.training)
            setattr(module, name, shared)
        else:
            share_batch_norm(child)
