"""A network that is asked to explain itself, with all that its images and answers need."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from vislab import models
from vislab.data.augment_batch import normalise
from vislab.data.decode import Fit, fit_whole, opened, within
from vislab.data.normalisation import Normalisation
from vislab.errors import OptionError, pick
from vislab.inference.networks import network_of, read_image
from vislab.models.by_name import has_weights
from vislab.models.classifiers import NETWORKS, preprocessing_of
from vislab.ops import processes
from vislab.runs.folder import RunFolder

IMAGENET = 1000  # classes: networks with so many were trained on ImageNet-1k


@dataclass(frozen=True)
class Predictor:
    """The network in eval mode, the names of its classes, and how images are shown to it."""

    name: str
    model: nn.Module
    classes: tuple[str, ...]
    size: int  # side in pixels
    normalisation: Normalisation
    crop: str | None = None
    fit: Fit = "crop"
    depth: int | None = None
    answers: str = "classes"  # or boxes, masks

    def read(self, path: Path) -> UInt8[np.ndarray, "s s 3"]:
        """Return an image file as the network is shown it. Raises DataError naming the file."""
        if self.answers == "classes":
            return read_image(path, self.size, self.crop, fit=self.fit, depth=self.depth)
        return fit_whole(opened(path), self.size)

    def area(self, path: Path) -> Bool[np.ndarray, "s s"] | None:
        """Return where the image lies in what is shown, or None where it fills all of it."""
        if self.answers == "classes":
            return None
        width, height = within(opened(path).size, self.size)
        left, top = (self.size - width) // 2, (self.size - height) // 2
        area = np.zeros((self.size, self.size), dtype=bool)
        area[top : top + height, left : left + width] = True
        return area

    def prepare(self, pixels: UInt8[np.ndarray, "n s s 3"]) -> Float[Tensor, "n 3 s s"]:
        """Return images normalised, where the network is."""
        device = next(self.model.parameters()).device
        return normalise(torch.tensor(pixels, device=device), *self.normalisation)

    def class_named(self, word: str) -> int:
        """Return the number of a class: its number, its name or one of the name's synonyms.

        Raises UnknownName with the nearest names, OptionError for a number there is not.
        """
        if word.isdigit() and word not in self.classes:
            if int(word) >= len(self.classes):
                raise OptionError(
                    f"there is no class {word}: {self.name} knows 0 to {len(self.classes) - 1}"
                )
            return int(word)
        names: dict[str, int] = {}
        for number, synonyms in enumerate(self.classes):
            for name in (synonyms, *synonyms.split(", ")):
                names.setdefault(name.lower(), number)
        return pick(names, word.lower(), "class")

    def short(self, number: int) -> str:
        """Return the first of a class's names."""
        return self.classes[number].split(", ")[0]


def predictor(name: str, weights: Path | None = None) -> Predictor:
    """Return a network by its name, with pre-trained weights, or the one that a run folder kept.

    `weights` is a file of weights for a network by name. Raises DataError when its weights cannot
    be had, UnknownName when there is no such network, RunError when a folder kept none, OptionError
    when its network names no class.
    """
    if Path(name).is_dir():
        model, card = network_of(RunFolder.open(Path(name)))
        if card.answers not in ("classes", "boxes", "masks"):
            raise OptionError(
                f"the network of {name} paints images and names no class, so there is nothing to "
                "explain; take one that classifies, detects or segments"
            )
        return Predictor(
            name,
            model,
            card.classes,
            card.size,
            card.normalisation,
            card.crop,
            card.fit,
            card.depth,
            card.answers,
        )
    if weights is None and name in NETWORKS and not has_weights(name):
        raise OptionError(
            f"network {name!r} has no pre-trained weights, so it has no reasons to explain; name "
            "the folder of a run that trained it, or efficientnet-lite0"
        )
    model = models.create(name, classes=None, pretrained=weights is None, weights=weights)
    shown = preprocessing_of(name)
    device = processes.device()
    model = model.eval().to(device)
    with torch.inference_mode():
        count = model(torch.zeros(1, 3, shown.size, shown.size, device=device)).shape[1]
    return Predictor(name, model, class_names(count), shown.size, (shown.mean, shown.std))


def class_names(count: int) -> tuple[str, ...]:
    """Return ImageNet's names where there are as many classes as it has, numbers otherwise."""
    if count != IMAGENET:
        return tuple(f"class {k}" for k in range(count))
    from timm.data.imagenet_info import ImageNetInfo

    told = ImageNetInfo()
    return tuple(told.index_to_description(k) for k in range(count))
