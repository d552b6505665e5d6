"""What the layers ask of their arguments, and the sentences that say what is wrong.

A float of another kind, a forgotten axis or a label too many would otherwise fail deep inside a
matrix product, or broadcast and be wrong in silence.
"""

import torch
from torch import Tensor

from vislab.errors import OptionError, ShapeError

Number = int | float  # to beartype, an int is no float


def floats(name: str, x: Tensor, axes: str) -> None:
    """Ask for a float tensor with these axes, such as "N, C, H, W", and no empty batch.

    "..." stands for any number of axes. The letters are for the reader; sizes are not compared.
    """
    if not isinstance(x, Tensor):
        raise ShapeError(
            f"{name} is a {type(x).__name__}, wanted a tensor; torch.as_tensor({name}) makes one"
        )
    wanted = [axis.strip() for axis in axes.split(",")]
    if not x.is_floating_point():
        raise ShapeError(
            f"{name} holds {x.dtype}, wanted a float type; convert it with {name}.float()"
        )
    fits = x.ndim >= len(wanted) - 1 if "..." in wanted else x.ndim == len(wanted)
    if not fits:
        raise ShapeError(f"{name} has shape {tuple(x.shape)}, wanted ({axes})")
    if x.ndim and x.shape[0] == 0:
        raise ShapeError(f"{name} has shape {tuple(x.shape)}: an empty batch; give one or more")


def shape(name: str, x: Tensor, wanted: tuple[int, ...], like: Tensor | None = None) -> None:
    """Ask for a tensor of exactly this shape and, with `like`, of that tensor's type and device."""
    if tuple(x.shape) != tuple(wanted):
        raise ShapeError(f"{name} has shape {tuple(x.shape)}, wanted {tuple(wanted)}")
    if like is not None and x.dtype != like.dtype:
        raise ShapeError(f"{name} holds {x.dtype} where the input holds {like.dtype}; use one type")
    if like is not None and x.device != like.device:
        raise ShapeError(f"{name} lies on {x.device}, the input on {like.device}; move one of them")


def labels(
    name: str, y: Tensor, shape: tuple[int, ...], classes: int, ignore: int | None = None
) -> Tensor:
    """Ask for whole numbers of this shape, from 0 to `classes` - 1; return them as int64.

    `ignore` is allowed besides.
    """
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ShapeError(
            f"{name} holds {y.dtype}, wanted whole numbers; convert it with {name}.long()"
        )
    if tuple(y.shape) != tuple(shape):
        raise ShapeError(
            f"{name} has shape {tuple(y.shape)}, wanted {tuple(shape)}: one label each"
        )
    y = y.long()
    wrong = (y < 0) | (y >= classes)
    if ignore is not None:
        wrong &= y != ignore
    if wrong.any():
        raise ShapeError(
            f"{name} holds the label {int(y[wrong][0])}, wanted 0 to {classes - 1} "
            f"({classes} classes)"
        )
    return y


class NotFinite(ShapeError):
    """An array with NaN or infinity in it."""


def finite(name: str, x: Tensor) -> None:
    """Ask for numbers that are neither NaN nor infinite. Raises NotFinite."""
    good = x.isfinite()
    if not good.all():
        place = [int(i) for i in (~good).nonzero()[0]]
        raise NotFinite(
            f"{name} holds {float(x[tuple(place)])} at {place}; look for a division by zero before "
            "it, or for a learning rate that is too high"
        )


def option(name: str, value: Number, *, low: Number, below: Number = float("inf")) -> None:
    """Ask for low <= value < below."""
    if not low <= value < below:
        top = f" and below {below:g}" if below != float("inf") else ""
        raise OptionError(f"{name} is {value:g}, wanted at least {low:g}{top}")


def linear(X: Tensor, W: Tensor) -> None:
    """Ask for X (N, D) and W (D, K) that can be multiplied."""
    floats("X", X, "N, D")
    floats("W", W, "D, K")
    shape("W", W, (X.shape[1], W.shape[1]), like=X)
