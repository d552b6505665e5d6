"""The smallest convolutional network: Conv, ReLU, MaxPool, Linear, ReLU, Linear, softmax."""

import torch
from torch import Tensor

from vislab.errors import OptionError
from vislab.scratch.initializers import initial_weights
from vislab.scratch.linear import Linear
from vislab.scratch.network import Caches, Network
from vislab.scratch.sandwiches import ConvReLUPool, LinearReLU


class ThreeLayerConvNet(Network):
    """One convolution that keeps the image's size, a pooling of 2×2, two linear layers."""

    def __init__(
        self,
        input_dims: tuple[int, int, int] = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float | str = 1e-3,
        reg: float = 0.0,
        *,
        l2_convention: str = "full",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw W1 (F, C, S, S), W2 (F H/2 W/2, hidden) and W3 (hidden, K); biases are 0."""
        super().__init__(
            reg=reg, l2_convention=l2_convention, dtype=dtype, device=device, generator=generator
        )
        if filter_size % 2 == 0:
            raise OptionError(
                f"filter_size is {filter_size}, wanted an odd number: only then does the padding "
                "keep the image's size"
            )
        self.pad = (filter_size - 1) // 2
        channels, high, wide = input_dims
        sides = [
            (channels, num_filters, filter_size),
            (num_filters * (high // 2) * (wide // 2), hidden_dim, None),
            (hidden_dim, num_classes, None),
        ]
        for i, (here, there, kernel) in enumerate(sides, start=1):
            self.params[f"W{i}"] = initial_weights(
                weight_scale, here, there, kernel, relu=i < 3,
                dtype=dtype, device=device, generator=generator,
            )  # fmt: skip
            self.params[f"b{i}"] = torch.zeros(there, dtype=dtype, device=device)

    def forward(self, X: Tensor, training: bool) -> tuple[Tensor, Caches]:
        """Take X (N, C, H, W) to scores (N, K)."""
        p = self.params
        h, first = ConvReLUPool.forward(X, p["W1"], p["b1"], 1, self.pad)
        h, second = LinearReLU.forward(h, p["W2"], p["b2"])
        scores, third = Linear.forward(h, p["W3"], p["b3"])
        return scores, [first, second, third]

    def backward(self, dscores: Tensor, caches: Caches) -> dict[str, Tensor]:
        """Go back through the three layers."""
        first, second, third = caches
        grads = {}
        dh, grads["W3"], grads["b3"] = Linear.backward(dscores, third)
        dh, grads["W2"], grads["b2"] = LinearReLU.backward(dh, second)
        _, grads["W1"], grads["b1"] = ConvReLUPool.backward(dh, first, first=True)
        return grads
