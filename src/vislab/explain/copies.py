"""A copy of any network, also of one that keeps what it computed."""

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from vislab.errors import ShapeError
from vislab.explain.eager import plain


def copied(model: nn.Module) -> nn.Module:
    """Return a copy that shares nothing with the network, itself not compiled or parallel.

    Raises ShapeError for a network that keeps what cannot be copied, such as a lock or a file.
    """
    model = plain(model)
    # Results that a network has kept for itself are part of a graph, which torch does not copy.
    known = {id(value): value.detach().clone() for value in _results(model)}
    try:
        return copy.deepcopy(model, known)
    except Exception as error:  # whatever a user's own objects raise
        raise ShapeError(
            f"the network ({type(model).__name__}) cannot be copied, and what is asked is found "
            f"by changing a copy: {error}"
        ) from error


def _results(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if isinstance(getattr(module, "__dict__", None), dict):
            yield from _tensors(list(vars(module).values()))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if not value.is_leaf:
            yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
