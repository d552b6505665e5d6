"""What the tests of the readers share: make small sets, and read every image of a listing."""

import shutil
import zipfile
from pathlib import Path

from vislab.data.listing import SPLITS, Reader


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"image {name}".encode())


def rows(listing):
    """{image: (class, split)}, after reading every image through the listing."""
    reader = Reader(listing.sources)
    for source, member in zip(listing.source_of, listing.members, strict=True):
        assert reader.read(int(source), member).startswith(b"image")
    return {
        Path(member).name: (listing.classes[label], SPLITS[split])
        for member, label, split in zip(
            listing.members, listing.labels, listing.splits, strict=True
        )
    }


def zipped(folder, archive):
    with zipfile.ZipFile(archive, "w") as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                made.write(path, path.relative_to(folder.parent).as_posix())
    shutil.rmtree(folder)
