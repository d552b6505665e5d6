"""Which layer still knows where things are: the deepest whose places the answer depends on.

Found by running the network once, so that no layer has to be named, and read in the layout that
the layer uses: channels first, channels last, or a row of tokens.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import ShapeError
from vislab.explain.hooks import hooked


@dataclass(frozen=True)
class TargetLayer:
    """A layer whose output is a map of I×J cells."""

    layer: str
    rows: int
    columns: int
    layout: str  # "nchw", "nhwc" or "tokens"

    def read(self, output: Tensor) -> Float[Tensor, "n c i j"]:
        """Return the layer's output as maps; tokens of no place are left out."""
        if self.layout == "nchw":
            return output
        if self.layout == "nhwc":
            return output.permute(0, 3, 1, 2)
        patches = output[:, output.shape[1] - self.rows * self.columns :]  # class tokens lead
        return patches.mT.reshape(len(output), -1, self.rows, self.columns)


def last_target_layer(model: nn.Module, image: Float[Tensor, "3 h w"]) -> TargetLayer:
    """Return the deepest layer with places that the best class's score depends on.

    Raises ShapeError when no layer has any.
    """
    modules = dict(model.named_modules())
    names = [name for name in modules if name]
    with hooked(model, names) as seen, torch.enable_grad():
        answer = model(image[None].requires_grad_())
        answer = getattr(answer, "logits", answer)  # as Hugging Face has them
        score = answer.flatten(1).max(dim=1).values.sum()
        candidates = [
            layer
            for name, output in reversed(seen.items())
            if isinstance(output, Tensor)
            and output.requires_grad
            and not (output.ndim == 3 and isinstance(modules[name], nn.Linear))
            for layer in _possible(name, output, image.shape[1] / image.shape[2])
        ]
        if not candidates:
            raise ShapeError("no layer of the network has places, cells of rows and columns")
        outputs = [seen[layer.layer] for layer in candidates]
        gradients = torch.autograd.grad(score, outputs, allow_unused=True)
    for layer, gradient in zip(candidates, gradients, strict=True):
        if gradient is not None and bool(layer.read(gradient).abs().sum() > 0):
            return layer
    raise ShapeError("the network's answer depends on no layer with places")


def _possible(name: str, output: Tensor, ratio: float) -> Iterator[TargetLayer]:
    """Yield the one way in which an output can be a map of an image of this height to width."""
    if output.ndim == 4 and len(output) == 1:
        axes = output.shape[1:]
        first, last = _fits(axes[1], axes[2], ratio), _fits(axes[0], axes[1], ratio)
        if first and not (last and axes[2] > axes[0]):
            yield TargetLayer(name, axes[1], axes[2], "nchw")
        elif last:
            yield TargetLayer(name, axes[0], axes[1], "nhwc")
    elif output.ndim == 3 and len(output) == 1:
        # Of a transformer's layers, those that give the stream of tokens, not queries and keys.
        for extra in range(9):  # class, distillation and register tokens
            rows = math.sqrt(max(output.shape[1] - extra, 0) * ratio)
            grid = round(rows), round(rows / ratio)
            if min(grid) > 1 and grid[0] * grid[1] == output.shape[1] - extra:
                yield TargetLayer(name, *grid, "tokens")
                return


def _fits(rows: int, columns: int, ratio: float) -> bool:
    """Return whether a map has the shape of the image, up to a cell that padding adds."""
    if min(rows, columns) < 2:
        return False
    return rows == columns if ratio == 1 else abs(rows - columns * ratio) <= max(1.0, ratio)
