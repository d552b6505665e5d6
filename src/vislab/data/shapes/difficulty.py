"""How hard a scene is to name: three levels, each a row of ranges.

What a level sets is the main object's size and tilt, how much else stands around, behind and in
front of it, and how much of the colour is lost in the background, the dark and the grain.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """One level: ranges are (low, high); counts include both ends."""

    radius: tuple[float, float]  # of the main object, in image sides
    distractors: tuple[int, int]
    distractor_radius: tuple[float, float]  # in radii of the main object
    clutter: tuple[int, int]  # strokes behind the objects
    occluders: tuple[int, int]  # bars and blobs in front of the main object
    reach: float  # tangent of half the largest tilt; above ±45° see `turned`
    turned: bool  # any number of quarter turns on top
    contrast: tuple[float, float]  # 1: full colours, 0: lost in the background
    least_colour_distance: int  # between object and background, see `palette.far_apart`
    brightness: tuple[float, float]  # factor on the whole image
    noise: tuple[float, float]  # standard deviation, in [0, 255]


DIFFICULTIES = {
    "easy": Difficulty(
        radius=(0.27, 0.37),
        distractors=(0, 0),
        distractor_radius=(0.3, 0.4),
        clutter=(0, 0),
        occluders=(0, 0),
        reach=0.13,  # ±15°
        turned=False,
        contrast=(1.0, 1.0),
        least_colour_distance=250,
        brightness=(0.97, 1.03),
        noise=(0.5, 1.5),
    ),
    "medium": Difficulty(
        radius=(0.21, 0.32),
        distractors=(1, 3),
        distractor_radius=(0.3, 0.5),
        clutter=(1, 4),
        occluders=(0, 1),
        reach=0.27,  # ±30°
        turned=False,
        contrast=(0.85, 1.0),
        least_colour_distance=220,
        brightness=(0.88, 1.06),
        noise=(2.0, 5.0),
    ),
    "hard": Difficulty(
        radius=(0.18, 0.29),
        distractors=(2, 4),
        distractor_radius=(0.3, 0.5),
        clutter=(3, 7),
        occluders=(1, 2),
        reach=2**0.5 - 1,
        turned=True,
        contrast=(0.65, 0.95),
        least_colour_distance=180,
        brightness=(0.8, 1.1),
        noise=(5.0, 11.0),
    ),
}
