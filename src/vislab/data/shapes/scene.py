"""What stands in an image, before it is an image: N scenes as columns.

Every scene has one *main* object, in slot 0: the cause of the scene's class. Distractors fill
slots 1 …; strokes of clutter lie behind the objects, occluders in front of them.

Places and lengths are in image sides: (0, 0) is the upper left corner, (1, 1) the lower right.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vislab.data.shapes.counter import Counts

Columns = NDArray[np.floating[Any]]  # always float32, as kinds.Plane
Numbers = NDArray[np.int64]
Facts = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Strokes:
    """Thick lines with round ends, S in each of N scenes, that belong to no class."""

    centre: Columns  # (N, S, 2) x, y
    rotation: Columns  # (N, S, 2) cosine and sine of the line's direction
    half_length: Columns  # (N, S) without the round ends
    half_width: Columns  # (N, S)
    colour: Numbers  # (N, S) places in `palette.COLOURS`
    present: Facts  # (N, S)


@dataclass(frozen=True, eq=False)
class Scenes:
    """N scenes of up to M objects; slot 0 of each holds the main object."""

    index: Numbers  # (N,) which image of the endless series
    key: Counts  # (N,) the hash that grain and clouds are drawn from
    kind: Numbers  # (N, M) places in `CLASSES`
    centre: Columns  # (N, M, 2) x, y
    radius: Columns  # (N, M)
    rotation: Columns  # (N, M, 2) cosine and sine, clockwise on the screen
    colour: Numbers  # (N, M) places in `palette.COLOURS`
    texture: Numbers  # (N, M) places in `textures.TEXTURES`
    texture_colour: Numbers  # (N, M) places in `palette.COLOURS`
    texture_frequency: Columns  # (N, M) periods per radius
    depth: Numbers  # (N, M) 0 is farthest; each of 0 … M − 1 once a scene
    present: Facts  # (N, M)
    background: Numbers  # (N,) places in `palette.BACKGROUNDS`
    background_kind: Numbers  # (N,) places in `backgrounds.BACKGROUND_KINDS`
    background_direction: Columns  # (N, 2) unit vectors
    background_frequency: Columns  # (N,) periods per image side
    clutter: Strokes
    occluders: Strokes
    light: Columns  # (N, 2) unit vectors that point where the light comes from
    contrast: Columns  # (N,)
    brightness: Columns  # (N,)
    noise: Columns  # (N,) standard deviation, in [0, 255]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | Numbers | Facts) -> "Scenes":
        """Return some of the scenes, by slice, places or mask."""
        return Scenes(**_chosen(self, rows))


def _chosen(columns: Scenes | Strokes, rows: slice | Numbers | Facts) -> dict[str, Any]:
    values = {field.name: getattr(columns, field.name) for field in fields(columns)}
    return {
        name: Strokes(**_chosen(value, rows)) if isinstance(value, Strokes) else value[rows]
        for name, value in values.items()
    }
