"""The offline world behind `shapes`: the scenes that its images show, and their causes."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from vislab.data import shapes
from vislab.data.table import Table


def scenes_of(table: Table, places: Sequence[int], split: str = "test") -> shapes.Scenes:
    """Return the scenes that images of the offline world show: their names are their numbers."""
    level = table.name.partition(":")[2] or "medium"
    names = table.split(split).names
    return shapes.draw_scenes([int(names[k]) for k in places], difficulty=level)


def causes(table: Table, places: Sequence[int]) -> Bool[Tensor, "n s s"] | None:
    """Return where each test image's cause is; None where nobody knows, outside of `shapes`."""
    if table.name.partition(":")[0] != "shapes":
        return None
    return torch.from_numpy(shapes.causal_mask(scenes_of(table, places), table.size))
