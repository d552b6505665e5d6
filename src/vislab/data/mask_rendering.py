"""Objects painted into a mask: what a network learns that labels every pixel."""

import importlib
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, UInt8

from vislab.data.annotations import VOID, Annotated, Instances, Outline
from vislab.data.formats.mask_files import read_mask
from vislab.data.formats.numbers import covered
from vislab.data.mask_reading import BINARY
from vislab.data.run_lengths import decoded
from vislab.errors import DataError


def mask_of(annotated: Annotated, row: int) -> UInt8[np.ndarray, "h w"]:
    """Return the class of every pixel of an image; 0 is the background, 255 is VOID.

    The mask file, where there is one. Otherwise an object of class k is painted as k + 1, small
    ones over large ones, crowds as VOID. Of an object without an outline the box is painted where
    no object of the whole set has one; where others have, what in the box is its own is not known,
    and the background there becomes VOID. Raises DataError for a mask that cannot be read.
    """
    if annotated.masks is not None and (member := annotated.masks[row]) is not None:
        try:
            files = annotated.mask_reading.files(member)
            return read_mask(annotated.root, files, annotated.mask_reading)
        except DataError as error:
            raise DataError(f"{annotated.root / member}: {error}") from error
    require_few_classes(annotated)
    instances = annotated.instances
    width, height = annotated.sizes[row].tolist()
    mask = np.zeros((height, width), dtype=np.uint8)
    first, last = np.searchsorted(instances.image, [row, row + 1]).tolist()
    outlined = _any_outline(instances)
    unknown = np.zeros((height, width), dtype=bool)
    painted = []
    for instance in range(first, last):
        value = VOID if instances.crowd[instance] else int(instances.label[instance]) + 1
        outline = instances.outlines[instance]
        if outline is None:
            left, top, right, bottom = instances.boxes[instance].tolist()
            region = np.zeros((height, width), dtype=bool)
            region[slice(*covered(top, bottom, height)), slice(*covered(left, right, width))] = True
            if outlined:
                unknown |= region
                continue
        else:
            region = region_of(outline, width, height, instances.where[instance])
        painted.append((int(region.sum()), instance, value, region))
    for _, _, value, region in sorted(painted, key=lambda one: (-one[0], one[1])):
        mask[region] = value
    mask[unknown & (mask == 0)] = VOID
    return mask


def require_few_classes(annotated: Annotated) -> None:
    """Raise DataError for more classes than a mask that is painted can hold."""
    if len(annotated.classes) >= VOID:
        raise DataError(
            f"{annotated.name} has {len(annotated.classes)} classes; a mask holds up to "
            f"{VOID - 1} beside the background"
        )


def classes_of_masks(annotated: Annotated) -> tuple[str, ...]:
    """Return the name of each number in the masks, the background first."""
    return annotated.classes if annotated.masks is not None else (BINARY[0], *annotated.classes)


def rendering_notes(annotated: Annotated) -> tuple[str, ...]:
    """Say what painting these objects into masks takes for granted."""
    instances = annotated.instances
    if annotated.masks is not None or not len(instances):
        return ()
    without = sum(outline is None for outline in instances.outlines)
    if without == len(instances):
        return ("no object has an outline: its whole box is painted as its class",)
    if without:
        return (f"{without} objects have no outline: what is in their boxes alone is void",)
    return ()


def region_of(
    outline: Outline, width: int, height: int, where: str
) -> Bool[np.ndarray, "{height} {width}"]:
    """Return which pixels an outline covers, as COCO's own code rounds them."""
    assert outline is not None
    if isinstance(outline, dict):
        if outline["size"] != [height, width]:
            raise DataError(f"{where}: its outline is of another size than the image")
        return decoded(outline).astype(bool)
    # COCO's code allocates by how far the points reach and reads past what is too short.
    mask_api = importlib.import_module("faster_coco_eval.core.mask")
    limits = np.array([width, height], dtype=float)
    polygons = []
    for polygon in outline:
        points = np.asarray(polygon).reshape(-1, 2)
        if len(points) < 3 or not np.isfinite(points).all():
            raise DataError(f"{where}: its outline has a polygon of under three points")
        polygons.append(points.clip(0.0, limits).reshape(-1).tolist())
    codes = mask_api.frPyObjects(polygons, height, width)
    region: Bool[np.ndarray, "h w"] = mask_api.decode(codes).any(axis=-1)
    return region


@lru_cache(maxsize=4)
def _any_outline(instances: Instances) -> bool:
    return any(outline is not None for outline in instances.outlines)
