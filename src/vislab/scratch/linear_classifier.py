"""Linear classifiers: scores = X W, trained with the hinge loss or with softmax.

There is no bias: a column of ones added to X (`with_ones`) makes the last row of W one.
"""

import torch
from torch import Tensor

from vislab.errors import NonFiniteLoss
from vislab.scratch import expect
from vislab.scratch.linear import Linear
from vislab.scratch.network import Caches, Network
from vislab.scratch.softmax_loss import softmax_loss
from vislab.scratch.svm_loss import svm_loss


def with_ones(X: Tensor) -> Tensor:
    """Return X flattened to (N, D) with a column of ones after it: (N, D + 1)."""
    flat = X.flatten(1)
    return torch.cat([flat, flat.new_ones(len(flat), 1)], dim=1)


class LinearClassifier(Network):
    """scores = X W, with W (D, K) drawn with standard deviation `weight_scale`."""

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32 + 1,
        num_classes: int = 10,
        reg: float = 0.0,
        weight_scale: float = 1e-4,
        *,
        l2_convention: str = "full",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            reg=reg, l2_convention=l2_convention, dtype=dtype, device=device, generator=generator
        )
        drawn = torch.randn(input_dim, num_classes, generator=generator, dtype=torch.float64)
        self.params["W"] = (weight_scale * drawn).to(dtype=dtype, device=device)

    def forward(self, X: Tensor, training: bool) -> tuple[Tensor, Caches]:
        """Take X (N, D) to scores (N, K)."""
        W = self.params["W"]
        scores, cache = Linear.forward(X, W, W.new_zeros(W.shape[1]))
        return scores, [cache]

    def backward(self, dscores: Tensor, caches: Caches) -> dict[str, Tensor]:
        """Return dW."""
        return {"W": Linear.backward(dscores, caches[0], first=True)[1]}

    def train(
        self,
        X: Tensor,
        y: Tensor,
        learning_rate: float = 1e-3,
        num_iters: int = 100,
        batch_size: int = 200,
    ) -> list[float]:
        """Take steps of SGD on batches drawn with replacement; return the loss of each.

        Raises NonFiniteLoss when the learning rate is too high.
        """
        expect.option("batch_size", batch_size, low=1)
        losses = []
        for step in range(num_iters):
            rows = torch.randint(len(X), (batch_size,), generator=self.generator)
            loss, grads = self.loss(X[rows], y[rows])
            if not loss < float("inf"):
                raise NonFiniteLoss(
                    f"the loss became {loss} at step {step}; try a tenth of learning_rate "
                    f"{learning_rate:g}"
                )
            losses.append(loss)
            self.params["W"] = self.params["W"] - learning_rate * grads["W"]
        return losses

    def predict(self, X: Tensor) -> Tensor:
        """Return the class of the highest score for each row of X (N, D): (N,)."""
        scores: Tensor = self.loss(X)
        return scores.argmax(dim=1)


class LinearSVM(LinearClassifier):
    """A linear classifier with the multi-class hinge loss."""

    def score_loss(self, scores: Tensor, y: Tensor) -> tuple[float, Tensor]:
        """Return the hinge loss and its gradient."""
        return svm_loss(scores, y)


class Softmax(LinearClassifier):
    """A linear classifier with softmax and cross-entropy."""

    def score_loss(self, scores: Tensor, y: Tensor) -> tuple[float, Tensor]:
        """Return the cross-entropy and its gradient."""
        return softmax_loss(scores, y)
