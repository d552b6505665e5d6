"""A set of the catalogue that is one zip of class folders, or that zip unpacked: EuroSAT."""

from pathlib import Path

from vislab.data.folders import list_folder
from vislab.data.listing import Listing


def listing(folder: Path) -> Listing:
    """List the zip in the folder, or the folder where there is none; see `folders.list_folder`."""
    zips = sorted(folder.glob("*.zip"))
    return list_folder(zips[0] if len(zips) == 1 else folder)
