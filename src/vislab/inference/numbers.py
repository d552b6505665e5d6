"""Answers that are numbers with names: an angle, an age, a position."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from vislab.inference.answers import Answer, Kind, Question, register
from vislab.inference.networks import read_image, shown
from vislab.runs.model_card import ModelCard


@register("numbers")
class Numbers(Kind):
    """What the network gives for each image, under the names that its task has for them."""

    at_once = 64

    def answer(
        self, model: nn.Module, card: ModelCard, questions: Sequence[Question], *, drawn: bool
    ) -> list[Answer]:
        """Return the numbers of each image."""
        read = np.stack(
            [
                read_image(path, card.size, card.crop, fit=card.fit, depth=card.depth)
                for (path,) in questions
            ]
        )
        with torch.inference_mode():
            found = model(shown(model, card, read)).float().cpu().flatten(1)
        names = card.outputs or tuple(f"output {k}" for k in range(found.shape[1]))
        rows = [dict(zip(names, row, strict=True)) for row in found.tolist()]
        return [
            Answer(", ".join(f"{name} {value:.4g}" for name, value in row.items()), row)
            for row in rows
        ]
