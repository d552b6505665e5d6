"""How well the pixels of each class were found: overlaps, and distances between borders.

Of one image and class: tp pixels are rightly of it, fp wrongly, fn were missed, tn are rightly
not of it; void pixels count nowhere.

    Dice        = 2 tp / (2 tp + fp + fn)      sensitivity = tp / (tp + fn)
    Jaccard, IoU = tp / (tp + fp + fn)         specificity = tn / (tn + fp)

Where the target has no pixel to measure by, the quotient has no value, and one is laid down: 1 if
the prediction has none either, 0 if it has some. So a class that is neither there nor predicted
scores 1; one who averages over classes may want to leave it out. (For specificity the pixels are
those that are not of the class.)
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from scipy import ndimage

from vislab.errors import DataError, ShapeError


def confusion(
    pred: Integer[np.ndarray, "n h w"],
    targets: Integer[np.ndarray, "n h w"],
    classes: int,
    void: int = 255,
) -> Int[np.ndarray, "n k k"]:
    """Return for each image how many pixels of each true class (rows) were said to be which.

    Pixels whose target is `void` are left out. Raises DataError for a class that does not exist.
    """
    counted = targets != void
    true, predictions = targets[counted].astype(np.int64), pred[counted].astype(np.int64)
    for what, values in (("target", true), ("prediction", predictions)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            wrong = values.min() if values.min() < 0 else values.max()
            raise DataError(
                f"a pixel of the {what} has class {wrong}, but there are {classes}, from 0; "
                f"pixels of no class are marked {void} in the target"
            )
    image = np.repeat(np.arange(len(targets)), counted.sum(axis=(1, 2)))
    codes = (image * classes + true) * classes + predictions
    counts = np.bincount(codes, minlength=len(targets) * classes**2)
    return counts.reshape(len(targets), classes, classes)


def dice(table: Int[np.ndarray, "n k k"]) -> Float[np.ndarray, "n k"]:
    """Return the Dice coefficient of each image and class, from its confusion."""
    tp, fp, fn, _ = _counts(table)
    return _quotient(2 * tp, 2 * tp + fp + fn, tp + fn, tp + fp)


def jaccard(table: Int[np.ndarray, "n k k"]) -> Float[np.ndarray, "n k"]:
    """Return the IoU of each image and class, from its confusion."""
    tp, fp, fn, _ = _counts(table)
    return _quotient(tp, tp + fp + fn, tp + fn, tp + fp)


def sensitivity(table: Int[np.ndarray, "n k k"]) -> Float[np.ndarray, "n k"]:
    """Return which share of each class was found, also called its recall."""
    tp, fp, fn, _ = _counts(table)
    return _quotient(tp, tp + fn, tp + fn, tp + fp)


def specificity(table: Int[np.ndarray, "n k k"]) -> Float[np.ndarray, "n k"]:
    """Return which share of the pixels of other classes was not taken for this one."""
    _, fp, fn, tn = _counts(table)
    return _quotient(tn, tn + fp, tn + fp, tn + fn)


def hausdorff95(pred: Bool[np.ndarray, "h w"], target: Bool[np.ndarray, "_h _w"]) -> float:
    """Return how far apart the borders of two masks are, in pixels, the worst 5 % left out.

    The larger of two 95th percentiles: of the distances from each border pixel of one mask to the
    nearest of the other, and the other way round (Huttenlocher et al. 1993, doi:10.1109/34.232073,
    has the maximum for the percentile). A border pixel has one of its four neighbours outside the
    mask, or outside the image. Both masks empty: 0. One empty: the image's diagonal.
    """
    there, back = _border_distances(pred, target)
    if not len(there) or not len(back):
        return 0.0 if len(there) == len(back) else float(np.hypot(*pred.shape))
    return max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))


def boundary_f1(
    pred: Bool[np.ndarray, "h w"],
    target: Bool[np.ndarray, "_h _w"],
    *,
    tolerance: float | None = None,
) -> float:
    """Return the harmonic mean of the shares of either border that lie near the other.

    Csurka et al. 2013, doi:10.5244/C.27.32: near is within 0.75 % of the image's
    diagonal, or `tolerance` pixels. Both masks empty: 1. One empty: 0.
    """
    there, back = _border_distances(pred, target)
    if not len(there) or not len(back):
        return float(len(there) == len(back))
    near = 0.0075 * np.hypot(*pred.shape) if tolerance is None else tolerance
    precision, recall = float((there <= near).mean()), float((back <= near).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _counts(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    tp = np.diagonal(table, axis1=1, axis2=2)
    fp, fn = table.sum(axis=1) - tp, table.sum(axis=2) - tp
    return tp, fp, fn, table.sum(axis=(1, 2))[:, None] - tp - fp - fn


def _quotient(
    part: np.ndarray, whole: np.ndarray, true: np.ndarray, predictions: np.ndarray
) -> Float[np.ndarray, "n k"]:
    value = part / np.maximum(whole, 1)
    return np.where(true == 0, np.where(predictions == 0, 1.0, 0.0), value)


def _border_distances(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each border pixel of either mask from the border of the other."""
    if pred.shape != target.shape:
        raise ShapeError(f"a mask of {pred.shape} pixels does not fit one of {target.shape}")
    # No pixel outside the two masks is on a border: without them the transforms are cheap.
    rows, columns = (np.flatnonzero((pred | target).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros(0), np.zeros(0)
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (pred[part], target[part])]
    if not all(border.any() for border in borders):
        return np.zeros(int(borders[0].sum())), np.zeros(int(borders[1].sum()))
    there = ndimage.distance_transform_edt(~borders[1])[borders[0]]
    back = ndimage.distance_transform_edt(~borders[0])[borders[1]]
    return there, back
