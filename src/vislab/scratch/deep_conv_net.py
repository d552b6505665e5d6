"""A convolutional network of any depth: {Conv, [BatchNorm], ReLU, [MaxPool]} × (L - 1), Linear."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from vislab.errors import OptionError
from vislab.scratch.initializers import initial_weights
from vislab.scratch.linear import Linear
from vislab.scratch.network import Caches, Network
from vislab.scratch.sandwiches import (
    ConvBatchNormReLU,
    ConvBatchNormReLUPool,
    ConvReLU,
    ConvReLUPool,
)


class DeepConvNet(Network):
    """Convolutions of 3×3 with padding 1, then one linear layer.

    Layer i has W{i} (F, C, 3, 3) and b{i}, with batch normalisation gamma{i} and beta{i} too.
    """

    def __init__(
        self,
        input_dims: tuple[int, int, int] = (3, 32, 32),
        num_filters: Sequence[int] = (8, 8, 8, 8, 8),
        max_pools: Collection[int] = (0, 1, 2, 3, 4),
        batchnorm: bool = False,
        num_classes: int = 10,
        weight_scale: float | str = 1e-3,
        reg: float = 0.0,
        *,
        l2_convention: str = "full",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw the weights by `weight_scale`: "kaiming", "xavier" or a standard deviation.

        After the layers numbered in `max_pools`, counted from 0, the image is halved. Raises
        OptionError when nothing would be left of it.
        """
        super().__init__(
            reg=reg, l2_convention=l2_convention, dtype=dtype, device=device, generator=generator
        )
        self.batchnorm, self.max_pools = batchnorm, frozenset(max_pools)
        self.num_layers = len(num_filters) + 1
        outside = [place for place in max_pools if not 0 <= place < len(num_filters)]
        if outside:
            raise OptionError(
                f"max_pools names layer {outside[0]}; there are layers 0 to {len(num_filters) - 1}"
            )
        channels, high, wide = input_dims
        size = min(high, wide) >> len(self.max_pools)
        if size < 1:
            raise OptionError(
                f"{len(self.max_pools)} poolings leave nothing of an image of {high}×{wide}; "
                "use fewer"
            )
        made: dict[str, Any] = {"dtype": dtype, "device": device}
        for i, filters in enumerate(num_filters, start=1):
            self.params[f"W{i}"] = initial_weights(
                weight_scale, channels, filters, 3, **made, generator=generator
            )
            self.params[f"b{i}"] = torch.zeros(filters, **made)
            if batchnorm:
                self.params[f"gamma{i}"] = torch.ones(filters, **made)
                self.params[f"beta{i}"] = torch.zeros(filters, **made)
                self.running[f"mean{i}"] = torch.zeros(filters, **made)
                self.running[f"var{i}"] = torch.ones(filters, **made)
            channels = filters
        self.channels, pools = channels, len(self.max_pools)
        features = channels * (high >> pools) * (wide >> pools)
        last = self.num_layers
        self.params[f"W{last}"] = initial_weights(
            weight_scale, features, num_classes, relu=False, **made, generator=generator
        )
        self.params[f"b{last}"] = torch.zeros(num_classes, **made)

    def block(self, i: int) -> Any:
        """Return the sandwich of layer i, counted from 1."""
        if self.batchnorm:
            return ConvBatchNormReLUPool if i - 1 in self.max_pools else ConvBatchNormReLU
        return ConvReLUPool if i - 1 in self.max_pools else ConvReLU

    def forward(self, X: Tensor, training: bool) -> tuple[Tensor, Caches]:
        """Take X (N, C, H, W) to scores (N, K)."""
        h, caches = self._convolve(X, training)
        last = self.num_layers
        scores, cache = Linear.forward(h, self.params[f"W{last}"], self.params[f"b{last}"])
        return scores, [*caches, cache]

    def features(self, X: Tensor) -> Tensor:
        """Return the last feature map (N, F, H', W'), as when testing."""
        return self._convolve(self.expected(X), training=False)[0]

    def _convolve(self, X: Tensor, training: bool) -> tuple[Tensor, Caches]:
        p, h = self.params, X
        caches: Caches = []
        for i in range(1, self.num_layers):
            if self.batchnorm:
                h, cache = self.block(i).forward(
                    h, p[f"W{i}"], p[f"b{i}"], p[f"gamma{i}"], p[f"beta{i}"], 1, 1,
                    running_mean=self.running[f"mean{i}"],
                    running_var=self.running[f"var{i}"],
                    training=training,
                )  # fmt: skip
            else:
                h, cache = self.block(i).forward(h, p[f"W{i}"], p[f"b{i}"], 1, 1)
            caches.append(cache)
        return h, caches

    def backward(self, dscores: Tensor, caches: Caches) -> dict[str, Tensor]:
        """Go back through the layers, from the last to the first."""
        *blocks, last = caches
        grads, i = {}, self.num_layers
        dh, grads[f"W{i}"], grads[f"b{i}"] = Linear.backward(dscores, last)
        for i in range(self.num_layers - 1, 0, -1):
            names = [f"W{i}", f"b{i}"] + [f"gamma{i}", f"beta{i}"] * self.batchnorm
            dh, *found = self.block(i).backward(dh, blocks[i - 1], first=i == 1)
            grads |= dict(zip(names, found, strict=True))
        return grads
