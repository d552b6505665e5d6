"""Find and read the files of a set that may be unpacked, one folder deeper, or still zipped."""

import os
import zipfile
from pathlib import Path

from vislab.data.listing import Reader
from vislab.errors import DataError

IMAGES = (".jpg", ".jpeg", ".png")


def locate(folder: Path, *needed: str) -> Path:
    """Return `folder`, or the one right below it, that has every needed file or folder."""
    below = sorted(path for path in folder.glob("*") if path.is_dir())
    for place in (folder, *below):
        if all((place / name).exists() for name in needed):
            return place
    raise DataError(
        f"{folder} should hold {', '.join(needed)}; neither it nor a folder in it has all of them"
    )


def text(path: Path) -> str:
    """Return the contents of a text file. Raises DataError when it is missing or binary."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


class Tree:
    """The files below a folder, or in a zip, named alike: with forward slashes, sorted."""

    def __init__(self, source: Path) -> None:
        self.source = source
        if source.is_dir():
            self.names = sorted(
                Path(place, name).relative_to(source).as_posix()
                for place, _, names in os.walk(source)
                for name in names
            )
            return
        try:
            with zipfile.ZipFile(source) as archive:
                self.names = sorted(name for name in archive.namelist() if name[-1:] != "/")
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{source} cannot be read: {error}") from error

    def text(self, name: str) -> str:
        """Return the contents of one text file."""
        try:
            return Reader([self.source]).read(0, name).decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{self.source / name} is not text: {error}") from error
