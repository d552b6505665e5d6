"""What `model.json` says of the network that a run kept: how to build it, feed it and read it.

One schema, with a version. Version 1 had no version and called the standard deviation `deviation`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vislab.errors import RunError
from vislab.runs.folder import read_json
from vislab.runs.old_names import by_new_names
from vislab.runs.writing import write_json

VERSION = 2
FILE = "model.json"
AN_IMAGE = ("an image",)


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
        try:
            if int(content.get("version", 1)) > VERSION:
                raise RunError(
                    f"{path} was written by a newer vislab; update with `pip install -U vislab`"
                )
            known = {field.name for field in fields(cls)}
            given = {key: value for key, value in content.items() if key in known}
            for key in ("classes", "takes", "outputs"):
                if key in given:
                    given[key] = tuple(given[key])
            for key in ("mean", "std"):
                given[key] = tuple(map(float, given[key]))
            return cls(**{**given, "size": int(given["size"]), "version": VERSION})
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} is damaged; the network cannot be asked") from error
