"""Answers that are one of several classes, with a drawing of where the network looked."""

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn

from vislab.errors import ShapeError
from vislab.evaluate.classification import grad_cam_of_predictions
from vislab.explain.company import answered
from vislab.inference.answers import Answer, Kind, Question, register
from vislab.inference.networks import read_image, shown
from vislab.ops import processes
from vislab.runs import figures
from vislab.runs.model_card import ModelCard

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@register("classes")
class Classes(Kind):
    """A label and its probability, and the five most probable."""

    at_once = 64

    def answer(
        self, model: nn.Module, card: ModelCard, questions: Sequence[Question], *, drawn: bool
    ) -> list[Answer]:
        """Return labels; drawn is where the network looked, if it keeps places."""
        read = np.stack(
            [
                read_image(path, card.size, card.crop, fit=card.fit, depth=card.depth)
                for (path,) in questions
            ]
        )
        images = shown(model, card, read)
        with torch.no_grad():
            probabilities = answered(model, images).probabilities.cpu()
        labels = labels_of(card.classes, probabilities.shape[1])
        best, which = probabilities.topk(min(5, len(labels)), dim=1)
        maps = None
        if drawn:
            with contextlib.suppress(ShapeError):  # a network of linear layers alone has no places
                maps = grad_cam_of_predictions(model, read, card.normalisation, processes.device())
        found = []
        for k, (values, places) in enumerate(zip(best.tolist(), which.tolist(), strict=True)):
            top = [
                {"label": labels[place], "probability": value}
                for place, value in zip(places, values, strict=True)
            ]
            label, probability = top[0]["label"], top[0]["probability"]
            others = ", ".join(f"{one['label']} {one['probability']:.0%}" for one in top[1:3])
            line = f"{label} {probability:.1%}" + (f"   then {others}" if others else "")
            image = None
            if maps is not None:
                image = as_image(
                    figures.heatmaps_over_images(
                        read[k : k + 1], maps[k : k + 1],
                        titles=[f"{label}\n{probability:.0%}"], columns=2,
                    )
                )  # fmt: skip
            found.append(Answer(line, {**top[0], "top": top}, image))
        return found


def labels_of(classes: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the name of each of `count` classes: of one class X and its two sides, not X and X.

    Raises ShapeError where there are more or fewer names than classes.
    """
    if len(classes) == 1 and count == 2:
        return f"not {classes[0]}", classes[0]
    if len(classes) != count:
        raise ShapeError(
            f"the network gives scores of {count} classes and {len(classes)} of them have names; "
            "a run's model.json names each"
        )
    return tuple(classes)


def as_image(figure: "Figure") -> Image.Image:
    """Return a figure as an image."""
    return Image.open(io.BytesIO(figures.to_png(figure)))
