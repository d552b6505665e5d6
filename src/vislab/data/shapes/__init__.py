"""The offline world: an endless, seeded series of drawn scenes of which everything is known.

    scenes = draw_scenes(range(100), seed=0, difficulty="medium")
    images, classes = render(scenes, size=64), labels(scenes)

Ten classes, one per kind of object; three levels of difficulty; numpy only. Image i follows from
(seed, i, difficulty) alone and is the same to the last bit on every machine.
"""

from vislab.data.shapes.captions import captions
from vislab.data.shapes.difficulty import DIFFICULTIES
from vislab.data.shapes.drawing import draw_scenes
from vislab.data.shapes.kinds import CLASSES
from vislab.data.shapes.render import render
from vislab.data.shapes.scene import Scenes
from vislab.data.shapes.truth import (
    Attributes,
    Boxes,
    attributes,
    boxes,
    causal_mask,
    labels,
    masks,
    owners,
    without_cause,
)

GENERATOR_VERSION = 1  # part of the fingerprint of caches: raise it when any pixel changes

__all__ = [
    "CLASSES",
    "DIFFICULTIES",
    "GENERATOR_VERSION",
    "Attributes",
    "Boxes",
    "Scenes",
    "attributes",
    "boxes",
    "captions",
    "causal_mask",
    "draw_scenes",
    "labels",
    "masks",
    "owners",
    "render",
    "without_cause",
]
