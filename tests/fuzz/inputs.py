"""Inputs that nobody meant: sound files changed at random, by kind.

Each kind gives from a seed a trial: it writes a changed input into a folder and asks what reads
such inputs. A trial may end in a VislabError and in nothing else.
"""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FORMS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "TGA", "AVIF", "JPEG2000")
MODES = {"PNG": ("RGB", "RGBA", "P", "L", "LA", "1", "I;16"), "TIFF": ("RGB", "CMYK", "L", "F")}
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 0.5, 1e300, -1e300, 2**63, 10**30, "", "x" * 500, "\0", "../../a", "/etc",
    "1e999", "NaN", [], {}, [[]], [None], {"": ""}, "‮abc", "\x1b[31m",
)  # fmt: skip
WORDS = (b"", b"\0", b"\xff", b"nan", b"-1", b"1e999", b"99999999999999999999", b"\n", b"<", b"{")


def changed(content: bytes, rng: random.Random) -> bytes:
    """Return bytes of which a few are others, are gone, or stand there twice."""
    held = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(held) + 1)
        length = min(rng.choice((1, 2, 4, 16, 200)), len(held) - at)
        way = rng.randrange(5)
        if way == 0:
            held[at : at + length] = rng.randbytes(length)
        elif way == 1:
            del held[at : at + length]
        elif way == 2:
            held[at:at] = held[at : at + length] * rng.randint(1, 3)
        elif way == 3:
            held[at:at] = rng.choice(WORDS)
        elif rng.random() < 0.3:
            del held[at:]
    return bytes(held)


def strange(told: Any, rng: random.Random) -> Any:
    """Return JSON in which a value here and there is of another kind."""
    if rng.random() < 0.05:
        return rng.choice(STRANGE)
    if isinstance(told, dict):
        return {k: strange(v, rng) for k, v in told.items() if rng.random() > 0.02}
    if isinstance(told, list):
        return [strange(one, rng) for one in told]
    return told


def an_image(seed: int, folder: Path) -> None:
    """Decode a changed image and ask for its size."""
    from vislab.data.decode import contents, decode
    from vislab.data.formats.sizes import size_of
    from vislab.errors import VislabError

    rng = random.Random(seed)
    form = rng.choice(FORMS)
    mode = rng.choice(MODES.get(form, ("RGB", "L")))
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 16)
    else:
        image = Image.fromarray(pixels).convert(mode)
    held = io.BytesIO()
    image.save(held, form)
    path = folder / "a.img"
    path.write_bytes(changed(held.getvalue(), rng))
    for ask in (lambda: decode(contents(path), "a", at_least=8), lambda: size_of(path)):
        try:
            ask()
        except VislabError:
            continue


def an_annotated_set(seed: int, folder: Path) -> None:
    """Read and check a changed set of boxes, masks or labels."""
    from tests.data.formats import sets
    from vislab.cli.data_command import check_set
    from vislab.errors import VislabError

    rng = random.Random(seed)
    form = rng.choice(("coco", "voc", "yolo", "masks", "table"))
    if form == "coco":
        sets.coco(folder, [sets.instance(), sets.instance((3, 3, 9, 9), segmentation=[[1] * 8])])
        file = folder / "annotations.json"
        told = strange(json.loads(file.read_text()), rng)
        file.write_text(json.dumps(told))
    elif form == "voc":
        for stem in "12":
            sets.voc(folder, stem, sets.voc_object() + sets.voc_object("dog", (3, 3, 20, 20)))
    elif form == "yolo":
        for stem in "12":
            sets.yolo(folder, ["0 0.5 0.5 0.2 0.2", "1 0.1 0.1 0.2 0.1 0.2 0.2"], stem)
        (folder / "data.yaml").write_text("names: [cat, dog]\ntrain: images\n")
    elif form == "masks":
        for stem in "12":
            sets.image(folder / "images" / f"{stem}.png")
            sets.mask(folder / "masks" / f"{stem}.png", np.eye(30, 40, dtype=np.uint8))
    else:
        for n in range(6):
            sets.image(folder / f"{n}.png")
        rows = "".join(f"{n}.png,{'ab'[n % 2]},g{n},train\n" for n in range(6))
        (folder / "labels.csv").write_text(f"path,label,group,split\n{rows}")
    if form != "coco" or rng.random() < 0.5:
        files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
        texts = [p for p in files if p.suffix != ".png"] or files
        file = rng.choice(texts if rng.random() < 0.8 else files)
        file.write_bytes(changed(file.read_bytes(), rng))
    try:
        check_set(str(folder), folder.parent / f"{folder.name}.sheet.png")
    except VislabError:
        return


def an_archive(seed: int, folder: Path) -> None:
    """List and unpack a changed zip."""
    from vislab.data.archives import unpack
    from vislab.data.folders import list_folder
    from vislab.data.listing import Reader
    from vislab.errors import VislabError

    rng = random.Random(seed)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as made:
        for n in range(6):
            name = f"{'ab'[n % 2]}/{n}.png" if rng.random() < 0.9 else rng.choice(
                ("../a.png", "/a.png", "a\\b.png", "C:a.png", "猫/1.png", "a//b.png", "x" * 300)
            )  # fmt: skip
            made.writestr(name, rng.randbytes(50))
    path = folder / "a.zip"
    path.write_bytes(changed(held.getvalue(), rng) if rng.random() < 0.9 else held.getvalue())
    try:
        listing = list_folder(path)
        reader = Reader(listing.sources)
        for row, member in enumerate(listing.members):
            reader.read(int(listing.source_of[row]), member)
    except VislabError:
        pass
    try:
        unpack(path, folder / "unpacked")
    except VislabError:
        return


KINDS: dict[str, Callable[[int, Path], None]] = {
    "image": an_image, "annotated set": an_annotated_set, "archive": an_archive,
}  # fmt: skip
