"""A mask cut into objects, for the forms that know nothing but objects."""

from dataclasses import replace

import numpy as np

from vislab.data.annotations import VOID, Annotated, InstancesTable
from vislab.data.mask_reading import MaskReading
from vislab.data.mask_rendering import mask_of
from vislab.data.run_lengths import encoded
from vislab.progress import track

TOUCHING = np.ones((3, 3), dtype=int)  # pixels that touch at a corner belong together


def with_instances(annotated: Annotated) -> Annotated:
    """Return the set with an object for every connected region of one class in its masks.

    VOID becomes a crowd of no class and is left out. Two objects of one class that touch are one
    here; one object that something hides in part is several.
    """
    from scipy import ndimage

    table = InstancesTable()
    with track(f"cutting {annotated.name}", total=len(annotated), unit="masks") as advance:
        for row in range(len(annotated)):
            mask = mask_of(annotated, row)
            file = annotated.masks[row] if annotated.masks else annotated.members[row]
            for value in np.unique(mask[(mask != 0) & (mask != VOID)]).tolist():
                regions, _ = ndimage.label(mask == value, structure=TOUCHING)
                for number, place in enumerate(ndimage.find_objects(regions), start=1):
                    down, across = place
                    region = np.zeros(mask.shape, dtype=np.uint8)
                    region[place] = regions[place] == number
                    corners = (across.start, down.start, across.stop, down.stop)
                    table.add(
                        row,
                        (
                            float(corners[0]),
                            float(corners[1]),
                            float(corners[2]),
                            float(corners[3]),
                        ),
                        value - 1,
                        where=f"{file}, region {number} of class {value}",
                        outline=encoded(region),
                    )
            advance(1)
    note = "the objects are the connected regions of the masks"
    return replace(
        annotated,
        classes=annotated.classes[1:],
        instances=table.finished(),
        masks=None,
        mask_reading=MaskReading(),
        notes=(*annotated.notes, note),
    )
