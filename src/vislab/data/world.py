"""The offline world behind `shapes`: the scenes that its pictures show, and their causes."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from vislab.data import shapes
from vislab.data.table import Table


def scenes_of(pictures: Table, places: Sequence[int], split: str = "test") -> shapes.Scenes:
    """Return the scenes that pictures of the offline world show: their names are their numbers."""
    level = pictures.name.partition(":")[2] or "medium"
    names = pictures.split(split).names
    return shapes.draw_scenes([int(names[k]) for k in places], difficulty=level)


def causes(pictures: Table, places: Sequence[int]) -> Bool[Tensor, "n s s"] | None:
    """Return where each test picture's cause is; None where nobody knows, outside of `shapes`."""
    if pictures.name.partition(":")[0] != "shapes":
        return None
    return torch.from_numpy(shapes.causal_mask(scenes_of(pictures, places), pictures.size))
