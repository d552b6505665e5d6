"""What `model.json` says of the network that a run kept: how to build it, feed it and read it.

One schema, with a version. Version 1 had no version and called the standard deviation `deviation`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from vislab.errors import RunError
from vislab.runs.folder import read_json
from vislab.runs.old_names import by_new_names
from vislab.runs.shape import Misfit, Shape, fits, require
from vislab.runs.writing import write_json

VERSION = 2
FILE = "model.json"
AN_IMAGE = ("an image",)
LARGEST_SIDE = 16_384  # pixels
MOST = 1_000_000  # classes, channels, layers: more is no network that was ever trained


def _side(value: Any) -> bool:
    return fits(value, int) and 0 < value <= LARGEST_SIDE


def _classes(value: Any) -> bool:
    return value is None or (fits(value, int) and 0 < value <= MOST)


def _depth(value: Any) -> bool:
    return fits(value, int) and 0 < value <= 64  # bits


def _colours(value: Any) -> bool:
    return fits(value, [float]) and len(value) in (1, 3) and max(map(abs, value)) < MOST


def _std(value: Any) -> bool:
    return _colours(value) and min(value) > 0


CARD: Shape = {
    "built_as": (None, {"name": str, "classes": _classes, "options": {"*": Any}}),
    "classes": [str], "size": _side, "mean": _colours, "std": _std, "crop?": (None, {"face"}),
    "fit?": {"crop", "whole", "squash"}, "depth?": (None, _depth),
    "answers?": str, "takes?": [str], "outputs?": [str],
}  # fmt: skip


@dataclass(frozen=True)
class ModelCard:
    """What is needed to ask the network of a run about new input.

    `answers` names the kind of its answer (see `vislab.inference`), `takes` what one question is
    made of, in words: `("an image",)`, `("an image", "an image")`, or nothing. `outputs` names the
    numbers it gives where its answer is numbers.
    """

    built_as: Mapping[str, Any] | None  # name, classes and options of `models.create`
    classes: tuple[str, ...]
    size: int  # side in pixels of the images that it was shown
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: str | None = None  # "face": of a photo it is shown the largest face
    fit: Literal["crop", "whole", "squash"] = "crop"  # an image that is not square
    depth: int | None = None  # bits of the greys in 16-bit files; None: as an image needs
    answers: str = "classes"
    takes: tuple[str, ...] = AN_IMAGE
    outputs: tuple[str, ...] = ()
    version: int = VERSION

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation that images are normalised by."""
        return self.mean, self.std

    def write(self, folder: Path) -> None:
        """Write `model.json` into a run folder."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "ModelCard":
        """Read `model.json` of a run folder, also as an older vislab wrote it.

        Raises RunError when it is missing, damaged, or of a newer vislab.
        """
        path = folder / FILE
        content = by_new_names(FILE, read_json(path))
        version = content.get("version", 1)
        if isinstance(version, int) and version > VERSION:
            raise RunError(
                f"{path} was written by a newer vislab; update with `pip install -U vislab`"
            )
        try:
            require(content, CARD, "it")
            if content["built_as"]:
                require_sane(content["built_as"]["options"])
        except Misfit as misfit:
            raise RunError(f"{path} is damaged ({misfit}); the network cannot be asked") from misfit
        known = {field.name for field in fields(cls)}
        given = {key: value for key, value in content.items() if key in known}
        for key in ("classes", "takes", "outputs"):
            if key in given:
                given[key] = tuple(given[key])
        for key in ("mean", "std"):
            given[key] = tuple(map(float, given[key]))
        return cls(**{**given, "version": VERSION})


def require_sane(options: Any) -> None:
    """Raise Misfit where an option of a network holds a number that would fill the memory."""
    if isinstance(options, Mapping):
        for inner in options.values():
            require_sane(inner)
    elif isinstance(options, list):
        for inner in options:
            require_sane(inner)
    elif isinstance(options, int | float) and abs(options) > MOST:
        raise Misfit(f"no network is built with {options}")
