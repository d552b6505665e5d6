"""What a painted image is to be large in: parts that add, subtract and scale.

    class_score(340) - 0.1 * l2() - 0.5 * total_variation()

Each part gives one number an image. Parts about layers may be given a layer's name, whose output
is then read as (N, C, I, J), (N, T, C) or (N, C), or a `TargetLayer`, which knows its layout.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vislab.errors import OptionError, ShapeError
from vislab.explain.hooks import output_of
from vislab.explain.scores import Target, class_scores, log_chances, of_class, sides
from vislab.explain.target_layers import TargetLayer

Layer = str | TargetLayer


@dataclass(frozen=True)
class Seen:
    """What an objective may look at."""

    images: Float[Tensor, "n 3 h w"]  # RGB in [0, 1], before the transforms
    answer: Any  # what the network gave for the transformed images
    layers: Mapping[str, Any]  # what its layers gave
    reading: str | None = None  # what the network says its scores mean


@dataclass(frozen=True)
class Objective:
    """A number for each image, and the layers that it is read from."""

    value: Callable[[Seen], Float[Tensor, " n"]]
    layers: tuple[str, ...] = ()

    def __add__(self, other: "Objective") -> "Objective":
        layers = tuple(dict.fromkeys(self.layers + other.layers))
        return Objective(lambda seen: self.value(seen) + other.value(seen), layers)

    def __sub__(self, other: "Objective") -> "Objective":
        return self + -other

    def __mul__(self, factor: float | int) -> "Objective":
        return Objective(lambda seen: factor * self.value(seen), self.layers)

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return -1 * self


def class_score(target: Target) -> Objective:
    """Return the score of a class, before the softmax (Simonyan et al. 2014, arXiv:1312.6034)."""
    return Objective(lambda seen: of_class(sides(_scores(seen), seen.reading), target))


def class_log_probability(target: Target) -> Objective:
    """Return the logarithm of a class's probability, in nats."""

    def value(seen: Seen) -> Tensor:
        return of_class(log_chances(_scores(seen), seen.reading), target)

    return Objective(value)


def _scores(seen: Seen) -> Float[Tensor, "n k"]:
    return class_scores(seen.answer, len(seen.images))


def channel(layer: Layer, number: int) -> Objective:
    """Return the mean of one channel over its places."""
    return Objective(
        lambda seen: _channel(_maps(seen, layer), number).mean(dim=(1, 2)), (_name(layer),)
    )


def unit(layer: Layer, number: int, place: tuple[int, int] | None = None) -> Objective:
    """Return one channel at one place (row, column); in the middle, unless told."""

    def value(seen: Seen) -> Tensor:
        maps = _channel(_maps(seen, layer), number)
        rows, columns = maps.shape[1:]
        row, column = place or (rows // 2, columns // 2)
        if not (0 <= row < rows and 0 <= column < columns):
            raise OptionError(
                f"there is no place {row}, {column} in {_name(layer)}, which has {rows}×{columns}"
            )
        return maps[:, row, column]

    return Objective(value, (_name(layer),))


def strength(layer: Layer) -> Objective:
    """Return the mean square of all that a layer gives: what Deep Dream makes larger."""
    return Objective(
        lambda seen: tensor_of(seen, layer).square().flatten(1).mean(dim=1), (_name(layer),)
    )


def likeness(layer: Layer, features: Tensor) -> Objective:
    """Return −‖Φ − Φ₀‖² / ‖Φ₀‖², zero when the layer gives `features` Φ₀.

    Mahendran and Vedaldi 2015, arXiv:1412.0035, equations 1 and 4.
    """
    norms = features.square().flatten(1).sum(dim=1).clamp_min(1e-12)

    def value(seen: Seen) -> Tensor:
        apart = (tensor_of(seen, layer) - features).square().flatten(1).sum(dim=1)
        return -apart / norms

    return Objective(value, (_name(layer),))


def l2() -> Objective:
    """Return the mean square distance of the image's values from mid grey."""
    return Objective(lambda seen: (seen.images - 0.5).square().mean(dim=(1, 2, 3)))


def total_variation() -> Objective:
    """Return the mean square difference of neighbouring pixels, down plus across."""

    def value(seen: Seen) -> Tensor:
        down, across = seen.images.diff(dim=2), seen.images.diff(dim=3)
        return down.square().mean(dim=(1, 2, 3)) + across.square().mean(dim=(1, 2, 3))

    return Objective(value)


def _name(layer: Layer) -> str:
    return layer.layer if isinstance(layer, TargetLayer) else layer


def tensor_of(seen: Seen, layer: Layer) -> Tensor:
    """Return what a layer gave. Raises ShapeError when that is nothing, or no tensor."""
    return output_of(seen.layers, _name(layer))


def _maps(seen: Seen, layer: Layer) -> Float[Tensor, "n c i j"]:
    output = tensor_of(seen, layer)
    if isinstance(layer, TargetLayer):
        return layer.read(output)
    if output.ndim == 4:
        return output
    if output.ndim in (2, 3):
        tokens = output if output.ndim == 3 else output[:, None]
        return tokens.mT[:, :, None]  # (N, C, 1, T)
    raise ShapeError(
        f"layer {layer!r} gives {output.ndim} axes; channels are read of (N, C, I, J), (N, T, C) "
        "or (N, C)"
    )


def _channel(maps: Float[Tensor, "n c i j"], number: int) -> Float[Tensor, "n i j"]:
    if not 0 <= number < maps.shape[1]:
        raise OptionError(f"there is no channel {number}: the layer has {maps.shape[1]}, from 0")
    return maps[:, number]
