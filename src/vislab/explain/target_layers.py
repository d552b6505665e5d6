"""Which layer still knows where things are: the deepest whose places the answer depends on.

Found by running the network, so that no layer has to be named, and read in the layout that the
layer uses: channels first, channels last, or a row of tokens. In a network of convolutions a map
has the shape of the image. In any other, where cells and tokens are is found by nudging the image
(see `places`): an attention matrix, queries, keys or a table are no maps of it, and tokens may
stand in any order, among others of no place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vislab.errors import ShapeError
from vislab.explain.asking import BLOCKED, ask, checked
from vislab.explain.attention_calls import SOFTMAX
from vislab.explain.gradients import no_gradient
from vislab.explain.hooks import hooked
from vislab.explain.places import Grid
from vislab.explain.unmixed import PRODUCTS, placed

FEW = 40  # layers
NONE = "no layer of the network has places, cells of rows and columns"
UNKNOWN = (
    "where the tokens of the network's layers are in the image cannot be told: in none of them "
    "does each answer to one cell of a grid; name a layer and its grid by TargetLayer"
)
MIXES = {*SOFTMAX, *PRODUCTS, F.scaled_dot_product_attention, F.multi_head_attention_forward}


@dataclass(frozen=True)
class TargetLayer:
    """A layer whose output is a map of I×J cells."""

    layer: str
    rows: int
    columns: int
    layout: str
    """As `nchw`, `nhwc`, `tokens` (N, T, C) or `sequence` (T, N, C)."""
    tokens: tuple[int, ...] | None = None
    """Which token is of which cell, row by row; None where they are the last, in that order."""

    def read(self, output: Tensor) -> Float[Tensor, "n c i j"]:
        """Return the layer's output as maps; tokens of no place are left out."""
        if self.layout == "nchw":
            return output
        if self.layout == "nhwc":
            return output.permute(0, 3, 1, 2)
        if self.layout == "sequence":
            output = output.transpose(0, 1)
        if self.tokens is None:
            patches = output[:, output.shape[1] - self.rows * self.columns :]
        else:
            patches = output[:, list(self.tokens)]
        return patches.mT.reshape(len(output), -1, self.rows, self.columns)


class Mixing(TorchFunctionMode):
    """Note whether a network computes anything by which places learn of each other at will."""

    found = False

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        self.found = self.found or function in MIXES
        return function(*arguments, **(keywords or {}))


def last_target_layer(model: nn.Module, image: Float[Tensor, "3 h w"]) -> TargetLayer:
    """Return the deepest layer with places that the best class's score depends on.

    A layer of a single place counts where no other has more. Raises ShapeError when no layer has
    any, or when it cannot be told where its tokens are.
    """
    image = checked(image[None])[0]
    names = [name for name, _ in model.named_modules() if name]
    with hooked(model, names, copied=True) as seen, torch.enable_grad(), Mixing() as mixing:
        score = ask(model, image[None].detach().requires_grad_()).max()
        maps = {
            name: output
            for name, output in reversed(seen.items())
            if isinstance(output, Tensor) and output.ndim in (3, 4)
        }
        outputs = {name: output for name, output in maps.items() if output.requires_grad}
        if maps and not (outputs and score.requires_grad):
            raise ShapeError(BLOCKED)
        if not outputs:
            raise ShapeError(NONE)
        try:
            slopes = torch.autograd.grad(score, list(outputs.values()), allow_unused=True)
        except RuntimeError as error:  # it writes over what its own way back needs
            raise no_gradient(error) from error
    if all(one is None for one in slopes):
        raise ShapeError(BLOCKED)
    gradients = dict(zip(outputs, slopes, strict=True))
    ratio = image.shape[1] / image.shape[2]
    if not mixing.found and all(output.ndim == 4 for output in outputs.values()):
        candidates, certain = _by_shape(outputs, ratio)
        found = _deepest(candidates, gradients)
        if found is not None and found.layer in certain:
            return found
    candidates = []
    for count in (FEW, len(outputs)):  # the deepest few are enough for most
        candidates = _by_nudges(model, image, dict(list(outputs.items())[:count]))
        found = _deepest(candidates, gradients)
        if found is None:
            continue
        if count == len(outputs) or (_is_stream(model, found) and found.rows * found.columns > 1):
            return found
    if candidates:
        raise ShapeError("the network's answer depends on no layer with places")
    if any(output.ndim == 3 for output in outputs.values()):
        raise ShapeError(UNKNOWN)
    raise ShapeError(NONE)


def _deepest(
    candidates: Sequence[TargetLayer], gradients: Mapping[str, Tensor | None]
) -> TargetLayer | None:
    """Return the first whose places the score depends on."""
    for layer in candidates:
        gradient = gradients[layer.layer]
        if gradient is not None and bool(layer.read(gradient).abs().sum() > 0):
            return layer
    return None


def _by_shape(outputs: dict[str, Tensor], ratio: float) -> tuple[list[TargetLayer], set[str]]:
    """Return the maps that have an image's height to width, and which can be read one way only."""
    layers, certain = [], set()
    for name, output in outputs.items():
        one, *axes = output.shape
        first, last = _fits(axes[1], axes[2], ratio), _fits(axes[0], axes[1], ratio)
        if one == 1 and first and not (last and axes[2] > axes[0]):
            layers.append(TargetLayer(name, axes[1], axes[2], "nchw"))
        elif one == 1 and last:
            layers.append(TargetLayer(name, axes[0], axes[1], "nhwc"))
        if first != last:
            certain.add(name)
    return layers, certain


def _by_nudges(
    model: nn.Module, image: Float[Tensor, "3 h w"], outputs: dict[str, Tensor]
) -> list[TargetLayer]:
    """Return the layers whose cells or tokens lie as the image does, the likeliest first.

    Of a transformer's layers those that give the stream of tokens come before linear ones, which
    give queries and keys, and those with several places before those with one.
    """
    found = placed(model, image, list(outputs))
    layers = [_layer(name, *found[name]) for name in outputs if name in found]
    single = {one.layer: one.rows * one.columns == 1 for one in layers}
    return sorted(layers, key=lambda one: (single[one.layer], not _is_stream(model, one)))


def _is_stream(model: nn.Module, layer: TargetLayer) -> bool:
    tokens = layer.layout in ("tokens", "sequence")
    return not (tokens and isinstance(model.get_submodule(layer.layer), nn.Linear))


def _layer(name: str, layout: str, grid: Grid) -> TargetLayer:
    if layout in ("nchw", "nhwc"):
        return TargetLayer(name, grid.rows, grid.columns, layout)
    count = grid.rows * grid.columns
    tokens = tuple(grid.cells.argsort(stable=True)[-count:].tolist())
    last = tuple(range(len(grid.cells) - count, len(grid.cells)))
    return TargetLayer(name, grid.rows, grid.columns, layout, None if tokens == last else tokens)


def _fits(rows: int, columns: int, ratio: float) -> bool:
    """Return whether a map has the shape of the image, up to a cell that padding adds."""
    if min(rows, columns) < 2:
        return False
    return rows == columns if ratio == 1 else abs(rows - columns * ratio) <= max(1.0, ratio)
