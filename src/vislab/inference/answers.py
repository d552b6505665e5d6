"""What a network answers, and how each kind of answer is told, drawn and kept.

A task names its kind of answer (`Task.answers`); `model.json` keeps the name, and `vislab predict`
asks the kind of that name. A kind of one's own is registered:

    @inference.register("angle")
    class Angle(inference.Kind):
        def answer(self, model, card, questions, *, drawn): ...
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image
from torch import nn

from vislab.errors import pick
from vislab.runs.model_card import ModelCard

Question = tuple[Path, ...]  # the inputs of one question, as many as the network takes


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network makes of one question."""

    line: str  # for people
    json: Mapping[str, Any]  # for programs
    drawn: Image.Image | None = None  # NAME.png
    moving: Sequence[Image.Image] = ()  # NAME.webp
    files: Mapping[str, bytes | Image.Image] = field(default_factory=dict)
    """The field's own files by what they are called after NAME, as ".flo" or "-mask.png"."""


class Kind(ABC):
    """A kind of answer."""

    at_once: ClassVar[int] = 1  # questions that are answered together
    told: ClassVar[bool] = True  # whether a line and JSON say all of it; an image alone does not

    @abstractmethod
    def answer(
        self, model: nn.Module, card: ModelCard, questions: Sequence[Question], *, drawn: bool
    ) -> list[Answer]:
        """Return an answer to each question; without `drawn` nothing need be drawn.

        Raises DataError naming the first input that cannot be read.
        """


KINDS: dict[str, Kind] = {}


def register(name: str) -> Callable[[type[Kind]], type[Kind]]:
    """Make a kind of answer known under a name that tasks give as their `answers`."""

    def keep(kind: type[Kind]) -> type[Kind]:
        KINDS[name] = kind()
        return kind

    return keep


def kind_of(card: ModelCard) -> Kind:
    """Return the kind of answer that a network gives. Raises UnknownName with those known."""
    return pick(KINDS, card.answers, "kind of answer")
