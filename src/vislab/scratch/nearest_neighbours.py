"""k nearest neighbours: an image gets the label that most of the k nearest training images have.

Distances are squared Euclidean, which order as Euclidean ones do. Written with no loop, all pairs
at once, because a square of a difference is a matrix product in disguise:

    Σ_d (a[i, d] - b[j, d])² = Σ_d a[i, d]² + Σ_d b[j, d]² - 2 Σ_d a[i, d] b[j, d]

When labels tie among the k, the smallest label wins.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vislab.errors import OptionError
from vislab.ops.seeding import generator
from vislab.progress import track
from vislab.scratch import expect

BLOCK_BYTES = 256 << 20  # distances held at once by `KnnClassifier`


def compute_distances_two_loops(x_train: Tensor, x_test: Tensor) -> Tensor:
    """Return squared distances (num_train, num_test), pair by pair."""
    train, test = _rows(x_train, x_test)
    dists = train.new_zeros(len(train), len(test))
    for i in range(len(train)):
        for j in range(len(test)):
            dists[i, j] = ((train[i] - test[j]) ** 2).sum()
    return dists


def compute_distances_one_loop(x_train: Tensor, x_test: Tensor) -> Tensor:
    """Return squared distances (num_train, num_test), one training image at a time."""
    train, test = _rows(x_train, x_test)
    dists = train.new_zeros(len(train), len(test))
    for i in range(len(train)):
        dists[i] = ((train[i] - test) ** 2).sum(dim=1)
    return dists


def compute_distances_no_loops(x_train: Tensor, x_test: Tensor) -> Tensor:
    """Return squared distances (num_train, num_test) from one matrix product."""
    train, test = _rows(x_train, x_test)
    dists = (train**2).sum(dim=1)[:, None] + (test**2).sum(dim=1) - 2 * train @ test.T
    return dists.clamp_(min=0)  # rounding can take a distance of zero below it


def predict_labels(dists: Tensor, y_train: Tensor, k: int = 1) -> Tensor:
    """Return for each column of dists (num_train, num_test) the label of most of its k nearest."""
    expect.floats("dists", dists, "num_train, num_test")
    y_train = _labels("y_train", y_train, len(dists))
    _check_k(k, len(dists))
    nearest = dists.topk(k, dim=0, largest=False).indices.T  # (num_test, k)
    return _vote(y_train.to(dists.device)[nearest])


class KnnClassifier:
    """Remembers the training images. Distances are taken in blocks that fit into memory."""

    def __init__(self, x_train: Tensor, y_train: Tensor) -> None:
        """Take x_train (num_train, ...) and its labels."""
        expect.floats("x_train", x_train, "N, ...")
        expect.finite("x_train", x_train)
        self.x_train, self.y_train = x_train.flatten(1), _labels("y_train", y_train, len(x_train))
        self._half_squares = (self.x_train**2).sum(dim=1) / 2

    def nearest(self, x: Tensor, k: int, *, quiet: bool = True) -> Tensor:
        """Return the places of the k nearest training images of each x: (N, k), nearest first."""
        _check_k(k, len(self.x_train))
        _, x = _rows(self.x_train, x)
        expect.finite("x", x)
        rows = max(1, BLOCK_BYTES // (len(self.x_train) * x.element_size()))
        found = []
        with track("looking for neighbours", total=len(x), unit="images", quiet=quiet) as advance:
            for block in torch.split(x, rows):
                # ½ |a|² - a·b orders the a's as |a - b|² does: |b|² is the same for all of them.
                order = torch.addmm(self._half_squares, block, self.x_train.T, alpha=-1)
                found.append(order.topk(k, dim=1, largest=False).indices)
                advance(len(block))
        return torch.cat(found)

    def predict(self, x: Tensor, k: int = 1) -> Tensor:
        """Return a label for each x (N, ...): (N,)."""
        return self.vote(self.nearest(x, k))

    def vote(self, nearest: Tensor) -> Tensor:
        """Return the label of most of the training images in each row of places (N, k)."""
        return _vote(self.y_train[nearest])

    def check_accuracy(self, x: Tensor, y: Tensor, k: int = 1) -> float:
        """Return the share of x (N, ...) that gets its label y (N,)."""
        y = _labels("y", y, len(x))
        return float((self.predict(x, k) == y).double().mean())


def knn_cross_validate(
    x: Tensor, y: Tensor, num_folds: int = 5, k_choices: Sequence[int] = (1, 3, 5, 8, 10)
) -> dict[int, list[float]]:
    """Return for each k the accuracy on each fold, when the other folds are remembered.

    The images are dealt to the folds in a drawn order that is always the same.
    """
    if not 2 <= num_folds <= len(x):
        raise OptionError(f"num_folds is {num_folds}, wanted 2 to {len(x)}, the number of images")
    order = torch.randperm(len(x), generator=generator("folds"))
    folds = order.tensor_split(num_folds)
    found: dict[int, list[float]] = {k: [] for k in sorted(set(k_choices))}
    for fold in folds:
        others = torch.cat([other for other in folds if other is not fold])
        classifier = KnnClassifier(x[others], y[others])
        nearest = classifier.nearest(x[fold], max(found), quiet=False)
        for k, accuracies in found.items():
            said = _vote(classifier.y_train[nearest[:, :k]])
            accuracies.append(float((said == y[fold]).double().mean()))
    return found


def knn_get_best_k(k_to_accuracies: dict[int, list[float]]) -> int:
    """Return the k of the highest mean accuracy; the smallest of equals."""
    return min(k_to_accuracies, key=lambda k: (-sum(k_to_accuracies[k]), k))


def _labels(name: str, y: Tensor, count: int) -> Tensor:
    """Return `count` whole numbers from 0 on as int64."""
    return expect.labels(name, y, (count,), int(y.max()) + 1 if len(y) else 1)


def _vote(labels: Tensor) -> Tensor:
    """Return the most frequent label of each row of labels (N, k), the smallest of equals."""
    classes = int(labels.max()) + 1
    votes = torch.zeros(len(labels), classes, dtype=torch.long, device=labels.device)
    votes.scatter_add_(1, labels, torch.ones_like(labels))
    # A vote weighs more than all the classes together, so that ties fall to the first class.
    rank = votes * classes - torch.arange(classes, device=labels.device)
    return rank.argmax(dim=1)


def _rows(x_train: Tensor, x_test: Tensor) -> tuple[Tensor, Tensor]:
    """Return both flattened to rows of the same length."""
    expect.floats("x_train", x_train, "N, ...")
    expect.floats("x_test", x_test, "N, ...")
    train, test = x_train.flatten(1), x_test.flatten(1)
    expect.shape("x_test", test, (len(test), train.shape[1]), like=train)
    return train, test


def _check_k(k: int, known: int) -> None:
    if not 1 <= k <= known:
        raise OptionError(f"k is {k}, wanted 1 to {known}, the number of training images")
