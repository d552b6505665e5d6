"""Torch's counter of multiplications, which knows what torch's own does not."""

from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def flop_counter() -> FlopCounterMode:
    """Return a counter of floating-point operations, two a multiply-add, bilinear layers too."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten._trilinear: _bilinear})


def _bilinear(first: Any, weight: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Return those of `nn.Bilinear`, (N, I) and (N, J) to (N, K): I × J pairs for each of K."""
    rows: int = prod(first) // first[-1]
    return 2 * rows * int(prod(weight))
