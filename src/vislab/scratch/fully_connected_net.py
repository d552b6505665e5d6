"""A network of any depth: {Linear, [normalisation], ReLU, [dropout]} × (L - 1), Linear, softmax."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vislab.errors import pick
from vislab.scratch import expect
from vislab.scratch.batch_norm import BatchNorm
from vislab.scratch.dropout import Dropout
from vislab.scratch.initializers import initial_weights
from vislab.scratch.layer_norm import LayerNorm
from vislab.scratch.linear import Linear
from vislab.scratch.network import Caches, Network
from vislab.scratch.relu import ReLU

KNOWN = {"none": None, "batchnorm": "batchnorm", "layernorm": "layernorm"}


class FullyConnectedNet(Network):
    """Hidden layers of the given widths.

    Layer i has W{i} (here, there) and b{i}, with a normalisation gamma{i} and beta{i} too.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float = 0.0,
        normalization: str | None = None,
        reg: float = 0.0,
        weight_scale: float | str = 1e-2,
        *,
        l2_convention: str = "full",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw the weights by `weight_scale`, see `initial_weights`; `dropout` is the share lost.

        `normalization` is None, "batchnorm" or "layernorm".
        """
        super().__init__(
            reg=reg, l2_convention=l2_convention, dtype=dtype, device=device, generator=generator
        )
        expect.option("dropout", dropout, low=0, below=1)
        self.normalization = pick(KNOWN, normalization or "none", "normalization")
        self.dropout, self.num_layers = dropout, len(hidden_dims) + 1
        sides = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.num_layers + 1):
            here, there = sides[i - 1], sides[i]
            last = i == self.num_layers
            self.params[f"W{i}"] = initial_weights(
                weight_scale, here, there, relu=not last,
                dtype=dtype, device=device, generator=generator,
            )  # fmt: skip
            self.params[f"b{i}"] = torch.zeros(there, dtype=dtype, device=device)
            if self.normalization and not last:
                self.params[f"gamma{i}"] = torch.ones(there, dtype=dtype, device=device)
                self.params[f"beta{i}"] = torch.zeros(there, dtype=dtype, device=device)
            if self.normalization == "batchnorm" and not last:
                self.running[f"mean{i}"] = torch.zeros(there, dtype=dtype, device=device)
                self.running[f"var{i}"] = torch.ones(there, dtype=dtype, device=device)

    def forward(self, X: Tensor, training: bool) -> tuple[Tensor, Caches]:
        """Take X (N, d1, ..., dk) to scores (N, K)."""
        p, h = self.params, X
        caches: Caches = []
        for i in range(1, self.num_layers):
            h, linear = Linear.forward(h, p[f"W{i}"], p[f"b{i}"])
            norm: Any = None
            drop: Any = None
            if self.normalization == "batchnorm":
                averages = self.running[f"mean{i}"], self.running[f"var{i}"]
                h, norm = BatchNorm.forward(h, p[f"gamma{i}"], p[f"beta{i}"], *averages, training)
            elif self.normalization == "layernorm":
                h, norm = LayerNorm.forward(h, p[f"gamma{i}"], p[f"beta{i}"])
            h, relu = ReLU.forward(h)
            if self.dropout:
                h, drop = Dropout.forward(h, self.dropout, training, self.generator)
            caches.append((linear, norm, relu, drop))
        scores, last = Linear.forward(h, p[f"W{self.num_layers}"], p[f"b{self.num_layers}"])
        return scores, [*caches, last]

    def backward(self, dscores: Tensor, caches: Caches) -> dict[str, Tensor]:
        """Go back through the layers, from the last to the first."""
        *blocks, last = caches
        grads, i = {}, self.num_layers
        dh, grads[f"W{i}"], grads[f"b{i}"] = Linear.backward(dscores, last)
        for i in range(self.num_layers - 1, 0, -1):
            linear, norm, relu, drop = blocks[i - 1]
            if self.dropout:
                dh = Dropout.backward(dh, drop)
            dh = ReLU.backward(dh, relu)
            if self.normalization == "batchnorm":
                dh, grads[f"gamma{i}"], grads[f"beta{i}"] = BatchNorm.backward(dh, norm)
            elif self.normalization == "layernorm":
                dh, grads[f"gamma{i}"], grads[f"beta{i}"] = LayerNorm.backward(dh, norm)
            dh, grads[f"W{i}"], grads[f"b{i}"] = Linear.backward(dh, linear, first=i == 1)
        return grads
