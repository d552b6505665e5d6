"""What all networks of this room share: parameters by name, and a loss with its gradients.

A network says how scores are made from images (`forward`, keeping what each layer needs later)
and how the gradient of the scores goes back through the layers (`backward`). The loss joins them,
and adds the penalty on the weights.
"""

from typing import Any

import torch
from torch import Tensor

from vislab.scratch import expect
from vislab.scratch.penalty import penalty
from vislab.scratch.softmax_loss import softmax_loss

Caches = list[Any]


class Network:
    """Base of all networks.

    `params` holds the weights by name, `running` the averages of batch normalisation. Names that
    begin with W are penalised: reg · Σ W², or half of it with `l2_convention="half"`.
    """

    def __init__(
        self,
        *,
        reg: float = 0.0,
        l2_convention: str = "full",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        self.params: dict[str, Tensor] = {}
        self.running: dict[str, Tensor] = {}
        self.reg, self.l2_convention = reg, l2_convention
        self.dtype, self.device = dtype, torch.device(device)
        self.generator = generator  # draws the weights, then the masks of dropout
        penalty(torch.zeros(1), reg, l2_convention)  # a wrong name is told at once

    def forward(self, X: Tensor, training: bool) -> tuple[Tensor, Caches]:
        """Return scores (N, K) and what each layer keeps for the way back."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, X, training)")

    def backward(self, dscores: Tensor, caches: Caches) -> dict[str, Tensor]:
        """Return the gradient of every parameter, by its name."""
        raise NotImplementedError(f"{type(self).__name__} has no backward(self, dscores, caches)")

    def score_loss(self, scores: Tensor, y: Tensor) -> tuple[float, Tensor]:
        """Return the loss of the scores and its gradient."""
        return softmax_loss(scores, y)

    def loss(self, X: Tensor, y: Tensor | None = None) -> Any:
        """Return scores (N, K) as when testing; with labels y (N,), (loss, gradients by name).

        Raises ShapeError when X or y do not fit, or are not finite.
        """
        X = self.expected(X)
        if y is None:
            return self.forward(X, training=False)[0]
        scores, caches = self.forward(X, training=True)
        loss, dscores = self.score_loss(scores, y.to(self.device))
        grads = self.backward(dscores, caches)
        for name, W in self.params.items():
            if name.startswith("W") and self.reg:
                extra, dW = penalty(W, self.reg, self.l2_convention)
                loss, grads[name] = loss + extra, grads[name] + dW
        return loss, grads

    def right(self, X: Tensor, y: Tensor) -> Tensor:
        """Return of each image whether its highest score is its label: (N,)."""
        scores: Tensor = self.loss(X)
        return scores.argmax(dim=1) == y.to(self.device)

    def expected(self, X: Tensor) -> Tensor:
        """Return X in the network's type and on its device, once it is fit to be read."""
        expect.floats("X", X, "N, ...")
        expect.finite("X", X)
        return X.to(dtype=self.dtype, device=self.device)
