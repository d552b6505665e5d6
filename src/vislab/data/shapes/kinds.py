"""The ten kinds of object, each as a signed distance to its outline.

A kind is a function of a point (x, y) in the object's own frame: the unit is the object's radius,
x points right and y *down*, and the result is the distance to the outline in that unit, negative
inside. The distance is right near the outline, which is what anti-aliasing needs, and a lower
bound of it elsewhere. The formulas follow Quilez, "2D distance functions"
(iquilezles.org/articles/distfunctions2d), with corners rounded by a polynomial maximum.

Every kind lies within 1.06 of its origin and fills between 1.1 and 2.4 squared radii. Only
operations that IEEE 754 defines to the last bit are used, so that an image is the same on every
machine: + − × ÷, square root, absolute value, minimum, maximum and comparisons.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]  # always float32; numpy's stubs make float64 of a Python factor

REACH = 1.06  # no kind reaches farther from its origin, in radii
COS_36, SIN_36 = 0.809016994375, 0.587785252292
HALF_SQRT_3 = 0.866025403784
EIGHTH_SQRT_2 = 0.353553390593  # √2 / 4


def length(x: Plane, y: Plane) -> Plane:
    """Return √(x² + y²)."""
    square: Plane = x * x
    square += y * y
    return np.sqrt(square, out=square)


def rounded_maximum(a: Plane, b: Plane, radius: float) -> Plane:
    """Return the larger of two distances, bent over where they differ by less than `radius`.

    The intersection of two half planes, its corner cut back by about `radius` / 4 on both sides.
    """
    near: Plane = np.abs(a - b)
    np.subtract(radius, near, out=near)
    np.maximum(near, 0, out=near)
    near *= near
    near *= 0.25 / radius
    near += np.maximum(a, b)
    return near


def rounded_ridge(x: Plane, slope: float, radius: float) -> Plane:
    """Return what `rounded_maximum` adds where an edge meets its mirror image in x = 0.

    `slope` is the edge's distance gained per unit of x, so that the two differ by 2·slope·|x|.
    """
    near: Plane = np.maximum(radius - 2 * slope * np.abs(x), 0)
    near *= near
    near *= 0.25 / radius
    return near


def fold_in_five(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return the point mirrored into the 36° wedge right of the upward axis; its y points *up*."""
    x, y = np.abs(x), -y
    for side in (1, -1):  # the two mirrors, at 54° to either side
        beyond = 2 * np.maximum(side * COS_36 * x - SIN_36 * y, 0)
        x, y = x - side * COS_36 * beyond, y + SIN_36 * beyond
    return np.abs(x), y


def beside_circle(distance: Plane, x: Plane, y: Plane) -> Plane:
    """Return the distance, raised to that from the circle of radius REACH where it is less.

    Beyond a sharp corner the distance to the nearer edge's line is too small; a shadow made of it
    would run out in a point.
    """
    raised: Plane = np.maximum(distance, length(x, y) - REACH)
    return raised


def disc(x: Plane, y: Plane) -> Plane:
    """A full circle of radius 0.86."""
    return length(x, y) - 0.86


def square(x: Plane, y: Plane) -> Plane:
    """Four equal sides of 1.48."""
    return rounded_maximum(np.abs(x) - 0.74, np.abs(y) - 0.74, 0.2)


def triangle(x: Plane, y: Plane) -> Plane:
    """Three equal sides, one corner up."""
    y = y - 0.12  # its bounding circle, not its centre of mass, sits on the origin
    roof = HALF_SQRT_3 * np.abs(x) - 0.5 * y - 0.57 + rounded_ridge(x, HALF_SQRT_3, 0.3)
    return beside_circle(rounded_maximum(roof, y - 0.57, 0.3), x, y + 0.12)


def star(x: Plane, y: Plane) -> Plane:
    """Five rays, one up."""
    x, y = fold_in_five(x, y)
    # the edge runs from the tip (0, 1.08) to the notch at 36° and distance 0.5
    edge: Plane = 0.85767 * x + 0.51420 * (y - 1.08)
    return beside_circle(edge + rounded_ridge(x, 0.85767, 0.2), x, y)


def ring(x: Plane, y: Plane) -> Plane:
    """A circle of radius 0.92 with a hole of radius 0.46."""
    distance: Plane = np.abs(length(x, y) - 0.69)
    return distance - 0.23


def cross(x: Plane, y: Plane) -> Plane:
    """Four arms of equal length."""
    x, y = np.abs(x), np.abs(y)
    return rounded_maximum(np.maximum(x, y) - 0.94, np.minimum(x, y) - 0.32, 0.16)


def heart(x: Plane, y: Plane) -> Plane:
    """A square standing on its corner with half a disc on each upper side."""
    scale = 1.52
    x, y = np.abs(x) * (1 / scale), 0.56 - y * (1 / scale)
    total = x + y
    lobe = length(x - 0.25, y - 0.75) - EIGHTH_SQRT_2
    along = np.maximum(total, 0) * 0.5
    to_edge = (x - along) * (x - along) + (y - along) * (y - along)
    to_notch = x * x + (y - 1) * (y - 1)
    below: Plane = np.sqrt(np.minimum(to_edge, to_notch))
    below = np.where(x < y, -below, below)
    return np.where(total > 1, lobe, below) * scale


def crescent(x: Plane, y: Plane) -> Plane:
    """A disc out of whose right side a smaller one, 0.42 farther right, is bitten."""
    x, y = x + 0.12, np.abs(y)
    whole, bite, apart, rounding = 0.9, 0.75, 0.42, 0.04
    tip_x = (whole * whole - bite * bite + apart * apart) / (2 * apart)
    tip_y = (whole * whole - tip_x * tip_x) ** 0.5
    past_tip = x * tip_y - y * tip_x > apart * np.maximum(tip_y - y, 0)
    distance = np.maximum(length(x, y) - whole, bite - length(x - apart, y))
    return np.where(past_tip, length(x - tip_x, y - tip_y), distance) - rounding


def arrow(x: Plane, y: Plane) -> Plane:
    """A triangular head, pointing up, on a shaft."""
    x = np.abs(x)
    side = 0.7715 * x - 0.6363 * (y + 1) + rounded_ridge(x, 0.7715, 0.16)
    head = rounded_maximum(side, y - 0.03, 0.16)
    shaft = rounded_maximum(x - 0.29, np.abs(y - 0.2) - 0.74, 0.12)
    return np.minimum(head, shaft)


def flower(x: Plane, y: Plane) -> Plane:
    """Five round petals, one up."""
    x, y = fold_in_five(x, y)
    petal = length(x, y - 0.58) - 0.4
    distance: Plane = np.minimum(petal, length(x, y) - 0.34)
    return distance


OUTLINES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": disc,
    "square": square,
    "triangle": triangle,
    "star": star,
    "ring": ring,
    "cross": cross,
    "heart": heart,
    "crescent": crescent,
    "arrow": arrow,
    "flower": flower,
}
CLASSES = tuple(OUTLINES)
STROKE = len(CLASSES)  # not a class: clutter and occluders, a thick line with round ends


def stroke(x: Plane, y: Plane, half_length: Plane) -> Plane:
    """A thick line along x with round ends; the unit is half its thickness."""
    return length(np.maximum(np.abs(x) - half_length, 0), y) - 1


def signed_distance(kind: NDArray[np.int64], half_length: Plane, x: Plane, y: Plane) -> Plane:
    """Return the distance of every point to its own shape's outline, in the shape's radii.

    `kind` (K,) holds places in `CLASSES` or STROKE, `half_length` (K,) matters to strokes alone,
    `x` and `y` are (K, …) in the frames of the K shapes.
    """
    distance = np.empty_like(x)
    for number in np.unique(kind):
        chosen = np.flatnonzero(kind == number)
        if number == STROKE:
            half = half_length[chosen].reshape(-1, *(1,) * (x.ndim - 1))
            distance[chosen] = stroke(x[chosen], y[chosen], half)
        else:
            outline = OUTLINES[CLASSES[number]]
            distance[chosen] = outline(x[chosen], y[chosen])
    return distance
