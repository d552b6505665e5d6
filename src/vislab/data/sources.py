"""What `--data NAME-OR-PATH` means: a set of the catalogue, or the user's own folder or zip."""

from pathlib import Path

import numpy as np

from vislab.data import catalogue, loaders, shapes
from vislab.data.arrays import Arrays
from vislab.data.folders import list_folder
from vislab.data.get import get
from vislab.data.listing import Listing
from vislab.errors import DataError, UnknownName


def open_source(
    where: str, *, disjoint: bool = False, labels: str | None = None
) -> tuple[Listing | Arrays, str]:
    """Return the images, not yet decoded, and where they come from: for the protocol card.

    A name of the catalogue is fetched when it is not here. What does not fit in a user's folder is
    named in the listing and not refused; with `disjoint` its classes may be in one split only, and
    `labels` names the columns of its table (see `folders.list_folder`).
    Raises DataError or UnknownName when nothing is meant.
    """
    if where in catalogue.names():
        card = catalogue.card(where)
        if card.name == "shapes":
            return _some_shapes(), "generated"
        if not card.loader:
            raise DataError(
                f"{where} is in the catalogue for tasks other than classification; "
                f"`vislab data list {where}` tells what is in it"
            )
        return loaders.read(card, get(where)), "official files"
    path = Path(where).expanduser()
    if path.exists():
        return list_folder(path, disjoint=disjoint, labels=labels), "own files"
    if "/" in where or "." in where:
        raise DataError(f"there is no folder or zip at {where}")
    try:
        catalogue.card(where)
    except UnknownName as error:
        raise UnknownName(f"{error}; and no folder or zip of that name is here") from error
    raise AssertionError(f"{where} is in the catalogue")


def _some_shapes() -> Arrays:
    """Return the first images of the offline world, enough to look at."""
    scenes = shapes.draw_scenes(np.arange(1000))
    return Arrays(
        name="shapes",
        classes=tuple(shapes.CLASSES),
        pixels=shapes.render(scenes, size=64),
        labels=shapes.labels(scenes),
        splits=np.zeros(1000, dtype=np.uint8),
        official=True,
    )
