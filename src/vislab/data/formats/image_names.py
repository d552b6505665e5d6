"""Which image a file of annotations means by a name, which tools write in many ways."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vislab.data.splits import split_of
from vislab.data.tree import Tree, inside

IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img", "pictures")


@dataclass(frozen=True)
class ImageNames:
    """How the names in one file begin: `cut` folders too many, where they count from higher up."""

    tree: Tree
    file: str
    cut: int

    @classmethod
    def of(cls, tree: Tree, file: str, names: Sequence[str]) -> "ImageNames":
        """Look at some of the names."""
        tidy = [_from(file, name) for name in names]
        beside = PurePosixPath(file).parent.as_posix()
        return cls(tree, file, tree.cut_of(tidy, beside=beside))

    def meant(self, name: str, split: int | None) -> list[str]:
        """Return the images that may be meant: those of the split first, then those of images/.

        Several where it cannot be told.
        """
        beside = PurePosixPath(self.file).parent
        tidy = _from(self.file, name)
        for exact in ((beside / tidy).as_posix(), tidy):
            if exact in self.tree:
                return [exact]
        found = self.tree.meant(tidy, beside=beside.as_posix(), cut=self.cut)
        for likelier in (
            [member for member in found if split_of(member) == split],
            [m for m in found if PurePosixPath(m).parent.name.lower() in IMAGE_FOLDERS],
        ):
            if len(found) > 1 and likelier:
                found = likelier
        return found

    def leads_out(self, name: str) -> bool:
        """Say whether a name is a path that begins or ends outside the folder."""
        if "://" in name or (".." in name and inside(_from(self.file, name)) is not None):
            return "\0" in name
        return inside(name) is None


def _from(file: str, name: str) -> str:
    """Return a name without steps upwards, and where it is absolute, without its beginning."""
    if "://" in name:
        return name
    text = name.strip().replace("\\", "/")
    if ".." in text.split("/"):
        return posixpath.normpath(posixpath.join(PurePosixPath(file).parent.as_posix(), text))
    return re.sub(r"^([A-Za-z]:)?/+", "", text)
