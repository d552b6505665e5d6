"""Images of a set copied into another folder, each under a name that no other has."""

import shutil
from pathlib import Path, PurePosixPath

from vislab.data.annotations import Annotated


class Copies:
    """Names and copies; two images that were called alike in two folders keep apart.

    Not even their stems are alike, in any case of letters: VOC, YOLO and masks pair files by stem.
    """

    def __init__(self, annotated: Annotated) -> None:
        self._annotated = annotated
        self._stems: list[str] = []
        taken: set[str] = set()
        for member in annotated.members:
            path = PurePosixPath(member)
            longer = "_".join(path.with_suffix("").parts)
            wanted = [path.stem, longer, f"{longer}_{path.suffix[1:]}"]
            free = (name for name in wanted if name.lower() not in taken)
            stem = next(free, "")
            number = 1
            while not stem:
                number += 1
                if f"{longer}_{number}".lower() not in taken:
                    stem = f"{longer}_{number}"
            taken.add(stem.lower())
            self._stems.append(stem)

    def stem(self, row: int) -> str:
        """Return the new name of an image without its extension."""
        return self._stems[row]

    def name(self, row: int) -> str:
        """Return the new name of an image; its bytes and its extension stay as they are."""
        return self._stems[row] + PurePosixPath(self._annotated.members[row]).suffix

    def copy(self, row: int, into: Path) -> None:
        """Copy an image into a folder."""
        into.mkdir(parents=True, exist_ok=True)
        source = self._annotated.root / self._annotated.members[row]
        shutil.copyfile(source, into / self.name(row))
