"""A network with one hidden layer: Linear, ReLU, Linear, softmax."""

import torch
from torch import Tensor

from vislab.scratch.initializers import initial_weights
from vislab.scratch.linear import Linear
from vislab.scratch.network import Caches, Network
from vislab.scratch.sandwiches import LinearReLU


class TwoLayerNet(Network):
    """scores = max(X W1 + b1, 0) W2 + b2."""

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
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
        """Draw W1 (D, H) and W2 (H, K) by `weight_scale`, see `initial_weights`; biases are 0."""
        super().__init__(
            reg=reg, l2_convention=l2_convention, dtype=dtype, device=device, generator=generator
        )
        sides = [(input_dim, hidden_dim), (hidden_dim, num_classes)]
        for i, (here, there) in enumerate(sides, start=1):
            self.params[f"W{i}"] = initial_weights(
                weight_scale, here, there, relu=i == 1,
                dtype=dtype, device=device, generator=generator,
            )  # fmt: skip
            self.params[f"b{i}"] = torch.zeros(there, dtype=dtype, device=device)

    def forward(self, X: Tensor, training: bool) -> tuple[Tensor, Caches]:
        """Take X (N, d1, ..., dk) to scores (N, K)."""
        p = self.params
        hidden, first = LinearReLU.forward(X, p["W1"], p["b1"])
        scores, second = Linear.forward(hidden, p["W2"], p["b2"])
        return scores, [first, second]

    def backward(self, dscores: Tensor, caches: Caches) -> dict[str, Tensor]:
        """Go back through both layers."""
        first, second = caches
        grads = {}
        dhidden, grads["W2"], grads["b2"] = Linear.backward(dscores, second)
        _, grads["W1"], grads["b1"] = LinearReLU.backward(dhidden, first, first=True)
        return grads
