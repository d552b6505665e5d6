"""A network that is asked to explain itself, with all that its images and answers need."""

from collections.abc import Sequence
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
from vislab.explain.asking import raw_scores
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
    reading: str | None = None  # of its scores, where it is said; see `vislab.ops.readings`

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
        if word.isdecimal() and word not in self.classes:
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


def predictor(
    name: str,
    weights: Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    reading: str | None = None,
) -> Predictor:
    """Return a network by its name, with pre-trained weights, or the one that a run folder kept.

    `weights` is a file of weights for a network by name, whose head decides how many classes there
    are; `classes` are their names, in the order of the network's outputs. Without, they are called
    what the network calls them, ImageNet's names if a library's own weights are of ImageNet, or
    numbers. A network with one output has two sides: "not X" and "X". `reading` says what scores
    mean, in place of what the network says (see `vislab.ops.readings`).

    Raises DataError when its weights cannot be had, UnknownName when there is no such network,
    RunError when a folder kept none, ShapeError when it gives no class scores, OptionError when its
    network names no class, or other classes than were named.
    """
    if Path(name).is_dir():
        if weights is not None or classes is not None:
            raise OptionError(
                f"the network of {name} is taken with its own weights and its own names of classes"
            )
        return _of_a_run(name, reading)
    if weights is None and name in NETWORKS and not has_weights(name):
        raise OptionError(
            f"network {name!r} has no pre-trained weights, so it has no reasons to explain; name "
            "the folder of a run that trained it, or efficientnet-lite0"
        )
    model = models.create(name, classes=None, pretrained=weights is None, weights=weights)
    shown = preprocessing_of(name)
    device = processes.device()
    model = model.eval().to(device)
    side = shown.size
    # Not a plain image: a network that divides by the contrast gives NaN for one.
    ramp = torch.linspace(-1, 1, 3 * side * side, device=device).view(1, 3, side, side)
    with torch.no_grad():
        count = raw_scores(model, ramp).shape[1]
    given = tuple(classes) if classes is not None else getattr(model, "class_names", None)
    if classes is not None and len(classes) != count and (count, len(classes)) != (1, 2):
        raise OptionError(
            f"{len(classes)} classes are named and {name} has {count}; give one name for each, in "
            "the order of its outputs"
        )
    if given is None or (classes is None and len(given) != count):
        of_imagenet = weights is None and not name.startswith("hf:")
        given = class_names(count) if of_imagenet else numbered(count)
    normalisation = shown.mean, shown.std
    said = _read_as(model, reading)
    return Predictor(name, model, both_sides(given), side, normalisation, reading=said)


def _of_a_run(name: str, reading: str | None) -> Predictor:
    model, card = network_of(RunFolder.open(Path(name)))
    if card.answers not in ("classes", "boxes", "masks"):
        raise OptionError(
            f"the network of {name} paints images and names no class, so there is nothing to "
            "explain; take one that classifies, detects or segments"
        )
    if reading is not None and card.answers != "classes":
        raise OptionError(
            f"the network of {name} answers with {card.answers}; only scores of whole images can "
            "be read in another way"
        )
    return Predictor(
        name,
        model,
        both_sides(card.classes) if card.answers == "classes" else card.classes,
        card.size,
        card.normalisation,
        card.crop,
        card.fit,
        card.depth,
        card.answers,
        _read_as(model, reading),
    )


def _read_as(model: nn.Module, reading: str | None) -> str | None:
    """Let a network's scores be read as a user says, and return how they are."""
    if reading is not None:
        model.reading = reading  # type: ignore[assignment]
    said = getattr(model, "reading", None)
    return said if isinstance(said, str) else None


def both_sides(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes; of a single class, X, its two sides: not X, and X."""
    return (f"not {classes[0]}", classes[0]) if len(classes) == 1 else tuple(classes)


def class_names(count: int) -> tuple[str, ...]:
    """Return ImageNet's names where there are as many classes as it has, numbers otherwise."""
    if count != IMAGENET:
        return numbered(count)
    from timm.data.imagenet_info import ImageNetInfo

    told = ImageNetInfo()
    return tuple(told.index_to_description(k) for k in range(count))


def numbered(count: int) -> tuple[str, ...]:
    """Return a name for each class whose name is not known."""
    return tuple(f"class {k}" for k in range(count))
