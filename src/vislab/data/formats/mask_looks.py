"""Two folders of equal names, one of photographs and one of few colours: images and their masks.

For sets whose folders are called by no word that is known: CameraRGB and Seg_out, x and y.
"""

import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from vislab.data.decode import open_image, room_for
from vislab.data.formats.mask_pairs import Pairs, image_places, mask_places
from vislab.data.formats.mask_pixels import looks_smeared_bilevel
from vislab.data.tree import Tree
from vislab.errors import DataError

LOOKED_AT = 6  # pairs of files whose pixels are looked at
FOLDERS = 8  # beside one another: class folders are more
COLOURS = 64  # a mask has at most as many, a photograph more
WHOLE = 0.8  # the share of names that two folders have in common


def paired_by_looks(tree: Tree) -> Pairs:
    """Return the pairs of a tree nearly all of whose images lie in such folders, or none."""
    held: dict[tuple[str, int], dict[str, dict[tuple[str, str], str]]] = defaultdict(dict)
    for member in tree.images:
        path = PurePosixPath(member)
        for index, folder in enumerate(path.parts[:-1]):
            above, below = "/".join(path.parts[:index]), "/".join(path.parts[index + 1 : -1])
            files = held[above, index].setdefault(folder, {})
            files.setdefault((below.lower(), _stem(member)), member)
    pairs = Pairs()
    for folders in held.values():
        if not 1 < len(folders) <= FOLDERS:
            continue
        for images, masks in _both_ways(sorted(folders)):
            shared = sorted(folders[images].keys() & folders[masks].keys())
            most = max(len(folders[images]), len(folders[masks]))
            if len(shared) < max(2, WHOLE * most):
                continue
            couples = [(folders[images][key], folders[masks][key]) for key in shared]
            if not all(_image_and_mask(tree, *couple) for couple in _some(couples)):
                continue
            for image, mask in couples:
                if image in pairs.masks:
                    first = pairs.masks[image][0]
                    pairs.refusal = pairs.refusal or (
                        f"{image} may have its mask in {first} or in {mask}; keep the one to learn"
                    )
                pairs.masks.setdefault(image, (mask,))
            pairs.lone += [
                mask for key, mask in folders[masks].items() if key not in folders[images]
            ]
    used = {mask for one in pairs.masks.values() for mask in one}
    covered = len(used | set(pairs.masks))
    return pairs if covered >= WHOLE * len(tree.images) else Pairs()


def _stem(member: str) -> str:
    """Return an image's name less what says that it is an image, or a mask."""
    places = [place for place, kind in mask_places(f"masks/{PurePosixPath(member).name}") if kind]
    if places:
        return places[0][-1]
    shorter = list(image_places(PurePosixPath(member).name, reduced=True))
    return shorter[0][-1] if shorter else PurePosixPath(member).stem.lower()


def _both_ways(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(one, other) for one in names for other in names if one != other]


def _some(couples: list[tuple[str, str]]) -> list[tuple[str, str]]:
    places = np.linspace(0, len(couples) - 1, min(len(couples), LOOKED_AT)).round().astype(int)
    return [couples[place] for place in places]


def _image_and_mask(tree: Tree, image: str, mask: str) -> bool:
    try:
        with open_image(io.BytesIO(tree.read(mask))) as opened, room_for(opened):
            size = opened.size
            if not _few(opened):
                return False
        with open_image(io.BytesIO(tree.read(image))) as opened, room_for(opened):
            return opened.size == size and not _few(opened)
    except DataError:
        return False


def _few(image: Image.Image) -> bool:
    image.load()
    if image.format in ("JPEG", "MPO"):
        return looks_smeared_bilevel(image)
    if image.mode.startswith("I") or image.mode == "F":
        return len(np.unique(np.asarray(image))) <= COLOURS
    return image.convert("RGBA").getcolors(COLOURS) is not None
