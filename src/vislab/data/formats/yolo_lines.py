"""The lines of YOLO's labels: boxes, outlines or keypoints, which the whole set decides.

    class cx cy width height                     a box, in shares of the image
    class x1 y1 x2 y2 x3 y3 ...                  an outline; of four points also a turned box
    class cx cy width height px py [v] ...       a box and keypoints, v = 0 where one is not seen

An outline and keypoints may have equally many numbers. Keypoints are known by data.yaml's
`kpt_shape`; without it, by every line having as many numbers, and the first four, as a box,
holding all points behind them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vislab.data.formats.box_kinds import look_like_corners
from vislab.data.formats.numbers import FAR, shown
from vislab.data.formats.yolo_settings import OUTLINES, Settings

BEYOND = 1.5  # shares of the image: what is larger must be pixels
HELD = 0.95  # of the lines whose points lie in the box, where they are keypoints
LOOSE = 0.05  # of the box, by which keypoints may lie outside
NEAR = 1.0  # extents of the other points, from which an outline's second point may lie
MANY = 0.2  # of the lines that cross themselves as outlines, where they are keypoints


class Line(NamedTuple):
    """One object: its class's number and what stands behind it."""

    row: int
    file: str
    line: int
    label: int
    numbers: tuple[float, ...]

    @property
    def where(self) -> str:
        """The file and the line."""
        return f"{self.file}, line {self.line}"


def parsed(text: str) -> tuple[int, tuple[float, ...]] | str | None:
    """Return the class and the numbers of a line, what is wrong with it, or None when empty."""
    words = text.split()
    if not words:
        return None
    values = _numbers(text)
    if values is None:
        return f"it holds what is no number: {shown(text.strip())}"
    label, *numbers = values
    if not label.is_integer() or label < 0:
        return f"its class is no number from 0: {shown(words[0])}"
    if len(numbers) == 5:
        return (
            "a class and 4 numbers are wanted, and a fifth stands there, as predictions have a "
            f"confidence and turned boxes an angle: {shown(text.strip())}"
        )
    if len(numbers) < 4:
        return f"a class and 4 numbers are wanted, or an outline: {len(words)} stand there"
    return int(label), tuple(numbers)


def _numbers(text: str) -> list[float] | None:
    """Return finite numbers; what Python reads and nobody else, such as 1_0, is none."""
    try:
        values = list(map(float, text.split()))
    except ValueError:
        return None
    total = sum(values)
    plain = total == total and min(values) > -FAR and max(values) < FAR  # NaN is no sum
    return values if plain and "_" not in text else None


@dataclass(frozen=True)
class Kind:
    """What the lines of a set are."""

    keypoints: tuple[int, int] | None = None  # how many, and numbers of each
    doubt: str | None = None

    def wrong(self, line: Line) -> str | None:
        """Say what is wrong with a line, or return None."""
        many = len(line.numbers)
        if self.keypoints is not None:
            wanted = 4 + self.keypoints[0] * self.keypoints[1]
            if many not in (4, wanted):
                return (
                    f"a class, a box and keypoints are {1 + wanted} numbers: {1 + many} stand there"
                )
        elif many != 4 and many % 2:
            return f"a class and 4 numbers are wanted, or an outline: {1 + many} stand there"
        shares = self.shares(line)
        if max(shares) > BEYOND or min(shares) < -BEYOND:
            return f"its numbers are no shares of the image: {shown(list(line.numbers))}"
        return None

    def shares(self, line: Line) -> tuple[float, ...]:
        """Return the numbers of the box or of the outline."""
        return line.numbers if self.keypoints is None else line.numbers[:4]


def kind_of(lines: Sequence[Line], told: Sequence[Settings]) -> Kind:
    """Return what the lines are, by what is told and by all of them."""
    stated = {one.keypoints for one in told if one.keypoints is not None}
    if len(stated) > 1:
        files = ", ".join(one.file for one in told if one.keypoints is not None)
        return Kind(None, f"{files} disagree on kpt_shape; mend the one that is wrong")
    if stated:
        return Kind(stated.pop())
    if any(one.task in OUTLINES for one in told):
        return Kind()
    longer = [line.numbers for line in lines if len(line.numbers) != 4]
    counts = Counter(map(len, longer))
    if len(counts) != 1:
        return Kind()
    values = np.array(longer)
    kind = _keypoints(values)
    if kind is None:
        return Kind()
    no_outlines = values.shape[1] % 2 or values.max() > BEYOND
    if no_outlines or _near(values).mean() < HELD or (crossing := _crossing(values)) > MANY:
        return Kind(kind)
    if crossing == 0:
        return Kind()
    return Kind(
        kind,
        f"lines of {values.shape[1] + 1} numbers may be outlines or keypoints; write in data.yaml "
        f"`task: segment` for the first, `kpt_shape: [{kind[0]}, {kind[1]}]` for the second",
    )


def _keypoints(values: Float[np.ndarray, "m n"]) -> tuple[int, int] | None:
    """Return how many keypoints each line has, and of how many numbers, if that may be so."""
    points = values.shape[1] - 4
    for each in (3, 2):
        if points % each:
            continue
        split = values[:, 4:].reshape(len(values), -1, each)
        seen = (split[..., :2] != 0).any(axis=2)
        if each == 3:
            if not np.isin(split[..., 2], (0, 1, 2)).all():
                continue
            seen &= split[..., 2] > 0
        centre, size = values[:, None, :2], values[:, None, 2:4]
        off = np.abs(split[..., :2] - centre) > size * (0.5 + LOOSE) + 0.01
        held = ~(off.any(axis=2) & seen).any(axis=1) & _in_image(values[:, :4])
        if held.mean() >= HELD:
            return points // each, each
    return None


def _in_image(boxes: Float[np.ndarray, "m 4"]) -> Bool[np.ndarray, " m"]:
    half = boxes[:, 2:] / 2
    inside = (boxes[:, 2:] > 0) & (boxes[:, :2] - half > -0.05) & (boxes[:, :2] + half < 1.05)
    return np.asarray(inside.all(axis=1))


def _near(values: Float[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
    """Say of each line, as an outline, whether its second point lies where the others are."""
    points = values.reshape(len(values), -1, 2)
    others = np.delete(points, 1, axis=1)
    low, high = others.min(axis=1), others.max(axis=1)
    room = NEAR * (high - low).max(axis=1, keepdims=True)
    near = (points[:, 1] >= low - room) & (points[:, 1] <= high + room)
    return np.asarray(near.all(axis=1))


def _crossing(values: Float[np.ndarray, "m n"], most: int = 200) -> float:
    """Return the share of the first outlines that cross themselves or stand still."""
    return float(np.mean([_crosses(row.reshape(-1, 2)) for row in values[:most]]))


def _crosses(points: Float[np.ndarray, "p 2"]) -> bool:
    ends = np.roll(points, -1, axis=0)
    if (points[1:] == points[:-1]).all(axis=1).any():
        return True

    def side(of: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """On which side of each edge (first axis) each point (second axis) lies."""
        along, to = (ends - points)[:, None], of[None] - points[:, None]
        turn = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
        return np.asarray(np.sign(turn))

    first, second = side(points), side(ends)
    apart = first * second < 0  # the edge's line parts the other edge
    return bool((apart & apart.T).any())


def doubts_of(lines: Sequence[Line], kind: Kind) -> list[str]:
    """Return sentences on what the numbers of all boxes together show to be wrong."""
    boxes = np.array([kind.shares(line) for line in lines if len(kind.shares(line)) == 4])
    if not len(boxes):
        return []
    first = next(line for line in lines if len(kind.shares(line)) == 4)
    beyond = (np.abs(boxes) > BEYOND).any(axis=1)
    if 2 * beyond.sum() > len(boxes):
        return [
            f"{beyond.sum()} of {len(boxes)} boxes hold numbers beyond 1 (first: {first.where}): "
            "pixels or per cent; divide them by the image's width and height, or by 100"
        ]
    half = boxes[:, 2:] / 2
    out = np.maximum(half - boxes[:, :2], boxes[:, :2] + half - 1).max(axis=1) > 0.02
    if look_like_corners(boxes, out, boxes.max(axis=1) <= 1.02):
        return [
            "the boxes look like corners (xmin, ymin, xmax, ymax) where their centre, width and "
            f"height are wanted (first: {first.where}); write them so"
        ]
    return []
